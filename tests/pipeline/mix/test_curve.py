"""Quality curves: the closed form against a search, their limits, and the documents taken."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, MixError
from pipeline.keyed_hash import keyed_hash
from pipeline.mix.config import Mix, parse_mix
from pipeline.mix.curve import Curve, divide, solve
from pipeline.mix.order import cell_index, copies, positions
from pipeline.mix.plan import count_tokens, plan_quotas
from pipeline.mix.strata import JOINT, strata_of
from tests.helpers.mix_corpus import doc_ids


def a_mix(**settings: Any) -> Mix:
    """Parse one mix with a curve."""
    return parse_mix({"mixes": {"m": {"curve": True, "tokens": 1000, **settings}}}, "mix").mixes["m"]


def by_search(sizes: list[int], asked: int, curve: Curve, steps: int = 200) -> np.ndarray:
    """Shares of the steepest power curve within the limits: all powers on a grid, areas by summing the density."""
    kept = curve.kept(sizes)
    widths = np.array([sizes[i] for i in kept]) / sum(sizes[i] for i in kept)
    edges = np.append(0, np.cumsum(widths))
    grid = (np.arange(20_000) + 0.5) / 20_000
    bucket = np.minimum(np.searchsorted(edges, grid, side="right") - 1, len(kept) - 1)
    best = np.zeros(len(kept))
    for power in np.linspace(0, curve.power, steps):
        density = grid**power
        shares = np.bincount(bucket, density, len(kept)) / density.sum()
        if shares[-1] * asked / sizes[kept[-1]] > curve.max:
            break
        best = shares
    result = np.zeros(len(sizes))
    result[kept] = best
    return result


@pytest.mark.parametrize(
    ("sizes", "asked", "curve"),
    [
        ([50] * 20, 1_000, Curve()),  # as much as there is, the worst 40 % left out
        ([50] * 20, 2_500, Curve()),
        ([50] * 20, 60, Curve()),  # far below the limit: the largest power
        ([30, 80, 10, 70, 40, 90, 20, 60], 900, Curve(discard=0.3, max=4)),
        ([100, 100], 400, Curve(discard=0.0, max=2)),  # at the capacity: flat
    ],
)  # fmt: skip
def test_the_closed_form_is_the_best_of_all_curves(sizes: list[int], asked: int, curve: Curve) -> None:
    """No power on a fine grid gives a steeper curve within the limits; shares agree to the grid."""
    found = solve(curve, sizes, asked)
    expected = by_search(sizes, asked, curve)
    assert np.abs(np.array([float(share) for share in found.shares]) - expected).max() < 5e-3


buckets = st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(lambda sizes: sum(sizes) > 1000)


@given(buckets, st.floats(0.001, 1), st.sampled_from([0.0, 0.4, 0.8]), st.sampled_from([1.0, 2.5, 7.0]))
def test_every_curve_keeps_its_limits(sizes: list[int], part: float, discard: float, most: float) -> None:
    """The area is exact, copies rise with the bucket and stay below the limit, the worst buckets have none."""
    curve = Curve(discard=discard, max=most)
    asked = int(curve.capacity(sizes) * part)
    if not asked:
        return
    quotas = divide(curve, sizes, asked, solve(curve, sizes, asked).shares)
    assert sum(quotas) == asked
    assert all(quota <= most * n for quota, n in zip(quotas, sizes, strict=True))
    kept = curve.kept(sizes)
    assert not any(quotas[i] for i in range(len(sizes)) if i not in kept)
    factors = [(quotas[i] / sizes[i], 1 / sizes[i]) for i in kept]
    assert all(b >= a - 2 * max(s, r) for (a, s), (b, r) in pairwise(factors))
    below = sum(sizes[: kept[0]])
    assert below <= discard * sum(sizes) + max(sizes) / 2


def test_the_published_example() -> None:
    """Twice the tokens with the worst 40 % left out: the best twentieth is taken 7 times, as the paper reports."""
    solved = solve(Curve(), [5] * 20, 200)
    copies_ = [float(share) * 200 / 5 for share in solved.shares]
    assert copies_[:8] == [0.0] * 8 and copies_[-1] == pytest.approx(7.0) and 0 < copies_[8] < 1
    assert solved.power == pytest.approx(1.24, abs=0.05)


def test_documents_of_a_mix_follow_the_curve() -> None:
    """Two groups with curves of their own: exact budgets, at most 7 copies, more of the better, none of the worst."""
    rng = np.random.default_rng(0)
    n = 20_000
    languages = pa.chunked_array([pa.array(np.array(["en", "zh"])[rng.integers(0, 2, n)])])
    bucket = rng.integers(1, 21, n)
    tokens = np.ceil(rng.lognormal(5, 0.5, n)).astype(np.int64)
    strata = strata_of([languages, pa.chunked_array([pa.array(bucket)])])
    mix = a_mix(by="language.label", share={"zh": 0.3, "en": 0.7}, tokens=int(1.5 * tokens.sum()))
    plan = plan_quotas(count_tokens(strata, tokens), mix, 1.0)
    cells = cell_index(strata, plan)
    n_copies = copies(cells, tokens, keyed_hash(doc_ids(n), 0), plan)
    assert abs(int((tokens * n_copies).sum()) - plan.total) < 1e-3 * plan.total
    assert n_copies.max() == 7 and not n_copies[bucket <= 8].any()
    for name, power in (("en", plan.groups[0].power), ("zh", plan.groups[1].power)):
        inside = np.array(languages.to_pylist()) == name
        means = [n_copies[inside & (bucket == b)].mean() for b in range(9, 21)]
        assert power is not None and all(b > a for a, b in pairwise(means))
    order = positions(keyed_hash(doc_ids(n), 0), n_copies, cells, tokens, plan)
    half = order["document"].to_numpy()[: len(order) // 2]
    best, all_best = (np.isin(bucket[rows], [19, 20]).mean() for rows in (half, order["document"].to_numpy()))
    assert best == pytest.approx(all_best, abs=0.002)  # buckets, too, are spread evenly


def test_documents_without_a_bucket_are_left_out() -> None:
    """A missing bucket is no bucket: such documents are available, and not taken."""
    plan = plan_quotas(
        {f"zh{JOINT}": 500, f"zh{JOINT}2": 100}, a_mix(by="l", tokens=100, curve={"discard": 0}), 1.0
    )
    assert [(g.available, g.asked) for g in plan.groups] == [(600, 100)] and plan.discarded == 500


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": "max"}, "a curve divides a budget"),
        ({"max_epochs": 2}, "curve.max is the largest number of copies"),
        ({"repeat": {"column": "n", "weights": {1: 1}}}, "found curve and repeat"),
        ({"curve": {"maximum": 7}}, "unknown key 'maximum'; did you mean 'max'"),
        ({"curve": {"discard": 1}}, "curve.discard: found 1; expected a number from 0 to 0.99"),
        ({"curve": 7}, "curve: found 7; expected `true`"),
    ],
)
def test_wrong_curves_are_refused(settings: dict[str, Any], message: str) -> None:
    """A curve needs a budget, and no second limit of copies."""
    with pytest.raises(ConfigError, match=message):
        a_mix(**settings)


def test_an_area_above_the_limit_is_refused() -> None:
    """Ten tokens of which four are left out give at most 42."""
    units = {str(i): 1 for i in range(1, 11)}
    with pytest.raises(
        MixError, match=r"needs 43 tokens and has 10 .* request at most 42 .* raise curve.max"
    ):
        plan_quotas(units, a_mix(tokens=43), 1.0)
