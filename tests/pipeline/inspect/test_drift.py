"""Drift between releases: known values of the two measures, and the changes of settings, rules and inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.drift import chance, has_drifted, input_changes, ks, psi, recipe_changes

counts = st.lists(st.integers(0, 50), min_size=5, max_size=5).filter(lambda row: sum(row) > 0).map(np.array)


def test_known_values() -> None:
    """Half of the documents move from the lower to the upper of two bins."""
    old, new = np.array([80, 20]), np.array([40, 60])
    assert psi(old, new) == pytest.approx(
        (0.4 - 0.8) * math.log(0.4 / 0.8) + (0.6 - 0.2) * math.log(0.6 / 0.2)
    )
    assert ks(old, new) == pytest.approx(0.4)


@given(counts, counts)
def test_distances(old: np.ndarray, new: np.ndarray) -> None:
    """Both are zero for the same shares, never negative, and the second is at most 1 and symmetric."""
    assert psi(old, 3 * old) == pytest.approx(0) == ks(old, 2 * old)
    assert psi(old, new) >= 0 and 0 <= ks(old, new) <= 1 and ks(new, old) == pytest.approx(ks(old, new))


@pytest.mark.parametrize("n", [30, 3000])
def test_chance_is_seldom_exceeded_without_drift(n: int) -> None:
    """Samples of one distribution stay below it but for some in a thousand, few documents as well as many; a drift of
    many documents does not."""
    draw = np.random.default_rng(7)
    shares = np.full(20, 0.05)
    pairs = [(draw.multinomial(n, shares), draw.multinomial(n, shares)) for _ in range(1000)]
    exceeded = sum(psi(*pair) > chance(*pair) for pair in pairs)
    assert exceeded <= (
        8 if n > 1000 else 80
    )  # of few documents bins are empty, and the approximation is rough
    moved = draw.multinomial(3000, np.r_[np.full(10, 0.02), np.full(10, 0.08)])
    old = draw.multinomial(3000, shares)
    assert has_drifted({"psi": psi(old, moved), "chance": chance(old, moved)})
    assert not has_drifted({"psi": 0.3, "chance": 0.4}) and not has_drifted({"psi": 0.05, "chance": 0.01})


def test_what_changed_of_a_step() -> None:
    """Settings by name, a version, a step that is new, and one of which only the inputs changed."""
    step = {"module": "m", "version": 1, "recipe": "a", "settings": {"least": "1", "model": "x"}}
    old = {"same": step, "set": step, "gone": step, "fed": step}
    new = {
        "same": step, "set": {**step, "recipe": "b", "version": 2, "settings": {"least": "1", "model": "y"}},
        "fed": {**step, "recipe": "c"}, "made": step,
    }  # fmt: skip
    expected = {"fed": ["inputs"], "gone": ["removed"], "made": ["added"], "set": ["version", "model"]}
    assert recipe_changes(old, new) == expected
    files = ({"a": {"digest": "1"}, "b": {"digest": "2"}}, {"b": {"digest": "3"}, "c": {"digest": "4"}})
    assert input_changes(*files) == {"added": ["c"], "removed": ["a"], "changed": ["b"]}
