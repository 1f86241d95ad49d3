"""Cells of vectors: each is compared with those of its own cells, and a large cell is divided by k-means.

An inverted file as in Jégou et al. 2011 (Product Quantization for Nearest Neighbor Search), with every vector entered
in its `probes` nearest cells. Centroids are integers and sums exact, so that cells are the same on any machine.
"""

from __future__ import annotations

import numpy as np

from classifiers.embedding import CENTROID_LENGTH
from classifiers.neighbours.nearest import NONE, merge, nearest_in_cell

MAX_CHILDREN = 64
"""Most cells that one is divided into at a time."""

SAMPLE = 64
"""Vectors a cell that k-means sees."""

ROUNDS = 8
BATCH = 65536


def choose_cells(vectors: np.ndarray, centroids: np.ndarray, probes: int) -> np.ndarray:
    """Numbers of the nearest centroids by dot product, best first, the lower of equals: int64 (n, probes).

    Args: vectors, int8 (n, 128); centroids, int16 (n_cells, 128), all of one length.
    """
    n_chosen = min(probes, len(centroids))
    chosen = np.empty((len(vectors), n_chosen), np.int64)
    columns = centroids.T.astype(np.float64)  # whole numbers below 2^53: exact
    for start in range(0, len(vectors), BATCH):
        near = vectors[start : start + BATCH].astype(np.float64) @ columns
        for k in range(n_chosen):
            best = near.argmax(axis=1)
            chosen[start : start + BATCH, k] = best
            near[np.arange(len(near)), best] = -np.inf
    return chosen


def divide(vectors: np.ndarray, n_cells: int) -> np.ndarray:
    """Centroids of spherical k-means over a sample at regular distances: int16 (n_cells, 128)."""
    sample = vectors[:: max(len(vectors) // (SAMPLE * n_cells), 1)]
    centroids = _scaled(sample[:: max(len(sample) // n_cells, 1)][:n_cells].astype(np.int64))
    for _ in range(ROUNDS):
        labels = choose_cells(sample, centroids, 1)[:, 0]
        sums = np.zeros(centroids.shape, np.int64)
        np.add.at(sums, labels, sample)
        used = sums.any(axis=1)
        centroids[used] = _scaled(sums[used])
    return centroids


def _scaled(sums: np.ndarray) -> np.ndarray:
    """Vectors of length CENTROID_LENGTH, rounded; sums: int64 (n, 128), none of them zero."""
    lengths = np.sqrt((sums.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return np.rint(CENTROID_LENGTH * sums / lengths).astype(np.int16)


def search(
    vectors: np.ndarray,
    content: np.ndarray,
    languages: np.ndarray,
    n_neighbours: int,
    probes: int,
    max_cell: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest vectors of each within a cell; see `nearest_in_cell` for arguments and result.

    A cell of more than max_cell vectors is divided first, and what is found in its cells is merged.
    """
    if len(vectors) <= max_cell:
        return nearest_in_cell(vectors, content, languages, n_neighbours)
    shape = len(vectors), 2, n_neighbours
    found, cosines = np.full(shape, -1, np.int64), np.full(shape, NONE, np.float32)
    for rows in _members(vectors, probes, max_cell):
        inside, near = search(vectors[rows], content[rows], languages[rows], n_neighbours, probes, max_cell)
        inside = np.where(inside >= 0, rows[inside], -1)
        both = np.concatenate([found[rows], inside], axis=2), np.concatenate([cosines[rows], near], axis=2)
        found[rows], cosines[rows] = merge(*both, n_neighbours)
    return found, cosines


def _members(vectors: np.ndarray, probes: int, max_cell: int) -> list[np.ndarray]:
    """Positions of the vectors of each cell that a large one is divided into; none has them all."""
    n_cells = min(MAX_CHILDREN, -(-2 * probes * len(vectors) // max_cell))
    chosen = choose_cells(vectors, divide(vectors, n_cells), probes)
    cells = [np.flatnonzero((chosen == cell).any(axis=1)) for cell in range(n_cells)]
    if max(map(len, cells)) == len(vectors):  # alike, so that any division is as good
        return [
            np.arange(start, min(start + max_cell, len(vectors)))
            for start in range(0, len(vectors), max_cell)
        ]
    return [rows for rows in cells if len(rows)]
