"""fastText inference over Arrow buffers: labels of whole documents by a model of `fasttext_model`.

The results equal those of the C++ library for `model.predict(text.replace("\\n", " "))`: a document is one line,
newlines are blanks, and the end-of-line token follows the last word. Blanks are the seven of fastText (space, tab, CR,
LF, VT, FF, NUL); U+00A0 and U+3000 are parts of words. A literal `</s>` ends the document, and a word that begins with
the label prefix is skipped. Features are added one by one in float32 in the order of the library, so that probabilities
agree to the last bits on long documents too.

Papers: Joulin et al. 2016, arXiv 1607.01759 (classifier) and 1612.03651 (product quantisation, pruning).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from stages.kernels.fasttext.grams import make_space, note_ngrams, reciprocal, split_word
from stages.kernels.fasttext.model import FastText, aligned, fnv, load
from stages.kernels.fasttext.output import best_labels, make_walk
from stages.kernels.fasttext.rows import add_rows
from stages.kernels.fasttext.words import equal, find_entry, next_word, note_word_ngrams, word_key, word_slot
from stages.kernels.text.text import utf8_buffers

__all__ = ["FastText", "load", "predict", "predict_utf8"]

_EOS = np.frombuffer(b"</s>", np.uint8)
_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
_MEMO_WORDS, _MEMO_BYTES = 1 << 14, 16
"""Number of cached words per batch, a power of two, and longest cached word in bytes; Chinese clauses rarely recur."""
_MEMO_WIDTH, _COUNT, _VALUE, _FIRST = 16, 4, 5, 6
"""A cached word is 16 integers, one cache line: its bytes (4), number of rows, hash, and rows (up to 10)."""
_MEMO_ROWS = _MEMO_WIDTH - _FIRST
_N_ROWS = 4096
"""Rows collected before they are added, 16 KB."""


class _Scratch(NamedTuple):
    """Scratch memory for one document and one of its words.

    chars: uint32, characters of a word between < and >. rows: uint32, rows of the input matrix yet to be added; they
    are added before fewer than `room` elements are free. values, grams, found: see `fasttext_grams`. hashes: int32, of
    all words of the document, used by models with word n-grams only.
    """

    chars: np.ndarray
    rows: np.ndarray
    room: int
    values: np.ndarray
    grams: np.ndarray
    found: np.ndarray
    hashes: np.ndarray


def predict(model: FastText, text: pa.Array | pa.ChunkedArray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Predict the k best labels of each document.

    Args: model, from `load`; text, string or large_string (null is empty); k, at least 1.
    Returns: int32 (n_docs, k), indices into model.labels, best first, ties in the order of the library; float32
    (n_docs, k), probabilities as computed by the library, which adds 1e-5, so they may exceed 1. Elements without a
    prediction are -1 and 0: documents without features and, under hierarchical softmax, labels with a probability below
    1e-5.
    """
    data, offsets = utf8_buffers(text)
    return predict_utf8(model, data, offsets[:-1], offsets[1:], k)


