"""Recall of bands and rows: the optimum of datasketch, and what `plan` prints for a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from stages import minhash
from stages.dedup.bands import catch_probability, optimal_bands, recall_notes


@pytest.mark.parametrize(
    ("threshold", "n_hashes", "expected"), [(0.5, 128, (25, 5)), (0.8, 128, (9, 13)), (0.9, 128, (5, 25))]
)
def test_the_optimum_is_that_of_datasketch(
    threshold: float, n_hashes: int, expected: tuple[int, int]
) -> None:
    """Bands and rows that MinHashLSH(threshold, num_perm=128) of datasketch has as `b` and `r`."""
    assert optimal_bands(threshold, n_hashes) == expected


def test_notes_name_both_curves() -> None:
    """The share of caught pairs is that of the formula; the optimum of equal weights misses more."""
    ours, theirs = recall_notes(0.8, {"minhash": minhash.Config()})
    assert "28 bands of 6 rows (here)" in ours and "99.98% at 0.8" in ours and "12 bands of 14 rows" in theirs
    caught = catch_probability(np.array([0.8]), 28, 6)
    assert caught[0] == pytest.approx(minhash.catch_probability(0.8, minhash.Config()))
    assert recall_notes(0.8, {}) == []
