"""Features of the domain model: hashed n-grams of the words of a text and of its URL.

Words are units in match text (`kernels.text.units`) without numbers. Features are each word, the first five letters of
longer words, pairs of words, and triples of single characters; punctuation and line breaks end an n-gram. Chinese and
English share one table, regardless of the language of a document.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, mix
from stages.kernels.text.tables import DIGIT, HAN, SPACE
from stages.kernels.text.units import hash_unit, unit_end

HASH_BITS = 18
N_CELLS = 1 << HASH_BITS
MAX_ROWS = (1 << 16) - 1
"""Maximum number of cells with weights: small enough for the CPU cache; most n-grams are not informative."""
N_WORDS = 7
MAX_LABELS = 4 * N_WORDS
OFFSET = 128
MAX_SUM = 256
"""Number of weights up to 255 that can be added in a lane of 16 bits without overflow."""
STEM_LETTERS = 5
MIN_URL_LETTERS = 4
"""Shorter words of a URL are not informative: www, com, org, php."""

_SHIFT = np.uint64(64 - HASH_BITS)
_STEM = np.uint64(0x5DEECE66D)
_DOT, _SLASH, _COLON, _QUERY, _HASH_MARK = 0x2E, 0x2F, 0x3A, 0x3F, 0x23


def pack(cells: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pack weights for `sum_weights`: four columns per uint64, plus 128, so that no lane borrows from the next.

    Args: cells, integers (n_rows,), n_rows up to MAX_ROWS; weights, int8 (n_rows, up to MAX_LABELS).
    Returns: uint16 (N_CELLS,), row of each cell, 0 for cells without weights; uint64 (n_rows + 1, 8), one cache line
    per row.
    """
    index = np.zeros(N_CELLS, np.uint16)
    index[cells] = np.arange(1, len(cells) + 1)
    lanes = np.zeros((len(cells) + 1, 4 * N_WORDS), np.uint64)
    lanes[1:, : weights.shape[1]] = weights.astype(np.int64) + OFFSET
    packed = np.zeros((len(lanes), 8), np.uint64)
    for lane in range(4):
        packed[:, :N_WORDS] |= lanes[:, lane::4] << np.uint64(16 * lane)
    return index, packed


@njit(cache=True, nogil=True)
def sum_weights(codes, classes, starts, urls, offsets, fold, index, packed):  # type: ignore[no-untyped-def]
    """Sum the weights of the n-grams of each document.

    Args: codes, classes, starts, a TextView; urls, offsets, UTF-8 of the URLs; fold, of match text; index, packed, see
    `pack`.
    Returns: int64 (n_docs, MAX_LABELS), sums; int64 (n_docs,), n-grams of each document; int64 (n_docs,), n-grams of
    its text only.
    """
    n_docs = len(starts) - 1
    totals, counts = np.zeros((n_docs, MAX_LABELS), np.int64), np.zeros(n_docs, np.int64)
    own, cells = np.zeros(n_docs, np.int64), make_cells(starts, offsets)
    for doc in range(n_docs):
        own[doc] = note_text(codes, classes, fold, starts[doc], starts[doc + 1], cells, 0)
        n = note_url(urls, fold, offsets[doc], offsets[doc + 1], cells, own[doc])
        counts[doc] = n
        for at in range(0, n, MAX_SUM):
            add_rows(cells[at : min(n, at + MAX_SUM)], index, packed, totals[doc])
    return totals, counts, own


