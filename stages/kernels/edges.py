"""What the first and the last windows of ranges say, and the strips of text by which their other windows differ.

All windows of a range hold the gram of its anchor, so they overlap: from one to the next a character leaves at the
front, and the characters that enter stand after the first window. So the first window, the strip of what leaves and the
strip of what enters say all windows. If two ranges of one gram agree in their first windows, what leaves is the same in
both as far as either goes, and what enters tells their windows apart; and the other way round. (Ranges that serve
several grams of one key are compared by all three.)
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from stages.kernels.hashing import ODD_B, mix
from stages.kernels.rolling import base_powers, enter, join, leave

ENTERS, LEAVES = 1, 2
"""Strips that tell the windows of ranges apart, as bits."""


@nb.njit(cache=True, nogil=True)
def hash_edges(
    codes: np.ndarray,
    begins: np.ndarray,
    stops: np.ndarray,
    limits: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hash the two ends of each range of windows.

    Args: codes, uint32; begins and stops, int64 (n_ranges,), the first window of each range and one past its last, by
    the index in codes; limits, where the text of each ends. Ranges that follow each other are best neighbours.
    Returns: uint64 (n_ranges,), of the first window; uint64, of the last one and the one after it, if there is one.
    """
    target = np.int64(wide_chars) * narrow_chars
    powers, second_powers = base_powers(int((target - 1) // min(wide_chars, narrow_chars) + 1))
    heads, tails = np.empty(len(begins), np.uint64), np.empty(len(begins), np.uint64)
    start = end = np.int64(-1)
    weight, first, second, last = np.int64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(len(begins)):
        if start != begins[i] or weight < target:
            start = end = begins[i]
            weight, first, second = np.int64(0), np.uint64(0), np.uint64(0)
            while weight < target:
                weight += narrow_chars if wide[codes[end]] else wide_chars
                first, second = enter(first, second, np.uint64(codes[end]))
                end += 1
        heads[i] = join(first, second)
        while start < stops[i]:
            if start == stops[i] - 1:
                last = join(first, second)
            code = np.uint64(codes[start])
            weight -= narrow_chars if wide[code] else wide_chars
            start += 1
            first, second = leave(first, second, code, powers[end - start], second_powers[end - start])
            while weight < target and end < limits[i]:
                weight += narrow_chars if wide[codes[end]] else wide_chars
                first, second = enter(first, second, np.uint64(codes[end]))
                end += 1
        after = join(first, second) if weight >= target else np.uint64(0)
        tails[i] = mix(last ^ mix(after + ODD_B))
    return heads, tails


class Strips(NamedTuple):
    """How the windows of each range follow on each other, to the window after the last, if there is one.

    n_steps: int64 (n_ranges,), from one window to the next, n_windows or one less. enters: int64, where the first
    window ends; last: int64, where the last of them ends. even: bool, one character enters at each step. states: uint64
    and uint32 (n_ranges,), both polynomials of the first window (see `kernels.rolling`).
    """

    n_steps: np.ndarray
    enters: np.ndarray
    last: np.ndarray
    even: np.ndarray
    first: np.ndarray
    second: np.ndarray


@nb.njit(cache=True, nogil=True)
def find_strips(
    codes: np.ndarray,
    begins: np.ndarray,
    stops: np.ndarray,
    limits: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns of Strips; arguments as for hash_edges."""
    target, n = np.int64(wide_chars) * narrow_chars, len(begins)
    n_steps, enters, last = np.zeros(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    even, states, second_states = np.ones(n, np.bool_), np.empty(n, np.uint64), np.empty(n, np.uint32)
    for i in range(n):
        end, weight, first, second = begins[i], np.int64(0), np.uint64(0), np.uint64(0)
        while weight < target:
            weight += narrow_chars if wide[codes[end]] else wide_chars
            first, second = enter(first, second, np.uint64(codes[end]))
            end += 1
        enters[i], last[i], states[i], second_states[i] = end, end, first, second
        for start in range(begins[i], stops[i]):
            weight -= narrow_chars if wide[codes[start]] else wide_chars
            before = end
            while weight < target and end < limits[i]:
                weight += narrow_chars if wide[codes[end]] else wide_chars
                end += 1
            if weight < target:
                break
            n_steps[i] += 1
            even[i] &= end == before + 1
            last[i] = end
    return n_steps, enters, last, even, states, second_states


@nb.njit(cache=True, nogil=True)
def count_entering(
    codes: np.ndarray,
    begins: np.ndarray,
    enters: np.ndarray,
    n_steps: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Characters that enter at each step of each range.

    Returns: uint16 (n,) and int64 (n_ranges + 1,), where those of each range begin.
    """
    target = np.int64(wide_chars) * narrow_chars
    starts = np.zeros(len(begins) + 1, np.int64)
    starts[1:] = np.cumsum(n_steps)
    counts = np.zeros(starts[-1], np.uint16)
    for i in range(len(begins)):
        weight, end = np.int64(0), enters[i]
        for k in range(begins[i], end):
            weight += narrow_chars if wide[codes[k]] else wide_chars
        for step in range(n_steps[i]):
            weight -= narrow_chars if wide[codes[begins[i] + step]] else wide_chars
            while weight < target:
                weight += narrow_chars if wide[codes[end]] else wide_chars
                end += 1
                counts[starts[i] + step] += 1
    return counts, starts
