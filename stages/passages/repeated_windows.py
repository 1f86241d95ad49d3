"""Repeated windows: in ranges that differ between occurrences of their anchor, the windows that occur more than once.

Reads the text of such ranges as far as they may differ; writes, for each range, runs of consecutive windows with the
same set of occurrences. Windows are compared by hashes of 95 bits (see `kernels.passages.rolling`), or by hashes of the
characters in which they differ.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Global, NoConfig
from stages.kernels.passages.anchors import cut, wide_table
from stages.kernels.passages.edges import ENTERS, LEAVES, Strips, count_entering, find_strips
from stages.kernels.passages.substring import Windows, find_repeats
from stages.kernels.text.hashing import hash128
from stages.kernels.text.ragged import from_binary, to_binary
from stages.kernels.text.text import utf8_buffers, view
from stages.passages.ranges import LEAST, READS, find_ranges, in_order

SCHEMA = pa.schema(
    {"lengths": pa.list_(pa.int32()), "copies": pa.list_(pa.int32()), "goes_on": pa.list_(pa.bool_())}
)
"""lengths, copies: number of windows and of occurrences of each run, for the consecutive runs of the document's ranges
that differ; 0 occurrences for windows that occur once. goes_on: of each range, whether all occurrences of its last
window are followed by the same window. Null without such ranges."""

CHUNK_WINDOWS = 1 << 18
"""Approximate number of windows compared at once; each needs about 60 bytes of memory."""

RANGES = pa.schema(
    {
        "key": pa.uint64(),
        "strips": pa.uint8(),
        "n_windows": pa.int32(),
        "leaving": pa.large_string(),
        "entering": pa.large_string(),
        "steps": pa.large_binary(),
        "length": pa.int32(),
        "first": pa.uint64(),
        "second": pa.uint32(),
    }
)
"""Rows of the exchange; see kernels.passages.substring.Windows."""
ANSWERS = pa.schema({"lengths": pa.list_(pa.int32()), "copies": pa.list_(pa.int32()), "goes_on": pa.bool_()})


def map_strips(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return one row for each range whose key has ranges that differ.

    Args: table, with the columns that the step reads.
    Returns: a table of RANGES.
    """
    table = table.filter(pc.is_valid(table["equal_ranges.strips"]))
    ranges = find_ranges(table) if table.num_rows else None
    strips = pc.list_flatten(table["equal_ranges.strips"].combine_chunks()).to_numpy()
    open_ = np.flatnonzero(strips)
    if ranges is None or not len(open_):
        return RANGES.empty_table()
    order = open_[in_order(ranges.keys[open_])]
    strips, docs, text = strips[order], ranges.docs[order], view(table["text"])
    begins, stops = (text.starts[docs] + places[order] for places in (ranges.firsts, ranges.stops))
    least = [table[name][0].as_py() for name in LEAST]
    sides = Strips(*find_strips(text.codes, begins, stops, text.starts[docs + 1], wide_table(), *least))
    enters, leaves = strips & ENTERS > 0, strips & LEAVES > 0
    n_windows = stops - begins
    uneven = np.where(enters & ~sides.even, sides.n_steps, 0)
    steps = count_entering(text.codes, begins, sides.enters, uneven, wide_table(), *least)
    n_leaving = np.where(enters, sides.n_steps, n_windows - 1)
    columns = {
        "key": ranges.keys[order],
        "strips": strips,
        "n_windows": n_windows.astype(np.int32),
        "leaving": _strings(text.codes, begins, np.where(leaves, begins + n_leaving, begins)),
        "entering": _strings(text.codes, sides.enters, np.where(enters, sides.last, sides.enters)),
        "steps": to_binary(*steps),
        "length": np.where(enters & leaves, sides.enters - begins, 0).astype(np.int32),
        "first": np.where(enters & leaves, sides.first, np.uint64(0)),
        "second": np.where(enters & leaves, sides.second, np.uint32(0)),
    }
    return pa.table(columns, schema=RANGES)


def _strings(codes: np.ndarray, begins: np.ndarray, stops: np.ndarray) -> pa.LargeStringArray:
    data, offsets = cut(codes, begins, stops)
    return pa.LargeStringArray.from_buffers(len(begins), pa.py_buffer(offsets), pa.py_buffer(data))


