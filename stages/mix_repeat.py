"""How often a mix repeats a document: by classes of a number, such as the size of its cluster of copies.

Weights are given, or fitted: FineWeb-2 keeps one document of each cluster, looks at how many of them the filters
remove by size of cluster, and repeats those of sizes whose documents fare better than all do. Which documents are
taken, and their order, is decided in stages.mix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any  # values of a parsed YAML file

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.names import check_keys

FIT = "fineweb2"
BOUNDS = (1, 2, 5, 10, 30, 75, 150)
"""Least sizes of clusters of the classes that FineWeb-2 reports its rates at."""

MAX_TIMES = 100
LEAST_DOCUMENTS = 1000
"""A class of fewer documents has no rate to go by, and its documents come once: of 1,000, a rate is known to 1.6 points
(one standard error) at worst, and the classes differ by a few points only."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """What a run file asks of repeats.

    column: of numbers; null counts as 1. bounds: least value of each class, rising; a smaller value is in none, and
    its documents come once. times: how often documents of each class come, whole numbers; empty until they are
    fitted. fit: how they are; max: the largest of them; least_documents: of a class that is fitted. counts: what was
    fitted to, see `count`.
    """

    column: str
    bounds: tuple[int, ...]
    times: tuple[int, ...] = ()
    fit: str | None = None
    max: int
    least_documents: int = LEAST_DOCUMENTS
    counts: tuple[tuple[int, int], ...] = ()

    def classes(self, values: pa.ChunkedArray) -> np.ndarray:
        """Class of each value, int64: 0 below the least bound, i from bounds[i - 1] on."""
        numbers = pc.fill_null(pc.cast(values, pa.float64()), 1.0).to_numpy()
        return np.searchsorted(np.array(self.bounds, np.float64), numbers, side="right")

    def of(self, values: pa.ChunkedArray) -> np.ndarray:
        """How often each document comes in one pass: int64 (n_docs,)."""
        return np.array([1, *self.times], np.int64)[self.classes(values)]

    def count(self, values: pa.ChunkedArray, removed: np.ndarray) -> list[list[int]]:
        """Documents of each class and those that rules remove, which add across shards: (n_bounds + 1, 2).

        Args: of one document of each cluster; removed, bool (n_docs,).
        """
        classes, n = self.classes(values), len(self.bounds) + 1
        counts = np.bincount(classes, minlength=n), np.bincount(classes[removed], minlength=n)
        return np.stack(counts, axis=1).tolist()

    def fitted(self, counts: Sequence[Sequence[int]]) -> Repeat:
        """With times that follow from what rules remove: once where the rate of a class is that of all documents or
        above, `max` times where it is lowest, and in a straight line between, rounded to the nearest whole number,
        halves up.

        Args: counts, the sum over all shards of what `count` gives.
        """
        n_docs, n_removed = (sum(row[i] for row in counts) for i in (0, 1))
        everywhere = Fraction(n_removed, max(n_docs, 1))
        rates = [Fraction(r, n) if n >= max(self.least_documents, 1) else None for n, r in counts[1:]]
        lowest = min((rate for rate in rates if rate is not None), default=everywhere)
        times = []
        for rate in rates:
            more = (
                Fraction()
                if rate is None or rate >= everywhere
                else (everywhere - rate) / (everywhere - lowest)
            )
            times.append(int(1 + (self.max - 1) * more + Fraction(1, 2)))
        return replace(self, times=tuple(times), counts=tuple((int(n), int(r)) for n, r in counts))

    def report(self, values: pa.ChunkedArray, tokens: np.ndarray, n_copies: np.ndarray) -> dict[str, Any]:
        """What the classes came to in a mix, as plain data; the copies and tokens add up to those of the mix."""
        classes = self.classes(values)
        rows = []
        for i, (least, times) in enumerate(zip((None, *self.bounds), (1, *self.times), strict=True)):
            inside = classes == i
            if least is None and not inside.any() and not (self.counts and self.counts[0][0]):
                continue
            row: dict[str, Any] = {
                "from": least, "times": times, "documents": int(inside.sum()), "copies": int(n_copies[inside].sum()),
                "available_tokens": int(tokens[inside].sum()), "tokens": int((tokens * n_copies)[inside].sum()),
            }  # fmt: skip
            if self.counts:
                n, removed = self.counts[i]
                row |= {"judged": n, "removed": removed, "removed_share": round(removed / max(n, 1), 6)}
            rows.append(row)
        page: dict[str, Any] = {"column": self.column, "fit": self.fit, "classes": rows}
        if self.counts:
            n, removed = (sum(count[i] for count in self.counts) for i in (0, 1))
            page["removed_share"] = round(removed / max(n, 1), 6)
        return page


def parse_repeat(settings: Any, where: str) -> Repeat | None:
    """Check the `repeat` key of a mix.

    Raises: ConfigError with the place, what was found and what was expected.
    """
    if settings is None:
        return None
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where}: found {settings!r}; expected `column` with `weights` or `fit`")
    check_keys(settings, ("column", "weights", "fit", "max", "bounds", "least_documents"), where)
    column = settings.get("column")
    if not isinstance(column, str) or not column:
        raise ConfigError(
            f"{where}.column: found {column!r}; name one column of numbers, such as dedup.cluster_size"
        )
    if ("weights" in settings) == ("fit" in settings):
        raise ConfigError(f"{where}: expected either `weights` or `fit`")
    if "weights" in settings:
        check_keys(settings, ("column", "weights"), where)
        weights = _weights(settings["weights"], f"{where}.weights")
        times = tuple(weights.values())
        return Repeat(column=column, bounds=tuple(weights), times=times, max=max(times))
    if settings["fit"] != FIT:
        raise ConfigError(f"{where}.fit: found {settings['fit']!r}; expected {FIT}")
    bounds = settings.get("bounds", list(BOUNDS))
    if not isinstance(bounds, list) or not bounds:
        raise ConfigError(
            f"{where}.bounds: found {bounds!r}; expected the least value of each class, as {[*BOUNDS]}"
        )
    numbers = [_whole(bound, f"{where}.bounds", 0, 2**53) for bound in bounds]
    if numbers != sorted(set(numbers)):
        raise ConfigError(f"{where}.bounds: found {bounds!r}; let each be above the one before")
    return Repeat(
        column=column, bounds=tuple(numbers), fit=FIT, max=_whole(settings.get("max"), f"{where}.max", 2, MAX_TIMES),
        least_documents=_whole(settings.get("least_documents", LEAST_DOCUMENTS), f"{where}.least_documents", 1, 2**53),
    )  # fmt: skip


def _weights(settings: Any, where: str) -> dict[int, int]:
    if not isinstance(settings, Mapping) or not settings:
        raise ConfigError(
            f"{where}: found {settings!r}; expected least values and times, as {{1: 1, 2: 2, 5: 4}}"
        )
    weights = {
        _whole(bound, where, 0, 2**53): _whole(times, f"{where}.{bound}", 1, MAX_TIMES)
        for bound, times in settings.items()
    }
    return dict(sorted(weights.items()))


def _whole(value: Any, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{where}: found {value!r}; expected a whole number from {low} to {high}")
    return value
