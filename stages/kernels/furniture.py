"""Find short lines that hold a trigger: the few lines of a batch that patterns need to look at."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from stages.kernels.hashing import ODD_A, ODD_B, step
from stages.kernels.lines import next_line
from stages.kernels.tables import HAN, LATIN, load_tables

N_SLOTS = 4096
TRIGGER_CHARS = 4


def trigger_table(triggers: Iterable[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Lay out triggers by how they begin: two characters of a Han trigger, up to four of another.

    Args: triggers, text in match characters and the longest line that it may make a candidate of.
    Returns: uint64 (4096,), hashes, 0 where free; int32 (4096,), that length.
    """
    keys, limits = np.zeros(N_SLOTS, np.uint64), np.zeros(N_SLOTS, np.int32)
    for text, max_chars in triggers:
        key = ODD_B
        for char in text[: 2 if load_tables().classes[ord(text[0])] >= HAN else TRIGGER_CHARS]:
            key = np.uint64(step(key, np.uint32(ord(char)), ODD_A))  # numba gives an int back
        slot = int(key >> np.uint64(52))
        while keys[slot] not in (0, key):
            slot = (slot + 1) % N_SLOTS
        keys[slot], limits[slot] = key, max(limits[slot], max_chars)
    return keys, limits


@njit(cache=True, nogil=True)
def match_char(code, fold):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Fold a character, but keep what match text leaves out."""
    folded = fold[code]
    return folded if folded else code


@njit(cache=True, nogil=True)
def _limit(keys, limits, key):  # type: ignore[no-untyped-def]
    """Longest line for which a trigger counts, 0 for what is none."""
    slot = np.int64(key >> np.uint64(52))
    while keys[slot]:
        if keys[slot] == key:
            return limits[slot]
        slot = (slot + 1) % len(keys)
    return np.int32(0)


@njit(cache=True, nogil=True)
def _has_trigger(codes, classes, fold, first, last, keys, limits):  # type: ignore[no-untyped-def]
    """Tell whether the line holds a trigger for its length; one of letters begins where a word does."""
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
def find_lines(codes, starts, classes, fold, keys, limits):  # type: ignore[no-untyped-def]
    """Find candidate lines of all texts.

    Args: keys and limits, from `trigger_table`.
    Returns: int64 (n_lines, 5): number of the text, then places in codes: begin and end of the visible part,
    begin of the line, begin of the next.
    """
    found = np.empty((64, 5), np.int64)
    n_found = 0
    max_chars = limits.max()
    for doc in range(len(starts) - 1):
        i = starts[doc]
        while i < starts[doc + 1]:
            first, last, following = next_line(codes, classes, i, starts[doc + 1])
            if 0 < last - first <= max_chars and _has_trigger(
                codes, classes, fold, first, last, keys, limits
            ):
                if n_found == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[n_found] = (doc, first, last, i, following)
                n_found += 1
            i = following
    return found[:n_found]


@njit(cache=True, nogil=True)
def match_lines(codes, fold, found):  # type: ignore[no-untyped-def]
    """Write the visible part of candidate lines in match characters, one after another; uint32."""
    text = np.empty((found[:, 2] - found[:, 1]).sum(), np.uint32)
    n = 0
    for line in range(len(found)):
        for i in range(found[line, 1], found[line, 2]):
            text[n] = match_char(codes[i], fold)
            n += 1
    return text
