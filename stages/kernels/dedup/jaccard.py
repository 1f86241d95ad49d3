"""Sets of shingles as sorted rows of 64-bit hashes, and the size of their intersections."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def sort_sets(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row of a ragged array and drop repeated values.

    Hashes are uniform, so a bucket sort by their leading bits leaves buckets of about one value, which insertion sort
    puts in order. Rows that need too many moves are sorted by comparison.

    Args: values, uint64 (n_values,), overwritten; starts, int64 (n_rows + 1,).
    Returns: uint64 (n_distinct,), values; int64 (n_rows + 1,), starts.
    """
    set_starts = np.empty(len(starts), np.int64)
    longest = 1
    for row in range(len(starts) - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    row_values = np.empty(longest, np.uint64)
    bucket_ends = np.empty(2 * longest + 1, np.int64)
    n = 0
    for row in range(len(starts) - 1):
        set_starts[row] = n
        low, size = starts[row], starts[row + 1] - starts[row]
        bits = 1
        while 1 << bits < size:
            bits += 1
        shift = np.uint64(64 - bits)
        bucket_ends[: (1 << bits) + 1] = 0
        for i in range(low, low + size):
            bucket_ends[np.int64(values[i] >> shift) + 1] += 1
        for bucket in range(1 << bits):
            bucket_ends[bucket + 1] += bucket_ends[bucket]
        for i in range(low, low + size):
            leading = np.int64(values[i] >> shift)
            row_values[bucket_ends[leading]] = values[i]
            bucket_ends[leading] += 1
        n_moves = 0
        for i in range(1, size):
            value, at = row_values[i], i
            while at > 0 and row_values[at - 1] > value and n_moves < 32 * size:
                row_values[at] = row_values[at - 1]
                at -= 1
                n_moves += 1
            row_values[at] = value
        if n_moves >= 32 * size:
            row_values[:size].sort()
        for i in range(size):
            if i == 0 or row_values[i] != row_values[i - 1]:
                values[n] = row_values[i]
                n += 1
    set_starts[len(starts) - 1] = n
    return values[:n], set_starts


@nb.njit(cache=True, nogil=True)
def count_shared(values: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Count the values that two sorted sets share, for many pairs of sets.

    Args: values, uint64 (n_values,), sorted within each set; left and right, int64 (n_pairs, 2), the half-open range of
    each set in values.
    Returns: int64 (n_pairs,).
    """
    shared = np.zeros(len(left), np.int64)
    for pair in range(len(left)):
        i, j = left[pair, 0], right[pair, 0]
        while i < left[pair, 1] and j < right[pair, 1]:
            a, b = values[i], values[j]
            shared[pair] += a == b
            i += a <= b
            j += b <= a
    return shared


@nb.njit(cache=True, nogil=True)
def sort_rows(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row of a ragged array in place and keep repeated values.

    Args: values, uint64 (n_values,); starts, int64 (n_rows + 1,).
    Returns: values and starts.
    """
    for row in range(len(starts) - 1):
        values[starts[row] : starts[row + 1]].sort()
    return values, starts
