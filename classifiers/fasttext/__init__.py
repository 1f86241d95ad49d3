"""Scores by any number of fastText models, named by path: published ones as they are, or your own.

Reads canonical text; writes one probability per named model: that of its positive label, as the library returns it.
Models that prepare, split and hash text in the same way share one pass, so that five cost little more than one
(`stages.kernels.fasttext.folded`). Which documents to keep is up to rules and buckets.

A model expects text in the form it was trained on; `text` names that form (`forms`). Sources of the forms of published
models are in docs/train.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from classifiers.fasttext.forms import FORMS, Form, make_form
from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.stage import Annotate, Stage
from stages.kernels.fasttext import folded, model
from stages.kernels.fasttext.predict import FastText, predict_utf8
from stages.kernels.text.text import utf8_buffers

SCHEMA = pa.schema({"n_words": pa.int32()})
"""n_words: words of the text as fastText splits it, at ASCII blanks; few for a Chinese text without spaces. Besides, a
column for each name in `models`: probability of its label as the library returns it, at most 1; null for a text
without any feature of the model."""

POSITIVE = ("hq", "pos", "positive", "1", "high", "good", "keep")
"""Labels taken as the positive one if `labels` names none; the first four are those of published models."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Files by name of the model, which is also the name of its column.

    models: fastText models (.bin or .ftz). labels: the label whose probability is written; left out, the positive one
    of hq, pos, positive, 1, high, good, keep. text: form of the text, one of plain, dclm, characters, jieba,
    ultra_fineweb; left out, plain. tokenizers: tokenizer.json of ultra_fineweb. stopwords: words that jieba text loses,
    one on a line. removed: strings that jieba text loses, one on a line.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    tokenizers: Mapping[str, str] = field(default_factory=dict)
    stopwords: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.models:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in SCHEMA.names:
                raise ConfigError(
                    f"fasttext.models: {name!r} is no name of a column; use letters, digits and _ , not n_words"
                )
        for setting in ("labels", "text", "tokenizers", "stopwords", "removed"):
            for name in getattr(self, setting):
                if name not in self.models:
                    raise ConfigError(
                        f"fasttext.{setting}: no model {name!r}{nearest(name, list(self.models))}"
                    )
        for name, form in self.text.items():
            if form not in FORMS:
                raise ConfigError(
                    f"fasttext.text.{name} is {form!r}{nearest(form, FORMS)}; expected one of {', '.join(FORMS)}"
                )


def columns(config: Config) -> tuple[tuple[str, ...], pa.Schema]:
    """Columns read and written: text, and a score for each model."""
    scores = [pa.field(name, pa.float32()) for name in config.models]
    return ("text",), pa.schema([*SCHEMA, *scores])


class Scores:
    """Loaded models. It is pickled as its config, since models are large and memory-mapped."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.schema = columns(config)[1]
        self.passes = [_Pass(form, names, config) for form, names in _by_form(config).items()]

    def __reduce__(self) -> tuple[type[Scores], tuple[Config]]:
        return Scores, (self.config,)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score the documents of one batch."""
        text = batch["text"]
        null = np.asarray(text.is_null())
        found: dict[str, np.ndarray] = {}
        for one in self.passes:
            found |= one.score(text)
        scores = [
            pa.array(found[name], pa.float32(), mask=null | np.isnan(found[name]))
            for name in self.config.models
        ]
        data, offsets = utf8_buffers(text)
        words = folded.count_words(data, offsets[:-1], offsets[1:])
        return pa.table([pa.array(words, pa.int32(), mask=null), *scores], schema=self.schema)


class _Pass:
    """Models that read text in one form: those that can be folded, by name, and those that cannot."""

    def __init__(self, form: Form, names: tuple[str, ...], config: Config) -> None:
        self.prepare = make_form(form)
        scorers: dict[str, folded.Scorer] = {}
        self.whole: dict[str, tuple[FastText, int]] = {}
        for name in names:
            loaded, label = load_model(name, config)
            if folded.can_fold(loaded):
                scorers[name] = folded.Scorer(loaded, label)
            else:
                self.whole[name] = model.load(config.models[name]), loaded.labels.index(label)
        self.names = tuple(scorers)
        self.groups = folded.unite(list(scorers.values()))

    def score(self, text: pa.ChunkedArray) -> dict[str, np.ndarray]:
        """Scores by name: float32 (n_docs,), NaN without a feature."""
        data, offsets = utf8_buffers(self.prepare(text))
        starts, ends = offsets[:-1], offsets[1:]
        scores = folded.score(self.groups, data, starts, ends)
        found = {name: scores[:, i] for i, name in enumerate(self.names)}
        for name, (whole, label) in self.whole.items():
            labels, probabilities = predict_utf8(whole, data, starts, ends, len(whole.labels))
            own = np.where(labels == label, probabilities, 0).sum(axis=1)
            found[name] = np.where(labels[:, 0] < 0, np.nan, np.minimum(own, 1)).astype(np.float32)
        return found


def load_model(name: str, config: Config) -> tuple[FastText, str]:
    """Read a model and choose its label.

    Raises: ConfigError if the file is no fastText model, or has no such label, or none that is known as positive.
    """
    path = config.models[name]
    loaded = model.load(path, mapped=True)
    label = config.labels.get(name)
    label = label.removeprefix("__label__") if label is not None else None
    if label is None:
        label = next((known for known in POSITIVE if known in loaded.labels), None)
        if label is None:
            raise ConfigError(
                f"fasttext.models.{name} {path}: labels {', '.join(loaded.labels[:10])}; name the one whose "
                f"probability is wanted in fasttext.labels.{name}"
            )
    if label not in loaded.labels:
        raise ConfigError(
            f"fasttext.labels.{name} is {label!r}{nearest(label, loaded.labels)}; {path} has "
            f"{', '.join(loaded.labels[:10])}"
        )
    return loaded, label


def _by_form(config: Config) -> dict[Form, tuple[str, ...]]:
    """Names of the models that read text in each form."""
    by_form: dict[Form, tuple[str, ...]] = {}
    for name in config.models:
        form = Form(
            config.text.get(name, "plain"),
            config.tokenizers.get(name),
            config.stopwords.get(name),
            config.removed.get(name),
        )
        by_form[form] = (*by_form.get(form, ()), name)
    return by_form


def load(config: Config) -> Annotate:
    """Read the models; see `load_model`."""
    return Scores(config)


STAGE = Stage(
    name="fasttext",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    files=("models", "tokenizers", "stopwords", "removed"),
    columns=columns,
    exact=True,
)
