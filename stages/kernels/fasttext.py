"""fastText inference over Arrow buffers: labels of whole documents by a model of `fasttext_model`.

Gives what the C++ library gives for `model.predict(text.replace("\\n", " "))`: a document is one line, newlines
are blanks like the others, and the end-of-line token follows the last word. Blanks are the seven of fastText
(space, tab, CR, LF, VT, FF, NUL); U+00A0 and U+3000 are parts of words. A literal `</s>` ends the document, and
a word that begins with the label prefix is skipped. Features are added one by one in float32 in the library's
order, so that probabilities agree to the last bits also on long documents.

Papers: Joulin et al. 2016, arXiv 1607.01759 (classifier) and 1612.03651 (product quantisation, pruning).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from stages.kernels.fasttext_model import FastText, fnv, load
from stages.kernels.fasttext_output import best_labels, make_walk
from stages.kernels.fasttext_words import (
    add_rows,
    equal,
    find_entry,
    next_word,
    note_ngrams,
    note_word_ngrams,
    split_word,
)
from stages.kernels.text import utf8_buffers

__all__ = ["FastText", "load", "predict", "predict_utf8"]

_EOS = np.frombuffer(b"</s>", np.uint8)
_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
_MEMO_SLOTS, _MEMO_ROWS = 1 << 16, 1 << 20
"""Words remembered in one batch (a power of two, filled to a half) and the rows of all of them: 5 MB."""
_MEMO_BYTES = 32
"""Longest word worth remembering: a clause of Chinese does not come twice."""
_N_ROWS, _N_GRAMS = 4096, 1024
"""Rows noted before they are added, 16 KB, and n-grams hashed before their rows are looked up."""


class _Memo(NamedTuple):
    """Rows of words met before in the batch: open addressing, the bytes of the first occurrence are the key.

    starts, sizes: int64 and int32 (slots,), bytes of the word, 0 for a free slot. firsts, counts: int32
    (slots,), its part of `rows`. used: int64 (2,), numbers of words and of rows remembered.
    """

    starts: np.ndarray
    sizes: np.ndarray
    firsts: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    used: np.ndarray


class _Scratch(NamedTuple):
    """Space for one document and one word of it.

    word: uint8, the word between < and >. chars: uint32, where its characters begin. rows: uint32, rows of the
    input matrix yet to be added, with room for `room` more than is filled before they are. grams: uint32, n-grams
    of a word at work. hashes: int32, of all words of the document, used by models with word n-grams only.
    """

    word: np.ndarray
    chars: np.ndarray
    rows: np.ndarray
    room: int
    grams: np.ndarray
    hashes: np.ndarray


def predict(model: FastText, text: pa.Array | pa.ChunkedArray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Predict the k best labels of each document.

    Args: model, from `load`; text, string or large_string (null counts as empty); k, at least 1.
    Returns: int32 (n_docs, k), indices into model.labels, best first, ties as the library has them; float32
    (n_docs, k), their probabilities as it gives them (it adds 1e-5 on the way, so that they may exceed 1). Places
    without a prediction hold -1 and 0: documents without features and, under hierarchical softmax, labels of
    probability below 1e-5.
    """
    data, offsets = utf8_buffers(text)
    return predict_utf8(model, data, offsets[:-1], offsets[1:], k)


