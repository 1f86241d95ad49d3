"""Spans: half-open code-point ranges of canonical text, merged to a union and applied once.

Every edit of text is a span with a kind. Applying overlapping spans one after another, to text that is already
shortened, would remove the wrong characters; therefore the spans of a text are first merged, then applied to canonical
text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.errors import StageError

Span = tuple[int, int, str]


def check_spans(spans: pa.ChunkedArray | pa.Array, text: pa.ChunkedArray | pa.Array, where: str) -> None:
    """Check that all spans are non-empty and within their text.

    Args: spans, list<struct<start, end, kind>>, (n_rows,); text, string (n_rows,), the canonical text; where, the
    column that an error names.
    Raises: StageError if a span is empty or extends beyond its text.
    """
    import pyarrow.compute as pc

    lengths = pc.utf8_length(text)
    parents = pc.list_parent_indices(spans)
    if isinstance(spans, pa.ChunkedArray):
        spans = spans.combine_chunks()
    flat = pc.list_flatten(spans)
    start, end = pc.struct_field(flat, "start"), pc.struct_field(flat, "end")
    bad = pc.or_(pc.or_(pc.less(start, 0), pc.less_equal(end, start)), pc.greater(end, lengths.take(parents)))
    if pc.any(bad).as_py():
        first = pc.index(bad, True).as_py()
        row = parents[first].as_py()
        raise StageError(
            f"{where}: row {row} has span [{start[first]}, {end[first]}) in a text of {lengths[row]} characters; "
            "expected 0 <= start < end <= length"
        )


def merge_spans(
    spans: Iterable[Span], replace: Mapping[str, str] | None = None
) -> list[tuple[int, int, str]]:
    """Merge overlapping or touching spans to a union of (start, end, replacement), in order.

    Spans of a kind without an entry in `replace` are deleted. Overlapping spans get the replacement of the span that
    starts first (the longest of those). Touching spans are merged only if both are deleted, so that two adjacent masked
    values result in two placeholders.
    """
    replace = replace or {}
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1], span[2])):
        text = replace.get(kind, "")
        if merged:
            last_start, last_end, last_text = merged[-1]
            if start < last_end or (start == last_end and not text and not last_text):
                merged[-1] = (last_start, max(end, last_end), last_text)
                continue
        merged.append((start, end, text))
    return merged


def apply_spans(text: str, spans: Iterable[Span], replace: Mapping[str, str] | None = None) -> str:
    """Return the text with the union of its spans deleted or replaced."""
    parts, position = [], 0
    for start, end, replacement in merge_spans(spans, replace):
        parts += [text[position:start], replacement]
        position = end
    return "".join([*parts, text[position:]])


def edit_column(
    text: pa.ChunkedArray | pa.Array,
    spans: Iterable[pa.ChunkedArray | pa.Array],
    replace: Mapping[str, str],
    kinds: Iterable[frozenset[str] | None],
) -> pa.Array:
    """Apply the spans of several columns to a text column.

    Args: text, large_string (n_rows,); spans, columns of list<span>, (n_rows,) each, null lists count as empty; kinds,
    for each column the kinds to apply, None for all; replace, kind -> replacement text.
    Returns: large_string (n_rows,).
    """
    import pyarrow.compute as pc

    if isinstance(text, pa.ChunkedArray):
        text = text.combine_chunks()
    per_row: dict[int, list[Span]] = {}
    for column, wanted in zip(spans, kinds, strict=True):
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        parents = pc.list_parent_indices(column).to_pylist()
        for row, span in zip(parents, pc.list_flatten(column).to_pylist(), strict=True):
            if wanted is None or span["kind"] in wanted:
                per_row.setdefault(row, []).append((span["start"], span["end"], span["kind"]))
    if not per_row:
        return text
    rows = sorted(per_row)
    edited = [apply_spans(text[row].as_py(), per_row[row], replace) for row in rows]
    mask = pa.array([row in per_row for row in range(len(text))])
    return pc.replace_with_mask(text, mask, pa.array(edited, pa.large_string()))
