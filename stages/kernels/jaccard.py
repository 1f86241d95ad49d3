"""Sets of shingles as sorted runs of 64-bit hashes, and how much two of them share."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def sort_sets(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each row of a ragged array and drop its repeats.

    Hashes are spread evenly, so their leading bits nearly give their places: each goes to the bucket of these bits,
    and what is left of disorder is inside buckets of about one value. Rows for which that fails are sorted anew.

    Args: values, uint64, overwritten; starts, int64 (n_rows + 1).
    Returns: uint64 (n_distinct,), int64 (n_rows + 1).
    """
    set_starts = np.empty(len(starts), np.int64)
    longest = 1
    for row in range(len(starts) - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    ordered = np.empty(longest, np.uint64)
    places = np.empty(2 * longest + 1, np.int64)
    n = 0
    for row in range(len(starts) - 1):
        set_starts[row] = n
        low, size = starts[row], starts[row + 1] - starts[row]
        bits = 1
        while 1 << bits < size:
            bits += 1
        shift = np.uint64(64 - bits)
        places[: (1 << bits) + 1] = 0
        for i in range(low, low + size):
            places[np.int64(values[i] >> shift) + 1] += 1
        for bucket in range(1 << bits):
            places[bucket + 1] += places[bucket]
        for i in range(low, low + size):
            leading = np.int64(values[i] >> shift)
            ordered[places[leading]] = values[i]
            places[leading] += 1
        n_moves = 0
        for i in range(1, size):
            value, at = ordered[i], i
            while at > 0 and ordered[at - 1] > value and n_moves < 32 * size:
                ordered[at] = ordered[at - 1]
                at -= 1
                n_moves += 1
            ordered[at] = value
        if n_moves >= 32 * size:
            ordered[:size].sort()
        for i in range(size):
            if i == 0 or ordered[i] != ordered[i - 1]:
                values[n] = ordered[i]
                n += 1
    set_starts[len(starts) - 1] = n
    return values[:n], set_starts


@nb.njit(cache=True, nogil=True)
def count_shared(values: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Count the values that two sorted sets share, for many pairs of sets.

    Args: values, uint64; left and right, int64 (n_pairs, 2): the half-open range of values that is each set.
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
    """Sort each row of a ragged array in place, repeats and all. Args and returns: as sort_sets."""
    for row in range(len(starts) - 1):
        values[starts[row] : starts[row + 1]].sort()
    return values, starts
