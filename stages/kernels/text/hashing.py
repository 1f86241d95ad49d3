"""Hashes over Arrow buffers: 64 bits for keys, 128 bits for identity; the same on every machine.

The step of every hash is one multiplication by an odd constant and one shift, both invertible in the state, so two
sequences of equal length that differ in a single element never collide in a lane.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.kernels.text.text import utf8_buffers

ODD_A = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio, made odd (Knuth, The Art of Computer Programming 3, section 6.4)."""

ODD_B = np.uint64(0xD1342543DE82EF95)
"""A multiplier with good spectral figures (Steele and Vigna, arXiv 2001.05304, table 5)."""


@nb.njit(cache=True, nogil=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """Spread every bit of a uint64 over all bits: the finaliser of SplitMix64 (Steele et al., OOPSLA
    2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def mix_all(values: np.ndarray) -> np.ndarray:
    """Mix each value of an array, uint64 (n,); distinct values stay distinct."""
    mixed = np.empty(len(values), np.uint64)
    for i in range(len(values)):
        mixed[i] = mix(values[i])
    return mixed


@nb.njit(cache=True, nogil=True, inline="always")
def step(state: np.uint64, value: int | np.unsignedinteger, odd: np.uint64) -> np.uint64:
    """Add one value to a running 64-bit hash; odd is the multiplier."""
    state = (state ^ np.uint64(value)) * odd
    return state ^ (state >> np.uint64(32))


@nb.njit(cache=True, nogil=True)
def hash128(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Hash each row of a ragged array to 128 bits, two lanes of 64.

    Args: values, any unsigned integers (n_values,); starts, int64 (n_rows + 1,).
    Returns: uint64 (n_rows, 2).
    """
    hashes = np.empty((len(starts) - 1, 2), np.uint64)
    for row in range(len(hashes)):
        first, second = ODD_B, ODD_A
        for i in range(starts[row], starts[row + 1]):
            first = step(first, values[i], ODD_A)
            second = step(second, values[i], ODD_B)
        n_values = np.uint64(starts[row + 1] - starts[row])
        hashes[row, 0] = mix(first ^ n_values)
        hashes[row, 1] = mix(second + n_values)
    return hashes


@nb.njit(cache=True, nogil=True)
def hash128_codes(codes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Hash each row of a ragged array of code points to 128 bits, three code points per step.

    Args: codes, uint32 (n_codes,), each below 2**21; starts, int64 (n_rows + 1,).
    Returns: uint64 (n_rows, 2).
    """
    hashes = np.empty((len(starts) - 1, 2), np.uint64)
    for row in range(len(hashes)):
        first, second = ODD_B, ODD_A
        low, high = starts[row], starts[row + 1]
        for i in range(low, high, 3):
            value = np.uint64(codes[i])
            if i + 2 < high:
                value |= np.uint64(codes[i + 1]) << np.uint64(21) | np.uint64(codes[i + 2]) << np.uint64(42)
            elif i + 1 < high:
                value |= np.uint64(codes[i + 1]) << np.uint64(21)
            first = step(first, value, ODD_A)
            second = step(second, value, ODD_B)
        hashes[row, 0] = mix(first ^ np.uint64(high - low))
        hashes[row, 1] = mix(second + np.uint64(high - low))
    return hashes


def string_keys(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Hash each string of a column, uint64 (n_rows,); null hashes like the empty string."""
    data, offsets = utf8_buffers(column)
    return hash128(data, offsets)[:, 0]


VIEWS = ("code_switched", "pinyin")
"""Provenance of derived documents that are views of their parent. Each repeats it on purpose, so it is compared with no
other document: a passage that is cut from a code-switched text could not be restored."""


def is_view(parent_id: pa.ChunkedArray, provenance: pa.ChunkedArray) -> np.ndarray:
    """Whether documents are views of their parents, bool (n_rows,): derived ones with a provenance of VIEWS."""
    both = pc.and_(pc.is_valid(parent_id), pc.is_in(provenance, pa.array(VIEWS)))
    return both.to_numpy().astype(bool)


def salt(parent_id: pa.ChunkedArray, provenance: pa.ChunkedArray | None = None) -> np.ndarray:
    """Return uint64 (n_rows,) to mix into keys, so that derived documents become candidates of each other only.

    Views of a parent by one method become candidates of each other only, if their provenance is given.
    """
    salts = np.asarray(parent_id.is_valid().combine_chunks()).astype(np.uint64) * ODD_B
    if provenance is None:
        return salts
    views = is_view(parent_id, provenance)
    if views.any():
        mask = pa.array(views)
        salts[views] ^= string_keys(parent_id.filter(mask)) ^ (string_keys(provenance.filter(mask)) * ODD_A)
    return salts


def hash_lanes(hashes: pa.FixedSizeBinaryArray) -> np.ndarray:
    """View 128-bit hashes as uint64 (n, 2); the values of nulls are undefined."""
    buffer = hashes.buffers()[1]
    if buffer is None or not len(hashes):
        return np.zeros((len(hashes), 2), np.uint64)
    return np.frombuffer(buffer, np.uint64, 2 * len(hashes), 16 * hashes.offset).reshape(-1, 2)
