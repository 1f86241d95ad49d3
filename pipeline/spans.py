"""Spans: half-open code-point ranges of canonical text, merged to a union and applied once.

Every edit of text is a span with a kind. Overlapping spans that were applied one after another, to text already
shortened, would remove the wrong characters; therefore the spans of a text are merged first, then applied to the
canonical text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.errors import StageError

Span = tuple[int, int, str]


def check_spans(spans: pa.ChunkedArray | pa.Array, text: pa.ChunkedArray | pa.Array, where: str) -> None:
    """Check that all spans are non-empty and within their text.

    Args: spans, list<struct<start, end, kind>> (n_rows,), in characters; text, string (n_rows,), the canonical text;
    where, the column that an error names.
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
        index = pc.index(bad, True).as_py()
        row = parents[index].as_py()
        raise StageError(
            f"{where}: row {row} has span [{start[index]}, {end[index]}) in a text of {lengths[row]} characters; "
            "expected 0 <= start < end <= length"
        )


def merge_spans(
    spans: Iterable[Span], replace: Mapping[str, str] | None = None
) -> list[tuple[int, int, str]]:
    """Return the union of spans as (start, end, replacement), sorted; overlapping or adjacent spans are merged.

    Spans of a kind without an entry in `replace` are deleted. Overlapping spans get the replacement of the span that
    starts first (the longest of several). Adjacent spans are merged only if both are deleted, so that two adjacent
    masked values result in two placeholders.

    Args: spans, (start, end, kind) in characters; replace, kind -> replacement text.
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
    """Return the text with the union of its spans deleted or replaced; see merge_spans."""
    pieces, position = [], 0
    for start, end, replacement in merge_spans(spans, replace):
        pieces += [text[position:start], replacement]
        position = end
    return "".join([*pieces, text[position:]])


def edit_column(
    text: pa.ChunkedArray | pa.Array,
    spans: Iterable[pa.ChunkedArray | pa.Array],
    replace: Mapping[str, str],
    kinds: Iterable[frozenset[str] | None],
) -> pa.Array:
    """Return a text column with the spans of several columns applied.

    Args: text, large_string (n_rows,); spans, columns of list<span> (n_rows,), null lists count as empty; replace,
    kind -> replacement text; kinds, for each column the kinds to apply, None for all.
    Returns: large_string (n_rows,).
    """
    import pyarrow.compute as pc

    if isinstance(text, pa.ChunkedArray):
        text = text.combine_chunks()
    per_row: dict[int, list[Span]] = {}
    for column, selected in zip(spans, kinds, strict=True):
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        parents = pc.list_parent_indices(column).to_pylist()
        for row, span in zip(parents, pc.list_flatten(column).to_pylist(), strict=True):
            if selected is None or span["kind"] in selected:
                per_row.setdefault(row, []).append((span["start"], span["end"], span["kind"]))
    if not per_row:
        return text
    rows = sorted(per_row)
    edited = [apply_spans(text[row].as_py(), per_row[row], replace) for row in rows]
    mask = pa.array([row in per_row for row in range(len(text))])
    return pc.replace_with_mask(text, mask, pa.array(edited, pa.large_string()))
