"""Counts over the characters of one text."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.tables import DIGIT, HAN, LATIN, MARK, NEWLINE, PUNCT, SPACE, SYMBOL, UNSPACED

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
    "n_braces",
    "bracketed_chars",
    "n_post_marks",
    "max_run_chars",
    "n_broken_chars",
)

EMOJI, EMOJI_END = 0x1F300, 0x1FB00
"""Pictographs: the blocks from Miscellaneous Symbols and Pictographs to Symbols and Pictographs Extended-A."""

REPLACEMENT, PRIVATE, PRIVATE_END = 0xFFFD, 0xE000, 0xF900
"""What a failed decoding leaves: U+FFFD, and private characters that some tables of GBK and Big5 give."""


@njit(cache=True, nogil=True)
def count_chars(codes, classes, start, end, window, last_seen, counts):  # type: ignore[no-untyped-def]
    """Count visible characters by class, distinct ones by window, and marks that name a kind of text.

    Args: window, visible characters in a window; last_seen, int64 (0x110000,), -1 at first, kept from text to
    text of one batch. Writes counts, int64, in the order of CHAR_COUNTS. Windows follow one another; an
    incomplete last one counts only in a text without a complete one. Bracketed characters stand between lenticular
    brackets of one line. Post marks are pictographs, and # and @ that open a word. Broken characters stand for what
    could not be decoded.
    """
    by_class = np.zeros(UNSPACED + 1, np.int64)
    n_hash_marks = n_visible = n_windows = distinct = distinct_here = 0
    n_braces = n_bracketed = n_marks = n_broken = longest = 0
    opened = -1  # characters since the last opening bracket, -1 outside
    window_start = run_start = start
    for i in range(start, end):
        kind = classes[i]
        by_class[kind] += 1
        if kind < PUNCT:
            if kind == SPACE or kind == NEWLINE:
                longest = max(longest, i - run_start)
                run_start = i + 1
                if kind == NEWLINE:
                    opened = -1
            continue
        code = codes[i]
        n_visible += 1
        distinct_here += last_seen[code] < window_start
        last_seen[code] = i
        if n_visible % window == 0:
            n_windows += 1
            distinct += distinct_here
            distinct_here = 0
            window_start = i + 1
        if opened >= 0:
            opened += 1
        if kind >= HAN:
            longest = max(longest, i - run_start)
            run_start = i + 1
        elif kind == PUNCT:
            if code == 0x23 or code == 0xFF03:
                n_hash_marks += 1
                n_marks += _opens_word(classes, i, start, end)
            elif code == 0x40 or code == 0xFF20:
                n_marks += _opens_word(classes, i, start, end)
            elif code == 0x7B or code == 0x7D:
                n_braces += 1
            elif code == 0x3010:
                opened = 0
            elif code == 0x3011 and opened > 0:
                n_bracketed += opened - 1
                opened = -1
        elif kind == SYMBOL:
            n_marks += EMOJI <= code < EMOJI_END
            n_broken += code == REPLACEMENT or PRIVATE <= code < PRIVATE_END
    counts[0], counts[1], counts[2], counts[3] = n_visible, by_class[PUNCT], by_class[SYMBOL], by_class[DIGIT]
    counts[4], counts[5], counts[6] = by_class[MARK] + by_class[LATIN:].sum(), by_class[HAN], n_hash_marks
    counts[7] = n_windows * window if n_windows else n_visible
    counts[8] = distinct if n_windows else distinct_here
    counts[9], counts[10], counts[11] = n_braces, n_bracketed, n_marks
    counts[12], counts[13] = max(longest, end - run_start), n_broken


@njit(cache=True, nogil=True)
def _opens_word(classes, i, start, end):  # type: ignore[no-untyped-def]
    """Whether the mark at i stands before a letter, and not behind one of a script with blanks, as in C# or a@b."""
    before = i == start or classes[i - 1] < DIGIT or classes[i - 1] >= HAN
    return before and i + 1 < end and classes[i + 1] >= LATIN
