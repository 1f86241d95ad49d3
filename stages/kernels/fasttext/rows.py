"""Rows of fastText models: the row of an n-gram bucket, and the sum of rows."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, forceinline=True)
def row_of(kept, ranks, n_words, bucket):  # type: ignore[no-untyped-def]
    """Return the row of an n-gram bucket, and 1 if it has one or 0 if it was pruned.

    There is no branch on the bit, which would be mispredicted.

    Args: kept, ranks and n_words, of `fasttext_model.Tables`; bucket, uint64.
    """
    if len(kept) == 0:
        return n_words + np.int64(bucket), 1
    word, bit = bucket >> np.uint64(6), bucket & np.uint64(63)
    bits = kept[word]
    below = bits & ((np.uint64(1) << bit) - np.uint64(1))
    return n_words + ranks[word] + count_bits(below), np.int64((bits >> bit) & np.uint64(1))


@njit(cache=True, nogil=True, forceinline=True)
def count_bits(bits):  # type: ignore[no-untyped-def]
    """Count the bits that are set; the compiler recognises the pattern."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True, forceinline=True)
def add_rows(vectors, rows, n_rows, hidden):  # type: ignore[no-untyped-def]
    """Add the first n_rows rows to `hidden` one after another, eight of them in one pass over the dimensions.

    This keeps the order of the additions in every dimension and lets the compiler vectorise them.

    Args: vectors, float32 (n, dim); rows, uint32, at least n_rows; hidden, float32 (dim,), changed in place.
    """
    whole = n_rows // 8 * 8
    for i in range(0, whole, 8):
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        e, f, g, h = rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7]
        for j in range(np.uint64(len(hidden))):
            total = hidden[j] + vectors[a, j] + vectors[b, j] + vectors[c, j] + vectors[d, j]
            hidden[j] = total + vectors[e, j] + vectors[f, j] + vectors[g, j] + vectors[h, j]
    for i in range(whole, n_rows):
        for j in range(np.uint64(len(hidden))):
            hidden[j] += vectors[rows[i], j]
