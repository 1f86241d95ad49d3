"""Views of a text: spans replaced or removed, and whole texts converted, as in a release."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.run_file import Conversion, Edits
from pipeline.dataset.shard import Columns
from pipeline.recipe import digest
from pipeline.schema import SPAN, SPANS
from pipeline.spans import edit_column

_CONVERTERS: dict[str, Callable[[pa.Table], pa.Array]] = {}
"""Loaded conversions of this process, by module and config."""


def converter(conversion: Conversion) -> Callable[[pa.Table], pa.Array]:
    """Return the function of a batch that converts its texts, loaded once per process; see stage.Convert.load."""
    key = digest([conversion.module, conversion.config])
    if key not in _CONVERTERS:
        _CONVERTERS[key] = conversion.definition.load(conversion.config)
    return _CONVERTERS[key]


def view_text(view: Edits, columns: Columns) -> pa.Array:
    """Apply a view to the text of a batch: its spans, trims in rows that fail their rule, then the conversion.

    Args: columns, by name: `text` and view.columns().
    Returns: large_string (n_rows,).
    """
    spans, kinds = _view_columns(view, columns)
    text = edit_column(columns["text"], spans, view.replace, kinds)
    if view.convert is None:
        return text
    return converter(view.convert)(
        pa.table({"text": text, **{c: columns[c] for c in view.convert.definition.reads}})
    )


def edit_spans(view: Edits, columns: Columns) -> pa.Array:
    """The spans that a view applies to each row of a batch, by start: SPANS (n_rows,), without nulls."""
    tables = [_flat_spans(*pair) for pair in zip(*_view_columns(view, columns), strict=True)]
    table = pa.concat_tables([_NO_SPANS, *tables])
    order = pc.sort_indices(table, [(name, "ascending") for name in ("row", "start", "end", "kind")])
    table = table.take(order).combine_chunks()
    n_rows = len(columns["text"])
    offsets = np.searchsorted(table["row"].to_numpy(), np.arange(n_rows + 1))
    columns_ = [table[field.name].combine_chunks() for field in SPAN]
    spans = pa.StructArray.from_arrays(columns_, fields=list(SPAN))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), spans)


_NO_SPANS = pa.schema([pa.field("row", pa.int64()), *SPAN]).empty_table()


def _flat_spans(column: pa.ChunkedArray, kinds: frozenset[str] | None) -> pa.Table:
    """One row of _NO_SPANS for each span of a column, or for each of these kinds."""
    lists = column.combine_chunks()
    rows, flat = pc.list_parent_indices(lists).cast(pa.int64()), pc.list_flatten(lists)
    table = pa.table([rows, *(flat.field(field.name) for field in SPAN)], schema=_NO_SPANS.schema)
    return (
        table
        if kinds is None
        else table.filter(pc.is_in(table["kind"], pa.array(sorted(kinds), pa.string())))
    )


def _view_columns(view: Edits, columns: Columns) -> tuple[list[pa.ChunkedArray], list[frozenset[str] | None]]:
    """Span columns, and the kinds that apply of each (None for all); trims are null where their rule passes."""
    spans: list[pa.ChunkedArray] = [columns[name] for name, _ in view.spans]
    kinds = [None if k is None else frozenset(k) for _, k in view.spans]
    for rule in view.trims:
        failing = pa.array(rule.fails(columns))
        for name, trim_kinds in rule.trim:
            trimmed = pc.if_else(failing, columns[name].combine_chunks(), pa.scalar(None, SPANS))
            spans.append(pa.chunked_array([trimmed]))
            kinds.append(None if trim_kinds is None else frozenset(trim_kinds))
    return spans, kinds
