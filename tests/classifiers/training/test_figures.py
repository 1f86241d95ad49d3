"""Figures and folds of trainings: against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.training.data import joined, read_labelled, spread, third_quartile, training_rows
from classifiers.training.figures import (
    calibration_error,
    class_auc,
    cut_for,
    fit_line,
    interval,
    pairs_right,
    spearman,
)
from pipeline.errors import UsageError

NUMBERS = st.lists(st.integers(0, 5), min_size=3, max_size=30)


@given(NUMBERS, st.randoms())
def test_rank_correlation_is_the_correlation_of_ranks(values: list[int], random) -> None:  # type: ignore[no-untyped-def]  # of hypothesis
    """Equal to scipy's, with ties."""
    stats = pytest.importorskip("scipy.stats")
    others = [random.randint(0, 5) for _ in values]
    expected = (
        stats.spearmanr(values, others).statistic if len(set(values)) > 1 < len(set(others)) else math.nan
    )
    assert spearman(np.array(values), np.array(others)) == pytest.approx(expected, nan_ok=True)


def test_intervals_resample_sources() -> None:
    """An interval is as wide as the sources differ, and has no width where they agree."""
    sources = np.repeat([f"s{i}" for i in range(20)], 10)
    same, different = np.tile([0.0, 1.0], 100), np.repeat(np.arange(20) % 2, 10).astype(float)
    agreed = interval(sources, lambda rows: float(same[rows].mean()))
    apart = interval(sources, lambda rows: float(different[rows].mean()))
    assert agreed.low == agreed.high == 0.5
    assert apart.low < 0.4 < 0.6 < apart.high
    assert str(class_auc(same, np.ones(200, bool), sources)) == "–"


def test_pairs_are_of_one_source() -> None:
    """Pairs of two sources do not count, nor do pairs closer than the gap; ties count half."""
    scores, targets = np.array([0.1, 0.9, 0.5, 0.5]), np.array([0, 5, 1, 3])
    assert pairs_right(scores, targets, np.array(["a", "a", "b", "b"]), 1) == 0.75
    assert math.isnan(pairs_right(scores, targets, np.array([*"abcd"]), 1))


def test_calibration_recovers_a_line() -> None:
    """Labels drawn from a line through log-odds give the line back, and calibrated scores agree with labels."""
    random = np.random.default_rng(1)
    odds = random.normal(size=20_000) * 2
    p = 1 / (1 + np.exp(-(0.5 * odds - 1)))
    labels = (random.random(20_000) < p).astype(float)
    slope, intercept = fit_line(odds, labels)
    assert (slope, intercept) == pytest.approx((0.5, -1), abs=0.05)
    assert calibration_error(p, labels) < 0.02 < calibration_error(1 / (1 + np.exp(-odds)), labels)
    assert cut_for(np.arange(10.0), np.ones(10, bool), 0.9) == 1.0


def _table(n: int = 60) -> pa.Table:
    return pa.table(
        {
            "text": [f"text {i}" for i in range(n)],
            "lang": ["zh" if i % 2 else "eng_Latn" for i in range(n)],
            "source": [f"s{i % 7}" for i in range(n)],
            "score": [float(i % 6) for i in range(n)],
        }
    )


def test_no_fold_is_scored_by_a_model_of_its_sources() -> None:
    """Folds are of whole sources and about equal size; also with a given column that divides a source."""
    data = read_labelled(_table(), "score", ">=3", None, 3)
    assert max(np.bincount(data.folds)) <= 2 * min(np.bincount(data.folds))
    table = _table().append_column("fold", pa.array([i % 4 for i in range(60)]))
    by_column = read_labelled(table, "score", None, "fold", 5)
    for folded in (data, by_column, read_labelled(table, "score", None, "source", 5)):
        for fold in np.unique(folded.folds):
            learnt = set(folded.sources[training_rows(folded, fold)])
            assert not learnt & set(folded.sources[folded.folds == fold])
    assert set(data.languages) == {"zho", "eng"}
    assert (data.low, data.high) == (0, 5)
    with pytest.raises(UsageError, match="at least two"):
        spread(np.array(["a", "a"]), 5)


def test_the_third_quartile_is_per_language() -> None:
    """Negatives are between median and third quartile of their own language."""
    pool = _table(400).set_column(3, "score", pa.array([i + (1000 if i % 2 else 0) for i in range(400)]))
    drawn = third_quartile(pool, "score", 60, 1)
    assert drawn.num_rows == 60
    for row in drawn.to_pylist():
        assert 200 <= row["score"] % 1000 <= 300
    assert third_quartile(pool, "score", 60, 1).equals(drawn)


def test_joined_rows_are_found_by_key() -> None:
    """Columns are joined by key or position, missing keys are null, and a key that repeats is refused."""
    more = pa.table({"row": [59, 0], "extra": [1.5, 2.5]})
    table = joined(_table(), more, "row", "more.parquet")
    assert table["extra"].to_pylist() == [2.5, *[None] * 58, 1.5]
    with pytest.raises(UsageError, match="same key"):
        joined(_table(), pa.table({"row": [1, 1], "extra": [1, 2]}), "row", "more.parquet")
    with pytest.raises(UsageError, match=r"no such column in more\.parquet"):
        joined(_table(), pa.table({"extra": [1]}), "source", "more.parquet")
