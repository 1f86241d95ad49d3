"""Words of any script: the units that signals count.

A unit is a run of letters, digits and Hangul, with apostrophes between letters; or one Han, kana, Thai, Lao, Khmer or
Burmese character. Marks and invisible characters belong to the unit before them. Units depend on the script, not on the
language of the document, so mixed text is counted correctly. Units are equal if their match texts are.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.tables import DIGIT, HAN, HANGUL, LATIN, LETTER, MARK, OTHER, SPACE, load_tables

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
    """Count positions where a unit can begin: an upper bound on the number of units of a text."""
    n = 0
    for i in range(start, end):
        if classes[i] >= HAN or (
            classes[i] >= DIGIT and (i == start or classes[i - 1] < DIGIT or classes[i - 1] >= HAN)
        ):
            n += 1
    return n


@njit(cache=True, nogil=True)
def unit_end(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of the unit that begins at i."""
    single = classes[i] >= HAN
    i += 1
    while i < end:
        char_class = classes[i]
        if char_class != MARK and char_class != OTHER:
            if single or char_class >= HAN:
                break
            if char_class < DIGIT and not (
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
    """Hash the match text of a unit: uint64, never 0."""
    state = ODD_B
    for i in range(start, end):
        folded = fold[codes[i]]
        if folded:
            state = step(state, folded, ODD_A)
    return mix(state) | np.uint64(1)


def stop_word_table(words: Iterable[str]) -> np.ndarray:
    """Build a hash table of up to 64 stop words for `find_stop_word`: uint64 (256,), 0 for a free slot."""
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
    """Return which code points are capital letters: bool (0x110000,).

    Only letters of the shipped tables are tested, so that a newer version of Unicode changes nothing.
    """
    classes = load_tables().classes
    upper = np.zeros(len(classes), np.bool_)
    for code in np.flatnonzero((classes == LATIN) | (classes == LETTER)).tolist():
        upper[code] = chr(code).isupper()
    return upper


def word_keys(words: Iterable[str]) -> np.ndarray:
    """Hash words, each of which is one unit: uint64 (n_words,)."""
    codes = [np.array([ord(char) for char in word], np.uint32) for word in words]
    return np.array([hash_unit(word, load_tables().fold, 0, len(word)) for word in codes], np.uint64)


@njit(cache=True, nogil=True)
def count_units(codes, classes, fold, upper, start, end, stop_words, openers, phrase, hashes, ends, counts):  # type: ignore[no-untyped-def]
    """Find and count the units of one text.

    Args: codes, classes, of the view; fold, uint32 (0x110000,); upper, from `upper_table`; start, end, of the text in
    codes; stop_words, uint64 (256,), from `stop_word_table`; openers, bool (256,), slots of the stop words that no
    other stop word follows in correct text; phrase, uint64 (2,), two words whose occurrences side by side are counted.
    Writes hashes, uint64, one per unit; ends, int32, number of characters in this unit and all before it; counts, int64
    (11,), in the order of UNIT_COUNTS.
    Returns: the number of units.
    """
    n_units = n_alpha = n_spaced = spaced_chars = n_chars = n_stop = n_distinct = n_upper = n_phrases = 0
    n_openers = n_clashes = 0
    opened = np.int64(-1)  # start of the unit after an opener and one blank
    seen = np.zeros(len(stop_words), np.bool_)
    previous_key = np.uint64(0)
    i = start
    while i < end:
        char_class = classes[i]
        if char_class < DIGIT:
            i += 1
            continue
        stop = unit_end(codes, classes, i, end)
        n_chars += stop - i
        if char_class < HAN:
            n_spaced += 1
            spaced_chars += stop - i
            has_letter, all_upper = False, True
            key = ODD_B
            for k in range(i, stop):  # as hash_unit, without a second pass over the word
                folded = fold[codes[k]]
                if folded:
                    key = step(key, folded, ODD_A)
                if classes[k] >= LATIN:
                    has_letter = True
                    all_upper = all_upper and classes[k] < HANGUL and upper[codes[k]]
            key = mix(key) | np.uint64(1)
            n_alpha += has_letter
            n_upper += has_letter and all_upper
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
        n_phrases += key == phrase[1] and previous_key == phrase[0]
        previous_key = key
        hashes[n_units] = key
        ends[n_units] = n_chars
        n_units += 1
        i = stop
    counts[0], counts[1], counts[2] = n_units, n_alpha, n_chars
    counts[3], counts[4], counts[5], counts[6] = n_spaced, spaced_chars, n_stop, n_distinct
    counts[7], counts[8], counts[9], counts[10] = n_upper, n_phrases, n_openers, n_clashes
    return n_units
