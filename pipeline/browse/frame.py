"""All documents of a finished build as columns of one table, read when they are first asked for.

Columns come from Parquet sidecars shard by shard and are kept in memory as Arrow; filters run in Polars, which takes
them as they are. Texts are never kept: they are read from their row group when a page shows them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.shard import null_column, read_shard_rows
from pipeline.dataset.sidecars import read_columns, read_sidecar
from pipeline.errors import UsageError
from pipeline.inspect.opened import Finished
from pipeline.names import nearest
from pipeline.schema import CANONICAL, OWNERS
from pipeline.select.verdicts import Decision, Kept, final, outcome_names

DECIDED = ("keep", "rule", "keeper_id", "similarity", "duplicate")
"""Columns of the verdict; `rule` is null for a kept document."""

OPERATORS = ("=", "!=", ">=", "<=", ">", "<", "contains", "null", "not null")
TEXT_OPERATORS = ("=", "!=", "contains", "null", "not null")

SHOWN_VALUES = 60
"""Largest number of values of a column that are listed with their counts."""


class Frame:
    """The documents of a build, numbered from 0 over its shards in their order."""

    def __init__(self, finished: Finished) -> None:
        self.finished, self.store, self.run = finished, finished.store, finished.run
        self.decisions = finished.decisions()
        self.starts = np.cumsum([0, *(d.shard.n_rows for d in self.decisions)])
        self.n_rows = int(self.starts[-1])
        self.loaded: dict[str, pa.ChunkedArray] = {}
        self.lock = threading.RLock()
        self.types = {name: dtype for name, dtype in self.run.column_types().items() if name != "text"}
        for source in self.run.sources:
            for column, field in source.columns.items():
                if "." in column:
                    self.types[column] = pa.string() if str(field).endswith(":string") else pa.float64()
        self.types |= {"keep": pa.bool_(), "rule": pa.string(), "keeper_id": pa.string()}
        self.types |= {"similarity": pa.float32(), "duplicate": pa.string()}

    # Rows

    def place(self, row: int) -> tuple[Decision, int]:
        """The shard of a row, and its row there.

        Raises: UsageError for a number that no document has.
        """
        if not 0 <= row < self.n_rows:
            raise UsageError(f"no row {row}; rows are numbered from 0 to {self.n_rows - 1:,}")
        ordinal = int(np.searchsorted(self.starts, row, "right")) - 1
        return self.decisions[ordinal], row - int(self.starts[ordinal])

    def row_of(self, doc_id: str) -> int:
        """The row of a document.

        Raises: UsageError if the build has none with this id.
        """
        column = self.column("doc_id")
        found = pc.index(column, pa.scalar(doc_id, column.type)).as_py()
        if found < 0:
            raise UsageError(f"no document {doc_id!r} in this build; `bicorpus show` lists some")
        return int(found)

    # Columns

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all documents: (n_rows,).

        Raises: UsageError for a column that the build does not have.
        """
        with self.lock:
            if name not in self.loaded:
                if name in DECIDED:
                    self.load_verdicts()
                elif name in self.types:
                    parts = [self.read_part(decision, name) for decision in self.decisions]
                    self.loaded[name] = joined(parts, self.types[name])
                else:
                    raise UsageError(f"no column {name!r}{nearest(name, self.types)}")
            return self.loaded[name]

    def read_part(self, decision: Decision, name: str) -> pa.ChunkedArray:
        """A column of one shard."""
        shard, recipes = decision.shard, self.finished.session.recipes
        if name in ("rank", "profile"):
            value = pa.scalar(getattr(decision, name), self.types[name])
            return pa.chunked_array([pa.repeat(value, shard.n_rows)])
        if name in CANONICAL.names:
            return self.finished.document_column(shard, name)
        if name.startswith(f"{OWNERS}.") and decision.judged is not None:
            return read_sidecar(self.store, decision.judged, shard, [name.partition(".")[2]])[0]
        refs = {**recipes.refs({name}, shard), **decision.refs}
        if name in recipes.loose({name}, shard) or name.partition(".")[0] not in refs:
            return null_column(self.types[name], shard.n_rows)
        return read_columns(self.store, shard, refs, [name])[name]

    @functools.cached_property
    def rule_names(self) -> np.ndarray:
        """Names of outcomes, to be indexed with the numbers of `outcomes`; the last, None, is for kept documents."""
        layout = self.finished.releasing.layout
        return outcome_names(self.run.select, layout.duplicate, layout.orphan, None)

    def load_verdicts(self) -> None:
        """Load the columns DECIDED, and which drop rules each document fails, in number."""
        kept: list[Kept] = [final(decision, self.store) for decision in self.decisions]
        drops = np.array([rule.action == "drop" for rule in self.run.select], bool)
        self.outcomes = np.concatenate([np.zeros(0, np.int32), *(k.rule for k in kept)])
        self.failed = np.concatenate([np.zeros((len(drops), 0), bool), *(k.failed for k in kept)], axis=1)
        self.n_failed = self.failed[drops].sum(axis=0, dtype=np.int32)
        names = pa.array(self.rule_names[:-1].tolist(), pa.string())
        codes = pa.array(self.outcomes, mask=self.outcomes < 0)
        self.loaded["rule"] = pa.chunked_array([names.take(codes)])
        self.loaded["keep"] = pa.chunked_array([pa.array(self.outcomes == -1)])
        for name in ("keeper_id", "similarity", "duplicate"):
            parts = [pa.chunked_array([getattr(k, name)]) for k in kept]
            self.loaded[name] = joined(parts, self.types[name])

    # Filters

    def series(self, name: str) -> pl.Series:
        """A column as a Polars series; lists and structures are not supported.

        Raises: UsageError for a column of lists or structures.
        """
        if pa.types.is_nested(self.types.get(name, pa.null())):
            raise UsageError(f"{name} is a {self.types[name]}; expected a column of text or numbers")
        return pl.Series(self.column(name))

    def matching(self, wheres: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Rows that pass all conditions, in order: int64 (n,).

        Args: wheres, mappings with `column`, `operator` and `value`; the column `fails` names a rule, whichever rule
        dropped the document.
        Raises: UsageError for an unknown column, operator or value.
        """
        chosen = np.ones(self.n_rows, bool)
        for where in wheres:
            chosen &= self.passes(str(where.get("column")), str(where.get("operator")), where.get("value"))
        return np.flatnonzero(chosen)

    def passes(self, column: str, operator: str, value: Any) -> np.ndarray:
        """Which rows pass one condition: bool (n_rows,). Null passes `null` and `!=` only."""
        if operator not in OPERATORS:
            raise UsageError(f"operator {operator!r}; expected one of {', '.join(OPERATORS)}")
        if column == "fails":
            self.column("rule")
            names = [rule.name for rule in self.run.select]
            if value not in names:
                raise UsageError(f"no rule {value!r}{nearest(str(value), names)}")
            return self.failed[names.index(value)]
        series = self.series(column)
        if operator in ("null", "not null"):
            mask = series.is_null() if operator == "null" else series.is_not_null()
            return np.asarray(mask.to_numpy())
        if operator == "contains":
            found = series.cast(pl.String).str.contains(str(value), literal=True)
            return np.asarray(found.fill_null(False).to_numpy())
        typed = typed_value(value, self.types[column], column)
        compare = {
            "=": series.__eq__, "!=": series.ne_missing, ">=": series.__ge__, "<=": series.__le__,
            ">": series.__gt__, "<": series.__lt__,
        }  # fmt: skip
        return np.asarray(compare[operator](typed).fill_null(False).to_numpy())

    def values(self, column: str, rows: np.ndarray | None) -> list[tuple[Any, int]]:
        """The most frequent values of a column among some rows, with their counts; all rows for None."""
        series = self.series(column)
        if rows is not None and len(rows) < self.n_rows:
            series = series.gather(rows)
        counts = series.value_counts(sort=True).head(SHOWN_VALUES)
        return [(value, int(n)) for value, n in counts.iter_rows()]

    def sorted_rows(self, rows: np.ndarray, column: str, descending: bool) -> np.ndarray:
        """Rows in the order of a column, null last, ties by row."""
        order = self.series(column).gather(rows).arg_sort(descending=descending, nulls_last=True)
        return rows[order.to_numpy()]

    def take(self, rows: Sequence[int], columns: Iterable[str]) -> list[dict[str, Any]]:
        """Values of some rows, as JSON can hold them."""
        index = pa.array(list(rows), pa.int64())
        table = pa.table({name: self.column(name).take(index) for name in columns})
        return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]

    # Text

    def texts(self, rows: Iterable[int]) -> Iterator[tuple[int, str]]:
        """(row, canonical text) of some rows, in row order; every text that the explorer shows is read here."""
        for numbers, texts in self.text_groups(np.array(sorted(set(rows)), np.int64)):
            yield from zip(numbers.tolist(), texts.to_pylist(), strict=True)

    def text_groups(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, pa.ChunkedArray]]:
        """(rows, their texts) of each row group that has some of the rows. Args: rows, ascending."""
        for i, decision in enumerate(self.decisions):
            low, high = np.searchsorted(rows, self.starts[i : i + 2])
            if low == high:
                continue
            local = rows[low:high] - self.starts[i]
            wanted = np.zeros(decision.shard.n_rows, bool)
            wanted[local] = True
            for start, batch in read_shard_rows(self.store, decision.shard, ["text"], wanted):
                here = np.flatnonzero(wanted[start : start + batch.num_rows])
                yield here + start + int(self.starts[i]), batch["text"].take(pa.array(here))


def joined(parts: Sequence[pa.ChunkedArray], dtype: pa.DataType) -> pa.ChunkedArray:
    """Parts of a column as one."""
    return pa.chunked_array([chunk.cast(dtype) for part in parts for chunk in part.chunks], dtype)


def typed_value(value: Any, dtype: pa.DataType, column: str) -> Any:
    """A value to compare with a column.

    Raises: UsageError if it cannot be one.
    """
    try:
        if pa.types.is_boolean(dtype):
            return {"true": True, "false": False}[str(value).lower()]
        if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
            number = float(value)
            return float(np.float32(number)) if dtype == pa.float32() else number
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{column}: {value!r} is no value of dtype {dtype}") from error
    return str(value)


def plain(value: Any) -> Any:
    """A value for JSON: floats without NaN, hashes in hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return float(f"{value:.7g}") if np.isfinite(value) else None
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)
