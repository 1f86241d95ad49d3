"""Check of the hold-out of a release: no mix has a document held out, nor one of its cluster or family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from pipeline.inspect.verify_data import batches, parts_below
from pipeline.inspect.verify_ledger import Ledger, ids
from pipeline.inspect.verify_mix import EXAMPLES, Order
from pipeline.mix.holdout import HOLDOUT
from pipeline.storage.store import Store
from pipeline.translation import message


def parents_of(release: Store, listed: Sequence[str], ledger: Ledger) -> np.ndarray:
    """Return the parent of each document in data/, of `ids`: uint64 (n_rows,), the value of a null for none."""
    parents = np.full(len(ledger) + 1, _none(), np.uint64)  # the last for documents that the ledger lacks
    for name in parts_below(listed, "data/"):
        for table in batches(release, name, ["doc_id", "parent_id"]):
            parents[ledger.find(ids(table["doc_id"]))] = ids(table["parent_id"])
    return parents[:-1]


def holdout_faults(
    release: Store, ledger: Ledger, parents: np.ndarray, orders: Mapping[str, Order]
) -> tuple[int, list[str]]:
    """Return the number of documents held out, and what is wrong.

    Args: parents, of `parents_of`; orders, of every mix, the hold-out among them.
    """
    held = _rows(orders[HOLDOUT])
    groups = (ledger.id, ledger.cluster, parents)
    names = np.concatenate([group[held] for group in groups])
    names = np.unique(names[names != _none()])
    faults = []
    for mix in sorted(set(orders) - {HOLDOUT}):
        rows = _rows(orders[mix])
        both = rows[np.isin(rows, held)]
        near = np.any([np.isin(group[rows], names) for group in groups], axis=0) & ~np.isin(rows, held)
        faults += [
            message(f"{doc_id} is held out and in mix {mix}")
            for doc_id in ledger.names(release, both[:EXAMPLES])
        ]
        faults += [
            message(f"{doc_id} in mix {mix} is of the cluster or family of a document that is held out")
            for doc_id in ledger.names(release, rows[near][:EXAMPLES])
        ]
    return len(held), faults


def _rows(order: Order) -> np.ndarray:
    return np.unique(order.rows[order.rows >= 0])


def _none() -> np.uint64:
    """What `ids` returns for a null."""
    return np.uint64(ids(pa.chunked_array([pa.array([None], pa.string())]))[0])
