"""Agreement of two labellers: Cohen's kappa, also with quadratic weights, and Spearman's rank correlation.

Sources: Cohen, Educational and Psychological Measurement 20 (1960); Cohen, Psychological Bulletin 70 (1968), weighted
kappa; Spearman's correlation is Pearson's of ranks, equal values having the mean of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa of two lists of answers to the same questions; None where chance alone explains all."""
    names = {name: i for i, name in enumerate(dict.fromkeys([*first, *second]))}
    a, b = (np.array([names[value] for value in values], np.int64) for values in (first, second))
    return _kappa(a, b, 1 - np.eye(len(names)))


def quadratic_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Return Cohen's kappa of whole numbers, weighing a disagreement by its square."""
    numbers = [*first, *second]
    low, n = min(numbers, default=0), max(numbers, default=0) - min(numbers, default=0) + 1
    places = np.arange(n)
    costs = (places[:, None] - places[None, :]).astype(float) ** 2
    return _kappa(np.array(first, np.int64) - low, np.array(second, np.int64) - low, costs)


def _kappa(a: np.ndarray, b: np.ndarray, costs: np.ndarray) -> float | None:
    """1 - cost of the disagreements / cost expected by chance. a, b: int64 (n,); costs: float (n_values, n_values)."""
    if not len(a):
        return None
    table = np.zeros(costs.shape)
    np.add.at(table, (a, b), 1)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / len(a)
    chance = float((costs * expected).sum())
    return None if chance == 0 else 1 - float((costs * table).sum()) / chance


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None with fewer than two different values on either side."""
    a, b = (_ranks(np.array(values, float)) for values in (first, second))
    a, b = a - a.mean() if len(a) else a, b - b.mean() if len(b) else b
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return None if scale == 0 else float(a @ b) / scale


def _ranks(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2
