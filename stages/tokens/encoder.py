"""Tokens of columns of texts: by the kernel where it gives the library's tokens, by the library elsewhere."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from stages.kernels.bpe.characters import CATEGORIES, load_features
from stages.kernels.bpe.encode import BY_LIBRARY, TO_NORMALISE, encode_documents, new_memo
from stages.kernels.text.text import utf8_buffers
from stages.tokens.recognise import Recognised, recognise

PROBE_STEP = 64
"""Code points between two that kernel and library are compared on: most blocks of Unicode begin at multiples of it."""

_NO_IDS = np.empty(0, np.int32)


class Encoder:
    """Tokenises texts without special tokens; a special token spelled out in a text is encoded as ordinary characters.

    library: the tokenizer, the authority on what is right; exact: whether the kernel replaces it. Pickling it
    sends the tokenizer alone.
    """

    def __init__(self, library: Tokenizer) -> None:
        library.encode_special_tokens = True
        self.library = library
        self._document = library.to_str()
        self._known = recognise(self._document)
        if self._known is not None and self._added_changes(self._known):
            self._known = None
        self._memos: list[np.ndarray] = []  # one for each thread that is at work
        self._lock = threading.Lock()
        if self._known is not None and not self._agrees():
            warnings.warn(
                "the tokenizers library gives other tokens than expected of this tokenizer; using the library alone",
                stacklevel=2,
            )
            self._known = None

    def __reduce__(self) -> tuple[Callable[[str], Encoder], tuple[str]]:
        return _from_document, (self._document,)

    @property
    def exact(self) -> bool:
        """Whether the kernel is used."""
        return self._known is not None

    def _added_changes(self, known: Recognised) -> bool:
        """Whether the library looks for added tokens in another form than they are written in."""
        normaliser = self.library.normalizer
        if normaliser is None or known.added_raw:
            return False
        return any(normaliser.normalize_str(token) != token for token in known.added)

    def by_library(self, text: str) -> list[int]:
        """Tokens of a text by the library, which needs 80 to 130 bytes of memory for each byte."""
        return self.library.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def count(self, texts: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Number of tokens of each text, int64 (n,); null counts as empty."""
        return self._run(texts, wanted=False)[0]

    def encode(self, texts: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of all texts one after another, int32, and where each text begins, int64 (n + 1,)."""
        counts, ids = self._run(texts, wanted=True)
        return ids, np.concatenate([[0], np.cumsum(counts)])

    def _run(self, texts: pa.ChunkedArray | pa.Array, wanted: bool) -> tuple[np.ndarray, np.ndarray]:
        """Counts and, if they are wanted, tokens of texts."""
        data, offsets = utf8_buffers(texts)
        known = self._known
        if known is None or known.normaliser == "other":
            counts, ids = np.full(len(offsets) - 1, BY_LIBRARY if known is None else TO_NORMALISE), _NO_IDS
        else:
            counts, ids = self._by_kernel(data, offsets, known, wanted, known.normaliser == "nfc")
        left = np.flatnonzero(counts < 0)
        if not len(left):
            return counts, ids
        parts = np.split(ids, np.cumsum(np.maximum(counts, 0))[:-1]) if wanted else [_NO_IDS] * len(counts)
        for doc in left.tolist():
            text = data[offsets[doc] : offsets[doc + 1]].tobytes().decode()
            counts[doc], parts[doc] = self._alone(text, counts[doc] == TO_NORMALISE, wanted)
        return counts, np.concatenate(parts)

    def _by_kernel(
        self,
        data: np.ndarray,
        offsets: np.ndarray,
        known: Recognised,
        wanted: bool,
        stop: bool,
        added: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Counts and tokens of texts. stop: whether texts that may not be in form NFC are left out."""
        with self._lock:
            memo = self._memos.pop() if self._memos else new_memo()
        counts = np.empty(len(offsets) - 1, np.int64)
        out = np.empty(
            int(offsets[-1] - offsets[0]) + 1 if wanted else 0, np.int32
        )  # untouched pages cost nothing
        with_added = added and len(known.added) > 0
        n_ids = encode_documents(data, offsets, known.model, memo, with_added, stop, out, counts)
        with self._lock:
            self._memos.append(memo)
        return counts, out[:n_ids] if wanted else out

    def _alone(self, text: str, normalise: bool, wanted: bool) -> tuple[int, np.ndarray]:
        """Number and tokens of a text that the kernel left out."""
        known = self._known
        if (
            known is not None
            and normalise
            and not (known.added_raw and any(token in text for token in known.added))
        ):
            data = self.library.normalizer.normalize_str(text).encode()
            offsets = np.array([0, len(data)], np.int64)
            offsets.setflags(write=False)
            counts, ids = self._by_kernel(
                np.frombuffer(data, np.uint8), offsets, known, wanted, stop=False, added=not known.added_raw
            )
            if counts[0] >= 0:
                return int(counts[0]), ids
        found = self.by_library(text)
        return len(found), np.array(found, np.int32)

    def _agrees(self) -> bool:
        """Whether kernel and library agree on a text with the edges of all categories of characters.

        The library's version of Unicode is another one if they do not: newly assigned characters mostly extend a run of
        their category, or begin a block.
        """
        features = load_features()
        edges = np.flatnonzero(np.diff(features & 31, prepend=255))
        blocks = np.flatnonzero(features[:0x30000:PROBE_STEP] & 31 == CATEGORIES.index("Cn")) * PROBE_STEP
        codes = np.unique(np.concatenate([edges, blocks]))
        codes = codes[(codes < 0xD800) | (codes > 0xDFFF)]
        texts = ["".join(f"{chr(code)}a1 {chr(code)}" for code in codes[i::4].tolist()) for i in range(4)]
        ids, starts = self.encode(pa.array(texts, pa.large_string()))
        return all(
            ids[starts[i] : starts[i + 1]].tolist() == self.by_library(text) for i, text in enumerate(texts)
        )


def _from_document(document: str) -> Encoder:
    return Encoder(Tokenizer.from_str(document))
