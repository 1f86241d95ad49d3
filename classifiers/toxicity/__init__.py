"""Toxicity of documents, by a linear model over windows: insults, slurs, hate, threats, sexual and violent abuse.

Reads canonical text and its language; writes

- `score`, from 0 to 1: mean log-odds of the worst windows, one plus one more per 64 windows of the document (some 2,000
  Chinese characters or 8,000 English ones). It is high for a paragraph of abuse on a long page, but not for a swear
  word in a novel;
- `max_window`, the score of the worst window only;
- `toxic_share`, the share of windows with a probability above 0.5.

A window has 64 tokens and overlaps the next one by 32; a shorter document is one window. Trained on Chinese and
English; for other languages the scores are not reliable. Thresholds are up to the run file; the defaults only flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from classifiers.linear.families import find_families
from classifiers.linear.odds import WEIGHT_STEP, to_scores, to_steps
from classifiers.toxicity.features import N_CELLS, N_ROWS, sum_windows
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.text import TABLES_PATH, load_tables, view

MODEL_PATH = package_file(__file__, "..", "models", "toxicity_ngrams.npz")
SCHEMA = pa.schema({"score": pa.float32(), "max_window": pa.float32(), "toxic_share": pa.float32()})
"""score: how abusive the worst part is, from 0 to 1. max_window: the score of the worst window alone. toxic_share:
share of windows that are more likely toxic than not. Null for a document without text, or without a single
letter, ideograph or emoji."""

WINDOWS_PER_WORST = 64
"""One more of the worst windows is included in `score` per this many windows of a document."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights written by `scripts/training/train_toxicity.py`."""

    model: str = MODEL_PATH


class Model(NamedTuple):
    """weights: int16 (N_ROWS,), in WEIGHT_STEP. bias: log-odds of a window without features."""

    weights: np.ndarray
    bias: float


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is not a model with this number of features.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            weights, bias = stored["weights"], stored["bias"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"toxicity.model {path}: {error}; expected a file of scripts/training/train_toxicity.py"
        ) from error
    if weights.shape != (N_ROWS,) or weights.dtype != np.int16 or bias.shape != () or not np.isfinite(bias):
        raise ConfigError(
            f"toxicity.model {path} contains {weights.dtype} weights {weights.shape} and bias {bias}; expected int16 "
            f"({N_ROWS},) and one number; train it again with this version"
        )
    return Model(weights, float(bias))


def load(config: Config) -> Annotate:
    """Read the model; see `load_model`."""
    return partial(annotate, model=load_model(config.model))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Score the documents of one batch."""
    text = view(batch["text"])
    families = find_families(text, batch["language.label"])
    sums, begins = sum_windows(text.codes, text.classes, text.starts, load_tables().fold, model.weights)
    shift = model.bias + model.weights[N_CELLS:] * WEIGHT_STEP
    odds = to_steps(sums * WEIGHT_STEP + np.repeat(shift[families], np.diff(begins)))
    steps, shares = sum_up(odds, begins)
    empty = begins[1:] == begins[:-1]
    columns = (*to_scores(steps).T, shares.astype(np.float32))
    return pa.table([pa.array(column, mask=empty) for column in columns], schema=SCHEMA)


@njit(cache=True, nogil=True)
def sum_up(odds, begins):  # type: ignore[no-untyped-def]  # numba infers types
    """Aggregate the windows of each document.

    Args: odds, int64, log-odds of all windows, in ODDS_STEP; begins, int64 (n_docs + 1,), offsets of the documents.
    Returns: int64 (n_docs, 2), mean of the worst windows and the worst window, in ODDS_STEP; float64 (n_docs,), share
    of windows with log-odds above 0, to three decimals.
    """
    n_docs = len(begins) - 1
    steps, shares = np.zeros((n_docs, 2), np.int64), np.zeros(n_docs)
    for doc in range(n_docs):
        n = begins[doc + 1] - begins[doc]
        if n == 0:
            continue
        ordered = np.sort(odds[begins[doc] : begins[doc + 1]])
        n_worst = 1 + n // WINDOWS_PER_WORST
        steps[doc, 0] = np.int64(np.rint(ordered[n - n_worst :].sum() / n_worst))
        steps[doc, 1] = ordered[n - 1]
        shares[doc] = np.rint(1000 * (ordered > 0).sum() / n) / 1000
    return steps, shares


STAGE = Stage(
    name="toxicity",
    version=1,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("model",),
    optional=pa.schema({"language.label": pa.string()}),
    data=(TABLES_PATH,),
)
