"""Pairs of rows: generation by key, and removal of repeated pairs."""

from __future__ import annotations

import numba as nb
import numpy as np

from pipeline.keysort import settle
from pipeline.schema import ROW_BITS


@nb.njit(cache=True, nogil=True)
def link_rows(
    keys: np.ndarray, rows: np.ndarray, content: np.ndarray, max_group: int, leaders: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pair the rows of each key.

    Of rows with equal content, the first one represents the others, which are paired with it under the key that equals
    their content. The first rows of all contents are paired with each other; if there are more than max_group of them,
    only the first `leaders` are paired with all others.

    Args: keys, rows and content, uint64 (n,), sorted by key.
    Returns: uint64 (n_pairs,) twice, the smaller and the larger row of each pair; the number of pairs of equal content,
    which come first.
    """
    n = len(keys)
    order = np.empty(n, np.uint32)
    heads = np.empty(n, np.bool_)  # whether a row is the first of its content
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
    head_positions, n_near, start = np.empty(max_group + 1, np.int64), n_copies, 0
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
                a, b = rows[order[head_positions[other]]], rows[order[place]]
                left[n_near], right[n_near] = min(a, b), max(a, b)
                n_near += 1
            if size < limit:
                head_positions[size] = place
            size += 1
        start = i
    return left, right, n_copies


@nb.njit(cache=True, nogil=True)
def are_distinct(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether pairs, uint64 (n_pairs,) each, are sorted and distinct."""
    for i in range(1, len(left)):
        if left[i] < left[i - 1] or (left[i] == left[i - 1] and right[i] <= right[i - 1]):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def pack(
    left: np.ndarray, right: np.ndarray, is_copy: np.ndarray, low: int, width: int, out: np.ndarray
) -> None:
    """Pack pairs into numbers that sort like the pairs; of equal pairs, those marked is_copy sort first.

    Args: left and right, uint64 (n,); is_copy, bool (n,); low, bits of a row within its shard; width, bits of a row.
    Writes out, uint64 (n,).
    """
    mask = np.uint64((1 << ROW_BITS) - 1)
    for i in range(len(left)):
        a = (left[i] >> np.uint64(ROW_BITS)) << np.uint64(low) | left[i] & mask
        b = (right[i] >> np.uint64(ROW_BITS)) << np.uint64(low) | right[i] & mask
        out[i] = (a << np.uint64(width) | b) << np.uint64(1) | np.uint64(0 if is_copy[i] else 1)


@nb.njit(cache=True, nogil=True)
def drop_repeated(packed: np.ndarray) -> int:
    """Keep the first of each pair in sorted packed pairs, uint64, in place; return the number of distinct pairs."""
    n = 0
    for value in packed:
        if n == 0 or value >> np.uint64(1) != packed[n - 1] >> np.uint64(1):
            packed[n] = value
            n += 1
    return n


@nb.njit(cache=True, nogil=True)
def unpack(packed: np.ndarray, low: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unpack pairs: left and right rows, uint64 (n,) each, and is_copy, bool (n,); the inverse of `pack`."""
    left, right = np.empty(len(packed), np.uint64), np.empty(len(packed), np.uint64)
    is_copy = np.empty(len(packed), np.bool_)
    inside, row = np.uint64((1 << width) - 1), np.uint64((1 << low) - 1)
    for i in range(len(packed)):
        is_copy[i] = packed[i] & np.uint64(1) == 0
        a, b = packed[i] >> np.uint64(width + 1), packed[i] >> np.uint64(1) & inside
        left[i] = (a >> np.uint64(low)) << np.uint64(ROW_BITS) | a & row
        right[i] = (b >> np.uint64(low)) << np.uint64(ROW_BITS) | b & row
    return left, right, is_copy
