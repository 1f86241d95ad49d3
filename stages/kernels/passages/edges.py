"""Hashes of the first and last window of each range, and the characters by which the windows between them differ.

All windows of a range contain the gram of its anchor, so they overlap. From one window to the next, characters leave at
the front and others enter at the end. For a range of three windows of five characters around the gram `cde`:

    text        a b c d e f g h
    gram            c d e
    window 0    a b c d e
    window 1      b c d e f
    window 2        c d e f g
    leaving     a b                 the strip before the last window
    entering              f g       the strip after the first window

The first window and both strips determine all windows. If two ranges of one gram have the same first window, the same
characters leave in both up to the end of the shorter range, so their windows differ only by the entering strip. The
reverse holds for ranges with the same last window. Ranges that serve several grams of one key are compared by the first
window and both strips.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from stages.kernels.passages.rolling import base_powers, enter, join, leave
from stages.kernels.text.hashing import ODD_B, mix

ENTERS, LEAVES = 1, 2
"""Strips by which the windows of ranges differ, as bits."""


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
    """Hash the first and the last window of each range.

    A window ends with the character at which its weight reaches wide_chars * narrow_chars; a wide character weighs
    narrow_chars, any other weighs wide_chars. Sorting ranges by position saves time, because windows are rolled on.

    Args: codes, uint32 (n_codes,); begins and stops, int64 (n_ranges,), start in codes of the first window and one past
    the start of the last; limits, int64 (n_ranges,), end of the text of each range; wide, bool (0x110000,).
    Returns: uint64 (n_ranges,), hash of the first window; uint64 (n_ranges,), hash of the last window and of the window
    after it, if the text has one.
    """
    target = np.int64(wide_chars) * narrow_chars
    powers, second_powers = base_powers(int((target - 1) // min(wide_chars, narrow_chars) + 1))
    heads, tails = np.empty(len(begins), np.uint64), np.empty(len(begins), np.uint64)
    start = end = np.int64(-1)
    weight, first, second, last = np.int64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(len(begins)):
        if start != begins[i] or weight < target:
            start = begins[i]
            end, weight = _advance(codes, start, limits[i], 0, target, wide, wide_chars, narrow_chars)
            first, second = _enter_all(codes, start, end, np.uint64(0), np.uint64(0))
        heads[i] = join(first, second)
        while start < stops[i]:
            if start == stops[i] - 1:
                last = join(first, second)
            code = np.uint64(codes[start])
            weight -= narrow_chars if wide[code] else wide_chars
            start += 1
            first, second = leave(first, second, code, powers[end - start], second_powers[end - start])
            entering = end
            end, weight = _advance(codes, end, limits[i], weight, target, wide, wide_chars, narrow_chars)
            first, second = _enter_all(codes, entering, end, first, second)
        after = join(first, second) if weight >= target else np.uint64(0)
        tails[i] = mix(last ^ mix(after + ODD_B))
    return heads, tails


@nb.njit(cache=True, nogil=True, inline="always")
def _advance(codes, end, limit, weight, target, wide, wide_chars, narrow_chars):  # type: ignore[no-untyped-def]  # numba infers types
    """Extend a window of this weight to the target, or to the limit; return its new end and weight."""
    while weight < target and end < limit:
        weight += narrow_chars if wide[codes[end]] else wide_chars
        end += 1
    return end, weight


@nb.njit(cache=True, nogil=True, inline="always")
def _enter_all(codes, start, end, first, second):  # type: ignore[no-untyped-def]
    """Append codes[start:end] to both polynomials of a window (see `kernels.passages.rolling`)."""
    for i in range(start, end):
        first, second = enter(first, second, np.uint64(codes[i]))
    return first, second


class Strips(NamedTuple):
    """Steps from each window of a range to the next, up to the window after the last one, if there is one.

    n_steps: int64 (n_ranges,), number of steps, equal to the number of windows or one less.
    enters: int64 (n_ranges,), end of the first window, where the entering strip begins.
    last: int64 (n_ranges,), end of the last window, where the entering strip ends.
    even: bool (n_ranges,), whether exactly one character enters at each step.
    first, second: uint64 and uint32 (n_ranges,), both polynomials of the first window (see `kernels.passages.rolling`).
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
    """Compute the columns of Strips, (n_ranges,) each; arguments as for hash_edges."""
    target, n = np.int64(wide_chars) * narrow_chars, len(begins)
    n_steps, enters, last = np.zeros(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    even, states, second_states = np.ones(n, np.bool_), np.empty(n, np.uint64), np.empty(n, np.uint32)
    for i in range(n):
        end, weight = _advance(codes, begins[i], limits[i], 0, target, wide, wide_chars, narrow_chars)
        states[i], second_states[i] = _enter_all(codes, begins[i], end, np.uint64(0), np.uint64(0))
        enters[i], last[i] = end, end
        for start in range(begins[i], stops[i]):
            weight -= narrow_chars if wide[codes[start]] else wide_chars
            entering = end
            end, weight = _advance(codes, end, limits[i], weight, target, wide, wide_chars, narrow_chars)
            if weight < target:
                break
            n_steps[i] += 1
            even[i] &= end == entering + 1
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
    """Count the characters that enter at each step of each range.

    Args: as for hash_edges; enters and n_steps, int64 (n_ranges,), of Strips.
    Returns: uint16 (n_steps.sum(),), counts; int64 (n_ranges + 1,), where those of each range begin.
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
            entering = end
            end, weight = _advance(codes, end, len(codes), weight, target, wide, wide_chars, narrow_chars)
            counts[starts[i] + step] = end - entering
    return counts, starts
