"""Hashed n-grams of a batch of texts, computed in one pass and shared by all models that read them.

Hashing costs more than the look-ups of a model, so the n-grams of the latest batch are kept, as its decoded view is
(`kernels.text.text.view`): the stages that annotate a batch one after another hash it once. They are part of no recipe
and are released with the next batch; a stage that runs alone computes them itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from classifiers.linear.families import CHARACTERS
from classifiers.quality.features import N_CELLS, SEEN_SLOTS, SHAPES_PER_DOC, note_features
from stages.kernels.text.tables import load_tables
from stages.kernels.text.text import TextView


class Ngrams(NamedTuple):
    """N-grams of the documents of a batch, in cells of 18 bits; see `classifiers.quality.features`.

    cells: int32 (n_ngrams,), of all documents in the order of their tokens; see `count_cells`.
    begins: int64 (n_docs + 1,), offsets of the documents in cells.
    distinct: int32 (n_distinct,), distinct cells of each document, in the order of their first occurrence.
    times: int32 (n_distinct,), how often each of them occurs in its document.
    firsts: int64 (n_docs + 1,), offsets of the documents in distinct and times.
    shapes: int64 (n_docs, SHAPES_PER_DOC), rows of the shapes.

    The first four take up to 36 bytes per code point, about half of that in Chinese prose and less in English.
    """

    cells: np.ndarray
    begins: np.ndarray
    distinct: np.ndarray
    times: np.ndarray
    firsts: np.ndarray
    shapes: np.ndarray


class _Last:
    """Cache of one entry: the n-grams of the latest view, and the families that they were computed with."""

    entry: tuple[TextView, np.ndarray, Ngrams] | None = None


def find_ngrams(text: TextView, families: np.ndarray) -> Ngrams:
    """Hash the n-grams of a batch; the result for the latest view is cached. The arrays are read-only.

    All models of a run share the pass only if they find the families in the same way
    (`classifiers.linear.families.find_families`): with other families the batch is hashed again.

    Args: text, see `view`; families, int64 (n_docs,), CHARACTERS or WORDS.
    """
    last = _Last.entry
    if last is not None and last[0] is text and np.array_equal(last[1], families):
        return last[2]
    _Last.entry = None  # the arrays of two batches are never in memory together
    ngrams = hash_ngrams(text, families)
    _Last.entry = (text, families.copy(), ngrams)
    return ngrams


def hash_ngrams(text: TextView, families: np.ndarray) -> Ngrams:
    """Hash the n-grams of a batch as `find_ngrams` does, without reading or replacing its cached result."""
    ngrams = Ngrams(*_hash_ngrams(text.codes, text.classes, text.starts, load_tables().fold, families))
    for array in ngrams:
        array.setflags(write=False)  # shared by stages, as the view is
    return ngrams


@njit(cache=True, nogil=True, inline="always")
def count_cells(n_tokens, family):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Number of cells of the first n_tokens tokens of a document, so that cells can be cut into blocks of tokens.

    The first token has one cell; the second has two; each later one has two, or three in the family CHARACTERS.
    """
    if family == CHARACTERS and n_tokens > 2:
        return 3 * n_tokens - 3
    return 2 * n_tokens - (n_tokens > 0)


@njit(cache=True, nogil=True, inline="always")
def count_tokens(n_cells, family):  # type: ignore[no-untyped-def]
    """Number of tokens of a document with n_cells cells: the inverse of `count_cells`."""
    if family == CHARACTERS and n_cells > 3:
        return n_cells // 3 + 1
    return (n_cells + 1) // 2


@njit(cache=True, nogil=True)
def _hash_ngrams(codes, classes, starts, fold, families):  # type: ignore[no-untyped-def]
    """Arrays of Ngrams; memory pages that are never written are not allocated."""
    n_docs, most = len(starts) - 1, 3 * len(codes)
    cells, begins = np.empty(most, np.int32), np.zeros(n_docs + 1, np.int64)
    distinct, times, firsts = (
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.zeros(n_docs + 1, np.int64),
    )
    shapes = np.empty((n_docs, SHAPES_PER_DOC), np.int64)
    seen, counts = np.empty(SEEN_SLOTS, np.uint64), np.zeros(N_CELLS, np.int32)
    for doc in range(n_docs):
        start, end, at, first = starts[doc], starts[doc + 1], begins[doc], firsts[doc]
        n = note_features(codes, classes, fold, start, end, families[doc], seen, cells[at:], shapes[doc])
        begins[doc + 1] = at + n
        n_distinct = 0
        for i in range(at, at + n):
            cell = cells[i]
            distinct[first + n_distinct] = cell
            n_distinct += counts[cell] == 0
            counts[cell] += 1
        for i in range(first, first + n_distinct):
            times[i] = counts[distinct[i]]
            counts[distinct[i]] = 0
        firsts[doc + 1] = first + n_distinct
    n_distinct = firsts[n_docs]
    return cells[: begins[n_docs]], begins, distinct[:n_distinct], times[:n_distinct], firsts, shapes
