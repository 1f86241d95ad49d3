"""The order of the documents of data/, and where it is cut into parts.

`hash`: all documents of a language in an order that is random but fixed, so that any stretch of it is a sample. Each
new document then falls between two old ones, and a release with 1 % more documents has new bytes nearly everywhere.
`input`: shards one after another, the documents of each in random order, so that the documents of new files are
together, and the bytes of the rest are those of the release before.
"""

from __future__ import annotations

import numpy as np

from pipeline.schema import ROW_BITS

PER_PART = 2
"""Marks to cut at per part, about."""


def ordered(rows: np.ndarray, places: np.ndarray, hashes: np.ndarray, order: str) -> np.ndarray:
    """Sort documents as they are written. Args: rows, to be sorted; places, row ids with the shard in the upper bits,
    and hashes, of all documents, uint64 (n_docs,); order, `hash` or `input`."""
    if order == "hash":
        return rows[np.argsort(hashes[rows], kind="stable")]
    return rows[np.lexsort((hashes[rows], places[rows] >> np.uint64(ROW_BITS)))]


def cut_at_marks(sizes: np.ndarray, hashes: np.ndarray, part_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a sequence into parts of about part_bytes, at documents chosen by their hash, so that a document more or less
    moves the borders beside it and no others; returns part and row within the part, int32 (n,) each.

    A part ends at the first mark after half of part_bytes, or at twice part_bytes. Marks are rare, so that sequences
    that differ in front soon end a part at the same one.
    """
    n_docs = len(sizes)
    mean = max(int(sizes.sum()) // max(n_docs, 1), 1)
    modulus = np.uint64(1 << max(part_bytes // PER_PART // mean, 1).bit_length() - 1)
    marks = np.flatnonzero(hashes % modulus == 0)
    ends = np.cumsum(sizes)
    part, row = np.zeros(n_docs, np.int32), np.zeros(n_docs, np.int32)
    start = number = 0
    while start < n_docs:
        before = int(ends[start - 1]) if start else 0
        least = int(np.searchsorted(ends, before + part_bytes // 2)) + 1
        most = max(int(np.searchsorted(ends, before + 2 * part_bytes)), start + 1)
        mark = int(np.searchsorted(marks, least))
        end = min(int(marks[mark]) if mark < len(marks) else n_docs, most, n_docs)
        part[start:end], row[start:end] = number, np.arange(end - start)
        start, number = end, number + 1
    return part, row
