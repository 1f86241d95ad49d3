"""Windows of a fixed length at every character of a text, and the anchors by which equal windows are found.

Length is measured in weights, so that one length fits mixed text: a wide (East Asian) character weighs `narrow_chars`,
any other character weighs `wide_chars`, and the window at a character is the shortest text from there on that weighs at
least their product. That is `wide_chars` wide characters, or `narrow_chars` others.

The gram at a character is defined in the same way with half the weight. The anchor of a window is the gram inside it
with the least hash, the last one of equals, so it depends on the text of the window alone. Equal windows therefore have
equal anchors at equal offsets, and the windows of a text form consecutive ranges with one anchor each. Source:
winnowing, Schleimer, Wilkerson and Aiken, SIGMOD 2003.
"""

from __future__ import annotations

from functools import cache

import numba as nb
import numpy as np

from stages.kernels.scripts.scripts import encode
from stages.kernels.text.hashing import ODD_A, ODD_B, mix

WIDE_RANGES = (
    (0x2E80, 0xA4D0),
    (0xAC00, 0xD7A4),
    (0xF900, 0xFB00),
    (0xFE30, 0xFE50),
    (0xFF00, 0xFFF0),
    (0x20000, 0x40000),
)
"""Half-open ranges of wide characters: ideographs, kana, Hangul, and the punctuation, letters and digits of
East Asian width. Source: Unicode Standard Annex 11, blocks in which Wide or Fullwidth is the rule."""


@cache
def wide_table() -> np.ndarray:
    """Whether each code point is wide: bool (0x110000,), read-only."""
    table = np.zeros(0x110000, np.bool_)
    for low, high in WIDE_RANGES:
        table[low:high] = True
    table.setflags(write=False)
    return table


