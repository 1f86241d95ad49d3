"""How much each document resembles a set of examples, such as textbooks or one's own domain, by embedding alone.

Reads the vectors of `classifiers.embedding`, no text, so that a new set of examples is scored for a whole corpus in
seconds; writes a column for each named model, which `bicorpus train like` makes of the examples and a pool. A model is
Fisher's linear discriminant between both, with a covariance that is shrunk towards a multiple of the identity (Friedman
1989, Regularized Discriminant Analysis).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.embedding.features import N_DIMENSIONS
from pipeline.array_files import read_arrays
from pipeline.errors import ConfigError
from pipeline.stage import Annotate, Stage

SCHEMA = pa.schema({"best": pa.string(), "score": pa.float32()})
"""best: name of the model with the highest score; score: that score, null without models, so that buckets may name it
before there is one. Besides, a column for each name in `models`: log odds of the examples
against the pool, if both were equally many, to three decimals; above 0 where the document resembles the examples more.
All null for a document without a vector."""

MAX_WEIGHT = 32767


@dataclass(frozen=True, kw_only=True)
class Config:
    """models: files by name of the model, which is also the name of its column."""

    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.models:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in SCHEMA.names:
                raise ConfigError(
                    f"like.models: {name!r} is no name of a column; use letters, digits and _ , not best or score"
                )


class Model(NamedTuple):
    """A linear function of unit vectors. weights: int16 (N_DIMENSIONS,), times scale; offset is added."""

    weights: np.ndarray
    scale: float
    offset: float


def pack(weights: np.ndarray, offset: float) -> Model:
    """Round weights, float64 (N_DIMENSIONS,), to integers."""
    scale = float(np.abs(weights).max()) / MAX_WEIGHT or 1.0
    return Model(np.rint(weights / scale).astype(np.int16), scale, float(offset))


def load_model(path: str) -> Model:
    """Read a model.

    Raises: ConfigError if the file is something else.
    """
    stored = read_arrays(path, "like.models", "a file of bicorpus train like", ("weights", "scale", "offset"))
    numbers = stored["scale"], stored["offset"]
    if any(number.size != 1 or number.dtype.kind not in "fiu" for number in numbers):
        raise ConfigError(f"like.models {path}: scale and offset are no numbers; train it again")
    model = Model(stored["weights"], *(float(number.item()) for number in numbers))
    if model.weights.dtype != np.int16 or model.weights.shape != (N_DIMENSIONS,):
        raise ConfigError(
            f"like.models {path} contains {model.weights.dtype} {model.weights.shape}; expected int16 ({N_DIMENSIONS},)"
        )
    return model


def score(vectors: np.ndarray, model: Model) -> np.ndarray:
    """Log odds of vectors, int8 (n, N_DIMENSIONS), none of them zero: float64 (n,).

    Sums are of whole numbers below 2^53, so that they are the same on any machine.
    """
    lengths = np.sqrt((vectors.astype(np.int64) ** 2).sum(axis=1).astype(np.float64))
    sums = vectors.astype(np.float64) @ model.weights.astype(np.float64)
    return sums / lengths * model.scale + model.offset


def columns(config: Config) -> tuple[tuple[str, ...], pa.Schema]:
    """Columns read and written: the vector, and a score for each model."""
    return ("embedding.vector",), pa.schema(
        [*SCHEMA, *(pa.field(name, pa.float32()) for name in config.models)]
    )


def load(config: Config) -> Annotate:
    """Read the models; see `load_model`."""
    models = tuple(load_model(path) for path in config.models.values())
    return partial(annotate, models=models, names=tuple(config.models))


def annotate(batch: pa.Table, models: tuple[Model, ...], names: tuple[str, ...]) -> pa.Table:
    """Score the documents of one batch by models with these names."""
    column = batch["embedding.vector"].combine_chunks()
    known = column.is_valid().to_numpy(zero_copy_only=False)
    vectors = column.drop_null().flatten().to_numpy().reshape(-1, N_DIMENSIONS)
    scores = np.zeros((len(known), len(models)), np.float32)
    for i, model in enumerate(models):
        scores[known, i] = score(vectors, model).round(3)
    best = pa.array(scores.argmax(axis=1), mask=~known) if models else pa.nulls(len(known), pa.int64())
    highest = pa.array(scores.max(axis=1), mask=~known) if models else pa.nulls(len(known), pa.float32())
    arrays = [
        pa.array(names, pa.string()).take(best),
        highest,
        *(pa.array(column, mask=~known) for column in scores.T),
    ]
    return pa.table(arrays, names=[*SCHEMA.names, *names])


STAGE = Stage(
    name="like",
    version=2,
    config=Config,
    reads=("embedding.vector",),
    writes=SCHEMA,
    load=load,
    files=("models",),
    columns=columns,
)
