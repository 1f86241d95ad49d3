"""Domain (topic) of whole documents by a linear model over hashed n-grams, all labels in one pass over the text.

Reads canonical text and the words of its URL; writes the most probable of 26 domains and its probability. The domains
are those of nvidia/multilingual-domain-classifier, which published filters and mixes are based on. Choosing documents
by domain is up to buckets and rules.

Trained on Chinese and English. A document is represented by the sum of its n-grams divided by the square root of their
number; without words in the vocabulary of the model, all domains are about equally probable and the score is low.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.domain.features import MAX_ROWS, N_CELLS, pack, sum_weights
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.text import TABLES_PATH, load_tables, utf8_buffers, view

MODEL_PATH = package_file(__file__, "..", "models", "domain_ngrams.npz")
LABELS = (
    "Adult", "Arts & Entertainment", "Autos & Vehicles", "Beauty & Fitness", "Books & Literature",
    "Business & Industrial", "Computers & Electronics", "Finance", "Food & Drink", "Games", "Health",
    "Hobbies & Leisure", "Home & Garden", "Internet & Telecom", "Jobs & Education", "Law & Government", "News",
    "Online Communities", "People & Society", "Pets & Animals", "Real Estate", "Science", "Sensitive Subjects",
    "Shopping", "Sports", "Travel & Transportation",
)  # fmt: skip
SCHEMA = pa.schema({"label": pa.string(), "score": pa.float32()})
"""label: the most likely of 26 domains. score: its probability, from 0 to 1. Both null for a document without text, or
without a single word."""

ODDS_STEPS, MAX_ODDS = 128, 16
"""Log-odds are in steps of 1/128; differences to the best label are limited to MAX_ODDS."""
SCORE_STEPS = 1000
"""Scores have three decimals."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights written by `scripts/training/train_domain.py`."""

    model: str = MODEL_PATH


class Model(NamedTuple):
    """Weights of all labels, adjacent in memory, so that all are read in one look-up.

    rows: uint16 (N_CELLS,), and packed: uint64 (n_rows + 1, 8), see `domain_features.pack`. step: log-odds per unit of
    weight. bias: float64 (n_labels,), log-odds.
    """

    rows: np.ndarray
    packed: np.ndarray
    step: float
    bias: np.ndarray


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is not a model with these labels and this number of features.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            cells, weights, bias = stored["cells"], stored["weights"], stored["bias"]
            step, labels = float(stored["step"]), tuple(stored["labels"].tolist())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"domain.model {path}: {error}; expected a file of scripts/training/train_domain.py"
        ) from error
    fits = labels == LABELS and weights.dtype == np.int8 and cells.dtype == np.uint32 and cells.ndim == 1
    fits = fits and len(cells) <= MAX_ROWS and bool((cells < N_CELLS).all())
    if not fits or weights.shape != (len(cells), len(LABELS)) or bias.shape != (len(LABELS),):
        raise ConfigError(
            f"domain.model {path} contains {weights.dtype} weights {weights.shape} of {len(labels)} labels; expected "
            f"int8 weights (up to {MAX_ROWS}, {len(LABELS)}) of the labels in classifiers.domain and a cell below "
            f"{N_CELLS} per row; train it again with this version"
        )
    return Model(*pack(cells, weights), step, bias)


def load(config: Config) -> Annotate:
    """Read the model; see `load_model`."""
    return partial(annotate, model=load_model(config.model))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Label the documents of one batch."""
    text, (urls, offsets) = view(batch["text"]), utf8_buffers(batch["url"])
    fold = load_tables().fold
    totals, counts, own = sum_weights(
        text.codes, text.classes, text.starts, urls, offsets, fold, model.rows, model.packed
    )
    best, scores = choose(measure_odds(totals, counts, model))
    labels = pa.DictionaryArray.from_arrays(pa.array(best, pa.int32(), mask=own == 0), pa.array(LABELS))
    return pa.table([labels.cast(pa.string()), pa.array(scores, mask=own == 0)], schema=SCHEMA)


def measure_odds(totals: np.ndarray, counts: np.ndarray, model: Model) -> np.ndarray:
    """Log-odds of each label, in steps of 1/ODDS_STEPS: int64 (n_docs, n_labels)."""
    sums = totals[:, : len(LABELS)] / np.sqrt(np.maximum(counts, 1))[:, None]
    return np.rint((sums * model.step + model.bias) * ODDS_STEPS).astype(np.int64)


def choose(odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most probable label of each document (the first of equals), and its probability to three decimals.

    Uses integer arithmetic only, so the result does not depend on the maths library.

    Args: odds, int64 (n_docs, n_labels), in steps of 1/ODDS_STEPS.
    Returns: int64 (n_docs,), label index; float32 (n_docs,), probability.
    """
    best = odds.argmax(axis=1) if len(odds) else np.zeros(0, np.int64)
    behind = np.minimum(odds.max(axis=1, initial=-(1 << 40), keepdims=True) - odds, len(_POWERS) - 1)
    sums = _POWERS[behind].sum(axis=1)
    scores = (2 * SCORE_STEPS * _POWERS[0] + sums) // (2 * np.maximum(sums, 1))
    return best, (scores / SCORE_STEPS).astype(np.float32)


def _make_powers() -> np.ndarray:
    """2**32 * exp(-i / ODDS_STEPS), truncated to int64; decimal arithmetic, the same on every machine."""
    with localcontext() as context:
        context.prec = 30
        return np.array(
            [int((-Decimal(i) / ODDS_STEPS).exp() * (1 << 32)) for i in range(MAX_ODDS * ODDS_STEPS + 1)],
            np.int64,
        )


_POWERS = _make_powers()

STAGE = Stage(
    name="domain",
    version=1,
    config=Config,
    reads=("text", "url"),
    writes=SCHEMA,
    load=load,
    files=("model",),
    data=(TABLES_PATH,),
    optional=pa.schema({"url": pa.string()}),
)
