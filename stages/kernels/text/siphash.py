"""SipHash-2-4 of 64-bit words: a keyed hash that cannot be computed, nor reversed, without the key."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True, inline="always")
def _rotate(word, bits):  # type: ignore[no-untyped-def]  # numba infers types
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@nb.njit(cache=True, nogil=True, inline="always")
def _round(a, b, c, d):  # type: ignore[no-untyped-def]
    a, c = a + b, c + d
    b, d = _rotate(b, 13) ^ a, _rotate(d, 16) ^ c
    a, c = _rotate(a, 32) + d, c + b
    b, d = _rotate(b, 17) ^ c, _rotate(d, 21) ^ a
    return a, b, _rotate(c, 32), d


@nb.njit(cache=True, nogil=True)
def hash_words(words: np.ndarray, low: np.uint64, high: np.uint64) -> np.ndarray:
    """Return SipHash-2-4 of each word, a message of eight bytes in little-endian order.

    Args: words, uint64 (n,); low and high, the halves of the key as little-endian integers.
    Returns: uint64 (n,).
    Source: Aumasson and Bernstein, SipHash: a fast short-input PRF, INDOCRYPT 2012.
    """
    hashed = np.empty(len(words), np.uint64)
    length = np.uint64(8 << 56)
    for i in range(len(words)):
        a, b = low ^ np.uint64(0x736F6D6570736575), high ^ np.uint64(0x646F72616E646F6D)
        c, d = low ^ np.uint64(0x6C7967656E657261), high ^ np.uint64(0x7465646279746573)
        for block in (words[i], length):
            d ^= block
            for _ in range(2):
                a, b, c, d = _round(a, b, c, d)
            a ^= block
        c ^= np.uint64(0xFF)
        for _ in range(4):
            a, b, c, d = _round(a, b, c, d)
        hashed[i] = a ^ b ^ c ^ d
    return hashed
