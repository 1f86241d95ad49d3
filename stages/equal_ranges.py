"""Equal ranges: which shared anchors have all their windows in common with every other place of their key, by hash.

Reads text around shared anchors; writes how many places say the same, or by which text those of a key may be told
apart. Most of what is repeated lies inside passages, where all ranges of an anchor are equal: no text of these is
exchanged.
`stages.repeated_windows` looks at the others.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Global, NoConfig
from stages.kernels.anchors import wide_table
from stages.kernels.edges import ENTERS, LEAVES, hash_edges
from stages.kernels.text import view
from stages.ranges import LEAST, READS, find_ranges, in_order, list_rows

SCHEMA = pa.schema({"copies": pa.list_(pa.int32()), "strips": pa.list_(pa.uint8())})
"""Of each shared anchor. copies: places whose ranges are equal, this one among them, 0 where not all of the key are.
strips: for these, what is to be compared: 1 what enters, since all first windows are equal, 2 what leaves, since all
last ones are, 3 both; 0 where copies says all. Null without shared anchors."""

ENDS = pa.schema({"key": pa.uint64(), "head": pa.uint64(), "tail": pa.uint64(), "again": pa.bool_()})
"""head: hash of the first window of a range; tail: of its last and the one after it. Ranges of one gram that agree in
both are equal: the windows of a range all hold its gram, so that first and last overlap, and that gram stands at one
place in each, so that they hold equally many. again: see ranges.Ranges; for such a range none of that is so."""


def map_ends(table: pa.Table, config: NoConfig) -> pa.Table:
    """One row for each range of a shared anchor: what its ends say, in 128 bits."""
    table = table.filter(pc.is_valid(table["shared_anchors.places"]))
    if not table.num_rows:
        return ENDS.empty_table()
    ranges, text = find_ranges(table), view(table["text"])
    begins, limits = text.starts[ranges.docs], text.starts[ranges.docs + 1]
    least = [table[name][0].as_py() for name in LEAST]
    heads, tails = hash_edges(
        text.codes, begins + ranges.firsts, begins + ranges.stops, limits, wide_table(), *least
    )
    return pa.table([ranges.keys, heads, tails, pa.array(ranges.again)], schema=ENDS)


def compare_ends(table: pa.Table, config: NoConfig) -> pa.Table:
    """Copies and strips of each range of one partition."""
    keys, heads, tails = (table[name].to_numpy() for name in ("key", "head", "tail"))
    again = np.asarray(table["again"].combine_chunks())
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    sizes = np.diff(np.append(begins, len(keys)))
    groups = np.repeat(np.arange(len(begins)), sizes)

    def all_alike(hashes: np.ndarray) -> np.ndarray:
        alike = (hashes == hashes[begins[groups]]) & ~again
        return np.logical_and.reduceat(alike, begins) if len(begins) else alike

    entering, leaving = ~all_alike(tails), ~all_alike(heads)
    strips = (ENTERS * entering + LEAVES * leaving).astype(np.uint8)
    copies = np.where(strips == 0, sizes, 0).astype(np.int32)
    return pa.table([copies[groups], strips[groups]], names=SCHEMA.names)


def place(table: pa.Table, answers: pa.Table, config: NoConfig) -> pa.Table:
    """Copies and strips of each document's shared anchors in order."""
    ranges = find_ranges(table)
    back = np.empty(len(ranges.keys), np.intp)
    back[in_order(ranges.keys)] = np.arange(len(back))
    return list_rows(table, ranges.docs, {name: answers[name].to_numpy()[back] for name in SCHEMA.names})


GLOBAL = Global(
    name="equal_ranges",
    version=1,
    reads=("text", *READS, *LEAST),
    writes=SCHEMA,
    key="hash of the anchor",
    map=map_ends,
    reduce=compare_ends,
    answer=place,
    sparse="shared_anchors.places",
)
