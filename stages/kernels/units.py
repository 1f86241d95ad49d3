"""Words of any script: the units that signals count.

A unit is a run of letters, digits and Hangul, with an apostrophe between two letters; or one Han, kana, Thai,
Lao, Khmer or Burmese character. Marks and invisible characters belong to the unit before them. The script
decides, not the document's language, so that mixed text is counted right. Units are equal when they are equal
in match text.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from stages.kernels.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.tables import DIGIT, HAN, LATIN, LETTER, MARK, OTHER, load_tables

UNIT_COUNTS = (
    "n_words",
    "n_alpha_words",
    "word_chars",
    "n_spaced_words",
    "spaced_word_chars",
    "n_stop_words",
    "n_distinct_stop_words",
)


@njit(cache=True, nogil=True)
def max_units(classes, start, end):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Count places where a unit can begin: an upper bound on the units of a text."""
    n = 0
    for i in range(start, end):
        if classes[i] >= HAN or (
            classes[i] >= DIGIT and (i == start or classes[i - 1] < DIGIT or classes[i - 1] >= HAN)
        ):
            n += 1
    return n


@njit(cache=True, nogil=True)
def unit_end(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Return where the unit that begins at i ends."""
    single = classes[i] >= HAN
    i += 1
    while i < end:
        kind = classes[i]
        if kind != MARK and kind != OTHER:
            if single or kind >= HAN:
                break
            if kind < DIGIT and not (
                (codes[i] == 0x27 or codes[i] == 0x2019)
                and (classes[i - 1] == LATIN or classes[i - 1] == LETTER)
                and i + 1 < end
                and (classes[i + 1] == LATIN or classes[i + 1] == LETTER)
            ):
                break
        i += 1
    return i


@njit(cache=True, nogil=True)
def hash_unit(codes, fold, start, end):  # type: ignore[no-untyped-def]
    """Hash a unit's match text; never 0."""
    state = ODD_B
    for i in range(start, end):
        folded = fold[codes[i]]
        if folded:
            state = step(state, folded, ODD_A)
    return mix(state) | np.uint64(1)


def stop_word_table(words: Iterable[str]) -> np.ndarray:
    """Lay out the hashes of up to 64 stop words for `find_stop_word`; uint64 (256,), 0 where free."""
    table = np.zeros(256, np.uint64)
    for word in words:
        codes = np.array([ord(char) for char in word], np.uint32)
        key = hash_unit(codes, load_tables().fold, 0, len(codes))
        slot = int(key >> np.uint64(56))
        while table[slot] not in (0, key):
            slot = (slot + 1) % len(table)
        table[slot] = key
    return table


@njit(cache=True, nogil=True)
def find_stop_word(table, key):  # type: ignore[no-untyped-def]
    """Return the slot of a stop word, -1 for any other unit."""
    slot = np.int64(key >> np.uint64(56))
    while table[slot]:
        if table[slot] == key:
            return slot
        slot = (slot + 1) % len(table)
    return -1


@njit(cache=True, nogil=True)
def count_units(codes, classes, fold, start, end, stop_words, hashes, ends, counts):  # type: ignore[no-untyped-def]
    """Find the units of one text.

    Args: stop_words, uint64 (256,), from `stop_word_table`. Writes hashes, uint64, one per unit; ends, int32,
    characters in this unit and all before it; counts, int64, in the order of UNIT_COUNTS.
    Returns: the number of units.
    """
    n_units = n_alpha = n_spaced = spaced_chars = n_chars = n_stop = n_distinct = 0
    seen = np.zeros(len(stop_words), np.bool_)
    i = start
    while i < end:
        if classes[i] < DIGIT:
            i += 1
            continue
        stop = unit_end(codes, classes, i, end)
        n_chars += stop - i
        alpha = False
        for k in range(i, stop):
            alpha |= classes[k] >= LATIN
        n_alpha += alpha
        if classes[i] < HAN:
            n_spaced += 1
            spaced_chars += stop - i
        key = hash_unit(codes, fold, i, stop)
        slot = find_stop_word(stop_words, key)
        if slot >= 0:
            n_stop += 1
            n_distinct += not seen[slot]
            seen[slot] = True
        hashes[n_units] = key
        ends[n_units] = n_chars
        n_units += 1
        i = stop
    counts[0], counts[1], counts[2] = n_units, n_alpha, n_chars
    counts[3], counts[4], counts[5], counts[6] = n_spaced, spaced_chars, n_stop, n_distinct
    return n_units
