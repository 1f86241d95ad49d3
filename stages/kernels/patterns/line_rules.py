"""Properties of lines used by published line rules: words, sentences, capitals, digits and the end of the line."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.lines import count_sentences, ends_cut, ends_prose, max_lines, next_line
from stages.kernels.text.tables import DIGIT, HAN, OTHER, SPACE
from stages.kernels.text.units import unit_end

NO_TERMINAL, FEW_WORDS, ONE_WORD, LONG_WORD, CAPITALS, NUMERIC = (np.int64(1 << bit) for bit in range(6))
"""Faults of a line, as bits; CAPITALS is set if most characters are capitals, NUMERIC if all are digits."""

LINE_COLUMNS = ("doc", "begin", "end", "n_words", "n_sentences", "faults")

MIN_WORDS = 3
"""Least number of words of a line kept by C4 (arXiv 1910.10683, section 2.2) and MAP-Neo."""

MAX_WORD_CHARS = 1000
"""Greatest length of a word of a line kept by the code of C4."""


@njit(cache=True, nogil=True)
def judge_lines(
    codes: np.ndarray, starts: np.ndarray, classes: np.ndarray, upper: np.ndarray, roles: np.ndarray
) -> np.ndarray:
    """Measure every line that is not empty, in order.

    Args: codes, starts, classes, of the view; upper, bool (0x110000,), capital letters; roles, uint8 (0x10000,), see
    `kernels.text.lines`.
    Returns: int64 (n_lines, 6), in the order of LINE_COLUMNS; begin and end are positions in codes and include the line
    break; faults are bits.
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
def _faults(codes, classes, upper, first, last):  # type: ignore[no-untyped-def]  # numba infers types
    """Return the number of words of a line and its faults, except NO_TERMINAL."""
    n_words = n_upper = n_visible = word_length = longest = 0
    i = first
    while i < last:
        if classes[i] < DIGIT:
            i += 1
            continue
        n_words += 1
        i = unit_end(codes, classes, i, last)
    numeric = True
    for i in range(first, last):
        char_class = classes[i]
        if char_class == SPACE or char_class >= HAN:
            word_length = 0
        else:
            word_length += 1
            longest = max(longest, word_length)
        if char_class != SPACE and char_class != OTHER:
            n_visible += 1
            n_upper += upper[codes[i]]
            numeric &= char_class == DIGIT
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
