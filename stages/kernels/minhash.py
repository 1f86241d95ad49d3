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

from stages.kernels.code_lines import find_code
from stages.kernels.code_signs import load_symbols
from stages.kernels.hashing import ODD_A, ODD_B, mix, mix_all, step
from stages.kernels.text import HANGUL, MARK, OTHER, TextView, load_tables, view

NOTHING, WORDS, CHARACTERS = 0, 1, 2
"""What counts as a unit of a document: nothing at all, words and single ideographs, every code point."""

SYMBOLS_BELOW = 300
"""Texts of fewer code points are compared with their symbols of code. At 300, or some fifty words, one changed symbol
leaves a Jaccard index of 0.8, so that above it symbols of code could not tell texts apart but for rewritten code, which
words tell as well."""

BLANK = np.uint32(0x20)

_NO_WORD, _IN_WORD, _AFTER_WORD = 0, 8, 16
"""States of `_put`: the last code point kept is of no word, of a word, of a word with a gap after it. A state is how
far to shift a fold of `_load_folds` so that what it does in that state comes last."""

_BLANK_BEFORE, _KEPT, _AS_SYMBOL, _IS_SYMBOL, _FOLDED = (np.uint64(bit) for bit in (6, 7, 24, 31, 43))
"""Bits of a fold. In each of three bytes, above the state that follows: a blank comes before the code point; match text
keeps it. Above those bytes: the symbol of code that it stands for, seven bits, a blank for none, and whether it is one;
the code point in match text, a blank for one that is left out."""

PLACES = mix_all(np.arange(1, 1025, dtype=np.uint64) * ODD_A) | np.uint64(1)
"""Odd multipliers for the code points of a unit; one of more code points, which is no word, goes through them again."""

_COUNTS, _JOINS, _LEAVES_WORD_OPEN, _OPENS_WORD, _SYMBOL = (np.uint64(bit) for bit in range(5))
"""Bits of `_load_roles`: counts as part of a unit, continues the word that is open, leaves a word as it is, opens one,
is a symbol of code."""

_OPEN, _VALUE = np.uint32(4), np.uint32(11)
"""Of `_load_steps`: the state in which a word is open, again how far to shift; where the code point is."""

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
    match = MatchText(*_fold(decoded.codes, decoded.starts, *find_code(decoded), _load_folds()))
    for array in match:
        array.setflags(write=False)  # shared by stages, as the view is
    _Last.entry = (decoded, match)
    return match


@cache
def _load_folds() -> np.ndarray:
    """How `_put` folds each code point: uint64 (0x110000,), bits named above."""
    tables = load_tables()
    kept = tables.fold > 0
    kinds = np.where(kept, tables.classes[tables.fold], tables.classes)
    symbols = np.where(kept, 0, np.pad(load_symbols(), (0, len(kept) - 0x10000)))
    keep, blank = 1 << int(_KEPT), 1 << int(_BLANK_BEFORE)
    folds = np.select(
        [kept & (kinds < HANGUL) & (kinds != MARK), kept & (kinds == MARK), kept, kinds != OTHER],
        [
            _fold_by_state(_IN_WORD | keep, _IN_WORD | keep, _IN_WORD | keep | blank),
            _fold_by_state(_NO_WORD | keep, _IN_WORD | keep, _IN_WORD | keep | blank),
            _fold_by_state(_NO_WORD | keep, _NO_WORD | keep, _NO_WORD | keep),
            _fold_by_state(_NO_WORD, _AFTER_WORD, _AFTER_WORD),
        ],
        _fold_by_state(_NO_WORD, _IN_WORD, _AFTER_WORD),  # an invisible character does not end a word
    ).astype(np.uint64)
    folds |= (symbols > 0).astype(np.uint64) << _IS_SYMBOL
    folds |= np.where(symbols > 0, symbols, BLANK).astype(np.uint64) << _AS_SYMBOL
    folds |= np.where(kept, tables.fold, BLANK).astype(np.uint64) << _FOLDED
    folds.setflags(write=False)
    return folds


def _fold_by_state(no_word: int, in_word: int, after_word: int) -> int:
    """What a code point does in each state, where that state shifts to."""
    return no_word << _NO_WORD | in_word << _IN_WORD | after_word << _AFTER_WORD


