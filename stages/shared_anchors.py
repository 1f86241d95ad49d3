"""Shared anchors: which anchors of a document stand in more than one place, in it or in others.

Reads the keys of anchors, no text; writes their numbers. Where no anchor is shared, no passage is repeated.
Documents derived from others share anchors only with each other: what they say, their parents say as well.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.stage import Global, NoConfig
from stages.ranges import anchor_keys, in_order, list_rows

SCHEMA = pa.schema({"places": pa.list_(pa.int32())})
"""places: numbers of the shared anchors among the anchors of the document, from 0; null without any."""


def map_keys(table: pa.Table, config: NoConfig) -> pa.Table:
    """One row for each anchor: its key, and nothing of where it stands."""
    return pa.table({"key": anchor_keys(table)[1]})


def find_shared(table: pa.Table, config: NoConfig) -> pa.Table:
    """Whether the key of each anchor occurs at least twice."""
    keys = table["key"].to_numpy()
    same = np.zeros(len(keys) + 1, np.bool_)
    same[1:-1] = keys[1:] == keys[:-1]
    return pa.table({"shared": same[1:] | same[:-1]})


def place(table: pa.Table, answers: pa.Table, config: NoConfig) -> pa.Table:
    """The shared anchors of each document in order."""
    docs, keys = anchor_keys(table)
    shared = np.empty(len(keys), np.bool_)
    shared[in_order(keys)] = np.asarray(answers["shared"].combine_chunks())
    numbers = np.arange(len(docs)) - np.searchsorted(docs, docs)
    return list_rows(table, docs[shared], {"places": numbers[shared].astype(np.int32)})


GLOBAL = Global(
    name="shared_anchors",
    version=4,
    reads=("anchors.keys", "parent_id"),
    writes=SCHEMA,
    key="hash of the anchor",
    map=map_keys,
    reduce=find_shared,
    answer=place,
)
