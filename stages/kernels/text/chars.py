"""Counts over the characters of one text."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.tables import DIGIT, HAN, LATIN, MARK, NEWLINE, PUNCT, SPACE, SYMBOL, UNSPACED

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
"""Results of failed decoding: U+FFFD, and private characters to which some tables of GBK and Big5 map bytes."""


@njit(cache=True, nogil=True)
def count_chars(codes, classes, start, end, window, last_seen, counts):  # type: ignore[no-untyped-def]
    """Count visible characters by class, distinct ones by window, and marks typical of certain genres.

    Windows do not overlap; an incomplete last window counts only in a text without a complete one. Bracketed characters
    are those between lenticular brackets within a line. Post marks are pictographs, and # and @ at the beginning of a
    word. Broken characters are the results of failed decoding.

    Args: codes, classes, of the view; start, end, of the text in codes; window, visible characters per window;
    last_seen, int64 (0x110000,), -1 at first, passed on from text to text of a batch. Writes counts, int64 (14,), in
    the order of CHAR_COUNTS.
    """
    by_class = np.zeros(UNSPACED + 1, np.int64)
    n_hash_marks = n_visible = n_windows = distinct = distinct_here = 0
    n_braces = n_bracketed = n_marks = n_broken = longest = 0
    opened = -1  # characters since the latest opening bracket, -1 outside
    window_start = run_start = start
    for i in range(start, end):
        char_class = classes[i]
        by_class[char_class] += 1
        if char_class < PUNCT:
            if char_class == SPACE or char_class == NEWLINE:
                longest = max(longest, i - run_start)
                run_start = i + 1
                if char_class == NEWLINE:
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
        if char_class >= HAN:
            longest = max(longest, i - run_start)
            run_start = i + 1
        elif char_class == PUNCT:
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
        elif char_class == SYMBOL:
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
    """Whether the mark at i precedes a letter and does not follow a letter or digit of a spaced script, as in a@b."""
    begins = i == start or classes[i - 1] < DIGIT or classes[i - 1] >= HAN
    return begins and i + 1 < end and classes[i + 1] >= LATIN