@nb.njit(cache=True, nogil=True)
def _fold(
    codes: np.ndarray,
    starts: np.ndarray,
    is_code: np.ndarray,
    line_ends: np.ndarray,
    line_starts: np.ndarray,
    folds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    # room for the blank after a symbol of code; every other blank stands for at least one dropped code point
    match = np.empty(2 * len(codes) + 1, np.uint32)
    match_starts = np.empty(len(starts), np.int64)
    n = ZERO
    for doc in range(len(starts) - 1):
        match_starts[doc] = n
        first = n + ONE
        state = np.uint64(_NO_WORD)
        low, line = starts[doc], line_starts[doc]
        while line < line_starts[doc + 1]:
            in_code = is_code[line]
            while line < line_starts[doc + 1] and is_code[line] == in_code:
                line += 1
            high = min(line_ends[line - 1] + 1, starts[doc + 1])  # its line break makes a gap
            if in_code:
                for code in codes[low:high]:
                    fold = folds[code]
                    is_symbol = (fold >> _IS_SYMBOL) & ONE
                    match[n] = np.uint32((fold >> _AS_SYMBOL) & np.uint64(0x7F))
                    n += is_symbol
                    is_first = is_symbol & np.uint64(n == first)
                    state |= is_first * np.uint64(_IN_WORD)  # the first is like a word
                    n, state = _put(match, n, fold, state)
            else:
                for code in codes[low:high]:
                    n, state = _put(match, n, folds[code], state)
            low = high
    match_starts[len(starts) - 1] = n
    return match[:n], match_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _put(match: np.ndarray, n: np.uint64, fold: np.uint64, state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Put a code point, and the blank before it, where they belong in match text; what was left out put the blank.

    Without a branch, because a processor cannot foresee where words end, and with one shift from state to state.
    """
    state = fold >> (state & np.uint64(63))
    n += (state >> _BLANK_BEFORE) & ONE
    match[n] = np.uint32(fold >> _FOLDED)
    return n + ((state >> _KEPT) & ONE), state


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


@cache
def _load_steps() -> np.ndarray:
    """What each code point does to units without symbols: uint32 (0x110000,), four bits for each state (0 and _OPEN).

    The lowest says whether it begins a unit, the next whether it counts; then comes the state that follows. From bit
    _VALUE on is the code point, 0 for one that does not count.
    """
    roles = _load_roles().astype(np.uint32)
    counts, opens = roles & 1, roles >> np.uint32(_OPENS_WORD) & 1
    joins, leaves = roles >> np.uint32(_JOINS) & 1, roles >> np.uint32(_LEAVES_WORD_OPEN) & 1
    steps = counts | counts << 1 | opens * _OPEN
    steps |= (counts & ~joins | counts << 1 | (opens | leaves) * _OPEN) << _OPEN
    steps |= np.where(counts > 0, np.arange(len(roles), dtype=np.uint32), np.uint32(0)) << _VALUE
    steps.setflags(write=False)
    return steps


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
    return _hash_units(match.codes, match.starts, _load_roles(), _load_steps(), modes)


@nb.njit(cache=True, nogil=True)
def _hash_units(
    codes: np.ndarray, starts: np.ndarray, roles: np.ndarray, steps: np.ndarray, modes: np.ndarray
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
                place, unit = _add(place, unit, np.uint64(code) & (ZERO - counts), counts, begins)
                units[n] = unit
                in_word = ((in_word & (role >> _LEAVES_WORD_OPEN)) | (role >> _OPENS_WORD)) & ONE
                in_word |= begins & symbol  # a text that begins with a symbol begins with a word
                in_unit |= begins
        else:  # the same without symbols
            state = np.uint32(0)
            for code in text:
                does = steps[code]
                state = does >> (state & _OPEN)
                begins = np.uint64(state & np.uint32(1))
                n += begins
                counts = np.uint64((state >> np.uint32(1)) & np.uint32(1))
                place, unit = _add(place, unit, np.uint64(does >> _VALUE), counts, begins)
                units[n] = unit
    unit_starts[len(starts) - 1] = n
    for i in range(1, n + ONE):
        units[i] = mix(units[i])
    return units[1 : n + ONE], unit_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _add(
    place: np.uint64, unit: np.uint64, value: np.uint64, counts: np.uint64, begins: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Add a code point to a unit, or begin the next with it: the place and the sum so far; 0 if it does not count."""
    goes_on = begins - ONE
    place = (place + counts) & goes_on
    return place, (unit & goes_on) + value * PLACES[place & np.uint64(len(PLACES) - 1)]


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
        text, size = units[starts[doc] : starts[doc + 1]], sizes[doc]
        first = text[:size]
        rolling, leaving = ZERO, ONE
        for unit in first:
            rolling = rolling * ODD_A + unit
            leaving *= ODD_A
        shingles = hashes[n : n + len(text) - len(first) + min(len(first), 1)]
        n += len(shingles)
        shingles[:1] = rolling
        for i in range(1, len(shingles)):
            # what does not depend on the last hash apart, so that the next waits for one product only
            rolling = rolling * ODD_A + (text[i + size - 1] - text[i - 1] * leaving)
            shingles[i] = rolling
        for i in range(len(shingles)):  # a loop of its own, which vectors do
            shingles[i] = mix(shingles[i])
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
