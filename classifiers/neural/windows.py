"""Texts as token sequences of a model: the first one, or windows over the whole text, and its own special tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from classifiers.neural.device import Torch, transformers_module
from pipeline.errors import ConfigError

CHARS_PER_TOKEN = 16
"""Characters of a text that are tokenised for each token that is wanted; texts with fewer are tokenised whole."""

CHUNK_CHARS = 4_000_000
"""Characters of the texts that are sorted by length together."""


@dataclass(frozen=True)
class Windows:
    """Token sequences of a chunk of texts. sequences: int32 arrays; texts: int64 (n_sequences,), the number of the text
    of each, in order."""

    sequences: list[np.ndarray]
    texts: np.ndarray


def load_tokenizer(folder: Path, where: str) -> Torch:
    """Return the tokenizer of a model; it runs no code of the model's folder.

    Raises: ConfigError if it cannot be read, or exists as slow Python code alone.
    """
    library = transformers_module(where)
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"{where}: {folder}: no tokenizer ({str(error).splitlines()[0]})") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"{where}: {folder} has no tokenizer.json; write one with save_pretrained")
    return tokenizer


def make_windows(
    texts: Sequence[str], tokenizer: Torch, length: int, overlap: int | None, max_windows: int
) -> Windows:
    """Tokenise texts.

    Args: length, of the longest sequence, special tokens included; overlap, tokens that a window shares with the one
    before, None for the first window alone; max_windows, of a text: more are thinned out at even spacing, with the
    first and the last.
    """
    if overlap is None:
        return Windows(_first(texts, tokenizer, length), np.arange(len(texts)))
    encoded = _encode(texts, tokenizer, length, overlap)
    owners = np.array(encoded["overflow_to_sample_mapping"], np.int64)
    bounds = np.searchsorted(owners, np.arange(len(texts) + 1))
    chosen: list[int] = []
    for first, end in pairwise(bounds):
        n = min(end - first, max_windows)
        chosen += np.unique(np.linspace(first, end - 1, n).round().astype(int)).tolist()
    ids = encoded["input_ids"]
    return Windows([np.array(ids[i], np.int32) for i in chosen], owners[chosen])


def _first(texts: Sequence[str], tokenizer: Torch, length: int) -> list[np.ndarray]:
    """The first `length` tokens of each text; of a long text only the beginning is tokenised."""
    limit = CHARS_PER_TOKEN * length
    ids = _encode([text[:limit] for text in texts], tokenizer, length)["input_ids"]
    short = [i for i, text in enumerate(texts) if len(text) > limit and len(ids[i]) < length]
    if short:
        for i, whole in zip(
            short, _encode([texts[i] for i in short], tokenizer, length)["input_ids"], strict=True
        ):
            ids[i] = whole
    return [np.array(sequence, np.int32) for sequence in ids]


def _encode(texts: Sequence[str], tokenizer: Torch, length: int, overlap: int | None = None) -> Torch:
    return tokenizer(
        list(texts), truncation=True, max_length=length, stride=overlap or 0,
        return_overflowing_tokens=overlap is not None, return_attention_mask=False, return_token_type_ids=False,
    )  # fmt: skip


def chunks(texts: Sequence[str], n_chars: int = CHUNK_CHARS) -> Iterator[slice]:
    """Yield slices of consecutive texts of about n_chars characters."""
    start = size = 0
    for i, text in enumerate(texts):
        size += len(text)
        if size >= n_chars:
            yield slice(start, i + 1)
            start, size = i + 1, 0
    if start < len(texts):
        yield slice(start, len(texts))
