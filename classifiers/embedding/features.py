"""Sums of the rows of an embedding matrix over the words of each document, in integers.

Features are the units of match text (`kernels.text.units`) without numbers: each word, the first five letters of longer
words, each single character and each pair of adjacent ones. Chinese and English share one table. A feature is known by
32 bits of its hash, so that fifteen of a million unknown features are taken for a known one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, mix
from stages.kernels.text.tables import DIGIT, HAN, SPACE
from stages.kernels.text.units import hash_unit, unit_end

N_DIMENSIONS = 128
MAX_ROWS = (1 << 16) - 1
"""Maximum number of features with a row; 8.4 MB of int8."""
SLOT_BITS = 17
N_SLOTS = 1 << SLOT_BITS
STEM_LETTERS = 5
TOP = 127
"""Greatest absolute value of an entry of a vector."""
LOG_STEP = 16
"""Resolution of `LOGS`: MAX_ROWS * TOP * LOGS[-1] fits into 31 bits."""
LOGS = np.rint(LOG_STEP * np.log1p(np.arange(1 << 12))).astype(np.int32)
"""log(1 + n) times LOG_STEP, by n, how often a feature occurs in a document; larger numbers count as the last."""

_HIGH = np.uint64(32)
_ROW = np.uint64(0xFFFFFFFF)
_SLOT_SHIFT = np.uint32(32 - SLOT_BITS)
_STEM = np.uint64(0x5DEECE66D)


@njit(cache=True, nogil=True)
def make_slots(hashes):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Hash table of the features.

    Args: hashes, uint32 (n_rows,), distinct, up to MAX_ROWS.
    Returns: uint64 (N_SLOTS,), hash << 32 | row + 1; 0 for a free slot.
    """
    slots = np.zeros(N_SLOTS, np.uint64)
    for row in range(len(hashes)):
        slot = np.int64(hashes[row] >> _SLOT_SHIFT)
        while slots[slot]:
            slot = (slot + 1) & (N_SLOTS - 1)
        slots[slot] = np.uint64(hashes[row]) << _HIGH | np.uint64(row + 1)
    return slots


@njit(cache=True, nogil=True)
def embed(codes, classes, starts, fold, slots, matrix):  # type: ignore[no-untyped-def]
    """Embed each document: the rows of its known features, each times log(1 + number of occurrences), added up.

    Args: codes, classes, starts, a TextView; fold, of match text; slots, see `make_slots`; matrix, int8 (n_rows,
    N_DIMENSIONS).
    Returns: int8 (n_docs, N_DIMENSIONS), sums divided by their greatest absolute value, times TOP; all 0 for a document
    without a known feature.
    """
    n_docs = len(starts) - 1
    vectors = np.zeros((n_docs, N_DIMENSIONS), np.int8)
    hashes = np.empty(2 * longest_of(starts), np.uint32)  # pages that are never written are not allocated
    rows, times = np.empty(MAX_ROWS, np.int32), np.zeros(MAX_ROWS, np.int32)
    sums = np.empty(N_DIMENSIONS, np.int32)
    for doc in range(n_docs):
        n = note_features(codes, classes, fold, starts[doc], starts[doc + 1], hashes, 0)
        n_distinct = count_rows(hashes[:n], slots, rows, times)
        sums[:] = 0
        for i in range(n_distinct):
            row = rows[i]
            weight = LOGS[min(times[row], np.int32(len(LOGS) - 1))]
            times[row] = 0
            add_row(matrix[row], weight, sums)
        top = np.int64(np.abs(sums).max())
        if top:
            for k in range(N_DIMENSIONS):
                vectors[doc, k] = (2 * TOP * np.int64(sums[k]) + top) // (2 * top)
    return vectors


@njit(cache=True, nogil=True)
def add_row(row, weight, sums):  # type: ignore[no-untyped-def]
    """Add row, int8 (N_DIMENSIONS,), times weight, int32, to sums, int32 (N_DIMENSIONS,)."""
    for k in range(N_DIMENSIONS):
        sums[k] += weight * np.int32(row[k])


