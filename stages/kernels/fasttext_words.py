"""Words and n-grams of fastText models: cutting text into words, and finding and adding the rows of features.

Plain arrays in, plain arrays out: these run once a word or once an n-gram, where taking an array out of a named
tuple would cost more than the work itself, because numba counts the reference atomically.

Common arguments: data, uint8 text. slots, entries, bounds, kept, ranks, n_words, vectors: see
`fasttext_model.Tables`. rows, n_rows: uint32, rows noted so far, which are added to `hidden` when there is no room
for more; the `note_` functions return how many rows they added and how many are noted now.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.fasttext_model import FNV_START, fnv_step


@njit(cache=True, nogil=True)
def add_rows(vectors, rows, n_rows, hidden):  # type: ignore[no-untyped-def]
    """Add the first n_rows rows to `hidden` one after another, eight of them in one pass over the dimensions.

    That keeps the order of the additions in every dimension and lets the compiler use vector instructions.
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


@njit(cache=True, nogil=True)
def note_ngrams(  # type: ignore[no-untyped-def]
    word, chars, n_chars, minn, maxn, bucket, kept, ranks, n_words, grams, rows, n_rows, vectors, hidden
):
    """Note the rows of a word's character n-grams; `grams` is uint32 space for at least maxn of them.

    In three passes over as many n-grams as there is space for, each a loop that keeps the processor busy: hashes,
    buckets that have a row, rows.
    """
    n_added, first, until = 0, 0, n_chars
    shift = np.uint64(32)
    while np.uint64(2) << (shift - np.uint64(32)) <= np.uint64(bucket):
        shift += np.uint64(1)
    factor = (np.uint64(1) << shift) // np.uint64(bucket)  # at most 2**32, so that products fit
    size = np.uint64(bucket)
    while first < n_chars:
        until = min(n_chars, first + len(grams) // maxn)
        n = _hash_ngrams(word, chars, n_chars, minn, maxn, first, until, grams)
        first = until
        if len(kept) == 0:
            for i in range(np.uint64(n)):
                grams[i] = np.uint64(grams[i]) % size
        else:
            n_found = np.uint64(0)
            for i in range(np.uint64(n)):
                value = np.uint64(grams[i])
                rest = value - ((value * factor) >> shift) * size  # the quotient is at most one too small
                rest -= size if rest >= size else np.uint64(0)
                grams[n_found] = rest
                n_found += (kept[rest >> np.uint64(6)] >> (rest & np.uint64(63))) & np.uint64(1)
            n = np.int64(n_found)
        if n_rows + n > len(rows):
            add_rows(vectors, rows, n_rows, hidden)
            n_added, n_rows = n_added + n_rows, 0
        for i in range(n):
            row, _ = _row(kept, ranks, n_words, np.uint64(grams[i]))
            rows[n_rows + i] = row
        n_rows += n
    return n_added, n_rows


@njit(cache=True, nogil=True)
def _hash_ngrams(word, chars, n_chars, minn, maxn, first, until, out):  # type: ignore[no-untyped-def]
    """Hash the n-grams that begin with the characters first to until - 1, by their first, then their length."""
    n_out = np.uint64(0)
    for begin in range(np.uint64(first), np.uint64(until)):
        value, at = FNV_START, np.uint64(chars[begin])
        longest = min(np.uint64(maxn), np.uint64(n_chars) - begin)
        edge = begin == 0 or begin + np.uint64(1) == np.uint64(n_chars)
        for n in range(np.uint64(1), longest + np.uint64(1)):
            end = np.uint64(chars[begin + n])
            while at < end:
                value = fnv_step(value, word[at])
                at += np.uint64(1)
            out[n_out] = value
            n_out += np.uint64(n >= np.uint64(minn) and not (n == np.uint64(1) and edge))
    return np.int64(n_out)


@njit(cache=True, nogil=True)
def note_word_ngrams(hashes, n_hashes, longest, bucket, kept, ranks, n_words, rows, n_rows, vectors, hidden):  # type: ignore[no-untyped-def]
    """Note the rows of word n-grams; hashes are sign-extended to 64 bits, as the library does."""
    n_added = 0
    for first in range(n_hashes):
        if n_rows > len(rows) - longest:
            add_rows(vectors, rows, n_rows, hidden)
            n_added, n_rows = n_added + n_rows, 0
        value = np.uint64(np.int64(hashes[first]))
        for i in range(first + 1, min(first + longest, n_hashes)):
            value = value * np.uint64(116049371) + np.uint64(np.int64(hashes[i]))
            row, found = _row(kept, ranks, n_words, value % np.uint64(bucket))
            rows[n_rows] = row
            n_rows += found
    return n_added, n_rows


@njit(cache=True, nogil=True)
def split_word(data, start, end, word, chars):  # type: ignore[no-untyped-def]
    """Copy a word between < and >; return its number of characters, of which i is word[chars[i]:chars[i + 1]]."""
    word[0], chars[0] = ord("<"), 0
    n_chars, size = 1, 1
    for i in range(start, end):
        if data[i] & 0xC0 != 0x80:
            chars[n_chars] = size
            n_chars += 1
        word[size] = data[i]
        size += 1
    word[size], chars[n_chars], chars[n_chars + 1] = ord(">"), size, size + 1
    return n_chars + 1


@njit(cache=True, nogil=True)
def _row(kept, ranks, n_words, bucket):  # type: ignore[no-untyped-def]
    """Row of an n-gram's bucket, and whether it has one (1) or lost it to pruning (0).

    Without a branch on the bit, which no processor can predict.
    """
    if len(kept) == 0:
        return n_words + np.int64(bucket), 1
    word, bit = bucket >> np.uint64(6), bucket & np.uint64(63)
    bits = kept[word]
    below = bits & ((np.uint64(1) << bit) - np.uint64(1))
    return n_words + ranks[word] + _count_bits(below), np.int64((bits >> bit) & np.uint64(1))


@njit(cache=True, nogil=True)
def _count_bits(bits):  # type: ignore[no-untyped-def]
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def find_entry(slots, entries, bounds, data, start, end, value):  # type: ignore[no-untyped-def]
    """Entry of the dictionary with these bytes, whose FNV hash is `value`; -1 if there is none."""
    at = np.int64(value) & (len(slots) - 1)
    while slots[at] >= 0:
        entry = slots[at]
        if equal(data, start, end, entries, bounds[entry], bounds[entry + 1]):
            return entry
        at = (at + 1) & (len(slots) - 1)
    return -1


@njit(cache=True, nogil=True)
def next_word(data, at, end):  # type: ignore[no-untyped-def]
    """First and last byte of the next word; both `end` if there is none."""
    while at < end and _is_blank(data[at]):
        at += 1
    start = at
    while at < end and not _is_blank(data[at]):
        at += 1
    return start, at


@njit(cache=True, nogil=True)
def _is_blank(byte):  # type: ignore[no-untyped-def]
    return byte == 0x20 or 0x09 <= byte <= 0x0D or byte == 0


@njit(cache=True, nogil=True)
def equal(a, a_start, a_end, b, b_start, b_end):  # type: ignore[no-untyped-def]
    """Whether a[a_start:a_end] and b[b_start:b_end] are the same bytes."""
    if a_end - a_start != b_end - b_start:
        return False
    for i in range(a_end - a_start):
        if a[a_start + i] != b[b_start + i]:
            return False
    return True
