"""Forests of LightGBM models, read from their text format; LightGBM itself is not needed.

Source of the format and of the meaning of `decision_type`: LightGBM 4, `src/boosting/gbdt_model_text.cpp`,
`src/io/tree.cpp` and `include/LightGBM/tree.h` (https://github.com/lightgbm-org/LightGBM).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from classifiers.trees.forest import Forest, Link, Trees, check
from pipeline.errors import ConfigError

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT, _MISSING_MASK = 1, 2, 2, 3
"""Bits of `decision_type`; the two of missing values have the values of `forest`."""
_LINKS: dict[str, Link] = {
    "binary": "logistic", "cross_entropy": "logistic", "multiclassova": "logistic", "multiclass": "softmax",
    "regression": "identity", "regression_l1": "identity", "huber": "identity", "fair": "identity",
    "quantile": "identity", "mape": "identity", "lambdarank": "identity", "rank_xendcg": "identity",
}  # fmt: skip
"""Objective -> link of the objectives that can be packed."""


@runtime_checkable
class Booster(Protocol):
    """What is needed of `lightgbm.Booster`."""

    def model_to_string(self) -> str:
        """The model in LightGBM's text format."""


def pack(model: Booster | str, columns: Sequence[str] | None = None) -> Forest:
    """Pack a LightGBM model.

    Args: model, a `lightgbm.Booster` (of a scikit-learn estimator its `booster_`), or its text; columns, names of its
    columns in order, if they differ from the names of the model (LightGBM replaces blanks).
    Returns: a forest whose `predict` equals `model.predict(rows, raw_score=True)` to the last bit; of a random forest,
    `model.predict(rows)` of an objective with the link identity.
    Raises: ConfigError for a model with categorical splits or linear leaves, or of an objective without a known link.
    """
    text = model if isinstance(model, str) else model.model_to_string()
    if not text.startswith("tree\n"):
        raise ConfigError("no LightGBM model: the text does not begin with `tree`; save it by save_model")
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _fields(head)
    names = tuple(columns or header["feature_names"].split(" "))
    if len(names) != int(header["max_feature_idx"]) + 1:
        raise ConfigError(f"{len(names)} names for {int(header['max_feature_idx']) + 1} columns of the model")
    n_outputs = int(header["num_tree_per_iteration"])
    trees = _join([_fields(block) for block in blocks], n_outputs, "average_output" in head.split("\n"))
    try:
        check(trees, len(names))
    except ValueError as error:
        raise ConfigError(f"broken LightGBM model: {error}") from error
    return Forest(names, _link(header.get("objective", "")), trees)


def load_text(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> Forest:
    """Pack a file written by LightGBM's `save_model`; see `pack`."""
    try:
        with open(path, encoding="utf-8") as stream:
            return pack(stream.read(), columns)
    except (OSError, ConfigError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _fields(block: str) -> dict[str, str]:
    """The lines `name=value` of a block."""
    return {
        name: value for name, equals, value in (line.partition("=") for line in block.split("\n")) if equals
    }


def _link(objective: str) -> Link:
    name, *settings = objective.split(" ")
    scaled = any(setting.startswith("sigmoid:") and float(setting[8:]) != 1 for setting in settings)
    if name not in _LINKS or scaled or "sqrt" in settings:
        raise ConfigError(
            f"objective {objective!r} of the LightGBM model; expected one of {', '.join(_LINKS)}, with sigmoid 1 "
            "and without reg_sqrt"
        )
    return _LINKS[name]


def _join(blocks: Sequence[Mapping[str, str]], n_outputs: int, averaged: bool) -> Trees:
    """The trees in one set of arrays; splits and leaves of a tree are numbered after those of the trees before it."""
    features, thresholds, decisions, children, leaves, roots = [], [], [], [], [], []
    n_splits = n_leaves = 0
    for number, block in enumerate(blocks):
        if block.get("is_linear", "0") != "0":
            raise ConfigError(
                f"tree {number} of the LightGBM model has linear leaves; train without linear_tree"
            )
        values = _numbers(block, "leaf_value", np.float64)
        n_own = len(values) - 1
        roots.append(n_splits if n_own else ~n_leaves)
        if n_own:
            features.append(_numbers(block, "split_feature", np.int32))
            thresholds.append(_numbers(block, "threshold", np.float64))
            decisions.append(_numbers(block, "decision_type", np.int32))
            pairs = np.stack(
                [_numbers(block, f"{side}_child", np.int32) for side in ("left", "right")], axis=1
            )
            children.append(np.where(pairs >= 0, pairs + n_splits, pairs - n_leaves))
        leaves.append(values)
        n_splits, n_leaves = n_splits + n_own, n_leaves + len(values)
    decision = _concatenated(decisions, np.int32)
    if (decision & _CATEGORICAL).any():
        raise ConfigError("the LightGBM model splits by categories; train on numbers only")
    return Trees(
        feature=_concatenated(features, np.int32),
        threshold=_concatenated(thresholds, np.float64),
        children=_concatenated(children, np.int32).reshape(-1, 2),
        missing=_frozen((decision >> _MISSING_SHIFT & _MISSING_MASK).astype(np.uint8)),
        default_left=_frozen((decision & _DEFAULT_LEFT) > 0),
        roots=_frozen(np.array(roots, np.int32)),
        leaves=_concatenated(leaves, np.float64),
        n_outputs=n_outputs,
        divisor=float(len(blocks) // n_outputs) if averaged else 1.0,
    )


def _numbers(block: Mapping[str, str], name: str, dtype: type[np.generic]) -> np.ndarray:
    return np.array(block[name].split(), dtype)


def _concatenated(arrays: Sequence[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return _frozen(
        np.concatenate([*arrays, np.empty((0, *arrays[0].shape[1:]) if arrays else 0, dtype)]).astype(dtype)
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    """The array, read-only, so that numba compiles once for all forests."""
    array.setflags(write=False)
    return array
