"""Training of linear models over hashed features: logistic regression by AdaGrad, the same weights on every run.

A document is the mean of its n-gram features plus a few features of weight 1 ("shapes"). Plain float64 arithmetic in a
fixed order; no BLAS, no threads.

Paper: Duchi, Hazan, Singer, Adaptive Subgradient Methods, JMLR 12, 2011.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.kernels.dropout import drop_features


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of training.

    epochs: passes over the examples. rate: learning rate of AdaGrad. decay: weight decay, applied each time a feature
    occurs. dropout: share of n-grams left out of an example each time, so that no rare n-gram decides alone. root:
    divide the sum of n-grams by the square root of their number rather than by their number, so that a few strong ones
    count for more. least: an example with fewer n-grams counts as having this many, so that a few words do not weigh
    like a whole text. seed: of the order of examples and of dropout.
    """

    epochs: int = 6
    rate: float = 0.5
    decay: float = 1e-4
    dropout: float = 0.5
    root: bool = False
    least: int = 1
    seed: int = 1


def fit(
    rows: np.ndarray,
    starts: np.ndarray,
    shapes: np.ndarray,
    labels: np.ndarray,
    n_rows: int,
    settings: Settings,
) -> tuple[np.ndarray, float]:
    """Fit the weights and the bias of one binary classifier.

    Args: rows, int32 (n,), n-gram cells of all examples; starts, int64 (n_examples + 1,), example i has
    rows[starts[i]:starts[i + 1]]; shapes, int64 (n_examples, n_shapes), rows of weight 1; labels, int8 (n_examples,),
    1, 0, or -1 for an example to leave out; n_rows, size of the table.
    Returns: float64 (n_rows,) weights and the bias. Both classes have the same total weight, regardless of their sizes.
    """
    random = np.random.Generator(np.random.PCG64(settings.seed))
    weights, squares = np.zeros(n_rows), np.full(n_rows, 1e-8)
    state = np.array([0.0, 1e-8])
    chosen = np.flatnonzero(labels >= 0)
    n_positive = max(int(np.count_nonzero(labels == 1)), 1)
    n_negative = max(len(chosen) - n_positive, 1)
    importance = len(chosen) / 2 / np.where(labels == 1, n_positive, n_negative)
    for _ in range(settings.epochs):
        order = chosen[random.permutation(len(chosen))]
        _pass(
            rows, starts, shapes, labels, importance, order, weights, squares, state, settings.rate,
            settings.decay, settings.dropout, settings.root, settings.least, np.uint64(random.integers(1 << 62)),
        )  # fmt: skip
    return weights, float(state[0])


@njit(cache=True, nogil=True)
def _pass(  # type: ignore[no-untyped-def]  # numba infers types
    rows,
    starts,
    shapes,
    labels,
    importance,
    order,
    weights,
    squares,
    state,
    rate,
    decay,
    dropout,
    root,
    least,
    seed,
):
    """One pass of AdaGrad over the examples in this order; changes weights, squares and state in place."""
    longest = 0
    for doc in range(len(labels)):
        longest = max(longest, starts[doc + 1] - starts[doc])
    kept = np.empty(longest, np.int32)
    limit = np.uint64(dropout * 4294967296.0)
    coin = seed | np.uint64(1)
    for doc in order:
        n, coin = drop_features(rows, starts[doc], starts[doc + 1], limit, coin, kept)
        if n == 0:
            continue
        total = 0.0
        for i in range(n):
            total += weights[kept[i]]
        size = float(max(n, least))
        if root:
            size = math.sqrt(size)
        odds = state[0] + total / size
        for shape in shapes[doc]:
            odds += weights[shape]
        error = importance[doc] * (1.0 / (1.0 + math.exp(-min(max(odds, -30.0), 30.0))) - labels[doc])
        step = error / size
        for i in range(n):
            row = kept[i]
            gradient = step + decay * weights[row] / n
            squares[row] += gradient * gradient
            weights[row] -= rate * gradient / math.sqrt(squares[row])
        for row in shapes[doc]:
            gradient = error + decay * weights[row]
            squares[row] += gradient * gradient
            weights[row] -= 0.1 * rate * gradient / math.sqrt(squares[row])
        state[1] += error * error
        state[0] -= 0.1 * rate * error / math.sqrt(state[1])


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a positive example scores above a negative one, ties counted half (Mann and Whitney).

    Args: scores, float (n,); labels, bool (n,).
    Returns: the area under the ROC curve; NaN unless both classes occur.
    """
    _, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    n_positive = int(labels.sum())
    n_pairs = n_positive * (len(labels) - n_positive)
    return float((ranks[labels].sum() - n_positive * (n_positive + 1) / 2) / n_pairs) if n_pairs else math.nan
