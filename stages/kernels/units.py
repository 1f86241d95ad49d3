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
from stages.kernels.tables import DIGIT, HAN, HANGUL, LATIN, LETTER, MARK, OTHER, SPACE, load_tables

UNIT_COUNTS = (
    "n_words",
    "n_alpha_words",
    "word_chars",
    "n_spaced_words",
    "spaced_word_chars",
    "n_stop_words",
    "n_distinct_stop_words",
    "n_upper_words",
    "n_lorem_ipsum",
    "n_openers",
    "n_clashes",
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


def upper_table() -> np.ndarray:
    """Tell which characters are capital letters: bool (0x110000,).

    Asked only of letters that the shipped tables know, so that a newer version of Unicode changes nothing.
    """
    classes = load_tables().classes
    upper = np.zeros(len(classes), np.bool_)
    for code in np.flatnonzero((classes == LATIN) | (classes == LETTER)).tolist():
        upper[code] = chr(code).isupper()
    return upper


def word_keys(words: Iterable[str]) -> np.ndarray:
    """Hashes of words, each a unit in match text; uint64 (n_words,)."""
    codes = [np.array([ord(char) for char in word], np.uint32) for word in words]
    return np.array([hash_unit(word, load_tables().fold, 0, len(word)) for word in codes], np.uint64)


@njit(cache=True, nogil=True)
def count_units(codes, classes, fold, upper, start, end, stop_words, openers, phrase, hashes, ends, counts):  # type: ignore[no-untyped-def]
    """Find the units of one text.

    Args: upper, from `upper_table`; stop_words, uint64 (256,), from `stop_word_table`; openers, bool (256,), which of
    them no stop word follows; phrase, uint64 (2,), two words whose occurrences side by side are counted. Writes hashes,
    uint64, one per unit; ends, int32, characters in this unit and all before it; counts, int64, in the order of
    UNIT_COUNTS.
    Returns: the number of units.
    """
    n_units = n_alpha = n_spaced = spaced_chars = n_chars = n_stop = n_distinct = n_upper = n_phrases = 0
    n_openers = n_clashes = 0
    opened = np.int64(-1)  # where the unit has to begin that follows an opener and one blank
    seen = np.zeros(len(stop_words), np.bool_)
    before = np.uint64(0)
    i = start
    while i < end:
        kind = classes[i]
        if kind < DIGIT:
            i += 1
            continue
        stop = unit_end(codes, classes, i, end)
        n_chars += stop - i
        if kind < HAN:
            n_spaced += 1
            spaced_chars += stop - i
            alpha, capital = False, True
            key = ODD_B
            for k in range(i, stop):  # as hash_unit, which would go over the word once more
                folded = fold[codes[k]]
                if folded:
                    key = step(key, folded, ODD_A)
                if classes[k] >= LATIN:
                    alpha = True
                    capital = capital and classes[k] < HANGUL and upper[codes[k]]
            key = mix(key) | np.uint64(1)
            n_alpha += alpha
            n_upper += alpha and capital
        else:
            n_alpha += 1
            key = hash_unit(codes, fold, i, stop)
        slot = find_stop_word(stop_words, key)
        if slot >= 0:
            n_stop += 1
            n_clashes += i == opened
            n_distinct += not seen[slot]
            seen[slot] = True
            if openers[slot] and stop < end and classes[stop] == SPACE:
                n_openers += 1
                opened = stop + 1
        n_phrases += key == phrase[1] and before == phrase[0]
        before = key
        hashes[n_units] = key
        ends[n_units] = n_chars
        n_units += 1
        i = stop
    counts[0], counts[1], counts[2] = n_units, n_alpha, n_chars
    counts[3], counts[4], counts[5], counts[6] = n_spaced, spaced_chars, n_stop, n_distinct
    counts[7], counts[8], counts[9], counts[10] = n_upper, n_phrases, n_openers, n_clashes
    return n_units
