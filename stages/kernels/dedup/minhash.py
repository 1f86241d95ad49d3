"""From code points to band keys: match text, units, shingles, signatures.

A shingle is a run of units. A unit is a word in scripts written with blanks, and a single code point in Han, kana,
Hangul and the scripts of South-East Asia without blanks. If Chinese were split at punctuation, a unit would be a clause
and a shingle of five units five clauses.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

from stages.kernels.code.lines import find_code
from stages.kernels.dedup.forms import load_match_fold
from stages.kernels.dedup.formulas import POWER, SHORT, find_signs, load_code_symbols, load_kinds, load_signs
from stages.kernels.text.hashing import ODD_A, ODD_B, mix, mix_all, step
from stages.kernels.text.text import HANGUL, MARK, OTHER, TextView, load_tables, view

NOTHING, WORDS, CHARACTERS = 0, 1, 2
"""Units of a document: none, words and single ideographs, every code point."""

SYMBOLS_BELOW = SHORT
"""Texts of fewer code points are compared with their symbols of code and signs of mathematics. In longer texts, symbols
distinguish only rewritten code, which differs in its words too."""

BLANK = np.uint32(0x20)
CELSIUS, FAHRENHEIT = 0x2103, 0x2109
"""Signs that match text has as a degree sign and a letter."""

_NO_WORD, _IN_WORD, _AFTER_WORD = 0, 8, 16
"""States of `_put`: the latest kept code point is outside words, in a word, in a word followed by a gap. The value of a
state is the right shift of a fold of `_load_folds` by which the byte for that state becomes the lowest."""

_BLANK_BEFORE, _KEPT, _AS_SYMBOL, _IS_SYMBOL, _FOLDED = (np.uint64(bit) for bit in (6, 7, 24, 40, 43))
"""Bits of a fold. Each of the lowest three bytes, one per state, contains the next state, whether a blank precedes the
code point, and whether match text keeps it. Above them: the symbol of code that the code point represents, 16 bits, a
blank for none; whether it is a symbol; the code point in match text, a blank if it is left out."""

PLACES = mix_all(np.arange(1, 1025, dtype=np.uint64) * ODD_A) | np.uint64(1)
"""Odd multipliers for the code points of a unit, used cyclically for units of more than 1,024 code points."""

_COUNTS, _JOINS, _LEAVES_WORD_OPEN, _OPENS_WORD, _SYMBOL = (np.uint64(bit) for bit in range(5))
"""Bits of `load_roles`: is part of a unit, continues an open word, does not close an open word, opens a word, is a
symbol of code."""

_OPEN, _VALUE = np.uint32(4), np.uint32(11)
"""Of `_load_steps`: the state of an open word, also the right shift to its bits; the lowest bit of the code point."""

ZERO, ONE = np.uint64(0), np.uint64(1)


class MatchText(NamedTuple):
    """Match text of a batch: code points, uint32 (n_codes,), and start of each text, int64 (n_docs + 1,)."""

    codes: np.ndarray
    starts: np.ndarray


class _Last:
    """Cache of one entry, the match text of the latest view: exact hash and signature of a batch share it."""

    entry: tuple[TextView, bool, MatchText] | None = None


def match_text(text: pa.ChunkedArray | pa.Array, marks: bool = False) -> MatchText:
    """Fold a text column for comparison; null is empty. The result for the latest view is cached and read-only.

    Width, case, Traditional and regional forms are folded; punctuation, symbols and blanks are removed. One blank is
    kept between two words, none beside an ideograph, because authors differ in whether they write one. Code keeps its
    operators and brackets, and formulas their signs (`kernels.dedup.formulas`), without blanks before them.

    Args: marks, whether texts of fewer than SYMBOLS_BELOW code points keep question and exclamation marks too, as whole
    documents do.
    """
    decoded, last = view(text), _Last.entry
    if last is not None and last[0] is decoded and last[1] == marks:
        return last[2]
    signs = load_signs()
    codes, starts, classes = decoded
    positions = find_signs(codes, classes, starts, load_kinds(), signs, load_match_fold(), marks)
    folded = _fold(codes, starts, *find_code(decoded), _load_folds(), positions, signs, load_kinds())
    match = MatchText(*folded)
    for array in match:
        array.setflags(write=False)  # shared by stages, as the view is
    _Last.entry = (decoded, marks, match)
    return match


@cache
def _load_folds() -> np.ndarray:
    """Load the fold of each code point for `_put`: uint64 (0x110000,), bits named above."""
    classes, fold = load_tables().classes, load_match_fold()
    kept = fold > 0
    classes = np.where(kept, classes[fold], classes)
    symbols = np.where(kept, 0, np.pad(load_code_symbols(), (0, len(kept) - 0x10000)))
    keep, blank = 1 << int(_KEPT), 1 << int(_BLANK_BEFORE)
    folds = np.select(
        [kept & (classes < HANGUL) & (classes != MARK), kept & (classes == MARK), kept, classes != OTHER],
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
    folds |= np.where(kept, fold, BLANK).astype(np.uint64) << _FOLDED
    folds.setflags(write=False)
    return folds


def _fold_by_state(no_word: int, in_word: int, after_word: int) -> int:
    """Combine the bytes for the three states into a fold."""
    return no_word << _NO_WORD | in_word << _IN_WORD | after_word << _AFTER_WORD


@nb.njit(cache=True, nogil=True)
def _fold(
    codes: np.ndarray,
    starts: np.ndarray,
    is_code: np.ndarray,
    line_ends: np.ndarray,
    line_starts: np.ndarray,
    folds: np.ndarray,
    positions: np.ndarray,
    signs: np.ndarray,
    kinds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    # twice the size for blanks after symbols of code; any other blank replaces at least one dropped code point
    match_codes = np.empty(2 * len(codes) + 1, np.uint32)
    match_starts = np.empty(len(starts), np.int64)
    n, sign = ZERO, 0
    for doc in range(len(starts) - 1):
        match_starts[doc] = n
        first = n + ONE
        state = np.uint64(_NO_WORD)
        low, line = starts[doc], line_starts[doc]
        while line < line_starts[doc + 1]:
            in_code = is_code[line]
            while line < line_starts[doc + 1] and is_code[line] == in_code:
                line += 1
            high = min(line_ends[line - 1] + 1, starts[doc + 1])  # the line break is a gap
            if in_code:
                for code in codes[low:high]:
                    fold = folds[code]
                    is_symbol = (fold >> _IS_SYMBOL) & ONE
                    match_codes[n] = np.uint32((fold >> _AS_SYMBOL) & np.uint64(0xFFFF))
                    n += is_symbol
                    is_first = is_symbol & np.uint64(n == first)
                    state |= is_first * np.uint64(_IN_WORD)  # a symbol at the start is treated as a word
                    n, state = _put(match_codes, n, fold, state)
                while sign < len(positions) and positions[sign] < high:
                    sign += 1
            else:
                while sign < len(positions) and positions[sign] < high:
                    at = positions[sign]
                    for code in codes[low:at]:
                        n, state = _put(match_codes, n, folds[code], state)
                    code, low, sign = codes[at], at + 1, sign + 1
                    match_codes[n] = signs[code]
                    n += ONE
                    match_codes[n] = BLANK  # counts if a word follows
                    if n == first or (state & np.uint64(63)) != _NO_WORD:
                        state = np.uint64(_AFTER_WORD)  # a word after a sign has a blank before it
                    if kinds[code] == POWER:
                        n, state = _put(match_codes, n, folds[code], state)
                    elif code == CELSIUS or code == FAHRENHEIT:
                        letter = folds[ord("c") if code == CELSIUS else ord("f")]
                        n, state = _put(match_codes, n, letter, state)
                for code in codes[low:high]:
                    n, state = _put(match_codes, n, folds[code], state)
            low = high
    match_starts[len(starts) - 1] = n
    return match_codes[:n], match_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _put(match: np.ndarray, n: np.uint64, fold: np.uint64, state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Append a code point to match text, after the blank that is already written there if the fold has one before it.

    There is no branch, because ends of words would be mispredicted, and one shift leads from state to state.
    """
    state = fold >> (state & np.uint64(63))
    n += (state >> _BLANK_BEFORE) & ONE
    match[n] = np.uint32(fold >> _FOLDED)
    return n + ((state >> _KEPT) & ONE), state


