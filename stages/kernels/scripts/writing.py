"""Scripts of texts, by which a page of mostly code is distinguished from its translation.

Reads match text; writes counts. A translated page of examples shares its code with the original, nine words in ten, but
no sentence.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.tables import HAN, HANGUL, KANA, LETTER, MARK, UNSPACED

SCRIPTS = (LETTER, HANGUL, HAN, KANA, UNSPACED)
"""Classes of characters that are counted. Latin is not, because code, names and terms in all languages use it."""

MIN_UNITS = 20
"""Least number of words or ideographs, one or two sentences; fewer may be a name, or a language in a list ..."""

MIN_SHARE = 0.02
"""... and least share of the text; fewer may be a line of the site around the page."""

MAX_OTHER = 0.1
"""Greatest share of them that a translation keeps."""


@nb.njit(cache=True, nogil=True)
def count_scripts(codes: np.ndarray, starts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Count words and single characters of each script.

    Args: codes and starts, of MatchText; table, uint8 (0x110000,), the class of every code point.
    Returns: int64 (n_docs, 5), in the order of SCRIPTS.
    """
    counts = np.zeros((len(starts) - 1, UNSPACED - LETTER + 1), np.int64)
    for doc in range(len(counts)):
        previous = 0
        for code in codes[starts[doc] : starts[doc + 1]]:
            char_class = table[code]
            if char_class >= HAN or (char_class >= LETTER and char_class != previous):
                counts[doc, char_class - LETTER] += 1
            if char_class != MARK:
                previous = char_class
    return counts


def have_other_scripts(left: np.ndarray, right: np.ndarray, n_units: np.ndarray) -> np.ndarray:
    """Whether one text of each pair has sentences in a script that the other hardly uses.

    Args: left and right, int64 (n_pairs, 5), from count_scripts; n_units, int64 (n_pairs,), units of the shorter text.
    Returns: bool (n_pairs,).
    """
    richer, poorer = np.maximum(left, right), np.minimum(left, right)
    least = np.maximum(MIN_UNITS, MIN_SHARE * n_units)[:, None]
    return ((richer >= least) & (poorer <= MAX_OTHER * richer)).any(axis=1)