def predict_utf8(
    model: FastText, data: np.ndarray, starts: np.ndarray, ends: np.ndarray, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Predict from valid UTF-8, uint8; document i is data[starts[i]:ends[i]], int64 (n_docs,). See `predict`."""
    shape = (len(starts), k)
    labels, probabilities = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    data = data.view()
    data.setflags(write=False)  # one numba type for the kernel
    memo, keys = make_memo(len(data))
    _predict(model.tables, data, octets_of(data), starts, ends, labels, probabilities, memo, keys)
    return labels, probabilities


def make_memo(n_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Allocate the cache of words for a batch of this size: int32 (n, _MEMO_WIDTH) and the same memory as uint64."""
    n_words = 256
    while n_words < _MEMO_WORDS and n_words * _MEMO_BYTES < n_bytes:
        n_words *= 2
    memo = aligned((n_words, _MEMO_WIDTH), np.int32)
    return memo, memo.view(np.uint64)


def octets_of(data: np.ndarray) -> np.ndarray:
    """Return the eight bytes from each byte on as one number: uint64 (n_bytes - 7,), a view of the same memory.

    Fewer than 16 bytes are copied, because numba infers another type for such a short array.
    """
    if len(data) < 16:
        data = np.concatenate([data, np.zeros(16, np.uint8)])
    octets = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
    octets.setflags(write=False)
    return octets


@njit(cache=True, nogil=True)
def _predict(  # type: ignore[no-untyped-def]  # numba infers types
    tables, data, octets, starts, ends, labels, probabilities, memo, keys
):
    longest = 0
    for doc in range(len(starts)):
        longest = max(longest, ends[doc] - starts[doc])
    scratch, walk = make_scratch(tables, longest), make_walk(len(tables.output), labels.shape[1])
    hidden = np.empty(tables.vectors.shape[1], np.float32)
    for doc in range(len(starts)):
        hidden[:] = 0
        n_features = _sum_features(tables, data, octets, starts[doc], ends[doc], hidden, scratch, memo, keys)
        if n_features > 0:
            share = np.float32(1.0 / n_features)
            for j in range(len(hidden)):
                hidden[j] *= share
            best_labels(tables, hidden, labels[doc], probabilities[doc], walk)


@njit(cache=True, nogil=True)
def make_scratch(tables, n_bytes):  # type: ignore[no-untyped-def]
    """Allocate scratch memory for documents of at most `n_bytes`; untouched pages cost nothing."""
    room = 1 + _MEMO_ROWS + tables.word_ngrams
    values, grams, found = make_space(tables.maxn)
    return _Scratch(
        chars=np.empty(n_bytes + 2 + len(grams), np.uint32),
        rows=np.empty(max(_N_ROWS, len(grams)) + room, np.uint32),
        room=room,
        values=values,
        grams=grams,
        found=found,
        hashes=np.empty(n_bytes // 2 + 2 if tables.word_ngrams > 1 else 0, np.int32),
    )


@njit(cache=True, nogil=True)
def _sum_features(tables, data, octets, at, end, hidden, scratch, memo, keys):  # type: ignore[no-untyped-def]
    """Add up the rows of all features of data[at:end] in `hidden`; return the number of features."""
    n_features, n_hashes = sum_words(tables, data, octets, at, end, hidden, scratch, memo, keys)
    if tables.n_rows > 0:
        n_features += sum_word_ngrams(tables, tables.vectors, tables.n_words, n_hashes, hidden, scratch)
    return n_features


@njit(cache=True, nogil=True)
def sum_word_ngrams(tables, vectors, first, n_hashes, hidden, scratch):  # type: ignore[no-untyped-def]
    """Add up the rows of word n-grams, of which vectors[first] is the first, in `hidden`; return their number."""
    rows = scratch.rows
    n_added, n_rows = note_word_ngrams(
        scratch.hashes, n_hashes, tables.word_ngrams, tables.bucket, tables.kept, tables.ranks, first, rows, 0,
        vectors, hidden,
    )  # fmt: skip
    add_rows(vectors, rows, n_rows, hidden)
    return n_added + n_rows


@njit(cache=True, nogil=True)
def sum_words(tables, data, octets, at, end, hidden, scratch, memo, keys):  # type: ignore[no-untyped-def]
    """Add up the rows of the words of data[at:end] and of their character n-grams in `hidden`.

    Functions called for each word are inlined and take plain arrays, otherwise numba counts references atomically.
    Returns: the number of rows, and the number of hashes of words written to `scratch.hashes`.

    Args: memo and keys, int32 (n, _MEMO_WIDTH) and the same memory as uint64, a hash table of earlier words of the
    batch; octets, from octets_of.
    """
    slots, entries, bounds, vectors = tables.slots, tables.entries, tables.bounds, tables.vectors
    kept, ranks, n_words, bucket = tables.kept, tables.ranks, tables.n_words, tables.bucket
    minn, maxn = tables.minn, tables.maxn if tables.n_rows > 0 else 0
    rows, chars, hashes = scratch.rows, scratch.chars, scratch.hashes
    values, grams, found = scratch.values, scratch.grams, scratch.found
    longest_hashed = tables.longest_entry if len(hashes) == 0 else end - at
    factor, shift = reciprocal(max(bucket, 1))
    limit = len(rows) - scratch.room
    n_added, n_rows, n_hashes, ended = 0, 0, 0, False
    while not ended:
        start, at = next_word(data, octets, at, end)
        if n_rows > limit:
            add_rows(vectors, rows, n_rows, hidden)
            n_added, n_rows = n_added + n_rows, 0
        slot, key, rest = np.uint64(0), np.uint64(0), np.uint64(0)
        if start < at <= start + _MEMO_BYTES <= len(data):
            key, rest = word_key(octets, start, at)
            slot = word_slot(key, rest, len(keys))
        if key != 0 and keys[slot, 0] == key and keys[slot, 1] == rest:
            value = np.uint32(memo[slot, _VALUE])
            for i in range(
                np.uint64(_MEMO_ROWS)
            ):  # also the unused ones, so that the length of the loop is constant
                rows[np.uint64(n_rows) + i] = memo[slot, np.uint64(_FIRST) + i]
            n_rows += memo[slot, _COUNT]
        else:
            ended = start == at or equal(
                data, start, at, _EOS, 0, 4
            )  # the end of the text counts as a literal </s>
            entry, value, first, n_new = -1, np.uint32(0), n_rows, 0
            if ended:
                value = fnv(_EOS, 0, 4)
                entry = find_entry(slots, entries, bounds, _EOS, 0, 4, value)
            elif at - start <= longest_hashed:
                value = fnv(data, start, at)
                entry = find_entry(slots, entries, bounds, data, start, at, value)
            if entry >= n_words or (
                entry < 0 and equal(data, start, min(start + 9, at), _LABEL_PREFIX, 0, 9)
            ):
                continue
            if entry >= 0:
                rows[n_rows] = entry
                n_rows += 1
            if maxn > 0 and not ended:
                n_chars = split_word(data, start, at, chars)
                n_new, n_rows = note_ngrams(
                    chars, n_chars, minn, maxn, bucket, factor, shift, kept, ranks, n_words, values, grams, found,
                    rows, n_rows, vectors, hidden,
                )  # fmt: skip
                n_added += n_new
            if key != 0 and not ended and n_new == 0 and n_rows - first <= _MEMO_ROWS:
                keys[slot, 0], keys[slot, 1] = key, rest
                memo[slot, _COUNT], memo[slot, _VALUE] = n_rows - first, value
                for i in range(np.uint64(_MEMO_ROWS)):
                    memo[slot, np.uint64(_FIRST) + i] = rows[np.uint64(first) + i]
        if len(hashes) > 0:
            hashes[n_hashes] = np.int32(value)
            n_hashes += 1
    add_rows(vectors, rows, n_rows, hidden)
    return n_added + n_rows, n_hashes