@cache
def load_roles() -> np.ndarray:
    """Load the roles of code points of match text: uint8 (0x110000,), bits named above; blanks have none."""
    classes = load_tables().classes
    blank = np.arange(len(classes)) == BLANK
    symbol = (np.arange(len(classes)) < 0x80) & (classes < MARK) & ~blank
    symbol[np.unique(load_signs())[1:]] = True
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
    """Load the transitions of code points for units without symbols: uint32 (0x110000,).

    There are four bits for each state (0 and _OPEN). The lowest bit is set if the code point begins a unit, the next
    one if it is part of a unit; then follows the next state. The bits from _VALUE on are the code point, 0 if it is no
    part of a unit.
    """
    roles = load_roles().astype(np.uint32)
    counts, opens = roles & 1, roles >> np.uint32(_OPENS_WORD) & 1
    joins, leaves = roles >> np.uint32(_JOINS) & 1, roles >> np.uint32(_LEAVES_WORD_OPEN) & 1
    steps = counts | counts << 1 | opens * _OPEN
    steps |= (counts & ~joins | counts << 1 | (opens | leaves) * _OPEN) << _OPEN
    steps |= np.where(counts > 0, np.arange(len(roles), dtype=np.uint32), np.uint32(0)) << _VALUE
    steps.setflags(write=False)
    return steps


