"""Counts of every measured column: distributions, spans by kind, and perplexity by domain.

Like the profile, these are integer sums that add up across shards. Bins are those of pipeline.report.profile, QUARTER
of them joined into one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.release_columns import Layout
from pipeline.config.run_file import RunFile
from pipeline.report.profile import add_up, bin_of, count_leaves, edges_of
from pipeline.select.verdicts import Kept

Columns = Mapping[str, pa.ChunkedArray]
Counts = dict[str, Any]
"""Plain JSON: groups nested by name, with a list of integers for each."""

QUARTER = 4
"""Bins of the profile that a distribution joins into one."""

OTHERS = "*"
"""The group of all languages that no rule names."""

SPAN_FIELDS = ("kind", "benchmark", "reason")
"""Fields of a list of spans whose values are counted; the first that a column has."""

MAX_VALUES = 200
"""Largest number of different values of such a field that are counted."""

MAX_DOMAIN_BINS = 50_000
"""Largest number of counts of perplexity by language and domain."""

NOT_MEASURED = ("rank", "input_row")
"""Canonical numbers that are no measurement."""


@dataclass(frozen=True)
class Measured:
    """What is counted of a run: columns of numbers, columns of spans with their field, languages that rules name."""

    numbers: tuple[str, ...]
    spans: tuple[tuple[str, str], ...]
    languages: tuple[str, ...]

    def columns(self) -> set[str]:
        """Columns to read."""
        return {*self.numbers, *(name for name, _ in self.spans)}


NOTHING = Measured((), (), ())


def measured_columns(run: RunFile, layout: Layout) -> Measured:
    """Every column of numbers and every list of spans that a run measures, and the languages that its rules name."""
    types = run.column_types()
    for source in run.sources:
        own = {c: str(field).endswith(":string") for c, field in source.columns.items() if "." in c}
        types |= {column: pa.string() if is_text else pa.float64() for column, is_text in own.items()}
    numbers = [name for name, dtype in types.items() if name not in NOT_MEASURED and is_number(dtype)]
    spans = [(name, field) for name, dtype in types.items() if (field := span_field(dtype))]
    label = layout.columns["language"]
    named = {
        str(value)
        for rule in run.select
        for condition in rule.where
        if condition.column == label and condition.among
        for value in condition.among
    }
    return Measured(tuple(sorted(numbers)), tuple(sorted(spans)), tuple(sorted(named)))


def is_number(dtype: pa.DataType) -> bool:
    """Whether values of a dtype are measurements; unsigned 64-bit ones are hashes and row numbers."""
    return pa.types.is_floating(dtype) or (pa.types.is_integer(dtype) and dtype != pa.uint64())


def span_field(dtype: pa.DataType) -> str | None:
    """The field by which a list of spans is counted; None for any other dtype."""
    if not (pa.types.is_list(dtype) and pa.types.is_struct(dtype.value_type)):
        return None
    names = {field.name for field in dtype.value_type if pa.types.is_string(field.type)}
    return next((name for name in SPAN_FIELDS if name in names), None)


SMALL = 4096
"""Rows of a shard whose columns are put into bins at once."""


class Numbers:
    """Columns of numbers of a shard, each converted and put into bins once. columns: (n_rows,) each."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.floats: dict[str, np.ndarray] = {}
        self.codes: dict[str, np.ndarray] = {}

    def values(self, column: str) -> np.ndarray:
        """A column as float64 (n_rows,), NaN for null and for values that are not finite."""
        if column not in self.floats:
            floats = pc.fill_null(pc.cast(self.columns[column], pa.float64(), safe=False), float("nan"))
            values = floats.to_numpy()
            self.floats[column] = np.where(np.isfinite(values), values, np.nan)
        return self.floats[column]

    def bins(self, column: str) -> np.ndarray:
        """The bin of the profile of each value, int64 (n_rows,); 0 where there is none."""
        if column not in self.codes:
            values = self.values(column)
            self.codes[column] = bin_of(np.where(np.isnan(values), 0.0, values))
        return self.codes[column]

    def prepare(self, columns: Sequence[str]) -> None:
        """Put several columns into bins at once: of a small shard each call costs more than its rows."""
        missing = [column for column in columns if column not in self.codes]
        if not missing:
            return
        values = np.stack([self.values(column) for column in missing])
        self.codes |= dict(zip(missing, bin_of(np.where(np.isnan(values), 0.0, values)), strict=True))

    def joined_bins(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """The joined bin of each value, 0 for zero, and which values are numbers: (n_rows,) each."""
        return joined(self.bins(column)), ~np.isnan(self.values(column))


def count_signals(
    measured: Measured, layout: Layout, numbers: Numbers, language: pa.ChunkedArray, kept: Kept
) -> Counts:
    """Count a shard's documents by every measured column, without references.

    Args: numbers, with the columns of `measured` and of the release; language, of each row, never null.
    Returns: `numbers`, column -> language -> joined bin -> [kept, dropped]; `spans`, column -> value -> [documents,
    kept documents, spans]; `domains`, language -> domain -> joined bin of perplexity -> [kept, dropped].
    """
    counted = kept.rule != len(kept.failed) + 2
    names = [*measured.languages, OTHERS]
    group = pc.index_in(language, pa.array(measured.languages, pa.string()))
    keys = 2 * pc.fill_null(group, len(names) - 1).to_numpy().astype(np.int64) + ~kept.keep
    histograms: Counts = {}
    if len(keys) <= SMALL:
        numbers.prepare(measured.numbers)
    for column in measured.numbers:
        codes, valid = numbers.joined_bins(column)
        rows = valid & counted
        histograms[column] = _by_group(codes[rows], keys[rows], names)
    columns = numbers.columns
    found: Counts = {
        "numbers": histograms,
        "spans": {name: count_spans(columns[name], field, kept.keep) for name, field in measured.spans},
    }
    perplexity, domain = layout.columns["perplexity"], layout.columns["domain"]
    if perplexity and domain:
        codes, valid = numbers.joined_bins(perplexity)
        bins = pa.array(codes, mask=~(valid & counted & (codes > 0)))
        split = [kept.keep.astype(np.int64), (~kept.keep).astype(np.int64)]
        found["domains"] = limited_domains(add_up([language, columns[domain], bins], split))
    return found


def joined(codes: np.ndarray) -> np.ndarray:
    """Joined bins, from 1 and mirrored below zero, of bins of the profile."""
    return np.sign(codes) * ((np.abs(codes) - 1) // QUARTER + 1)


def _by_group(codes: np.ndarray, keys: np.ndarray, names: list[str]) -> dict[str, dict[str, list[int]]]:
    """Language -> bin -> [kept, dropped]. Args: codes, bins; keys, twice the language plus 1 if dropped; (n_rows,)."""
    if not len(codes):
        return {}
    low, width = int(codes.min()), 2 * len(names)
    n_bins = int(codes.max()) - low + 1
    counts = np.bincount((codes - low) * width + keys, minlength=n_bins * width).reshape(n_bins, -1, 2)
    found: dict[str, dict[str, list[int]]] = {}
    for place, group in np.argwhere(counts.any(axis=2)):
        found.setdefault(names[group], {})[str(low + place)] = counts[place, group].tolist()
    return found


def count_spans(spans: pa.ChunkedArray, field: str, keep: np.ndarray) -> dict[str, list[int]] | None:
    """Documents, kept documents and spans by the value of a field; None for more than MAX_VALUES values."""
    column = spans.combine_chunks()
    parents = pc.list_parent_indices(column).to_numpy().astype(np.int64)
    if not len(parents):
        return {}
    encoded = pc.fill_null(pc.list_flatten(column).field(field), "").dictionary_encode()
    codes, values = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    if len(values) > MAX_VALUES:
        return None
    documents, of_values = np.divmod(np.unique(parents * len(values) + codes), len(values))
    counts = [
        np.bincount(of_values, minlength=len(values)),
        np.bincount(of_values, keep[documents], minlength=len(values)),
        np.bincount(codes, minlength=len(values)),
    ]
    rows = np.stack(counts, axis=1).astype(np.int64).tolist()
    return dict(zip(values, rows, strict=True))


def limited_domains(counts: Counts | None) -> Counts | None:
    """The counts, or None when there are more than MAX_DOMAIN_BINS."""
    return None if counts is None or count_leaves(counts) > MAX_DOMAIN_BINS else counts


def distribution(bins: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Bins with documents in ascending order: `bins`, `kept` and `dropped`, lists of equal length."""
    order = sorted(bins, key=int)
    kept, dropped = zip(*(bins[code] for code in order), strict=True)
    return {"bins": [int(code) for code in order], "kept": list(kept), "dropped": list(dropped)}


def quantiles(bins: Mapping[str, list[int]], shares: tuple[float, ...]) -> list[float]:
    """Upper edges of the bins that hold given shares of the documents, kept or not; bins above zero only."""
    order = sorted(bins, key=int)
    sums = np.cumsum([sum(bins[code]) for code in order])
    found = [order[int(np.searchsorted(sums, share * sums[-1]))] for share in shares]
    return [upper_edge(int(code)) for code in found]


def upper_edge(code: int) -> float:
    """Upper edge of a joined bin above zero."""
    return edges_of(code * QUARTER)[1]
