"""Differences between corpora: intervals that cover, corrected p values, verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ablation.compare import (
    BETTER,
    OPEN,
    WORSE,
    Measured,
    compare,
    difference_of,
    holm,
    rank_agreement,
)

pytest.importorskip("scipy", reason="SciPy is of the extra ablate")

WEIGHTS = np.random.default_rng(0).uniform(200, 2000, 60)


def measured(draw: np.random.Generator, shift: float, seed_noise: float, items: np.ndarray) -> Measured:
    """Five seeds of a measure, of the same items."""
    rate = 1.5 + shift + draw.normal(0, seed_noise, (5, 1)) + items
    return Measured(rate * WEIGHTS, WEIGHTS)


def test_intervals_cover_the_truth() -> None:
    """A difference that is there is inside its interval in about as many draws as promised, or more."""
    draw, inside = np.random.default_rng(1), 0
    for _ in range(200):
        items = draw.normal(0, 0.2, 60)
        values = {
            ("s", "base", "zh bits per byte"): measured(draw, 0.0, 0.01, items),
            ("s", "new", "zh bits per byte"): measured(draw, 0.03, 0.01, items + draw.normal(0, 0.02, 60)),
        }
        (found,) = compare(values, "base", 0.95)
        inside += found.low <= 0.03 <= found.high
    assert inside >= 0.93 * 200


def test_tasks_sampled_alike_are_no_certainty() -> None:
    """A gain that is equal in all seeds still has the error of the tasks."""
    base = Measured(np.tile([1.0] * 7 + [0.0] * 33, (3, 1)), np.ones(40))
    new = Measured(np.tile([1.0] * 9 + [0.0] * 31, (3, 1)), np.ones(40))
    mean, error = difference_of(new, base)
    assert mean == pytest.approx(0.05) and error > 0.03
    (found,) = compare(
        {("s", "base", "addition right"): base, ("s", "new", "addition right"): new}, "base", 0.95
    )
    assert found.verdict == OPEN and found.low < 0 < found.high


def test_verdicts_know_which_way_is_better() -> None:
    """Fewer bits are better, more tasks solved are."""
    draw = np.random.default_rng(2)
    items = draw.normal(0, 0.2, 60)
    values = {
        ("s", name, measure): measured(draw, shift, 0.002, items)
        for measure in ("en bits per byte", "addition right")
        for name, shift in (("base", 0.0), ("new", -0.2))
    }
    found = {one.measure: one.verdict for one in compare(values, "base", 0.95)}
    assert found == {"en bits per byte": BETTER, "addition right": WORSE}


def test_p_values_are_corrected_together() -> None:
    """As in Holm's paper: times n, n - 1, ..., never falling, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_rankings_of_two_sizes() -> None:
    """Kendall's tau of three corpora, one pair of which changes places."""
    means = {"small": (1.0, 2.0, 3.0), "large": (1.0, 3.0, 2.0)}
    values = {(size, name, "m"): Measured(np.full((2, 1), value), np.ones(1))
              for size, row in means.items() for name, value in zip("abc", row, strict=True)}  # fmt: skip
    assert rank_agreement(values, "m") == {"small/large": pytest.approx(1 / 3)}
