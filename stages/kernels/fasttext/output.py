"""Output layer of fastText models: from the mean of a document's features to its best labels.

Hierarchical softmax, softmax, and independent sigmoids (one-vs-all and negative sampling). Intermediates are
rounded to float32 where the library rounds them: close to 1e-5 a single rounding decides the order of labels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.fasttext.model import HIERARCHICAL, SOFTMAX

_LOG_FLOOR = 1e-5
"""The library computes log(x + 1e-5) for log(x) and discards labels with a probability below 1e-5."""
_SIGMOID_SPAN, _SIGMOID_STEPS = 8, 512
"""The library uses a table of 512 steps over [-8, 8] for sigmoids."""


class Walk(NamedTuple):
    """Scratch memory for the output layer.

    scores: float32 (n_labels,). nodes, node_scores: int32 and float32 (n_labels + 1,), the stack of a walk through the
    label tree. kept, kept_scores: int32 and float32 (k + 1,), the best labels so far.
    """

    scores: np.ndarray
    nodes: np.ndarray
    node_scores: np.ndarray
    kept: np.ndarray
    kept_scores: np.ndarray


@njit(cache=True, nogil=True)
def make_walk(n_labels, k):  # type: ignore[no-untyped-def]
    """Allocate memory for the k best labels of a model with n_labels."""
    size = n_labels + 1
    return Walk(
        np.empty(n_labels, np.float32),
        np.empty(size, np.int32),
        np.empty(size, np.float32),
        np.empty(k + 1, np.int32),
        np.empty(k + 1, np.float32),
    )


@njit(cache=True, nogil=True)
def best_labels(tables, hidden, labels, probabilities, walk):  # type: ignore[no-untyped-def]
    """Write the best labels of one document, best first.

    Args: tables, of the model; hidden, float32 (dim,), mean of the features; walk, from make_walk. Writes labels, int32
    (k,), and probabilities, float32 (k,), up to the number of labels found.
    """
    kept, scores = walk.kept, walk.kept_scores
    if tables.loss == HIERARCHICAL:
        n = _descend(tables.output, tables.children, hidden, walk.nodes, walk.node_scores, kept, scores)
    else:
        _score_all(tables.output, tables.loss, hidden, walk.scores)
        n = 0
        for label in range(len(walk.scores)):
            n = _keep(kept, scores, n, label, _log(walk.scores[label]))
    for last in range(n - 1, 0, -1):
        _pop(kept, scores, last)
    for i in range(n):
        labels[i], probabilities[i] = kept[i], np.float32(math.exp(scores[i]))


@njit(cache=True, nogil=True)
def _dot(output, row, hidden):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for j in range(len(hidden)):
        total += output[row, j] * hidden[j]
    return total


@njit(cache=True, nogil=True)
def _log(x):  # type: ignore[no-untyped-def]
    return np.float32(math.log(np.float64(np.float32(x)) + _LOG_FLOOR))


@njit(cache=True, nogil=True)
def _keep(kept, scores, n, label, score):  # type: ignore[no-untyped-def]
    """Add a label to the n best so far, a heap with the worst on top; return the new number of labels.

    Ties are kept and ordered as by the heap of the library: if one of two labels is requested, it is the later one.
    """
    k = len(kept) - 1
    if n == k and score < scores[0]:
        return n
    _lift(kept, scores, n, label, score)
    if n < k:
        return n + 1
    _pop(kept, scores, n)
    return n


@njit(cache=True, nogil=True)
def _lift(kept, scores, hole, label, score):  # type: ignore[no-untyped-def]
    """Insert a label at a hole, moving down better ones above it: `std::push_heap` of libstdc++."""
    while hole > 0 and scores[(hole - 1) // 2] > score:
        kept[hole], scores[hole] = kept[(hole - 1) // 2], scores[(hole - 1) // 2]
        hole = (hole - 1) // 2
    kept[hole], scores[hole] = label, score


@njit(cache=True, nogil=True)
def _pop(kept, scores, last):  # type: ignore[no-untyped-def]
    """Move the worst of last + 1 labels behind the others, which stay a heap: `std::pop_heap` of libstdc++."""
    label, score = kept[last], scores[last]
    kept[last], scores[last] = kept[0], scores[0]
    hole, child = 0, 2
    while child < last:
        child -= scores[child] > scores[child - 1]
        kept[hole], scores[hole] = kept[child], scores[child]
        hole, child = child, 2 * child + 2
    if child == last:
        kept[hole], scores[hole] = kept[child - 1], scores[child - 1]
        hole = child - 1
    _lift(kept, scores, hole, label, score)


@njit(cache=True, nogil=True)
def _descend(output, children, hidden, nodes, node_scores, kept, scores):  # type: ignore[no-untyped-def]
    """Walk the Huffman tree from the root, skipping branches with scores below the worst of a full list.

    The left branch is visited first, as in the library: a score can rise by 1e-5 on the way down, so the order decides
    which of two nearly equal labels is dropped.
    """
    n_labels = len(output)
    floor = _log(0.0)
    nodes[0], node_scores[0] = 2 * n_labels - 2, 0.0
    n_stack, n, k = 1, 0, len(kept) - 1
    while n_stack > 0:
        n_stack -= 1
        node, score = nodes[n_stack], node_scores[n_stack]
        if score < floor or (n == k and score < scores[0]):
            continue
        if children[node, 0] < 0:
            n = _keep(kept, scores, n, node, score)
            continue
        x = np.float64(_dot(output, node - n_labels, hidden))
        right = np.float64(np.float32(1.0 / np.float64(np.float32(1) + np.float32(math.exp(-x)))))
        nodes[n_stack], node_scores[n_stack] = children[node, 1], score + _log(right)
        nodes[n_stack + 1], node_scores[n_stack + 1] = children[node, 0], score + _log(1.0 - right)
        n_stack += 2
    return n


@njit(cache=True, nogil=True)
def _score_all(output, loss, hidden, scores):  # type: ignore[no-untyped-def]
    """Compute the probability of every label, float32: softmax, or one sigmoid each."""
    for label in range(len(scores)):
        scores[label] = _dot(output, label, hidden)
    if loss != SOFTMAX:
        for label in range(len(scores)):
            scores[label] = sigmoid(scores[label])
        return
    highest, total = scores.max(), np.float32(0)
    for label in range(len(scores)):
        scores[label] = np.float32(math.exp(np.float64(scores[label] - highest)))
        total += scores[label]
    for label in range(len(scores)):
        scores[label] /= total


@njit(cache=True, nogil=True)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """The logistic function of a float32 as the library looks it up, float32."""
    if x < -_SIGMOID_SPAN:
        return np.float32(0)
    if x > _SIGMOID_SPAN:
        return np.float32(1)
    step = math.floor((x + np.float32(_SIGMOID_SPAN)) * np.float32(_SIGMOID_STEPS) / (2 * _SIGMOID_SPAN))
    return np.float32(1.0 / (1.0 + math.exp(_SIGMOID_SPAN - step * 2.0 * _SIGMOID_SPAN / _SIGMOID_STEPS)))
