"""Marks of worked solutions at the positions that `stages.cot.scan` found.

Takes the decoded view of a batch. Patterns are matched at these positions only, so that a document without marks
costs one scan of its characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from stages.kernels.patterns.furniture import match_lines
from stages.kernels.text.tables import load_tables

WINDOW_CHARS = 72  # text passed to a pattern, enough for the longest mark: a header with a remark in brackets


class Mark(NamedTuple):
    """One mark in a document. begin: offset of its decorations; start, end: of its word; in code points."""

    begin: int
    start: int
    end: int
    role: str


def read_marks(
    codes: np.ndarray, starts: np.ndarray, places: np.ndarray, patterns: Mapping[str, re.Pattern[str]]
) -> Iterator[tuple[int, list[Mark]]]:
    """Match the patterns of marks at the positions found.

    Args: codes, uint32 (n_codes,); starts, int64 (n_docs + 1,); places, int64 (n_places, 3), of `find_places`;
    patterns, by the first character of their heads.
    Yields: index of a text and its marks in order, for texts with marks.
    """
    if not len(places):
        return
    fold = load_tables().fold
    doc, begin, word = places.T
    slash = (word > starts[doc]) & (codes[np.maximum(word - 1, 0)] == ord("/"))  # of a closing tag
    word = word - slash
    ends = np.minimum(word + WINDOW_CHARS, starts[doc + 1])
    text = match_lines(codes, fold, np.stack([doc, word, ends], 1)).tobytes().decode("utf-32-le")
    cuts = np.cumsum(ends - word).tolist()
    marks: list[Mark] = []
    current = -1
    firsts, words = (begin - starts[doc]).tolist(), (word - starts[doc]).tolist()
    for number, first, start, cut, limit in zip(
        doc.tolist(), firsts, words, [0, *cuts[:-1]], cuts, strict=True
    ):
        if number != current:
            if marks:
                yield current, marks
            marks, current = [], number
        char = text[cut]
        match = patterns[text[cut + 1] if char == "/" else char].match(text, cut, limit)
        if match and match.lastgroup:
            marks.append(Mark(first, start, start + match.end() - cut, match.lastgroup))
    if marks:
        yield current, marks


def match_text(codes: np.ndarray, start: int, end: int) -> str:
    """Return codes[start:end] as a string of match characters, of the same length; codes, uint32 (n_codes,)."""
    return match_lines(codes, load_tables().fold, np.array([[0, start, end]])).tobytes().decode("utf-32-le")


class Written:
    """A text as written, of which only the parts asked for become strings. codes: uint32 (n_codes,)."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes

    def part(self, start: int, end: int) -> str:
        """Return the text in a range of code points."""
        return self.codes[start:end].tobytes().decode("utf-32-le")
