"""A hash table from keys to their first position, which is cleared in constant time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A


class Firsts(NamedTuple):
    """Open addressing over a power of two of slots; a slot is in use if its stamp is the current round.

    slots: uint64 (2 * size,), for each slot the key, then the stamp in the upper half and the position in the lower
    half, so that a look-up touches one cache line. state: int32 (2,), the current round and its last slot; a short text
    uses few slots, which fit in the processor's cache, regardless of the size of the table.
    """

    slots: np.ndarray
    state: np.ndarray


@njit(cache=True, nogil=True)
def new_firsts(n_keys: int | np.signedinteger) -> Firsts:
    """Return a table for up to n_keys keys per round."""
    size = 16
    while size < 2 * n_keys:
        size *= 2
    return Firsts(np.zeros(2 * size, np.uint64), np.zeros(2, np.int32))


@njit(cache=True, nogil=True)
def clear(table: Firsts, n_keys: int | np.signedinteger) -> None:
    """Clear the table: begin a new round for up to n_keys keys."""
    table.state[0] += 1
    size = 16
    while size < 2 * n_keys:
        size *= 2
    table.state[1] = size - 1


@njit(cache=True, nogil=True)
def first_place(table, key, place):  # type: ignore[no-untyped-def]  # numba infers types
    """Return the position at which the key was first inserted in this round; insert it at `place` if it is new."""
    mask = np.uint64(table.state[1])
    current = np.uint64(table.state[0])
    slots = table.slots
    slot = (key * ODD_A) >> np.uint64(32) & mask
    while True:
        value = slots[slot + slot + np.uint64(1)]
        if value >> np.uint64(32) != current:
            break
        if slots[slot + slot] == key:
            return np.int64(value & np.uint64(0xFFFFFFFF))
        slot = (slot + np.uint64(1)) & mask
    slots[slot + slot] = key
    slots[slot + slot + np.uint64(1)] = current << np.uint64(32) | np.uint64(place)
    return np.int64(place)
