"""Quality of whole documents by linear models over hashed n-grams, all scorers in one pass over the text.

Reads canonical text and its language; writes one score in [0, 1] per scorer:

- `reference`: reference and teaching prose (1) as opposed to menus, lists, adverts, chat or damaged text;
- `intact`: intact text (1) as opposed to mojibake, word salad, Markov text, keyword stuffing, repetition.

There is one model for texts in ideographs and kana (n-grams of up to three units of match text) and one for all others
(up to two units). The script of the language label selects the model; for labels without a script, the majority of the
units does. Only Chinese and English were trained and evaluated extensively; other languages use the model of their
script. Choosing documents is up to buckets (`stages.cuts`) and rules.

The form is that of fastText (Joulin et al. 2016, arXiv 1607.01759), reduced to one weight per feature and scorer: the
mean weight of the n-grams of a document. Some shares of the whole text are added, such as that of repeated n-grams,
because a bag of n-grams does not capture repetition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.linear.families import find_families
from classifiers.linear.odds import WEIGHT_STEP, to_scores, to_steps
from classifiers.quality.features import N_FAMILIES, N_ROWS, sum_weights
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.text import TABLES_PATH, load_tables, view

MODEL_PATH = package_file(__file__, "..", "models", "quality_ngrams.npz")
SCORERS = ("reference", "intact")
SCHEMA = pa.schema({name: pa.float32() for name in SCORERS})
"""reference: 1 for text that reads like reference and teaching prose, 0 for menus, lists, adverts, chat or damage.
intact: 1 for whole text, 0 for mojibake, word salad, Markov text, keyword stuffing or repetition. Null for a
document without text, or without a single unit, mark or symbol."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights written by `scripts/training/train_quality.py`."""

    model: str = MODEL_PATH


class Model(NamedTuple):
    """Weights of all scorers, adjacent in memory, so that all are read in one look-up.

    weights: int16 (2 families, N_ROWS, n_scorers), in WEIGHT_STEP. bias: float64 (2, n_scorers), log-odds.
    """

    weights: np.ndarray
    bias: np.ndarray


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is not a model with these scorers and this number of features.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            model = Model(stored["weights"], stored["bias"])
            scorers = tuple(stored["scorers"].tolist())
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"quality.model {path}: {error}; expected a file of scripts/training/train_quality.py"
        ) from error
    expected = (N_FAMILIES, N_ROWS, len(SCORERS))
    if scorers != SCORERS or model.weights.shape != expected or model.weights.dtype != np.int16:
        raise ConfigError(
            f"quality.model {path} contains {model.weights.dtype} weights {model.weights.shape} of {scorers}; "
            f"expected int16 {expected} of {SCORERS}; train it again with this version"
        )
    return model


def load(config: Config) -> Annotate:
    """Read the model; see `load_model`."""
    return partial(annotate, model=load_model(config.model))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Score the documents of one batch."""
    text = view(batch["text"])
    families = find_families(text, batch["language.label"])
    fold = load_tables().fold
    means, counts = sum_weights(text.codes, text.classes, text.starts, fold, families, model.weights)
    scores = to_scores(to_steps(means * WEIGHT_STEP + model.bias[families]))
    return pa.table([pa.array(column, mask=counts == 0) for column in scores.T], schema=SCHEMA)


STAGE = Stage(
    name="quality",
    version=1,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("model",),
    data=(TABLES_PATH,),
)
