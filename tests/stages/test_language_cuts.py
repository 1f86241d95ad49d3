"""Thresholds of language scores: drawn from each language's own scores, or taken from an earlier run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError
from stages.language_cuts import GLOBAL, Config
from tests.helpers.run_global import align, number_rows, run_global


def shards(labels: list[str | None], scores: list[float | None], *sizes: int) -> list[pa.Table]:
    """Numbered shards with these labels and scores."""
    table = pa.table({"language.label": labels, "language.score": pa.array(scores, pa.float32())})
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return number_rows([table.slice(start, size) for start, size in zip(starts, sizes, strict=True)])


def some(seed: int = 1) -> tuple[list[str | None], list[float | None]]:
    """300 documents of three languages, one of them rare, and two without a label."""
    rng = np.random.default_rng(seed)
    labels = ["zho_Hans"] * 150 + ["eng_Latn"] * 140 + ["yue_Hant"] * 8
    scores = [
        *np.round(rng.beta(5, 2, 150), 3),
        *np.round(rng.beta(30, 1, 140), 3),
        *np.round(rng.random(8), 3),
    ]
    order = rng.permutation(len(labels))
    return [labels[i] for i in order] + [None, "zho_Hans"], [float(scores[i]) for i in order] + [0.5, None]


@pytest.mark.parametrize(("sizes", "n_partitions"), [((300,), 1), ((100, 0, 200), 4), ((1, 150, 149), 7)])
def test_a_threshold_is_the_median_less_a_deviation(sizes: tuple[int, ...], n_partitions: int) -> None:
    """Each language has its own, between 0.3 and 0.9; a rare one has the lowest; rows keep their margin to it."""
    labels, scores = some()
    parts = shards(labels, scores, *sizes)
    outcome = run_global(GLOBAL, parts, Config(), n_partitions)
    found = pa.concat_tables(align(outcome, parts, GLOBAL))
    cuts = {row["language"]: row for row in outcome.artefacts["cuts"].to_pylist()}
    assert list(cuts) == ["eng_Latn", "yue_Hant", "zho_Hans"]
    for name in ("zho_Hans", "eng_Latn"):
        own = np.array([s for la, s in zip(labels, scores, strict=True) if la == name and s is not None])
        expected = min(max(float(np.sort(own)[(len(own) - 1) // 2]) - own.std(), 0.3), 0.9)
        assert cuts[name]["threshold"] == pytest.approx(expected, abs=0.0006)
        assert cuts[name]["below"] == sum(s < cuts[name]["threshold"] - 1e-6 for s in own)
    assert cuts["eng_Latn"]["threshold"] == 0.9
    assert cuts["yue_Hant"]["threshold"] == 0.3
    for label, score, threshold, margin in zip(
        labels,
        scores,
        *(found[f"language_cuts.{name}"].to_pylist() for name in ("threshold", "margin")),
        strict=True,
    ):
        if label is None or score is None:
            assert threshold is None
        else:
            assert threshold == pytest.approx(cuts[label]["threshold"], abs=1e-6)
            assert margin == pytest.approx(score - threshold, abs=1e-6)


def test_thresholds_of_an_earlier_run_hold(tmp_path: Path) -> None:
    """A table of thresholds fixes the languages that it names, regardless of new scores; others are fitted."""
    labels, scores = some()
    first = run_global(GLOBAL, shards(labels, scores, 300), Config(), 1).artefacts["cuts"]
    pq.write_table(
        first.filter(pa.array([name != "eng_Latn" for name in first["language"].to_pylist()])), tmp_path / "a"
    )
    parts = shards(*some(seed=2), 300)
    outcome = run_global(GLOBAL, parts, Config(cuts=(str(tmp_path / "a"),), highest=0.8), 2)
    cuts = {row["language"]: row for row in outcome.artefacts["cuts"].to_pylist()}
    before = {row["language"]: row["threshold"] for row in first.to_pylist()}
    assert cuts["zho_Hans"]["threshold"] == before["zho_Hans"]
    assert (cuts["zho_Hans"]["fitted"], cuts["eng_Latn"]["fitted"]) == (False, True)
    assert cuts["eng_Latn"]["threshold"] == 0.8


def test_settings_and_files_are_checked(tmp_path: Path) -> None:
    """Bounds out of order, and a file that is no table of thresholds, are ConfigErrors that name them."""
    with pytest.raises(ConfigError, match="lowest"):
        Config(lowest=0.95)
    with pytest.raises(ConfigError, match="deviations"):
        Config(deviations=-1)
    (tmp_path / "no.parquet").write_bytes(b"no table")
    with pytest.raises(ConfigError, match=r"no\.parquet"):
        run_global(GLOBAL, shards(["a"], [0.5], 1), Config(cuts=(str(tmp_path / "no.parquet"),)), 1)
