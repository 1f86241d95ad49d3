"""Perplexity by KenLM models in KenLM's own format, such as CCNet's: binary (probing, trie) or ARPA files.

Reads canonical text and the language label; writes `perplexity`, 10 to the mean negative log10 probability of a token
and of the end of each line, rounded to one decimal as CCNet rounds it, and `n_tokens`, the number of these. Both are
null for a language without a model; perplexity is also null for a text without tokens. It needs the optional packages
of the extra `kenlm`; models that `classifiers.fluency` can read need none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from classifiers.kenlm.text import normalize
from pipeline.errors import ConfigError
from pipeline.stage import Annotate, Stage

TOKENS = ("words", "characters", "sentencepiece")
NORMALIZERS: dict[str, Callable[[str], str]] = {"ccnet": normalize, "none": str}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Models, and how text becomes their tokens.

    models: KenLM binary files, or ARPA files.
    labels: for each model, the languages that it scores.
    tokens: `sentencepiece`, `characters` (separated by blanks, without the blanks of the text) or `words` (separated by
        blanks already).
    sentencepiece: with these tokens, the SentencePiece model of each model.
    normalize: `ccnet`, which makes one line of a document, or `none`.
    """

    models: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()
    tokens: str = "sentencepiece"
    sentencepiece: tuple[str, ...] = ()
    normalize: str = "ccnet"

    def __post_init__(self) -> None:
        if len(self.models) != len(self.labels):
            raise ConfigError(
                f"kenlm.labels has {len(self.labels)} lists for {len(self.models)} models; give one list per model"
            )
        named = [label for labels in self.labels for label in labels]
        if len(named) > len(set(named)):
            raise ConfigError("kenlm.labels names a language twice; assign each language to one model")
        for name, value, known in (
            ("tokens", self.tokens, TOKENS),
            ("normalize", self.normalize, tuple(NORMALIZERS)),
        ):
            if value not in known:
                raise ConfigError(f"kenlm.{name} is {value!r}; expected one of {', '.join(known)}")
        pieces = len(self.models) if self.tokens == "sentencepiece" else 0
        if len(self.sentencepiece) != pieces:
            raise ConfigError(
                f"kenlm.sentencepiece has {len(self.sentencepiece)} files for {len(self.models)} models with tokens: "
                f"{self.tokens}; expected {pieces}"
            )


SCHEMA = pa.schema({"perplexity": pa.float32(), "n_tokens": pa.int32()})
"""perplexity: per token, of the KenLM model for the language; null for a language without one. n_tokens: tokens that
were scored, with one end per line."""


class Scorer:
    """One model with its tokens."""

    def __init__(
        self, path: str, tokens: Callable[[str], list[str]], normalizer: Callable[[str], str]
    ) -> None:
        if not Path(path).is_file():  # before KenLM looks for it, whose error has a C++ trace
            raise ConfigError(f"{path}: no such file; name a KenLM model")
        kenlm = importlib.import_module("kenlm")
        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self.model = kenlm.Model(path, config)
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"{path}: {_last_line(error)}; name a KenLM binary or ARPA file") from error
        self.tokens, self.normalizer = tokens, normalizer

    def score(self, text: str) -> tuple[float | None, int]:
        """Perplexity and number of tokens of a document; None and 0 for one without tokens."""
        total, n_tokens = 0.0, 0
        for line in self.normalizer(text).split("\n"):
            tokens = self.tokens(line)
            if tokens:
                total += self.model.score(" ".join(tokens))
                n_tokens += len(tokens) + 1
        return (round(10 ** (-total / n_tokens), 1) if n_tokens else None), n_tokens


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__


def read_tokens(config: Config) -> list[Callable[[str], list[str]]]:
    """For each model, what splits a line into its tokens.

    Raises: ConfigError if SentencePiece is not installed or a file is not one of its models.
    """
    if config.tokens != "sentencepiece":
        split: Callable[[str], list[str]] = str.split if config.tokens == "words" else _characters
        return [split] * len(config.models)
    if not config.models:
        return []
    try:
        package = importlib.import_module("sentencepiece")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "kenlm.tokens is sentencepiece, which is not installed; install bicorpus[kenlm]"
        ) from error
    splits = []
    for path in config.sentencepiece:
        processor = package.SentencePieceProcessor()
        try:
            processor.Load(path)
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"{path}: {_last_line(error)}; name a SentencePiece model") from error
        splits.append(_pieces(processor))
    return splits


def _pieces(processor: Any) -> Callable[[str], list[str]]:  # Any: the package publishes no types
    return lambda line: " ".join(processor.EncodeAsPieces(line)).split()


def _characters(line: str) -> list[str]:
    return [char for char in line if not char.isspace()]


class KenLM:
    """`annotate` with its models."""

    def __init__(self, config: Config) -> None:
        self.scorers: dict[str, Scorer] = {}
        tokens, normalizer = read_tokens(config), NORMALIZERS[config.normalize]
        for path, split, labels in zip(config.models, tokens, config.labels, strict=True):
            scorer = Scorer(path, split, normalizer)
            self.scorers |= dict.fromkeys(labels, scorer)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score each document of a batch whose language has a model."""
        perplexity: list[float | None] = []
        counts: list[int | None] = []
        for text, label in zip(batch["text"].to_pylist(), batch["language.label"].to_pylist(), strict=True):
            scorer = self.scorers.get(label)
            value, count = scorer.score(text or "") if scorer else (None, None)
            perplexity.append(value)
            counts.append(count)
        return pa.Table.from_arrays(
            [pa.array(perplexity, pa.float32()), pa.array(counts, pa.int32())], schema=SCHEMA
        )


def load(config: Config) -> Annotate:
    """Load the models.

    Raises: ConfigError if one cannot be read.
    """
    return KenLM(config)


STAGE = Stage(
    name="kenlm",
    version=1,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=load,
    files=("models", "sentencepiece"),
    requires=("kenlm",),
)
