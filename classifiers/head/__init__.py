"""Scores by trees over columns of other stages, such as signals and perplexity; any number of models by path.

Reads the columns that the models name, and the language label; writes one score in [0, 1] per named model. A model is a
file of `bicorpus train head`: packed trees, and a calibration for each language, so that a score is the label to be
expected: a probability, or a share of the range of a graded label. Missing columns of a document are nulls, which the
trees have seen in training. Which documents to keep is up to rules and buckets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa

from classifiers.head.model import Head, load_head, matrix
from classifiers.linear.odds import to_scores, to_steps
from pipeline.errors import ConfigError
from pipeline.stage import Annotate, Stage

LABEL = "language.label"
SCHEMA = pa.schema({"n_missing": pa.int32()})
"""n_missing: columns that the models read and that are null for the document. Besides, a column for each name in
`models`: the label to be expected, in [0, 1]; null for a document without any column that the model reads."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """models: files of `bicorpus train head` by name, which is also the name of the column."""

    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.models:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in SCHEMA.names:
                raise ConfigError(
                    f"head.models: {name!r} is no name of a column; use letters, digits and _ , not n_missing"
                )


def columns(config: Config) -> tuple[tuple[str, ...], pa.Schema]:
    """Columns read and written: the language label, all that the models name, and a score for each model.

    Raises: ConfigError if a file is no model.
    """
    read = [name for path in config.models.values() for name in load_head(path).forest.columns]
    scores = [pa.field(name, pa.float32()) for name in config.models]
    return tuple(dict.fromkeys([LABEL, *read])), pa.schema([*SCHEMA, *scores])


def load(config: Config) -> Annotate:
    """Read the models; see `load_head`."""
    return partial(annotate, heads={name: load_head(path) for name, path in config.models.items()})


def annotate(batch: pa.Table, heads: Mapping[str, Head]) -> pa.Table:
    """Score the documents of one batch."""
    names = list(dict.fromkeys(name for head in heads.values() for name in head.forest.columns))
    rows = matrix(batch, names)
    missing = np.isnan(rows)
    arrays = [pa.array(missing.sum(axis=1), pa.int32())]
    for head in heads.values():
        own = [names.index(name) for name in head.forest.columns]
        scores = to_scores(to_steps(head.odds(rows[:, own], batch[LABEL])))
        arrays.append(pa.array(scores, pa.float32(), mask=missing[:, own].all(axis=1)))
    schema = pa.schema([*SCHEMA, *(pa.field(name, pa.float32()) for name in heads)])
    return pa.table(arrays, schema=schema)


STAGE = Stage(
    name="head",
    version=1,
    config=Config,
    reads=(LABEL,),
    writes=SCHEMA,
    load=load,
    files=("models",),
    columns=columns,
)
