"""Scripts that texts are written in: what a page and its translation differ in where both are mostly code.

Reads match text; writes counts. A translated page of examples shares its code with the original, nine words of ten, and
no sentence.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.tables import HAN, HANGUL, KANA, LETTER, MARK, UNSPACED

SCRIPTS = (LETTER, HANGUL, HAN, KANA, UNSPACED)
"""Classes of characters that are counted. Latin is not: code, names and terms are written in it in any language."""

MIN_UNITS = 20
"""So many words or ideographs are a sentence or two; fewer may be a name, or a language in a list of them ..."""

MIN_SHARE = 0.02
"""... unless they are a smaller share of the text than this: a line of a site around a page."""

MAX_OTHER = 0.1
"""A translation keeps at most this share of them."""


@nb.njit(cache=True, nogil=True)
def count_scripts(codes: np.ndarray, starts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Count words and single characters of each script.

    Args: codes and starts, of MatchText; table, the character class of every code point.
    Returns: int64 (n_docs, 5), in the order of SCRIPTS.
    """
    counts = np.zeros((len(starts) - 1, UNSPACED - LETTER + 1), np.int64)
    for doc in range(len(counts)):
        before = 0
        for code in codes[starts[doc] : starts[doc + 1]]:
            kind = table[code]
            if kind >= HAN or (kind >= LETTER and kind != before):
                counts[doc, kind - LETTER] += 1
            if kind != MARK:
                before = kind
    return counts


def have_other_scripts(left: np.ndarray, right: np.ndarray, n_units: np.ndarray) -> np.ndarray:
    """Whether the one text of a pair says something in a script that the other hardly uses.

    Args: left and right, int64 (n_pairs, 5), of count_scripts; n_units, int64 (n_pairs,), units of the shorter text.
    Returns: bool (n_pairs,).
    """
    richer, poorer = np.maximum(left, right), np.minimum(left, right)
    least = np.maximum(MIN_UNITS, MIN_SHARE * n_units)[:, None]
    return ((richer >= least) & (poorer <= MAX_OTHER * richer)).any(axis=1)
