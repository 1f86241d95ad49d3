"""Log-odds and the scores that they stand for, the same on every machine: what linear scorers share.

Weights are whole numbers of a step, so that sums are the same in any order. Log-odds are rounded to a step and cut at a
size, so that a float32 score gives them back, and scores come from a table.
"""

from __future__ import annotations

import math

import numpy as np

WEIGHT_STEP = 1 / 64
"""What the integers of a model count in."""

ODDS_STEP, MAX_ODDS = 0.001, 8.0
"""Step and largest size of log-odds."""

N_STEPS = round(MAX_ODDS / ODDS_STEP)

_SIGMOID = np.array(
    [1 / (1 + math.exp(-i * ODDS_STEP)) for i in range(-N_STEPS, N_STEPS + 1)], np.float64
).astype(np.float32)
"""Score of each possible log-odds: rounding to float32 hides what differs between maths libraries."""


def to_steps(odds: np.ndarray) -> np.ndarray:
    """Log-odds of any size in whole steps, cut at MAX_ODDS; int64."""
    return np.rint(np.clip(odds, -MAX_ODDS, MAX_ODDS) / ODDS_STEP).astype(np.int64)


def to_scores(steps: np.ndarray) -> np.ndarray:
    """Scores in [0, 1] of log-odds in whole steps; float32."""
    return _SIGMOID[steps + N_STEPS]
