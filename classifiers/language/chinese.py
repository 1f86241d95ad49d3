"""Modern, Cantonese or classical Chinese, by a small linear model over characters and pairs of characters.

Reads weights from `han_ngrams.npz` and their sums over the cells of a text (`kernels.scripts.han_grams`); computes the
probability of each class. The model does not depend on the script; Hans and Hant are distinguished elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from classifiers.linear.odds import WEIGHT_STEP
from pipeline.array_files import read_arrays
from pipeline.errors import ConfigError
from pipeline.recipe import package_file

MODEL_PATH = package_file(__file__, "..", "models", "han_ngrams.npz")


class ChineseModel(NamedTuple):
    """Log-odds of Cantonese and of classical against modern Chinese, as integer multiples of WEIGHT_STEP.

    weights: int16 (n_cells, 2), n_cells a power of two. bias: int64 (2,).
    """

    weights: np.ndarray
    bias: np.ndarray


def load(path: str = MODEL_PATH) -> ChineseModel:
    """Read the model.

    Raises: ConfigError if the file is not such a model.
    """
    arrays = read_arrays(path, "", "the model of scripts/training/train_chinese.py", ("weights", "bias"))
    weights, bias = np.ascontiguousarray(arrays["weights"]), arrays["bias"]
    n_cells = len(weights) if weights.ndim == 2 else 0
    is_power = n_cells > 0 and not n_cells & (n_cells - 1)
    types = weights.dtype == np.int16 and bias.dtype == np.int64
    if not is_power or not types or weights.shape != (n_cells, 2) or bias.shape != (2,):
        raise ConfigError(
            f"{path} contains {weights.dtype} weights {weights.shape} and {bias.dtype} bias {bias.shape}; expected "
            "int16 (a power of two, 2) and int64 (2,)"
        )
    return ChineseModel(weights, bias)


def save(model: ChineseModel, path: str | Path) -> None:
    """Write the model."""
    np.savez_compressed(path, weights=model.weights, bias=model.bias)


def probabilities(model: ChineseModel, sums: np.ndarray, n_cells: np.ndarray) -> np.ndarray:
    """Probability of modern, Cantonese and classical Chinese, from the sum of cell weights over sqrt(n_cells).

    Args: sums, int64 (n, 2), summed weights of the cells of each text; n_cells, int64 (n,), number of cells.
    Returns: float64 (n, 3).
    """
    root = np.sqrt(np.maximum(n_cells, 1))[:, None]
    odds = WEIGHT_STEP * (model.bias + sums / root)
    odds = np.concatenate([np.zeros((len(sums), 1)), odds], axis=1)
    powers = np.exp(odds - odds.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
