"""Every line of a batch with what published line rules ask of it: words, sentences, capitals, digits, its end."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.lines import count_sentences, ends_cut, ends_prose, max_lines, next_line
from stages.kernels.tables import DIGIT, HAN, OTHER, SPACE
from stages.kernels.units import unit_end

NO_TERMINAL, FEW_WORDS, ONE_WORD, LONG_WORD, CAPITALS, NUMERIC = (np.int64(1 << bit) for bit in range(6))
"""What is wrong with a line, as bits."""

LINE_COLUMNS = ("doc", "begin", "end", "n_words", "n_sentences", "faults")

MIN_WORDS = 3
"""C4 (arXiv 1910.10683, section 2.2) and MAP-Neo keep lines of so many words."""

MAX_WORD_CHARS = 1000
"""C4's code drops a line with a longer word."""


@njit(cache=True, nogil=True)
def judge_lines(codes, starts, classes, upper, roles):  # type: ignore[no-untyped-def]  # numba infers types
    """Judge every line that is not empty, in order.

    Args: upper, bool (0x110000,), capital letters; roles, uint8 (0x10000,).
    Returns: int64 (n_lines, 6) in the order of LINE_COLUMNS; begin and end are places in codes, of the line with its
    line break; faults are bits.
    """
    n_docs = len(starts) - 1
    n_lines = 0
    for doc in range(n_docs):
        n_lines += max_lines(classes, starts[doc], starts[doc + 1])
    lines = np.empty((n_lines, 6), np.int64)
    sentences = np.empty(2, np.int64)
    n = 0
    for doc in range(n_docs):
        i = starts[doc]
        while i < starts[doc + 1]:
            first, last, following = next_line(codes, classes, i, starts[doc + 1])
            if last > first:
                n_words, faults = _faults(codes, classes, upper, first, last)
                if ends_cut(codes, roles, first, last) or not ends_prose(codes, roles, first, last):
                    faults |= NO_TERMINAL
                count_sentences(codes, classes, first, last, roles, sentences)
                lines[n, 0], lines[n, 1], lines[n, 2] = doc, i, following
                lines[n, 3], lines[n, 4], lines[n, 5] = n_words, sentences[0], faults
                n += 1
            i = following
    return lines[:n]


@njit(cache=True, nogil=True)
def _faults(codes, classes, upper, first, last):  # type: ignore[no-untyped-def]
    """Words of a line, and its faults but for how it ends."""
    n_words = n_upper = n_visible = run = longest = 0
    i = first
    while i < last:
        if classes[i] < DIGIT:
            i += 1
            continue
        n_words += 1
        i = unit_end(codes, classes, i, last)
    numeric = True
    for i in range(first, last):
        kind = classes[i]
        if kind == SPACE or kind >= HAN:
            run = 0
        else:
            run += 1
            longest = max(longest, run)
        if kind != SPACE and kind != OTHER:
            n_visible += 1
            n_upper += upper[codes[i]]
            numeric &= kind == DIGIT
    faults = np.int64(0)
    if n_words < MIN_WORDS:
        faults |= FEW_WORDS
    if n_words < 2:
        faults |= ONE_WORD
    if longest > MAX_WORD_CHARS:
        faults |= LONG_WORD
    if 2 * n_upper > n_visible:
        faults |= CAPITALS
    if numeric:
        faults |= NUMERIC
    return n_words, faults
