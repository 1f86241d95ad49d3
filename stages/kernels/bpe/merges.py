"""Merging the bytes of a piece: of all neighbours that a merge joins, those of the lowest rank first, from the left.

A piece of a few bytes is merged by searching it for its lowest rank, a longer one with a heap, and one that is longer
than a window in windows that overlap. Where two windows have a token in common, the tokens of the first up to it and
those of the second after it are the tokens of the whole: the first merge across a border between two tokens of the
whole would be made in the bytes of these two tokens alone, too, because merges elsewhere neither change them nor
their ranks; and two neighbours that came out of one window stay apart. So tokens that are neighbours of each other in
some window, one after another, are what the whole text is merged to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.text.hashing import mix

NONE = np.uint64(0xFFFFFFFFFFFFFFFF)
ID_BITS = np.uint64(32)
ID_MASK = np.uint64(0xFFFFFFFF)
SHORT = 24
"""Bytes up to which a piece is merged by searching for its lowest rank."""
WINDOW = 4096
"""Bytes of a window, unless the longest token is longer than a sixteenth of it."""


class Merges(NamedTuple):
    """byte_ids: int32 (256,), token of each byte. byte_pairs: uint64 (65536,), of two bytes: rank << 32 | token, or
    NONE. pairs: uint64 (n_slots, 2), hash table of two tokens: left << 32 | right (NONE: free), and rank << 32 |
    token. window: int64 (1,), bytes of a window."""

    byte_ids: np.ndarray
    byte_pairs: np.ndarray
    pairs: np.ndarray
    window: np.ndarray


def build_merges(
    byte_ids: np.ndarray, left: np.ndarray, right: np.ndarray, merged: np.ndarray, longest: int
) -> Merges:
    """Lay out merges for the kernel.

    Args: byte_ids, int32 (256,); left, right, merged, int64 (n,), tokens in the order of their ranks, of which the last
    of equal pairs counts; longest, bytes of the longest token.
    """
    keys = left.astype(np.uint64) << ID_BITS | right.astype(np.uint64)
    values = np.arange(len(keys), dtype=np.uint64) << ID_BITS | merged.astype(np.uint64)
    pairs = np.full((1 << max(len(keys) * 3, 1).bit_length(), 2), NONE)
    _fill(pairs, keys, values)
    byte_pairs = np.full(1 << 16, NONE)
    ids = np.asarray(byte_ids, np.int64)
    _find_all(pairs, np.repeat(ids, 256), np.tile(ids, 256), byte_pairs)
    window = np.array([max(WINDOW, 16 * longest)], np.int64)
    return Merges(np.asarray(byte_ids, np.int32), byte_pairs, pairs, window)


@njit(cache=True, nogil=True)
def _fill(pairs, keys, values):  # type: ignore[no-untyped-def]  # numba infers types
    mask = np.uint64(len(pairs) - 1)
    for i in range(len(keys)):
        slot = mix(keys[i]) & mask
        while pairs[slot, 0] != NONE and pairs[slot, 0] != keys[i]:
            slot = (slot + np.uint64(1)) & mask
        pairs[slot, 0], pairs[slot, 1] = keys[i], values[i]


@njit(cache=True, nogil=True)
def _find_all(pairs, left, right, found):  # type: ignore[no-untyped-def]
    for i in range(len(found)):
        found[i] = find_pair(pairs, left[i], right[i])


@njit(cache=True, nogil=True)
def find_pair(pairs, left, right):  # type: ignore[no-untyped-def]
    """Return rank << 32 | token of the merge of two tokens, or NONE."""
    key = np.uint64(left) << ID_BITS | np.uint64(right)
    mask = np.uint64(len(pairs) - 1)
    slot = mix(key) & mask
    while pairs[slot, 0] != NONE:
        if pairs[slot, 0] == key:
            return pairs[slot, 1]
        slot = (slot + np.uint64(1)) & mask
    return NONE


@njit(cache=True, nogil=True)
def merge_short(data, start, end, merges, ids, ranks):  # type: ignore[no-untyped-def]
    """Write the tokens of at most SHORT bytes to `ids`; return their number. ranks: uint64 scratch."""
    n = end - start
    for i in range(n):
        ids[i] = merges.byte_ids[data[start + i]]
    for i in range(n - 1):
        ranks[i] = merges.byte_pairs[np.int64(data[start + i]) << 8 | np.int64(data[start + i + 1])]
    while n > 1:
        best, at = NONE, -1
        for i in range(n - 1):
            if ranks[i] < best:
                best, at = ranks[i], i
        if at < 0:
            break
        n -= 1
        ids[at] = best & ID_MASK
        for i in range(at + 1, n):
            ids[i], ranks[i - 1] = ids[i + 1], ranks[i]
        if at < n - 1:
            ranks[at] = find_pair(merges.pairs, ids[at], ids[at + 1])
        if at > 0:
            ranks[at - 1] = find_pair(merges.pairs, ids[at - 1], ids[at])
    return n


@njit(cache=True, nogil=True)
def merge_window(data, start, end, merges, ids, ends):  # type: ignore[no-untyped-def]
    """Write the tokens of any number of bytes, and the offset from `start` where each ends; return their number.

    Args: ids, ends, int32, at least end - start entries each. Allocates 24 bytes a byte.
    """
    n = end - start
    after, before = np.empty(n, np.int32), np.empty(n, np.int32)
    heap = np.empty(2 * n + 2, np.uint64)
    size = 0
    for i in range(n):
        ids[i] = merges.byte_ids[data[start + i]]
        after[i], before[i] = i + 1, i - 1
        if i < n - 1:
            value = merges.byte_pairs[np.int64(data[start + i]) << 8 | np.int64(data[start + i + 1])]
            if value != NONE:
                size = _push(heap, size, (value >> ID_BITS) << ID_BITS | np.uint64(i))
    while size:
        top = heap[0]
        size = _pop(heap, size)
        at = np.int64(top & ID_MASK)
        if ids[at] < 0 or after[at] >= n:
            continue
        right = np.int64(after[at])
        value = find_pair(merges.pairs, ids[at], ids[right])
        if value >> ID_BITS != top >> ID_BITS or value == NONE:
            continue  # one of the two was merged since
        ids[at], ids[right] = value & ID_MASK, -1
        after[at] = after[right]
        for left in (np.int64(before[at]), at):
            if left >= 0 and after[left] < n:
                before[after[left]] = left
                value = find_pair(merges.pairs, ids[left], ids[after[left]])
                if value != NONE:
                    size = _push(heap, size, (value >> ID_BITS) << ID_BITS | np.uint64(left))
    count, at = 0, np.int64(0)
    while at < n:
        following = np.int64(after[at])
        ids[count], ends[count] = ids[at], following
        count, at = count + 1, following
    return count


@njit(cache=True, nogil=True)
def _push(heap, size, value):  # type: ignore[no-untyped-def]
    i = size
    while i > 0 and heap[(i - 1) >> 1] > value:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = value
    return size + 1


@njit(cache=True, nogil=True)
def _pop(heap, size):  # type: ignore[no-untyped-def]
    size -= 1
    value, i = heap[size], 0
    while 2 * i + 1 < size:
        child = 2 * i + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i], i = heap[child], child
    heap[i] = value
    return size
