"""Quality of whole documents by linear models over hashed n-grams, all scorers in one pass over the text.

Reads text and its language label only, so that a call on text alone gives the same scores as a run. Writes one score in
[0, 1] per scorer:

- `value`: the value for pretraining that a reader would give, from 0 (spam, menus, gibberish) to 1 (textbook,
  encyclopaedia, literature), calibrated to labels from 0 to 5 divided by 5;
- `keep`, `spam`, `furniture`, `spun`: probabilities that a reader would keep the document in a general corpus, and that
  it is spam (gambling, adult, link farm, mail or SMS spam, fraud, advertisement), furniture of a site (menus, errors,
  boilerplate), or spun or badly machine-translated;
- `intact`: intact text (1) as opposed to mojibake, word salad, Markov text, keyword stuffing, repetition (0).

There is one model for texts in ideographs and kana (n-grams of up to three units of match text) and one for all others
(up to two units). The script of the language label selects the model; for labels without a script, the majority of the
units does. Only Chinese and English were trained and evaluated; other languages use the model of their script. Choosing
documents is up to buckets (`stages.cuts`) and rules.

The form is that of fastText (Joulin et al. 2016, arXiv 1607.01759), reduced to one weight per feature and scorer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.linear.families import find_families
from classifiers.linear.odds import to_scores, to_steps
from classifiers.quality.features import N_CELLS, N_FAMILIES, N_ROWS, sum_weights
from classifiers.quality.ngrams import find_ngrams
from pipeline.array_files import read_arrays
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.text import TABLES_PATH, view

VALUE_PATH = package_file(__file__, "..", "models", "quality_value.npz")
INTACT_PATH = package_file(__file__, "..", "models", "quality_intact.npz")
LABELLED = ("value", "keep", "spam", "furniture", "spun")
"""Scorers trained on labels of web text; all are in one file."""
SCORERS = ("intact", *LABELLED)
"""Columns of a Model."""
SCHEMA = pa.schema({name: pa.float32() for name in (*LABELLED, "intact")})
"""value: expected label of a reader, 0 to 5, divided by 5. keep: probability that a reader would keep the document.
spam: that it is gambling, adult, link-farm, mail or SMS spam, fraud or an advertisement. furniture: that it is menus,
an error page or boilerplate. spun: that it is spun or badly machine-translated. intact: 1 for whole text, 0 for
mojibake, word salad, Markov text, keyword stuffing or repetition. Null for a document without text, or without a
single unit, mark or symbol."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: weights of value, keep, spam, furniture and spun, written by `scripts/training/train_quality.py`.

    intact_model: weights of intact, written by `scripts/training/train_intact.py`.
    """

    model: str = VALUE_PATH
    intact_model: str = INTACT_PATH


class Model(NamedTuple):
    """Weights of all scorers, adjacent in memory, so that all are read in one look-up.

    weights: int16 (2 families, N_ROWS, n_scorers), columns as SCORERS. steps: float64 (2, n_scorers), log-odds per unit
    of a weighted sum. bias: float64 (2, n_scorers), log-odds.
    """

    weights: np.ndarray
    steps: np.ndarray
    bias: np.ndarray


def load_model(value_path: str, intact_path: str) -> Model:
    """Read the models of both files into one table.

    Raises: ConfigError if a file is not a model with these scorers and this number of features.
    """
    value, steps, value_bias = _read(value_path, LABELLED, N_CELLS, "train_quality")
    intact, intact_steps, intact_bias = _read(intact_path, ("intact",), N_ROWS, "train_intact")
    weights = np.zeros((N_FAMILIES, N_ROWS, len(SCORERS)), np.int16)
    weights[:, :, :1] = intact
    weights[:, :N_CELLS, 1:] = value
    return Model(weights, np.hstack([intact_steps, steps]), np.hstack([intact_bias, value_bias]))


def _read(
    path: str, scorers: tuple[str, ...], n_rows: int, script: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, steps and bias of a file."""
    stored = read_arrays(
        path,
        "quality model",
        f"a file of scripts/training/{script}.py",
        ("weights", "steps", "bias", "scorers"),
    )
    weights, steps, bias = stored["weights"], stored["steps"], stored["bias"]
    names = tuple(stored["scorers"].tolist()) if stored["scorers"].ndim else ()
    shape = (N_FAMILIES, n_rows, len(scorers))
    sizes = weights.shape == shape and steps.shape == bias.shape == (N_FAMILIES, len(scorers))
    sizes = sizes and steps.dtype == bias.dtype == np.float64
    if names != scorers or not sizes or weights.dtype != np.int16:
        raise ConfigError(
            f"quality model {path} contains {weights.dtype} weights {weights.shape} of {names}; "
            f"expected int16 {shape} of {scorers}; train it again with this version"
        )
    return weights, steps, bias


def load(config: Config) -> Annotate:
    """Read the models; see `load_model`."""
    return partial(annotate, model=load_model(config.model, config.intact_model))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Score the documents of one batch."""
    text = view(batch["text"])
    families = find_families(text, batch["language.label"])
    found = find_ngrams(text, families)
    sums = sum_weights(
        found.begins, found.distinct, found.times, found.firsts, found.shapes, families, model.weights
    )
    scores = to_scores(to_steps(sums * model.steps[families] + model.bias[families]))
    columns, empty = dict(zip(SCORERS, scores.T, strict=True)), found.begins[1:] == found.begins[:-1]
    return pa.table([pa.array(columns[name], mask=empty) for name in SCHEMA.names], schema=SCHEMA)


STAGE = Stage(
    name="quality",
    version=5,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("model", "intact_model"),
    optional=pa.schema({"language.label": pa.string()}),
    data=(TABLES_PATH,),
)
