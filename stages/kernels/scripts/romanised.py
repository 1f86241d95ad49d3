"""Chinese languages in Latin letters: words with tone digits, words with tone letters, and words of their syllables.

Jyutping and numbered pinyin write a digit behind every syllable (nei5 hou2), Zhuang a letter of z, j, x, q behind most
(daengz lajmbwn), pinyin and Jyutping without tones consist of some hundred syllables. No model of languages knows them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from stages.kernels.text.tables import LATIN, MARK
from stages.kernels.text.text import TextView

WORDS, TONE_DIGITS, TONE_LETTERS, RARE_LETTERS, SYLLABLES = range(5)
"""Columns of count_romanised: words of two letters or more; those with a tone digit, with a tone letter (z, x, j or q),
with j or q, in which words of other languages do not end, and those that consist of syllables."""
_LONGEST_SYLLABLE, _LONGEST_WORD = 6, 32


def syllable_table(syllables: Iterable[str]) -> np.ndarray:
    """Return syllables of a to z as numbers in base 27: int64 (n,), sorted."""
    return np.unique(np.array([_number(syllable) for syllable in syllables], np.int64))


def _number(syllable: str) -> int:
    number = 0
    for char in syllable:
        number = 27 * number + ord(char) - ord("a") + 1
    return number


def count_romanised(
    text: TextView, docs: np.ndarray, letters: np.ndarray, joined: np.ndarray, single: np.ndarray
) -> np.ndarray:
    """Count the Latin words of some documents by form.

    Args: docs, int64 (n,), indices of documents; letters, uint8 (0x250,), 1 to 26 for a letter of a to z, also with a
    tone mark, 27 for other letters; joined, syllables of which a word may have several, and single, of which it has
    one, from syllable_table.
    Returns: int64 (n, 5), by the columns above.
    """
    counts = np.zeros((len(docs), 5), np.int64)
    _count(text.codes, text.starts, text.classes, docs, letters, joined, single, counts)
    return counts


@njit(cache=True, nogil=True)
def _count(codes, starts, classes, docs, letters, joined, single, counts):  # type: ignore[no-untyped-def]
    word, fits = np.empty(_LONGEST_WORD, np.int64), np.empty(_LONGEST_WORD + 1, np.bool_)
    for k in range(len(docs)):
        i, end = starts[docs[k]], starts[docs[k] + 1]
        while i < end:
            if classes[i] != LATIN:
                i += 1
                continue
            size = 0
            while i < end and (classes[i] == LATIN or classes[i] == MARK):
                if classes[i] == LATIN:
                    if size < _LONGEST_WORD:
                        word[size] = letters[codes[i]] if codes[i] < len(letters) else 27
                    size += 1
                i += 1
            if size < 2:
                continue
            last = word[min(size, _LONGEST_WORD) - 1]
            counts[k, WORDS] += 1
            counts[k, TONE_DIGITS] += _ends_in_tone(codes, classes, i, end)
            is_rare = last == 10 or last == 17  # j, q
            counts[k, TONE_LETTERS] += is_rare or last == 26 or last == 24  # z, x
            counts[k, RARE_LETTERS] += is_rare
            counts[k, SYLLABLES] += size <= _LONGEST_WORD and _has_syllables(word, size, fits, joined, single)


@njit(cache=True, nogil=True, inline="always")
def _ends_in_tone(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Whether one digit of 1 to 6 follows a word that ends at i."""
    if i >= end or not 0x31 <= codes[i] <= 0x36:
        return False
    return i + 1 == end or not 0x30 <= codes[i + 1] <= 0x39


@njit(cache=True, nogil=True)
def _has_syllables(word, size, fits, joined, single):  # type: ignore[no-untyped-def]
    """Whether a word is a run of joined syllables, or one single syllable."""
    fits[0] = True
    for stop in range(1, size + 1):
        fits[stop] = False
        for first in range(max(stop - _LONGEST_SYLLABLE, 0), stop):
            if fits[first] and not fits[stop]:
                fits[stop] = _is_in(word, first, stop, joined)
    return fits[size] or (size <= _LONGEST_SYLLABLE and _is_in(word, 0, size, single))


@njit(cache=True, nogil=True)
def _is_in(word, first, stop, table):  # type: ignore[no-untyped-def]
    number = 0
    for i in range(first, stop):
        if word[i] > 26:
            return False
        number = 27 * number + word[i]
    at = np.searchsorted(table, number)
    return at < len(table) and table[at] == number
