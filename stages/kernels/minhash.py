"""From code points to band keys: match text, units, shingles, signatures.

A unit is what a shingle counts: a word in scripts that are written with blanks, a single code point in Han,
kana, Hangul and the scripts of South-East Asia without blanks. Splitting Chinese at punctuation would make a
clause a unit and a five-unit shingle five clauses.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

from stages.kernels.code_lines import find_code, load_symbols
from stages.kernels.hashing import ODD_A, ODD_B, mix, mix_all, step
from stages.kernels.text import HANGUL, MARK, OTHER, TextView, load_tables, view

NOTHING, WORDS, CHARACTERS = 0, 1, 2
"""What counts as a unit of a document: nothing at all, words and single ideographs, every code point."""

SYMBOLS_BELOW = 300
"""Texts of fewer code points are compared with their symbols of code. At 300, or some fifty words, one changed symbol
leaves a Jaccard index of 0.8, so that above it symbols of code could not tell texts apart but for rewritten code, which
words tell as well."""

BLANK = np.uint32(0x20)

CODE_MASK = np.uint32(0x1FFFFF)
_KEPT, _WORD, _STAYS_IN_WORD, _STAYS_IN_GAP, _ENTERS_WORD, _ENTERS_GAP = 21, 22, 24, 25, 26, 27
"""Bits of `_load_folds` above the code point: whether match text keeps it, whether it belongs to a word where one is
open, and what it makes of the state of `_put`."""

PLACES = mix_all(np.arange(1, 1025, dtype=np.uint64) * ODD_A) | np.uint64(1)
"""Odd multipliers for the code points of a unit; one of more code points, which is no word, goes through them again."""

_COUNTS, _JOINS, _LEAVES_WORD_OPEN, _OPENS_WORD, _SYMBOL = (np.uint64(bit) for bit in range(5))
"""Bits of `_load_roles`: counts as part of a unit, continues the word that is open, leaves a word as it is, opens one,
is a symbol of code."""

ZERO, ONE = np.uint64(0), np.uint64(1)


class MatchText(NamedTuple):
    """Match text of a batch: uint32 (n_codes,) code points and int64 (n_docs + 1,) where each text begins."""

    codes: np.ndarray
    starts: np.ndarray


class _Last:
    """The match text of the last view: exact hash and signature of a batch share it."""

    entry: tuple[TextView, MatchText] | None = None


def match_text(text: pa.ChunkedArray | pa.Array) -> MatchText:
    """Fold a text column for comparison; null counts as empty.

    Width, case and Traditional forms are folded; punctuation, symbols and blanks go. One blank stays between
    two words; none beside an ideograph, where authors differ in whether they write one. Lines of code keep their
    operators and brackets, without blanks before them.
    """
    decoded, last = view(text), _Last.entry
    if last is not None and last[0] is decoded:
        return last[1]
    match = MatchText(
        *_fold(decoded.codes, decoded.starts, *find_code(decoded), _load_folds(), load_symbols())
    )
    for array in match:
        array.setflags(write=False)  # shared by stages, as the view is
    _Last.entry = (decoded, match)
    return match


@cache
def _load_folds() -> np.ndarray:
    """How `_put` folds each code point: uint32 (0x110000,), the code point of match text and the bits named above."""
    tables = load_tables()
    kept = tables.fold > 0
    kinds = np.where(kept, tables.classes[tables.fold], tables.classes)
    word, mark = kept & (kinds < HANGUL), kept & (kinds == MARK)
    flags = (
        (_KEPT, kept),
        (_WORD, word),
        (_STAYS_IN_WORD, mark | ~kept),
        (_STAYS_IN_GAP, ~kept),
        (_ENTERS_WORD, word & ~mark),
        (_ENTERS_GAP, ~kept & (kinds != OTHER)),  # an invisible character does not end a word
    )
    folds = tables.fold.copy()
    for bit, has in flags:
        folds |= has.astype(np.uint32) << np.uint32(bit)
    folds.setflags(write=False)
    return folds


@nb.njit(cache=True, nogil=True)
def _fold(
    codes: np.ndarray,
    starts: np.ndarray,
    is_code: np.ndarray,
    line_ends: np.ndarray,
    line_starts: np.ndarray,
    folds: np.ndarray,
    symbols: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    # room for the blank after a symbol of code; every other blank stands for at least one dropped code point
    match = np.empty(2 * len(codes) + 1, np.uint32)
    match_starts = np.empty(len(starts), np.int64)
    n = np.uint64(0)
    for doc in range(len(starts) - 1):
        match_starts[doc] = n
        state = np.uint32(0)
        low = starts[doc]
        for line in range(line_starts[doc], line_starts[doc + 1]):
            through = codes[low : min(line_ends[line] + 1, starts[doc + 1])]  # its line break makes a gap
            if is_code[line]:
                for code in through:
                    if folds[code] & CODE_MASK == 0 and code < len(symbols) and symbols[code] != 0:
                        match[n] = symbols[code]
                        n += np.uint64(1)
                        state |= np.uint32(np.int64(n) == match_starts[doc] + 1)  # the first is like a word
                    n, state = _put(match, n, folds[code], state)
            else:
                for code in through:
                    n, state = _put(match, n, folds[code], state)
            low += len(through)
    match_starts[len(starts) - 1] = n
    return match[:n], match_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _put(match: np.ndarray, n: np.uint64, fold: np.uint32, state: np.uint32) -> tuple[np.uint64, np.uint32]:
    """Put a code point, and the blank before it, where they belong in match text.

    The state is whether the last code point was of a word, bit 0, and whether a gap came after it, bit 1. Without a
    branch, because a processor cannot foresee where words end.
    """
    match[n] = BLANK
    n += np.uint64(state & (state >> np.uint32(1)) & (fold >> np.uint32(_WORD)) & np.uint32(1))
    match[n] = fold & CODE_MASK
    n += np.uint64((fold >> np.uint32(_KEPT)) & np.uint32(1))
    state = (state & (fold >> np.uint32(_STAYS_IN_WORD))) | (fold >> np.uint32(_ENTERS_WORD))
    return n, state & np.uint32(3)


@cache
def _load_roles() -> np.ndarray:
    """What each code point of match text is among units: uint8 (0x110000,), bits named above; blanks are nothing."""
    classes = load_tables().classes
    blank = np.arange(len(classes)) == BLANK
    symbol = (np.arange(len(classes)) < 0x80) & (classes < MARK) & ~blank
    mark, single = classes == MARK, classes >= HANGUL
    word = ~(blank | symbol | mark | single)
    flags = (
        (_COUNTS, ~(blank | symbol)),
        (_JOINS, word | mark),
        (_LEAVES_WORD_OPEN, symbol | mark),
        (_OPENS_WORD, word),
        (_SYMBOL, symbol),
    )
    roles = np.zeros(len(classes), np.uint8)
    for bit, has in flags:
        roles |= has.astype(np.uint8) << np.uint8(bit)
    roles.setflags(write=False)
    return roles


def count_units(match: MatchText) -> np.ndarray:
    """Count words and single code points of each match text; symbols of code are neither.

    Returns: int64 (n_docs, 2): words, single code points.
    """
    return _count_units(*match, _load_roles())


@nb.njit(cache=True, nogil=True)
def _count_units(codes: np.ndarray, starts: np.ndarray, roles: np.ndarray) -> np.ndarray:
    counts = np.zeros((len(starts) - 1, 2), np.int64)
    for doc in range(len(counts)):
        in_word, n_words, n_units = ZERO, ZERO, ZERO
        for code in codes[starts[doc] : starts[doc + 1]]:
            role = np.uint64(roles[code])
            begins = role & ~(in_word & (role >> _JOINS)) & ONE
            n_units += begins
            n_words += begins & (role >> _OPENS_WORD)
            in_word = ((in_word & (role >> _LEAVES_WORD_OPEN)) | (role >> _OPENS_WORD)) & ONE
        counts[doc] = n_words, n_units - n_words
    return counts


def hash_units(match: MatchText, modes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash each unit of each match text: its code points, each times the multiplier of its place, added up and mixed.

    In a text of fewer than SYMBOLS_BELOW other code points, a symbol of code belongs to the unit before it, or is a
    unit at the beginning; a longer text is compared without them.

    Args: modes, uint8 (n_docs,): NOTHING, WORDS or CHARACTERS.
    Returns: uint64 (n_units,), int64 (n_docs + 1,) where each document begins.
    Source: Carter and Wegman, Universal classes of hash functions, JCSS 18(2), 1979, on sums of products.
    """
    return _hash_units(match.codes, match.starts, _load_roles(), modes)


