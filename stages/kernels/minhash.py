"""From code points to band keys: match text, units, shingles, signatures.

A unit is what a shingle counts: a word in scripts that are written with blanks, a single code point in Han,
kana, Hangul and the scripts of South-East Asia without blanks. Splitting Chinese at punctuation would make a
clause a unit and a five-unit shingle five clauses.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

from stages.kernels.code_lines import find_code, load_symbols
from stages.kernels.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text import HANGUL, MARK, NEWLINE, OTHER, TextView, load_tables, view

NOTHING, WORDS, CHARACTERS = 0, 1, 2
"""What counts as a unit of a document: nothing at all, words and single ideographs, every code point."""

SYMBOLS_BELOW = 300
"""Texts of fewer code points are compared with their symbols of code. At 300, or some fifty words, one changed symbol
leaves a Jaccard index of 0.8, so that above it symbols of code could not tell texts apart but for rewritten code, which
words tell as well."""

BLANK = np.uint32(0x20)


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
    tables = load_tables()
    match = MatchText(*_fold(*decoded, tables.fold, tables.classes, load_symbols()))
    _Last.entry = (decoded, match)
    return match


@nb.njit(cache=True, nogil=True)
def _fold(
    codes: np.ndarray,
    starts: np.ndarray,
    classes: np.ndarray,
    fold: np.ndarray,
    table: np.ndarray,
    symbols: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    is_code, line_starts = find_code(codes, starts, classes, symbols)
    # room for the blank after a symbol of code; every other blank stands for at least one dropped code point
    match = np.empty(2 * len(codes), np.uint32)
    match_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        match_starts[doc] = n
        line = line_starts[doc]
        after_word, gap = False, False
        for i in range(starts[doc], starts[doc + 1]):
            code = fold[codes[i]]
            if code == 0:
                kind = classes[i]
                if kind == NEWLINE:
                    line += 1
                elif is_code[line] and codes[i] < len(symbols) and symbols[codes[i]] != 0:
                    match[n] = symbols[codes[i]]
                    n += 1
                    after_word = after_word or n == match_starts[doc] + 1
                gap = gap or kind != OTHER  # an invisible character does not end a word
                continue
            kind = table[code]
            is_word = kind < HANGUL and not (kind == MARK and not after_word)
            if is_word and after_word and gap:
                match[n] = BLANK
                n += 1
            match[n] = code
            n += 1
            after_word, gap = is_word, False
    match_starts[len(starts) - 1] = n
    return match[:n], match_starts


@nb.njit(cache=True, nogil=True, inline="always")
def _is_symbol(code: np.uint32, kind: int) -> bool:
    """Whether a code point of match text is a symbol of code; numbers like one half are units."""
    return bool(code < 0x80 and kind < MARK and code != BLANK)


@nb.njit(cache=True, nogil=True)
def count_units(codes: np.ndarray, starts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Count words and single code points of each match text; symbols of code are neither.

    Args: codes and starts, of MatchText; table, the character class of every code point.
    Returns: int64 (n_docs, 2): words, single code points.
    """
    counts = np.zeros((len(starts) - 1, 2), np.int64)
    for doc in range(len(counts)):
        in_word = False
        for i in range(starts[doc], starts[doc + 1]):
            kind = table[codes[i]]
            if codes[i] == BLANK:
                in_word = False
            elif _is_symbol(codes[i], kind):
                continue
            elif kind >= HANGUL or (kind == MARK and not in_word):
                counts[doc, 1] += 1
                in_word = False
            elif not in_word:
                counts[doc, 0] += 1
                in_word = True
    return counts


@nb.njit(cache=True, nogil=True)
def hash_units(
    codes: np.ndarray, starts: np.ndarray, table: np.ndarray, modes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Hash each unit of each match text.

    In a text of fewer than SYMBOLS_BELOW other code points, a symbol of code belongs to the unit before it, or is a
    unit at the beginning; a longer text is compared without them.

    Args: codes and starts, of MatchText; table, the character class of every code point; modes, uint8
    (n_docs,): NOTHING, WORDS or CHARACTERS.
    Returns: uint64 (n_units,), int64 (n_docs + 1,) where each document begins.
    """
    units = np.empty(len(codes), np.uint64)
    unit_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        unit_starts[doc] = n
        if modes[doc] == NOTHING:
            continue
        low, high = starts[doc], starts[doc + 1]
        with_symbols = _is_short(codes[low:high], table)
        in_word, in_unit = False, False
        unit = ODD_B
        for i in range(low, high):
            code = codes[i]
            kind = table[code]
            if code == BLANK:
                in_word = False
                continue
            symbol = _is_symbol(code, kind)
            if symbol and not with_symbols:
                continue
            single = modes[doc] == CHARACTERS or kind >= HANGUL or (kind == MARK and not in_word)
            if in_unit and (symbol or (in_word and not single)):
                unit = step(unit, code, ODD_A)
                continue
            if in_unit:
                units[n] = mix(unit)
                n += 1
            unit = step(ODD_B, code, ODD_A)
            in_word, in_unit = not single, True
        if in_unit:
            units[n] = mix(unit)
            n += 1
    unit_starts[len(starts) - 1] = n
    return units[:n], unit_starts


@nb.njit(cache=True, nogil=True)
def _is_short(codes: np.ndarray, table: np.ndarray) -> bool:
    """Whether a text has fewer than SYMBOLS_BELOW code points but for blanks and symbols of code."""
    n = 0
    for code in codes:
        n += code != BLANK and not _is_symbol(code, table[code])
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
