"""Which lines of a text are code: there match text keeps operators and brackets, which in code are what is said.

Reads the text view; writes one flag per line. A line is judged by itself, by the lines beside it and by the fence
around it, so that an edit changes what is around it and no more: a lost fence never turns prose into code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.code_signs import (
    EMPTY,
    LIKELY,
    PLAIN,
    SURE,
    judge,
    load_heard,
    load_line_bits,
    load_symbols,
    mark_signs,
)
from stages.kernels.tables import LATIN, NEWLINE, SPACE
from stages.kernels.text import TextView


class CodeLines(NamedTuple):
    """Lines of a batch.

    is_code: bool (n_lines,). ends: int64 (n_lines,), before the line break or with the document. starts: int64
    (n_docs + 1,), the first line of each document.
    """

    is_code: np.ndarray
    ends: np.ndarray
    starts: np.ndarray


class _Last:
    """The lines of the last view: language and match text of a batch share them."""

    entry: tuple[TextView, CodeLines] | None = None


def find_code(text: TextView) -> CodeLines:
    """Judge every line of a batch."""
    last = _Last.entry
    if last is not None and last[0] is text:
        return last[1]
    lines = judge_code(text)
    _Last.entry = (text, lines)
    return lines


def judge_code(text: TextView) -> CodeLines:
    """Judge every line of a batch that is not asked for again: as `find_code`, whose last result stays."""
    lines = CodeLines(*_find_code(*text, load_symbols(), load_line_bits(), load_heard()))
    for array in lines:
        array.setflags(write=False)  # shared: a change by one stage would reach the others
    return lines


@njit(cache=True, nogil=True)
def _find_code(codes, starts, classes, symbols, line_bits, heard):  # type: ignore[no-untyped-def]  # numba infers types
    n_lines = len(starts) - 1
    for kind in classes:
        n_lines += kind == NEWLINE
    kinds, inside = np.empty(n_lines, np.uint8), np.zeros(n_lines, np.bool_)
    ends = np.empty(n_lines, np.int64)
    line_starts = np.empty(len(starts), np.int64)
    longest = 0
    for doc in range(len(starts) - 1):
        longest = max(longest, starts[doc + 1] - starts[doc])
    # room for a document, which stays in the cache
    marks, firsts = np.empty(longest + 1, np.int64), np.empty(longest + 2, np.int64)
    skipped = np.empty((longest, 2), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        line_starts[doc] = n
        at, end, fenced, formula = starts[doc], starts[doc + 1], False, False
        lines = mark_signs(codes, line_bits, heard, at, end, marks, ends[n:], firsts)
        for line in range(lines):
            stop, low, high = ends[n], firsts[line], firsts[line + 1]
            text = at
            while text < stop and classes[text] <= SPACE:
                text += 1
            kind = PLAIN
            if text == stop:
                kind = EMPTY
                formula = False  # TeX has no blank line inside a displayed formula
            elif is_fence(codes, classes, at, stop):
                fenced = not fenced or _is_named(classes, at, stop)
            elif low < high:  # without a sign there is nothing to judge
                if _is_dollars(codes, classes, at, stop):
                    formula = not formula
                elif not formula:
                    kind = judge(codes, classes, symbols, line_bits, marks, low, high, at, stop, skipped)
            kinds[n], inside[n] = kind, fenced
            n += 1
            at = stop + 1
        _settle(kinds, inside, line_starts[doc], n)
    line_starts[len(starts) - 1] = n
    return inside, ends, line_starts


@njit(cache=True, nogil=True)
def _settle(kinds, inside, low, high):  # type: ignore[no-untyped-def]
    """Turn what lines are by themselves, and whether a fence is around them, into whether they are code."""
    before = EMPTY
    for line in range(low, high):
        own = kinds[line]
        if own == EMPTY:
            inside[line] = False
            continue
        if own == LIKELY and not inside[line] and before != SURE:
            after = line + 1
            while after < high and kinds[after] == EMPTY:
                after += 1
            inside[line] = after < high and kinds[after] == SURE
        else:
            inside[line] = own == SURE or own == LIKELY
        before = own


@njit(cache=True, nogil=True)
def is_fence(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line begins or ends a fenced code block of Markdown: blanks, then three backticks or tildes."""
    while at < end and classes[at] == SPACE:
        at += 1
    first = codes[at] if at + 3 <= end else 0
    return (first == ord("`") or first == ord("~")) and codes[at + 1] == first and codes[at + 2] == first


@njit(cache=True, nogil=True)
def _is_named(classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a fence names a language, as only the first of a block may."""
    for i in range(at, end):
        if classes[i] == LATIN:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_dollars(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line is the two dollar signs around a displayed formula."""
    n = 0
    for i in range(at, end):
        if codes[i] == ord("$"):
            n += 1
        elif classes[i] != SPACE:
            return False
    return n == 2