def compare_windows(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return the runs of windows of each range of one partition.

    Args: table, of RANGES, sorted by key.
    Returns: a table of ANSWERS, one row for each of its rows.
    """
    if not table.num_rows:
        return ANSWERS.empty_table()
    kinds, representatives, places = find_kinds(table)
    table = table.take(pa.array(representatives)).append_column("places", pa.array(places))
    keys, n_windows = table["key"].to_numpy(), table["n_windows"].to_numpy().astype(np.int64)
    before = np.append(0, np.cumsum(n_windows))
    bounds = np.append(np.flatnonzero(np.append(True, keys[1:] != keys[:-1])), len(keys))
    chunks = _chunks(bounds, before[bounds])
    answers = pa.concat_tables([_compare(table.slice(low, high - low)) for low, high in pairwise(chunks)])
    return answers.combine_chunks().take(pa.array(kinds))


def find_kinds(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group equal ranges of one key, so that a frequent notice costs as much as the number of its variants.

    Args: table, of RANGES, sorted by key.
    Returns: int64 (n_ranges,), the group of each range; int64 (n_kinds,), the row of one range of each group, in order
    of keys; int32 (n_kinds,), the number of ranges in each group.
    """
    texts = [hash128(*utf8_buffers(table[name])) for name in ("leaving", "entering")]
    steps = hash128(*from_binary(table["steps"].combine_chunks(), np.uint16))
    numbers = [
        table[name].to_numpy().astype(np.uint64) for name in ("n_windows", "length", "first", "second")
    ]
    contents = np.column_stack([*texts, steps, *numbers])
    hashes = hash128(contents.ravel(), np.arange(len(contents) + 1) * contents.shape[1])
    keys = table["key"].to_numpy()
    order = np.lexsort((hashes[:, 1], hashes[:, 0], keys))
    sorted_ = np.column_stack([keys, hashes])[order]
    begins = np.flatnonzero(np.append(True, (sorted_[1:] != sorted_[:-1]).any(axis=1)))
    places = np.diff(np.append(begins, len(order)))
    kinds = np.empty(len(order), np.int64)
    kinds[order] = np.repeat(np.arange(len(begins)), places)
    return kinds, order[begins], places.astype(np.int32)


def _chunks(bounds: np.ndarray, before: np.ndarray) -> list[int]:
    """Split ranges between keys, so that about CHUNK_WINDOWS windows are compared at once.

    Args: bounds, int64 (n_keys + 1,), first range of each key; before, int64 (n_keys + 1,), windows before it.
    Returns: the first range of each chunk, and the number of ranges.
    """
    chunk = (before // CHUNK_WINDOWS)[:-1]
    first = np.append(True, chunk[1:] != chunk[:-1])
    return [*bounds[:-1][first].tolist(), int(bounds[-1])]


def _compare(table: pa.Table) -> pa.Table:
    """Runs of the windows of a chunk of whole keys; the table is sorted by key."""
    table = table.combine_chunks()
    names = ("key", "strips", "n_windows", "places", "length", "first", "second")
    keys, strips, counts, places, lengths, first, second = (table[name].to_numpy() for name in names)
    leaving, entering = view(table["leaving"]), view(table["entering"])
    windows = Windows(
        np.append(np.flatnonzero(np.append(True, keys[1:] != keys[:-1])), len(keys)),
        strips, counts, places, leaving.codes, leaving.starts, entering.codes, entering.starts,
        *from_binary(table["steps"].combine_chunks(), np.uint16), lengths, first, second,
    )  # fmt: skip
    runs = find_repeats(windows)
    offsets = pa.array(runs.starts, pa.int32())
    lists = [pa.ListArray.from_arrays(offsets, pa.array(values)) for values in (runs.lengths, runs.copies)]
    return pa.table([*lists, pa.array(runs.goes_on)], schema=ANSWERS)


def place(table: pa.Table, answers: pa.Table, config: NoConfig) -> pa.Table:
    """Return the runs of each document.

    Args: table, as for `map_strips`; answers, of `compare_windows`, in key order.
    Returns: `row` and the columns of SCHEMA, one row per document with ranges that differ.
    """
    table = table.filter(pc.is_valid(table["equal_ranges.strips"]))
    strips = pc.list_flatten(table["equal_ranges.strips"].combine_chunks()).to_numpy()
    ranges, open_ = find_ranges(table), np.flatnonzero(strips)
    ranks = np.empty(len(open_), np.intp)
    ranks[in_order(ranges.keys[open_])] = np.arange(len(open_))
    answers = answers.take(pa.array(ranks)).combine_chunks()
    docs = ranges.docs[open_]
    distinct, begins = np.unique(docs, return_index=True)
    ends = np.append(begins, len(docs))
    lists = []
    for name in ("lengths", "copies"):
        column = answers[name].combine_chunks()
        before = np.append(0, np.cumsum(pc.list_value_length(column).to_numpy()))
        lists.append(pa.ListArray.from_arrays(pa.array(before[ends], pa.int32()), pc.list_flatten(column)))
    goes_on = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), answers["goes_on"].combine_chunks())
    rows = table["row"].to_numpy()[distinct]
    return pa.table([rows, *lists, goes_on], names=["row", *SCHEMA.names])


GLOBAL = Global(
    name="repeated_windows",
    version=1,
    reads=("text", *READS, *LEAST, "equal_ranges.strips"),
    writes=SCHEMA,
    key="hash of the anchor",
    map=map_strips,
    reduce=compare_windows,
    answer=place,
    sparse="equal_ranges.strips",
    expands=4,
)
