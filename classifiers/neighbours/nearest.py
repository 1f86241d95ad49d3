"""The nearest vectors of a few thousand, each compared with each, and the best of several lists.

Dot products of int8 vectors of 128 entries are below 2^24, so that products in float32 are exact in any order, and the
result is the same on any machine.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 256
"""Vectors compared at a time with all others of the cell."""

NONE = np.float32(-2)
"""Cosine of a place in a list that is empty."""


def nearest_in_cell(
    vectors: np.ndarray, content: np.ndarray, languages: np.ndarray, n_neighbours: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest vectors of each, in its own language and in the others.

    Of several vectors with one content, only the first is listed; vectors of one's own content are not.

    Args: vectors, int8 (n, 128), none of them zero; content, uint64 (n,); languages, uint64 (n,), 0 if unknown.
    Returns: positions, int64 (n, 2, n_neighbours), -1 where there is none; cosines, float32, NONE where there is none.
        Of equal cosines the lower position is first. [:, 0] is of the own language, [:, 1] of the others.
    """
    dense = vectors.astype(np.float32)
    lengths = np.sqrt((vectors.astype(np.int64) ** 2).sum(axis=1).astype(np.float64))
    shape = len(vectors), 2, n_neighbours
    found, cosines = np.full(shape, -1, np.int64), np.full(shape, NONE, np.float32)
    for start in range(0, len(vectors), BLOCK):
        dots = dense[start : start + BLOCK] @ dense.T
        _rank(dots, lengths, content, languages, start, found, cosines)
    return found, cosines


@njit(cache=True, nogil=True)
def _rank(dots, lengths, content, languages, start, found, cosines):  # type: ignore[no-untyped-def]
    """Insert the vectors of the cell into the lists of those from `start` on."""
    n_listed = found.shape[2]
    for i in range(len(dots)):
        own = start + i
        for j in range(len(lengths)):
            cosine = np.float32(dots[i, j] / (lengths[own] * lengths[j]))
            known = languages[own] != 0 and languages[j] != 0
            side = 1 if known and languages[own] != languages[j] else 0
            if cosine <= cosines[own, side, n_listed - 1] or content[j] == content[own]:
                continue
            place = n_listed - 1
            for k in range(n_listed):
                if found[own, side, k] >= 0 and content[found[own, side, k]] == content[j]:
                    place = -1
                    break
            if place < 0:
                continue
            while place > 0 and cosine > cosines[own, side, place - 1]:
                found[own, side, place] = found[own, side, place - 1]
                cosines[own, side, place] = cosines[own, side, place - 1]
                place -= 1
            found[own, side, place], cosines[own, side, place] = j, cosine


def merge(rows: np.ndarray, cosines: np.ndarray, n_neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the best of several lists, each row once.

    Args: rows, integers (n, 2, n_places); cosines, float32 (n, 2, n_places), NONE where there is none.
    Returns: both as (n, 2, n_neighbours), by falling cosine, then row.
    """
    order = np.lexsort((rows, -cosines), axis=-1)
    rows, cosines = np.take_along_axis(rows, order, -1), np.take_along_axis(cosines, order, -1)
    again = (rows[..., 1:] == rows[..., :-1]) & (cosines[..., 1:] == cosines[..., :-1])
    cosines[..., 1:][again] = NONE
    order = np.argsort(-cosines, axis=-1, kind="stable")[..., :n_neighbours]
    return np.take_along_axis(rows, order, -1), np.take_along_axis(cosines, order, -1)