@nb.njit(cache=True, nogil=True)
def find_anchors(
    codes: np.ndarray, starts: np.ndarray, wide: np.ndarray, wide_chars: int, narrow_chars: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the anchors of each text, in the order of their windows.

    In a text that repeats a short pattern, many consecutive anchors have the same key. Only the first two of them are
    kept; the second one represents the rest. So a long repetition costs little and its key still occurs twice.

    Args: codes and starts, of a TextView; wide, of wide_table; wide_chars and narrow_chars, length of a window.
    Returns: uint64 (n_anchors,), key of the gram; int32 (n_anchors,), the first window of each anchor, by the offset of
    its first character in the text; int64 (n_docs + 1,), where the anchors of each text begin; int32 (n_docs,), number
    of windows of each text.
    """
    target = np.int64(wide_chars) * narrow_chars
    longest = (target - 1) // min(wide_chars, narrow_chars) + 1  # characters of a window
    powers = np.ones(longest + 1, np.uint64)
    for i in range(longest):
        powers[i + 1] = powers[i] * ODD_A
    keys = np.empty(len(codes), np.uint64)
    firsts = np.empty(len(codes), np.int32)
    offsets, n_windows = np.empty(len(starts), np.int64), np.zeros(len(starts) - 1, np.int32)
    ring = 1
    while ring <= longest:
        ring *= 2
    hashes = np.empty(ring, np.uint64)  # of the grams of a window, in a ring
    n = 0
    for doc in range(len(starts) - 1):
        offsets[doc] = n
        low, high = starts[doc], starts[doc + 1]
        even = low + 1
        while even < high and wide[codes[even]] == wide[codes[low]]:
            even += 1
        if even >= high:
            weight = narrow_chars if low < high and wide[codes[low]] else wide_chars
            n, n_windows[doc] = _even(codes, low, high, weight, target, powers, hashes, keys, firsts, n)
        else:
            weights = (narrow_chars, wide_chars)
            n, n_windows[doc] = _mixed(
                codes, low, high, wide, weights, target, powers, hashes, keys, firsts, n
            )
    offsets[len(starts) - 1] = n
    return keys[:n].copy(), firsts[:n].copy(), offsets, n_windows


@nb.njit(cache=True, nogil=True)
def _even(codes, low, high, weight, target, powers, hashes, keys, firsts, n):  # type: ignore[no-untyped-def]  # numba infers types
    """Append the anchors of a text whose characters all have the same weight; as _mixed, but faster."""
    begin, ring = n, np.uint64(len(hashes) - 1)
    size = (target - 1) // weight + 1
    gram_size = ((target + 1) // 2 - 1) // weight + 1
    if high - low < size:
        return n, 0
    rolling, power = np.uint64(0), powers[gram_size - 1]
    for i in range(low, low + gram_size - 1):
        rolling = rolling * ODD_A + np.uint64(codes[i]) + np.uint64(1)
    least, at, last = ~np.uint64(0), -1, -1
    for gram in range(low, high - gram_size + 1):
        rolling = rolling * ODD_A + np.uint64(codes[gram + gram_size - 1]) + np.uint64(1)
        value = mix(rolling ^ np.uint64(gram_size))
        rolling -= (np.uint64(codes[gram]) + np.uint64(1)) * power
        hashes[np.uint64(gram) & ring] = value
        if value <= least:
            least, at = value, gram
        start = gram - (size - gram_size)
        if start < low:
            continue
        if at < start:
            least, at = _least(hashes, start, gram + 1)
        if at != last:
            last = at
            n = _add(keys, firsts, begin, n, least, start - low)
    return n, high - low - size + 1


@nb.njit(cache=True, nogil=True)
def _mixed(codes, low, high, wide, weights, target, powers, hashes, keys, firsts, n):  # type: ignore[no-untyped-def]  # numba infers types
    """Append the anchors of a text from n on; return the new n and the number of windows of the text.

    The least gram is kept until a lesser one enters or it leaves the window. Only then is the whole window searched
    again, about as often as there are anchors, because hashes are as good as random.
    """
    begin, ring, half = n, np.uint64(len(hashes) - 1), (target + 1) // 2
    ring_weights = np.empty(len(hashes), np.int32)  # weights of the characters of the window, in a ring
    end, weight = low, np.int64(0)  # of the window
    gram, gram_end, gram_weight, rolling = low, low, np.int64(0), np.uint64(0)
    least, at, last = (
        ~np.uint64(0),
        -1,
        -1,
    )  # hash and position of the least gram, position of the previous one
    for start in range(low, high):
        while weight < target and end < high:
            char_weight = weights[0] if wide[codes[end]] else weights[1]
            ring_weights[np.uint64(end) & ring] = char_weight
            weight += char_weight
            end += 1
        if weight < target:
            return n, start - low
        while True:
            while gram_weight < half and gram_end < end:
                gram_weight += ring_weights[np.uint64(gram_end) & ring]
                rolling = rolling * ODD_A + np.uint64(codes[gram_end]) + np.uint64(1)
                gram_end += 1
            if gram_weight < half:
                break
            value = mix(rolling ^ np.uint64(gram_end - gram))
            hashes[np.uint64(gram) & ring] = value
            if value <= least:
                least, at = value, gram
            gram_weight -= ring_weights[np.uint64(gram) & ring]
            rolling -= (np.uint64(codes[gram]) + np.uint64(1)) * powers[gram_end - gram - 1]
            gram += 1
        if at < start:
            least, at = _least(hashes, start, gram)
        if at != last:
            last = at
            n = _add(keys, firsts, begin, n, least, start - low)
        weight -= ring_weights[np.uint64(start) & ring]
    return n, high - low


@nb.njit(cache=True, nogil=True, inline="always")
def _least(hashes: np.ndarray, begin: int, end: int) -> tuple[np.uint64, int]:
    """Return the least hash of the grams in a ring and the position of its last occurrence."""
    ring = np.uint64(len(hashes) - 1)
    least, at = hashes[np.uint64(begin) & ring], begin
    for gram in range(begin + 1, end):
        if hashes[np.uint64(gram) & ring] <= least:
            least, at = hashes[np.uint64(gram) & ring], gram
    return least, at


@nb.njit(cache=True, nogil=True, inline="always")
def _add(keys: np.ndarray, firsts: np.ndarray, begin: int, n: int, least: np.uint64, first: int) -> int:
    """Append an anchor to those of a text, unless the two before it have the same key; return the new n."""
    key = mix(least ^ ODD_B)  # least hashes are small, but keys must be uniform over 64 bits
    if n < begin + 2 or keys[n - 1] != key or keys[n - 2] != key:
        keys[n], firsts[n] = key, first
        n += 1
    return n


@nb.njit(cache=True, nogil=True)
def cut(codes: np.ndarray, begins: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copy ranges of codes, which may overlap, as UTF-8.

    Args: codes, uint32 (n_codes,); begins and stops, int64 (n_ranges,).
    Returns: uint8 (n_bytes,); int64 (n_ranges + 1,), where each range begins in it.
    """
    starts = np.zeros(len(begins) + 1, np.int64)
    for i in range(len(begins)):
        n_bytes = 0
        for k in range(begins[i], stops[i]):
            code = codes[k]
            n_bytes += 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)
        starts[i + 1] = starts[i] + n_bytes
    copied = np.empty(starts[-1], np.uint8)
    n = 0
    for i in range(len(begins)):
        for k in range(begins[i], stops[i]):
            n = encode(codes[k], copied, n)
    return copied, starts
