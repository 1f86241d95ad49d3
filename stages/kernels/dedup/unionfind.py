"""Connected components by union-find, each named by its smallest member."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def components(n_nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Label each node of a graph with the smallest node of its connected component.

    The larger root is always linked below the smaller one, so the labels do not depend on the order of edges; path
    halving keeps the trees flat.

    Args: n_nodes; left and right, integers (n_edges,) in [0, n_nodes), the ends of each edge.
    Returns: int64 (n_nodes,), labels, label[i] <= i.
    Source: Tarjan and van Leeuwen, JACM 31(2), 1984, on path halving.
    """
    parent = np.arange(n_nodes)
    for edge in range(len(left)):
        a, b = np.int64(left[edge]), np.int64(right[edge])
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for node in range(n_nodes):  # parents are smaller, so their labels are final
        parent[node] = parent[parent[node]]
    return parent


def locate(rows: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find row numbers among distinct row numbers.

    Args: rows, (n_rows,), distinct, in any order; wanted, (n_wanted,), in any order.
    Returns: int64 (n_wanted,), index into rows, arbitrary if absent; bool (n_wanted,), whether it is present.
    """
    if not len(rows):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    order = np.argsort(rows, kind="stable")
    positions = np.minimum(np.searchsorted(rows[order], wanted), len(rows) - 1)
    return order[positions], rows[order][positions] == wanted
