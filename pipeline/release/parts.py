"""Parts of about equal bytes, cut from a sequence of documents that is divided into ranges.

The documents of data/ are in one of two orders. `hash`: all of a language in an order that is random but fixed, so that
any stretch of it is a sample. Each new document then falls between two old ones, and a release with 1 % more documents
has new bytes nearly everywhere. `input`: shards one after another, the documents of each in random order, so that the
documents of new files are together, and the bytes of the rest are those of the release before.

By hash, a range knows the bytes in front of it and in all, so that it cuts itself; numbers of its parts and rows count
from the beginning of the range, until it is known where the range before ends. By shard, parts are cut at documents
chosen by their hash, one range after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cut:
    """How one range of a sequence is cut. n_rows; n_parts, of which it has rows; first and last: their numbers before
    empty parts are left out; tail: rows of the last one in this range."""

    n_rows: int
    n_parts: int
    first: int
    last: int
    tail: int


NOTHING = Cut(0, 0, -1, -1, 0)


@dataclass(frozen=True)
class Base:
    """What is added to the numbers of a range: to parts, and to rows of its first part."""

    part: int
    row: int


def cut_range(
    sizes: np.ndarray, before: int, total: int, part_bytes: int
) -> tuple[np.ndarray, np.ndarray, Cut]:
    """Cut a range of a sequence into parts of about part_bytes.

    A document is in part floor(bytes in front of it * n / total), where n is total / part_bytes, rounded.

    Args: sizes, int64 (n,), bytes; before, bytes of the sequence in front of the range; total, of the whole sequence.
    Returns: part, and row within the part, both counted from the beginning of the range: int32 (n,); and the cut.
    """
    if not len(sizes):
        return np.zeros(0, np.int32), np.zeros(0, np.int32), NOTHING
    starts = before + np.cumsum(sizes) - sizes
    n_parts = max(1, round(total / part_bytes))
    low, high = (min(int(at) * n_parts // max(total, 1), n_parts - 1) for at in (starts[0], starts[-1]))
    bounds = [-(-number * total // n_parts) for number in range(low + 1, high + 1)]  # exact for any total
    number = low + np.searchsorted(np.array(bounds, np.int64), starts, side="right")
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    part = np.cumsum(np.diff(number, prepend=number[0]) > 0)
    row = np.arange(len(sizes)) - firsts[part]
    cut = Cut(len(sizes), len(firsts), int(number[0]), int(number[-1]), len(sizes) - int(firsts[-1]))
    return part.astype(np.int32), row.astype(np.int32), cut


def join_cuts(cuts: Sequence[Cut]) -> tuple[list[Base], int]:
    """What to add to the numbers of each range, and the number of parts of the sequence. Args: cuts, by range."""
    bases, n_parts, last, tail = [], 0, -1, 0
    for cut in cuts:
        goes_on = cut.n_rows > 0 and cut.first == last
        base = Base(n_parts - 1, tail) if goes_on else Base(n_parts, 0)
        bases.append(base)
        if cut.n_rows:
            n_parts = base.part + cut.n_parts
            tail = cut.tail + (base.row if cut.n_parts == 1 else 0)
            last = cut.last
    return bases, n_parts


@dataclass(frozen=True)
class Open:
    """The part that is open at the beginning of a range: its number, and its documents and bytes so far."""

    number: int = 0
    n_rows: int = 0
    n_bytes: int = 0


MARKS_PER_PART = 2
"""Marks to cut at per part, about."""


def mark_spacing(total: int, n_docs: int, part_bytes: int) -> int:
    """Every how many documents one is a mark: a power of two. Args: bytes and documents of the sequence."""
    mean = max(total // max(n_docs, 1), 1)
    return int(1 << max(part_bytes // MARKS_PER_PART // mean, 1).bit_length() - 1)


def cut_marked(
    sizes: np.ndarray, is_mark: np.ndarray, part_bytes: int, left: Open
) -> tuple[np.ndarray, np.ndarray, Open]:
    """Cut a range of a sequence at marked documents, so that one more or less moves the borders beside it only.

    A part ends before the first mark after half of part_bytes, or before it has twice part_bytes. Marks are rare, so
    that two sequences that differ in front soon end a part at the same one. Ranges are cut one after another.

    Args: sizes, int64 (n,), bytes; is_mark, bool (n,); left, what the range before left open.
    Returns: part and row within the part, of the whole sequence: int32 (n,); and what is left open.
    """
    n_docs, ends, marks = len(sizes), np.cumsum(sizes), np.flatnonzero(is_mark)
    starts = ends - sizes
    part, row = np.zeros(n_docs, np.int32), np.zeros(n_docs, np.int32)
    start, number, n_rows, n_bytes = 0, left.number, left.n_rows, left.n_bytes
    while start < n_docs:
        before = (int(ends[start - 1]) if start else 0) - n_bytes
        first = start + (n_rows == 0)  # a part has at least one document
        least = max(int(np.searchsorted(starts, before + part_bytes // 2)), first)
        most = max(int(np.searchsorted(ends, before + 2 * part_bytes)), first)
        mark = int(np.searchsorted(marks, least))
        end = min(int(marks[mark]) if mark < len(marks) else n_docs, most, n_docs)
        part[start:end], row[start:end] = number, n_rows + np.arange(end - start)
        if end == n_docs:
            return part, row, Open(number, n_rows + end - start, int(ends[-1]) - before)
        start, number, n_rows, n_bytes = end, number + 1, 0, 0
    return part, row, left


def based(part: np.ndarray, row: np.ndarray, base: Base) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in the sequence from those in a range: part and row, int32 (n,)."""
    return (part + base.part).astype(np.int32), (row + np.where(part == 0, base.row, 0)).astype(np.int32)
