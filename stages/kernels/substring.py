"""Which windows (see `kernels.anchors`) stand in more than one place, and where they go on together.

Windows that share a key are matched by a hash of what they say; each is then compared with the first of its
hash, so that a thousand equal ones cost a thousand comparisons.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from stages.kernels.hashing import ODD_A, ODD_B, mix

STEP = ODD_B
"""Of sets of places; any odd number of large multiplicative order."""


class Windows(NamedTuple):
    """Ranges of windows that share a key, sorted by key.

    groups: int64 (n_groups + 1,), where the ranges of each key begin.
    codes: uint32 (n_codes,), text of all ranges, each from its first window to the end of its last.
    starts: int64 (n_ranges + 1,), where the text of each range begins in codes.
    counts: int32 (n_ranges,), windows of each range.
    ends: int64 (n_codes,), of window_ends.
    firsts: int32 (n_ranges,), first character of the first window in its document.
    docs: uint64 (n_ranges,), a number for each document.
    """

    groups: np.ndarray
    codes: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray
    docs: np.ndarray


class Repeats(NamedTuple):
    """Runs of repeated windows, each in the same set of places as the one before it, one character on.

    ranges: int64 (n_runs,), the range that a run lies in. starts: int32, its first window, by its first
    character in the document; n_windows: int32; ends: int32, where its last window ends in the document.
    says: uint64, hash of what its first window says. places: uint64, of the set of its places, moved back to
    where the document begins, so that it is the same for windows that go on together.
    """

    ranges: np.ndarray
    starts: np.ndarray
    n_windows: np.ndarray
    ends: np.ndarray
    says: np.ndarray
    places: np.ndarray


def find_repeats(windows: Windows, base: np.uint64 = ODD_A) -> Repeats:
    """Find the windows that stand in more than one place: by hash, each compared with the first of its kind.

    A window that differs from the first one of equal hash counts as unrepeated, so that nothing is ever taken
    for a copy that is none. Each window is compared once, however many are equal.

    Args: base, odd, of the polynomial hash.
    """
    hashes = _hash_windows(windows, base)
    owners, places = _match_windows(windows, hashes)
    return Repeats(*_collect_runs(windows, hashes, owners, places))


@nb.njit(cache=True, nogil=True, inline="always")
def _inverse(odd: np.uint64) -> np.uint64:
    """Inverse modulo 2**64 by Newton's iteration: each step doubles the number of right bits, from 3."""
    inverse = odd
    for _ in range(5):
        inverse *= np.uint64(2) - odd * inverse
    return inverse


@nb.njit(cache=True, nogil=True)
def _hash_windows(windows: Windows, base: np.uint64) -> np.ndarray:
    """Hash what each window says, rolling from one to the next: uint64 (n_codes,), undefined at no window."""
    codes, hashes = windows.codes, np.empty(len(windows.codes), np.uint64)
    back = _inverse(base)
    for part in range(len(windows.counts)):
        low = windows.starts[part]
        end, rolling, power = low, np.uint64(0), np.uint64(1)  # power: base ** length
        for start in range(low, low + windows.counts[part]):
            while end < windows.ends[start]:
                rolling = rolling * base + np.uint64(codes[end]) + np.uint64(1)
                power *= base
                end += 1
            hashes[start] = mix(rolling ^ np.uint64(end - start))
            power *= back
            rolling -= (np.uint64(codes[start]) + np.uint64(1)) * power
    return hashes


