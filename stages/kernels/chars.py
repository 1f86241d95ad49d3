"""Counts over the characters of one text."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.tables import DIGIT, HAN, LATIN, MARK, PUNCT, SYMBOL, UNSPACED

CHAR_COUNTS = (
    "n_visible",
    "n_punct",
    "n_symbols",
    "n_digits",
    "n_letters",
    "n_han",
    "n_hash_marks",
    "window_chars",
    "window_distinct_chars",
)


@njit(cache=True, nogil=True)
def count_chars(codes, classes, start, end, window, last_seen, counts):  # type: ignore[no-untyped-def]
    """Count visible characters by class, and distinct ones by window.

    Args: window, visible characters in a window; last_seen, int64 (0x110000,), -1 at first, kept from text to
    text of one batch. Writes counts, int64, in the order of CHAR_COUNTS. Windows follow one another; an
    incomplete last one counts only in a text without a complete one.
    """
    by_class = np.zeros(UNSPACED + 1, np.int64)
    n_hash_marks = n_visible = n_windows = distinct = distinct_here = 0
    window_start = start
    for i in range(start, end):
        by_class[classes[i]] += 1
        if classes[i] < PUNCT:
            continue
        code = codes[i]
        n_visible += 1
        n_hash_marks += code == 0x23 or code == 0xFF03
        distinct_here += last_seen[code] < window_start
        last_seen[code] = i
        if n_visible % window == 0:
            n_windows += 1
            distinct += distinct_here
            distinct_here = 0
            window_start = i + 1
    counts[0], counts[1], counts[2], counts[3] = n_visible, by_class[PUNCT], by_class[SYMBOL], by_class[DIGIT]
    counts[4], counts[5], counts[6] = by_class[MARK] + by_class[LATIN:].sum(), by_class[HAN], n_hash_marks
    counts[7] = n_windows * window if n_windows else n_visible
    counts[8] = distinct if n_windows else distinct_here
