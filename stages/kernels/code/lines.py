"""Which lines of a text are code: in code lines, operators and brackets are significant and kept in match text.

Reads the text view; writes one flag per line. A line is classified by its own signs, by its neighbours and by the fence
around it, so an edit affects only lines near it: a missing fence never turns prose into code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.code.signs import (
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
from stages.kernels.text.tables import LATIN, NEWLINE, SPACE
from stages.kernels.text.text import TextView


class CodeLines(NamedTuple):
    """Lines of a batch.

    is_code: bool (n_lines,), whether each line is code. ends: int64 (n_lines,), end of each line in codes, before its
    line break. starts: int64 (n_docs + 1,), index of the first line of each document.
    """

    is_code: np.ndarray
    ends: np.ndarray
    starts: np.ndarray


class _Last:
    """Cache of one entry, the lines of the latest view: language and match text of a batch share them."""

    entry: tuple[TextView, CodeLines] | None = None


def find_code(text: TextView) -> CodeLines:
    """Return the lines of a batch; the result for the latest view is cached. The arrays are read-only."""
    last = _Last.entry
    if last is not None and last[0] is text:
        return last[1]
    lines = judge_code(text)
    _Last.entry = (text, lines)
    return lines


def judge_code(text: TextView) -> CodeLines:
    """Return the lines of a batch as `find_code` does, without reading or replacing its cached result."""
    lines = CodeLines(*_find_code(*text, load_symbols(), load_line_bits(), load_heard()))
    for array in lines:
        array.setflags(write=False)  # shared by stages
    return lines


@njit(cache=True, nogil=True)
def _find_code(codes, starts, classes, symbols, line_bits, heard):  # type: ignore[no-untyped-def]  # numba infers types
    n_lines = len(starts) - 1
    for char_class in classes:
        n_lines += char_class == NEWLINE
    verdicts, is_code = np.empty(n_lines, np.uint8), np.zeros(n_lines, np.bool_)
    ends = np.empty(n_lines, np.int64)
    line_starts = np.empty(len(starts), np.int64)
    longest = 0
    for doc in range(len(starts) - 1):
        longest = max(longest, starts[doc + 1] - starts[doc])
    # scratch memory for one document, small enough for the processor's cache
    marks, firsts = np.empty(longest + 1, np.int64), np.empty(longest + 2, np.int64)
    skipped = np.empty((longest, 2), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        line_starts[doc] = n
        at, end, in_fence, in_formula = starts[doc], starts[doc + 1], False, False
        n_doc_lines = mark_signs(codes, line_bits, heard, at, end, marks, ends[n:], firsts)
        for line in range(n_doc_lines):
            stop, low, high = ends[n], firsts[line], firsts[line + 1]
            text_start = at
            while text_start < stop and classes[text_start] <= SPACE:
                text_start += 1
            verdict = PLAIN
            if text_start == stop:
                verdict = EMPTY
                in_formula = False  # TeX has no blank line inside a displayed formula
            elif is_fence(codes, classes, at, stop):
                in_fence = not in_fence or _is_named(classes, at, stop)
            elif low < high:  # a line without signs is prose
                if _is_dollars(codes, classes, at, stop):
                    in_formula = not in_formula
                elif not in_formula:
                    verdict = judge(codes, classes, symbols, line_bits, marks, low, high, at, stop, skipped)
            verdicts[n], is_code[n] = verdict, in_fence
            n += 1
            at = stop + 1
        _settle(verdicts, is_code, line_starts[doc], n)
    line_starts[len(starts) - 1] = n
    return is_code, ends, line_starts


@njit(cache=True, nogil=True)
def _settle(verdicts, is_code, low, high):  # type: ignore[no-untyped-def]
    """Decide which lines are code.

    Args: verdicts, uint8 (n_lines,), of each line by itself; is_code, bool (n_lines,), whether a fence is around each
    line, replaced by whether it is code; low, high, lines of one document.
    """
    before = EMPTY
    for line in range(low, high):
        verdict = verdicts[line]
        if verdict == EMPTY:
            is_code[line] = False
            continue
        if verdict == LIKELY and not is_code[line] and before != SURE:
            after = line + 1
            while after < high and verdicts[after] == EMPTY:
                after += 1
            is_code[line] = after < high and verdicts[after] == SURE
        else:
            is_code[line] = verdict == SURE or verdict == LIKELY
        before = verdict


@njit(cache=True, nogil=True)
def is_fence(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line begins or ends a fenced code block of Markdown: blanks, then three backticks or tildes."""
    while at < end and classes[at] == SPACE:
        at += 1
    first = codes[at] if at + 3 <= end else 0
    return (first == ord("`") or first == ord("~")) and codes[at + 1] == first and codes[at + 2] == first


@njit(cache=True, nogil=True)
def _is_named(classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a fence names a language, which only an opening fence may do."""
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
