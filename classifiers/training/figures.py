"""Figures of scores against labels: rank correlation, AUC, intervals by resampling sources, calibration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from classifiers.linear.train import auc

N_RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A figure, and its 95 % interval over resampled sources; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "–"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def spearman(scores: np.ndarray, targets: np.ndarray) -> float:
    """Rank correlation with mean ranks for ties; NaN for fewer than two values on a side."""
    a, b = ranks(scores), ranks(targets)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size > 0 else math.nan


def ranks(values: np.ndarray) -> np.ndarray:
    """Mean rank of each value, from 0: float64 (n,)."""
    _, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[positions]


def pairs_right(scores: np.ndarray, targets: np.ndarray, sources: np.ndarray, gap: float) -> float:
    """Share of the pairs of one source, at least `gap` apart, that scores put in the right order; ties count half."""
    n_right = n_pairs = 0.0
    for source in np.unique(sources):
        own = sources == source
        apart = targets[own][:, None] - targets[own][None, :] >= gap
        order = np.sign(scores[own][:, None] - scores[own][None, :])
        n_pairs += apart.sum()
        n_right += ((order[apart] + 1) / 2).sum()
    return float(n_right / n_pairs) if n_pairs else math.nan


def interval(sources: np.ndarray, figure: Callable[[np.ndarray], float], seed: int = 1) -> Interval:
    """A figure over all rows, and its 95 % interval by drawing as many sources as there are, with repetition.

    Args: figure, from rows, int64 (n,), which may repeat.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    groups = [np.flatnonzero(sources == source) for source in np.unique(sources)]
    values = []
    for _ in range(N_RESAMPLES if len(groups) > 1 else 0):
        drawn = random.integers(len(groups), size=len(groups))
        value = figure(np.concatenate([groups[i] for i in drawn]))
        if not math.isnan(value):
            values.append(value)
    low, high = np.quantile(values, [0.025, 0.975]) if values else (math.nan, math.nan)
    return Interval(figure(np.arange(len(sources))), float(low), float(high))


def class_auc(scores: np.ndarray, good: np.ndarray, sources: np.ndarray) -> Interval:
    """AUC of one class against the other, with its interval."""
    return interval(sources, lambda rows: auc(scores[rows], good[rows]))


def rank_interval(scores: np.ndarray, targets: np.ndarray, sources: np.ndarray) -> Interval:
    """Rank correlation, with its interval."""
    return interval(sources, lambda rows: spearman(scores[rows], targets[rows]))


def fit_line(odds: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of log-odds that minimise the cross-entropy, by Newton's method; the slope stays positive.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines.
    """
    slope, intercept = 1.0, 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(slope * odds + intercept, -30, 30)))
        weight, error = p * (1 - p) + 1e-9, p - targets
        down, across = (error * odds).sum() + 1e-3 * (slope - 1), error.sum()
        a, b, c = (weight * odds * odds).sum() + 1e-3, (weight * odds).sum(), weight.sum()
        size = a * c - b * b  # a 2 by 2 system, solved without a library, so that machines agree
        step = (c * down - b * across) / size, (a * across - b * down) / size
        slope, intercept = slope - step[0], intercept - step[1]
        if max(map(abs, step)) < 1e-9:
            break
    return (float(slope), float(intercept)) if slope > 0.01 else (0.01, float(intercept))


def calibration_error(scores: np.ndarray, targets: np.ndarray, n_bins: int = 10) -> float:
    """Mean difference of score and label over bins of equal numbers of documents, weighted by them (ECE)."""
    order = np.argsort(scores, kind="stable")
    bins = [rows for rows in np.array_split(order, n_bins) if len(rows)]
    gaps = [abs(float(scores[rows].mean() - targets[rows].mean())) * len(rows) for rows in bins]
    return sum(gaps) / max(len(scores), 1)


def cut_for(scores: np.ndarray, good: np.ndarray, kept_share: float) -> float:
    """Largest threshold at which at least this share of the good documents is kept."""
    values = np.sort(scores[good])
    return float(values[math.floor(round((1 - kept_share) * len(values), 9))]) if len(values) else math.nan
