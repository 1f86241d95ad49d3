"""Many fastText models in one pass over the text: output layers folded into the input rows, dictionaries united.

A label's odds are a dot product of the mean of the rows of a document with a vector of the output layer, so they equal
the mean of one number per row: the dot product of that row (the difference of the two output vectors for softmax over
two labels). Models that split and hash text in the same way share all of that work: their dictionaries are united, and
the numbers of one row by all models are adjacent in memory, so that each feature is looked up once.

Folded numbers are rounded to float32, sums are float64. Scores equal the probabilities of the C++ library, which sums
in float32, up to its rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.fasttext.model import (
    HIERARCHICAL,
    SOFTMAX,
    FastText,
    Tables,
    bitmap,
    fnv,
    index_entries,
)
from stages.kernels.fasttext.output import sigmoid
from stages.kernels.fasttext.predict import (
    make_memo,
    make_scratch,
    octets_of,
    sum_word_ngrams,
    sum_words,
)
from stages.kernels.fasttext.words import find_entry

_PREFIX = b"__label__"
_CHUNK = 1 << 16
"""Rows of an input matrix that are folded at once; the rest is left on disk."""
_LOG_FLOOR = 1e-5
"""Added to every probability by the library."""


@dataclass(frozen=True)
class Scorer:
    """A model and the label whose probability is its score."""

    model: FastText
    label: str


class Key(NamedTuple):
    """What models have in common that can share one pass: how they split and hash text.

    odd: names of labels without the usual prefix, which are no words. pruned: whether n-grams were pruned.
    """

    word_ngrams: int
    minn: int
    maxn: int
    bucket: int
    pruned: bool
    odd: tuple[bytes, ...]


class Layer(NamedTuple):
    """How the score of one scorer is computed from its odds: columns first to first + n, of which `label` is its own.

    loss: of the model; n = 1 if one number decides. flipped: a leaf of hierarchical softmax on the left side.
    """

    loss: int
    first: int
    n: int
    label: int
    flipped: bool


@dataclass(frozen=True)
class Group:
    """Scorers that share one pass.

    members: indices of the scorers. tables: united dictionary; vectors float32 (n_rows, 2 * n_columns), the number of a
    row in each column, then 1 for columns whose model has the row. ngrams: float32 (n_buckets, n_columns) for word
    n-grams of models that have every bucket, otherwise rows of `tables.vectors`. layers: by member.
    """

    members: tuple[int, ...]
    tables: Tables
    ngrams: np.ndarray
    layers: tuple[Layer, ...]


def key_of(model: FastText) -> Key:
    """What a model must have in common with others to share their pass."""
    tables = model.tables
    odd = tuple(sorted(name for name in _names(tables, tables.n_words) if not name.startswith(_PREFIX)))
    if tables.n_rows == 0 or (tables.word_ngrams <= 1 and tables.maxn <= 0):
        return Key(1, 0, 0, 0, False, odd)
    grams = (max(tables.minn, 1), tables.maxn) if tables.maxn > 0 else (0, 0)
    return Key(max(tables.word_ngrams, 1), *grams, tables.bucket, len(tables.kept) > 0, odd)


def can_fold(model: FastText) -> bool:
    """Whether scores follow from one number per row and label: not for a tree of more than two labels."""
    return model.tables.loss != HIERARCHICAL or len(model.labels) == 2


def unite(scorers: Sequence[Scorer]) -> list[Group]:
    """Fold the models of all scorers and unite those with equal keys.

    Raises: ValueError for hierarchical softmax over more than two labels, which cannot be folded.
    """
    groups: dict[Key, list[int]] = {}
    for i, scorer in enumerate(scorers):
        groups.setdefault(key_of(scorer.model), []).append(i)
    return [_unite(key, tuple(members), [scorers[i] for i in members]) for key, members in groups.items()]


def score(groups: Sequence[Group], data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Score documents by all scorers.

    Args: groups, of `unite`; data, uint8, valid UTF-8; document i is data[starts[i]:ends[i]], int64 (n_docs,).
    Returns: float32 (n_docs, n_scorers), probabilities of the labels as the library returns them, at most 1; NaN for a
    document without any feature of the model.
    """
    n_scorers = sum(len(group.members) for group in groups)
    scores = np.empty((len(starts), n_scorers), np.float32)
    data = data.view()
    data.setflags(write=False)  # one numba type for the kernel
    memo, keys = make_memo(len(data))
    for group in groups:
        n_columns = group.tables.vectors.shape[1] // 2
        odds = np.empty((len(starts), n_columns))
        memo[:] = 0
        _sum(group.tables, group.ngrams, data, octets_of(data), starts, ends, odds, memo, keys)
        for member, layer in zip(group.members, group.layers, strict=True):
            _finish(odds, *layer, scores[:, member])
    return scores


