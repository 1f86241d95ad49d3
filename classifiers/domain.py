"""Domain (topic) of whole documents by a linear model over hashed n-grams, all labels in one pass over the text.

Reads canonical text and the words of its URL; writes the likeliest of 26 domains and its probability. The domains are
those of nvidia/multilingual-domain-classifier, after which the published filters and mixes are cut. Choosing
documents, and by what domain, is up to cuts and rules.

Trained on Chinese and English. A document is the sum of its n-grams over the square root of their number;
without words that the model knows all domains are about as likely, so the score is low.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.domain_features import MAX_ROWS, N_CELLS, pack, sum_weights
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text import TABLES_PATH, load_tables, utf8_buffers, view

MODEL_PATH = package_file(__file__, "models", "domain_ngrams.npz")
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
"""Log-odds are counted in steps of 1/128 and cut at this distance from the best."""
SCORE_STEPS = 1000
"""Scores have three decimals."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights as `scripts/train_domain.py` writes them."""

    model: str = MODEL_PATH


class Model(NamedTuple):
    """Weights of all labels, side by side, so that one look-up serves them all.

    rows: uint16 (N_CELLS,), and packed: uint64 (n_rows + 1, 8), see `domain_features.pack`. step: log-odds that a
    weight of 1 stands for. bias: float64 (n_labels,), log-odds.
    """

    rows: np.ndarray
    packed: np.ndarray
    step: float
    bias: np.ndarray


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is no model of these labels and this number of features.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            cells, weights, bias = stored["cells"], stored["weights"], stored["bias"]
            step, labels = float(stored["step"]), tuple(stored["labels"].tolist())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"domain.model {path}: {error}; expected a file of scripts/train_domain.py"
        ) from error
    fits = labels == LABELS and weights.dtype == np.int8 and cells.dtype == np.uint32 and cells.ndim == 1
    fits = fits and len(cells) <= MAX_ROWS and bool((cells < N_CELLS).all())
    if not fits or weights.shape != (len(cells), len(LABELS)) or bias.shape != (len(LABELS),):
        raise ConfigError(
            f"domain.model {path} holds {weights.dtype} weights {weights.shape} of {len(labels)} labels; expected int8 "
            f"weights (up to {MAX_ROWS}, {len(LABELS)}) of the labels in classifiers.domain and a cell below {N_CELLS} "
            "for each row; train it again with this version"
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
    """Log-odds of each label in whole steps; int64 (n_docs, n_labels)."""
    sums = totals[:, : len(LABELS)] / np.sqrt(np.maximum(counts, 1))[:, None]
    return np.rint((sums * model.step + model.bias) * ODDS_STEPS).astype(np.int64)


def choose(odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest label of each document, the first of equals, and its probability in whole thousandths.

    Integers throughout, so that no maths library decides. Args: odds, int64 (n_docs, n_labels), in 1/ODDS_STEPS.
    """
    best = odds.argmax(axis=1) if len(odds) else np.zeros(0, np.int64)
    behind = np.minimum(odds.max(axis=1, initial=-(1 << 40), keepdims=True) - odds, len(_POWERS) - 1)
    sums = _POWERS[behind].sum(axis=1)
    scores = (2 * SCORE_STEPS * _POWERS[0] + sums) // (2 * np.maximum(sums, 1))
    return best, (scores / SCORE_STEPS).astype(np.float32)


def _make_powers() -> np.ndarray:
    """2**32 times exp(-i / ODDS_STEPS), rounded; exact decimal arithmetic gives the same on every machine."""
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
)
