"""The next piece of a text under the patterns of a pre-tokeniser, one table look-up a character.

Patterns follow one another as the library's do: each is applied inside the pieces of the one before, so that a
look-ahead sees the end of its piece as the end of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.bpe.automaton import MATCH, SEEN_FOREIGN, SEEN_UNSTABLE, SHIFT, Automaton
from stages.kernels.bpe.characters import N_CODES

DROPPED = 1
"""Bit beside SEEN_UNSTABLE and SEEN_FOREIGN: text between matches of a pattern that keeps the matches only."""


class Splits(NamedTuple):
    """Automata one after another. classes: uint8 (n * 0x110000,); table: uint32, rows by offset in their own table;
    starts, n_classes: int64 (n,), where each table begins and its classes; keep_gaps: bool (n,), whether text between
    matches is a piece too."""

    classes: np.ndarray
    table: np.ndarray
    starts: np.ndarray
    n_classes: np.ndarray
    keep_gaps: np.ndarray


def join(automata: Sequence[Automaton], keep_gaps: Sequence[bool]) -> Splits:
    """Lay out automata for the kernel, in the order in which they are applied."""
    lengths = [len(automaton.table) for automaton in automata]
    return Splits(
        np.concatenate([automaton.classes for automaton in automata]),
        np.concatenate([automaton.table for automaton in automata]),
        np.cumsum([0, *lengths[:-1]]),
        np.array([automaton.n_classes for automaton in automata], np.int64),
        np.array(keep_gaps, np.bool_),
    )


@njit(cache=True, nogil=True, inline="always")
def code_at(data, i):  # type: ignore[no-untyped-def]  # numba infers types
    """Return code point and number of bytes of a character in valid UTF-8."""
    byte = np.int64(data[np.uint64(i)])
    if byte < 0x80:
        return byte, 1
    second = np.int64(data[np.uint64(i + 1)]) & 0x3F
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | second, 2
    third = np.int64(data[np.uint64(i + 2)]) & 0x3F
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | second << 6 | third, 3
    return (byte & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[np.uint64(i + 3)]) & 0x3F, 4


@njit(cache=True, nogil=True, inline="always")
def next_piece(data, start, end, level, splits):  # type: ignore[no-untyped-def]
    """Return the end of the piece of one pattern that begins at `start`, and those of SEEN_UNSTABLE,
    SEEN_FOREIGN and DROPPED that hold."""
    classes, table, starts, n_classes, keep_gaps = splits
    base, width, plane = starts[level], n_classes[level], level * N_CODES
    first, seen, found = start, np.uint32(0), np.int64(-1)
    while first < end:
        i, row = first, width
        while True:
            step = 1
            if i < end:
                code, step = code_at(data, i)
                entry = table[np.uint64(base + row + classes[np.uint64(plane + code)])]
            else:
                entry = table[np.uint64(base + row + width - 1)]
            seen |= entry
            if entry & MATCH:
                found = i
            row = np.int64(entry >> SHIFT)
            if row == 0 or i >= end:
                break
            i += step
        if found >= 0:
            break
        first += code_at(data, first)[1]
    flags = np.int64(seen) & (SEEN_UNSTABLE | SEEN_FOREIGN)
    piece_end = found
    if first > start:  # text that no match begins in
        piece_end = first
        flags |= 0 if keep_gaps[level] else DROPPED
    return piece_end, flags
