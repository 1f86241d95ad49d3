"""Arrays of a file that somebody else made: `.npz` without pickles, checked before memory is spent on them.

The header of each array states its shape, so that its size is known before it is decompressed; a file that states more
than is allowed, holds other bytes than it states, Python objects or no numbers, is refused with its name.
"""

from __future__ import annotations

import io
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Sequence
from typing import IO

import numpy as np

from pipeline.errors import ConfigError

MAX_ARRAY_BYTES = 512 << 20
"""Largest sum of the arrays of a file: those of the shipped models have up to 9 MB."""

BROKEN_FILE = (
    OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, RuntimeError, OverflowError, MemoryError,
    SyntaxError, AttributeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile and NumPy raise on bytes that are no file of arrays."""


def read_arrays(
    path: str | os.PathLike[str],
    where: str,
    expected: str,
    names: Sequence[str] = (),
    infinite: Collection[str] = (),
    max_bytes: int = MAX_ARRAY_BYTES,
) -> dict[str, np.ndarray]:
    """Read the arrays of a file.

    Args: where, the setting that names the file, or empty; expected, what it should be, for messages; names, of the
    arrays, all of the file if empty; infinite, arrays in which infinity is a value; max_bytes, of all arrays together.
    Raises: ConfigError, with the path, if the file is missing or damaged, lacks an array, is larger than max_bytes or
    holds objects, NaN or infinity.
    """
    label = f"{where} {path}" if where else str(path)
    try:
        return _read(path, names, infinite, max_bytes)
    except FileNotFoundError as error:
        raise ConfigError(f"{label}: {error.strerror}; expected {expected}") from error
    except BROKEN_FILE as error:
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigError(f"{label}: {detail}; expected {expected}") from error


def _read(
    path: str | os.PathLike[str], names: Sequence[str], infinite: Collection[str], max_bytes: int
) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    left = max_bytes
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name in names or members:
            if name not in members:
                raise ValueError(f"it has no array {name!r}")
            with archive.open(members[name]) as stream:
                array = _array(stream, name, members[name].file_size, left)
            left -= array.nbytes
            if array.dtype.kind in "fc" and _is_odd(array, name in infinite):
                raise ValueError(f"the array {name!r} holds NaN or infinity")
            arrays[name] = array
    return arrays


def _array(stream: IO[bytes], name: str, stated: int, max_bytes: int) -> np.ndarray:
    """Read one array whose header states no more bytes than there are and are allowed."""
    start = stream.read(1 << 16)
    head = io.BytesIO(start)
    version = np.lib.format.read_magic(head)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read_header(head)
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise ValueError(f"the array {name!r} is of {dtype}; expected numbers or text")
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes > max_bytes:
        raise ValueError(f"the array {name!r} {shape} has {n_bytes:,} bytes; allowed are {max_bytes:,}")
    if stated != head.tell() + n_bytes:
        raise ValueError(
            f"the array {name!r} {shape} has {stated - head.tell():,} bytes; expected {n_bytes:,}"
        )
    data = bytearray(start[head.tell() :])
    while len(data) <= n_bytes and (
        more := stream.read(1 << 20)
    ):  # to the end, where the checksum is compared
        data += more
    if len(data) != n_bytes:
        raise ValueError(f"the array {name!r} has {len(data):,} bytes; expected {n_bytes:,}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _is_odd(array: np.ndarray, may_be_infinite: bool) -> bool:
    return bool(np.isnan(array).any() if may_be_infinite else not np.isfinite(array).all())
