"""Find texts of a fixed list inside documents, edited copies included, by shared n-grams of units.

A gram is a run of units (`kernels.text.units`: words of spaced scripts, single ideographs and kana) in match text, so
width, case, punctuation, line breaks and Traditional forms do not matter. Its hash is computed from a polynomial in
the units, rolled forward one unit at a time (Karp and Rabin, IBM JRD 31(2), 1987).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, ODD_B, mix
from stages.kernels.text.tables import DIGIT
from stages.kernels.text.units import hash_unit, unit_end


class GramTable(NamedTuple):
    """Grams of the listed texts, by key.

    lengths: int64 (n_lengths,), distinct gram lengths. bits: uint64 (2**k / 64,), bitmap over the leading k bits of
    keys. shift: right shift that leaves these bits. keys: uint64 (n_keys,), ascending. buckets: int64 (2**16 + 1,),
    where the keys with given upper 16 bits begin. firsts: int64 (n_keys + 1,), where the occurrences of each key begin.
    texts, offsets: int32 (n_occurrences,), text and unit of each occurrence. sizes: int64 (n_texts, 3), for each text
    its number of units, the length of its grams and the number of units that a hit must cover.
    """

    lengths: np.ndarray
    bits: np.ndarray
    shift: np.uint64
    keys: np.ndarray
    buckets: np.ndarray
    firsts: np.ndarray
    texts: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray


def make_table(keys: np.ndarray, texts: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> GramTable:
    """Build the table of grams for `find_hits`.

    Args: keys, texts and offsets of the grams, from `gram_keys`; sizes, as in GramTable.
    """
    order = np.argsort(keys, kind="stable")
    unique, firsts = np.unique(keys[order], return_index=True)
    n_bits = max(
        12, int(np.ceil(np.log2(16 * len(unique) + 1)))
    )  # the bitmap passes at most 1 in 16 of the other keys
    shift = np.uint64(64 - n_bits)
    marks = np.zeros(1 << n_bits, np.bool_)
    marks[unique >> shift] = True
    bits = np.packbits(marks, bitorder="little").view("<u8")
    bounds = np.arange(1 << 16, dtype=np.uint64) << np.uint64(48)
    return GramTable(
        lengths=np.unique(sizes[texts, 1]),
        bits=bits,
        shift=shift,
        keys=unique,
        buckets=np.append(np.searchsorted(unique, bounds), len(unique)),
        firsts=np.append(firsts, len(keys)),
        texts=texts[order].astype(np.int32),
        offsets=offsets[order].astype(np.int32),
        sizes=sizes,
    )


@njit(cache=True, nogil=True)
def find_units(
    codes: np.ndarray, starts: np.ndarray, classes: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the units of all texts.

    Returns: uint64 (n_units,), hashes; int64 (n_units,), start of each unit in codes; int64 (n_texts + 1,), where the
    units of each text begin.
    """
    hashes = np.empty(len(codes), np.uint64)  # an upper bound; untouched pages cost nothing
    begins = np.empty(len(codes), np.int64)
    unit_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        unit_starts[doc] = n
        i, end = starts[doc], starts[doc + 1]
        while i < end:
            if classes[i] < DIGIT:
                i += 1
                continue
            stop = unit_end(codes, classes, i, end)
            hashes[n] = hash_unit(codes, fold, i, stop)
            begins[n] = i
            n += 1
            i = stop
    unit_starts[len(starts) - 1] = n
    return hashes[:n], begins[:n], unit_starts


@njit(cache=True, nogil=True)
def _power(n):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Return ODD_A to the n-th power."""
    power = np.uint64(1)
    for _ in range(n):
        power *= ODD_A
    return power


@njit(cache=True, nogil=True)
def _roll(rolling, units, i, low, n, leaving):  # type: ignore[no-untyped-def]
    """Add unit i to the rolling hash and remove unit i - n."""
    rolling = rolling * ODD_A + units[i]
    return rolling - units[i - n] * leaving if i - low >= n else rolling


@njit(cache=True, nogil=True)
def _key(rolling, n):  # type: ignore[no-untyped-def]
    """Return the key of a gram of n units; the key depends on n."""
    return mix(rolling + np.uint64(n) * ODD_B)


@njit(cache=True, nogil=True)
def gram_keys(
    units: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hash every gram of every text.

    Args: units and starts, from `find_units`; lengths, int64 (n_texts,), units per gram, 0 for a text to skip.
    Returns: uint64 (n_grams,), keys; int64 (n_grams,) twice, the text and the unit at which each gram begins.
    """
    keys = np.empty(len(units), np.uint64)
    texts = np.empty(len(units), np.int64)
    offsets = np.empty(len(units), np.int64)
    count = 0
    for text in range(len(starts) - 1):
        n, low = lengths[text], starts[text]
        leaving, rolling = _power(n), np.uint64(0)
        for i in range(low, starts[text + 1] if n else low):
            rolling = _roll(rolling, units, i, low, n, leaving)
            if i - low >= n - 1:
                keys[count], texts[count], offsets[count] = _key(rolling, n), text, i - low - n + 1
                count += 1
    return keys[:count], texts[:count], offsets[:count]


@njit(cache=True, nogil=True)
def _find_key(table, key):  # type: ignore[no-untyped-def]
    """Return the index of a key in the table, -1 for none."""
    bucket = np.int64(key >> np.uint64(48))
    for k in range(table.buckets[bucket], table.buckets[bucket + 1]):
        if table.keys[k] == key:
            return k
    return -1


