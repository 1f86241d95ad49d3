"""The recall of bands and rows for a threshold, beside the parameters that datasketch would choose."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any  # settings of other steps

import numpy as np

MIDPOINTS = 1_000
"""Points at which the probability of becoming a candidate pair is summed over [0, 1]."""


def catch_probability(similarity: np.ndarray, n_bands: int, band_rows: int) -> np.ndarray:
    """Probability that documents of a Jaccard similarity share a band key: float64 (n,).

    Source: Leskovec et al., Mining of Massive Datasets, 3rd ed., section 3.4.2.
    """
    caught: np.ndarray = 1.0 - (1.0 - similarity**band_rows) ** n_bands
    return caught


@functools.lru_cache
def optimal_bands(threshold: float, n_hashes: int, miss_weight: float = 0.5) -> tuple[int, int]:
    """Bands and rows that minimise the weighted areas of false positives below and misses above a threshold.

    Args: n_hashes, the most hashes that bands may use; miss_weight, of the area of misses; the other has the rest.
    Source: datasketch 1.6, MinHashLSH with `weights`, whose default is one half each.
    """
    points = (np.arange(MIDPOINTS) + 0.5) / MIDPOINTS
    below = points < threshold
    best, least = (1, 1), np.inf
    for n_bands in range(1, n_hashes + 1):
        for band_rows in range(1, n_hashes // n_bands + 1):
            caught = catch_probability(points, n_bands, band_rows)
            error = (1 - miss_weight) * caught[below].sum() + miss_weight * (1 - caught[~below]).sum()
            if error < least:
                best, least = (n_bands, band_rows), error
    return best


def recall_notes(threshold: float, configs: Mapping[str, Any]) -> list[str]:
    """Recall of the pairs above a threshold, by similarity, with our bands and with datasketch's.

    Args: configs, settings of all steps by name; without `minhash` there is nothing to say.
    """
    minhash = configs.get("minhash")
    if minhash is None:
        return []
    ours = minhash.n_bands, minhash.band_rows
    theirs = optimal_bands(threshold, ours[0] * ours[1])
    shown = sorted({round(min(threshold + step, 1.0), 4) for step in (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1)})
    shown = [similarity for similarity in shown if similarity > 0]
    lines = []
    for whose, (n_bands, band_rows) in (("here", ours), ("datasketch's optimum", theirs)):
        caught = catch_probability(np.array(shown), n_bands, band_rows)
        curve = ", ".join(f"{p:.2%} at {s:g}" for s, p in zip(shown, caught, strict=True))
        points = threshold + (1 - threshold) * (np.arange(MIDPOINTS) + 0.5) / MIDPOINTS
        mean = float(catch_probability(points, n_bands, band_rows).mean())
        lines.append(
            f"threshold {threshold:g}, {n_bands} bands of {band_rows} rows ({whose}): {mean:.2%} of the pairs above it "
            f"become candidates, if similarities are uniform there; {curve}"
        )
    return lines
