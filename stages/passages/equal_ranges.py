"""Equal ranges: shared anchors whose windows are identical at every occurrence of their key, compared by hash.

Reads text around shared anchors; writes the number of identical occurrences or, where the occurrences of a key differ,
which text is needed to compare them. Most repeated text lies inside passages, where all ranges of an anchor are equal
and no text has to be exchanged; `stages.passages.repeated_windows` compares the others.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Global, NoConfig
from stages.kernels.passages.anchors import wide_table
from stages.kernels.passages.edges import ENTERS, LEAVES, hash_edges
from stages.kernels.text.text import view
from stages.passages.ranges import LEAST, READS, find_ranges, in_order, list_rows

SCHEMA = pa.schema({"copies": pa.list_(pa.int32()), "strips": pa.list_(pa.uint8())})
"""One value per shared anchor; null without shared anchors. copies: number of identical occurrences, including this
one; 0 if occurrences with this key differ. strips: the characters to compare if they differ: 1 those that enter, as all
first windows are equal; 2 those that leave, as all last windows are equal; 3 both; 0 if copies is not 0."""

ENDS = pa.schema({"key": pa.uint64(), "head": pa.uint64(), "tail": pa.uint64(), "again": pa.bool_()})
"""head: hash of the first window of a range; tail: hash of its last window and the one after it. Ranges of one gram
that agree in both are equal: all windows of a range contain its gram, so that the first and the last overlap; and the
gram occurs once in each, so that both ranges have the same number of windows. again: see ranges.Ranges; none of this
holds for such a range."""


def map_ends(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return one row for each range of a shared anchor: the hashes of its ends, 128 bits.

    Args: table, with `text` and the columns of READS and LEAST.
    Returns: a table of ENDS.
    """
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
    """Compare the ranges of one partition by hash.

    Args: table, of ENDS, sorted by key.
    Returns: `copies` int32 and `strips` uint8 of each row.
    """
    keys, heads, tails = (table[name].to_numpy() for name in ("key", "head", "tail"))
    again = np.asarray(table["again"].combine_chunks())
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    sizes = np.diff(np.append(begins, len(keys)))
    groups = np.repeat(np.arange(len(begins)), sizes)

    def all_equal(hashes: np.ndarray) -> np.ndarray:
        equal = (hashes == hashes[begins[groups]]) & ~again
        return np.logical_and.reduceat(equal, begins) if len(begins) else equal

    entering, leaving = ~all_equal(tails), ~all_equal(heads)
    strips = (ENTERS * entering + LEAVES * leaving).astype(np.uint8)
    copies = np.where(strips == 0, sizes, 0).astype(np.int32)
    return pa.table([copies[groups], strips[groups]], names=SCHEMA.names)


def place(table: pa.Table, answers: pa.Table, config: NoConfig) -> pa.Table:
    """Return `copies` and `strips` of the shared anchors of each document.

    Args: table, as for `map_ends`; answers, of `compare_ends`, in key order.
    Returns: `row` and the columns of SCHEMA, one row per document with shared anchors.
    """
    ranges = find_ranges(table)
    ranks = np.empty(len(ranges.keys), np.intp)
    ranks[in_order(ranges.keys)] = np.arange(len(ranks))
    return list_rows(table, ranges.docs, {name: answers[name].to_numpy()[ranks] for name in SCHEMA.names})


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
