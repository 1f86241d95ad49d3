"""Token ids of documents as a column, tokenised once for all mixes of a release that have token files.

A release writes the column beside the texts that it sends to the parts of its mixes, so that a document in several
mixes, or repeated in one, is tokenised once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import TOKEN_IDS
from stages.tokens import load_encoder

DTYPE = np.dtype("<u4")
GROUP_BYTES = 1 << 25
"""Bytes of text that are tokenised at once, which bounds what is held besides the column."""


def id_column(texts: pa.ChunkedArray | pa.Array, path: str) -> pa.ChunkedArray:
    """Tokenise texts with the tokenizer.json at `path`: large_binary (n_docs,), ids of DTYPE."""
    encoder = load_encoder(path)
    chunks = []
    for group in _groups(texts):
        ids, starts = encoder.encode(group)
        data = pa.py_buffer(ids.astype(DTYPE))
        offsets = pa.py_buffer(starts * DTYPE.itemsize)
        chunks.append(pa.Array.from_buffers(pa.large_binary(), len(group), [None, offsets, data]))
    return pa.chunked_array(chunks, pa.large_binary())


def _groups(texts: pa.ChunkedArray | pa.Array) -> Iterator[pa.Array]:
    """Runs of texts of about GROUP_BYTES, or of one longer text."""
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        sizes = np.cumsum(np.asarray(pc.binary_length(chunk).fill_null(0), np.int64))
        start = 0
        while start < len(chunk):
            before = sizes[start - 1] if start else 0
            stop = max(int(np.searchsorted(sizes, before + GROUP_BYTES, side="right")), start + 1)
            yield chunk.slice(start, stop - start)
            start = stop


def id_rows(documents: pa.Table, path: str) -> Iterator[np.ndarray]:
    """Ids of each document, DTYPE: of its column TOKEN_IDS, or of its `text` if there is no such column."""
    known = TOKEN_IDS in documents.column_names
    for value in documents[TOKEN_IDS] if known else id_column(documents["text"], path):
        yield np.frombuffer(value.as_buffer(), DTYPE)
