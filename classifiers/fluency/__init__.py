"""Fluency: perplexity of each document under an n-gram model of its language.

Reads canonical text and the language label; writes `perplexity`, exp of the mean negative log probability per token,
with the mean rounded to three decimals, and `n_tokens`, the number of tokens in the mean. Both are null for a language
without a model; perplexity is also null for a text without tokens. A long document is scored in evenly spaced windows.
Perplexities of two models are not comparable, because their tokens differ. Thresholds per language are up to the run
file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from classifiers.fluency import ngram
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.ngrams import ALONE, N_CHARS, N_TOKENS, N_UNKNOWN, TOTAL, score_documents
from stages.kernels.text.text import TABLES_PATH, load_tables, view

ZH_PATH = package_file(__file__, "..", "models", "fluency_zh.bin")
EN_PATH = package_file(__file__, "..", "models", "fluency_en.bin")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Models, and the amount of text that they score.

    models: packed n-gram models, or ARPA files (.arpa, .arpa.gz) trained on text from `ngram.spell`.
    labels: for each model, the languages that it scores.
    max_tokens: documents with more tokens are scored in windows.
    windows: number of windows of 125 tokens for such a document.
    """

    models: tuple[str, ...] = (ZH_PATH, EN_PATH)
    labels: tuple[tuple[str, ...], ...] = (("zho_Hans", "zho_Hant", "yue_Hant", "lzh_Hani"), ("eng_Latn",))
    max_tokens: int = 1000
    windows: int = 8

    def __post_init__(self) -> None:
        if len(self.models) != len(self.labels):
            raise ConfigError(
                f"fluency.labels has {len(self.labels)} lists for {len(self.models)} models; give one list per model"
            )
        named = [label for labels in self.labels for label in labels]
        if len(named) > len(set(named)):
            raise ConfigError("fluency.labels names a language twice; assign each language to one model")
        if self.max_tokens < 1 or self.windows < 1:
            raise ConfigError("fluency.max_tokens and fluency.windows must be 1 or more")


SCHEMA = pa.schema(
    {
        "perplexity": pa.float32(),
        "n_tokens": pa.int32(),
        "char_perplexity": pa.float32(),
        "context_gain": pa.float32(),
        "unknown_share": pa.float32(),
    }
)
"""perplexity: per token, of the model for the language; null for a language without a model. n_tokens: tokens that were
scored. char_perplexity: the same log probability, per character of these tokens. context_gain: by how many nats, on
average, the tokens before a token make it likelier than it is alone; 0 for unknown tokens. unknown_share:
share of the tokens that the model does not know."""


class Fluency:
    """`annotate` with its models."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.models = [ngram.load(path) for path in config.models]
        self.fold = load_tables().fold

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score each document of a batch whose language has a model."""
        text, labels = view(batch["text"]), batch["language.label"].to_numpy(zero_copy_only=False)
        sums = np.full((len(labels), 5), np.nan)
        max_tokens = min(
            self.config.max_tokens, int(np.diff(text.starts).max(initial=0))
        )  # bounds the buffer
        for model, named in zip(self.models, self.config.labels, strict=True):
            rows = np.flatnonzero(np.isin(labels.astype(str), named))
            score_documents(text, rows, self.fold, model, max_tokens, self.config.windows, sums)
        return to_columns(sums)


def to_columns(sums: np.ndarray) -> pa.Table:
    """The columns of SCHEMA from the sums of `score_documents`, float64 (n_docs, 5); nan for a document not scored."""
    n_tokens, n_chars = sums[:, N_TOKENS], sums[:, N_CHARS]
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = -sums[:, TOTAL] / n_tokens, -sums[:, TOTAL] / n_chars
        gain = (sums[:, TOTAL] - sums[:, ALONE]) / n_tokens
        unknown = sums[:, N_UNKNOWN] / n_tokens
    perplexity, char_perplexity = (
        pa.array([None if math.isnan(x) else math.exp(x) for x in np.round(loss, 3).tolist()], pa.float32())
        for loss in losses
    )
    counts = pa.array(np.nan_to_num(n_tokens).astype(np.int32), mask=np.isnan(n_tokens))
    shares = [pa.array(np.round(x, 3), pa.float32(), from_pandas=True) for x in (gain, unknown)]
    return pa.Table.from_arrays([perplexity, counts, char_perplexity, *shares], schema=SCHEMA)


def load(config: Config) -> Annotate:
    """Load the models.

    Raises: ConfigError if one cannot be read.
    """
    return Fluency(config)


STAGE = Stage(
    name="fluency",
    version=2,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("models",),
    data=(TABLES_PATH,),
)
