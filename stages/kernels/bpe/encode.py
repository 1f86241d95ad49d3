"""Tokens of documents: pieces of the pattern, cut where no token reaches across, counted once and remembered.

A merge can join two characters only if some token holds the end of one and the beginning of the other. A piece is
therefore cut between all other characters, which leaves of Chinese text runs of one or two characters, and what
remains occurs again and again: tokens of the last pieces of at most SHORT bytes are remembered with the bytes
themselves, so that a hash that collides costs time and never changes a result."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.bpe.automaton import SEEN_FOREIGN, SEEN_UNSTABLE
from stages.kernels.bpe.merges import SHORT, Merges, merge_short, merge_window
from stages.kernels.bpe.splits import DROPPED, Splits, code_at, next_piece

BY_LIBRARY, TO_NORMALISE = -1, -2
"""In place of a document's count: what the kernel leaves to the library, and what may not be in form NFC."""

WAYS, MEMO_IDS = 4, 8
"""Pieces that share a place of the memory, and tokens of a piece that it holds."""

MEMO_ROWS = 1 << 16
"""Pieces that are remembered, of 64 bytes each."""

N_WORDS = 8
"""Words of a remembered piece: its bytes (3), length | tokens << 8, and the tokens (4), two a word."""

BITMAP_BITS = 22

