"""Token files for training: the documents of a release file in order, tokenised and written by datatrove's writers.

Reads released texts; writes Megatron's .bin/.idx or datatrove's .ds with its index. Each document is followed by one
end token. Order and files are those of the mix.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.errors import ConfigError
from stages.tokens import load_tokenizer
from stages.tokens.ids import id_column, id_rows

FORMATS = ("megatron", "ds")
MAX_ID_IN_2_BYTES = (1 << 16) - 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """tokenizer: path of a tokenizer.json; end_token: the token after each document; formats: some of FORMATS.

    Raises: ConfigError if a format is unknown, or the tokenizer is unreadable or lacks the end token.
    """

    tokenizer: str
    end_token: str = "<|endoftext|>"
    formats: tuple[str, ...] = ("megatron",)

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise ConfigError(f"tokens.formats: {name!r}; expected some of {', '.join(FORMATS)}")
        if load_tokenizer(self.tokenizer).token_to_id(self.end_token) is None:
            raise ConfigError(
                f"tokens.end_token: {self.tokenizer} has no token {self.end_token!r}; name one it has"
            )


def describe(config: Config) -> dict[str, Any]:  # Any: plain JSON
    """Return what a training job needs to read the files: digest of the tokenizer, tokens in its vocabulary, largest id
    (an embedding needs one row more), end token, bytes per token."""
    tokenizer = load_tokenizer(config.tokenizer)
    return {
        "tokenizer_sha256": hashlib.sha256(Path(config.tokenizer).read_bytes()).hexdigest(),
        "vocabulary": tokenizer.get_vocab_size(),
        "largest_id": largest_id(tokenizer),
        "end_token": config.end_token,
        "end_token_id": tokenizer.token_to_id(config.end_token),
        "token_bytes": token_bytes(config),
        "formats": list(config.formats),
    }


def token_bytes(config: Config) -> int:
    """Return the bytes per token: 2 if the largest token id is at most 65,535, else 4."""
    return 2 if largest_id(load_tokenizer(config.tokenizer)) <= MAX_ID_IN_2_BYTES else 4


def largest_id(tokenizer: Tokenizer) -> int:
    """Return the largest id of a tokenizer, special and added tokens included.

    It may be far above the number of tokens: vocabularies have gaps, and special tokens are often numbered apart.
    """
    return max(tokenizer.get_vocab(with_added_tokens=True).values())


def tokenise(texts: pa.Array, config: Config) -> pa.ChunkedArray:
    """Tokenise texts, large_binary (n_docs,); see `ids.id_column`."""
    return id_column(texts, config.tokenizer)


def write_part(documents: pa.Table, folder: str, name: str, config: Config) -> int:
    """Write `<name>.bin` and `.idx`, or `<name>.ds` and its index, into a local folder.

    A token takes token_bytes(config) bytes, little-endian.

    Args: documents, (n_docs,), with their ids of `tokenise`, or their texts.
    Returns: the number of tokens, end tokens included.
    """
    from datatrove.pipeline.tokens.megatron_tokenizer import MegatronTokenizedFile
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    tokenizer = load_tokenizer(config.tokenizer)
    end = int(tokenizer.token_to_id(config.end_token) or 0)  # Config has checked that there is one
    size = token_bytes(config)
    megatron = MegatronTokenizedFile(folder, name, token_size=size) if "megatron" in config.formats else None
    ds = TokenizedFile(folder, f"{name}.ds", token_size=size) if "ds" in config.formats else None
    n_tokens = 0
    for ids in id_rows(documents, config.tokenizer):
        tokens = np.append(ids, end)
        n_tokens += len(tokens)
        if megatron is not None:  # an empty file object is falsy
            megatron.write(tokens)
        if ds is not None:
            ds.write_bytes(tokens.astype("<u2" if size == 2 else "<u4").tobytes())
    for file in (megatron, ds):
        if file is not None:
            file.close()
    return n_tokens
