"""Forests equal the LightGBM models that they are packed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers.trees import forest
from classifiers.trees.forest import predict
from classifiers.trees.lightgbm import load_text, pack
from pipeline.errors import ConfigError

lightgbm = pytest.importorskip("lightgbm", reason="the extra `train` is not installed")


def _rows(n: int = 3000) -> np.ndarray:
    """Numbers with missing values, zeros, ties and values next to zero."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(n, 6)).round(2)
    rows[random.random(rows.shape) < 0.2] = np.nan
    rows[random.random(rows.shape) < 0.2] = 0
    rows[:, 4] = rows[:, 4] > 0
    rows[::7, 5] = 1e-36
    return rows


def _train(  # type: ignore[no-untyped-def]  # a Booster
    rows: np.ndarray, labels: np.ndarray, settings: dict[str, object], categories: list[int] | None = None
):
    quiet = {"verbose": -1, "num_threads": 1, "deterministic": True, "num_leaves": 15}
    names = [f"signals.column_{i}" for i in range(rows.shape[1])]
    data = lightgbm.Dataset(rows, labels, feature_name=names, categorical_feature=categories or [])
    return lightgbm.train(quiet | settings, data, 40)


LABELS = (np.nan_to_num(_rows()).sum(axis=1) > 0).astype(np.float64)


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "binary"},
        {"objective": "regression"},
        {"objective": "binary", "use_missing": False},
        {"objective": "binary", "zero_as_missing": True},
        {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"objective": "regression", "boosting": "dart"},
        {"objective": "lambdarank", "group": True},
    ],
    ids=str,
)
def test_sums_equal_those_of_lightgbm(settings: dict[str, object], tmp_path: Path) -> None:
    """Packed, stored and read again, a forest returns the raw scores of its model to the last bit."""
    rows = _rows()
    if settings.pop("group", False):
        data = lightgbm.Dataset(rows, LABELS, group=[100] * 30)
        model = lightgbm.train({"verbose": -1, "num_threads": 1, **settings}, data, 20)
    else:
        model = _train(rows, LABELS, settings)
    raw = settings.get("boosting") != "rf"  # of a random forest, LightGBM's raw score is not yet divided
    forest.save(tmp_path / "trees.npz", pack(model))
    read = forest.load(tmp_path / "trees.npz")
    assert np.array_equal(predict(read.trees, rows)[:, 0], model.predict(rows, raw_score=raw))
    narrow = rows.astype(np.float32)
    assert np.array_equal(predict(read.trees, narrow)[:, 0], model.predict(narrow, raw_score=raw))


def test_classes_and_constant_trees(tmp_path: Path) -> None:
    """A model of several classes has one sum for each; a tree without a split adds its value."""
    rows = _rows()
    model = _train(
        rows, np.digitize(np.nan_to_num(rows[:, 0]), [-1, 1]), {"objective": "multiclass", "num_class": 3}
    )
    assert np.array_equal(predict(pack(model).trees, rows), model.predict(rows, raw_score=True))
    constant = _train(rows, np.full(len(rows), 0.25), {"objective": "regression"})
    assert set(predict(pack(constant).trees, rows)[:, 0]) == {0.25}


def test_pack_reads_text_without_lightgbm(tmp_path: Path) -> None:
    """The text file of save_model packs to the same forest, with the names of its columns and its link."""
    model = _train(_rows(), LABELS, {"objective": "binary"})
    model.save_model(tmp_path / "model.txt")
    packed = load_text(tmp_path / "model.txt")
    assert packed.columns[0] == "signals.column_0"
    assert packed.link == "logistic"
    for name, array in packed.arrays().items():
        assert np.array_equal(array, pack(model).arrays()[name])


def test_files_are_equal_and_checked(tmp_path: Path) -> None:
    """One forest has one file; a split that leads nowhere is refused, not followed."""
    packed = pack(_train(_rows(), LABELS, {"objective": "binary"}))
    forest.save(tmp_path / "a.npz", packed)
    forest.save(tmp_path / "b.npz", packed)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    arrays = packed.arrays()
    arrays["tree_children"] = arrays["tree_children"].copy()
    arrays["tree_children"][0, 0] = 0
    with pytest.raises(ValueError, match="leads nowhere"):
        forest.from_arrays(arrays)
    (tmp_path / "c.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="a file of trees"):
        forest.load(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("settings", "categories", "reason"),
    [
        ({"objective": "poisson"}, [], "objective"),
        ({"objective": "binary", "sigmoid": 2.0}, [], "objective"),
        ({"objective": "regression", "linear_tree": True}, [], "linear leaves"),
        ({"objective": "binary", "min_data_per_group": 1}, [4], "categories"),
    ],
    ids=str,
)
def test_what_cannot_be_equal_is_refused(
    settings: dict[str, object], categories: list[int], reason: str
) -> None:
    """Models that the kernel cannot reproduce are named, not approximated."""
    rows = np.nan_to_num(_rows())
    with pytest.raises(ConfigError, match=reason):
        pack(_train(rows, rows[:, 4], settings, categories))