SET_BITS = (MEMO_ROWS // WAYS).bit_length() - 1
ONE, ONES = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
ODD_A, ODD_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
BYTE, HALF = np.uint64(0xFF), np.uint64(0xFFFFFFFF)


class Joints(NamedTuple):
    """Where a token may reach from one character into the next.

    pairs: uint64 (2**BITMAP_BITS / 64,), bits at the hashes of two characters that some token holds one after the
    other. into, out_of: uint8 (0x110000,), groups of the bytes that follow the character, or come before it, in some
    token that ends, or begins, within another character. groups: uint8 (256,), the bit of each byte's group."""

    pairs: np.ndarray
    into: np.ndarray
    out_of: np.ndarray
    groups: np.ndarray


class Wholes(NamedTuple):
    """Texts that are one token only if they are a whole piece, or that are cut out before the pattern is applied.

    table: int64 (n_buckets + 1,), range of each bucket, whose number is a hash of the first two bytes; starts: int64
    (n + 1,), of each text in data, longest first in a bucket; data: uint8; ids: int64 (n,), -1 for one that stays text.
    """

    table: np.ndarray
    starts: np.ndarray
    data: np.ndarray
    ids: np.ndarray


class Model(NamedTuple):
    """All that the kernel knows of a tokenizer. whole: tokens that merges do not lead to; added: cut out first."""

    splits: Splits
    merges: Merges
    joints: Joints
    whole: Wholes
    added: Wholes


def new_memo() -> np.ndarray:
    """An empty memory of pieces: uint64 (MEMO_ROWS * N_WORDS,)."""
    return np.zeros(MEMO_ROWS * N_WORDS, np.uint64)


@njit(cache=True, nogil=True)
def encode_documents(data, offsets, model, memo, with_added, stop, out, counts):  # type: ignore[no-untyped-def]
    """Tokenise documents.

    Args: data, uint8, UTF-8; offsets, int64 (n_docs + 1,); memo, of `new_memo`, which changes; with_added, whether
    added tokens are cut out; stop, whether a text that may not be in form NFC is left out; out, int32, room for the
    tokens, one a byte, or empty if they are only counted.
    Writes: out, tokens of all documents one after another; counts, int64 (n_docs,), tokens of each, or BY_LIBRARY or
    TO_NORMALISE, which have no tokens in `out`.
    Returns: number of tokens.
    """
    splits, merges, joints, whole, added = model
    ids, ranks = np.empty(SHORT, np.int64), np.empty(SHORT, np.uint64)
    ends = np.empty(len(splits.starts) + 1, np.int64)
    leave = DROPPED | SEEN_FOREIGN | (SEEN_UNSTABLE if stop else 0)
    wanted, n = len(out) > 0, np.int64(0)
    for doc in range(len(offsets) - 1):
        first, at, end, flags = n, np.int64(offsets[doc]), np.int64(offsets[doc + 1]), 0
        while at < end and flags == 0:
            text_end, after, token = end, end, np.int64(-1)
            if with_added:
                text_end, after, token = _next_added(data, at, end, added)
            for level in range(len(ends)):
                ends[level] = at
            ends[0] = text_end
            while at < text_end:
                for level in range(len(ends) - 1):
                    if ends[level + 1] == at:
                        ends[level + 1], seen = next_piece(data, at, ends[level], level, splits)
                        flags |= seen & leave
                piece_end = ends[len(ends) - 1]
                if flags:
                    break
                if len(whole.ids):
                    single, _ = find_whole(data, at, piece_end, True, whole)
                    if single >= 0:
                        if wanted:
                            out[n] = single
                        n, at = n + 1, piece_end
                while at < piece_end:
                    part_end = piece_end
                    if piece_end - at > SHORT or (piece_end - at > 2 and data[np.uint64(at + 1)] >= 0x80):
                        part_end = _next_cut(data, at, piece_end, joints)
                    length = part_end - at
                    if length > SHORT:
                        n = _encode_long(data, at, part_end, merges, out, n)
                        at = part_end
                        continue
                    a, b, c = _words(data, at, length)
                    place = _place(a, b, c, length)
                    row = _find(memo, place, a, b, c, length)
                    if row < 0 or (wanted and (memo[np.uint64(row + 3)] >> np.uint64(8)) > MEMO_IDS):
                        count = merge_short(data, at, part_end, merges, ids, ranks)
                        _remember(memo, place, a, b, c, length, count, ids)
                        if wanted:
                            for i in range(count):
                                out[n + i] = ids[i]
                        n += count
                    else:
                        known = np.int64(memo[np.uint64(row + 3)] >> np.uint64(8))
                        if wanted:
                            for i in range(known):
                                pair = memo[np.uint64(row + 4 + (i >> 1))]
                                out[n + i] = np.int64(pair >> np.uint64(32 * (i & 1)) & HALF)
                        n += known
                    at = part_end
            if token >= 0:
                if wanted:
                    out[n] = token
                n += 1
            at = after
        counts[doc] = n - first
        if flags:
            counts[doc] = BY_LIBRARY if flags & (DROPPED | SEEN_FOREIGN) else TO_NORMALISE
            n = first
    return n


@njit(cache=True, nogil=True, inline="always")
def _next_cut(data, start, end, joints):  # type: ignore[no-untyped-def]
    """Return where the first character begins that no token joins to the one before, or the end."""
    left, step = code_at(data, start)
    i = start + step
    while i < end:
        right, step = code_at(data, i)
        bit = joint_bit(left, right)
        joined = np.int64(joints.pairs[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1))
        joined |= joints.into[np.uint64(left)] & joints.groups[data[np.uint64(i)]]
        joined |= joints.out_of[np.uint64(right)] & joints.groups[data[np.uint64(i - 1)]]
        if joined == 0:
            break
        left = right
        i += step
    return min(i, end)


@njit(cache=True, nogil=True, inline="always")
def joint_bit(left, right):  # type: ignore[no-untyped-def]
    """Bit of two characters in Joints.pairs."""
    key = (np.uint64(left) << np.uint64(21) | np.uint64(right)) * ODD_A
    return key >> np.uint64(64 - BITMAP_BITS)


@njit(cache=True, nogil=True, inline="always")
def _words(data, start, length):  # type: ignore[no-untyped-def]
    """Up to SHORT bytes as three numbers, missing ones 0."""
    a, b, c = np.uint64(0), np.uint64(0), np.uint64(0)
    i = np.uint64(start)
    if start + SHORT <= len(data):
        a, b, c = _word(data, i), _word(data, i + np.uint64(8)), _word(data, i + np.uint64(16))
        if length < 8:
            a &= ONES >> np.uint64(64 - 8 * length)
        if length < 16:
            b &= ONES >> np.uint64(128 - 8 * length) if length > 8 else np.uint64(0)
        if length < 24:
            c &= ONES >> np.uint64(192 - 8 * length) if length > 16 else np.uint64(0)
    else:
        for j in range(length):
            byte = np.uint64(data[i + np.uint64(j)]) << np.uint64(8 * (j & 7))
            if j < 8:
                a |= byte
            elif j < 16:
                b |= byte
            else:
                c |= byte
    return a, b, c


@njit(cache=True, nogil=True, inline="always")
def _word(data, i):  # type: ignore[no-untyped-def]
    """Eight bytes, which the compiler reads at once."""
    low = np.uint64(data[i]) | np.uint64(data[i + ONE]) << np.uint64(8)
    low |= np.uint64(data[i + np.uint64(2)]) << np.uint64(16) | np.uint64(
        data[i + np.uint64(3)]
    ) << np.uint64(24)
    high = np.uint64(data[i + np.uint64(4)]) | np.uint64(data[i + np.uint64(5)]) << np.uint64(8)
    high |= np.uint64(data[i + np.uint64(6)]) << np.uint64(16) | np.uint64(
        data[i + np.uint64(7)]
    ) << np.uint64(24)
    return low | high << np.uint64(32)


@njit(cache=True, nogil=True, inline="always")
def _place(a, b, c, length):  # type: ignore[no-untyped-def]
    """First word of the WAYS rows in which a piece may be remembered."""
    key = (a ^ np.uint64(length)) * ODD_A ^ (b ^ (c ^ ODD_B) * ODD_B) * ODD_A
    return np.int64(
        ((key ^ key >> np.uint64(29)) * ODD_B >> np.uint64(64 - SET_BITS)) * np.uint64(WAYS * N_WORDS)
    )


@njit(cache=True, nogil=True, inline="always")
def _find(memo, place, a, b, c, length):  # type: ignore[no-untyped-def]
    """First word of the row that holds a piece, or -1."""
    found = np.int64(-1)
    for way in range(WAYS):
        row = np.uint64(place + way * N_WORDS)
        if memo[row] == a and memo[row + ONE] == b and memo[row + np.uint64(2)] == c:
            if memo[row + np.uint64(3)] & BYTE == np.uint64(length):
                found = np.int64(row)
                break
    return found


@njit(cache=True, nogil=True)
def _remember(memo, place, a, b, c, length, count, ids):  # type: ignore[no-untyped-def]
    """Write a piece to the first of its rows, and those that were there to the next ones."""
    for i in range(place + WAYS * N_WORDS - 1, place + N_WORDS - 1, -1):
        memo[i] = memo[i - N_WORDS]
    memo[place], memo[place + 1], memo[place + 2] = a, b, c
    memo[place + 3] = np.uint64(length) | np.uint64(count) << np.uint64(8)
    for i in range(4, N_WORDS):
        memo[place + i] = 0
    for i in range(min(count, MEMO_IDS)):
        memo[place + 4 + (i >> 1)] |= np.uint64(ids[i]) << np.uint64(32 * (i & 1))


@njit(cache=True, nogil=True)
def _encode_long(data, start, end, merges, out, n):  # type: ignore[no-untyped-def]
    """Tokenise a long part in windows, or whole where two windows have no token in common."""
    window = merges.window[0]
    size = min(window, end - start)
    ids, ends = np.empty(size, np.int32), np.empty(size, np.int32)
    next_ids, next_ends = np.empty(size, np.int32), np.empty(size, np.int32)
    first, begin, done = n, start, start
    count = merge_window(data, begin, begin + size, merges, ids, ends)
    while begin + size < end:
        i, j = count - 1, 0
        while i > 0 and ends[i - 1] > size - (size >> 2):
            i -= 1
        following = begin + (ends[i - 1] if i else 0)
        next_size = min(window, end - following)
        next_count = merge_window(data, following, following + next_size, merges, next_ids, next_ends)
        while i < count and j < next_count:  # the first token in common, by its two ends
            here = begin + (ends[i - 1] if i else 0)
            there = following + (next_ends[j - 1] if j else 0)
            if here == there and begin + ends[i] == following + next_ends[j]:
                break
            if here <= there:
                i += 1
            if there <= here:
                j += 1
        if i == count or j == next_count or following == begin or begin + ends[i] <= done:
            size = end - start
            ids, ends = np.empty(size, np.int32), np.empty(size, np.int32)
            n, begin, done = first, start, start
            count = merge_window(data, start, end, merges, ids, ends)
            break
        n = _put(ids, ends, 0, i + 1, begin, done, out, n)
        done = begin + ends[i]
        begin, size, count = following, next_size, next_count
        ids, next_ids = next_ids, ids
        ends, next_ends = next_ends, ends
    return _put(ids, ends, 0, count, begin, done, out, n)


@njit(cache=True, nogil=True)
def _put(ids, ends, i, count, begin, done, out, n):  # type: ignore[no-untyped-def]
    """Append the tokens of a window that end after `done`; return the number of tokens."""
    while i < count:
        if begin + ends[i] > done:
            if len(out):
                out[n] = ids[i]
            n += 1
        i += 1
    return n


@njit(cache=True, nogil=True, inline="always")
def bucket(data, start, end, n_buckets):  # type: ignore[no-untyped-def]
    """Bucket of a text in Wholes.table."""
    second = np.int64(data[start + 1]) if start + 1 < end else 0
    return (np.int64(data[start]) * 31 + second * 7919) & (n_buckets - 1)


@njit(cache=True, nogil=True)
def find_whole(data, start, end, exact, wholes):  # type: ignore[no-untyped-def]
    """Return token and length of the longest text of a set at `start`, or of the one up to `end`; -2 for none."""
    place = bucket(data, start, end, len(wholes.table) - 1)
    for i in range(wholes.table[place], wholes.table[place + 1]):
        first = wholes.starts[i]
        length = wholes.starts[i + 1] - first
        if length <= end - start and (not exact or length == end - start):
            j = 0
            while j < length and data[start + j] == wholes.data[first + j]:
                j += 1
            if j == length:
                return wholes.ids[i], length
    return -2, 0


@njit(cache=True, nogil=True)
def _next_added(data, start, end, added):  # type: ignore[no-untyped-def]
    """Return where the next added token begins and ends, and its id; `end`, `end` and -1 if there is none.

    Of those that begin first the longest is taken; one that stays text hides those that begin inside it.
    """
    i = start
    while i < end:
        token, length = -2, 0
        place = bucket(data, i, end, len(added.table) - 1)
        if added.table[place] < added.table[place + 1]:
            token, length = find_whole(data, i, end, False, added)
        if token >= 0:
            return i, i + length, token
        i += max(length, 1)
    return end, end, -1