@njit(cache=True, nogil=True)
def add_rows(cells, index, packed, totals):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Add the weights of at most MAX_SUM n-grams to totals, int64 (MAX_LABELS,); lanes are unpacked at the end."""
    a = b = c = d = e = f = g = np.uint64(
        0
    )  # kept in registers; an array would be written to memory for each n-gram
    n = 0
    for cell in cells:
        row = index[cell]
        if row:
            n += 1
            a += packed[row, 0]
            b += packed[row, 1]
            c += packed[row, 2]
            d += packed[row, 3]
            e += packed[row, 4]
            f += packed[row, 5]
            g += packed[row, 6]
    words = (a, b, c, d, e, f, g)
    for i in range(N_WORDS):
        for lane in range(4):
            totals[4 * i + lane] += (
                np.int64((words[i] >> np.uint64(16 * lane)) & np.uint64(0xFFFF)) - OFFSET * n
            )


@njit(cache=True, nogil=True)
def list_features(codes, classes, starts, fold):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Features of each text, for training.

    Returns: int32, cells of the n-grams of all documents; int64 (n_docs + 1,), offsets of the documents in them.
    """
    n_docs = len(starts) - 1
    cells, begins = np.empty(3 * len(codes) + 1, np.int32), np.zeros(n_docs + 1, np.int64)
    for doc in range(n_docs):
        begins[doc + 1] = note_text(codes, classes, fold, starts[doc], starts[doc + 1], cells, begins[doc])
    return cells[: begins[n_docs]], begins


@njit(cache=True, nogil=True)
def make_cells(starts, offsets):  # type: ignore[no-untyped-def]
    """Buffer for the n-grams of the longest document; memory pages that are never written are not allocated."""
    longest = 0
    for doc in range(len(starts) - 1):
        longest = max(longest, starts[doc + 1] - starts[doc] + offsets[doc + 1] - offsets[doc])
    return np.empty(3 * longest, np.int32)


@njit(cache=True, nogil=True)
def note_text(codes, classes, fold, start, end, cells, n):  # type: ignore[no-untyped-def]
    """Write the cells of the n-grams of a text from position n; returns the end (at most 3 cells per character)."""
    last, pair = np.uint64(0), np.uint64(0)
    last_single = False
    i = start
    while i < end:
        kind = classes[i]
        if kind <= DIGIT:  # a number, punctuation or a space; all but spaces end an n-gram
            if kind != SPACE:
                last, pair = np.uint64(0), np.uint64(0)
            i = unit_end(codes, classes, i, end) if kind == DIGIT else i + 1
            continue
        stop = unit_end(codes, classes, i, end)
        key, single = hash_unit(codes, fold, i, stop), kind >= HAN
        cells[n] = mix(key) >> _SHIFT
        n += 1
        if stop - i > STEM_LETTERS:
            cells[n] = mix(hash_unit(codes, fold, i, i + STEM_LETTERS) ^ _STEM) >> _SHIFT
            n += 1
        if last:
            both = mix(last * ODD_A + key)
            cells[n] = both >> _SHIFT
            n += 1
            if pair and single and last_single:
                cells[n] = mix(pair * ODD_A + key) >> _SHIFT
                n += 1
            pair = both if single and last_single else np.uint64(0)
        last, last_single = key, single
        i = stop
    return n


@njit(cache=True, nogil=True)
def note_url(url, fold, start, end, cells, n):  # type: ignore[no-untyped-def]
    """Write the cells of the words in host and path of a URL, without scheme, file extension and query."""
    in_path = False
    i = start
    while i + 2 < end and not (url[i] == _COLON and url[i + 1] == _SLASH and url[i + 2] == _SLASH):
        i += 1
    i = i + 3 if i + 2 < end else start
    after_dot = False
    while i < end and url[i] != _QUERY and url[i] != _HASH_MARK:
        stop = i
        while stop < end and (0x41 <= url[stop] <= 0x5A or 0x61 <= url[stop] <= 0x7A):
            stop += 1
        if stop == i:
            in_path |= url[i] == _SLASH
            after_dot = url[i] == _DOT
            i += 1
            continue
        if stop - i >= MIN_URL_LETTERS and not (in_path and after_dot):
            cells[n] = mix(hash_unit(url, fold, i, stop)) >> _SHIFT
            n += 1
        after_dot = False
        i = stop
    return n