def count_units(match: MatchText) -> np.ndarray:
    """Count words and single code points of each match text; symbols of code are neither.

    Returns: int64 (n_docs, 2), words and single code points.
    """
    return _count_units(*match, load_roles())


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


def hash_units(match: MatchText, modes: np.ndarray, symbols: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Hash each unit of each match text: the sum of its code points, each times the multiplier of its position, mixed.

    In a text with fewer than SYMBOLS_BELOW other code points, a symbol of code belongs to the unit before it, or is a
    unit at the beginning; in a longer text, symbols are ignored.

    Args: modes, uint8 (n_docs,), NOTHING, WORDS or CHARACTERS; symbols, False to ignore symbols in every text.
    Returns: uint64 (n_units,), hashes; int64 (n_docs + 1,), where the units of each document begin.
    Source: Carter and Wegman, Universal classes of hash functions, JCSS 18(2), 1979, on sums of products.
    """
    return _hash_units(match.codes, match.starts, load_roles(), _load_steps(), modes, symbols)


@nb.njit(cache=True, nogil=True)
def _hash_units(
    codes: np.ndarray,
    starts: np.ndarray,
    roles: np.ndarray,
    steps: np.ndarray,
    modes: np.ndarray,
    symbols: bool,
) -> tuple[np.ndarray, np.ndarray]:
    units = np.empty(
        len(codes) + 1, np.uint64
    )  # from index 1 on; code points before the first unit write to 0
    unit_starts = np.empty(len(starts), np.int64)
    n, place, unit = np.uint64(0), np.uint64(0), np.uint64(0)
    for doc in range(len(starts) - 1):
        unit_starts[doc] = n
        if modes[doc] == NOTHING:
            continue
        text = codes[starts[doc] : starts[doc + 1]]
        in_word, in_unit = ZERO, ZERO
        is_short = symbols and _is_short(text, roles)
        if modes[doc] == CHARACTERS or is_short:
            # symbols count and join units; in a text of characters, nothing else joins
            with_symbols, joining = np.uint64(is_short), np.uint64(modes[doc] != CHARACTERS)
            for code in text:
                role = np.uint64(roles[code])
                symbol = (role >> _SYMBOL) & with_symbols
                is_part = (role & ONE) | symbol
                joins = in_unit & (symbol | (in_word & joining & (role >> _JOINS)))
                begins = is_part & ~joins
                n += begins
                place, unit = _add(place, unit, np.uint64(code) & (ZERO - is_part), is_part, begins)
                units[n] = unit
                in_word = ((in_word & (role >> _LEAVES_WORD_OPEN)) | (role >> _OPENS_WORD)) & ONE
                in_word |= begins & symbol  # a symbol at the beginning opens a word
                in_unit |= begins
        else:  # the same without symbols
            state = np.uint32(0)
            for code in text:
                transition = steps[code]
                state = transition >> (state & _OPEN)
                begins = np.uint64(state & np.uint32(1))
                n += begins
                is_part = np.uint64((state >> np.uint32(1)) & np.uint32(1))
                place, unit = _add(place, unit, np.uint64(transition >> _VALUE), is_part, begins)
                units[n] = unit
    unit_starts[len(starts) - 1] = n
    for i in range(1, n + ONE):
        units[i] = mix(units[i])
    return units[1 : n + ONE], unit_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _add(
    place: np.uint64, unit: np.uint64, value: np.uint64, counts: np.uint64, begins: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Add a code point, 0 if it is no part of a unit, to a unit or begin the next one; return position and sum."""
    goes_on = begins - ONE
    place = (place + counts) & goes_on
    return place, (unit & goes_on) + value * PLACES[place & np.uint64(len(PLACES) - 1)]


@nb.njit(cache=True, nogil=True)
def _is_short(text: np.ndarray, roles: np.ndarray) -> bool:
    """Whether a text has fewer than SYMBOLS_BELOW code points, without blanks and symbols of code."""
    n = 0
    for code in text:
        n += roles[code] & 1
        if n == SYMBOLS_BELOW:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def hash_shingles(units: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash every shingle; a document with fewer units than a shingle is one shingle, one without units has none.

    A polynomial in the units, rolled forward one unit at a time (Karp and Rabin, IBM JRD 31(2), 1987).

    Args: units and starts, from hash_units; sizes, int64 (n_docs,), units per shingle of each document.
    Returns: uint64 (n_shingles,), hashes; int64 (n_docs + 1,), where the shingles of each document begin.
    """
    hashes = np.empty(len(units), np.uint64)
    hash_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        hash_starts[doc] = n
        text, size = units[starts[doc] : starts[doc + 1]], sizes[doc]
        first_shingle = text[:size]
        rolling, leaving = ZERO, ONE
        for unit in first_shingle:
            rolling = rolling * ODD_A + unit
            leaving *= ODD_A
        shingles = hashes[n : n + len(text) - len(first_shingle) + min(len(first_shingle), 1)]
        n += len(shingles)
        shingles[:1] = rolling
        for i in range(1, len(shingles)):
            # terms without the previous hash are in brackets, so that each step waits for one product only
            rolling = rolling * ODD_A + (text[i + size - 1] - text[i - 1] * leaving)
            shingles[i] = rolling
        for i in range(len(shingles)):  # a separate loop, which the compiler vectorises
            shingles[i] = mix(shingles[i])
    hash_starts[len(starts) - 1] = n
    return hashes[:n], hash_starts


@nb.njit(cache=True, nogil=True)
def permutations(n_hashes: int, seed: int) -> np.ndarray:
    """Draw the odd multiplier and the summand of each permutation: uint32 (2, n_hashes)."""
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
    """Write MinHash signatures: the least value of each permutation x -> a x + b mod 2**32 over a document's shingles.

    The upper half of a well mixed 64-bit hash is permuted. Four shingles are processed at a time, so that the signature
    stays in registers.

    Args: hashes and starts, from hash_shingles; drawn, from permutations. Writes signatures, uint32 (n_docs, n_hashes).
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
    """Hash each band of a signature, with the number of the band, to one key.

    Args: signatures, uint32 (n_docs, n_hashes); n_bands, a divisor of n_hashes.
    Returns: uint64 (n_docs, n_bands).
    """
    keys = np.empty((len(signatures), n_bands), np.uint64)
    band_rows = signatures.shape[1] // n_bands
    for doc in range(len(signatures)):
        for band in range(n_bands):
            key = mix(np.uint64(band) + ODD_B)
            for i in range(band * band_rows, (band + 1) * band_rows):
                key = step(key, signatures[doc, i], ODD_A)
            keys[doc, band] = mix(key)
    return keys
