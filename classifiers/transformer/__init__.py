"""Scores by any number of transformer models: regressors and classifiers of texts, by folder or by name of a hub.

Reads canonical text; writes, for each named model, a number (a regressor, or the probability of one label), the
likeliest label with its probability, or a probability for each label. Models are those that transformers'
`AutoModelForSequenceClassification` loads, and encoders of sentence-transformers with a dense layer on top, as
`bicorpus train encoder` writes them. Weights are safetensors, and no code of a model is run. Which documents to keep is
up to rules and buckets.

A result depends on the document alone, up to the rounding of float32: batches and padding change its last bits, so
that numbers are rounded to three decimals, probabilities as log-odds. Another device or dtype changes more
(docs/models.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from classifiers.linear.odds import to_scores, to_steps
from classifiers.neural.device import device_name
from classifiers.transformer.settings import Head, longest, read_head
from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.stage import Annotate, Stage

SCHEMA = pa.schema({"n_windows": pa.int32()})
"""n_windows: windows of the text that were scored, the largest number of any model. Besides, for each name in `models`:
NAME, float32, a number, or the probability of the label that `labels` names; for a classifier without a label there,
NAME, string, the likeliest label, and NAME_score, its probability; for one of several labels at once, NAME_LABEL, the
probability of each. Null for a null text."""

POSITIVE = ("1", "LABEL_1", "positive", "pos", "hq", "high", "good", "keep", "toxic", "yes")
"""Labels of two, one of which is written if `labels` names none."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Models by name, which is also the name of the column.

    models: folders, or org/name@revision of a hub. labels: the label whose probability is written. length: tokens of
    a window; left out, what the model allows, at most 512. prefix: text that the model expects before each document.
    pooling: first (the first window alone), mean or max over windows. overlap: tokens that a window shares with the one
    before. max_windows: of a document; more are thinned out evenly. dtype: auto (bfloat16 on a GPU, float32 on CPU),
    float32 or bfloat16.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    length: Mapping[str, int] = field(default_factory=dict)
    prefix: Mapping[str, str] = field(default_factory=dict)
    pooling: Literal["first", "mean", "max"] = "first"
    overlap: int = 0
    max_windows: int = 8
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        for name in self.models:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in SCHEMA.names:
                raise ConfigError(
                    f"transformer.models: {name!r} is no name of a column; use letters, digits and _ , not n_windows"
                )
        for setting in ("labels", "length", "prefix"):
            for name in getattr(self, setting):
                if name not in self.models:
                    raise ConfigError(
                        f"transformer.{setting}: no model {name!r}{nearest(name, list(self.models))}"
                    )
        if self.max_windows < 1 or self.overlap < 0 or any(n < 8 for n in self.length.values()):
            raise ConfigError(
                "transformer: max_windows is at least 1, overlap at least 0, length at least 8 tokens"
            )


@dataclass(frozen=True)
class Output:
    """Columns of one model. label: number of the label whose probability is written, None for all or the likeliest."""

    name: str
    head: Head
    label: int | None

    @property
    def is_number(self) -> bool:
        """Whether the model writes one column of numbers."""
        return self.label is not None or len(self.head.labels) == 1

    def fields(self) -> list[pa.Field]:
        """The columns, in order."""
        if self.is_number:
            return [pa.field(self.name, pa.float32())]
        if self.head.activation == "softmax":
            return [pa.field(self.name, pa.string()), pa.field(f"{self.name}_score", pa.float32())]
        return [pa.field(f"{self.name}_{plain(label)}", pa.float32()) for label in self.head.labels]

    def arrays(self, rows: np.ndarray) -> Iterator[pa.Array]:
        """Values of the columns. rows: float64 (n, n_labels)."""
        if self.is_number:
            yield pa.array(self._rounded(rows[:, self.label or 0]), pa.float32())
        elif self.head.activation == "softmax":
            best = rows.argmax(axis=1)
            yield pa.array([self.head.labels[i] for i in best], pa.string())
            yield pa.array(self._rounded(rows[np.arange(len(rows)), best]), pa.float32())
        else:
            yield from (pa.array(self._rounded(column), pa.float32()) for column in rows.T)

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        if self.head.activation == "none":
            return np.round(values, 3) + 0.0  # no negative zero
        with np.errstate(divide="ignore"):
            return to_scores(to_steps(np.log(values) - np.log1p(-np.minimum(values, 1))))


def plain(label: str) -> str:
    """A label as part of a column's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", label)


def outputs(config: Config) -> list[Output]:
    """What each model writes, from its settings.

    Raises: ConfigError if a model is not on this machine, is no scorer of texts, or lacks the label that is named.
    """
    found = []
    for name, reference in config.models.items():
        head = read_head(reference, f"transformer.models.{name}")
        wanted = config.labels.get(name)
        if wanted is None and len(head.labels) == 2 and head.activation == "softmax":
            wanted = next((label for label in POSITIVE if label in head.labels), None)
        if wanted is not None and wanted not in head.labels:
            raise ConfigError(
                f"transformer.labels.{name} is {wanted!r}{nearest(wanted, head.labels)}; {reference} has "
                f"{', '.join(head.labels[:10])}"
            )
        found.append(Output(name, head, None if wanted is None else head.labels.index(wanted)))
    return found


def columns(config: Config) -> tuple[tuple[str, ...], pa.Schema]:
    """Columns read and written: text, and those of each model."""
    return ("text",), pa.schema([*SCHEMA, *(f for output in outputs(config) for f in output.fields())])


class Scores:
    """Loaded models. It is pickled as its config, since models are large. device: name of the hardware."""

    def __init__(self, config: Config) -> None:
        from classifiers.transformer.model import Reading, Scorer

        self.config, self.schema, self.outputs = config, columns(config)[1], outputs(config)
        self.scorers = []
        for output in self.outputs:
            reference = config.models[output.name]
            reading = Reading(
                config.length.get(output.name) or longest(reference), config.overlap, config.max_windows,
                config.pooling, config.prefix.get(output.name, ""),
            )  # fmt: skip
            self.scorers.append(Scorer(reference, output.head, reading, config.dtype))
        self.device = device_name(self.scorers[0].device) if self.scorers else "CPU"

    def __reduce__(self) -> tuple[type[Scores], tuple[Config]]:
        return Scores, (self.config,)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score the documents of one batch."""
        text = batch["text"].combine_chunks()
        valid = np.flatnonzero(np.asarray(text.is_valid()))
        texts = text.take(pa.array(valid)).to_pylist()
        windows = np.zeros(len(texts), np.int64)
        arrays: list[pa.Array] = []
        for output, scorer in zip(self.outputs, self.scorers, strict=True):
            rows, counts = scorer.score(texts)
            windows = np.maximum(windows, counts)
            arrays += output.arrays(rows)
        table = pa.table([pa.array(windows, pa.int32()), *arrays], schema=self.schema)
        if len(texts) == len(text):
            return table
        index = np.zeros(len(text), np.int64)
        index[valid] = np.arange(len(valid))
        missing = np.ones(len(text), bool)
        missing[valid] = False
        return table.take(pa.array(index, mask=missing))


def load(config: Config) -> Annotate:
    """Read the models; see `outputs`."""
    return Scores(config)


STAGE = Stage(
    name="transformer",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    models=("models",),
    kind="torch",
    requires=("torch", "transformers"),
    columns=columns,
)
