"""A keyed 64-bit hash of document ids: the only source of pseudo-random choices and orders.

It depends on the id and the seed only, and is vectorised over documents.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

DOC_ID_BYTES = 26  # see pipeline.schema.CANONICAL
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, the increment of SplitMix64


def scramble(words: np.ndarray) -> np.ndarray:
    """Return a permutation of 64-bit words in which each input bit changes about half of the output bits.

    Args: words, uint64, any shape.
    Returns: uint64, the same shape.
    Source: the finaliser of SplitMix64, Steele, Lea and Flood, OOPSLA 2014 (variant 13 of Stafford).
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scrambled: np.ndarray = words ^ (words >> np.uint64(31))
    return scrambled


def keyed_hash(doc_ids: pa.Array | pa.ChunkedArray, seed: int) -> np.ndarray:
    """Return the keyed hash of document ids.

    Args: doc_ids, strings of 26 ASCII characters, (n_docs,), without nulls; seed, 0 to 2**64 - 1.
    Returns: uint64 (n_docs,).
    Raises: ValueError if an id has another length.
    """
    ids = doc_ids.combine_chunks() if isinstance(doc_ids, pa.ChunkedArray) else doc_ids
    ids = ids.cast(pa.large_binary())
    offsets = (
        np.frombuffer(ids.buffers()[1], np.int64, len(ids) + 1, ids.offset * 8)
        if len(ids)
        else np.zeros(1, int)
    )
    if np.any(np.diff(offsets) != DOC_ID_BYTES):
        raise ValueError(f"found a document id of another length; expected {DOC_ID_BYTES} characters")
    words = np.zeros((len(ids), 32), np.uint8)
    if len(ids):
        data = np.frombuffer(ids.buffers()[2], np.uint8, len(ids) * DOC_ID_BYTES, int(offsets[0]))
        words[:, :DOC_ID_BYTES] = data.reshape(len(ids), DOC_ID_BYTES)
    hashes = np.full(len(ids), seed, np.uint64)
    for word in words.view("<u8").T:
        hashes = scramble((hashes + GOLDEN) ^ word)
    return hashes
