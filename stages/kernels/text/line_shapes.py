"""Forms of single lines: headings, table rows, time codes, turns of a speaker, links to read more.

A line is given by start and end of its visible part in codes (`kernels.text.lines.next_line`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from stages.kernels.text.tables import DIGIT, LATIN, MARK, SPACE

MAX_LABEL_CHARS = 24
"""Greatest length of a speaker's name before a colon."""

MIN_RULE_CHARS = 4
"""Least length of a row of equal signs that underlines the heading above it."""


def ending_table(endings: Sequence[str]) -> np.ndarray:
    """Build the table for `ends_with`: uint32 (n_endings, longest), characters in reverse order, then 0."""
    table = np.zeros((len(endings), max(map(len, endings))), np.uint32)
    for row, text in enumerate(endings):
        table[row, : len(text)] = [ord(char) for char in reversed(text)]
    return table


@njit(cache=True, nogil=True)
def ends_with(codes, fold, first, last, endings):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Whether a line ends in one of the endings, compared in match characters."""
    code = codes[last - 1]
    folded = fold[code] if fold[code] else code
    for row in range(len(endings)):
        if endings[row, 0] != folded:
            continue
        n = 1
        while n < endings.shape[1] and endings[row, n] and last - 1 - n >= first:
            previous = codes[last - 1 - n]
            if endings[row, n] != (fold[previous] if fold[previous] else previous):
                break
            n += 1
        if n == endings.shape[1] or endings[row, n] == 0:
            return True
    return False


@njit(cache=True, nogil=True)
def is_heading(codes, classes, first, last):  # type: ignore[no-untyped-def]
    """Whether a line is a Markdown heading or the rule under one: a row of = - ~ or ^."""
    code = codes[first]
    if code == 0x23:
        i = first
        while i < last and codes[i] == 0x23:
            i += 1
        return i - first <= 6 and i < last and classes[i] == SPACE
    if last - first < MIN_RULE_CHARS or not (code == 0x3D or code == 0x2D or code == 0x7E or code == 0x5E):
        return False
    for i in range(first, last):
        if codes[i] != code:
            return False
    return True


@njit(cache=True, nogil=True)
def is_cue(codes, classes, first, last):  # type: ignore[no-untyped-def]
    """Whether a line has a time code: 00:01:02,345 --> 00:01:04,567 of SubRip and WebVTT, [01:02.34] of lyrics."""
    if last - first < 7:
        return False
    if classes[first] == DIGIT and classes[first + 1] == DIGIT and codes[first + 2] == 0x3A:
        for i in range(first + 5, last - 2):
            if codes[i] == 0x2D and codes[i + 1] == 0x2D and codes[i + 2] == 0x3E:
                return True
    return (
        codes[first] == 0x5B
        and classes[first + 1] == DIGIT
        and classes[first + 2] == DIGIT
        and codes[first + 3] == 0x3A
        and classes[first + 4] == DIGIT
    )


@njit(cache=True, nogil=True, inline="always")
def parts_cells(code):  # type: ignore[no-untyped-def]
    """Whether a character may separate the cells of a table row."""
    return code == 0x7C or code == 0x09 or code == 0x2C or code == 0xFF5C or code == 0x2502


@njit(cache=True, nogil=True)
def separators(codes, classes, first, last):  # type: ignore[no-untyped-def]
    """Count the cell separators of a line: at least two bars, else tabs, else at least two commas without blanks."""
    n_bars = n_tabs = n_commas = 0
    comma_before_blank = False
    for i in range(first, last):
        code = codes[i]
        if code == 0x7C or code == 0xFF5C or code == 0x2502:
            n_bars += 1
        elif code == 0x09:
            n_tabs += 1
        elif code == 0x2C:
            n_commas += 1
            comma_before_blank |= i + 1 == last or classes[i + 1] == SPACE
    if n_bars >= 2:
        return np.int64(n_bars)
    if n_tabs:
        return np.int64(n_tabs)
    return np.int64(0 if comma_before_blank or n_commas < 2 else n_commas)


@njit(cache=True, nogil=True)
def label_end(codes, classes, first, last):  # type: ignore[no-untyped-def]
    """Return the end of a name before a colon at the start of a line, as in plays and chats; first if there is none."""
    if classes[first] < LATIN:
        return first
    for i in range(first + 1, min(first + MAX_LABEL_CHARS, last - 1)):
        code = codes[i]
        if code == 0xFF1A or (code == 0x3A and classes[i + 1] == SPACE):
            return i
        if classes[i] < MARK and classes[i] != SPACE and code != 0x2E and code != 0xB7:
            return first
    return first
