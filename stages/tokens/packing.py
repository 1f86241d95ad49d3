"""Packing: tokenised documents become sequences of one length, with the boundaries of documents in each.

`stream` concatenates the documents and cuts the stream, as most loaders do: only the last sequence of a part is
padded, and nearly every sequence begins in the middle of a document. `best_fit` cuts documents only where they are
longer than a sequence, and puts the pieces into the fullest sequence that has room; it pads what stays free.

Source: Ding et al., Fewer Truncations Improve Language Modeling, 2024 (best-fit packing).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

METHODS = ("stream", "best_fit")
WINDOW = 256
"""best_fit looks at the documents of this many sequences at a time, so that the training order is kept beyond it."""


@dataclass(frozen=True)
class Sequence:
    """ids: (length,), padding included. bounds: boundaries of the documents, from 0 to the number of tokens without
    padding, int32 (n_documents + 1,). documents: the row of each document in the part, int32 (n_documents,)."""

    ids: np.ndarray
    bounds: np.ndarray
    documents: np.ndarray

    @property
    def n_tokens(self) -> int:
        """Tokens without padding."""
        return int(self.bounds[-1])


def whole(row: int, ids: np.ndarray) -> Sequence:
    """One document as a sequence of its own."""
    return Sequence(ids, np.array([0, len(ids)], np.int32), np.array([row], np.int32))


def pack(
    documents: Iterable[tuple[int, np.ndarray]], length: int, method: str, fill: int
) -> Iterator[Sequence]:
    """Yield sequences of `length` tokens.

    Args: documents, (row in the part, ids) in training order; method, one of METHODS; fill, the id of padding.
    """
    pieces = _pieces(documents, length)
    for group in _stream(pieces, length) if method == "stream" else _best_fit(pieces, length):
        lengths = [len(ids) for _, ids in group]
        n = sum(lengths)
        parts = [ids for _, ids in group]
        if n < length:
            parts.append(np.full(length - n, fill, parts[0].dtype))
        rows = np.array([row for row, _ in group], np.int32)
        yield Sequence(np.concatenate(parts), np.cumsum([0, *lengths], dtype=np.int32), rows)


Piece = tuple[int, np.ndarray]


def _pieces(documents: Iterable[Piece], length: int) -> Iterator[Piece]:
    """Documents cut into pieces of at most `length` tokens."""
    for row, ids in documents:
        for start in range(0, len(ids), length):
            yield row, ids[start : start + length]


def _stream(pieces: Iterable[Piece], length: int) -> Iterator[list[Piece]]:
    """Groups of exactly `length` tokens, the last one excepted; a piece that does not fit continues in the next."""
    group: list[Piece] = []
    room = length
    for row, ids in pieces:
        while len(ids):
            if group and group[-1][0] == row and room < length:
                group[-1] = (row, np.concatenate([group[-1][1], ids[:room]]))
            else:
                group.append((row, ids[:room]))
            ids, room = ids[room:], room - len(ids[:room])
            if not room:
                yield group
                group, room = [], length
    if group:
        yield group


def _best_fit(pieces: Iterable[Piece], length: int) -> Iterator[list[Piece]]:
    window: list[Piece] = []
    n_tokens = 0
    for piece in pieces:
        window.append(piece)
        n_tokens += len(piece[1])
        if n_tokens >= WINDOW * length:
            yield from _fit(window, length)
            window, n_tokens = [], 0
    yield from _fit(window, length)


def _fit(window: list[Piece], length: int) -> Iterator[list[Piece]]:
    """Best-fit decreasing: the longest piece first, into the bin that it leaves the least room in; ties by order.

    Bins come out in the order of their first document, and so do the documents of a bin.
    """
    bins: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (room left, bin), ascending
    for i in sorted(range(len(window)), key=lambda i: (-len(window[i][1]), i)):
        size = len(window[i][1])
        at = bisect.bisect_left(rooms, (size, -1))
        if at == len(rooms):
            bins.append([i])
            room, number = length - size, len(bins) - 1
        else:
            room, number = rooms.pop(at)
            bins[number].append(i)
            room -= size
        if room:
            bisect.insort(rooms, (room, number))
    for members in sorted(map(sorted, bins)):
        yield [window[i] for i in members]
