"""Pairs of rows: linked by key, made distinct, and listed at both their ends."""

from __future__ import annotations

import numba as nb
import numpy as np

from pipeline.keysort import settle
from pipeline.schema import ROW_BITS


@nb.njit(cache=True, nogil=True)
def link_rows(
    keys: np.ndarray, rows: np.ndarray, content: np.ndarray, max_group: int, leaders: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pair the rows of each key: copies with the first of them, and the first of each content all with all, or where
    these are more than max_group all with the leaders.

    Args: keys, rows and content, uint64 (n,), by key.
    Returns: the smaller and the larger row of each pair, and how many pairs, the first of them, are copies.
    """
    n = len(keys)
    order = np.empty(n, np.uint32)
    heads = np.empty(n, np.bool_)  # of the rows of a content, the first
    n_copies, n_near, start = 0, 0, 0
    for i in range(1, n + 1):
        if i < n and keys[i] == keys[start]:
            continue
        size = i - start
        order[start], heads[start] = start, True
        if size > 1:
            for place in range(start, i):
                order[place] = place
            settle(order[start:i], content, rows)
            for place in range(start + 1, i):
                heads[place] = content[order[place]] != content[order[place - 1]]
                if not heads[place]:
                    size -= 1
                    n_copies += keys[start] == content[order[place]]
            n_heads = size if size <= max_group else leaders
            n_near += n_heads * size - n_heads * (n_heads + 1) // 2
        start = i
    left, right = np.empty(n_copies + n_near, np.uint64), np.empty(n_copies + n_near, np.uint64)
    near, n_near, start = np.empty(max_group + 1, np.int64), n_copies, 0
    n_copies = 0
    for i in range(1, n + 1):
        if i < n and keys[i] == keys[start]:
            continue
        size, first = 0, start
        for place in range(start, i if i - start > 1 else start):
            row = rows[order[place]]
            if not heads[place]:
                if keys[start] == content[order[place]]:
                    left[n_copies], right[n_copies] = rows[order[first]], row
                    n_copies += 1
                continue
            first, size = place, size + 1
        limit = size if size <= max_group else leaders
        size = 0
        for place in range(start, i if limit > 0 else start):
            if not heads[place]:
                continue
            for other in range(min(size, limit)):
                a, b = rows[order[near[other]]], rows[order[place]]
                left[n_near], right[n_near] = min(a, b), max(a, b)
                n_near += 1
            if size < limit:
                near[size] = place
            size += 1
        start = i
    return left, right, n_copies


@nb.njit(cache=True, nogil=True)
def are_distinct(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether pairs lie in order, each once."""
    for i in range(1, len(left)):
        if left[i] < left[i - 1] or (left[i] == left[i - 1] and right[i] <= right[i - 1]):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def pack(
    left: np.ndarray, right: np.ndarray, is_copy: np.ndarray, low: int, width: int, out: np.ndarray
) -> None:
    """Write pairs as numbers, in the order of the pairs, a copy before the same pair that is none.

    Args: low, bits of a row in its shard; width, of a row; out, uint64 (n,).
    """
    mask = np.uint64((1 << ROW_BITS) - 1)
    for i in range(len(left)):
        a = (left[i] >> np.uint64(ROW_BITS)) << np.uint64(low) | left[i] & mask
        b = (right[i] >> np.uint64(ROW_BITS)) << np.uint64(low) | right[i] & mask
        out[i] = (a << np.uint64(width) | b) << np.uint64(1) | np.uint64(0 if is_copy[i] else 1)


@nb.njit(cache=True, nogil=True)
def drop_repeated(packed: np.ndarray) -> int:
    """Move the first of each pair to the front; returns how many there are."""
    n = 0
    for value in packed:
        if n == 0 or value >> np.uint64(1) != packed[n - 1] >> np.uint64(1):
            packed[n] = value
            n += 1
    return n


@nb.njit(cache=True, nogil=True)
def unpack(packed: np.ndarray, low: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns of packed pairs."""
    left, right = np.empty(len(packed), np.uint64), np.empty(len(packed), np.uint64)
    is_copy = np.empty(len(packed), np.bool_)
    inside, row = np.uint64((1 << width) - 1), np.uint64((1 << low) - 1)
    for i in range(len(packed)):
        is_copy[i] = packed[i] & np.uint64(1) == 0
        a, b = packed[i] >> np.uint64(width + 1), packed[i] >> np.uint64(1) & inside
        left[i] = (a >> np.uint64(low)) << np.uint64(ROW_BITS) | a & row
        right[i] = (b >> np.uint64(low)) << np.uint64(ROW_BITS) | b & row
    return left, right, is_copy


@nb.njit(cache=True, nogil=True)
def number_rows(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows in some pair, in order, and the place among them of both ends of each pair.

    Rows are looked up by shard: a byte and a number for each row up to the last of its shard that is in a pair.
    Returns: uint64 (n_rows,), uint32 (n_pairs,) twice.
    """
    bits, mask = np.uint64(ROW_BITS), np.uint64((1 << ROW_BITS) - 1)
    n_shards = np.int64(right.max() >> bits) + 1 if len(right) else 0
    starts = np.zeros(n_shards + 1, np.int64)
    for rows in (left, right):
        for row in rows:
            end = np.int64(row >> bits) + 1
            starts[end] = max(starts[end], np.int64(row & mask) + 1)
    for shard in range(n_shards):
        starts[shard + 1] += starts[shard]
    places = np.zeros(starts[n_shards], np.uint32)
    for rows in (left, right):
        for row in rows:
            places[starts[np.int64(row >> bits)] + np.int64(row & mask)] = 1
    found = np.empty(np.count_nonzero(places), np.uint64)
    n = 0
    for shard in range(n_shards):
        for i in range(starts[shard], starts[shard + 1]):
            if places[i]:
                found[n] = np.uint64(shard) << bits | np.uint64(i - starts[shard])
                places[i] = n
                n += 1
    ends = np.empty((2, len(left)), np.uint32)
    for i in range(len(left)):
        ends[0, i] = places[starts[np.int64(left[i] >> bits)] + np.int64(left[i] & mask)]
        ends[1, i] = places[starts[np.int64(right[i] >> bits)] + np.int64(right[i] & mask)]
    return found, ends[0], ends[1]


@nb.njit(cache=True, nogil=True)
def list_partners(rows: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The partners of each row, in order; pairs by smaller and larger end. Returns offsets and values of a list."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(heads)):
        offsets[heads[i] + 1] += 1
        offsets[tails[i] + 1] += 1
    for node in range(len(rows)):
        offsets[node + 1] += offsets[node]
    values, ends = np.empty(2 * len(heads), np.uint64), offsets[:-1].copy()
    for i in range(len(heads)):  # first the smaller partners of every row
        values[ends[tails[i]]] = rows[heads[i]]
        ends[tails[i]] += 1
    for i in range(len(heads)):
        values[ends[heads[i]]] = rows[tails[i]]
        ends[heads[i]] += 1
    return offsets, values


@nb.njit(cache=True, nogil=True)
def list_groups(
    rows: np.ndarray,
    labels: np.ndarray,
    sizes: np.ndarray,
    heads: np.ndarray,
    tails: np.ndarray,
    together: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The groups of each row, in order: where at most `together` rows are connected, one; else the smaller row of each
    of its pairs. Returns offsets and values of a list."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    leads = np.zeros(len(rows), np.bool_)
    for node in range(len(rows)):
        offsets[node + 1] = sizes[labels[node]] <= together
    for i in range(len(heads)):
        if sizes[labels[heads[i]]] > together:
            offsets[tails[i] + 1] += 1
            offsets[heads[i] + 1] += not leads[heads[i]]
            leads[heads[i]] = True
    for node in range(len(rows)):
        offsets[node + 1] += offsets[node]
    values, ends = np.empty(offsets[len(rows)], np.uint64), offsets[:-1].copy()
    for i in range(len(heads)):
        if leads[heads[i]]:
            values[ends[tails[i]]] = rows[heads[i]]
            ends[tails[i]] += 1
    for node in range(len(rows)):
        if ends[node] < offsets[node + 1]:  # its own group: it leads it, or all are together
            values[ends[node]] = rows[node if leads[node] else labels[node]]
    return offsets, values
