"""Training of linear models of many classes over hashed features: multinomial logistic regression by AdaGrad.

A document is the sum of its n-gram features over the square root of their number; its target is a share for each
class, so an uncertain label can be divided among classes. Plain float64 arithmetic in a fixed order, except for `exp`;
no BLAS, no threads.

Paper: Duchi, Hazan, Singer, Adaptive Subgradient Methods, JMLR 12, 2011.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from classifiers.linear.train import Settings
from stages.kernels.dropout import drop_features


def fit_classes(
    rows: np.ndarray,
    starts: np.ndarray,
    targets: np.ndarray,
    importance: np.ndarray,
    n_rows: int,
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit weights and biases of all classes together.

    Args: rows, int32 (n,), n-gram cells of all examples; starts, int64 (n_examples + 1,), example i has
    rows[starts[i]:starts[i + 1]]; targets, float64 (n_examples, n_classes), shares that sum to 1; importance, float64
    (n_examples,), 0 for an example to leave out; n_rows, size of the table.
    Returns: float64 (n_rows, n_classes) weights and float64 (n_classes,) bias, both as log-odds.
    """
    random = np.random.Generator(np.random.PCG64(settings.seed))
    n_classes = targets.shape[1]
    weights, squares = np.zeros((n_rows, n_classes)), np.full((n_rows, n_classes), 1e-8)
    state = np.zeros((2, n_classes))
    state[1] = 1e-8
    chosen = np.flatnonzero((importance > 0) & (starts[1:] > starts[:-1]))
    for _ in range(settings.epochs):
        order = chosen[random.permutation(len(chosen))]
        _pass(
            rows, starts, targets, importance, order, weights, squares, state, settings.rate, settings.decay,
            settings.dropout, np.uint64(random.integers(1 << 62)),
        )  # fmt: skip
    return weights, state[0]


@njit(cache=True, nogil=True)
def _pass(  # type: ignore[no-untyped-def]  # numba infers types
    rows, starts, targets, importance, order, weights, squares, state, rate, decay, dropout, seed
):
    """One pass over the examples in this order; changes weights, squares and state (bias, its squares) in place."""
    n_classes = targets.shape[1]
    longest = 0
    for doc in order:
        longest = max(longest, starts[doc + 1] - starts[doc])
    kept, odds = np.empty(longest, np.int32), np.empty(n_classes)
    limit = np.uint64(dropout * 4294967296.0)
    coin = seed | np.uint64(1)
    for doc in order:
        n, coin = drop_features(rows, starts[doc], starts[doc + 1], limit, coin, kept)
        if n == 0:
            continue
        odds[:] = 0.0
        for i in range(n):
            for k in range(n_classes):
                odds[k] += weights[kept[i], k]
        size = math.sqrt(n)
        for k in range(n_classes):
            odds[k] = state[0, k] + odds[k] / size
        top, total = odds.max(), 0.0
        for k in range(n_classes):
            odds[k] = math.exp(odds[k] - top)
            total += odds[k]
        for k in range(n_classes):
            error = importance[doc] * (odds[k] / total - targets[doc, k])
            odds[k] = error / size
            state[1, k] += error * error
            state[0, k] -= 0.1 * rate * error / math.sqrt(state[1, k])
        for i in range(n):
            row = kept[i]
            for k in range(n_classes):
                gradient = odds[k] + decay * weights[row, k] / size
                squares[row, k] += gradient * gradient
                weights[row, k] -= rate * gradient / math.sqrt(squares[row, k])
