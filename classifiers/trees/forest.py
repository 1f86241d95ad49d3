"""Forests: decision trees as plain arrays, their file, and the sums of their leaves for rows of numbers.

The sums equal those of LightGBM to the last bit: the same comparisons of float64 values, the same treatment of missing
values, leaves added in the order of the trees.

File: an .npz archive without pickles; its bytes depend on the forest alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numba import njit

from pipeline.array_files import BROKEN_FILE, read_arrays
from pipeline.errors import ConfigError

Link = Literal["logistic", "softmax", "identity"]
"""What makes a prediction of the sums: a probability, a probability for each class, or nothing."""

MISSING_AS_ZERO, ZERO_IS_MISSING, NAN_IS_MISSING = 0, 1, 2
"""How a split treats a missing value: as 0; on its default side together with 0; on its default side."""

_TINY = np.float64(np.float32(1e-35))
"""Values up to this size are zero for a split of ZERO_IS_MISSING, as in LightGBM."""
_BLOCK = 64
"""Rows that go through one tree before the next tree is read."""
_FORMAT = 1


class Trees(NamedTuple):
    """The splits and leaves of all trees, in order of the trees.

    feature: int32 (n_splits,), column that a split compares. threshold: float64 (n_splits,), values up to it go left.
    children: int32 (n_splits, 2), left and right: another split, or ~leaf. missing: uint8 (n_splits,), one of the three
    treatments above. default_left: bool (n_splits,). roots: int32 (n_trees,), first split of a tree, or ~leaf for a
    tree without splits. leaves: float64 (n_leaves,). n_outputs: tree i adds to output i % n_outputs. divisor: of the
    sums; 1, or the number of trees for an output of a random forest.
    """

    feature: np.ndarray
    threshold: np.ndarray
    children: np.ndarray
    missing: np.ndarray
    default_left: np.ndarray
    roots: np.ndarray
    leaves: np.ndarray
    n_outputs: int
    divisor: float


@dataclass(frozen=True)
class Forest:
    """Trees with the names of their columns, in order, and the link from their sums to predictions."""

    columns: tuple[str, ...]
    link: Link
    trees: Trees

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields as arrays, for a file that has others too; `from_arrays` reads them back."""
        arrays = {f"tree_{name}": np.asarray(value) for name, value in self.trees._asdict().items()}
        return arrays | {
            "tree_format": np.asarray(_FORMAT),
            "tree_columns": np.array(self.columns, np.str_),
            "tree_link": np.asarray(self.link),
        }


def predict(trees: Trees, rows: np.ndarray) -> np.ndarray:
    """Sum the leaves that each row reaches.

    Args: rows, float (n_rows, n_columns), NaN where a value is missing. float32 values are widened, as in LightGBM.
    Returns: float64 (n_rows, n_outputs), log-odds or values before the link (`raw_score` of LightGBM).
    """
    rows = np.ascontiguousarray(rows, np.float64)
    sums = np.zeros((len(rows), trees.n_outputs))
    _add_leaves(trees, rows, sums)
    if trees.divisor != 1:
        sums /= trees.divisor
    return sums


@njit(cache=True, nogil=True)
def _add_leaves(trees, rows, sums):  # type: ignore[no-untyped-def]  # numba infers types
    feature, threshold, children = trees.feature, trees.threshold, trees.children
    missing, default_left, roots, leaves = trees.missing, trees.default_left, trees.roots, trees.leaves
    for first in range(0, len(rows), _BLOCK):
        end = min(first + _BLOCK, len(rows))
        for tree in range(len(roots)):
            output = tree % trees.n_outputs
            for row in range(first, end):
                node = roots[tree]
                while node >= 0:
                    value, is_nan = rows[row, feature[node]], False
                    if np.isnan(value):
                        is_nan = missing[node] == NAN_IS_MISSING
                        value = 0.0
                    left = value <= threshold[node]
                    if is_nan or (missing[node] == ZERO_IS_MISSING and -_TINY <= value <= _TINY):
                        left = default_left[node]
                    node = children[node, 0] if left else children[node, 1]
                sums[row, output] += leaves[~node]


def save(path: str | os.PathLike[str], forest: Forest) -> None:
    """Write a forest to a file of its own."""
    with open(path, "wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **forest.arrays())


def load(path: str | os.PathLike[str]) -> Forest:
    """Read a forest from its file.

    Raises: ConfigError if the file is missing or contains no forest.
    """
    arrays = read_arrays(path, "", "a file of trees, as `bicorpus train head` writes it", (), INFINITE)
    try:
        return from_arrays(arrays)
    except BROKEN_FILE as error:
        raise ConfigError(
            f"{path}: no file of trees ({error}); write it again with `bicorpus train head`"
        ) from error


INFINITE = ("threshold", "head_range")
"""Arrays of trees and heads in which infinity is a value."""


def from_arrays(arrays: dict[str, np.ndarray]) -> Forest:
    """Forest of the arrays that `Forest.arrays` returns, checked so that the kernel cannot leave them.

    Raises: KeyError for a missing array, ValueError for one that does not fit.
    """
    if int(arrays["tree_format"]) != _FORMAT:
        raise ValueError(f"format {arrays['tree_format']} of trees; expected {_FORMAT}")
    link = str(arrays["tree_link"])
    if link not in get_args(Link):
        raise ValueError(f"link {link!r}; expected one of {', '.join(get_args(Link))}")
    trees = Trees(
        feature=_array(arrays, "feature", np.int32),
        threshold=_array(arrays, "threshold", np.float64),
        children=_array(arrays, "children", np.int32).reshape(-1, 2),
        missing=_array(arrays, "missing", np.uint8),
        default_left=_array(arrays, "default_left", np.bool_),
        roots=_array(arrays, "roots", np.int32),
        leaves=_array(arrays, "leaves", np.float64),
        n_outputs=int(arrays["tree_n_outputs"]),
        divisor=float(arrays["tree_divisor"]),
    )
    columns = tuple(arrays["tree_columns"].tolist())
    check(trees, len(columns))
    return Forest(columns, link, trees)  # type: ignore[arg-type]  # checked above


def check(trees: Trees, n_columns: int) -> None:
    """Check that each split refers to a column, and to later splits or leaves, so that every row reaches a leaf.

    Raises: ValueError if one does not.
    """
    n_splits, n_leaves = len(trees.feature), len(trees.leaves)
    sizes = {len(trees.threshold), len(trees.children), len(trees.missing), len(trees.default_left)}
    if sizes != {n_splits} or trees.n_outputs < 1 or len(trees.roots) % trees.n_outputs:
        raise ValueError("arrays of different lengths")
    if n_splits and not (0 <= trees.feature.min() and trees.feature.max() < n_columns):
        raise ValueError(f"a split by a column beyond the {n_columns} named")
    targets = np.concatenate([trees.children.ravel(), trees.roots])
    parents = np.concatenate([np.repeat(np.arange(n_splits), 2), np.full(len(trees.roots), -1)])
    is_split = targets >= 0
    if (
        (targets >= n_splits).any()
        or (is_split & (targets <= parents)).any()
        or (~targets[~is_split] >= n_leaves).any()
    ):
        raise ValueError("a split that leads nowhere")


def _array(arrays: dict[str, np.ndarray], name: str, dtype: type[np.generic]) -> np.ndarray:
    """One array, contiguous and read-only, so that numba compiles once."""
    array = np.ascontiguousarray(arrays[f"tree_{name}"], dtype)
    array.setflags(write=False)
    return array
