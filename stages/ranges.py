"""Ranges: the windows that a shared anchor serves, as arrays over a batch of documents.

What steps that exchange ranges have in common: where they lie, and the key by which equal ones meet.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.keysort import key_order
from stages.anchors import KEY_BITS
from stages.kernels.hashing import salt

ANCHORS = ("anchors.keys", "anchors.firsts", "anchors.n_windows")
READS = ("parent_id", *ANCHORS, "shared_anchors.places")
LEAST = ("anchors.min_chars_han", "anchors.min_chars_other")


class Ranges(NamedTuple):
    """Ranges of a batch, in order.

    docs: int64 (n_ranges,), row of the batch. keys: uint64. firsts, stops: int64, the first window of each and one past
    its last, by first characters in the document. again: bool, the anchor before it in the document has the same key,
    so that it may serve several grams that say the same (see `kernels.anchors`).
    """

    docs: np.ndarray
    keys: np.ndarray
    firsts: np.ndarray
    stops: np.ndarray
    again: np.ndarray


def anchor_keys(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Row of each anchor of a batch, int64 (n_anchors,), and the key by which it is compared, uint64."""
    keys = table["anchors.keys"].combine_chunks()
    docs = pc.list_parent_indices(keys).to_numpy().astype(np.int64)
    return docs, (pc.list_flatten(keys).to_numpy() ^ salt(table["parent_id"])[docs]) & KEY_BITS


def find_ranges(table: pa.Table) -> Ranges:
    """The ranges of all shared anchors of a batch with the columns of READS."""
    places = table["shared_anchors.places"].combine_chunks()
    docs = pc.list_parent_indices(places).to_numpy().astype(np.int64)
    firsts = table["anchors.firsts"].combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(firsts), 0).to_numpy().astype(np.int64)
    begins = np.cumsum(lengths) - lengths
    chosen = begins[docs] + pc.list_flatten(places).to_numpy()
    flat = pc.list_flatten(firsts).to_numpy().astype(np.int64)
    whole = pc.list_flatten(table["anchors.keys"].combine_chunks()).to_numpy()
    keys = anchor_keys(table)[1]
    stops = np.append(flat[1:], 0)[chosen]
    at_end = chosen + 1 == (begins + lengths)[docs]
    stops[at_end] = table["anchors.n_windows"].to_numpy()[docs[at_end]]
    again = (chosen > begins[docs]) & (whole[chosen] == whole[chosen - 1])
    return Ranges(docs, keys[chosen], flat[chosen], stops, again)


def in_order(keys: np.ndarray) -> np.ndarray:
    """Places of keys in order of (key, place), the order of answers: uint32 (n,)."""
    return key_order(keys, np.arange(len(keys), dtype=np.uint64))


def list_rows(table: pa.Table, docs: np.ndarray, columns: dict[str, pa.Array | np.ndarray]) -> pa.Table:
    """Gather values by document: `row`, and a list column for each of columns; documents without any are left out.

    Args: docs, int64 (n,), row of the batch, ascending; columns, n values each.
    """
    distinct, begins = np.unique(docs, return_index=True)
    offsets = pa.array(np.append(begins, len(docs)), pa.int32())
    lists = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in columns.items()}
    return pa.table({"row": table["row"].to_numpy()[distinct], **lists})