@nb.njit(cache=True, nogil=True)
def _hash_units(
    codes: np.ndarray, starts: np.ndarray, roles: np.ndarray, modes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    units = np.empty(len(codes) + 1, np.uint64)  # from 1 on: what comes before the first unit writes to 0
    unit_starts = np.empty(len(starts), np.int64)
    n, place, unit = np.uint64(0), np.uint64(0), np.uint64(0)
    for doc in range(len(starts) - 1):
        unit_starts[doc] = n
        if modes[doc] == NOTHING:
            continue
        text = codes[starts[doc] : starts[doc + 1]]
        in_word, in_unit = ZERO, ZERO
        if modes[doc] == CHARACTERS or _is_short(text, roles):
            # symbols count and join; in a text of characters nothing else does
            with_symbols, joining = np.uint64(_is_short(text, roles)), np.uint64(modes[doc] != CHARACTERS)
            for code in text:
                role = np.uint64(roles[code])
                symbol = (role >> _SYMBOL) & with_symbols
                counts = (role & ONE) | symbol
                joins = in_unit & (symbol | (in_word & joining & (role >> _JOINS)))
                begins = counts & ~joins
                n += begins
                place, unit = _add(place, unit, code, counts, begins)
                units[n] = unit
                in_word = ((in_word & (role >> _LEAVES_WORD_OPEN)) | (role >> _OPENS_WORD)) & ONE
                in_word |= begins & symbol  # a text that begins with a symbol begins with a word
                in_unit |= begins
        else:  # the same without symbols
            for code in text:
                role = np.uint64(roles[code])
                counts = role & ONE
                begins = counts & ~(in_word & (role >> _JOINS))
                n += begins
                place, unit = _add(place, unit, code, counts, begins)
                units[n] = unit
                in_word = ((in_word & (role >> _LEAVES_WORD_OPEN)) | (role >> _OPENS_WORD)) & ONE
    unit_starts[len(starts) - 1] = n
    for i in range(1, n + ONE):
        units[i] = mix(units[i])
    return units[1 : n + ONE], unit_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _add(
    place: np.uint64, unit: np.uint64, code: np.uint32, counts: np.uint64, begins: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Add a code point to a unit, if it counts, or begin the next with it: the place and the sum so far."""
    goes_on = begins - ONE
    place = (place + counts) & goes_on
    multiplier = PLACES[place & np.uint64(len(PLACES) - 1)]
    return place, (unit & goes_on) + (np.uint64(code) & (ZERO - counts)) * multiplier


@nb.njit(cache=True, nogil=True)
def _is_short(text: np.ndarray, roles: np.ndarray) -> bool:
    """Whether a text has fewer than SYMBOLS_BELOW code points but for blanks and symbols of code."""
    n = 0
    for code in text:
        n += roles[code] & 1
        if n == SYMBOLS_BELOW:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def hash_shingles(units: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash every run of so many units; a document of fewer units is one shingle, one of none has none.

    A polynomial in the units, rolled forward one unit at a time (Karp and Rabin, IBM JRD 31(2), 1987).

    Args: units and starts, of hash_units; sizes, int64 (n_docs,), units to a shingle of each document.
    Returns: uint64 (n_shingles,), int64 (n_docs + 1,) where each document begins.
    """
    hashes = np.empty(len(units), np.uint64)
    hash_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        hash_starts[doc] = n
        low, high, size = starts[doc], starts[doc + 1], sizes[doc]
        leaving = np.uint64(1)
        for _ in range(size):
            leaving *= ODD_A
        rolling = np.uint64(0)
        for i in range(low, high):
            rolling = rolling * ODD_A + units[i]
            if i - low >= size:
                rolling -= units[i - size] * leaving
            if i - low >= size - 1 or i == high - 1:
                hashes[n] = mix(rolling)
                n += 1
    hash_starts[len(starts) - 1] = n
    return hashes[:n], hash_starts


@nb.njit(cache=True, nogil=True)
def permutations(n_hashes: int, seed: int) -> np.ndarray:
    """Draw the multiplier (odd) and the summand of each permutation: uint32 (2, n_hashes)."""
    drawn = np.empty((2, n_hashes), np.uint32)
    state = np.uint64(seed)
    for i in range(n_hashes):
        state += ODD_A
        value = mix(state)
        drawn[0, i] = np.uint32(value) | np.uint32(1)
        drawn[1, i] = np.uint32(value >> np.uint64(32))
    return drawn


@nb.njit(cache=True, nogil=True)
def sign(hashes: np.ndarray, starts: np.ndarray, drawn: np.ndarray, signatures: np.ndarray) -> None:
    """Fill `signatures`, uint32 (n_docs, n_hashes), with the least value of each permutation x -> a x + b mod
    2**32.

    The upper half of a well mixed 64-bit hash is permuted. Four shingles at a time keep the signature in
    registers.

    Source: Broder et al., Min-wise independent permutations, JCSS 60(3), 2000, on linear permutations.
    """
    n_hashes = drawn.shape[1]
    least = np.empty(n_hashes, np.uint32)
    for doc in range(len(starts) - 1):
        least[:] = np.uint32(0xFFFFFFFF)
        low, high = starts[doc], starts[doc + 1]
        for block in range(low, high, 4):
            last = high - 1  # the last block repeats the last shingle, which changes no minimum
            x0 = np.uint32(hashes[block] >> np.uint64(32))
            x1 = np.uint32(hashes[min(block + 1, last)] >> np.uint64(32))
            x2 = np.uint32(hashes[min(block + 2, last)] >> np.uint64(32))
            x3 = np.uint32(hashes[min(block + 3, last)] >> np.uint64(32))
            for i in range(n_hashes):
                a, b = drawn[0, i], drawn[1, i]
                y0, y1 = np.uint32(a * x0 + b), np.uint32(a * x1 + b)
                y2, y3 = np.uint32(a * x2 + b), np.uint32(a * x3 + b)
                least[i] = min(least[i], min(min(y0, y1), min(y2, y3)))
        signatures[doc] = least


@nb.njit(cache=True, nogil=True)
def hash_bands(signatures: np.ndarray, n_bands: int) -> np.ndarray:
    """Hash each band of a signature, and its number, to one key: uint64 (n_docs, n_bands)."""
    keys = np.empty((len(signatures), n_bands), np.uint64)
    band_rows = signatures.shape[1] // n_bands
    for doc in range(len(signatures)):
        for band in range(n_bands):
            key = mix(np.uint64(band) + ODD_B)
            for i in range(band * band_rows, (band + 1) * band_rows):
                key = step(key, signatures[doc, i], ODD_A)
            keys[doc, band] = mix(key)
    return keys
