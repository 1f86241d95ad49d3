"""Exact token counts: how many tokens a document is under a named tokenizer.

Reads canonical text, or a view of it; writes one count. Special tokens that a training job puts between
documents are not counted, and a text that spells one is counted as the ordinary text it is. Sharing tokens
out among languages is up to the mix.

A byte-level BPE of the tokenizers library runs at 2 to 4 MB/s per core, far below the other stages, so this
one belongs after the rules and keepers.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from pipeline.errors import ConfigError
from pipeline.stage import Annotate, Stage

SCHEMA = pa.schema({"n_tokens": pa.int32()})
"""n_tokens: tokens of the text, without special tokens."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """tokenizer: path of a tokenizer.json; models/tokenizer.md is about the default."""

    tokenizer: str = str(Path(__file__).parent / "models" / "tokenizer.json")


def load_tokenizer(path: str) -> Tokenizer:
    """Read a tokenizer and switch off the truncation and padding that one made for inference may bring along.

    Raises: ConfigError if the file is not a tokenizer.json.
    """
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the library raises no narrower class
        raise ConfigError(
            f"tokens.tokenizer: {path}: {error}; name a tokenizer.json of the tokenizers library"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(text: str, tokenizer: Tokenizer) -> list[int]:
    """Return the token ids of one text, without special tokens.

    A text that spells a special token (`<|endoftext|>`) gets the tokens of those characters, or else a
    page could end a document of the training data.

    The text is encoded whole, because cutting it may change its tokens. While that lasts it takes 80 to 130
    bytes per byte of text, so texts are encoded one at a time.
    """
    return _encoding(text, tokenizer).ids


def count(text: str, tokenizer: Tokenizer) -> int:
    """Count the tokens that `encode` gives, without listing them."""
    return len(_encoding(text, tokenizer))


def _encoding(text: str, tokenizer: Tokenizer) -> Encoding:
    tokenizer.encode_special_tokens = True  # set here because pickling a tokenizer loses it
    # A batch of one: encode() would also work out offsets, a fifth of the time.
    return tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]


def annotate(batch: pa.Table, tokenizer: Tokenizer) -> pa.Table:
    """Count the tokens of each text; null texts get nulls."""
    texts = (value.as_py() for value in batch["text"])  # one at a time: a batch may hold hundreds of MB
    counts = [None if text is None else count(text, tokenizer) for text in texts]
    return pa.table([pa.array(counts, pa.int32())], schema=SCHEMA)


def load(config: Config) -> Annotate:
    """Read the tokenizer once and bind it."""
    return functools.partial(annotate, tokenizer=load_tokenizer(config.tokenizer))


STAGE = Stage(
    name="tokens",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    files=("tokenizer",),
)
