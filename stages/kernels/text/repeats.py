"""Coverage of a text by repeated n-grams of units (see `kernels.text.units`).

Characters covered by several overlapping repeats count once. An (n+1)-gram can be repeated only if both of its n-grams
are, so the positions to examine become fewer from order to order.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from stages.kernels.text.firsts import clear, first_place, new_firsts
from stages.kernels.text.hashing import mix

TOP_ORDERS = (2, 3, 4)
DUPLICATE_ORDERS = (5, 6, 7, 8, 9, 10)
REPEAT_COUNTS = (
    *(f"top_{n}_gram_chars" for n in TOP_ORDERS),
    *(f"duplicate_{n}_gram_chars" for n in DUPLICATE_ORDERS),
    "n_distinct_words",
    "repeat_nats",
)


@njit(cache=True, nogil=True)
def count_repeats(hashes, ends, n_units, table, counts):  # type: ignore[no-untyped-def]  # numba infers types
    """Measure the repeats of one text.

    Args: hashes, uint64 (n_units,), and ends, int32 (n_units,), from `count_units`; the hashes are overwritten. table,
    Firsts for any number of keys: with fewer than n_units, the n-grams are counted in several passes.
    Writes counts, int64 (11,), in the order of REPEAT_COUNTS: characters of all occurrences of the most frequent
    n-gram, characters of all occurrences but the first of any n-gram, distinct units, and the sum of c ln c over their
    numbers of occurrences c, in millionths.
    """
    counts[:] = 0
    firsts = np.empty(n_units, np.int32)  # position of the first equal n-gram, valid at `positions`
    totals = np.empty(n_units, np.int32)  # occurrences of the n-gram whose first position this is
    positions = np.arange(n_units).astype(np.int32)  # positions of n-grams that occur at least twice
    _add_all(table, hashes, positions, n_units, firsts, totals)
    n_distinct = 0
    nats = 0.0
    for i in range(n_units):
        if firsts[i] == i:
            n_distinct += 1
            if totals[i] > 1:
                nats += totals[i] * math.log(totals[i])
    counts[9], counts[10] = n_distinct, round(nats * 1e6)
    n_positions = _keep_repeated(positions, n_units, firsts, totals)
    for order in range(2, 11):
        n_pairs = 0
        for k in range(n_positions - 1):
            i = positions[k]
            if positions[k + 1] == i + 1:
                hashes[n_pairs] = np.uint64(firsts[i]) << np.uint64(32) | np.uint64(firsts[i + 1])
                positions[n_pairs] = i
                n_pairs += 1
        _add_all(table, hashes, positions, n_pairs, firsts, totals)
        n_positions = _keep_repeated(positions, n_pairs, firsts, totals)
        if n_positions == 0:
            return
        if order <= 4:
            counts[order - 2] = _top_chars(positions, n_positions, firsts, totals, ends, order)
        else:
            counts[order - 2] = _later_chars(positions, n_positions, firsts, ends, order)


@njit(cache=True, nogil=True)
def _add_all(table, keys, positions, n_keys, firsts, totals):  # type: ignore[no-untyped-def]
    """Count occurrences of n_keys keys, each at its position, in as many passes as the table needs: each pass takes the
    keys of some hashes. Keys that crowd into one pass, which a text can be made for, are counted in a larger table.
    """
    capacity = len(table.slots) // 4
    n_parts = 1
    while n_parts * capacity < n_keys:
        n_parts *= 2
    for part in range(n_parts):
        if not _add_part(table, keys, positions, n_keys, firsts, totals, part, n_parts):
            _add_part(new_firsts(n_keys), keys, positions, n_keys, firsts, totals, 0, 1)
            return


@njit(cache=True, nogil=True)
def _add_part(table, keys, positions, n_keys, firsts, totals, part, n_parts):  # type: ignore[no-untyped-def]
    """Count the keys of one part of n_parts, a power of two; returns False if they do not fit into the table."""
    capacity = len(table.slots) // 4
    clear(table, min(n_keys, capacity))
    most, n_new = capacity + capacity // 2, 0
    for k in range(n_keys):
        if n_parts > 1 and mix(keys[k]) & np.uint64(n_parts - 1) != np.uint64(part):
            continue
        i = positions[k]
        first = first_place(table, keys[k], i)
        firsts[i] = first
        if first == i:
            totals[i] = 1
            n_new += 1
            if n_new > most:
                return False
        else:
            totals[first] += 1
    return True


@njit(cache=True, nogil=True)
def _keep_repeated(positions, n_positions, firsts, totals):  # type: ignore[no-untyped-def]
    """Keep the positions of repeated n-grams, in place; return their number."""
    n_kept = 0
    for k in range(n_positions):
        if totals[firsts[positions[k]]] >= 2:
            positions[n_kept] = positions[k]
            n_kept += 1
    return n_kept


@njit(cache=True, nogil=True)
def _top_chars(positions, n_positions, firsts, totals, ends, order):  # type: ignore[no-untyped-def]
    """Count characters in all occurrences of the most frequent n-gram; of equals the longest, then the first."""
    best = -1
    best_chars = 0
    for k in range(n_positions):
        i = positions[k]
        if firsts[i] == i:
            chars = _covered(ends, i, i + order)
            if best < 0 or totals[i] > totals[best] or (totals[i] == totals[best] and chars > best_chars):
                best = i
                best_chars = chars
    n_chars = 0
    edge = 0
    for k in range(n_positions):
        i = positions[k]
        if firsts[i] == best:
            n_chars += _covered(ends, max(i, edge), i + order)
            edge = i + order
    return n_chars


@njit(cache=True, nogil=True)
def _later_chars(positions, n_positions, firsts, ends, order):  # type: ignore[no-untyped-def]
    """Count characters in all occurrences but the first of every repeated n-gram."""
    n_chars = 0
    edge = 0
    for k in range(n_positions):
        i = positions[k]
        if firsts[i] != i:
            n_chars += _covered(ends, max(i, edge), i + order)
            edge = i + order
    return n_chars


@njit(cache=True, nogil=True)
def _covered(ends, first, stop):  # type: ignore[no-untyped-def]
    """Count characters of the units in [first, stop)."""
    return ends[stop - 1] - (ends[first - 1] if first else 0)
