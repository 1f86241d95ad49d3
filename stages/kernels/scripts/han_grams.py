"""Han characters and pairs of them as hashed features, by which languages written in Han characters are distinguished.

A cell is the hash of one character or of two adjacent ones, one of which may be the edge of a run of Han characters.
Reads the text view; writes cells for training, and sums of the weights of cells for scoring.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.scripts.scripts import HANI, SHORT, Survey
from stages.kernels.text.hashing import mix
from stages.kernels.text.tables import HAN
from stages.kernels.text.text import TextView

_EDGE = 1
"""Code point for both edges of a run of Han characters; no cell of a text is hashed from U+0000 and U+0001."""


def list_cells(text: TextView, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of all Han characters of each document.

    Args: n_cells, size of the table, a power of two.
    Returns: int32 (n,), cells; int64 (n_docs + 1,), where those of each document begin.
    """
    out = np.empty(3 * len(text.codes), np.int32)
    starts = np.zeros(len(text.starts), np.int64)
    _list_cells(text.codes, text.starts, text.classes, n_cells, out, starts)
    return out[: starts[-1]], starts


def sum_weights(text: TextView, found: Survey, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the weights of the cells of the Chinese lines of each document.

    Args: found, the survey of the text; weights, int16 (n_cells, n_columns), n_cells a power of two.
    Returns: int64 (n_docs, n_columns), sums; int64 (n_docs,), numbers of cells.
    """
    n_docs = len(text.starts) - 1
    sums, counts = np.zeros((n_docs, weights.shape[1]), np.int64), np.zeros(n_docs, np.int64)
    _sum_weights(
        text.codes, text.starts, text.classes, found.groups, found.short_group, weights, sums, counts
    )
    return sums, counts


def count_marks(text: TextView, docs: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Count marked characters of some documents.

    Args: docs, int64 (n,), indices of documents; marks, uint8 (0x110000,), 1 or 2 for the column in which a character
    is counted, 0 for none.
    Returns: int64 (n, 2).
    """
    counts = np.zeros((len(docs), 3), np.int64)
    _count_marks(text.codes, text.starts, docs, marks, counts)
    return counts[:, 1:]


@njit(cache=True, nogil=True)
def _count_marks(codes, starts, docs, marks, counts):  # type: ignore[no-untyped-def]  # numba infers types
    for i in range(len(docs)):
        for code in codes[starts[docs[i]] : starts[docs[i] + 1]]:
            counts[i, marks[code]] += 1


@njit(cache=True, nogil=True, inline="always")
def _cell(before, code, n_cells):  # type: ignore[no-untyped-def]  # numba infers types
    return np.int64(mix(np.uint64(before) << np.uint64(32) | np.uint64(code)) & np.uint64(n_cells - 1))


@njit(cache=True, nogil=True)
def _list_cells(codes, starts, classes, n_cells, out, out_starts):  # type: ignore[no-untyped-def]
    n = 0
    for doc in range(len(starts) - 1):
        before = _EDGE
        for i in range(starts[doc], starts[doc + 1]):
            if classes[i] == HAN:
                out[n] = _cell(0, codes[i], n_cells)
                out[n + 1] = _cell(before, codes[i], n_cells)
                n += 2
                before = codes[i]
            elif before != _EDGE:
                out[n] = _cell(before, _EDGE, n_cells)
                n += 1
                before = _EDGE
        if before != _EDGE:
            out[n] = _cell(before, _EDGE, n_cells)
            n += 1
        out_starts[doc + 1] = n


@njit(cache=True, nogil=True)
def _sum_weights(codes, starts, classes, groups, short_group, weights, sums, counts):  # type: ignore[no-untyped-def]
    n_cells, n_columns = weights.shape
    for doc in range(len(starts) - 1):
        before, n = _EDGE, 0
        total = sums[doc]
        with_short = short_group[doc] == HANI
        for i in range(starts[doc], starts[doc + 1]):
            if classes[i] == HAN and (groups[i] == HANI or (with_short and groups[i] == SHORT)):
                if codes[i] == before:
                    continue  # a repeated character adds no information
                one, two = _cell(0, codes[i], n_cells), _cell(before, codes[i], n_cells)
                for k in range(n_columns):
                    total[k] += weights[one, k] + weights[two, k]
                n += 2
                before = codes[i]
            elif before != _EDGE:
                edge = _cell(before, _EDGE, n_cells)
                for k in range(n_columns):
                    total[k] += weights[edge, k]
                n += 1
                before = _EDGE
        if before != _EDGE:
            edge = _cell(before, _EDGE, n_cells)
            for k in range(n_columns):
                total[k] += weights[edge, k]
            n += 1
        counts[doc] = n
