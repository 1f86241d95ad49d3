"""Domain (topic) of whole documents by a linear model over hashed n-grams, all labels in one pass over the text.

Reads canonical text and the words of its URL; writes the most probable of 26 domains and its probability. The domains
are those of nvidia/multilingual-domain-classifier, which published filters and mixes are based on. Choosing documents
by domain is up to buckets and rules.

Trained on Chinese and English: one weight table for texts in ideographs and kana, one for all others. The script of the
language label selects the table, without a label the majority of the units. Without words in the vocabulary of the
model, the score is low.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.domain.features import MAX_ROWS, pack, sum_weights
from classifiers.linear.families import find_families
from classifiers.quality.features import N_CELLS, N_FAMILIES
from classifiers.quality.ngrams import find_ngrams
from pipeline.array_files import read_arrays
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
SHORT = 200
"""Added to the squared length of the vector of levels, where an n-gram that occurs once has 4: a few n-grams are little
evidence, so the log-odds of short texts are smaller."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights written by `scripts/training/train_domain.py`."""

    model: str = MODEL_PATH


class Model(NamedTuple):
    """Weights of all labels, adjacent in memory, so that all are read in one look-up.

    rows: uint16 (2 families, N_CELLS), and packed: uint64 (2, n_rows + 1, 8), see `features.pack`. steps: float64 (2,),
    log-odds per unit of a weighted sum. bias: float64 (2, n_labels), log-odds.
    """

    rows: np.ndarray
    packed: np.ndarray
    steps: np.ndarray
    bias: np.ndarray


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is not a model with these labels and this number of features.
    """
    names = ("cells", "weights", "bias", "steps", "labels")
    stored = read_arrays(path, "domain.model", "a file of scripts/training/train_domain.py", names)
    cells, weights, bias, steps = (stored[name] for name in names[:4])
    labels = tuple(stored["labels"].tolist()) if stored["labels"].ndim else ()
    fits = labels == LABELS and weights.dtype == np.int8 and cells.dtype == np.uint32
    fits = fits and cells.ndim == 2 and len(cells) == N_FAMILIES and cells.shape[1] <= MAX_ROWS
    fits = fits and bool((cells < N_CELLS).all())
    fits = fits and weights.shape == (*cells.shape, len(LABELS)) and steps.shape == (N_FAMILIES,)
    fits = fits and steps.dtype == bias.dtype == np.float64
    if not fits or bias.shape != (N_FAMILIES, len(LABELS)):
        raise ConfigError(
            f"domain.model {path} contains {weights.dtype} weights {weights.shape} of {len(labels)} labels; expected "
            f"int8 weights ({N_FAMILIES}, up to {MAX_ROWS}, {len(LABELS)}) of the labels in classifiers.domain "
            f"and a cell below {N_CELLS} per row; train it again with this version"
        )
    return Model(*pack(cells, weights), steps, bias)


def load(config: Config) -> Annotate:
    """Read the model; see `load_model`."""
    return partial(annotate, model=load_model(config.model))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Label the documents of one batch."""
    odds, empty = find_odds(batch, model)
    best, scores = choose(odds)
    labels = pa.DictionaryArray.from_arrays(pa.array(best, pa.int32(), mask=empty), pa.array(LABELS))
    return pa.table([labels.cast(pa.string()), pa.array(scores, mask=empty)], schema=SCHEMA)


def find_odds(batch: pa.Table, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of each label of each document, see `measure_odds`, and whether it is without a word."""
    text, (urls, offsets) = view(batch["text"]), utf8_buffers(batch["url"])
    families = find_families(text, batch["language.label"])
    found, fold = find_ngrams(text, families), load_tables().fold
    ngrams = (found.distinct, found.times, found.firsts)
    totals, squares = sum_weights(
        text.classes, text.starts, ngrams, urls, offsets, fold, families, model.rows, model.packed
    )
    return measure_odds(totals, squares, families, model), squares == 0


def measure_odds(totals: np.ndarray, squares: np.ndarray, families: np.ndarray, model: Model) -> np.ndarray:
    """Log-odds of each label, in steps of 1/ODDS_STEPS: int64 (n_docs, n_labels)."""
    sums = totals[:, : len(LABELS)] / np.sqrt(squares + SHORT)[:, None]
    odds = sums * model.steps[families][:, None] + model.bias[families]
    return np.rint(odds * ODDS_STEPS).astype(np.int64)


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
    version=2,
    config=Config,
    reads=("text", "url", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("model",),
    data=(TABLES_PATH,),
    optional=pa.schema({"url": pa.string(), "language.label": pa.string()}),
)
