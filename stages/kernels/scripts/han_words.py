"""Words of one or two Han characters that a language written in them has and others lack, counted in documents."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.text import TextView

N_KINDS = 4
"""Values of marks: 0 for characters that are no word of any kind."""


def count_words(text: TextView, docs: np.ndarray, marks: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Count marked characters and pairs of characters of some documents.

    Args: docs, int64 (n,), indices of documents; marks, uint8 (0x110000,), below N_KINDS, the kind of a character that
    is a word; pairs, uint64 (n_pairs,), sorted, words of two characters as first << 32 | second.
    Returns: int64 (n, N_KINDS), pairs count as kind 1.
    """
    counts = np.zeros((len(docs), N_KINDS), np.int64)
    _count_words(text.codes, text.starts, docs, marks, pairs, counts)
    return counts


@njit(cache=True, nogil=True)
def _count_words(codes, starts, docs, marks, pairs, counts):  # type: ignore[no-untyped-def]  # numba infers types
    for i in range(len(docs)):
        before = np.uint64(0)
        for code in codes[starts[docs[i]] : starts[docs[i] + 1]]:
            counts[i, marks[code]] += 1
            if before >= 0x3400 and code >= 0x3400 and len(pairs):
                pair = before << np.uint64(32) | np.uint64(code)
                at = np.searchsorted(pairs, pair)
                counts[i, 1] += at < len(pairs) and pairs[at] == pair
            before = np.uint64(code)
