"""Passages from runs of repeated windows: which runs continue each other, where passages end, hashes of passages."""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.hashing import ODD_A, mix


@nb.njit(cache=True, nogil=True)
def join_runs(
    docs: np.ndarray,
    firsts: np.ndarray,
    stops: np.ndarray,
    copies: np.ndarray,
    lengths: np.ndarray,
    run_copies: np.ndarray,
    goes_on: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join the repeated windows of each document to passages, whose occurrences all continue in the same way.

    A run continues in the next window if all its occurrences are followed by that window, and the window has no other
    occurrences.

    Args: docs, firsts, stops, copies: int64 or int32 (n_ranges,), for each range the document, the first window, one
    past the last window, and the number of occurrences if all occurrences of the range are equal, else 0. lengths and
    run_copies: int32 (n_runs,), runs of the ranges with copies 0, concatenated; goes_on: bool, one for each of these
    ranges (see `kernels.passages.substring.Runs`).
    Returns: int64 (n_passages,) each, document, first and last window.
    """
    n_most = len(docs) + len(lengths)
    passages, n, run, uneven_range = np.empty((3, n_most), np.int64), 0, 0, 0
    doc, stop, last_copies, continues = np.int64(-1), np.int64(0), np.int64(0), False  # of the previous run
    for i in range(len(docs)):
        start = firsts[i]
        while start < stops[i]:
            n_windows, n_copies = stops[i] - start, np.int64(copies[i])
            if copies[i] == 0:
                n_windows, n_copies = np.int64(lengths[run]), np.int64(run_copies[run])
                run += 1
            if n_copies > 1:
                follows = (
                    start == firsts[i]
                    and continues
                    and doc == docs[i]
                    and stop == start
                    and last_copies == n_copies
                )
                if not follows:
                    passages[0, n], passages[1, n] = docs[i], start
                    n += 1
                passages[2, n - 1] = start + n_windows - 1
            start += n_windows
            last_copies = n_copies
        doc, stop, continues = docs[i], stops[i], True
        if copies[i] == 0:
            continues = goes_on[uneven_range]
            uneven_range += 1
    return passages[0, :n], passages[1, :n], passages[2, :n]


@nb.njit(cache=True, nogil=True)
def name_passages(
    codes: np.ndarray,
    begins: np.ndarray,
    last: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hash the first window of each passage, and find the end of its last window.

    Args: codes, uint32 (n_codes,); begins and last, int64 (n_passages,), start in codes of the first and the last
    window of each passage; wide, bool (0x110000,); wide_chars and narrow_chars, length of a window (see
    `kernels.passages.anchors`).
    Returns: uint64 (n_passages,), hashes; int64 (n_passages,), ends in codes.
    """
    target = np.int64(wide_chars) * narrow_chars
    hashes, ends = np.empty(len(begins), np.uint64), np.empty(len(begins), np.int64)
    for i in range(len(begins)):
        end, weight, rolling = begins[i], np.int64(0), np.uint64(0)
        while weight < target:
            weight += narrow_chars if wide[codes[end]] else wide_chars
            rolling = rolling * ODD_A + np.uint64(codes[end]) + np.uint64(1)
            end += 1
        hashes[i] = mix(rolling ^ np.uint64(end - begins[i]))
        end, weight = last[i], np.int64(0)
        while weight < target:
            weight += narrow_chars if wide[codes[end]] else wide_chars
            end += 1
        ends[i] = end
    return hashes, ends
