"""Fits of mixtures: a planted law is recovered, the proposal is the best mixture, files of Olmix are read."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from pipeline.ablation.fit import Law, Runs, advise, capped, fit_law, propose, read_runs
from pipeline.errors import InputError

pytest.importorskip("scipy", reason="SciPy is of the extra ablate")

DRAW = np.random.default_rng(3)
T = np.array([[-1.2, -0.2, -0.5], [-0.1, -1.5, -0.4]])
C = np.log([0.6, 0.4])
RATIOS = DRAW.dirichlet([2.0, 2.0, 2.0], 40)
TRUTH = np.exp(C) + np.exp(RATIOS @ T.T)
PRIOR = np.array([0.5, 0.2, 0.3])
GRID = np.array([r for r in itertools.product(np.linspace(0, 1, 101), repeat=3) if abs(sum(r) - 1) < 1e-9])


def objective(ratios: np.ndarray, penalty: float) -> np.ndarray:
    """What a proposal minimises, of the true laws."""
    measures = (np.exp(C) + np.exp(ratios @ T.T)).mean(axis=1)
    r = np.maximum(ratios, 1e-9)
    found: np.ndarray = measures + penalty * (r * np.log(r / PRIOR)).sum(axis=1)
    return found


def test_a_planted_law_is_recovered() -> None:
    """Predictions at mixtures that were not fitted differ from the truth by less than the noise of the runs."""
    noisy = TRUTH[:, 0] + DRAW.normal(0, 0.003, len(TRUTH))
    law = fit_law(RATIOS, noisy)
    unseen = DRAW.dirichlet([1.0, 1.0, 1.0], 100)
    truth = np.exp(C[0]) + np.exp(unseen @ T[0])
    assert np.abs(law.predict(unseen) - truth).max() < 0.02
    assert np.abs(law.predict(unseen) - truth).mean() < 0.004


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("cap", [1.0, 0.45])
def test_the_proposal_is_the_best_mixture(penalty: float, cap: float) -> None:
    """No mixture of a fine grid within the caps is better."""
    laws = [Law(float(c), t) for c, t in zip(C, T, strict=True)]
    found = propose(laws, np.array([0.5, 0.5]), PRIOR, penalty, np.full(3, cap))
    allowed = GRID[(GRID <= cap + 1e-9).all(axis=1)]
    assert found.sum() == pytest.approx(1) and (found <= cap + 1e-6).all()
    assert objective(found[None], penalty)[0] <= objective(allowed, penalty).min() + 1e-6


def test_advice_names_gain_and_worst_measure() -> None:
    """The true gain is within the interval, and the measure that gains least is the one that does."""
    runs = Runs(("zh", "en", "code"), ("a", "b"), RATIOS, TRUTH + DRAW.normal(0, 0.002, TRUTH.shape))
    advice = advise(runs, PRIOR, np.ones(3), 0.05, n_resamples=40)
    truth = np.exp(C) + np.exp(np.stack([PRIOR, advice.ratios]) @ T.T)
    gain = truth[1] - truth[0]
    assert ((advice.low - 0.01 <= gain) & (gain <= advice.high + 0.01)).all()
    assert advice.worst == int(gain.argmax())
    assert (advice.held_out > 0.9).all()


def test_shares_above_a_cap_go_to_the_others() -> None:
    """In proportion; caps that allow less than everything are refused."""
    assert capped(np.array([0.8, 0.15, 0.05]), np.array([0.4, 1.0, 1.0])) == pytest.approx([0.4, 0.45, 0.15])
    with pytest.raises(InputError, match=r"allow 0\.600"):
        capped(np.ones(3) / 3, np.full(3, 0.2))


def write(path: Path, rows: list[list[object]]) -> str:
    """Write a CSV file; returns its path."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_files_of_olmix_are_read(tmp_path: Path) -> None:
    """Joined by run, in any order of rows, metadata left out, repeats averaged."""
    ratios = write(tmp_path / "r.csv", [["run", "name", "index", "web", "wiki"], *(
        [name, "x", i, i / 10, 1 - i / 10] for i, name in enumerate("abcd"))])  # fmt: skip
    metrics = write(tmp_path / "m.csv", [["run_id", "index", "arc_bpb"], ["d", 3, 1.3], ["a", 0, 1.0], ["a", 0, 2.0],
                                         ["b", 1, 1.1], ["z", 9, 9.9]])  # fmt: skip
    runs = read_runs(ratios, metrics)
    assert runs.groups == ("web", "wiki") and runs.measures == ("arc_bpb",)
    assert runs.values.ravel().tolist() == [1.5, 1.1, 1.3] and runs.ratios[:, 0].tolist() == [0, 0.1, 0.3]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([["a", "web"], ["x", 1]], "a column run"),
        ([["run", "web"], ["x", "many"]], "r.csv:2: .*expected a number"),
        ([["run", "web"], ["a", 1]], "1 runs in common"),
        ([["run", "web"], ["a", 0.5], ["b", 1], ["c", 1]], "run a sum to 0.500"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, rows: list[list[object]], error: str) -> None:
    """With the line, and what was expected."""
    metrics = write(tmp_path / "m.csv", [["run", "m"], ["a", 1], ["b", 2], ["c", 3]])
    with pytest.raises(InputError, match=error):
        read_runs(write(tmp_path / "r.csv", rows), metrics)
