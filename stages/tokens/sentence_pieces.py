"""SentencePiece models as tokenizers: the calls of the tokenizers library that this package makes, on a `.model` file.

Tokens are those of the sentencepiece package, which needs the extra `sentencepiece`. Control symbols spelled out in a
text, such as </s>, are ordinary characters; no symbol is put before or behind a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.recipe import optional_module

ENDING = ".model"
"""What the path of a SentencePiece model ends with."""


class Pieces(NamedTuple):
    """The ids of a text."""

    ids: list[int]


class SentencePieces:
    """A model with the methods of `tokenizers.Tokenizer` that this package calls; it is pickled as its file.

    Raises: ConfigError if sentencepiece is not installed, or the file is none of its models.
    """

    encode_special_tokens = True  # always so

    def __init__(self, data: bytes, path: str) -> None:
        package: Any = optional_module(
            "sentencepiece", "SentencePiece", "sentencepiece", "tokens.tokenizer, which is a .model file,"
        )
        self.data, self.path = data, path
        try:
            self.processor = package.SentencePieceProcessor(model_proto=data)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"tokens.tokenizer: {path}: {error}; name a SentencePiece model") from error

    def __reduce__(self) -> tuple[type[SentencePieces], tuple[bytes, str]]:
        return SentencePieces, (self.data, self.path)

    def token_to_id(self, token: str) -> int | None:
        """Id of a piece or symbol, None if the model has none of this name."""
        found = int(self.processor.piece_to_id(token))
        return found if self.processor.id_to_piece(found) == token else None

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """Pieces and symbols with their ids."""
        return {self.processor.id_to_piece(i): i for i in range(self.get_vocab_size())}

    def get_vocab_size(self) -> int:
        """Number of pieces and symbols."""
        return int(self.processor.get_piece_size())

    def encode_batch_fast(self, texts: Sequence[str], add_special_tokens: bool = False) -> list[Pieces]:
        """Ids of each text, without symbols before or behind it."""
        return [
            Pieces(ids)
            for ids in self.processor.encode(list(texts), add_bos=False, add_eos=False, num_threads=1)
        ]


class PieceEncoder:
    """Tokenises columns of texts; see `encoder.Encoder`. exact: whether a kernel replaces the library: none."""

    exact = False

    def __init__(self, library: SentencePieces) -> None:
        self.library = library

    def by_library(self, text: str) -> list[int]:
        """Tokens of a text."""
        return self.library.encode_batch_fast([text])[0].ids

    def count(self, texts: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Number of tokens of each text, int64 (n,); null counts as empty."""
        return np.array([len(self.by_library(text.as_py() or "")) for text in texts], np.int64)

    def encode(self, texts: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of all texts one after another, int32, and where each text begins, int64 (n + 1,)."""
        found = [np.array(self.by_library(text.as_py() or ""), np.int32) for text in texts]
        starts = np.concatenate([[0], np.cumsum([len(ids) for ids in found], dtype=np.int64)])
        return np.concatenate([np.empty(0, np.int32), *found]), starts