@njit(cache=True, nogil=True)
def count_words(data, starts, ends):  # type: ignore[no-untyped-def]  # numba infers types
    """Words of each document, at the blanks of fastText: int32 (n_docs,)."""
    counts = np.zeros(len(starts), np.int32)
    for doc in range(len(starts)):
        inside = False
        for i in range(starts[doc], ends[doc]):
            blank = data[i] == 0x20 or 0x09 <= data[i] <= 0x0D or data[i] == 0
            counts[doc] += not blank and not inside
            inside = not blank
    return counts


@njit(cache=True, nogil=True)
def _sum(tables, ngrams, data, octets, starts, ends, odds, memo, keys):  # type: ignore[no-untyped-def]  # numba infers types
    """Write the mean over the features of each document, by column; NaN without features."""
    longest, n = 0, odds.shape[1]
    for doc in range(len(starts)):
        longest = max(longest, ends[doc] - starts[doc])
    scratch = make_scratch(tables, longest)
    words, grams = np.empty(2 * n), np.empty(ngrams.shape[1])
    for doc in range(len(starts)):
        words[:] = 0
        grams[:] = 0
        _, n_hashes = sum_words(tables, data, octets, starts[doc], ends[doc], words, scratch, memo, keys)
        n_grams = 0
        if len(ngrams) > 0:
            n_grams = sum_word_ngrams(tables, ngrams, 0, n_hashes, grams, scratch)
        for i in range(n):
            count = words[n + i] + (grams[n + i] if len(grams) == 2 * n else np.float64(n_grams))
            odds[doc, i] = (words[i] + grams[i]) / count if count > 0 else np.nan


@njit(cache=True, nogil=True)
def _finish(odds, loss, first, n, label, flipped, scores):  # type: ignore[no-untyped-def]
    """Write the probability of one label for each document."""
    for doc in range(len(odds)):
        own = odds[doc, first + label]
        if np.isnan(own):
            scores[doc] = np.nan
            continue
        if loss == SOFTMAX or loss == HIERARCHICAL:
            total = 1.0
            if n == 1:
                total += exp(own if flipped else -own)
            else:
                for i in range(n):
                    total += exp(odds[doc, first + i] - own) if i != label else 0.0
            share = 1.0 / total
        else:
            share = np.float64(sigmoid(np.float32(own)))
        scores[doc] = np.float32(min(share + _LOG_FLOOR, 1.0))


@njit(cache=True, nogil=True)
def exp(x):  # type: ignore[no-untyped-def]
    """e**x by additions and multiplications alone, so that it is the same on every machine; 0 or infinity far out."""
    if x < -700.0:
        return 0.0
    if x > 700.0:
        return np.inf
    n = np.rint(x * 1.4426950408889634)
    rest = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10  # ln 2 in two parts
    total = 1.0
    for i in range(14, 0, -1):
        total = 1.0 + total * rest / i
    power, base = abs(np.int64(n)), 2.0 if n > 0 else 0.5
    while power > 0:
        if power & 1:
            total *= base
        base, power = base * base, power >> 1
    return total


