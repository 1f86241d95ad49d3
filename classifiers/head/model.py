"""Heads: trees over columns with a calibration of their log-odds for each language; one file each.

A calibration is a straight line through the log-odds (Platt 1999, Probabilistic Outputs for Support Vector Machines),
fitted on predictions of models that had not seen the source: unlike isotonic regression it makes no ties, which buckets
would have to break.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.trees.forest import INFINITE, Forest, from_arrays, predict
from pipeline.array_files import BROKEN_FILE, read_arrays
from pipeline.errors import ConfigError

POOLED = "*"
"""The calibration of languages that have none of their own."""
_CHINESE = ("yue", "wuu", "lzh")
"""Languages that take the calibration of `zho` if they have none of their own."""


@dataclass(frozen=True)
class Head:
    """A forest, and a line through its log-odds for each language.

    languages: ISO 639-3 codes, POOLED first. lines: float64 (n_languages, 2), slope and intercept. low, high: labels
    that a score of 0 and 1 stands for.
    """

    forest: Forest
    languages: tuple[str, ...]
    lines: np.ndarray
    low: float
    high: float

    def odds(self, rows: np.ndarray, labels: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Calibrated log-odds: float64 (n_docs,).

        Args: rows, float64 (n_docs, n_columns), NaN where a value is missing; labels, languages as `zho_Hans`.
        """
        lines = self.lines[self.language_of(labels)]
        return lines[:, 0] * predict(self.forest.trees, rows)[:, 0] + lines[:, 1]

    def language_of(self, labels: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Index of the calibration of each label: int64 (n_docs,)."""
        encoded = pc.dictionary_encode(pa.chunked_array([labels]) if isinstance(labels, pa.Array) else labels)
        encoded = encoded.combine_chunks()
        codes = [label.partition("_")[0] for label in encoded.dictionary.to_pylist()]
        codes = ["zho" if code in _CHINESE and code not in self.languages else code for code in codes]
        known = [self.languages.index(code) if code in self.languages else 0 for code in codes]
        return np.array([*known, 0], np.int64)[encoded.indices.fill_null(len(codes)).to_numpy()]


def matrix(table: pa.Table, names: list[str]) -> np.ndarray:
    """Columns of numbers and booleans side by side: float64 (n_rows, n_columns), nulls as NaN."""
    rows = np.empty((table.num_rows, len(names)))
    for i, name in enumerate(names):
        rows[:, i] = (
            table[name].cast(pa.float64()).combine_chunks().fill_null(np.nan).to_numpy(zero_copy_only=False)
        )
    return rows


def save_head(path: str | os.PathLike[str], head: Head) -> None:
    """Write a head to its file, .npz without pickles; equal heads have equal bytes."""
    arrays = head.forest.arrays() | {
        "head_languages": np.array(head.languages, np.str_),
        "head_lines": head.lines,
        "head_range": np.array([head.low, head.high]),
    }
    with open(path, "wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def load_head(path: str | os.PathLike[str]) -> Head:
    """Read a head.

    Raises: ConfigError if the file is missing or is none.
    """
    arrays = read_arrays(path, "", "a head; write one with `bicorpus train head`", (), INFINITE)
    try:
        languages = tuple(arrays["head_languages"].tolist())
        lines = np.asarray(arrays["head_lines"], np.float64)
        low, high = (float(value) for value in arrays["head_range"])
        forest = from_arrays(arrays)
    except BROKEN_FILE as error:
        raise ConfigError(f"{path}: no head ({error}); write one with `bicorpus train head`") from error
    if forest.link != "logistic" or forest.trees.n_outputs != 1:
        raise ConfigError(
            f"{path}: link {forest.link}, {forest.trees.n_outputs} outputs; expected one log-odds"
        )
    if languages[:1] != (POOLED,) or lines.shape != (len(languages), 2):
        raise ConfigError(
            f"{path}: calibration {lines.shape} of {languages}; expected a line each, {POOLED} first"
        )
    return Head(forest, languages, lines, low, high)
