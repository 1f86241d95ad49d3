"""Digests of rows: 64 bits that depend on every value of a row, for any chunks, dtypes of strings or file.

They find damage and mistakes, not forgery: XXH3 of strings, SplitMix64 to combine values.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.keyed_hash import GOLDEN, scramble

NULL = np.uint64(0x6E756C6C)
DISTINCT_SHARE = 0.5
"""Strings with fewer distinct values than this share of the rows are hashed once each."""


def row_digests(table: pa.Table) -> np.ndarray:
    """Return the digest of each row from the values of all columns, in their order: uint64 (n_rows,)."""
    found = np.zeros(table.num_rows, np.uint64)
    for column in table.columns:
        found = scramble((found + GOLDEN) ^ value_digests(column.combine_chunks()))
    return found


def text_digests(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the XXH3-64 of each text in UTF-8: uint64 (n_rows,), NULL for a null."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    return np.concatenate([np.zeros(0, np.uint64), *(_strings(chunk) for chunk in chunks)])


def total(digests: np.ndarray) -> int:
    """Return the sum of digests, modulo 2**64: the same for any order of the rows."""
    return int(digests.sum(dtype=np.uint64))


def ordered_total(digests: np.ndarray, first: int) -> int:
    """Return a sum of digests, modulo 2**64, that depends on the position of each; first: position of the first row."""
    positions = np.arange(first, first + len(digests), dtype=np.uint64)
    return total(scramble(digests ^ (positions * GOLDEN)))


def signed(digests: np.ndarray) -> pa.Array:
    """Return digests as the column of a file: int64, because not every program reads unsigned integers."""
    return pa.array(digests.view(np.int64))


def unsigned(column: pa.ChunkedArray) -> np.ndarray:
    """Return the digests of a column of a file: uint64 (n_rows,); zero for null."""
    values = np.asarray(pc.fill_null(column.cast(pa.int64()), 0).combine_chunks())
    return np.ascontiguousarray(values).view(np.uint64)


def value_digests(values: pa.Array) -> np.ndarray:
    """Return the digest of each value of an array of any dtype: uint64 (n_rows,).

    Raises: TypeError for a dtype that no file of a release has.
    """
    if isinstance(values, pa.ChunkedArray):  # combine_chunks of a column without rows
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if not len(values):
        return np.zeros(0, np.uint64)
    dtype = values.type
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        found = _repeating(values)
    elif pa.types.is_struct(dtype):
        found = np.zeros(len(values), np.uint64)
        for child in values.flatten():
            found = scramble((found + GOLDEN) ^ value_digests(child))
    elif pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        found = _lists(values)
    elif pa.types.is_null(dtype):
        found = np.zeros(len(values), np.uint64)
    else:
        found = _numbers(values)
    if values.null_count:
        found[np.asarray(values.is_null())] = NULL
    return found


def _numbers(values: pa.Array) -> np.ndarray:
    dtype = values.type
    if pa.types.is_boolean(dtype):
        values, dtype = values.cast(pa.int8()), pa.int8()
    if not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype)):
        raise TypeError(f"no digest of {dtype}")
    plain = np.asarray(pc.fill_null(values, 0))
    bits = plain.astype(np.float64).view(np.uint64) if pa.types.is_floating(dtype) else plain.astype(np.int64)
    return scramble(bits.astype(np.uint64) + GOLDEN)


def _repeating(values: pa.Array) -> np.ndarray:
    encoded = values.dictionary_encode()
    if len(encoded.dictionary) > DISTINCT_SHARE * len(values):
        return _strings(values)
    codes = np.asarray(pc.fill_null(encoded.indices, 0))
    distinct = _strings(encoded.dictionary)
    return distinct[codes] if len(distinct) else np.full(len(values), NULL)


def _strings(values: pa.Array) -> np.ndarray:
    values = values.cast(pa.large_binary())
    if not len(values):
        return np.zeros(0, np.uint64)
    _, offset_buffer, data = values.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(values) + 1, values.offset * 8).tolist()
    view, hashed = memoryview(data or b""), xxhash.xxh3_64_intdigest
    found = np.array([hashed(view[a:b]) for a, b in pairwise(offsets)], np.uint64)
    if values.null_count:
        found[np.asarray(values.is_null())] = NULL
    return found


def _lists(values: pa.Array) -> np.ndarray:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0)).astype(np.int64)
    children = value_digests(values.flatten())
    starts = np.cumsum(lengths) - lengths
    places = np.arange(len(children)) - np.repeat(starts, lengths)
    mixed = scramble(children ^ ((places.astype(np.uint64) + np.uint64(1)) * GOLDEN))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return scramble((sums[starts + lengths] - sums[starts]) ^ lengths.astype(np.uint64))
