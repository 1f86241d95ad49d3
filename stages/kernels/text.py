"""The decoded view of a batch of texts, shared by all kernels: code points, where each text begins, classes.

Reads an Arrow string column; writes nothing. The view is made once per batch and never stored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from stages.kernels.tables import (
    DIGIT,
    HAN,
    HANGUL,
    KANA,
    LATIN,
    LETTER,
    MARK,
    NEWLINE,
    OTHER,
    PUNCT,
    SPACE,
    SYMBOL,
    TABLES_PATH,
    UNSPACED,
    load_tables,
)

__all__ = [
    "DIGIT",
    "HAN",
    "HANGUL",
    "KANA",
    "LATIN",
    "LETTER",
    "MARK",
    "NEWLINE",
    "OTHER",
    "PUNCT",
    "SPACE",
    "SYMBOL",
    "TABLES_PATH",
    "UNSPACED",
    "TextView",
    "decode",
    "load_tables",
    "utf8_buffers",
    "view",
]


class TextView(NamedTuple):
    """A batch of texts as code points.

    codes: uint32 (n_codes,), code points of all texts, one after another.
    starts: int64 (n_docs + 1,), where each text begins in codes; the last entry is n_codes.
    classes: uint8 (n_codes,), character class of each code point (see `kernels.tables`).
    """

    codes: np.ndarray
    starts: np.ndarray
    classes: np.ndarray


class _Last:
    """The view of the last batch, and the batch itself so that its addresses stay taken."""

    entry: tuple[tuple[object, ...], pa.ChunkedArray | pa.Array, TextView] | None = None


def view(text: pa.ChunkedArray | pa.Array) -> TextView:
    """Decode a string or large_string column; null counts as empty.

    The result for the last column is kept and given again for the same Arrow buffers, offsets and lengths.
    Its arrays are read-only.
    """
    key = _identity(text)
    last = _Last.entry
    if last is not None and last[0] == key:
        return last[2]
    decoded = decode(text)
    _Last.entry = (key, text, decoded)
    return decoded


def decode(text: pa.ChunkedArray | pa.Array) -> TextView:
    """Decode a column that is not asked for again: as `view`, whose last result stays."""
    data, offsets = utf8_buffers(text)
    codes = np.empty(int(offsets[-1] - offsets[0]), np.uint32)  # an upper bound; untouched pages cost nothing
    classes = np.empty(len(codes), np.uint8)
    starts = np.empty(len(offsets), np.int64)
    n_codes = _decode(data, offsets, load_tables().classes, codes, classes, starts)
    decoded = TextView(codes[:n_codes], starts, classes[:n_codes])
    for array in decoded:
        array.setflags(write=False)
    return decoded


def utf8_buffers(text: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Give the UTF-8 bytes of a string column without copying where Arrow allows it.

    Returns: uint8 (n_bytes,) and int64 (n_docs + 1,) offsets into it; the first offset need not be 0.
    """
    if isinstance(text, pa.ChunkedArray):
        text = text.chunk(0) if text.num_chunks == 1 else text.cast(pa.large_string()).combine_chunks()
    if text.type not in (pa.string(), pa.large_string()):
        text = text.cast(pa.large_string())
    if text.null_count:
        text = pc.fill_null(text, "")
    if not len(text):
        return np.frombuffer(b"", np.uint8), np.frombuffer(bytes(8), np.int64)
    _, offset_buffer, data_buffer = text.buffers()
    width = np.dtype(np.int64 if pa.types.is_large_string(text.type) else np.int32)
    offsets = np.frombuffer(offset_buffer, width, len(text) + 1, text.offset * width.itemsize)
    data = np.frombuffer(b"" if data_buffer is None else data_buffer, np.uint8)
    offsets = offsets.astype(np.int64, copy=False)
    offsets.setflags(write=False)  # one type for kernels, whatever the width was
    return data, offsets


def _identity(text: pa.ChunkedArray | pa.Array) -> tuple[object, ...]:
    """Type, addresses, offset and length of every chunk."""
    chunks = text.chunks if isinstance(text, pa.ChunkedArray) else [text]
    return tuple(
        (str(chunk.type), chunk.offset, len(chunk), *(b and b.address for b in chunk.buffers()))
        for chunk in chunks
    )


@njit(cache=True, nogil=True)
def _decode(data, offsets, table, codes, classes, starts):  # type: ignore[no-untyped-def]  # numba infers types
    """Decode valid UTF-8; return the number of code points."""
    n = 0
    for doc in range(len(offsets) - 1):
        starts[doc] = n
        i = offsets[doc]
        end = offsets[doc + 1]
        while i < end:
            byte = np.uint32(data[i])
            if byte < 0x80:
                code = byte
                i += 1
            elif byte < 0xE0:
                code = (byte & np.uint32(0x1F)) << np.uint32(6) | (data[i + 1] & np.uint32(0x3F))
                i += 2
            elif byte < 0xF0:
                code = (
                    (byte & np.uint32(0x0F)) << np.uint32(12)
                    | (data[i + 1] & np.uint32(0x3F)) << np.uint32(6)
                    | (data[i + 2] & np.uint32(0x3F))
                )
                i += 3
            else:
                code = (
                    (byte & np.uint32(0x07)) << np.uint32(18)
                    | (data[i + 1] & np.uint32(0x3F)) << np.uint32(12)
                    | (data[i + 2] & np.uint32(0x3F)) << np.uint32(6)
                    | (data[i + 3] & np.uint32(0x3F))
                )
                i += 4
            codes[n] = code
            classes[n] = table[code]
            n += 1
    starts[len(offsets) - 1] = n
    return n
