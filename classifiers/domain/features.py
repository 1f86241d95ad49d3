"""Sums of the domain model over the hashed n-grams of a text and the words of its URL.

The n-grams are those of `classifiers.quality.features`, so that one pass over the text serves all n-gram models. Each
distinct n-gram has a level, about two times log2(1 + number of occurrences); the vector of levels is divided by its
length. Words of the host and the path of the URL count like words of the text.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from classifiers.quality.features import HASH_BITS, N_CELLS, N_FAMILIES
from stages.kernels.text.hashing import mix
from stages.kernels.text.tables import DIGIT
from stages.kernels.text.units import hash_unit

MAX_ROWS = (1 << 16) - 1
"""Maximum number of cells with weights per family: small enough for the CPU cache; most n-grams are not informative."""
N_WORDS = 7
MAX_LABELS = 4 * N_WORDS
OFFSET = 128
MAX_SUM = 65535 // 255
"""Sum of levels up to which weights of up to 255 fit into a lane of 16 bits."""
LEVELS = np.rint(2 * np.log2(1 + np.arange(1 << 12))).astype(np.int64)
"""Level of an n-gram, by how often it occurs in a document; larger numbers count as the last."""
MIN_URL_LETTERS = 4
"""Shorter words of a URL are not informative: www, com, org, php."""

_SHIFT = np.uint64(64 - HASH_BITS)
_DOT, _SLASH, _COLON, _QUERY, _HASH_MARK = 0x2E, 0x2F, 0x3A, 0x3F, 0x23


def pack(cells: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pack weights for `sum_weights`: four columns per uint64, plus 128, so that no lane borrows from the next.

    Args: cells, integers (n_families, n_rows), n_rows up to MAX_ROWS; weights, int8 (n_families, n_rows, up to
    MAX_LABELS).
    Returns: uint16 (n_families, N_CELLS), row of each cell, 0 for cells without weights; uint64 (n_families,
    n_rows + 1, 8), one cache line per row.
    """
    n_rows = cells.shape[1]
    index = np.zeros((N_FAMILIES, N_CELLS), np.uint16)
    packed = np.zeros((N_FAMILIES, n_rows + 1, 8), np.uint64)
    for family in range(N_FAMILIES):
        index[family, cells[family]] = np.arange(1, n_rows + 1)
        lanes = np.zeros((n_rows + 1, MAX_LABELS), np.uint64)
        lanes[1:, : weights.shape[2]] = weights[family].astype(np.int64) + OFFSET
        for lane in range(4):
            packed[family, :, :N_WORDS] |= lanes[:, lane::4] << np.uint64(16 * lane)
    return index, packed


@njit(cache=True, nogil=True)
def sum_weights(classes, starts, ngrams, urls, offsets, fold, families, index, packed):  # type: ignore[no-untyped-def]
    """Sum the weights of the distinct n-grams of each document, each times its level.

    Args: classes, starts, of a TextView; ngrams, the distinct n-grams of its documents, their numbers and the offsets
    of the documents (`distinct`, `times` and `firsts` of `Ngrams`); urls, offsets, UTF-8 of the URLs; fold, of match
    text; families, int64 (n_docs,); index, packed, see `pack`.
    Returns: int64 (n_docs, MAX_LABELS), sums; int64 (n_docs,), squared length of the vector of levels, 0 for a document
    whose text has no word.
    """
    distinct, times, firsts = ngrams
    n_docs = len(starts) - 1
    totals, squares = np.zeros((n_docs, MAX_LABELS), np.int64), np.zeros(n_docs, np.int64)
    words, extra = make_cells(offsets), np.zeros(N_CELLS, np.int32)
    for doc in range(n_docs):
        if not has_word(classes, starts[doc], starts[doc + 1]):
            continue
        table, rows = index[families[doc]], packed[families[doc]]
        first, last = firsts[doc], firsts[doc + 1]
        cells, counts = distinct[first:last], times[first:last]
        n_words = note_url(urls, fold, offsets[doc], offsets[doc + 1], words, 0)
        if n_words > 0:
            cells, counts = add_words(cells, counts, words[:n_words], extra)
        squares[doc] = add_rows(cells, counts, table, rows, totals[doc])
    return totals, squares


@njit(cache=True, nogil=True)
def add_words(cells, counts, words, extra):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Distinct cells of a text and of the words of its URL, and their numbers; `extra` is zero before and after."""
    n = len(cells)
    all_cells, all_counts = np.empty(n + len(words), np.int32), np.zeros(n + len(words), np.int32)
    all_cells[:n], all_counts[:n] = cells, counts
    for word in words:
        extra[word] += 1
    for i in range(n):
        all_counts[i] += extra[cells[i]]
        extra[cells[i]] = 0
    for word in words:
        if extra[word] > 0:
            all_cells[n], all_counts[n] = word, extra[word]
            extra[word] = 0
            n += 1
    return all_cells[:n], all_counts[:n]


@njit(cache=True, nogil=True)
def has_word(classes, start, end):  # type: ignore[no-untyped-def]
    """Whether a text has a letter or an ideograph."""
    for i in range(start, end):
        if classes[i] > DIGIT:
            return True
    return False


@njit(cache=True, nogil=True)
def add_rows(cells, counts, index, packed, totals):  # type: ignore[no-untyped-def]
    """Add the weights of distinct n-grams to totals, int64 (MAX_LABELS,).

    The sums are kept in registers; an array would be written to memory for each n-gram.
    Returns: the sum of the squared levels, of n-grams without weights too.
    """
    a = b = c = d = e = f = g = np.uint64(0)
    square = used = 0
    for i in range(len(cells)):
        level = LEVELS[min(counts[i], len(LEVELS) - 1)]
        square += level * level
        row = index[cells[i]]
        if row == 0:
            continue
        if used + level > MAX_SUM:
            unpack((a, b, c, d, e, f, g), used, totals)
            a = b = c = d = e = f = g = np.uint64(0)
            used = 0
        used += level
        factor = np.uint64(level)
        a += factor * packed[row, 0]
        b += factor * packed[row, 1]
        c += factor * packed[row, 2]
        d += factor * packed[row, 3]
        e += factor * packed[row, 4]
        f += factor * packed[row, 5]
        g += factor * packed[row, 6]
    unpack((a, b, c, d, e, f, g), used, totals)
    return square


@njit(cache=True, nogil=True)
def unpack(words, used, totals):  # type: ignore[no-untyped-def]
    """Add the lanes of N_WORDS packed sums to totals; used is the sum of their levels."""
    for i in range(N_WORDS):
        for lane in range(4):
            totals[4 * i + lane] += (
                np.int64((words[i] >> np.uint64(16 * lane)) & np.uint64(0xFFFF)) - OFFSET * used
            )


@njit(cache=True, nogil=True)
def make_cells(offsets):  # type: ignore[no-untyped-def]
    """Buffer for the words of the longest URL."""
    longest = 0
    for doc in range(len(offsets) - 1):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    return np.empty(longest, np.int32)


@njit(cache=True, nogil=True)
def note_url(url, fold, start, end, cells, n):  # type: ignore[no-untyped-def]
    """Write the cells of the words in host and path of a URL, without scheme, file extension and query.

    Returns: n plus the number of these words.
    """
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
