"""Shared anchors: the anchors of a document whose key occurs more than once, in this document or in others.

Reads the keys of anchors, no text; writes the indices of shared anchors. Where no anchor is shared, no passage is
repeated. Derived documents share anchors only with each other, because they repeat their parents' text by construction.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.stage import Global, NoConfig
from stages.passages.ranges import anchor_keys, in_order, list_rows

SCHEMA = pa.schema({"places": pa.list_(pa.int32())})
"""places: indices of the shared anchors among the anchors of the document, from 0; null without shared anchors."""


def map_keys(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return `key`, uint64 (n_anchors,), one row for each anchor; answers are joined back by key order."""
    return pa.table({"key": anchor_keys(table)[1]})


def find_shared(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return `shared`, bool (n_rows,): whether the key of each row, sorted by key, occurs at least twice."""
    keys = table["key"].to_numpy()
    same = np.zeros(len(keys) + 1, np.bool_)
    same[1:-1] = keys[1:] == keys[:-1]
    return pa.table({"shared": same[1:] | same[:-1]})


def place(table: pa.Table, answers: pa.Table, config: NoConfig) -> pa.Table:
    """Return the shared anchors of each document.

    Args: table, as for `map_keys`, with `row`; answers, of `find_shared`, in key order.
    Returns: `row` and `places`, one row per document with shared anchors.
    """
    docs, keys = anchor_keys(table)
    shared = np.empty(len(keys), np.bool_)
    shared[in_order(keys)] = np.asarray(answers["shared"].combine_chunks())
    indices = np.arange(len(docs)) - np.searchsorted(docs, docs)
    return list_rows(table, docs[shared], {"places": indices[shared].astype(np.int32)})


GLOBAL = Global(
    name="shared_anchors",
    version=5,
    reads=("anchors.keys", "parent_id", "provenance"),
    writes=SCHEMA,
    key="hash of the anchor",
    map=map_keys,
    reduce=find_shared,
    answer=place,
)