@njit(cache=True, nogil=True)
def _look_up(units, low, high, table, places, n_places):  # type: ignore[no-untyped-def]
    """Look up the grams of one document.

    Writes places, int64 (n, 3), enlarged when full: for each shared gram the text, the unit of the text and the unit of
    the document at which it begins. Returns: places, and the number of rows in use.
    """
    for n in table.lengths:
        leaving, rolling = _power(n), np.uint64(0)
        for i in range(low, high):
            rolling = _roll(rolling, units, i, low, n, leaving)
            if i - low < n - 1:
                continue
            key = _key(rolling, n)
            bit = key >> table.shift
            if not (table.bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
                continue
            k = _find_key(table, key)
            if k < 0:
                continue
            for p in range(table.firsts[k], table.firsts[k + 1]):
                if n_places == len(places):
                    places = np.concatenate((places, np.empty_like(places)))
                places[n_places, 0] = table.texts[p]
                places[n_places, 1] = table.offsets[p]
                places[n_places, 2] = i - n + 1
                n_places += 1
    return places, n_places


@njit(cache=True, nogil=True)
def _cover(cover, offset, n, change):  # type: ignore[no-untyped-def]
    """Add a gram to the covered units, or remove it; return the number of units whose coverage changes."""
    changed = 0
    for u in range(offset, offset + n):
        was_covered = cover[u] > 0
        cover[u] += change
        changed += was_covered != (cover[u] > 0)
    return changed


@njit(cache=True, nogil=True)
def _is_spare(cover, offset, n):  # type: ignore[no-untyped-def]
    """Whether other grams cover all units of this one."""
    for u in range(offset, offset + n):
        if cover[u] < 2:
            return False
    return True


@njit(cache=True, nogil=True)
def _find_stretches(places, first, last, sizes, cover, best, n_best):  # type: ignore[no-untyped-def]
    """Find the stretches of a document that cover enough of one text.

    A stretch is at most twice as long as the text. Of overlapping stretches, the one with the greatest coverage counts,
    of these the shortest, of these the first.

    Args: places[first:last], shared grams of this text, in document order; sizes, int64 (3,), of the text; cover,
    int32, all zero on entry and on return. Writes best, int64 (n, 4), enlarged when full: the text, the number of
    covered units, the first unit in the document and the end. Returns: best, and the number of rows in use.
    """
    n = sizes[1]
    left, covered = first, 0
    most, begin, end = 0, 0, 0
    for right in range(first, last):
        covered += _cover(cover, places[right, 1], n, 1)
        stop = places[right, 2] + n
        while left < right and (
            stop - places[left, 2] > 2 * sizes[0] or _is_spare(cover, places[left, 1], n)
        ):
            covered -= _cover(cover, places[left, 1], n, -1)
            left += 1
        if most and places[left, 2] >= end:
            best, n_best = _append(best, n_best, (places[first, 0], most, begin, end))
            most = 0
        length = stop - places[left, 2]
        if covered >= sizes[2] and (covered > most or (covered == most and length < end - begin)):
            most, begin, end = covered, places[left, 2], stop
    if most:
        best, n_best = _append(best, n_best, (places[first, 0], most, begin, end))
    for k in range(left, last):
        _cover(cover, places[k, 1], n, -1)
    return best, n_best


@njit(cache=True, nogil=True)
def _append(rows, n_rows, row):  # type: ignore[no-untyped-def]
    """Append a row, enlarging the array if it is full; return the array and the number of rows in use."""
    if n_rows == len(rows):
        rows = np.concatenate((rows, np.empty_like(rows)))
    for column in range(len(row)):
        rows[n_rows, column] = row[column]
    return rows, n_rows + 1


@njit(cache=True, nogil=True)
def find_hits(
    codes: np.ndarray,
    starts: np.ndarray,
    classes: np.ndarray,
    units: np.ndarray,
    begins: np.ndarray,
    unit_starts: np.ndarray,
    table: GramTable,
) -> np.ndarray:
    """Find listed texts in all documents.

    Args: codes, starts and classes, of the view; units, begins and unit_starts, from `find_units`; table, a GramTable.
    Returns: int64 (n_hits, 5): the document, the text, the number of its units that are covered, start and end in
    codes.
    """
    hits = np.empty((16, 5), np.int64)
    places = np.empty((1024, 3), np.int64)
    best = np.empty((16, 4), np.int64)
    cover = np.zeros(table.sizes[:, 0].max() if len(table.sizes) else 0, np.int32)
    n_hits = 0
    for doc in range(len(starts) - 1):
        places, n_places = _look_up(units, unit_starts[doc], unit_starts[doc + 1], table, places, 0)
        if not n_places:
            continue
        ordered = places[:n_places][np.argsort(places[:n_places, 0], kind="mergesort")]
        first = 0
        while first < n_places:
            text, last = ordered[first, 0], first + 1
            while last < n_places and ordered[last, 0] == text:
                last += 1
            sizes = table.sizes[text]
            n_best = 0
            if (last - first) * sizes[1] >= sizes[2]:
                best, n_best = _find_stretches(ordered, first, last, sizes, cover, best, 0)
            for k in range(n_best):
                hit_end = unit_end(codes, classes, begins[best[k, 3] - 1], starts[doc + 1])
                row = (doc, text, best[k, 1], begins[best[k, 2]], hit_end)
                hits, n_hits = _append(hits, n_hits, row)
            first = last
    return hits[:n_hits]
