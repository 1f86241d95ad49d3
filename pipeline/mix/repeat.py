"""Repeats of documents in a mix, by classes of a numeric column such as the size of the duplicate cluster.

Repeat counts are given, or fitted as in FineWeb-2: with one document per cluster, the share that the filters remove is
measured for each class of cluster sizes, and documents of classes below the overall rate are repeated. Documents are
chosen and ordered in pipeline.mix.order.
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
"""Lower bounds of the classes of cluster sizes for which FineWeb-2 reports removal rates."""

MAX_TIMES = 100
LEAST_DOCUMENTS = 1000
"""Classes with fewer documents are not fitted, and their documents are not repeated: with 1,000 documents the standard
error of a rate is at most 1.6 percentage points, and the classes differ by a few points only."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """The `repeat` settings of a mix in a run file.

    column: a numeric column; null counts as 1. bounds: lower bound of each class, ascending; documents with a smaller
    value belong to no class and are taken once. times: how often documents of each class are taken, whole numbers;
    empty until fitted. fit: the method of fitting. max: the largest value of times. least_documents: classes with fewer
    documents are not fitted. counts: the counts that times were fitted to, see `count`.
    """

    column: str
    bounds: tuple[int, ...]
    times: tuple[int, ...] = ()
    fit: str | None = None
    max: int
    least_documents: int = LEAST_DOCUMENTS
    counts: tuple[tuple[int, int], ...] = ()

    def classes(self, values: pa.ChunkedArray) -> np.ndarray:
        """Return the class of each value: int64 (n_docs,), 0 below the first bound, i from bounds[i - 1] on."""
        numbers = pc.fill_null(pc.cast(values, pa.float64()), 1.0).to_numpy()
        return np.searchsorted(np.array(self.bounds, np.float64), numbers, side="right")

    def of(self, values: pa.ChunkedArray) -> np.ndarray:
        """Return how often each document is taken in one pass: int64 (n_docs,)."""
        return np.array([1, *self.times], np.int64)[self.classes(values)]

    def count(self, values: pa.ChunkedArray, removed: np.ndarray) -> list[list[int]]:
        """Count documents, and documents removed by rules, for each class; counts of shards may be added.

        Args: values, (n_docs,), of one document per cluster; removed, bool (n_docs,).
        Returns: n_bounds + 1 rows of [documents, removed].
        """
        classes, n = self.classes(values), len(self.bounds) + 1
        counts = np.bincount(classes, minlength=n), np.bincount(classes[removed], minlength=n)
        return np.stack(counts, axis=1).tolist()

    def fitted(self, counts: Sequence[Sequence[int]]) -> Repeat:
        """Return a copy with `times` fitted to removal rates.

        It is 1 for classes whose rate is at least that of all documents, `max` for the class of the lowest rate, linear
        in between, rounded to the nearest whole number, halves up.

        Args: counts, the sum over all shards of the results of `count`.
        """
        n_docs, n_removed = (sum(row[i] for row in counts) for i in (0, 1))
        overall = Fraction(n_removed, max(n_docs, 1))
        rates = [Fraction(r, n) if n >= max(self.least_documents, 1) else None for n, r in counts[1:]]
        lowest = min((rate for rate in rates if rate is not None), default=overall)
        times = []
        for rate in rates:
            advantage = (
                Fraction() if rate is None or rate >= overall else (overall - rate) / (overall - lowest)
            )
            times.append(int(1 + (self.max - 1) * advantage + Fraction(1, 2)))
        return replace(self, times=tuple(times), counts=tuple((int(n), int(r)) for n, r in counts))

    def tally(
        self, values: pa.ChunkedArray, tokens: np.ndarray, n_copies: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Count documents, copies, available tokens and tokens of each class; counts of blocks may be added.

        Args: values, (n_docs,); tokens and n_copies, int64 (n_docs,), tokens of a document and how often it is taken.
        Returns: int64 (n_bounds + 1,) each.
        """
        classes, n = self.classes(values), len(self.bounds) + 1
        amounts = {
            "documents": np.ones_like(tokens), "copies": n_copies, "available_tokens": tokens,
            "tokens": tokens * n_copies,
        }  # fmt: skip
        sums = {name: np.zeros(n, np.int64) for name in amounts}
        for name, amount in amounts.items():
            np.add.at(sums[name], classes, amount)
        return sums

    def report(self, counts: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Summarise the classes of a mix as plain data; copies and tokens add up to those of the mix.

        Args: counts, see `tally`.
        """
        rows = []
        for i, (least, times) in enumerate(zip((None, *self.bounds), (1, *self.times), strict=True)):
            if least is None and not counts["documents"][i] and not (self.counts and self.counts[0][0]):
                continue
            row: dict[str, Any] = {"from": least, "times": times}
            row |= {
                name: int(counts[name][i]) for name in ("documents", "copies", "available_tokens", "tokens")
            }
            if self.counts:
                n, removed = self.counts[i]
                row |= {"judged": n, "removed": removed, "removed_share": round(removed / max(n, 1), 6)}
            rows.append(row)
        summary: dict[str, Any] = {"column": self.column, "fit": self.fit, "classes": rows}
        if self.counts:
            n, removed = (sum(count[i] for count in self.counts) for i in (0, 1))
            summary["removed_share"] = round(removed / max(n, 1), 6)
        return summary


def parse_repeat(settings: Any, where: str) -> Repeat | None:
    """Parse the `repeat` key of a mix; None where it is absent.

    Args: settings, parsed YAML; where, the name of the key in errors.
    Raises: ConfigError if a setting is unknown, missing or out of range.
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
            f"{where}.bounds: found {bounds!r}; expected the smallest value of each class, such as {[*BOUNDS]}"
        )
    numbers = [_whole(bound, f"{where}.bounds", 0, 2**53) for bound in bounds]
    if numbers != sorted(set(numbers)):
        raise ConfigError(f"{where}.bounds: found {bounds!r}; expected ascending values")
    return Repeat(
        column=column, bounds=tuple(numbers), fit=FIT, max=_whole(settings.get("max"), f"{where}.max", 2, MAX_TIMES),
        least_documents=_whole(settings.get("least_documents", LEAST_DOCUMENTS), f"{where}.least_documents", 1, 2**53),
    )  # fmt: skip


def _weights(settings: Any, where: str) -> dict[int, int]:
    if not isinstance(settings, Mapping) or not settings:
        raise ConfigError(
            f"{where}: found {settings!r}; expected smallest values and times, such as {{1: 1, 2: 2, 5: 4}}"
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
