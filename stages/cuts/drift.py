"""Drift of a population against edges that were given: how its shares differ from those that the edges were made for.

The population stability index (PSI) sums (a - e) * ln(a / e) over the buckets, where e and a are the expected and the
actual share of each; shares below LEAST count as LEAST, so that an empty bucket has a finite part. By a rule of thumb
of credit scoring, below 0.1 there is hardly any drift, above 0.25 a large one.

Few documents differ by chance: without drift, the index of two samples of n and m documents is distributed like
(1/n + 1/m) times a chi-squared variable with n_buckets - 1 degrees of freedom. Of documents of different sizes n is the
effective number (`edges.effective`).
Sources: Siddiqi, Credit Risk Scorecards, 2006, chapter 9; Yurdakul and Naranjo, Journal of Risk Model Validation 14
(2020); Wilson and Hilferty, PNAS 17 (1931), for quantiles of chi-squared.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from stages.cuts.edges import Cut

LEAST = 1e-4
ONE_IN_THOUSAND = 3.0902
"""The normal deviate that one of a thousand exceeds."""
DRIFT = pa.schema(
    {
        "language": pa.string(),
        "scorer": pa.string(),
        "cut_by": pa.string(),
        "documents": pa.int64(),
        "psi": pa.float64(),
        "chance": pa.float64(),
        "moved": pa.float64(),
        "worst_bucket": pa.int32(),
        "expected": pa.float64(),
        "actual": pa.float64(),
    }
)
"""cut_by: the language whose edges were used, or `*`. documents: of the population, with this score. psi: population
stability index, 4 decimals. chance: the index that one of a thousand pairs of samples of these sizes exceeds without
drift. moved: share of the population that is in other buckets than expected, half the sum of the
differences. worst_bucket: the bucket whose share differs most; expected, actual: its shares."""


def stability(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the population stability index of two histograms, int64 (n_buckets,) each, to 4 decimals."""
    pairs = zip(shares(expected), shares(actual), strict=True)
    terms = ((max(a, LEAST) - max(e, LEAST)) * math.log(max(a, LEAST) / max(e, LEAST)) for e, a in pairs)
    return round(math.fsum(terms), 4)


def chance(then: int, now: int, n_buckets: int) -> float:
    """Return the index that one of a thousand exceeds without drift. then, now: effective numbers of documents."""
    free = n_buckets - 1
    spread = 2 / (9 * free)
    quantile = free * (1 - spread + ONE_IN_THOUSAND * math.sqrt(spread)) ** 3
    return round(quantile * (1 / max(then, 1) + 1 / max(now, 1)), 4)


def shares(sizes: np.ndarray) -> list[float]:
    """Return the share of each bucket, 0 where there is nothing."""
    total = max(int(sizes.sum()), 1)
    return [size / total for size in sizes.tolist()]


def compare(
    language: str, scorer: str, cut_by: str, documents: int, then: Cut, actual: np.ndarray, now: int
) -> dict[str, object]:
    """One row of DRIFT. Args: then, the given edges; actual, int64 (n_buckets,), sizes of the buckets; now, effective
    number of documents."""
    expected = then.sizes
    before, after = shares(expected), shares(actual)
    differences = [abs(a - e) for e, a in zip(before, after, strict=True)]
    worst = max(range(len(differences)), key=lambda bucket: (differences[bucket], -bucket))
    row = (
        language, scorer, cut_by, documents, stability(expected, actual), chance(then.effective, now, len(expected)),
        round(math.fsum(differences) / 2, 4), worst, round(before[worst], 6), round(after[worst], 6),
    )  # fmt: skip
    return dict(zip(DRIFT.names, row, strict=True))
