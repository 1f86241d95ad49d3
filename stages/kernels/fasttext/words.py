"""Words of fastText models: splitting text into words, caching words, and the rows of word n-grams.

These functions run once per word, so they are inlined (`forceinline`) and take and return plain arrays: an array taken
from a named tuple or passed to a call can cost more than the work itself, because numba counts references atomically.

Common arguments: data, uint8 text. octets, uint64: data[i : i + 8] as a little-endian number. slots, entries, bounds,
kept, ranks, n_words, vectors: see `fasttext_model.Tables`. rows, n_rows: uint32, rows collected so far, which are added
to `hidden` when there is no room for more; the `note_` functions return the number of rows they added and the number of
rows collected now.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.fasttext.rows import add_rows, count_bits, row_of


@njit(cache=True, nogil=True, forceinline=True)
def note_word_ngrams(hashes, n_hashes, longest, bucket, kept, ranks, n_words, rows, n_rows, vectors, hidden):  # type: ignore[no-untyped-def]
    """Collect the rows of word n-grams; hashes are sign-extended to 64 bits, as in the library."""
    n_added = 0
    for first in range(n_hashes):
        if n_rows > len(rows) - longest:
            add_rows(vectors, rows, n_rows, hidden)
            n_added, n_rows = n_added + n_rows, 0
        value = np.uint64(np.int64(hashes[first]))
        for i in range(first + 1, min(first + longest, n_hashes)):
            value = value * np.uint64(116049371) + np.uint64(np.int64(hashes[i]))
            row, has_row = row_of(kept, ranks, n_words, value % np.uint64(bucket))
            rows[n_rows] = row
            n_rows += has_row
    return n_added, n_rows


@njit(cache=True, nogil=True, forceinline=True)
def find_entry(slots, entries, bounds, data, start, end, value):  # type: ignore[no-untyped-def]
    """Return the dictionary entry with these bytes, whose FNV hash is `value`; -1 if there is none."""
    at = np.int64(value) & (len(slots) - 1)
    while slots[at] >= 0:
        entry = slots[at]
        if equal(data, start, end, entries, bounds[entry], bounds[entry + 1]):
            return entry
        at = (at + 1) & (len(slots) - 1)
    return -1


@njit(cache=True, nogil=True, forceinline=True)
def next_word(data, octets, at, end):  # type: ignore[no-untyped-def]
    """Return start and end of the next word; both are `end` if there is none."""
    while at < end and _is_blank(data[at]):
        at += 1
    start = at
    while at < end and not _is_blank(data[at]):
        at += 1
        n_above = 8  # to the next byte that may be a blank, eight at a time
        while n_above == 8 and at + 8 <= end:
            n_above = _count_above(octets[at])
            at += n_above
    return start, at


@njit(cache=True, nogil=True, forceinline=True)
def _count_above(eight):  # type: ignore[no-untyped-def]
    """Count the bytes, from the lowest of eight on, before the first one below 0x21."""
    below = (eight - np.uint64(0x2121212121212121)) & ~eight & np.uint64(0x8080808080808080)
    return count_bits((below - np.uint64(1)) & ~below) >> 3


@njit(cache=True, nogil=True, forceinline=True)
def _is_blank(byte):  # type: ignore[no-untyped-def]
    return byte == 0x20 or 0x09 <= byte <= 0x0D or byte == 0


@njit(cache=True, nogil=True, forceinline=True)
def word_key(octets, start, end):  # type: ignore[no-untyped-def]
    """Return the 1 to 16 bytes of a word as two numbers, unique to the word, because words contain no NUL."""
    n_bits, ones = np.uint64(8) * np.uint64(end - start), ~np.uint64(0)
    if n_bits <= np.uint64(64):
        return octets[start] & (ones >> (np.uint64(64) - n_bits)), np.uint64(0)
    return octets[start], octets[start + 8] & (ones >> (np.uint64(128) - n_bits))


@njit(cache=True, nogil=True, forceinline=True)
def word_slot(key, rest, n_slots):  # type: ignore[no-untyped-def]
    """Hash the bytes of a word to one of n_slots, a power of two up to 2**24; the odd multipliers are arbitrary."""
    hashed = (key ^ (rest * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return (hashed >> np.uint64(40)) & np.uint64(n_slots - 1)


@njit(cache=True, nogil=True, forceinline=True)
def equal(a, a_start, a_end, b, b_start, b_end):  # type: ignore[no-untyped-def]
    """Whether a[a_start:a_end] and b[b_start:b_end] are the same bytes."""
    if a_end - a_start != b_end - b_start:
        return False
    for i in range(a_end - a_start):
        if a[a_start + i] != b[b_start + i]:
            return False
    return True