def _unite(key: Key, members: tuple[int, ...], scorers: Sequence[Scorer]) -> Group:
    layers: list[Layer] = []
    directions: list[np.ndarray] = []
    for scorer in scorers:
        layer, rows = _layer(scorer, sum(len(d) for d in directions))
        layers.append(layer)
        directions.append(rows)
    n_columns = sum(len(rows) for rows in directions)
    entries, bounds, positions = _unite_words([scorer.model.tables for scorer in scorers])
    n_words = len(bounds) - 1
    kept, ranks, buckets = _unite_buckets(key, [scorer.model.tables for scorer in scorers])
    apart = key.maxn == 0 and not key.pruned  # word n-grams that every model has need no marks
    n_buckets = len(buckets) if key.bucket else 0
    vectors = np.zeros((n_words + (0 if apart else n_buckets), 2 * n_columns), np.float32)
    ngrams = np.zeros((n_buckets, n_columns), np.float32) if apart else vectors[n_words:]
    first = 0
    for scorer, rows, position in zip(scorers, directions, positions, strict=True):
        tables = scorer.model.tables
        columns = slice(first, first + len(rows))
        marks = slice(n_columns + first, n_columns + first + len(rows))
        vectors[position, columns] = _fold(tables.vectors, 0, tables.n_words, rows)
        vectors[position, marks] = 1
        if n_buckets:
            own = _buckets_of(tables)
            at = np.searchsorted(buckets, own) if key.pruned else own
            ngrams[at, columns] = _fold(tables.vectors, tables.n_words, tables.n_words + len(own), rows)
            if not apart:
                ngrams[at, marks] = 1
        first += len(rows)
    odd = [*key.odd]
    all_entries = np.concatenate([entries, np.frombuffer(b"".join(odd), np.uint8)])
    ends = bounds[-1] + np.cumsum([len(name) for name in odd], dtype=np.int64)
    all_bounds = np.concatenate([bounds, ends])
    united = Tables(
        vectors=vectors, output=np.empty((0, 0), np.float32), slots=index_entries(all_entries, all_bounds),
        entries=all_entries, bounds=all_bounds, n_words=n_words,
        longest_entry=int(np.diff(all_bounds).max(initial=0)), kept=kept, ranks=ranks,
        n_rows=0 if apart else n_buckets, bucket=key.bucket, minn=key.minn, maxn=key.maxn,
        word_ngrams=key.word_ngrams, loss=0, children=np.empty((0, 2), np.int32),
    )  # fmt: skip
    return Group(members, united, ngrams if key.word_ngrams > 1 else ngrams[:0], tuple(layers))


def _layer(scorer: Scorer, first: int) -> tuple[Layer, np.ndarray]:
    """How a scorer's probability follows from odds, and the directions whose dot products are these: (n, dim)."""
    model, loss = scorer.model, scorer.model.tables.loss
    label, output = model.labels.index(scorer.label), model.tables.output.astype(np.float64)
    if loss == SOFTMAX and len(output) == 2:
        return Layer(loss, first, 1, 0, False), output[[label]] - output[[1 - label]]
    if loss == SOFTMAX:
        return Layer(loss, first, len(output), label, False), output
    if loss == HIERARCHICAL:
        if len(output) != 2:
            raise ValueError(f"hierarchical softmax over {len(output)} labels; only two can be folded")
        return Layer(loss, first, 1, 0, bool(model.tables.children[2, 0] == label)), output[:1]
    return Layer(loss, first, 1, 0, False), output[[label]]


