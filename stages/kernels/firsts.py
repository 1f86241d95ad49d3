"""A hash table that remembers the first place of each key and forgets everything at no cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.hashing import ODD_A


class Firsts(NamedTuple):
    """Open addressing over a power of two of slots; a slot is taken when its stamp is the current round.

    keys: uint64. places: int32. stamps: int32. state: int32 (2,), the current round and the last slot that it
    uses, so that a short text stays within the processor's cache whatever the longest one needs.
    """

    keys: np.ndarray
    places: np.ndarray
    stamps: np.ndarray
    state: np.ndarray


@njit(cache=True, nogil=True)
def new_firsts(n_keys):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Make a table for up to n_keys keys a round."""
    size = 16
    while size < 2 * n_keys:
        size *= 2
    return Firsts(
        np.empty(size, np.uint64), np.empty(size, np.int32), np.zeros(size, np.int32), np.zeros(2, np.int32)
    )


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
    current = table.state[0]
    slot = (key * ODD_A) >> np.uint64(32) & mask
    while table.stamps[slot] == current:
        if table.keys[slot] == key:
            return table.places[slot]
        slot = (slot + np.uint64(1)) & mask
    table.keys[slot] = key
    table.places[slot] = place
    table.stamps[slot] = current
    return place
