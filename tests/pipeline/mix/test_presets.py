"""Presets: each against its closed form, and refusals with the nearest name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, MixError
from pipeline.mix.config import Mix, Warn, parse_mix
from pipeline.mix.plan import MixPlan, plan_quotas
from pipeline.mix.presets import OPENSEEK_FILES, PRESETS
from pipeline.mix.warnings import warnings_of

AVAILABLE = {"a": 8_000_000, "b": 1_000_000, "c": 27_000, "d": 400}


def a_mix(**settings: Any) -> Mix:
    """Parse one mix by a column."""
    return parse_mix({"mixes": {"m": {"by": "c", **settings}}}, "mix").mixes["m"]


def shares(plan: MixPlan) -> dict[str, float]:
    """Share of each group."""
    return {group.name: group.share for group in plan.groups}


@pytest.mark.parametrize(
    ("settings", "power"),
    [
        ({"preset": "natural"}, 1.0), ({"preset": "uniform"}, 0.0), ({"preset": "mbert"}, 0.7),
        ({"preset": "xlm-r"}, 0.3), ({"preset": "mt5"}, 0.3), ({"temperature": 5}, 0.2), ({"alpha": 0.5}, 0.5),
    ],
)  # fmt: skip
def test_exponents(settings: dict[str, Any], power: float) -> None:
    """Shares are n^α over their sum; a temperature T is the exponent 1 / T."""
    total = sum(n**power for n in AVAILABLE.values())
    found = shares(plan_quotas(AVAILABLE, a_mix(**settings, max_epochs=1e6), 1.0))
    assert found == pytest.approx({name: n**power / total for name, n in AVAILABLE.items()}, rel=1e-9)


def unimax_by_paper(sizes: dict[str, int], budget: float, epochs: float) -> dict[str, float]:
    """Algorithm 1 of the paper, in floats: languages by size, each takes its part of what is left, at most its cap."""
    taken = {}
    for i, (name, n) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        part = budget / (len(sizes) - i)
        taken[name] = min(n * epochs, part)
        budget -= taken[name]
    return taken


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**12), min_size=1),
    st.floats(0.01, 1), st.sampled_from([1, 2, 5]),
)  # fmt: skip
def test_unimax_is_the_algorithm_of_the_paper(sizes: dict[str, int], part: float, epochs: int) -> None:
    """Quotas are within a token of the paper's, sum to the budget, and none exceeds its epochs."""
    budget = max(int(sum(sizes.values()) * epochs * part), 1)
    plan = plan_quotas(sizes, a_mix(preset="unimax", tokens=budget, max_epochs=epochs), 1.0)
    expected = unimax_by_paper(sizes, budget, epochs)
    assert plan.total == budget
    for group in plan.groups:
        assert group.asked == pytest.approx(expected[group.name], rel=1e-9, abs=1)
        assert group.asked <= epochs * sizes[group.name]


VECTORS: dict[str, list[float]] = {
    "a": [1, 0, 1, 1],
    "b": [1, 0, 1, 0],
    "c": [0.5, -1, 0, 2],
    "d": [-1, 0, -1, -1],
}


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1, 30])
def test_similarity_is_its_formula(temperature: float) -> None:
    """exp of the cosine by the temperature, whatever the groups have; a group without documents is left out."""
    to = np.array(VECTORS["a"], float)
    cosines = {n: float(np.dot(v, to) / np.linalg.norm(v) / np.linalg.norm(to)) for n, v in VECTORS.items()}
    settings = {"name": "similarity", "to": "a", "vectors": VECTORS, "temperature": temperature}
    for available in (AVAILABLE, dict(list(AVAILABLE.items())[1:])):
        total = sum(np.exp(cosines[name] / temperature) for name in available)
        found = shares(plan_quotas(available, a_mix(preset=settings, max_epochs=1e6), 1.0))
        expected = {name: float(np.exp(cosines[name] / temperature) / total) for name in available}
        assert {name: found.get(name, 0.0) for name in available} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to": "z"}, "name a group with a vector"), ({"temperature": 0}, "expected a number from 0.001"),
        ({"vectors": {"a": [1], "b": [1, 2]}}, "expected the same length"),
        ({"vectors": {"a": [1]}}, "two groups or more"),
        ({"vectors": {"a": [0, 0], "b": [1, 2]}}, "not all of them 0"), ({"until": 0.5}, "until"),
    ],
)  # fmt: skip
def test_similarity_refuses(changes: dict[str, Any], expected: str) -> None:
    """Unknown groups and settings, zero vectors and other lengths, in one line."""
    with pytest.raises(ConfigError, match=expected):
        a_mix(preset={"name": "similarity", "to": "a", "vectors": VECTORS, **changes})


def test_unimax_refuses_more_than_there_is() -> None:
    """A budget above all epochs of all groups ends with the largest possible one."""
    with pytest.raises(MixError, match="all groups have 20 tokens in 2 epochs, 21 are requested"):
        plan_quotas({"a": 3, "b": 7}, a_mix(preset="unimax", tokens=21, max_epochs=2), 1.0)


def test_phi_4_has_the_epochs_of_its_report() -> None:
    """With the unique tokens of table 5 and 10 T in total, epochs are those of the table, to its rounding."""
    unique = {"web": 1300, "web_rewrites": 290, "synthetic": 290, "code": 820, "acquired": 580}
    available = {name: n * 10**9 for name, n in unique.items()}
    plan = plan_quotas(available, a_mix(preset="phi-4", tokens="10T", max_epochs=20), 1.0)
    epochs = {group.name: round(group.epochs, 1) for group in plan.groups}
    assert epochs == {"web": 1.2, "web_rewrites": 5.2, "synthetic": 13.8, "code": 2.4, "acquired": 1.7}


