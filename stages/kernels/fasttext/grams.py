"""Character n-grams of fastText models: their hashes, their buckets, and the rows of those that have one.

A word is split into characters of up to four bytes, one integer each. The n-grams that begin at many characters are
then hashed together, length by length, in loops that the compiler vectorises. Only the n-grams kept by pruning are
looked up one by one, in the order of the library. See `fasttext_words` for the common arguments.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.fasttext.model import FNV_START, fnv_step
from stages.kernels.fasttext.rows import add_rows, row_of

_N_STARTS = 256
"""Characters whose n-grams are hashed at once."""
_LANES = 16
"""The number of starts is rounded up to a multiple of this, the vector length; the excess is not used."""


@njit(cache=True, nogil=True)
def make_space(maxn):  # type: ignore[no-untyped-def]
    """Allocate uint32 memory for `note_ngrams`: values (running hashes), grams (hashes, then buckets), found (kept)."""
    size = _N_STARTS * max(maxn, 1)
    return np.empty(_N_STARTS, np.uint32), np.empty(size, np.uint32), np.empty(size + 1, np.uint32)


@njit(cache=True, nogil=True, forceinline=True)
def split_word(data, start, end, chars):  # type: ignore[no-untyped-def]
    """Write the characters of a word between < and >, first byte lowest; return the number of characters."""
    count, shift, char = np.uint64(0), np.uint32(0), np.uint32(ord("<"))
    chars[count] = char
    for i in range(np.uint64(start), np.uint64(end)):
        byte = np.uint32(data[i])
        begins = (byte & np.uint32(0xC0)) != np.uint32(0x80)
        shift = np.uint32(0) if begins else np.uint32((shift + np.uint32(8)) & np.uint32(31))
        char = np.uint32((np.uint32(0) if begins else char) | np.uint32(byte << shift))
        count += np.uint64(begins)
        chars[count] = char
    chars[count + np.uint64(1)] = ord(">")
    return np.int64(count) + 2


@njit(cache=True, nogil=True, forceinline=True)
def _hash_ngrams(chars, at, count, longest, values, grams):  # type: ignore[no-untyped-def]
    """Hash the n-grams of 1 to `longest` characters that begin with characters at to at + count - 1.

    grams[n * _N_STARTS + i] is the hash of the n + 1 characters from at + i on.
    """
    for i in range(count):
        values[i] = FNV_START
    for n in range(np.uint64(longest)):
        _append(chars, np.uint64(at) + n, count, values)
        first = n * np.uint64(_N_STARTS)
        for i in range(count):
            grams[first + i] = values[i]


@njit(cache=True, nogil=True, forceinline=True)
def _append(chars, first, count, values):  # type: ignore[no-untyped-def]
    """Extend hash i by character first + i; steps for all four bytes are computed, those of missing bytes discarded."""
    for i in range(count):
        char, value = chars[first + i], values[i]
        value = fnv_step(value, char)
        value = fnv_step(value, char >> np.uint32(8)) if char > np.uint32(0xFF) else value
        value = fnv_step(value, char >> np.uint32(16)) if char > np.uint32(0xFFFF) else value
        value = fnv_step(value, char >> np.uint32(24)) if char > np.uint32(0xFFFFFF) else value
        values[i] = value


@njit(cache=True, nogil=True, forceinline=True)
def _take_modulus(grams, first, count, size, factor, shift):  # type: ignore[no-untyped-def]
    """Replace hashes by their buckets, the remainders modulo size; see `reciprocal`."""
    for i in range(np.uint64(first), np.uint64(first) + np.uint64(count)):
        value = np.uint64(grams[i])
        remainder = value - ((value * factor) >> shift) * size
        grams[i] = remainder - size if remainder >= size else remainder


@njit(cache=True, nogil=True, forceinline=True)
def _find_kept(grams, at, count, n_chars, minn, maxn, kept, found):  # type: ignore[no-untyped-def]
    """Write the buckets that have a row to `found`, by first character, then by length; return their number.

    There is no branch on the conditions of single n-grams: inside the word, not an edge alone, kept.
    """
    n_found, all_kept = np.uint64(0), np.uint64(len(kept) == 0)
    for i in range(np.uint64(count)):
        left = np.uint64(n_chars - at) - i
        inner = np.uint64(left > 1) & np.uint64(np.uint64(at) + i > 0)
        for n in range(np.uint64(max(minn, 1)), np.uint64(maxn) + np.uint64(1)):
            bucket = np.uint64(grams[(n - np.uint64(1)) * np.uint64(_N_STARTS) + i])
            found[n_found] = bucket
            bits = all_kept if all_kept else kept[bucket >> np.uint64(6)] >> (bucket & np.uint64(63))
            n_found += bits & np.uint64(n <= left) & (np.uint64(n > 1) | inner)
    return np.int64(n_found)


@njit(cache=True, nogil=True, forceinline=True)
def note_ngrams(  # type: ignore[no-untyped-def]
    chars, n_chars, minn, maxn, bucket, factor, shift, kept, ranks, n_words, values, grams, found,
    rows, n_rows, vectors, hidden,
):  # fmt: skip
    """Collect the rows of a word's character n-grams; factor and shift from `reciprocal`, memory from `make_space`."""
    n_added = 0
    for at in range(0, n_chars, _N_STARTS):
        count = min(_N_STARTS, n_chars - at)
        padded = np.uint64(-(-count // _LANES) * _LANES)
        _hash_ngrams(chars, at, padded, maxn, values, grams)
        for n in range(max(minn, 1), maxn + 1):
            _take_modulus(grams, (n - 1) * _N_STARTS, padded, np.uint64(bucket), factor, shift)
        n_found = _find_kept(grams, at, count, n_chars, minn, maxn, kept, found)
        if n_rows + n_found > len(rows):
            add_rows(vectors, rows, n_rows, hidden)
            n_added, n_rows = n_added + n_rows, 0
        for i in range(np.uint64(n_found)):
            row, _ = row_of(kept, ranks, n_words, np.uint64(found[i]))
            rows[np.uint64(n_rows) + i] = row
        n_rows += n_found
    return n_added, n_rows


@njit(cache=True, nogil=True, forceinline=True)
def reciprocal(bucket):  # type: ignore[no-untyped-def]
    """Return factor and shift such that (value * factor) >> shift is value // bucket or one less for 32-bit values."""
    shift = np.uint64(32)
    while np.uint64(2) << (shift - np.uint64(32)) <= np.uint64(bucket):
        shift += np.uint64(1)
    return (np.uint64(1) << shift) // np.uint64(bucket), shift  # at most 2**32, so that products fit
