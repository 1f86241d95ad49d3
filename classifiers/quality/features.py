"""Features of the quality models: hashed n-grams of tokens, and shapes, i.e. discretised shares of the whole text.

Tokens are units in match text (`kernels.text.units`); all numbers are one token, and so are runs of line breaks and
stray invisible characters; punctuation marks and symbols are single tokens. Shapes are the share of repeated n-grams,
by text length, and the shares of numbers, line breaks, punctuation, symbols and strays, capitalised words, and units
of the other family.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from classifiers.linear.families import CHARACTERS
from stages.kernels.text.hashing import ODD_A, mix
from stages.kernels.text.tables import DIGIT, HAN, LATIN, NEWLINE, PUNCT, SPACE, SYMBOL
from stages.kernels.text.units import hash_unit, unit_end

HASH_BITS = 18
N_CELLS = 1 << HASH_BITS
ORDERS = (3, 2)
"""Maximum n-gram length of each family, in tokens."""
N_FAMILIES = len(ORDERS)
N_SCORERS = 6
"""Columns of a weight table."""
LENGTHS = (32, 128, 512, 2048)
PER_MILLE = (5, 15, 30, 60, 100, 150, 250, 400, 600)
"""Lower bounds of the steps of length, in tokens, and of shares."""
N_STEPS = len(PER_MILLE) + 1
N_SHARES = 6
N_SHAPES = (len(LENGTHS) + 1) * N_STEPS + N_SHARES * N_STEPS
N_ROWS = N_CELLS + N_SHAPES
"""Rows of a weight table: one cell per n-gram hash, then the steps of the shapes."""
SHAPES_PER_DOC = 1 + N_SHARES

_NUMBER, _BREAK, _STRAY, _MARK = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(1 << 32)
SEEN_SLOTS = 1 << 14
"""Slots of the scratch of `note_features`."""


LOG_STEP = 256
"""Resolution of `LOGS`."""
LOGS = np.rint(LOG_STEP * np.log1p(np.arange(1 << 12))).astype(np.int64)
"""log(1 + n) times LOG_STEP, by n, how often an n-gram occurs in a document; larger numbers count as the last."""


@njit(cache=True, nogil=True)
def sum_weights(begins, distinct, times, firsts, shapes, families, weights):  # type: ignore[no-untyped-def]
    """Sum the weights of the n-grams of each document for all scorers, each distinct n-gram being looked up once.

    The first scorer takes the mean over all n-grams plus the weights of the shapes. The others take a vector of length
    one, whose entries are log(1 + number of occurrences) of each distinct n-gram, so the length of a document does not
    count.

    Args: begins, distinct, times, firsts, shapes, of `Ngrams`; families, int64 (n_docs,); weights, int16 (2, N_ROWS,
    N_SCORERS), of a Model.
    Returns: float64 (n_docs, N_SCORERS), in steps of the weights.
    """
    n_docs = len(begins) - 1
    means = np.zeros((n_docs, N_SCORERS))
    for doc in range(n_docs):
        n = begins[doc + 1] - begins[doc]
        if n == 0:
            continue
        low, high, table = firsts[doc], firsts[doc + 1], weights[families[doc]]
        square, totals = add_rows(distinct[low:high], times[low:high], table)
        means[doc, 0] = totals[0] / n
        for i in range(shapes.shape[1]):
            means[doc, 0] += table[shapes[doc, i], 0]
        length = math.sqrt(square)
        for k in range(1, N_SCORERS):
            means[doc, k] = totals[k] / length
    return means


@njit(cache=True, nogil=True)
def add_rows(cells, times, table):  # type: ignore[no-untyped-def]
    """Sum the weights of distinct cells, times their number for the first scorer and its logarithm for the others.

    The sums are kept in registers; an array would be written to memory for each n-gram.
    Returns: sum of squared logarithms; the sums of all scorers.
    """
    square = a = b = c = d = e = f = 0
    for i in range(len(cells)):
        row, n = cells[i], np.int64(times[i])
        log = LOGS[min(n, len(LOGS) - 1)]
        square += log * log
        a += n * table[row, 0]
        b += log * table[row, 1]
        c += log * table[row, 2]
        d += log * table[row, 3]
        e += log * table[row, 4]
        f += log * table[row, 5]
    return square, (a, b, c, d, e, f)


@njit(cache=True, nogil=True)
def list_features(codes, classes, starts, fold, families):  # type: ignore[no-untyped-def]
    """Features of each document, for training.

    Returns: int32, cells of the n-grams of all documents; int64 (n_docs + 1,), offsets of the documents in them; int64
    (n_docs, SHAPES_PER_DOC), rows of their shapes.
    """
    n_docs = len(starts) - 1
    seen, buffer = np.empty(SEEN_SLOTS, np.uint64), make_rows(starts)
    rows, begins = np.empty(3 * len(codes), np.int32), np.zeros(n_docs + 1, np.int64)
    shapes = np.empty((n_docs, SHAPES_PER_DOC), np.int64)
    for doc in range(n_docs):
        start, end, at = starts[doc], starts[doc + 1], begins[doc]
        n = note_features(codes, classes, fold, start, end, families[doc], seen, buffer, shapes[doc])
        rows[at : at + n] = buffer[:n]
        begins[doc + 1] = at + n
    return rows[: begins[n_docs]], begins, shapes


@njit(cache=True, nogil=True)
def make_rows(starts):  # type: ignore[no-untyped-def]
    """Buffer for the n-grams of the longest document; memory pages that are never written are not allocated."""
    longest = 0
    for doc in range(len(starts) - 1):
        longest = max(longest, starts[doc + 1] - starts[doc])
    return np.empty(3 * longest, np.int32)


@njit(cache=True, nogil=True)
def note_features(codes, classes, fold, start, end, family, seen, rows, shapes):  # type: ignore[no-untyped-def]
    """Compute the features of one document.

    An n-gram of the highest order is counted as repeated if its last occurrence is still in `seen`, a table of up to
    16,384 slots with one n-gram each.

    Args: family, CHARACTERS or WORDS; seen, uint64 (2**14,), scratch; rows, int32, output: the cell of each n-gram;
    shapes, int64 (SHAPES_PER_DOC,), output: the rows of the shapes.
    Returns: the number of n-grams.
    """
    slots = 256
    while slots < len(seen) and slots < end - start:
        slots *= 2
    seen[:slots] = 0
    n_tokens = n_rows = n_repeats = n_numbers = n_breaks = n_marks = n_strays = n_upper = n_other = 0
    last, pair = np.uint64(0), np.uint64(0)
    i = start
    while i < end:
        kind = classes[i]
        if kind == SPACE:
            i += 1
            continue
        if kind >= DIGIT:
            stop = unit_end(codes, classes, i, end)
            key = _NUMBER if kind == DIGIT else hash_unit(codes, fold, i, stop)
            n_numbers += kind == DIGIT
            n_other += kind != DIGIT and (kind >= HAN) != (family == CHARACTERS)
            n_upper += kind == LATIN and fold[codes[i]] != codes[i]
            i = stop
        elif kind == NEWLINE:
            key = _BREAK
            n_breaks += 1
            while i < end and (classes[i] == NEWLINE or classes[i] == SPACE):
                i += 1
        elif kind == PUNCT or kind == SYMBOL:
            key = mix(np.uint64(codes[i]) ^ _MARK)
            n_marks += 1
            n_strays += kind == SYMBOL
            i += 1
        else:
            key = _STRAY
            n_strays += 1
            i += 1
        n_tokens += 1
        rows[n_rows] = mix(key) >> np.uint64(64 - HASH_BITS)
        n_rows += 1
        longest = key
        if n_tokens > 1:
            longest = mix(last * ODD_A + key)
            rows[n_rows] = longest >> np.uint64(64 - HASH_BITS)
            n_rows += 1
            if family == CHARACTERS and n_tokens > 2:
                triple = mix(pair * ODD_A + key)
                rows[n_rows] = triple >> np.uint64(64 - HASH_BITS)
                n_rows += 1
                pair, longest = longest, triple
            else:
                pair = longest
        last = key
        slot = np.int64(longest & np.uint64(slots - 1))
        n_repeats += seen[slot] == longest
        seen[slot] = longest
    note_shapes(n_tokens, n_repeats, (n_numbers, n_breaks, n_marks, n_strays, n_upper, n_other), shapes)
    return n_rows


@njit(cache=True, nogil=True)
def note_shapes(n_tokens, n_repeats, counts, shapes):  # type: ignore[no-untyped-def]
    """Write the rows of the shapes of a document: repeats by length, then each share."""
    length = 0
    while length < len(LENGTHS) and n_tokens >= LENGTHS[length]:
        length += 1
    shapes[0] = N_CELLS + length * N_STEPS + find_step(n_repeats, n_tokens)
    first = N_CELLS + (len(LENGTHS) + 1) * N_STEPS
    for i in range(len(counts)):
        shapes[1 + i] = first + i * N_STEPS + find_step(counts[i], n_tokens)


@njit(cache=True, nogil=True)
def find_step(n, total):  # type: ignore[no-untyped-def]
    """Index of the step of PER_MILLE that contains the share n / total."""
    step = 0
    while step < len(PER_MILLE) and 1000 * n >= PER_MILLE[step] * total:
        step += 1
    return step
