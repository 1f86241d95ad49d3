"""Spans: half-open code-point ranges of canonical text, merged to a union and applied once.

Every edit of text is a span with a kind. Overlapping spans that were applied one after another, to text already
shortened, would remove the wrong characters; therefore the spans of a text are merged first, then applied to the
canonical text.

Where text is deleted, the texts on both sides remain separated: of the blanks and line breaks at both ends of the
deleted range, inside and outside of it, those that separate more are kept, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.errors import StageError
from pipeline.pseudonyms import MARK, pseudonym

Span = tuple[int, int, str]

LINE_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"

FIRST_WIDE = "\u2e80"
"""First character of the scripts of East Asia, which put no blanks between sentences."""

APPLY_VERSION = 2
"""Version of `apply_spans`, which the recipes of edited texts contain."""


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
    """Return the text with the union of its spans deleted or replaced; see merge_spans and separator."""
    merged = _join_deleted(text, merge_spans(spans, replace))
    pieces, position = [], 0
    for i, (start, end, replacement) in enumerate(merged):
        if MARK in replacement:
            replacement = replacement.replace(MARK, pseudonym(text[start:end]))
        if not replacement and not text[start:end].isspace():
            limit = merged[i + 1][0] if i + 1 < len(merged) else len(text)
            replacement, start, end = separator(text, position, start, end, limit)
        pieces += [text[position:start], replacement]
        position = end
    return "".join([*pieces, text[position:]])


def _join_deleted(text: str, merged: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Merge deleted ranges that only blanks and line breaks separate."""
    joined: list[tuple[int, int, str]] = []
    for start, end, replacement in merged:
        if joined and not replacement and not joined[-1][2] and text[joined[-1][1] : start].isspace():
            joined[-1] = (joined[-1][0], end, replacement)
        else:
            joined.append((start, end, replacement))
    return joined


def separator(text: str, low: int, start: int, end: int, high: int) -> tuple[str, int, int]:
    """Return what separates the texts before and after a deleted range, and the range with the blanks around it.

    The blanks at each end of the range form a run, inside and outside of it. An empty line separates more than a line
    break, and that more than a blank; of two equal runs the first is kept, with the indentation of the line that
    follows. A blank on one side only is not kept beside a character of a script without blanks. At the start of the
    text nothing but indentation is kept, at its end a last line break.

    Args: low, high: bounds of the blanks around the range [start, end), which are the ends of neighbouring spans.
    Returns: the separator, start and end of the range that it replaces.
    """
    first, last = start, end
    while first > low and text[first - 1].isspace():
        first -= 1
    while last < high and text[last].isspace():
        last += 1
    inside = text[start:end]
    before = text[first:start] + inside[: len(inside) - len(inside.lstrip())]
    after = inside[len(inside.rstrip()) :] + text[end:last]
    last_break = _last_break(after)
    if last == len(text):
        return (text[-1] if first and _last_break(text[-1]) else ""), first, last
    if first == 0:
        return after[last_break:] if last_break else "", first, last
    breaks = [min(sum(char in LINE_BREAKS for char in run), 2) for run in (before, after)]
    if breaks[1] > breaks[0]:
        return after, first, last
    if breaks[1]:
        return before[: _last_break(before)] + after[last_break:], first, last
    if breaks[0] or (before and after):
        return before, first, last
    joins_wide = text[first - 1 if not before else last] >= FIRST_WIDE
    return "" if joins_wide else before or after, first, last


def _last_break(run: str) -> int:
    """Return one past the last line break of a run, 0 without any."""
    return max(run.rfind(char) for char in LINE_BREAKS) + 1


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
