"""Mixture advice: a law fitted to measures of proxies over ratios, and the mixture that it proposes.

For each measure, exp(c) + exp(t · r) of the ratios r, the log-linear law of mixing (Ye et al., Data Mixing Laws, arXiv
2403.16952), which Olmix (arXiv 2602.12237) found steady. The proposal minimises the mean of the predicted measures plus
a penalty on its divergence from a prior, under caps on repetition: a convex problem with one minimum. Measures are of
the kind of which less is better, such as bits per byte.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.recipe import optional_module

METADATA = ("run", "run_id", "name", "index", "")
"""Columns of ratios.csv and metrics.csv that are no groups and no measures."""

HUBER = 0.02
"""Residual beyond which an outlier counts less."""

N_STARTS, N_FOLDS = 8, 5

LEAST = 1e-9
"""Least ratio inside logarithms."""


@dataclass(frozen=True)
class Runs:
    """Proxy runs. groups, measures: names; ratios: float64 (n, n_groups); values: float64 (n, n_measures)."""

    groups: tuple[str, ...]
    measures: tuple[str, ...]
    ratios: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Law:
    """A fitted law. c: float; t: float64 (n_groups,)."""

    c: float
    t: np.ndarray

    def predict(self, ratios: np.ndarray) -> np.ndarray:
        """Predict a measure. ratios: float64 (..., n_groups)."""
        found: np.ndarray = np.exp(self.c) + np.exp(ratios @ self.t)
        return found


@dataclass(frozen=True)
class Advice:
    """What a fit proposes.

    ratios: float64 (n_groups,). at_prior, at_ratios: predicted measures, float64 (n_measures,). low, high: interval of
    each predicted gain (below 0 is a gain) over resampled runs. held_out: rank correlation of predictions of left-out
    runs with what they measured, by measure. laws: one a measure.
    """

    runs: Runs
    prior: np.ndarray
    ratios: np.ndarray
    at_prior: np.ndarray
    at_ratios: np.ndarray
    low: np.ndarray
    high: np.ndarray
    held_out: np.ndarray
    laws: tuple[Law, ...]

    @property
    def worst(self) -> int:
        """Index of the measure that loses most, or gains least."""
        return int(np.argmax(self.at_ratios - self.at_prior))


def read_runs(ratios_path: str, metrics_path: str) -> Runs:
    """Read ratios.csv and metrics.csv in the form of Olmix, joined by `run` or `run_id`; repeats of a run are averaged.

    Raises: InputError for a file without such columns, a value that is no number, or runs without measures.
    """
    groups, ratios = _read(ratios_path)
    measures, values = _read(metrics_path)
    common = [run for run in ratios if run in values]
    if len(common) < 3:
        raise InputError(
            f"{ratios_path}, {metrics_path}: {len(common)} runs in common; a fit needs 3 or more"
        )
    table = np.array([ratios[run] for run in common])
    sums = table.sum(axis=1)
    if (np.abs(sums - 1) > 0.01).any():
        i = int(np.abs(sums - 1).argmax())
        raise InputError(f"{ratios_path}: ratios of run {common[i]} sum to {sums[i]:.3f}; expected 1")
    return Runs(groups, measures, table / sums[:, None], np.array([values[run] for run in common]))


def _read(path: str) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {error}") from error
    key = next((name for name in ("run", "run_id") if rows and name in rows[0]), None)
    if key is None:
        raise InputError(f"{path}: expected a CSV file with a column run and a row for each run")
    names = tuple(name for name in rows[0] if name not in METADATA and not name.startswith("Unnamed"))
    found: dict[str, list[list[float]]] = {}
    for line, row in enumerate(rows, 2):
        try:
            found.setdefault(row[key], []).append([float(row[name]) for name in names])
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}:{line}: {error}; expected a number in each column") from error
    return names, {run: np.mean(values, axis=0) for run, values in found.items()}


def fit_law(ratios: np.ndarray, values: np.ndarray, seed: int = 0) -> Law:
    """Fit a law to one measure by robust least squares from several starts.

    Args: ratios, float64 (n, n_groups); values, float64 (n,), above 0.
    Raises: ConfigError if SciPy is not installed.
    """
    optimise = optional_module("scipy.optimize", "SciPy", "ablate", "a fit")
    draw, least = np.random.default_rng(seed), max(float(values.min()), LEAST)

    def residuals(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.exp(x[0]) + np.exp(np.minimum(ratios @ x[1:], 50)) - values
        return found

    best: Any = None
    for i in range(N_STARTS):
        part = (0.2 + 0.7 * i / N_STARTS) * least  # of the measure that no mixture changes
        rest = np.log(np.maximum(values - part, LEAST))
        t, *_ = np.linalg.lstsq(ratios, rest, rcond=None)
        start = np.concatenate([[np.log(part)], t + draw.normal(0, 0.05, len(t)) * (i > 0)])
        found = optimise.least_squares(residuals, start, loss="huber", f_scale=HUBER, max_nfev=400)
        if best is None or found.cost < best.cost:
            best = found
    return Law(float(best.x[0]), best.x[1:])


def propose(
    laws: Sequence[Law], weights: np.ndarray, prior: np.ndarray, penalty: float, cap: np.ndarray
) -> np.ndarray:
    """The mixture with the least weighted mean of predicted measures + penalty × KL(mixture ‖ prior).

    Args: weights, float64 (n_measures,), sum 1; prior, float64 (n_groups,); cap, largest ratio of each group.
    Returns: float64 (n_groups,), sum 1.
    """
    optimise = optional_module("scipy.optimize", "SciPy", "ablate", "a fit")
    prior = np.maximum(prior, LEAST)
    slopes = np.array([law.t for law in laws])

    def objective(r: np.ndarray) -> tuple[float, np.ndarray]:
        r = np.maximum(r, LEAST)
        parts = weights * np.exp(slopes @ r)
        divergence = float((r * np.log(r / prior)).sum())
        return float(parts.sum()) + penalty * divergence, parts @ slopes + penalty * (np.log(r / prior) + 1)

    start = capped(prior / prior.sum(), cap)
    found = optimise.minimize(
        objective, start, jac=True, method="SLSQP", bounds=[(0.0, min(1.0, float(c))) for c in cap],
        constraints={"type": "eq", "fun": lambda r: r.sum() - 1, "jac": lambda r: np.ones_like(r)},
        options={"maxiter": 1000, "ftol": 1e-12},
    )  # fmt: skip
    ratios: np.ndarray = np.clip(found.x, 0, cap)
    return capped(ratios / ratios.sum(), cap)


def capped(ratios: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Move what is above a cap to the groups below theirs, in proportion.

    Raises: InputError if all caps together are below 1.
    """
    if cap.sum() < 1 - 1e-9:
        raise InputError(
            f"the caps on repetition allow {cap.sum():.3f} of the tokens; lower the target or raise the cap"
        )
    ratios = np.maximum(ratios, LEAST)
    full = np.zeros(len(ratios), bool)
    for _ in range(len(ratios)):
        free = ratios * ~full
        ratios = np.where(full, cap, free * (1 - cap[full].sum()) / max(free.sum(), LEAST))
        over = ~full & (ratios > cap + 1e-12)
        if not over.any():
            break
        full |= over
    found: np.ndarray = ratios
    return found


