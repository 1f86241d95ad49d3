"""Toxicity of documents, by a linear model over windows: insult and contempt, and apart from it self-harm.

Reads canonical text and its language; writes

- `score`, from 0 to 1: insults, slurs, threats and contempt for people or groups, in abusive or in plain words. Mean
  log-odds of the worst windows: one, and one more per 16 windows of the document (some 500 Chinese characters or 2,000
  English ones). It is high for a text that is abusive in a good part of it, but not for a swear word in a novel;
- `max_window`, the score of the worst window only;
- `toxic_share`, the share of windows with a probability above 0.5;
- `self_harm`, from 0 to 1, of the same number of windows: people who speak of killing or harming themselves.

The log-odds of a window are the smaller of two: how much it looks like abuse rather than any text, and how much it
looks like contempt rather than another post on its topics. One model for both must trade one against the other.
A window that is hardly abuse by the first has no score of 0.7.
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
from classifiers.toxicity.features import N_CELLS, N_ROWS, N_SCORERS, sum_windows
from pipeline.array_files import read_arrays
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.text import TABLES_PATH, load_tables, view

MODEL_PATH = package_file(__file__, "..", "models", "toxicity_ngrams.npz")
SCHEMA = pa.schema(
    {
        "score": pa.float32(),
        "max_window": pa.float32(),
        "toxic_share": pa.float32(),
        "self_harm": pa.float32(),
    }
)
"""score: how abusive the worst parts are, from 0 to 1. max_window: the score of the worst window alone. toxic_share:
share of windows that are more likely toxic than not. self_harm: how likely the worst parts are first-person text on
self-harm. Null for a document without text, or without a single letter, ideograph or emoji."""

WINDOWS_PER_WORST = 16
"""One more of the worst windows is included in `score` and `self_harm` per this many windows of a document."""

RECOUNT_ABOVE = -2.0
"""Log-odds of a window above which each distinct feature of it counts once."""

LIFT = 1.2
"""Added to the log-odds against any text before the smaller of these and of those against other posts is taken."""
SURE, DOUBTFUL = 0.5, 0.8
"""Log-odds against any text below which a window has at most DOUBTFUL, a score of 0.69."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights written by `scripts/training/train_toxicity.py`."""

    model: str = MODEL_PATH


class Model(NamedTuple):
    """weights: int16 (N_ROWS, N_SCORERS), in WEIGHT_STEP. biases: float64 (N_SCORERS,), log-odds without features."""

    weights: np.ndarray
    biases: np.ndarray


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is not a model with this number of features.
    """
    stored = read_arrays(
        path, "toxicity.model", "a file of scripts/training/train_toxicity.py", ("weights", "biases")
    )
    weights, biases = stored["weights"], stored["biases"]
    sizes = weights.shape == (N_ROWS, N_SCORERS) and biases.shape == (N_SCORERS,)
    if not sizes or weights.dtype != np.int16 or biases.dtype.kind != "f":
        raise ConfigError(
            f"toxicity.model {path} contains {weights.dtype} weights {weights.shape} and biases {biases}; expected "
            f"int16 ({N_ROWS}, {N_SCORERS}) and {N_SCORERS} numbers; train it again with this version"
        )
    return Model(weights, biases.astype(np.float64))


def load(config: Config) -> Annotate:
    """Read the model; see `load_model`."""
    return partial(annotate, model=load_model(config.model))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Score the documents of one batch."""
    text = view(batch["text"])
    families = find_families(text, batch["language.label"])
    shift = (model.biases + model.weights[N_CELLS:] * WEIGHT_STEP)[families]
    floors = (RECOUNT_ABOVE - shift) / WEIGHT_STEP
    sums, begins = sum_windows(
        text.codes, text.classes, text.starts, load_tables().fold, model.weights, floors
    )
    odds = sums * WEIGHT_STEP + np.repeat(shift, np.diff(begins), axis=0)
    most = np.where(odds[:, 0] < SURE, np.minimum(odds[:, 0] + LIFT, DOUBTFUL), odds[:, 0] + LIFT)
    odds[:, 0] = np.minimum(most, odds[:, 2])
    steps, shares = sum_up(to_steps(odds), begins)
    score, worst, harm = to_scores(steps).T
    empty = begins[1:] == begins[:-1]
    columns = (score, worst, shares.astype(np.float32), harm)
    return pa.table([pa.array(column, mask=empty) for column in columns], schema=SCHEMA)


@njit(cache=True, nogil=True)
def sum_up(odds, begins):  # type: ignore[no-untyped-def]  # numba infers types
    """Aggregate the windows of each document.

    Args: odds, int64 (n_windows, N_SCORERS), log-odds of toxicity and of self-harm of all windows, in ODDS_STEP; the
    third column is not read; begins, int64 (n_docs + 1,), offsets of the documents.
    Returns: int64 (n_docs, 3), toxicity of the worst windows and of the worst one and self-harm of the worst windows,
    in ODDS_STEP; float64 (n_docs,), share of windows with log-odds of toxicity above 0, to three decimals.
    """
    n_docs = len(begins) - 1
    steps, shares = np.zeros((n_docs, 3), np.int64), np.zeros(n_docs)
    for doc in range(n_docs):
        n = begins[doc + 1] - begins[doc]
        if n == 0:
            continue
        n_worst = 1 + n // WINDOWS_PER_WORST
        toxic = np.sort(odds[begins[doc] : begins[doc + 1], 0])
        harm = np.sort(odds[begins[doc] : begins[doc + 1], 1])
        steps[doc, 0] = np.int64(np.rint(toxic[n - n_worst :].sum() / n_worst))
        steps[doc, 1] = toxic[n - 1]
        steps[doc, 2] = np.int64(np.rint(harm[n - n_worst :].sum() / n_worst))
        shares[doc] = np.rint(1000 * (toxic > 0).sum() / n) / 1000
    return steps, shares


STAGE = Stage(
    name="toxicity",
    version=3,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("model",),
    optional=pa.schema({"language.label": pa.string()}),
    data=(TABLES_PATH,),
)
