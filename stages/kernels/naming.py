"""Passages out of runs of repeated windows: which runs go on, where passages end, and what their first windows say."""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.hashing import ODD_A, mix


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
    """Join the repeated windows of each document to passages: places that all go on as one do.

    A run goes on in the next window if all its places are followed by that window and that one stands in no other.

    Args: docs, firsts, stops, copies: int64 or int32 (n_ranges,), the document of each range, its first window, one
    past its last, and its places where all are equal, 0 where runs tell. lengths, run_copies: int32, runs of the latter
    ranges, one after another; goes_on: bool, for each of these ranges.
    Returns: int64 (n_passages,) each, document, first and last window.
    """
    n_most = len(docs) + len(lengths)
    found, n, run, open_ = np.empty((3, n_most), np.int64), 0, 0, 0
    doc, stop, places, goes = np.int64(-1), np.int64(0), np.int64(0), False  # of the run before
    for i in range(len(docs)):
        start = firsts[i]
        while start < stops[i]:
            n_windows, here = stops[i] - start, np.int64(copies[i])
            if copies[i] == 0:
                n_windows, here = np.int64(lengths[run]), np.int64(run_copies[run])
                run += 1
            if here > 1:
                follows = start == firsts[i] and goes and doc == docs[i] and stop == start and places == here
                if not follows:
                    found[0, n], found[1, n] = docs[i], start
                    n += 1
                found[2, n - 1] = start + n_windows - 1
            start += n_windows
            places = here
        doc, stop, goes = docs[i], stops[i], True
        if copies[i] == 0:
            goes = goes_on[open_]
            open_ += 1
    return found[0, :n], found[1, :n], found[2, :n]


@nb.njit(cache=True, nogil=True)
def name_passages(
    codes: np.ndarray,
    begins: np.ndarray,
    last: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hash what the first window of each passage says, and find where its last one ends.

    Args: begins and last, int64 (n_passages,), the first and the last window of each, by the index in codes.
    Returns: uint64 (n_passages,); int64 (n_passages,), counted like the index of codes.
    """
    target = np.int64(wide_chars) * narrow_chars
    says, ends = np.empty(len(begins), np.uint64), np.empty(len(begins), np.int64)
    for i in range(len(begins)):
        end, weight, rolling = begins[i], np.int64(0), np.uint64(0)
        while weight < target:
            weight += narrow_chars if wide[codes[end]] else wide_chars
            rolling = rolling * ODD_A + np.uint64(codes[end]) + np.uint64(1)
            end += 1
        says[i] = mix(rolling ^ np.uint64(end - begins[i]))
        end, weight = last[i], np.int64(0)
        while weight < target:
            weight += narrow_chars if wide[codes[end]] else wide_chars
            end += 1
        ends[i] = end
    return says, ends
