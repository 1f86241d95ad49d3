"""How much of a text is covered by repeated n-grams of units (see `kernels.units`).

Characters are those that a repeat covers, each once, however many repeats overlap there. An (n+1)-gram can
repeat only where both its n-grams do, so the places to look at shrink from order to order.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from stages.kernels.firsts import clear, first_place

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

    Args: hashes, uint64, and ends, int32, as `count_units` wrote them; table, Firsts for n_units keys. Writes
    counts, int64, in the order of REPEAT_COUNTS: characters of every occurrence of the top n-gram, characters
    of all but the first occurrence of any n-gram, distinct units, and the sum of c ln c over their numbers of
    occurrences c, in millionths.
    """
    counts[:] = 0
    firsts = np.empty(n_units, np.int32)  # place of the first equal n-gram, valid at `places`
    totals = np.empty(n_units, np.int32)  # occurrences of the n-gram that is first at this place
    places = np.arange(n_units).astype(np.int32)  # where an n-gram begins that occurs at least twice
    clear(table, n_units)
    for i in range(n_units):
        _add(table, hashes[i], i, firsts, totals)
    n_distinct = 0
    nats = 0.0
    for i in range(n_units):
        if firsts[i] == i:
            n_distinct += 1
            if totals[i] > 1:
                nats += totals[i] * math.log(totals[i])
    counts[9], counts[10] = n_distinct, round(nats * 1e6)
    n_places = _keep_repeated(places, n_units, firsts, totals)
    for order in range(2, 11):
        clear(table, n_places)
        n_pairs = 0
        for k in range(n_places - 1):
            i = places[k]
            if places[k + 1] == i + 1:
                pair = np.uint64(firsts[i]) << np.uint64(32) | np.uint64(firsts[i + 1])
                _add(table, pair, i, firsts, totals)
                places[n_pairs] = i
                n_pairs += 1
        n_places = _keep_repeated(places, n_pairs, firsts, totals)
        if n_places == 0:
            return
        if order <= 4:
            counts[order - 2] = _top_chars(places, n_places, firsts, totals, ends, order)
        else:
            counts[order - 2] = _later_chars(places, n_places, firsts, ends, order)


@njit(cache=True, nogil=True)
def _add(table, key, i, firsts, totals):  # type: ignore[no-untyped-def]
    """Count one occurrence of a key at place i."""
    first = first_place(table, key, i)
    firsts[i] = first
    totals[first] = 1 if first == i else totals[first] + 1


@njit(cache=True, nogil=True)
def _keep_repeated(places, n_places, firsts, totals):  # type: ignore[no-untyped-def]
    """Move the places of repeated n-grams to the front; return how many there are."""
    n_kept = 0
    for k in range(n_places):
        if totals[firsts[places[k]]] >= 2:
            places[n_kept] = places[k]
            n_kept += 1
    return n_kept


@njit(cache=True, nogil=True)
def _top_chars(places, n_places, firsts, totals, ends, order):  # type: ignore[no-untyped-def]
    """Characters of all occurrences of the n-gram that occurs most; of equals the longest, then the first."""
    best = -1
    best_chars = 0
    for k in range(n_places):
        i = places[k]
        if firsts[i] == i:
            chars = _covered(ends, i, i + order)
            if best < 0 or totals[i] > totals[best] or (totals[i] == totals[best] and chars > best_chars):
                best = i
                best_chars = chars
    n_chars = 0
    edge = 0
    for k in range(n_places):
        i = places[k]
        if firsts[i] == best:
            n_chars += _covered(ends, max(i, edge), i + order)
            edge = i + order
    return n_chars


@njit(cache=True, nogil=True)
def _later_chars(places, n_places, firsts, ends, order):  # type: ignore[no-untyped-def]
    """Characters of all occurrences but the first of every repeated n-gram."""
    n_chars = 0
    edge = 0
    for k in range(n_places):
        i = places[k]
        if firsts[i] != i:
            n_chars += _covered(ends, max(i, edge), i + order)
            edge = i + order
    return n_chars


@njit(cache=True, nogil=True)
def _covered(ends, first, stop):  # type: ignore[no-untyped-def]
    """Characters of the units from first up to stop."""
    return ends[stop - 1] - (ends[first - 1] if first else 0)
