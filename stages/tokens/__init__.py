"""Exact token counts: the number of tokens of each document under a named tokenizer.

Reads canonical text, or a view of it; writes one count. Special tokens that a training job puts between
documents are not counted, and a special token spelled out in a text is tokenised as ordinary characters.
Dividing a token budget among languages is left to the mix.

Byte-level BPE is counted by a kernel (`encoder`), whose counts are those of the tokenizers library; a tokenizer that
the kernel does not know is left to the library, at 1 to 4 MB/s per core.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from pipeline.errors import ConfigError
from pipeline.stage import Annotate, Stage
from stages.tokens.encoder import Encoder
from stages.tokens.sentence_pieces import ENDING, PieceEncoder, Pieces, SentencePieces

SCHEMA = pa.schema({"n_tokens": pa.int32()})
"""n_tokens: tokens of the text, without special tokens."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """tokenizer: path of a tokenizer.json, or of a SentencePiece model, whose name ends in .model; models/tokenizer.md
    describes the default."""

    tokenizer: str = str(Path(__file__).parents[1] / "models" / "tokenizer.json")


def load_tokenizer(path: str) -> Tokenizer | SentencePieces:
    """Read a tokenizer, with any truncation and padding that its file configures switched off.

    Raises: ConfigError if the file is not a tokenizer.json, or no SentencePiece model if its name ends in .model.
    """
    if path.endswith(ENDING):
        try:
            return SentencePieces(Path(path).read_bytes(), path)
        except OSError as error:
            raise ConfigError(f"tokens.tokenizer: {path}: {error}; name a SentencePiece model") from error
    return load_library(path)


def load_library(path: str) -> Tokenizer:
    """Read a tokenizer.json by the tokenizers library, as `load_tokenizer` does.

    Raises: ConfigError if the file is none.
    """
    try:
        tokenizer = Tokenizer.from_file(path)
    except BaseException as error:  # the library raises no narrower class, and panics that are no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise ConfigError(
            f"tokens.tokenizer: {path}: {error}; name a tokenizer.json of the tokenizers library"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_encoder(path: str) -> Encoder | PieceEncoder:
    """Read a tokenizer and what the kernel needs of it, once in a process.

    Raises: ConfigError if the file is not a tokenizer.json.
    """
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        digest = ""  # load_tokenizer says what is wrong
    return _load_encoder(path, digest)


@functools.lru_cache(maxsize=2)
def _load_encoder(path: str, digest: str) -> Encoder | PieceEncoder:
    """digest: of the file, so that another file under its name is read."""
    tokenizer = load_tokenizer(path)
    return PieceEncoder(tokenizer) if isinstance(tokenizer, SentencePieces) else Encoder(tokenizer)


def encode(text: str, tokenizer: Tokenizer | SentencePieces) -> list[int]:
    """Return the token ids of one text, without special tokens.

    A special token spelled out in the text (`<|endoftext|>`) is encoded as ordinary characters; otherwise a web
    page could end a document of the training data.

    The text is encoded whole, because splitting it may change its tokens. Encoding needs 80 to 130 bytes of
    memory per byte of text, so texts are encoded one at a time.
    """
    return _encoding(text, tokenizer).ids


def count(text: str, tokenizer: Tokenizer | SentencePieces) -> int:
    """Return the number of tokens that `encode` returns, without listing them."""
    return len(_encoding(text, tokenizer).ids)


def _encoding(text: str, tokenizer: Tokenizer | SentencePieces) -> Encoding | Pieces:
    tokenizer.encode_special_tokens = True  # set here because pickling a tokenizer loses it
    # A batch of one: encode() would also compute offsets, a fifth of the time.
    return tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]


def annotate(batch: pa.Table, encoder: Encoder | PieceEncoder) -> pa.Table:
    """Count the tokens of each text.

    Args: batch, with a string column `text`, (n_docs,).
    Returns: a table of SCHEMA, int32 (n_docs,), null for null texts.
    """
    missing = np.asarray(batch["text"].is_null())
    return pa.table([pa.array(encoder.count(batch["text"]), pa.int32(), mask=missing)], schema=SCHEMA)


def load(config: Config) -> Annotate:
    """Read the tokenizer once and bind it to `annotate`.

    Raises: ConfigError if the file is not a tokenizer.json.
    """
    return functools.partial(annotate, encoder=load_encoder(config.tokenizer))


STAGE = Stage(
    name="tokens",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    files=("tokenizer",),
)