@njit(cache=True, nogil=True)
def note_features(codes, classes, fold, start, end, hashes, n):  # type: ignore[no-untyped-def]
    """Write the hashes of the features of one text, with repeats, to hashes, uint32, from position n.

    Returns: the end, at most two features per character after n.
    """
    last = np.uint64(0)
    i = start
    while i < end:
        kind = classes[i]
        if kind <= DIGIT:  # a number, punctuation or a space; all but spaces part two characters
            last = np.uint64(0) if kind != SPACE else last
            i = unit_end(codes, classes, i, end) if kind == DIGIT else i + 1
            continue
        stop = unit_end(codes, classes, i, end)
        key = hash_unit(codes, fold, i, stop)
        hashes[n] = mix(key) >> _HIGH
        n += 1
        if kind >= HAN:
            if last:
                hashes[n] = mix(last * ODD_A + key) >> _HIGH
                n += 1
            last = key
        else:
            last = np.uint64(0)
            if stop - i > STEM_LETTERS:
                hashes[n] = mix(hash_unit(codes, fold, i, i + STEM_LETTERS) ^ _STEM) >> _HIGH
                n += 1
        i = stop
    return n


@njit(cache=True, nogil=True)
def count_rows(hashes, slots, rows, times):  # type: ignore[no-untyped-def]
    """Count the known ones of these features in times, int32 (MAX_ROWS,), which is zero before.

    Writes the distinct ones to rows, int32, in the order of their first occurrence.
    Returns: their number.
    """
    n = 0
    for hashed in hashes:
        slot = np.int64(hashed >> _SLOT_SHIFT)
        while slots[slot]:
            if slots[slot] >> _HIGH == hashed:
                row = np.int64(slots[slot] & _ROW) - 1
                if times[row] == 0:
                    rows[n] = row
                    n += 1
                times[row] += 1
                break
            slot = (slot + 1) & (N_SLOTS - 1)
    return n


@njit(cache=True, nogil=True)
def longest_of(starts):  # type: ignore[no-untyped-def]
    """Characters of the longest text."""
    longest = 0
    for doc in range(len(starts) - 1):
        longest = max(longest, starts[doc + 1] - starts[doc])
    return longest


@njit(cache=True, nogil=True)
def list_features(codes, classes, starts, fold):  # type: ignore[no-untyped-def]
    """Features of each text, for training, with repeats.

    Returns: uint32, hashes of the features of all documents; int64 (n_docs + 1,), offsets of the documents in them.
    """
    n_docs = len(starts) - 1
    hashes, begins = np.empty(2 * len(codes), np.uint32), np.zeros(n_docs + 1, np.int64)
    for doc in range(n_docs):
        start, end = starts[doc], starts[doc + 1]
        begins[doc + 1] = note_features(codes, classes, fold, start, end, hashes, begins[doc])
    return hashes[: begins[n_docs]], begins


@njit(cache=True, nogil=True)
def nearest(vectors, centroids):  # type: ignore[no-untyped-def]
    """Index of the centroid with the largest dot product, the first of equals; -1 for a vector of zeros.

    Args: vectors, int8 (n_docs, N_DIMENSIONS); centroids, int16 (n_clusters, N_DIMENSIONS), all of one length.
    Returns: int32 (n_docs,).
    """
    found = np.empty(len(vectors), np.int32)
    for doc in range(len(vectors)):
        best, at = np.int32(-(1 << 31)), -1
        for cluster in range(len(centroids)):
            total = np.int32(0)
            for k in range(N_DIMENSIONS):
                total += np.int32(vectors[doc, k]) * np.int32(centroids[cluster, k])
            if total > best:
                best, at = total, cluster
        found[doc] = at if vectors[doc].any() else -1
    return found
