"""A hash table that remembers the first place of each key and forgets everything at no cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.hashing import ODD_A


class Firsts(NamedTuple):
    """Open addressing over a power of two of slots; a slot is taken when its stamp is the current round.

    slots: uint64 (2 * size,), of each slot the key, then the round's stamp in the upper and the place in the lower
    half, so that a look-up costs one line of the processor's cache. state: int32 (2,), the current round and the last
    slot that it uses, so that a short text stays within that cache whatever the longest one needs.
    """

    slots: np.ndarray
    state: np.ndarray


@njit(cache=True, nogil=True)
def new_firsts(n_keys):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Make a table for up to n_keys keys a round."""
    size = 16
    while size < 2 * n_keys:
        size *= 2
    return Firsts(np.zeros(2 * size, np.uint64), np.zeros(2, np.int32))


@njit(cache=True, nogil=True)
def clear(table, n_keys):  # type: ignore[no-untyped-def]
    """Forget every key and begin a new round, for up to n_keys keys."""
    table.state[0] += 1
    size = 16
    while size < 2 * n_keys:
        size *= 2
    table.state[1] = size - 1


@njit(cache=True, nogil=True)
def first_place(table, key, place):  # type: ignore[no-untyped-def]
    """Return the place where the key was first seen in this round; `place` itself when it is new."""
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
