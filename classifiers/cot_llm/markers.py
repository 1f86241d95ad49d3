"""Segments by their markers, the first and last words of each, found in the text that they were copied from; or by
paragraphs.

Models change blanks, quotation marks and mark-up when they copy; so only letters, digits and ideographs are compared,
in lower case and in plain width.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from classifiers.llm.ways import Fault

SEGMENT_CHARS = {"en": 2400, "zh": 900}
"""Characters of a segment where the markers say nothing: some 600 tokens."""
_EMPTY_LINE, _LINE = re.compile(r"\n[^\S\n]*\n\s*"), re.compile(r"\n\s*")
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


def divide(text: str, size: int, most: int) -> list[Segment]:
    """Divide a text at empty lines, where there are none at line ends, into parts of about `size` characters.

    Args: most, number of parts, which are larger where the text is longer.
    Returns: segments without blanks around them, in order.
    """
    size = max(size, len(text) // most + 1)
    edges = [match.end() for match in _EMPTY_LINE.finditer(text)] or [m.end() for m in _LINE.finditer(text)]
    segments, start = list[Segment](), 0
    for edge, following in pairwise([*edges, len(text), len(text) + size]):
        if (following - start > size and len(segments) < most - 1) or edge == len(text):
            part = text[start:edge]
            begin = start + len(part) - len(part.lstrip())
            if part.strip():
                segments.append(Segment(begin, start + len(part.rstrip())))
            start = edge
    return segments


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