def predict_utf8(
    model: FastText, data: np.ndarray, starts: np.ndarray, ends: np.ndarray, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Predict from UTF-8 bytes: document i is data[starts[i]:ends[i]], int64. See `predict`."""
    shape = (len(starts), k)
    labels, probabilities = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    _predict(model.tables, data, starts, ends, labels, probabilities)
    return labels, probabilities


@njit(cache=True, nogil=True)
def _predict(tables, data, starts, ends, labels, probabilities):  # type: ignore[no-untyped-def]  # numba infers types
    longest = 0
    for doc in range(len(starts)):
        longest = max(longest, ends[doc] - starts[doc])
    scratch, memo, walk = (
        _make_scratch(tables, longest),
        _make_memo(),
        make_walk(len(tables.output), labels.shape[1]),
    )
    hidden = np.empty(tables.vectors.shape[1], np.float32)
    for doc in range(len(starts)):
        hidden[:] = 0
        n_features = _sum_features(tables, data, starts[doc], ends[doc], hidden, scratch, memo)
        if n_features > 0:
            share = np.float32(1.0 / n_features)
            for j in range(len(hidden)):
                hidden[j] *= share
            best_labels(tables, hidden, labels[doc], probabilities[doc], walk)


@njit(cache=True, nogil=True)
def _make_scratch(tables, n_bytes):  # type: ignore[no-untyped-def]
    """Space for documents of at most `n_bytes`; what is not touched takes no memory."""
    room = 1 + (_MEMO_BYTES + 2) * max(tables.maxn, 1) + tables.word_ngrams
    return _Scratch(
        word=np.empty(n_bytes + 2, np.uint8),
        chars=np.empty(n_bytes + 3, np.uint32),
        rows=np.empty(_N_ROWS + room, np.uint32),
        room=room,
        grams=np.empty(max(_N_GRAMS, 2 * tables.maxn), np.uint32),
        hashes=np.empty(n_bytes // 2 + 2 if tables.word_ngrams > 1 else 0, np.int32),
    )


@njit(cache=True, nogil=True)
def _make_memo():  # type: ignore[no-untyped-def]
    return _Memo(
        starts=np.empty(_MEMO_SLOTS, np.int64),
        sizes=np.zeros(_MEMO_SLOTS, np.int32),
        firsts=np.empty(_MEMO_SLOTS, np.int32),
        counts=np.empty(_MEMO_SLOTS, np.int32),
        rows=np.empty(_MEMO_ROWS, np.uint32),
        used=np.zeros(2, np.int64),
    )


@njit(cache=True, nogil=True)
def _sum_features(tables, data, at, end, hidden, scratch, memo):  # type: ignore[no-untyped-def]
    """Add up the rows of all features of data[at:end] in `hidden`; return how many there are.

    What runs once a word is given plain arrays: taking one out of a named tuple counts references atomically.
    """
    slots, entries, bounds, vectors = tables.slots, tables.entries, tables.bounds, tables.vectors
    kept, ranks, n_words, bucket = tables.kept, tables.ranks, tables.n_words, tables.bucket
    minn, maxn = tables.minn, tables.maxn if tables.n_rows > 0 else 0
    rows, word, chars, hashes = scratch.rows, scratch.word, scratch.chars, scratch.hashes
    grams = scratch.grams
    starts, sizes, firsts, counts, memo_rows = memo.starts, memo.sizes, memo.firsts, memo.counts, memo.rows
    limit = len(rows) - scratch.room
    n_added, n_rows, n_hashes, ended = 0, 0, 0, False
    while not ended:
        start, at = next_word(data, at, end)
        ended = start == at or equal(data, start, at, _EOS, 0, 4)  # the end counts as a literal </s>
        if n_rows > limit:
            add_rows(vectors, rows, n_rows, hidden)
            n_added, n_rows = n_added + n_rows, 0
        value = fnv(_EOS, 0, 4) if ended else fnv(data, start, at)
        slot = -1
        if at - start <= _MEMO_BYTES and not ended:
            slot = _find_known(starts, sizes, data, start, at, value)
        if slot >= 0 and sizes[slot] > 0:
            first = firsts[slot]
            for i in range(counts[slot]):
                rows[n_rows + i] = memo_rows[first + i]
            n_rows += counts[slot]
        else:
            before = n_rows
            if ended:
                entry = find_entry(slots, entries, bounds, _EOS, 0, 4, value)
            else:
                entry = find_entry(slots, entries, bounds, data, start, at, value)
            if entry >= n_words or (
                entry < 0 and equal(data, start, min(start + 9, at), _LABEL_PREFIX, 0, 9)
            ):
                continue
            if entry >= 0:
                rows[n_rows] = entry
                n_rows += 1
            if maxn > 0 and not ended:
                n_chars = split_word(data, start, at, word, chars)
                n_new, n_rows = note_ngrams(
                    word,
                    chars,
                    n_chars,
                    minn,
                    maxn,
                    bucket,
                    kept,
                    ranks,
                    n_words,
                    grams,
                    rows,
                    n_rows,
                    vectors,
                    hidden,
                )
                n_added += n_new
            if slot >= 0:
                _remember(memo, slot, start, at, rows, before, n_rows)
        if len(hashes) > 0:
            hashes[n_hashes] = np.int32(value)
            n_hashes += 1
    if tables.n_rows > 0:
        n_new, n_rows = note_word_ngrams(
            hashes, n_hashes, tables.word_ngrams, bucket, kept, ranks, n_words, rows, n_rows, vectors, hidden
        )
        n_added += n_new
    add_rows(vectors, rows, n_rows, hidden)
    return n_added + n_rows


@njit(cache=True, nogil=True)
def _find_known(starts, sizes, data, start, end, value):  # type: ignore[no-untyped-def]
    """Slot of the memo that holds this word, or the free one where it belongs."""
    slot = np.int64(value) & (_MEMO_SLOTS - 1)
    while sizes[slot] > 0 and not equal(data, start, end, data, starts[slot], starts[slot] + sizes[slot]):
        slot = (slot + 1) & (_MEMO_SLOTS - 1)
    return slot


@njit(cache=True, nogil=True)
def _remember(memo, slot, start, end, rows, first_row, n_rows):  # type: ignore[no-untyped-def]
    """Put a word and its rows in the memo, unless that is full."""
    n_known, first = memo.used
    count = n_rows - first_row
    if 2 * n_known >= _MEMO_SLOTS or first + count > _MEMO_ROWS:
        return
    memo.starts[slot], memo.sizes[slot] = start, end - start
    memo.firsts[slot], memo.counts[slot] = first, count
    for i in range(count):
        memo.rows[first + i] = rows[first_row + i]
    memo.used[0], memo.used[1] = n_known + 1, first + count
