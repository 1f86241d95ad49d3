"""The most restrictive licence of each cluster of near duplicates, and whether any member opted out.

A text that one site offers under CC BY-SA and another under "all rights reserved" is one text: a run that takes the
most restrictive statement of a cluster reads the columns of this step in its rules instead of those of
`stages.licences`. Members without any statement do not restrict the others. A document outside any cluster has its
own values.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Global, NoConfig
from stages.kernels.text.hashing import hash128
from stages.kernels.text.text import utf8_buffers

SCHEMA = pa.schema(
    {
        "class": pa.string(), "rank": pa.int8(), "spdx": pa.string(), "share_alike": pa.bool_(),
        "non_commercial": pa.bool_(), "no_derivatives": pa.bool_(), "opt_out": pa.bool_(), "mixed": pa.bool_(),
    }
)  # fmt: skip
"""class, rank, spdx: of the member with the most restrictive class. share_alike, non_commercial, no_derivatives,
opt_out: of any member. mixed: whether members with a statement differ in class."""

FLAGS = ("share_alike", "non_commercial", "no_derivatives", "opt_out")
READS = ("doc_id", "dedup.cluster", *(f"licences.{name}" for name in ("class", "rank", "spdx", *FLAGS)))


def keys_of(table: pa.Table) -> np.ndarray:
    """Key of each document's cluster, of the document itself where it is in none: uint64 (n_rows,)."""
    name = pc.coalesce(table["dedup.cluster"].cast(pa.string()), table["doc_id"])
    return np.asarray(hash128(*utf8_buffers(name))[:, 0])


def map_rows(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return `key` and the columns of the licence, one row for each document."""
    columns = {name: table[f"licences.{name}"] for name in ("class", "rank", "spdx", *FLAGS)}
    return pa.table({"key": keys_of(table), **columns})


def join(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return the values of the cluster for each row, sorted by key: a table of SCHEMA, (n_rows,)."""
    keys = table["key"].to_numpy()
    n_rows = len(keys)
    begins = np.ones(n_rows, bool)
    begins[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(begins)
    group = np.cumsum(begins) - 1
    rank = pc.fill_null(table["rank"], -1).to_numpy().astype(np.int64)
    spdx = pc.fill_null(table["spdx"], "").to_numpy(zero_copy_only=False).astype(str)
    order = np.lexsort((spdx, -rank, group))  # of equal ranks, the first expression by name
    worst = order[starts] if n_rows else starts
    stated = np.where(rank < 0, np.iinfo(np.int64).max, rank)
    least = np.minimum.reduceat(stated, starts) if n_rows else starts
    mixed = (rank[worst] >= 0) & (least < rank[worst])
    columns = {name: table[name].take(pa.array(worst[group])) for name in ("class", "rank", "spdx")}
    for name in FLAGS:
        flags = pc.fill_null(table[name], False).to_numpy(zero_copy_only=False).astype(bool)
        columns[name] = pa.array((np.logical_or.reduceat(flags, starts) if n_rows else flags)[group])
    columns["mixed"] = pa.array(mixed[group])
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def answer(table: pa.Table, answers: pa.Table, config: NoConfig) -> pa.Table:
    """Return the values of each document's cluster, with its `row`. answers: of `join`, in key order."""
    order = np.argsort(keys_of(table), kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    columns = [table["row"], *(answers[name].take(pa.array(places)) for name in SCHEMA.names)]
    return pa.table(columns, names=["row", *SCHEMA.names])


GLOBAL = Global(
    name="cluster_licences",
    version=1,
    reads=READS,
    writes=SCHEMA,
    key="hash of the cluster, or of the document where it is in none",
    map=map_rows,
    reduce=join,
    answer=answer,
)
