"""Find short lines that contain a trigger: the few candidate lines of a batch to which patterns are applied."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, ODD_B, step
from stages.kernels.text.lines import next_line
from stages.kernels.text.tables import HAN, LATIN, load_tables

N_SLOTS = 4096
TRIGGER_CHARS = 4


def trigger_table(triggers: Iterable[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Build a hash table of trigger prefixes: two characters of a Han trigger, up to four of any other.

    Args: triggers, each in match characters, with the greatest length of a line that it makes a candidate.
    Returns: uint64 (4096,), hashes, 0 for a free slot; int32 (4096,), these lengths.
    """
    keys, limits = np.zeros(N_SLOTS, np.uint64), np.zeros(N_SLOTS, np.int32)
    for text, max_chars in triggers:
        key = ODD_B
        for char in text[: 2 if load_tables().classes[ord(text[0])] >= HAN else TRIGGER_CHARS]:
            key = np.uint64(step(key, np.uint32(ord(char)), ODD_A))  # numba returns an int
        slot = int(key >> np.uint64(52))
        while keys[slot] not in (0, key):
            slot = (slot + 1) % N_SLOTS
        keys[slot], limits[slot] = key, max(limits[slot], max_chars)
    return keys, limits


@njit(cache=True, nogil=True)
def match_char(code, fold):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Fold a character; those that match text leaves out are returned unchanged."""
    folded = fold[code]
    return folded if folded else code


@njit(cache=True, nogil=True)
def _limit(keys, limits, key):  # type: ignore[no-untyped-def]
    """Return the greatest line length of a trigger, 0 for other keys."""
    slot = np.int64(key >> np.uint64(52))
    while keys[slot]:
        if keys[slot] == key:
            return limits[slot]
        slot = (slot + 1) % len(keys)
    return np.int32(0)


@njit(cache=True, nogil=True)
def _has_trigger(codes, classes, fold, first, last, keys, limits):  # type: ignore[no-untyped-def]
    """Whether a line contains a trigger for its length; triggers of letters match at the start of a word only."""
    for i in range(first, last):
        if LATIN <= classes[i] < HAN and i > first and LATIN <= classes[i - 1] < HAN:
            continue
        key = ODD_B
        for k in range(i, min(i + TRIGGER_CHARS, last)):
            key = step(key, match_char(codes[k], fold), ODD_A)
            if last - first <= _limit(keys, limits, key):
                return True
    return False


@njit(cache=True, nogil=True)
def find_lines(
    codes: np.ndarray,
    starts: np.ndarray,
    classes: np.ndarray,
    fold: np.ndarray,
    keys: np.ndarray,
    limits: np.ndarray,
) -> np.ndarray:
    """Find candidate lines of all texts.

    Args: codes, starts, classes, of the view; fold, uint32 (0x110000,); keys and limits, from `trigger_table`.
    Returns: int64 (n_lines, 5): index of the text, then positions in codes: start and end of the visible part, start of
    the line, start of the next line.
    """
    lines = np.empty((64, 5), np.int64)
    n_lines = 0
    max_chars = limits.max()
    for doc in range(len(starts) - 1):
        i = starts[doc]
        while i < starts[doc + 1]:
            first, last, following = next_line(codes, classes, i, starts[doc + 1])
            if 0 < last - first <= max_chars and _has_trigger(
                codes, classes, fold, first, last, keys, limits
            ):
                if n_lines == len(lines):
                    lines = np.concatenate((lines, np.empty_like(lines)))
                lines[n_lines] = (doc, first, last, i, following)
                n_lines += 1
            i = following
    return lines[:n_lines]


@njit(cache=True, nogil=True)
def match_lines(codes: np.ndarray, fold: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Return parts of lines, concatenated in match characters: uint32.

    Args: lines, int64 (n_lines, 3 or more), start and end of each part in columns 1 and 2, as from `find_lines`.
    """
    text = np.empty((lines[:, 2] - lines[:, 1]).sum(), np.uint32)
    n = 0
    for line in range(len(lines)):
        for i in range(lines[line, 1], lines[line, 2]):
            text[n] = match_char(codes[i], fold)
            n += 1
    return text
