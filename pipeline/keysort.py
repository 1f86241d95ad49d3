"""Radix sort of keyed rows: keys are hashes, so few rows are tied in their leading bits."""

from __future__ import annotations

import numba as nb
import numpy as np

DIGIT_BITS = 12
"""Bits per counting pass, such that its counters fit into the L1 cache."""

FEW = 32
"""Largest group of tied rows that is sorted by insertion sort."""


@nb.njit(cache=True, nogil=True)
def is_sorted(keys: np.ndarray, rows: np.ndarray) -> bool:
    """Return whether rows are sorted by (key, row).

    Args: keys and rows, uint64 (n,).
    """
    for i in range(1, len(keys)):
        if keys[i] < keys[i - 1] or (keys[i] == keys[i - 1] and rows[i] < rows[i - 1]):
            return False
    return True


@nb.njit(cache=True, nogil=True)
def key_order(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the stable order by (key, row).

    Two counting passes sort by the leading bits of the range of keys; tied rows are then sorted by insertion sort, or
    by merge sort for large groups, such as identical documents.

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
    """Sort by one digit of DIGIT_BITS bits in a stable counting pass.

    Args: leading, uint32 (n,), the leading bits of keys; numbers, uint32 (n,), indices of rows; shift, of the digit;
    out and out_numbers, uint32 (n,), the sorted result.
    """
    mask = np.uint32((1 << DIGIT_BITS) - 1)
    offsets = np.zeros((1 << DIGIT_BITS) + 1, np.int64)
    for value in leading:
        offsets[((value >> np.uint32(shift)) & mask) + 1] += 1
    for digit in range(1 << DIGIT_BITS):
        offsets[digit + 1] += offsets[digit]
    for i in range(len(leading)):
        digit = (leading[i] >> np.uint32(shift)) & mask
        out[offsets[digit]] = leading[i]
        out_numbers[offsets[digit]] = numbers[i]
        offsets[digit] += 1


@nb.njit(cache=True, nogil=True)
def settle(numbers: np.ndarray, keys: np.ndarray, rows: np.ndarray) -> None:
    """Sort indices of rows in place by key, then row.

    Args: numbers, uint32 (n,), indices in ascending order; keys and rows, uint64, of all rows.
    """
    if len(numbers) <= FEW:
        for i in range(1, len(numbers)):
            number, position = numbers[i], i
            key, row = keys[number], rows[number]
            while position > 0:
                other = numbers[position - 1]
                if keys[other] < key or (keys[other] == key and rows[other] <= row):
                    break
                numbers[position] = other
                position -= 1
            numbers[position] = number
    elif not is_sorted(keys[numbers], rows[numbers]):
        by_row = numbers[np.argsort(rows[numbers], kind="mergesort")]
        numbers[:] = by_row[np.argsort(keys[by_row], kind="mergesort")]
