"""Repeated windows (see `kernels.passages.anchors`) among ranges that share a key, and runs of them that continue
together.

Windows are compared by hashes of the parts of their text in which ranges of one key can differ: see
`kernels.passages.edges`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from stages.kernels.passages.edges import ENTERS, LEAVES
from stages.kernels.passages.rolling import base_powers, enter, join, leave
from stages.kernels.text.hashing import ODD_B, mix


class Windows(NamedTuple):
    """Ranges of windows that share a key, sorted by key.

    groups: int64 (n_groups + 1,), where the ranges of each key begin.
    strips: uint8 (n_ranges,), ENTERS, LEAVES or both, the same for all ranges of a key.
    counts: int32 (n_ranges,), number of windows. places: int32 (n_ranges,), number of occurrences of each range.
    leaving, entering: uint32, characters that leave and enter from window to window, each with starts, int64
    (n_ranges + 1,); empty for a range if strips does not include them.
    steps: uint16, number of characters that enter at each step, with step_starts, int64 (n_ranges + 1,); empty for a
    range with one character per step, and for one without entering characters.
    lengths, first, second: int32, uint64 and uint32 (n_ranges,), number of characters of the first window of each range
    and both its polynomials (see `kernels.passages.rolling`) if strips is both, else 0.
    """

    groups: np.ndarray
    strips: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    leaving: np.ndarray
    leaving_starts: np.ndarray
    entering: np.ndarray
    entering_starts: np.ndarray
    steps: np.ndarray
    step_starts: np.ndarray
    lengths: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Runs(NamedTuple):
    """Runs of consecutive windows with the same occurrences; windows that occur once form runs too.

    lengths, copies: int32 (n_runs,), number of windows and of occurrences of each run, 0 for windows that occur once.
    starts: int64 (n_ranges + 1,), where the runs of each range begin. goes_on: bool (n_ranges,), whether the same
    window follows all occurrences of the last window of a range.
    """

    lengths: np.ndarray
    copies: np.ndarray
    starts: np.ndarray
    goes_on: np.ndarray


def find_repeats(windows: Windows) -> Runs:
    """Find the runs of windows that occur more than once; each window is looked up once in a hash table."""
    hashes, checks, starts = hash_windows(windows)
    copies, goes_on = _match(windows.groups, windows.counts, windows.places, starts, hashes, checks)
    return Runs(*_collect(windows.counts, copies, goes_on))


@nb.njit(cache=True, nogil=True)
def hash_windows(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hash each window, and the window after the last of each range; windows of one key are equal if both hashes are.

    Returns: uint64 (n,), hashes, and uint32 (n,), checks, 0 for a missing window; int64 (n_ranges + 1,), where the
    windows of each range begin, one more than the range has.
    """
    strips, counts, lengths = windows.strips, windows.counts, windows.lengths
    leaving, leaving_starts = windows.leaving, windows.leaving_starts
    entering, entering_starts = windows.entering, windows.entering_starts
    steps, step_starts = windows.steps, windows.step_starts
    starts = np.zeros(len(counts) + 1, np.int64)
    longest = 0
    for row in range(len(counts)):
        starts[row + 1] = starts[row] + counts[row] + 1
        size = entering_starts[row + 1] - entering_starts[row]
        longest = max(longest, lengths[row] + size, leaving_starts[row + 1] - leaving_starts[row])
    powers, second_powers = base_powers(longest + 1)
    hashes, checks = np.zeros(starts[-1], np.uint64), np.zeros(starts[-1], np.uint32)
    for row in range(len(counts)):
        n, at, base = counts[row], starts[row], leaving_starts[row]
        low, high = entering_starts[row], entering_starts[row + 1]
        step = step_starts[row]
        even = step_starts[row + 1] == step
        if strips[row] == LEAVES:
            state, check = np.uint64(0), np.uint64(0)
            hashes[at + n] = hashes[at + n - 1] = mix(ODD_B)
            for i in range(n - 2, -1, -1):  # the last windows are equal: hash the text before them
                state, check = enter(state, check, np.uint64(leaving[base + i]))
                hashes[at + i], checks[at + i] = mix(join(state, check) + np.uint64(n - i)), check
            continue
        has_both = strips[row] == ENTERS | LEAVES
        state, check, length = np.uint64(0), np.uint64(0), 0
        if has_both:
            state, check, length = windows.first[row], np.uint64(windows.second[row]), lengths[row]
        n_steps = high - low if even else step_starts[row + 1] - step
        for i in range(n_steps + 1):
            hashes[at + i] = mix(join(state, check) + (np.uint64(0) if has_both else np.uint64(i)))
            checks[at + i] = check
            if i == n_steps:
                break
            if has_both:
                length -= 1
                code = np.uint64(leaving[base + i])
                state, check = leave(state, check, code, powers[length], second_powers[length])
            for _ in range(1 if even else steps[step + i]):
                state, check = enter(state, check, np.uint64(entering[low]))
                low += 1
                length += 1
    return hashes, checks, starts


@nb.njit(cache=True, nogil=True)
def _match(
    groups: np.ndarray,
    counts: np.ndarray,
    places: np.ndarray,
    starts: np.ndarray,
    hashes: np.ndarray,
    checks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Count the occurrences of each window, and test whether the same window follows all of them.

    Returns: int32 (n,) and bool (n,), indexed like the hashes of hash_windows.
    """
    owners = np.full(len(hashes), -1)
    copies, goes_on = np.zeros(len(hashes), np.int32), np.ones(len(hashes), np.bool_)
    slots = np.empty(1024, np.int64)
    for group in range(len(groups) - 1):
        low, high = groups[group], groups[group + 1]
        size = 16
        while size < 2 * (starts[high] - starts[low]):
            size *= 2
        if size > len(slots):
            slots = np.empty(size, np.int64)
        slots[:size] = -1
        last = np.uint64(size - 1)
        for row in range(low, high):
            for window in range(starts[row], starts[row] + counts[row]):
                slot = hashes[window] & last
                while slots[slot] >= 0 and (
                    hashes[slots[slot]] != hashes[window] or checks[slots[slot]] != checks[window]
                ):
                    slot = (slot + np.uint64(1)) & last
                if slots[slot] < 0:
                    slots[slot] = window
                owner = slots[slot]
                owners[window] = owner
                copies[owner] += places[row]
                goes_on[owner] &= (
                    hashes[owner + 1] == hashes[window + 1] and checks[owner + 1] == checks[window + 1]
                )
    for window in range(len(owners)):
        if owners[window] >= 0:
            copies[window], goes_on[window] = copies[owners[window]], goes_on[owners[window]]
    return copies, goes_on


@nb.njit(cache=True, nogil=True)
def _collect(
    counts: np.ndarray, copies: np.ndarray, window_goes_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compute the columns of Runs."""
    lengths, run_copies = np.empty(len(copies), np.int32), np.empty(len(copies), np.int32)
    starts, goes_on = np.zeros(len(counts) + 1, np.int64), np.empty(len(counts), np.bool_)
    n, at = 0, 0
    for row in range(len(counts)):
        for window in range(at, at + counts[row]):
            n_copies = copies[window] if copies[window] > 1 else 0
            continues = (
                window > at
                and run_copies[n - 1] == n_copies
                and (n_copies == 0 or window_goes_on[window - 1])
            )
            if not continues:
                lengths[n], run_copies[n] = 0, n_copies
                n += 1
            lengths[n - 1] += 1
        at += counts[row] + 1
        starts[row + 1], goes_on[row] = n, window_goes_on[at - 2]
    return lengths[:n].copy(), run_copies[:n].copy(), starts, goes_on
