"""Markers of segments: the first and last words of each, found in the text that they were copied from.

Models change blanks, quotation marks and mark-up when they copy; so only letters, digits and ideographs are compared,
in lower case and in plain width.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from classifiers.llm.ways import Fault

LEAST = 4
"""Characters from which a marker is one; shorter ones occur everywhere."""


class Segment(NamedTuple):
    """A part of a text: half-open range of code points."""

    start: int
    end: int


class Index(NamedTuple):
    """The characters of a text that are compared, and for each its position in the text, and the text's length."""

    text: str
    positions: list[int]


def index_of(text: str) -> Index:
    """The letters, digits and ideographs of a text, folded, with their positions."""
    letters, positions = [], []
    for position, char in enumerate(text):
        if not char.isalnum():
            continue
        for folded in unicodedata.normalize("NFKC", char).casefold():
            if folded.isalnum():
                letters.append(folded)
                positions.append(position)
    return Index("".join(letters), positions)


def find_segments(
    text: str, markers: Sequence[tuple[str, str]], min_chars: int
) -> tuple[list[Segment], list[Fault]]:
    """Find segments by their markers, each behind the one before it.

    A marker that occurs only before the end of the segment before it is out of order; a segment shorter than min_chars
    is no part of its own. The rest of the sentence's punctuation after an end marker belongs to the segment.

    Args: markers, (start, end) of each segment, in order.
    Returns: the segments found, and for each other one a fault with its number.
    """
    index, segments, faults, at = index_of(text), list[Segment](), list[Fault](), 0
    for number, (start, end) in enumerate(markers):
        found = _find(index, index_of(start).text, index_of(end).text, at)
        if isinstance(found, str):
            faults.append(Fault(found, (end if found.startswith("end") else start)[:40], number))
            continue
        first, last = found
        segment = Segment(index.positions[first], _sentence_end(text, index.positions[last - 1] + 1))
        if segment.end - segment.start < min_chars:
            faults.append(Fault("short_segment", start[:40], number))
            continue
        segments.append(segment)
        at = last
    return segments, faults


def _find(index: Index, start: str, end: str, at: int) -> tuple[int, int] | str:
    """Range of a segment among the characters of an index, or the reason why there is none."""
    if len(start) < LEAST or len(end) < LEAST:
        return "short_marker"
    first = index.text.find(start, at)
    if first < 0:
        return "start_order" if start in index.text else "start_missing"
    last = index.text.find(end, first)
    while 0 <= last and last + len(end) < first + len(start):
        last = index.text.find(end, last + 1)
    if last < 0:
        return "end_order" if end in index.text else "end_missing"
    return first, last + len(end)


def _sentence_end(text: str, end: int) -> int:
    """The end of a segment behind the marks that follow its last letter on the line."""
    while end < len(text) and not text[end].isspace() and not text[end].isalnum():
        end += 1
    return end
