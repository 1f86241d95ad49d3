"""The decoded view of a batch of texts, shared by all kernels: code points, offsets of texts, character classes.

Reads an Arrow string column; writes nothing. The view is computed once per batch and never stored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from stages.kernels.text.tables import (
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


BLOCK = np.uint64(16)
"""Bytes of a block that is tested for ASCII at once; most blocks of English text are ASCII."""

ONE, TWO, THREE, FOUR = (np.uint64(n) for n in range(1, 5))


class TextView(NamedTuple):
    """A batch of texts as code points.

    codes: uint32 (n_codes,), code points of all texts, one after another.
    starts: int64 (n_docs + 1,), start of each text in codes; the last entry is n_codes.
    classes: uint8 (n_codes,), character class of each code point (see `kernels.text.tables`).
    """

    codes: np.ndarray
    starts: np.ndarray
    classes: np.ndarray


class _Last:
    """Cache of one entry: the view of the latest batch, and the batch, so that its addresses are not used again."""

    entry: tuple[tuple[object, ...], pa.ChunkedArray | pa.Array, TextView] | None = None


def view(text: pa.ChunkedArray | pa.Array) -> TextView:
    """Decode a string or large_string column; null counts as empty.

    The view of the latest column is cached and returned again for the same Arrow buffers, offsets and lengths. Its
    arrays are read-only.
    """
    key = _identity(text)
    last = _Last.entry
    if last is not None and last[0] == key:
        return last[2]
    decoded = decode(text)
    _Last.entry = (key, text, decoded)
    return decoded


def decode(text: pa.ChunkedArray | pa.Array) -> TextView:
    """Decode a column as `view` does, without reading or replacing its cached result."""
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
    """Return the UTF-8 bytes of a string column, without a copy where Arrow allows it; null is empty.

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
    offsets.setflags(write=False)  # one numba type for offsets of either width
    return data, offsets


def _identity(text: pa.ChunkedArray | pa.Array) -> tuple[object, ...]:
    """Return dtype, buffer addresses, offset and length of every chunk."""
    chunks = text.chunks if isinstance(text, pa.ChunkedArray) else [text]
    return tuple(
        (
            str(chunk.type),
            chunk.offset,
            len(chunk),
            *(None if b is None else b.address for b in chunk.buffers()),
        )
        for chunk in chunks
    )


@njit(cache=True, nogil=True)
def _decode(data, offsets, table, codes, classes, starts):  # type: ignore[no-untyped-def]  # numba infers types
    """Decode valid UTF-8; return the number of code points.

    Indices are unsigned, because numba tests at each access whether a signed index is negative.
    """
    n = np.uint64(0)
    for doc in range(len(offsets) - 1):
        starts[doc] = n
        i, end = np.uint64(offsets[doc]), np.uint64(offsets[doc + 1])
        while i < end:
            stop = min(i + BLOCK, end)
            if stop == i + BLOCK and _is_ascii(data, i):
                for j in range(BLOCK):
                    codes[n + j] = data[i + j]
                for j in range(BLOCK):
                    classes[n + j] = table[data[i + j]]
                n += BLOCK
                i = stop
            while i < stop:
                byte = data[i]
                while byte & 0xF0 == 0xE0:  # ideographs come in runs, which may extend into the next block
                    code = _bits(byte, 0x0F, 12) | _tail(data[i + ONE], 6) | _tail(data[i + TWO], 0)
                    codes[n], classes[n] = code, table[code]
                    n += ONE
                    i += THREE
                    if i >= end:
                        break
                    byte = data[i]
                if i >= stop:
                    break
                if byte < 0x80:
                    code = np.uint32(byte)
                    i += ONE
                elif byte < 0xE0:
                    code = _bits(byte, 0x1F, 6) | _tail(data[i + ONE], 0)
                    i += TWO
                else:
                    code = _bits(byte, 0x07, 18) | _tail(data[i + ONE], 12)
                    code |= _tail(data[i + TWO], 6) | _tail(data[i + THREE], 0)
                    i += FOUR
                codes[n], classes[n] = code, table[code]
                n += ONE
    starts[len(offsets) - 1] = n
    return n


@njit(cache=True, nogil=True, inline="always")
def _is_ascii(data, i):  # type: ignore[no-untyped-def]
    """Whether a block is ASCII: one vector operation, because the loop has no exit."""
    bits = np.uint8(0)
    for j in range(BLOCK):
        bits |= data[i + j]
    return bits < 0x80


@njit(cache=True, nogil=True, inline="always")
def _bits(byte, mask, shift):  # type: ignore[no-untyped-def]
    """Return the masked bits of a byte, shifted to their position in a code point."""
    return (np.uint32(byte) & np.uint32(mask)) << np.uint32(shift)


@njit(cache=True, nogil=True, inline="always")
def _tail(byte, shift):  # type: ignore[no-untyped-def]
    """Return the bits of a continuation byte, shifted to their position in a code point."""
    return _bits(byte, 0x3F, shift)
