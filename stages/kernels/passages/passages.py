"""Lines and paragraphs of texts that are long enough to be compared, as spans of the text.

The units of a document cover it completely: a unit is a line with its break and the empty lines after it, or a
paragraph with the empty lines after it. So a document from which a unit is removed has no gap.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

from stages.kernels.dedup.minhash import match_text
from stages.kernels.passages.anchors import wide_table
from stages.kernels.text.hashing import ODD_B, hash128, mix
from stages.kernels.text.lines import next_line
from stages.kernels.text.tables import MARK
from stages.kernels.text.text import utf8_buffers, view


class Units(NamedTuple):
    """Units of a batch, in order: int64 (n_units,) each.

    docs: index of the document. starts, ends: span of the unit in code points of the document. first_bytes, last_bytes:
    span of the unit in the UTF-8 buffer of the batch, half-open.
    """

    docs: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first_bytes: np.ndarray
    last_bytes: np.ndarray


def find_units(
    text: pa.ChunkedArray | pa.Array, by_line: bool, min_chars_han: int, min_chars_other: int
) -> tuple[Units, np.ndarray]:
    """Find the units with enough word characters: letters, digits and ideographs, weighed by script.

    Args: by_line, whether units are lines rather than paragraphs; min_chars_han and min_chars_other, least number of
    word characters of a unit of wide characters and of one of others.
    Returns: the units; uint64 (n_units, 2), hashes of their match text.
    """
    decoded = view(text)
    data, offsets = utf8_buffers(text)
    units = Units(*_cut_units(*decoded, offsets, wide_table(), by_line, min_chars_han, min_chars_other))
    match = match_text(unit_texts(data, units))
    return units, hash128(match.codes, match.starts)


def unit_texts(data: np.ndarray, units: Units) -> pa.LargeStringArray:
    """Return the texts of units, copied from data, uint8, the UTF-8 buffer of the batch."""
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
    """Compute the columns of Units.

    A wide character weighs narrow_chars and any other word character weighs wide_chars; a unit must weigh at least
    their product.
    """
    target = np.int64(wide_chars) * narrow_chars
    n_most = len(codes) * max(wide_chars, narrow_chars) // target + len(starts)
    units = np.empty((5, n_most), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        low, high = starts[doc], starts[doc + 1]
        begin, begin_byte, weight = low, offsets[doc], np.int64(0)  # of the open unit
        byte, has_line, after_blank = offsets[doc], False, False
        i = low
        while i < high:
            first, last, following = next_line(codes, classes, i, high)
            if last > first:
                if has_line and (by_line or after_blank):
                    if weight >= target:
                        units[0, n], units[1, n], units[2, n] = doc, begin - low, i - low
                        units[3, n], units[4, n] = begin_byte, byte
                        n += 1
                    begin, begin_byte, weight = i, byte, np.int64(0)
                has_line, after_blank = True, False
            else:
                after_blank = True
            for k in range(i, following):
                code = codes[k]
                byte += 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)
                if classes[k] >= MARK:
                    weight += narrow_chars if wide[code] else wide_chars
            i = following
        if weight >= target:
            units[0, n], units[1, n], units[2, n] = doc, begin - low, high - low
            units[3, n], units[4, n] = begin_byte, byte
            n += 1
    return units[0, :n], units[1, :n], units[2, :n], units[3, :n], units[4, :n]


@nb.njit(cache=True, nogil=True)
def passage_ids(keys: np.ndarray, checks: np.ndarray) -> np.ndarray:
    """Combine keys, uint64 (n,), and their checks, unsigned (n,), into one identifier each: uint64 (n,)."""
    ids = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        ids[i] = mix(keys[i] ^ mix(np.uint64(checks[i]) + ODD_B))
    return ids
