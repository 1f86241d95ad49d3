"""Which windows (see `kernels.anchors`) of ranges that share a key stand in more than one place, and go on together.

A window is known by a hash of what it says, as far as ranges of its key may differ: see `kernels.edges`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from stages.kernels.edges import ENTERS, LEAVES
from stages.kernels.hashing import ODD_B, mix
from stages.kernels.rolling import base_powers, enter, join, leave


class Windows(NamedTuple):
    """Ranges of windows that share a key, sorted by key.

    groups: int64 (n_groups + 1,), where the ranges of each key begin. strips: uint8 (n_ranges,), the same for all
    ranges of a key. counts: int32 (n_ranges,), windows of each. places: int32 (n_ranges,), how often each stands.
    leaving, entering: uint32, characters that leave and enter from window to window, each with int64 (n_ranges + 1,),
    where those of each range begin; none where strips leaves them out.
    steps: uint16, characters that enter at each step, and where those of each range begin; none for one at each step,
    or where nothing is told of what enters.
    lengths, first, second: int32, uint64 and uint32 (n_ranges,), characters of the first window of each range, and both
    its polynomials, where strips has both; else 0.
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
    """Runs of windows that stand in as many places and go on together, those in one place taken as one run.

    lengths, copies: int32 (n_runs,), windows and places of each, 0 places for one. starts: int64 (n_ranges + 1,), where
    the runs of each range begin. goes_on: bool (n_ranges,), the places of its last window all go on alike.
    """

    lengths: np.ndarray
    copies: np.ndarray
    starts: np.ndarray
    goes_on: np.ndarray


def find_repeats(windows: Windows) -> Runs:
    """Find the windows that stand in more than one place: each is looked up once, however many are equal."""
    hashes, checks, starts = hash_windows(windows)
    copies, alike = _match(windows.groups, windows.counts, windows.places, starts, hashes, checks)
    return Runs(*_collect(windows.counts, copies, alike))


@nb.njit(cache=True, nogil=True)
def hash_windows(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hash what each window says, and the one after the last; windows of one key are equal if hash and check are.

    Returns: uint64 (n,) and uint32 (n,), 0 for a window that is not there; int64 (n_ranges + 1,), where the windows of
    each range begin, one more than it has.
    """
    strips, counts, lengths = windows.strips, windows.counts, windows.lengths
    leaving, leaving_starts = windows.leaving, windows.leaving_starts
    entering, entering_starts = windows.entering, windows.entering_starts
    steps, step_starts = windows.steps, windows.step_starts
    starts = np.zeros(len(counts) + 1, np.int64)
    longest = 0
    for part in range(len(counts)):
        starts[part + 1] = starts[part] + counts[part] + 1
        size = entering_starts[part + 1] - entering_starts[part]
        longest = max(longest, lengths[part] + size, leaving_starts[part + 1] - leaving_starts[part])
    powers, second_powers = base_powers(longest + 1)
    hashes, checks = np.zeros(starts[-1], np.uint64), np.zeros(starts[-1], np.uint32)
    for part in range(len(counts)):
        n, at, base = counts[part], starts[part], leaving_starts[part]
        low, high = entering_starts[part], entering_starts[part + 1]
        step = step_starts[part]
        even = step_starts[part + 1] == step
        if strips[part] == LEAVES:
            one, two = np.uint64(0), np.uint64(0)
            hashes[at + n] = hashes[at + n - 1] = mix(ODD_B)
            for i in range(n - 2, -1, -1):  # the last windows are equal: what stands before them, from there
                one, two = enter(one, two, np.uint64(leaving[base + i]))
                hashes[at + i], checks[at + i] = mix(join(one, two) + np.uint64(n - i)), two
            continue
        whole = strips[part] == ENTERS | LEAVES
        one, two, length = np.uint64(0), np.uint64(0), 0
        if whole:
            one, two, length = windows.first[part], np.uint64(windows.second[part]), lengths[part]
        n_steps = high - low if even else step_starts[part + 1] - step
        for i in range(n_steps + 1):
            hashes[at + i] = mix(join(one, two) + (np.uint64(0) if whole else np.uint64(i)))
            checks[at + i] = two
            if i == n_steps:
                break
            if whole:
                length -= 1
                code = np.uint64(leaving[base + i])
                one, two = leave(one, two, code, powers[length], second_powers[length])
            for _ in range(1 if even else steps[step + i]):
                one, two = enter(one, two, np.uint64(entering[low]))
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
    """Count the places of each window, and say whether they all go on alike.

    Returns: int32 (n,) and bool (n,), by the places of hash_windows.
    """
    owners = np.full(len(hashes), -1)
    copies, alike = np.zeros(len(hashes), np.int32), np.ones(len(hashes), np.bool_)
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
        for part in range(low, high):
            for window in range(starts[part], starts[part] + counts[part]):
                slot = hashes[window] & last
                while slots[slot] >= 0 and (
                    hashes[slots[slot]] != hashes[window] or checks[slots[slot]] != checks[window]
                ):
                    slot = (slot + np.uint64(1)) & last
                if slots[slot] < 0:
                    slots[slot] = window
                owner = slots[slot]
                owners[window] = owner
                copies[owner] += places[part]
                alike[owner] &= (
                    hashes[owner + 1] == hashes[window + 1] and checks[owner + 1] == checks[window + 1]
                )
    for window in range(len(owners)):
        if owners[window] >= 0:
            copies[window], alike[window] = copies[owners[window]], alike[owners[window]]
    return copies, alike


@nb.njit(cache=True, nogil=True)
def _collect(
    counts: np.ndarray, copies: np.ndarray, alike: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns of Runs."""
    lengths, found = np.empty(len(copies), np.int32), np.empty(len(copies), np.int32)
    starts, goes_on = np.zeros(len(counts) + 1, np.int64), np.empty(len(counts), np.bool_)
    n, at = 0, 0
    for part in range(len(counts)):
        for window in range(at, at + counts[part]):
            places = copies[window] if copies[window] > 1 else 0
            goes = window > at and found[n - 1] == places and (places == 0 or alike[window - 1])
            if not goes:
                lengths[n], found[n] = 0, places
                n += 1
            lengths[n - 1] += 1
        at += counts[part] + 1
        starts[part + 1], goes_on[part] = n, alike[at - 2]
    return lengths[:n].copy(), found[:n].copy(), starts, goes_on
