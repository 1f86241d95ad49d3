"""How the measurements of two releases differ: PSI and Kolmogorov-Smirnov distance of every column of numbers.

Both are computed from the histograms in report.json, over kept documents, so they need no data. The bins of the
population stability index are tenths of the old release; a share of nothing counts as 1e-4. Of few documents the index
is large by chance: see `chance`.

Sources: Siddiqi, Credit Risk Scorecards (2006): an index below 0.1 is no change, above 0.25 a large one; Yurdakul and
Naranjo, Journal of Risk Model Validation 14 (2020); Wilson and Hilferty, PNAS 17 (1931), for quantiles of chi-squared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report.release_numbers import ReleaseNumbers

MODERATE, LARGE = 0.1, 0.25
"""Indices from which a change is moderate and large."""
LEAST_SHARE = 1e-4
ONE_IN_THOUSAND = 3.0902
"""The normal deviate that one of a thousand exceeds."""
TENTHS = 10
ALL = "all"
"""The group of all languages."""


def drift_rows(old: ReleaseNumbers, new: ReleaseNumbers) -> list[dict[str, Any]]:  # Any: plain JSON
    """Compare every column that both releases measured, over all documents and by language, the largest index first.

    Returns: column, language, psi, ks, chance, and `old` and `new`, the number of kept documents with a value.
    """
    rows = []
    for column in sorted(old.signals.keys() & new.signals.keys()):
        before, after = counts_by_language(old, column), counts_by_language(new, column)
        for language in sorted(before.keys() & after.keys()):
            pair = aligned(before[language], after[language])
            if pair[0].sum() and pair[1].sum():
                rows.append(
                    {
                        "column": column, "language": language, "psi": round(psi(*pair), 4), "ks": round(ks(*pair), 4),
                        "chance": round(chance(*pair), 4),
                        "old": int(pair[0].sum()), "new": int(pair[1].sum()),
                    }
                )  # fmt: skip
    return sorted(rows, key=lambda row: (-row["psi"], row["column"], row["language"]))


def counts_by_language(numbers: ReleaseNumbers, column: str) -> dict[str, dict[int, int]]:
    """Kept documents by bin: of each language that is counted apart, and of all."""
    found: dict[str, dict[int, int]] = {ALL: {}}
    for language, histogram in numbers.signals[column].items():
        found[language] = dict(zip(histogram.bins, histogram.kept, strict=True))
        for code, n in found[language].items():
            found[ALL][code] = found[ALL].get(code, 0) + n
    return found


def aligned(old: Mapping[int, int], new: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Counts over the bins of both, in ascending order: int64 (n_bins,) each."""
    codes = sorted(old.keys() | new.keys())
    return tuple(np.array([counts.get(code, 0) for code in codes], np.int64) for counts in (old, new))  # type: ignore[return-value]


def psi(old: np.ndarray, new: np.ndarray) -> float:
    """Population stability index over tenths of the old counts. Args: counts over the same bins, neither all zero."""
    shares = [np.bincount(tenths(old), counts, TENTHS) / counts.sum() for counts in (old, new)]
    a, b = (np.maximum(share, LEAST_SHARE) for share in shares)
    return float(((b - a) * np.log(b / a)).sum())


def tenths(old: np.ndarray) -> np.ndarray:
    """The tenth of the old documents that each bin begins in: int64 (n_bins,), 0 to 9."""
    found: np.ndarray = np.minimum(TENTHS * (np.cumsum(old) - old) // old.sum(), TENTHS - 1)
    return found


def chance(old: np.ndarray, new: np.ndarray) -> float:
    """The index that one of a thousand pairs of samples of these sizes exceeds if nothing drifts. Args: as psi.

    Without drift it is distributed like (1/n + 1/m) times a chi-squared variable with one degree of freedom less than
    there are tenths.
    """
    free = max(len(np.unique(tenths(old))) - 1, 1)
    spread = 2 / (9 * free)
    quantile = free * (1 - spread + ONE_IN_THOUSAND * math.sqrt(spread)) ** 3
    return float(quantile * (1 / old.sum() + 1 / new.sum()))


def has_drifted(row: Mapping[str, Any]) -> bool:  # Any: plain JSON
    """Whether the index of a row is moderate or more, and more than chance alone would cause."""
    return bool(row["psi"] >= MODERATE and row["psi"] > row["chance"])


def ks(old: np.ndarray, new: np.ndarray) -> float:
    """Largest distance of the two distribution functions, 0 to 1. Args: as psi."""
    return float(np.abs(np.cumsum(old) / old.sum() - np.cumsum(new) / new.sum()).max())


def rule_changes(old: ReleaseNumbers, new: ReleaseNumbers) -> list[dict[str, Any]]:  # Any: plain JSON
    """Bounds of rules that differ: rule, column, side, old and new value, None where a release has no such bound."""
    tables: list[dict[tuple[str, str, str], float | None]] = [
        {(b.rule, b.column, b.side): b.value for b in numbers.bounds} for numbers in (old, new)
    ]
    return [
        {
            "rule": key[0],
            "column": key[1],
            "side": key[2],
            "old": tables[0].get(key),
            "new": tables[1].get(key),
        }
        for key in sorted(tables[0].keys() | tables[1].keys())
        if tables[0].get(key) != tables[1].get(key) or (key in tables[0]) != (key in tables[1])
    ]


def input_changes(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> dict[str, Sequence[str]]:  # Any: plain JSON
    """Input files that were added, removed, or have another content. Args: `inputs` of the lineages."""
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(k for k in old.keys() & new.keys() if old[k].get("digest") != new[k].get("digest")),
    }


def recipe_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:  # Any: plain JSON
    """What changed of each step: names of settings, `version`, `module`, `added`, `removed`, or `inputs` where only
    what it reads did. Args: `steps` of the lineages."""
    found = {}
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            found[name] = ["added" if name in new else "removed"]
            continue
        a, b = old[name], new[name]
        if a["recipe"] == b["recipe"]:
            continue
        settings = [x.get("settings", {}) for x in (a, b)]
        changed = [key for key in ("module", "version") if a[key] != b[key]]
        keys = sorted(settings[0].keys() | settings[1].keys())
        changed += [key for key in keys if settings[0].get(key) != settings[1].get(key)]
        found[name] = changed or ["inputs"]
    return found
