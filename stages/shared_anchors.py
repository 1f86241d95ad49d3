"""Shared anchors: which anchors of a document stand in more than one place, in it or in others.

Reads the keys of anchors, no text; writes their numbers. Where no anchor is shared, no passage is repeated.
Documents derived from others share anchors only with each other: what they say, their parents say as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Global, Outcome
from stages.kernels.hashing import salt

SCHEMA = pa.schema({"places": pa.list_(pa.int32())})
"""places: numbers of the shared anchors among the anchors of the document, from 0; null without any."""

KEY_BITS = np.uint64(0xFFFFFFFFFF << 24)
"""Bits of a key that are compared. Two different anchors that agree in 40 cost a look at their text, never an error:
of a thousand million anchors one in a thousand meets such another."""

KEYED = pa.schema({"key": pa.uint64(), "row": pa.uint64(), "low": pa.uint8(), "high": pa.uint32()})
"""low, high: the place, in two parts, because the upper one stays the same for long and so compresses to nothing."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Nothing to set."""


def map_keys(table: pa.Table, config: Config) -> pa.Table:
    """One row for each anchor."""
    keys = table["anchors.keys"].combine_chunks()
    parents = pc.list_parent_indices(keys).to_numpy().astype(np.int64)
    begins = np.searchsorted(parents, parents)
    places = (np.arange(len(parents)) - begins).astype(np.uint32)
    shown = (pc.list_flatten(keys).to_numpy() ^ salt(table["parent_id"])[parents]) & KEY_BITS
    rows = table["row"].to_numpy()[parents]
    return pa.table([shown, rows, places.astype(np.uint8), places >> np.uint32(8)], schema=KEYED)


def find_shared(table: pa.Table, config: Config) -> pa.Table:
    """Anchors of one partition whose key occurs at least twice."""
    keys = table["key"].to_numpy()
    same = np.zeros(len(keys) + 1, np.bool_)
    same[1:-1] = keys[1:] == keys[:-1]
    return table.filter(pa.array(same[1:] | same[:-1])).drop_columns("key")


def finish(table: pa.Table, config: Config) -> Outcome:
    """The shared anchors of each document in order."""
    rows, low, high = (table[name].to_numpy() for name in ("row", "low", "high"))
    places = (high.astype(np.int32) << 8) | low
    order = np.lexsort((places, rows))
    distinct, begins = np.unique(rows[order], return_index=True)
    offsets = pa.array(np.append(begins, len(rows)), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(places[order]))
    summary = pa.table({"documents": [len(distinct)], "anchors": [len(rows)]})
    return Outcome(
        rows=pa.table([distinct, lists], schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA])),
        artefacts={"summary": summary},
    )


GLOBAL = Global(
    name="shared_anchors",
    version=3,
    config=Config,
    reads=("anchors.keys", "parent_id"),
    writes=SCHEMA,
    key="hash of the anchor",
    map=map_keys,
    reduce=find_shared,
    finish=finish,
)