def test_openseek_groups_are_sums_of_its_files() -> None:
    """The weights of the file sum to 99.96; eleven groups have the sums that the project publishes."""
    (groups,) = PRESETS["openseek-small"].stages
    assert sum(OPENSEEK_FILES.values()) == pytest.approx(99.96) == pytest.approx(sum(groups.values()))
    assert groups == {
        "web_en": 18.42, "web_en_synthetic": 45.77, "web_zh": 9.65, "cot": 18.77, "code": 3.43, "books": 1.98,
        "math": 0.83, "arxiv": 0.32, "pes2o": 0.31, "wiki": 0.29, "forum": 0.19,
    }  # fmt: skip
    for name, weights in (("openseek-small", groups), ("openseek-small-files", OPENSEEK_FILES)):
        found = shares(plan_quotas(dict.fromkeys(weights, 10**9), a_mix(preset=name), 1.0))
        assert found == pytest.approx({group: n / 99.96 for group, n in weights.items()})


def test_groups_of_a_preset_without_documents_are_left_out() -> None:
    """As groups that the mix does not define; the shares of the others keep their ratio, and a warning names them."""
    columns = ["web_en", "code", "pes2o", "wiki"]
    mix = a_mix(preset="openseek-small", groups={name: [name] for name in columns})
    plan = plan_quotas({"web_en": 10**9, "code": 10**9}, mix, 1.0)
    assert shares(plan) == pytest.approx({"web_en": 18.42 / 21.85, "code": 3.43 / 21.85})
    (line,) = [line for line in warnings_of(plan, {}, Warn()) if "pes2o, wiki" in line]
    assert "have no tokens" in line
    assert not [
        line
        for line in warnings_of(plan_quotas(dict.fromkeys(columns, 9), mix, 1.0), {}, Warn())
        if "have no" in line
    ]
    with pytest.raises(MixError, match="its groups have no tokens"):
        plan_quotas({"books": 5}, mix, 1.0)
    settings = {
        "preset": {"name": "carebot", "until": 0.75},
        "groups": {"domain": ["d"], "general": ["g"], "instruct": ["i"]},
    }
    with pytest.raises(MixError, match="none of the groups of stage 2 of carebot has any tokens"):
        plan_quotas({"g": 5}, a_mix(**settings), 1.0)


@pytest.mark.parametrize("by_language", [False, True])
def test_carebot_has_two_stages(by_language: bool) -> None:
    """19 to 1 until the given fraction, then 1 to 1; Chinese rises from a tenth to four tenths."""
    names = ["domain", "general", "instruct"]
    names = [f"{name}_{language}" for name in names for language in ("zh", "en")] if by_language else names
    settings = {"preset": {"name": "carebot", "until": 0.75}, "groups": {name: [name] for name in names}}
    plan = plan_quotas(dict.fromkeys(names, 10**9), a_mix(**settings, tokens="100M"), 1.0)
    asked = {group.name: group.quotas for group in plan.groups}

    def in_phase(phase: int, prefix: str, suffix: str = "") -> int:
        return sum(q[phase] for name, q in asked.items() if name.startswith(prefix) and name.endswith(suffix))

    assert (in_phase(0, "domain"), in_phase(0, "general"), in_phase(0, "instruct")) == (
        71_250_000,
        3_750_000,
        0,
    )
    assert (in_phase(1, "domain"), in_phase(1, "general"), in_phase(1, "instruct")) == (
        12_500_000,
        0,
        12_500_000,
    )
    if by_language:
        assert (in_phase(0, "", "_zh"), in_phase(1, "", "_zh")) == (7_500_000, 10_000_000)


def test_groups_that_a_mix_lacks_are_left_out() -> None:
    """A preset's shares are scaled to those groups that the mix defines; the others are named."""
    mix = a_mix(preset="phi-4", groups={"web": ["x"], "code": ["y"]})
    assert mix.missing == ("acquired", "synthetic", "web_rewrites")
    assert shares(plan_quotas({"x": 100, "y": 100}, mix, 1.0)) == pytest.approx({"web": 3 / 7, "code": 4 / 7})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "phi4"}, "no preset 'phi4'; did you mean 'phi-4'"),
        ({"preset": 4}, "preset: found 4; expected the name"),
        ({"preset": {"name": "unimax", "epochs": 2}}, "unknown key 'epochs'"),
        ({"preset": "unimax"}, "unimax divides a budget; give `tokens: 10B`"),
        ({"preset": "carebot"}, "carebot has two stages: give the fraction"),
        ({"preset": {"name": "carebot", "until": 1.0}}, "found 1.0; carebot has two stages"),
        ({"preset": {"name": "phi-4", "until": 0.5}}, "phi-4 has one stage; leave `until` out"),
        ({"preset": "phi-4", "groups": {"webs": ["x"]}}, "no group 'webs'; did you mean 'web'"),
        ({"preset": {"name": "carebot", "until": 0.5}, "groups": {"general": ["x"]}}, "stage 2 of carebot has none"),
        ({"preset": "phi-4", "alpha": 1}, "found alpha and preset; keep one"),
        ({"temperature": 0}, "temperature: found 0; expected a number from 0.1"),
    ],
)  # fmt: skip
def test_wrong_presets_are_refused(settings: dict[str, Any], message: str) -> None:
    """An unknown name, group or setting is named, with the nearest known one."""
    with pytest.raises(ConfigError, match=message):
        a_mix(**settings)
