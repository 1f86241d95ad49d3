"""Lines and paragraphs of texts, long enough to be compared, as places in the text.

The text of a document is cut into units that leave nothing out: a line with its break and the empty lines after it,
or a paragraph with the empty lines after it. So what remains when one goes stands as if it had never been there.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

from stages.kernels.anchors import wide_table
from stages.kernels.hashing import ODD_B, hash128, mix
from stages.kernels.lines import next_line
from stages.kernels.minhash import match_text
from stages.kernels.tables import MARK
from stages.kernels.text import utf8_buffers, view


class Units(NamedTuple):
    """Units of a batch, in order: int64 (n_units,) each.

    docs: number of the document. starts, ends: code points of the document; first_bytes, last_bytes: where the unit
    begins and ends in the UTF-8 buffer of the batch.
    """

    docs: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first_bytes: np.ndarray
    last_bytes: np.ndarray


def find_units(
    text: pa.ChunkedArray | pa.Array, by_line: bool, min_chars_han: int, min_chars_other: int
) -> tuple[Units, np.ndarray]:
    """Find the units that hold enough characters of words: letters, digits and ideographs, in proportion by script.

    Returns: the units; uint64 (n_units, 2), hashes of their match text.
    """
    decoded = view(text)
    data, offsets = utf8_buffers(text)
    units = Units(*_cut_units(*decoded, offsets, wide_table(), by_line, min_chars_han, min_chars_other))
    match = match_text(unit_texts(data, units))
    return units, hash128(match.codes, match.starts)


def unit_texts(data: np.ndarray, units: Units) -> pa.LargeStringArray:
    """The text of each unit as a row of its own."""
    lengths = units.last_bytes - units.first_bytes
    offsets = np.append(0, np.cumsum(lengths))
    copied = _copy(data, units.first_bytes, offsets)
    return pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(copied))


@nb.njit(cache=True, nogil=True)
def _copy(data: np.ndarray, begins: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    copied = np.empty(offsets[-1], np.uint8)
    for i in range(len(begins)):
        n_bytes = offsets[i + 1] - offsets[i]
        copied[offsets[i] : offsets[i + 1]] = data[begins[i] : begins[i] + n_bytes]
    return copied


@nb.njit(cache=True, nogil=True)
def _cut_units(codes, starts, classes, offsets, wide, by_line, wide_chars, narrow_chars):  # type: ignore[no-untyped-def]
    """Columns of Units.

    A wide character weighs narrow_chars, any other of a word wide_chars; their product is enough.
    """
    target = np.int64(wide_chars) * narrow_chars
    n_most = len(codes) * max(wide_chars, narrow_chars) // target + len(starts)
    found = np.empty((5, n_most), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        low, high = starts[doc], starts[doc + 1]
        begin, begin_byte, weight = low, offsets[doc], np.int64(0)  # of the unit that is being read
        here, seen, after_blank = offsets[doc], False, False
        i = low
        while i < high:
            first, last, following = next_line(codes, classes, i, high)
            if last > first:
                if seen and (by_line or after_blank):
                    if weight >= target:
                        found[0, n], found[1, n], found[2, n] = doc, begin - low, i - low
                        found[3, n], found[4, n] = begin_byte, here
                        n += 1
                    begin, begin_byte, weight = i, here, np.int64(0)
                seen, after_blank = True, False
            else:
                after_blank = True
            for k in range(i, following):
                code = codes[k]
                here += 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)
                if classes[k] >= MARK:
                    weight += narrow_chars if wide[code] else wide_chars
            i = following
        if weight >= target:
            found[0, n], found[1, n], found[2, n] = doc, begin - low, high - low
            found[3, n], found[4, n] = begin_byte, here
            n += 1
    return found[0, :n], found[1, :n], found[2, :n], found[3, :n], found[4, :n]


@nb.njit(cache=True, nogil=True)
def passage_ids(keys: np.ndarray, checks: np.ndarray) -> np.ndarray:
    """One number for each pair of a key and its check: uint64 (n,)."""
    ids = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        ids[i] = mix(keys[i] ^ mix(np.uint64(checks[i]) + ODD_B))
    return ids
