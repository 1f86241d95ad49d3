"""Loss of causal language models: mean cross-entropy of the first tokens of a document, per token and per byte.

Reads canonical text; writes, for each named model, the mean over tokens of -ln p(token | tokens before it), as
transformers computes it when the labels are the inputs, the same total divided by the UTF-8 bytes of these tokens, and
their number; besides, the mean loss over the models, so that rules and buckets need not name one. Loss per byte
compares models and languages with different tokenizers, loss per token does not. CCI4.0
(arXiv 2506.07463) scores the first 4,096 tokens in this way. What is dropped is up to rules; cuts on the loss are per
language and domain, as for `classifiers.fluency`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from classifiers.neural.device import check_installed, device_name
from pipeline.errors import ConfigError
from pipeline.model_files import model_settings
from pipeline.stage import Annotate, Stage

SCHEMA = pa.schema({"n_scored": pa.int32(), "loss": pa.float32()})
"""n_scored: models that scored the document. loss: mean of their losses per token, to three decimals; null without any,
so also where no model is named. Besides, for each name in `models`: NAME, float32, nats per token, to 3
decimals; NAME_byte, float32, nats per byte, to four; NAME_tokens, int32, tokens that were scored: all but the first,
unless the tokenizer puts one in front. Null for a text of fewer than two tokens."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Models by name, which is also the name of the columns.

    models: folders, or org/name@revision of a hub. max_tokens: of the beginning of a document, no more than the model
    has positions. dtype: auto (bfloat16 on a GPU, float32 on CPU), float32 or bfloat16.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    max_tokens: int = 4096
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        for name in self.models:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in SCHEMA.names:
                raise ConfigError(
                    f"causal_loss.models: {name!r} is no name of a column; use letters, digits and _ , not "
                    "n_scored or loss"
                )
        if self.max_tokens < 2:
            raise ConfigError(f"causal_loss.max_tokens is {self.max_tokens}; expected 2 or more")


def columns(config: Config) -> tuple[tuple[str, ...], pa.Schema]:
    """Columns read and written: text, and three of each model.

    Raises: ConfigError if a model is not on this machine, or is no causal language model, or if the packages that
    run it are not installed.
    """
    fields = list(SCHEMA)
    if config.models:
        check_installed("classifiers.causal_loss")
    for name, reference in config.models.items():
        kinds = model_settings(reference).get("architectures") or [""]
        if not str(kinds[0]).endswith(("ForCausalLM", "LMHeadModel")):
            raise ConfigError(
                f"causal_loss.models.{name}: {reference} is a {kinds[0] or 'model'}; expected a ...ForCausalLM"
            )
        fields += [
            pa.field(name, pa.float32()), pa.field(f"{name}_byte", pa.float32()), pa.field(f"{name}_tokens", pa.int32())
        ]  # fmt: skip
    return ("text",), pa.schema(fields)


class Losses:
    """Loaded models. It is pickled as its config, since models are large. device: name of the hardware."""

    def __init__(self, config: Config) -> None:
        from classifiers.causal_loss.model import CausalModel

        self.config, self.schema = config, columns(config)[1]
        self.models = [
            CausalModel(reference, config.max_tokens, config.dtype) for reference in config.models.values()
        ]
        self.device = device_name(self.models[0].device) if self.models else "CPU"

    def __reduce__(self) -> tuple[type[Losses], tuple[Config]]:
        return Losses, (self.config,)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score the documents of one batch."""
        texts = batch["text"].to_pylist()
        null = np.array([text is None for text in texts], bool)
        n_scored = np.zeros(len(texts), np.int32)
        loss = np.zeros(len(texts))
        arrays: list[pa.Array] = []
        for model in self.models:
            totals, n_tokens, n_bytes = model.score([text or "" for text in texts])
            no_loss = n_tokens < 1
            n_scored += ~no_loss
            per_token = np.round(totals / np.maximum(n_tokens, 1), 3)
            loss += np.where(no_loss, 0, per_token)
            per_byte = np.round(totals / np.maximum(n_bytes, 1), 4)
            arrays += [
                pa.array(per_token, pa.float32(), mask=no_loss), pa.array(per_byte, pa.float32(), mask=no_loss),
                pa.array(n_tokens, pa.int32(), mask=no_loss),
            ]  # fmt: skip
        mean = np.round(loss / np.maximum(n_scored, 1), 3)
        found = [pa.array(n_scored, pa.int32(), mask=null), pa.array(mean, pa.float32(), mask=n_scored < 1)]
        return pa.table([*found, *arrays], schema=self.schema)


def load(config: Config) -> Annotate:
    """Read the models; see `columns`."""
    return Losses(config)


STAGE = Stage(
    name="causal_loss",
    version=2,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    models=("models",),
    kind="torch",
    columns=columns,
)