@nb.njit(cache=True, nogil=True)
def _match_windows(windows: Windows, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the first place of each window, and say in which places it stands.

    The set of places is the sum over them of mix(document) * STEP ** character, which is multiplied by STEP when
    all go on by one character; divided by STEP ** (own character) it stays the same.

    Returns: int64 (n_codes,), index in codes of the equal window that comes first, -1 for a window that
    stands in one place; uint64 (n_codes,), its set of places.
    """
    codes, starts, ends = windows.codes, windows.starts, windows.ends
    owners, sets = np.full(len(codes), -1), np.zeros(len(codes), np.uint64)
    powers, n_same = np.empty(len(codes), np.uint64), np.zeros(len(codes), np.int32)
    back, slots = _inverse(STEP), np.empty(1024, np.int64)
    for group in range(len(windows.groups) - 1):
        low, high = windows.groups[group], windows.groups[group + 1]
        if _all_equal(windows, hashes, low, high):
            _match_equal(windows, low, high, owners, sets)
            continue
        at = np.empty(windows.counts[low:high].sum(), np.int64)
        n = 0
        for part in range(low, high):
            for start in range(starts[part], starts[part] + windows.counts[part]):
                at[n] = start
                n += 1
        slots = _link(hashes, at, owners, slots)
        for part in range(low, high):
            for start in range(starts[part], starts[part] + windows.counts[part]):
                owner, follows = owners[start], start > starts[part]
                goes_on = follows and owners[start - 1] >= 0 and owners[start - 1] == owner - 1
                done = ends[start - 1] - start if goes_on else 0  # compared with the window before
                if not _same(codes, owner, ends[owner], start, ends[start], done):
                    owners[start] = -1
                powers[start] = powers[start - 1] * STEP if follows else _power(STEP, windows.firsts[part])
                if owners[start] >= 0:
                    sets[owner] += mix(windows.docs[part] + ODD_A) * powers[start]
                    n_same[owner] += 1
        for start in at:
            if owners[start] >= 0 and n_same[owners[start]] < 2:
                owners[start] = -1
    for part in range(len(windows.counts)):
        power = _power(back, windows.firsts[part])
        for start in range(starts[part], starts[part] + windows.counts[part]):
            if owners[start] >= 0:
                powers[start] = sets[owners[start]] * power
            power *= back
    return owners, powers


@nb.njit(cache=True, nogil=True)
def _all_equal(windows: Windows, hashes: np.ndarray, low: int, high: int) -> bool:
    """Whether the ranges of a key, two and more, all say the same, and no window comes twice in one of them.

    So it is inside every passage but for its ends, and then nothing need be sorted.
    """
    codes, starts = windows.codes, windows.starts
    first, length, count = starts[low], starts[low + 1] - starts[low], windows.counts[low]
    if high - low < 2:
        return False
    for part in range(low + 1, high):
        if windows.counts[part] != count or starts[part + 1] - starts[part] != length:
            return False
        for i in range(length):
            if codes[starts[part] + i] != codes[first + i]:
                return False
    ordered = np.sort(hashes[first : first + count])
    for i in range(1, count):
        if ordered[i] == ordered[i - 1]:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def _match_equal(windows: Windows, low: int, high: int, owners: np.ndarray, sets: np.ndarray) -> None:
    """Set owners and sets, as _match_windows does, for ranges that are _all_equal."""
    first, places = windows.starts[low], np.uint64(0)
    for part in range(low, high):
        places += mix(windows.docs[part] + ODD_A) * _power(STEP, windows.firsts[part])
        for i in range(windows.counts[part]):
            owners[windows.starts[part] + i] = first + i
    for i in range(windows.counts[low]):
        sets[first + i] = places
        places *= STEP


@nb.njit(cache=True, nogil=True)
def _same(codes: np.ndarray, left: int, left_end: int, right: int, right_end: int, done: int) -> bool:
    """Whether two windows say the same, the first `done` characters being known to."""
    if left_end - left != right_end - right:
        return False
    if left != right:
        for i in range(done, left_end - left):
            if codes[left + i] != codes[right + i]:
                return False
    return True


@nb.njit(cache=True, nogil=True)
def _link(hashes: np.ndarray, at: np.ndarray, owners: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Set owners[i] to the first of `at` with the hash of i, for each i in `at`.

    Args: slots, int64, a table to work in. Returns: the table, larger where it had to grow.
    """
    size = 16
    while size < 2 * len(at):
        size *= 2
    if size > len(slots):
        slots = np.empty(size, np.int64)
    slots[:size] = -1
    last = np.uint64(size - 1)
    for window in at:
        slot = hashes[window] & last
        while slots[slot] >= 0 and hashes[slots[slot]] != hashes[window]:
            slot = (slot + np.uint64(1)) & last
        if slots[slot] < 0:
            slots[slot] = window
        owners[window] = slots[slot]
    return slots


@nb.njit(cache=True, nogil=True)
def _power(base: np.uint64, exponent: int) -> np.uint64:
    """base ** exponent modulo 2**64, by squaring."""
    result, left = np.uint64(1), np.int64(exponent)
    while left:
        if left & 1:
            result *= base
        base *= base
        left >>= 1
    return result


@nb.njit(cache=True, nogil=True)
def _collect_runs(
    windows: Windows, hashes: np.ndarray, owners: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns of Repeats."""
    n_most = np.count_nonzero(owners >= 0)
    ranges, says, sets = np.empty(n_most, np.int64), np.empty(n_most, np.uint64), np.empty(n_most, np.uint64)
    first, n_windows = np.empty(n_most, np.int32), np.empty(n_most, np.int32)
    last = np.empty(n_most, np.int32)
    n = 0
    for part in range(len(windows.counts)):
        low = windows.starts[part]
        for start in range(low, low + windows.counts[part]):
            if owners[start] < 0:
                continue
            goes_on = start > low and owners[start - 1] >= 0 and places[start - 1] == places[start]
            if not goes_on:
                ranges[n], says[n], sets[n] = part, hashes[start], places[start]
                first[n], n_windows[n] = windows.firsts[part] + start - low, 0
                n += 1
            n_windows[n - 1] += 1
            last[n - 1] = windows.firsts[part] + windows.ends[start] - low
    return ranges[:n], first[:n], n_windows[:n], last[:n], says[:n], sets[:n]