def advise(
    runs: Runs,
    prior: np.ndarray,
    cap: np.ndarray,
    penalty: float = 0.1,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = 200,
) -> Advice:
    """Fit a law to each measure, and propose ratios.

    Measures are divided by their mean over runs, so that each has the same weight. Runs are resampled for the
    intervals of the gains of the one proposal, and left out by fifths for the rank correlations.
    """
    scale = runs.values.mean(axis=0)
    values = runs.values / scale
    n_measures = values.shape[1]
    laws = tuple(fit_law(runs.ratios, values[:, j]) for j in range(n_measures))
    ratios = propose(laws, np.full(n_measures, 1 / n_measures), prior, penalty, cap)
    both = np.stack([prior, ratios])
    predicted = np.array([law.predict(both) for law in laws]) * scale[:, None]
    draw = np.random.default_rng(seed)
    gains = []
    for _ in range(n_resamples):
        rows = draw.integers(0, len(values), len(values))
        row = [_gain(_nearby(law, runs.ratios[rows], values[rows, j]), both) for j, law in enumerate(laws)]
        gains.append(np.array(row) * scale)
    tail = (1 - confidence) / 2
    low, high = np.quantile(gains, [tail, 1 - tail], axis=0)
    return Advice(
        runs,
        prior,
        ratios,
        predicted[:, 0],
        predicted[:, 1],
        low,
        high,
        _held_out(runs.ratios, values, draw),
        laws,
    )


def _nearby(law: Law, ratios: np.ndarray, values: np.ndarray) -> Law:
    """A law fitted again, from the one of all runs."""
    optimise = optional_module("scipy.optimize", "SciPy", "ablate", "a fit")
    start = np.concatenate([[law.c], law.t])
    found = optimise.least_squares(
        lambda x: np.exp(x[0]) + np.exp(np.minimum(ratios @ x[1:], 50)) - values, start,
        loss="huber", f_scale=HUBER, max_nfev=60,
    )  # fmt: skip
    return Law(float(found.x[0]), found.x[1:])


def _gain(law: Law, both: np.ndarray) -> float:
    before, after = law.predict(both)
    return float(after - before)


def _held_out(ratios: np.ndarray, values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Spearman's correlation of predictions of left-out runs with their values, by measure; NaN below ten runs."""
    stats = optional_module("scipy.stats", "SciPy", "ablate", "a fit")
    n, n_measures = values.shape
    if n < 2 * N_FOLDS:
        return np.full(n_measures, np.nan)
    fold = draw.permutation(n) % N_FOLDS
    predicted = np.zeros_like(values)
    for k in range(N_FOLDS):
        rest = fold != k
        for j in range(n_measures):
            predicted[~rest, j] = fit_law(ratios[rest], values[rest, j]).predict(ratios[~rest])
    return np.array([stats.spearmanr(predicted[:, j], values[:, j]).statistic for j in range(n_measures)])
