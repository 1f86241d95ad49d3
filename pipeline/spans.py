"""Spans: half-open code-point ranges of canonical text, merged as a union and applied once.

Every edit of text is a span with a kind. Applying spans one after another to already shortened text removes
the wrong characters as soon as two overlap, so a text's spans are first merged, then applied to canonical text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.errors import StageError

Span = tuple[int, int, str]


def check_spans(spans: pa.ChunkedArray | pa.Array, text: pa.ChunkedArray | pa.Array, where: str) -> None:
    """Raise StageError if a span of a row lies outside its text or is empty.

    Args: spans, list<struct<start, end, kind>>, one list per row; text, the canonical text of those rows.
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
    """Merge overlapping or touching ranges into a union of (start, end, replacement).

    Deletion and replacement: a kind without an entry in `replace` is deleted. Where ranges overlap, the merged
    range keeps the replacement of the span that starts first (the longest of those); touching ranges with
    different replacements stay apart, so that two masked values side by side give two placeholders.
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
    """Apply the spans of several columns to a text column: the edited view of a batch.

    Args: text, large_string; spans, list<span> columns aligned with it (null lists count as empty); kinds, for
    each of them the kinds to apply, None for all; replace, kind -> replacement text.
    Returns: large_string; rows without spans are not copied one by one.
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