def _unite_words(all_tables: Sequence[Tables]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The words of all models, each once: their bytes, bounds, and the position of each word of each model."""
    pieces = [tables.entries[: tables.bounds[tables.n_words]] for tables in all_tables]
    starts = np.cumsum([0, *(len(piece) for piece in pieces)])
    bounds = np.concatenate(
        [[0], *(t.bounds[1 : t.n_words + 1] + start for t, start in zip(all_tables, starts, strict=False))]
    ).astype(np.int64)
    entries = np.concatenate(pieces)
    positions, firsts = _positions(entries, bounds)
    lengths = np.diff(bounds)[firsts]
    united = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    inside = np.zeros(len(firsts) + 1, np.int64)
    inside[: len(firsts)] = bounds[:-1][firsts]
    text = _gather(entries, inside, united)
    splits = np.cumsum([tables.n_words for tables in all_tables])[:-1]
    return text, united, np.split(positions, splits)


@njit(cache=True, nogil=True)
def _positions(entries, bounds):  # type: ignore[no-untyped-def]
    """Number words by first occurrence: the number of each, and the index of the first occurrence of each number."""
    size = 16
    while size < 2 * len(bounds):
        size *= 2
    slots = np.full(size, -1, np.int32)
    positions, firsts, n = np.empty(len(bounds) - 1, np.int64), np.empty(len(bounds) - 1, np.int64), 0
    for i in range(len(bounds) - 1):
        value = fnv(entries, bounds[i], bounds[i + 1])
        found = find_entry(slots, entries, bounds, entries, bounds[i], bounds[i + 1], value)
        if found < 0:
            at = np.int64(value) & (size - 1)
            while slots[at] >= 0:
                at = (at + 1) & (size - 1)
            slots[at] = i
            positions[i], firsts[n] = n, i
            n += 1
        else:
            positions[i] = positions[found]
    return positions, firsts[:n]


@njit(cache=True, nogil=True)
def _gather(data, starts, bounds):  # type: ignore[no-untyped-def]
    """Put stretches of bytes together; stretch i is as long as bounds[i + 1] - bounds[i]."""
    result = np.empty(bounds[-1], np.uint8)
    for i in range(len(bounds) - 1):
        for j in range(bounds[i + 1] - bounds[i]):
            result[bounds[i] + j] = data[starts[i] + j]
    return result


def _unite_buckets(key: Key, all_tables: Sequence[Tables]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bitmap of buckets that any model has, its ranks, and the buckets in order; empty maps if all have all."""
    if not key.pruned:
        return np.empty(0, np.uint64), np.empty(0, np.int32), np.arange(key.bucket)
    buckets = np.unique(np.concatenate([_buckets_of(tables) for tables in all_tables]))
    return *bitmap(buckets, key.bucket), buckets


def _buckets_of(tables: Tables) -> np.ndarray:
    """The buckets for which a model has a row, in order of the rows."""
    if len(tables.kept) == 0:
        return np.arange(tables.n_rows)
    return np.flatnonzero(np.unpackbits(tables.kept.view(np.uint8), bitorder="little"))


def _fold(vectors: np.ndarray, start: int, end: int, directions: np.ndarray) -> np.ndarray:
    """Dot products of rows start to end with each direction: float32 (n_rows, n_directions)."""
    folded = np.empty((end - start, len(directions)), np.float32)
    for first in range(start, end, _CHUNK):
        rows = np.require(vectors[first : min(first + _CHUNK, end)], np.float32, ["C", "A"]).view()
        rows.setflags(write=False)  # one numba type
        _dot_rows(rows, directions, folded[first - start : first - start + len(rows)])
    return folded


@njit(cache=True, nogil=True)
def _dot_rows(rows, directions, folded):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        for k in range(len(directions)):
            total = 0.0
            for j in range(rows.shape[1]):
                total += rows[i, j] * directions[k, j]
            folded[i, k] = total


def _names(tables: Tables, start: int) -> list[bytes]:
    bounds = tables.bounds
    return [tables.entries[bounds[i] : bounds[i + 1]].tobytes() for i in range(start, len(bounds) - 1)]
