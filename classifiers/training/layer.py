"""A linear layer on vectors of documents: logistic regression, with its L2 penalty chosen on sources left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from classifiers.training.data import Labelled, training_rows

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
"""L2 penalties that are tried, for vectors scaled to variance 1."""


@dataclass(frozen=True)
class Layer:
    """A linear layer: log-odds = vector @ weight + bias. weight: float64 (size,)."""

    weight: np.ndarray
    bias: float

    def odds(self, vectors: np.ndarray) -> np.ndarray:
        """Log-odds of vectors, float64 (n, size) -> (n,)."""
        return vectors @ self.weight + self.bias


def choose_penalty(vectors: np.ndarray, data: Labelled, rows: np.ndarray) -> float:
    """The penalty with the lowest cross-entropy on a fold of the rows, with its sources left out. rows: bool (n,)."""
    folds = np.unique(data.folds[rows])
    if len(folds) < 2:
        return PENALTIES[len(PENALTIES) // 2]
    held = rows & (data.folds == folds[0])
    learnt = rows & training_rows(replace(data, folds=np.where(held, 1, 0)), 1)
    if held.sum() < 2 or learnt.sum() < 2:
        return PENALTIES[len(PENALTIES) // 2]

    def cost(penalty: float) -> float:
        odds = fit(vectors[learnt], data.targets[learnt], penalty).odds(vectors[held])
        return float(np.mean(np.logaddexp(0, odds) - data.targets[held] * odds))

    return min(PENALTIES, key=cost)


def fit(vectors: np.ndarray, targets: np.ndarray, penalty: float) -> Layer:
    """Minimise cross-entropy and L2 by Newton's method. vectors: float64 (n, size); targets: in [0, 1]."""
    center, scale = vectors.mean(axis=0), float(np.sqrt(vectors.var(axis=0).mean())) or 1.0
    inputs = np.column_stack([(vectors - center) / scale, np.ones(len(vectors))])
    penalties = np.append(np.full(vectors.shape[1], penalty), 1e-6)
    weight = np.zeros(inputs.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(inputs @ weight, -30, 30)))
        slope = inputs.T @ (p - targets) + penalties * weight
        curve = (inputs * (p * (1 - p) + 1e-9)[:, None]).T @ inputs + np.diag(penalties)
        step = np.linalg.solve(curve, slope)
        weight -= step
        if np.abs(step).max() < 1e-7:
            break
    return Layer(weight[:-1] / scale, float(weight[-1] - center @ weight[:-1] / scale))
