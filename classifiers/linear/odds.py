"""Log-odds and scores of linear models, identical on every machine.

Weights are integer multiples of a step, so that sums do not depend on the order. Log-odds are rounded to a step and
clipped, so that they can be recovered from a float32 score; scores are read from a table.
"""

from __future__ import annotations

import math

import numpy as np

WEIGHT_STEP = 1 / 64
"""Log-odds per unit of the integer weights of a model."""

ODDS_STEP, MAX_ODDS = 0.001, 8.0
"""Step and maximum absolute value of log-odds."""

N_STEPS = round(MAX_ODDS / ODDS_STEP)

_SIGMOID = np.array(
    [1 / (1 + math.exp(-i * ODDS_STEP)) for i in range(-N_STEPS, N_STEPS + 1)], np.float64
).astype(np.float32)
"""Score of each possible log-odds; rounding to float32 removes differences between maths libraries."""


def to_steps(odds: np.ndarray) -> np.ndarray:
    """Log-odds as integer multiples of ODDS_STEP, clipped at MAX_ODDS; int64."""
    return np.rint(np.clip(odds, -MAX_ODDS, MAX_ODDS) / ODDS_STEP).astype(np.int64)


def to_scores(steps: np.ndarray) -> np.ndarray:
    """Scores in [0, 1] of log-odds given in steps of ODDS_STEP; float32."""
    return _SIGMOID[steps + N_STEPS]
