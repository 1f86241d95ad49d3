"""Sorting of keyed rows by radix sort: keys are hashes, so that few rows are tied after their leading bits."""

from __future__ import annotations

import numba as nb
import numpy as np

DIGIT_BITS = 12
"""Bits of one pass, such that its counters fit into the L1 cache."""

FEW = 32
"""Largest group that is sorted by insertion sort."""


@nb.njit(cache=True, nogil=True)
def is_sorted(keys: np.ndarray, rows: np.ndarray) -> bool:
    """Return whether rows are sorted by (key, row); keys and rows, uint64 (n,)."""
    for i in range(1, len(keys)):
        if keys[i] < keys[i - 1] or (keys[i] == keys[i - 1] and rows[i] < rows[i - 1]):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def key_order(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the stable order by (key, row).

    Two counting passes sort by the leading bits of the range of keys; tied rows are then sorted by insertion sort, or
    by merge sort for large groups, such as the copies of one page.

    Args: keys and rows, uint64 (n,), n below 2**32.
    Returns: uint32 (n,), indices.
    """
    n = len(keys)
    order = np.empty(n, np.uint32)
    if n == 0:
        return order
    low = keys.min()
    span, shift = keys.max() - low, 0
    while span >> np.uint64(shift) >= np.uint64(1 << 2 * DIGIT_BITS):
        shift += 1
    leading, other, before = np.empty(n, np.uint32), np.empty(n, np.uint32), np.empty(n, np.uint32)
    for i in range(n):
        leading[i] = (keys[i] - low) >> np.uint64(shift)
        before[i] = i
    _scatter(leading, before, 0, other, order)
    _scatter(other, order, DIGIT_BITS, leading, before)
    start = 0
    for i in range(1, n + 1):
        if i < n and leading[i] == leading[start]:
            continue
        if i - start > 1:
            settle(before[start:i], keys, rows)
        start = i
    return before


@nb.njit(cache=True, nogil=True)
def _scatter(
    leading: np.ndarray, numbers: np.ndarray, shift: int, out: np.ndarray, out_numbers: np.ndarray
) -> None:
    """One stable counting pass by a digit of DIGIT_BITS bits."""
    mask = np.uint32((1 << DIGIT_BITS) - 1)
    places = np.zeros((1 << DIGIT_BITS) + 1, np.int64)
    for value in leading:
        places[((value >> np.uint32(shift)) & mask) + 1] += 1
    for digit in range(1 << DIGIT_BITS):
        places[digit + 1] += places[digit]
    for i in range(len(leading)):
        digit = (leading[i] >> np.uint32(shift)) & mask
        out[places[digit]] = leading[i]
        out_numbers[places[digit]] = numbers[i]
        places[digit] += 1


@nb.njit(cache=True, nogil=True)
def settle(numbers: np.ndarray, keys: np.ndarray, rows: np.ndarray) -> None:
    """Sort numbers, indices of rows in ascending order, in place by their key and row."""
    if len(numbers) <= FEW:
        for i in range(1, len(numbers)):
            number, place = numbers[i], i
            key, row = keys[number], rows[number]
            while place > 0:
                other = numbers[place - 1]
                if keys[other] < key or (keys[other] == key and rows[other] <= row):
                    break
                numbers[place] = other
                place -= 1
            numbers[place] = number
    elif not is_sorted(keys[numbers], rows[numbers]):
        by_row = numbers[np.argsort(rows[numbers], kind="mergesort")]
        numbers[:] = by_row[np.argsort(keys[by_row], kind="mergesort")]
