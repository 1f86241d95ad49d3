"""Differences between corpora over seeds, with intervals, and what may be concluded from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.recipe import optional_module

BETTER, WORSE, OPEN = "better", "worse", "open"
"""Verdicts on a corpus beside the baseline."""


@dataclass(frozen=True)
class Difference:
    """Of one measure between a corpus and the baseline.

    mean: over pairs of runs with the same seed; low, high: its interval; p: of no difference, two-sided, after
    Holm's correction over all comparisons of the ablation; verdict: BETTER, WORSE or OPEN.
    """

    size: str
    corpus: str
    measure: str
    base: float
    value: float
    mean: float
    low: float
    high: float
    p: float
    verdict: str

    def plain(self) -> dict[str, Any]:  # Any: JSON
        """As plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class Measured:
    """One measure of all seeds, over the same documents or tasks; see classifiers.proxy.train.Scored.

    parts: float64 (n_seeds, n_items); weights: float64 (n_items,).
    """

    parts: np.ndarray
    weights: np.ndarray

    @property
    def by_seed(self) -> np.ndarray:
        """The measure of each seed, float64 (n_seeds,)."""
        found: np.ndarray = self.parts.sum(axis=1) / self.weights.sum()
        return found

    @property
    def mean(self) -> float:
        """Its mean over seeds."""
        return float(self.by_seed.mean())


Values = Mapping[tuple[str, str, str], Measured]
"""By size, corpus and measure."""


def is_lower_better(measure: str) -> bool:
    """Whether less of a measure is better: bits per byte; the share of tasks solved is a gain."""
    return not measure.endswith(" right")


def difference_of(own: Measured, base: Measured) -> tuple[float, float]:
    """Mean of the difference of two corpora, and its standard error.

    Runs of one seed share their first weights, and their differences vary less than the runs do. The error is of both
    samples: of the seeds, and of the documents or tasks (linearised ratio; Cochran, Sampling Techniques, 1977).
    """
    by_seed = own.by_seed - base.by_seed
    mean, n_seeds, n_items = float(by_seed.mean()), len(by_seed), len(own.weights)
    items = (own.parts - base.parts).mean(axis=0) - mean * own.weights
    of_items = (
        math.sqrt(n_items * float(items.var(ddof=1))) / float(own.weights.sum()) if n_items > 1 else 0.0
    )
    return mean, math.hypot(float(by_seed.std(ddof=1)) / math.sqrt(n_seeds), of_items)


def compare(values: Values, baseline: str, confidence: float) -> list[Difference]:
    """Compare corpora with a baseline by paired differences.

    The interval is Student's with as many degrees of freedom as seeds but one. The p values are corrected together
    (Holm 1979), so that the chance of any false verdict is 1 - confidence.

    Returns: a difference for each size, other corpus and measure.
    Raises: ConfigError if SciPy is not installed.
    """
    stats = optional_module("scipy.stats", "SciPy", "ablate", "an interval")
    rows = []
    for (size, corpus, measure), own in sorted(values.items()):
        if corpus == baseline:
            continue
        base = values[size, baseline, measure]
        mean, error = difference_of(own, base)
        freedom = len(own.parts) - 1
        width = error * float(stats.t.ppf((1 + confidence) / 2, freedom))
        p = float(2 * stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
        rows.append((size, corpus, measure, base.mean, own.mean, mean, width, p))
    corrected = holm([row[-1] for row in rows])
    return [
        Difference(size, corpus, measure, base, own, mean, mean - width, mean + width, p,
                   _verdict(mean, p < 1 - confidence, is_lower_better(measure)))
        for (size, corpus, measure, base, own, mean, width, _), p in zip(rows, corrected, strict=True)
    ]  # fmt: skip


def _verdict(mean: float, is_certain: bool, lower_is_better: bool) -> str:
    if not is_certain:
        return OPEN
    return BETTER if (mean < 0) == lower_is_better else WORSE


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number: the smallest times n, the next times n - 1, and so on, never falling.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def rank_agreement(values: Values, measure: str) -> dict[str, float]:
    """Kendall's tau between the rankings of corpora by each pair of sizes, `small/large` -> tau; by their means.

    Raises: ConfigError if SciPy is not installed.
    """
    stats = optional_module("scipy.stats", "SciPy", "ablate", "a rank correlation")
    sizes = list(dict.fromkeys(size for size, _, _ in values))
    corpora = sorted({corpus for _, corpus, _ in values})
    means = {size: [values[size, corpus, measure].mean for corpus in corpora] for size in sizes}
    return {
        f"{a}/{b}": float(stats.kendalltau(means[a], means[b]).statistic)
        for i, a in enumerate(sizes)
        for b in sizes[i + 1 :]
    }
