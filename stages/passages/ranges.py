"""Ranges: the windows that a shared anchor represents, as arrays over a batch of documents.

Shared by the steps that compare ranges (`stages.passages.equal_ranges`, `stages.passages.repeated_windows`): the
position of each range, and the key by which equal ranges are brought together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.keysort import key_order
from stages.kernels.text.hashing import salt
from stages.passages.anchors import KEY_BITS

ANCHORS = ("anchors.keys", "anchors.firsts", "anchors.n_windows")
READS = ("parent_id", "provenance", *ANCHORS, "shared_anchors.places")
LEAST = ("anchors.min_chars_han", "anchors.min_chars_other")


class Ranges(NamedTuple):
    """Ranges of a batch, in order; all arrays have the shape (n_ranges,).

    docs: int64, row in the batch. keys: uint64. firsts, stops: int64, the first window and one past the last, each by
    the offset of its first character in the document. again: bool, whether the previous anchor of the document has
    the same key, so that this one may represent several equal grams (see `kernels.passages.anchors`).
    """

    docs: np.ndarray
    keys: np.ndarray
    firsts: np.ndarray
    stops: np.ndarray
    again: np.ndarray


def anchor_keys(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the document and the key of each anchor of a batch.

    Args: table, with `anchors.keys`, `parent_id` and `provenance`.
    Returns: int64 (n_anchors,), row in the batch; uint64 (n_anchors,), the key that is compared.
    """
    keys = table["anchors.keys"].combine_chunks()
    docs = pc.list_parent_indices(keys).to_numpy().astype(np.int64)
    return docs, (
        pc.list_flatten(keys).to_numpy() ^ salt(table["parent_id"], table["provenance"])[docs]
    ) & KEY_BITS


def find_ranges(table: pa.Table) -> Ranges:
    """Return the ranges, (n_ranges,), of all shared anchors of a batch; `table` has the columns of READS."""
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
    """Return the positions of keys sorted by (key, position), the order of answers: uint64 (n,) to uint32 (n,)."""
    return key_order(keys, np.arange(len(keys), dtype=np.uint64))


def list_rows(table: pa.Table, docs: np.ndarray, columns: dict[str, pa.Array | np.ndarray]) -> pa.Table:
    """Gather values into one list per document.

    Args: table, with `row`; docs, int64 (n,), row in the batch of each value, ascending; columns, n values each.
    Returns: one row for each document with values: `row`, and a list column for each of columns.
    """
    distinct, begins = np.unique(docs, return_index=True)
    offsets = pa.array(np.append(begins, len(docs)), pa.int32())
    lists = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in columns.items()}
    return pa.table({"row": table["row"].to_numpy()[distinct], **lists})
