"""Token files for training: the documents of a mix in order, tokenised, in the formats of training frameworks.

Reads released texts; writes Megatron's .bin/.idx, datatrove's .ds with its index, Parquet or MosaicML's MDS. Each
document is followed by one end token. Order and files are those of the mix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.errors import ConfigError
from stages.tokens import fertility, load_tokenizer
from stages.tokens.formats import PACKED, WRITERS, SequenceFile, Target, mds_index
from stages.tokens.ids import id_column, id_rows
from stages.tokens.packing import METHODS, pack, whole
from stages.tokens.sentence_pieces import SentencePieces

FORMATS = tuple(WRITERS)
MAX_ID_IN_2_BYTES = (1 << 16) - 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """tokenizer: path of a tokenizer.json or a SentencePiece model; end_token: the token after each document; formats:
    some of FORMATS.

    pack: how the items of Parquet and MDS files are made of documents, `stream` or `best_fit`; empty: an item is a
    document. sequence_length: tokens of a packed sequence. document_masks: whether they contain the boundaries of
    documents (`cu_seqlens`) and the row of each document in its part of the mix (`documents`).

    Raises: ConfigError if a format is unknown, settings of packing do not go together, or the tokenizer is unreadable
    or lacks the end token.
    """

    tokenizer: str
    end_token: str = "<|endoftext|>"
    formats: tuple[str, ...] = ("megatron",)
    pack: str = ""
    sequence_length: int = 0
    document_masks: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise ConfigError(f"tokens.formats: {name!r}; expected some of {', '.join(FORMATS)}")
        if self.pack and self.pack not in METHODS:
            raise ConfigError(f"tokens.pack: {self.pack!r}; expected one of {', '.join(METHODS)}")
        if bool(self.pack) != (self.sequence_length > 0):
            raise ConfigError(
                f"tokens: pack is {self.pack!r} and sequence_length {self.sequence_length}; set both, or neither"
            )
        if (self.pack or self.document_masks) and not set(self.formats) & set(PACKED):
            raise ConfigError(
                f"tokens.formats: pack and document_masks need {' or '.join(PACKED)}; loaders of the other formats "
                "cut sequences themselves"
            )
        if load_tokenizer(self.tokenizer).token_to_id(self.end_token) is None:
            raise ConfigError(
                f"tokens.end_token: {self.tokenizer} has no token {self.end_token!r}; name one it has"
            )


def describe(config: Config) -> dict[str, Any]:  # Any: plain JSON
    """Return what a training job needs to read the files: digest of the tokenizer, tokens in its vocabulary, largest id
    (an embedding needs one row more), end token, bytes per token, packing."""
    tokenizer = load_tokenizer(config.tokenizer)
    return {
        "tokenizer_sha256": tokenizer_digest(config.tokenizer),
        "vocabulary": tokenizer.get_vocab_size(),
        "largest_id": largest_id(tokenizer),
        "end_token": config.end_token,
        "end_token_id": tokenizer.token_to_id(config.end_token),
        "token_bytes": _bytes_of(tokenizer),
        "formats": list(config.formats),
        "pack": config.pack,
        "sequence_length": config.sequence_length,
        "document_masks": config.document_masks,
    }


def tokenizer_digest(path: str) -> str:
    """SHA-256 of a tokenizer.json, in hex."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def token_bytes(config: Config) -> int:
    """Return the bytes per token: 2 if the largest token id is at most 65,535, else 4."""
    return _bytes_of(load_tokenizer(config.tokenizer))


def _bytes_of(tokenizer: Tokenizer | SentencePieces) -> int:
    return 2 if largest_id(tokenizer) <= MAX_ID_IN_2_BYTES else 4


def largest_id(tokenizer: Tokenizer | SentencePieces) -> int:
    """Return the largest id of a tokenizer, special and added tokens included.

    It may be far above the number of tokens: vocabularies have gaps, and special tokens are often numbered apart.
    """
    return max(tokenizer.get_vocab(with_added_tokens=True).values())


def tokenise(texts: pa.Array, config: Config) -> pa.ChunkedArray:
    """Tokenise texts, large_binary (n_docs,); see `ids.id_column`."""
    return id_column(texts, config.tokenizer)


def write_part(documents: pa.Table, folder: str, name: str, config: Config) -> dict[str, Any]:
    """Write the files of one part, named `<name>.<ending>`, into a local folder.

    A token takes token_bytes(config) bytes, little-endian (Parquet: int32).

    Args: documents, with `text`, `language` (may be null) and the ids of `tokenise`, (n_docs,), in training order;
    texts without ids are tokenised.
    Returns: `tokens`, their number with end tokens; `languages`, see fertility.tally; `mds`, the shards, if any.
    """
    tokenizer = load_tokenizer(config.tokenizer)
    end = int(tokenizer.token_to_id(config.end_token) or 0)  # Config has checked that there is one
    facts = (
        ("tokenizer_sha256", tokenizer_digest(config.tokenizer)),
        ("end_token_id", str(end)),
        ("sequence_length", str(config.sequence_length)),
    )
    target = Target(folder, name, _bytes_of(tokenizer), config.sequence_length, config.document_masks, facts)
    files: dict[str, SequenceFile] = {format_: WRITERS[format_](target) for format_ in config.formats}
    lengths: list[int] = []

    def tokenised() -> Iterator[tuple[int, np.ndarray]]:
        """Each document, which is also written to the formats that are not packed."""
        for row, found in enumerate(id_rows(documents, config.tokenizer)):
            ids = np.append(found, end).astype(np.int32)
            lengths.append(len(ids))
            for format_, file in files.items():
                if not (config.pack and format_ in PACKED):
                    file.write(whole(row, ids))
            yield row, ids

    if config.pack:
        for sequence in pack(tokenised(), config.sequence_length, config.pack, end):
            for format_ in PACKED:
                if format_ in files:
                    files[format_].write(sequence)
    else:
        for _ in tokenised():
            pass
    summary: dict[str, Any] = {"tokens": sum(lengths)}
    for file in files.values():
        summary |= file.close()
    n_tokens = np.array(lengths, np.int64) - 1
    summary["languages"] = fertility.tally(documents["text"], documents["language"], n_tokens, tokenizer)
    return summary


def overview(parts: Sequence[dict[str, Any]], config: Config) -> tuple[dict[str, Any], dict[str, str]]:
    """Return further keys of tokens.json, and further files of the mix by name.

    Args: parts, what write_part returned for each part, in order.
    """
    tokenizer = load_tokenizer(config.tokenizer)
    page = {
        "languages": fertility.summary(part["languages"] for part in parts),
        "han_coverage": fertility.coverage(tokenizer),
    }
    if "mds" not in config.formats:
        return page, {}
    shards = [shard for part in parts for shard in part["mds"]]
    index = mds_index(shards, _bytes_of(tokenizer), config.sequence_length, config.document_masks)
    return page, {"index.json": index}
