"""Ragged arrays as Arrow binary: rows of numbers that Arrow moves as bytes, several times faster than as lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def to_binary(values: np.ndarray, starts: np.ndarray) -> pa.LargeBinaryArray:
    """Rows of numbers as their bytes in this machine's order, without a copy.

    Args: values, (n,) of any number; starts, int64 (n_rows + 1,), where each row begins.
    """
    offsets = np.ascontiguousarray(starts, np.int64) * values.itemsize
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts) - 1, buffers)


def from_binary(column: pa.LargeBinaryArray, dtype: type[np.generic]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and where each row begins: the inverse of `to_binary`, without a copy; null is an empty row."""
    _, offset_buffer, data = column.buffers()
    if not len(column) or data is None:
        return np.zeros(0, dtype), np.zeros(len(column) + 1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64, len(column) + 1, 8 * column.offset)
    size = np.dtype(dtype).itemsize
    values = np.frombuffer(data, dtype, (offsets[-1] - offsets[0]) // size, offsets[0])
    return values, (offsets - offsets[0]) // size
