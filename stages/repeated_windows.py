"""Repeated windows: of ranges that are not all equal, which windows stand in more than one place.

Reads the text of such ranges, as far as they may differ; writes, for each, runs of windows that stand in as many places
and go on together. Equality is by hash, of 95 bits (see `kernels.rolling`), or of the part that differs.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Global, NoConfig
from stages.kernels.anchors import cut, wide_table
from stages.kernels.edges import ENTERS, LEAVES, Strips, count_entering, find_strips
from stages.kernels.hashing import hash128
from stages.kernels.ragged import from_binary, to_binary
from stages.kernels.substring import Windows, find_repeats
from stages.kernels.text import utf8_buffers, view
from stages.ranges import LEAST, READS, find_ranges, in_order

SCHEMA = pa.schema(
    {"lengths": pa.list_(pa.int32()), "copies": pa.list_(pa.int32()), "goes_on": pa.list_(pa.bool_())}
)
"""lengths, copies: windows and places of each run of the document's ranges that are not all equal, which follow on each
other; 0 places for windows that stand in one. goes_on: of each range, whether the places of its last window are all
followed by the same window. Null without such ranges."""

CHUNK_WINDOWS = 1 << 18
"""Windows compared at once, about: each takes some 60 bytes while it is."""

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
"""What goes through the exchange; see kernels.substring.Windows."""
ANSWERS = pa.schema({"lengths": pa.list_(pa.int32()), "copies": pa.list_(pa.int32()), "goes_on": pa.bool_()})


def map_strips(table: pa.Table, config: NoConfig) -> pa.Table:
    """One row for each range that is not equal to all others of its key."""
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
    found = Strips(*find_strips(text.codes, begins, stops, text.starts[docs + 1], wide_table(), *least))
    enters, leaves = strips & ENTERS > 0, strips & LEAVES > 0
    n_windows = stops - begins
    uneven = np.where(enters & ~found.even, found.n_steps, 0)
    steps = count_entering(text.codes, begins, found.enters, uneven, wide_table(), *least)
    n_leaving = np.where(enters, found.n_steps, n_windows - 1)
    columns = {
        "key": ranges.keys[order],
        "strips": strips,
        "n_windows": n_windows.astype(np.int32),
        "leaving": _strings(text.codes, begins, np.where(leaves, begins + n_leaving, begins)),
        "entering": _strings(text.codes, found.enters, np.where(enters, found.last, found.enters)),
        "steps": to_binary(*steps),
        "length": np.where(enters & leaves, found.enters - begins, 0).astype(np.int32),
        "first": np.where(enters & leaves, found.first, np.uint64(0)),
        "second": np.where(enters & leaves, found.second, np.uint32(0)),
    }
    return pa.table(columns, schema=RANGES)


def _strings(codes: np.ndarray, begins: np.ndarray, stops: np.ndarray) -> pa.LargeStringArray:
    data, offsets = cut(codes, begins, stops)
    return pa.LargeStringArray.from_buffers(len(begins), pa.py_buffer(offsets), pa.py_buffer(data))


def compare_windows(table: pa.Table, config: NoConfig) -> pa.Table:
    """Runs of the windows of each range of one partition."""
    if not table.num_rows:
        return ANSWERS.empty_table()
    kinds, first, places = find_kinds(table)
    table = table.take(pa.array(first)).append_column("places", pa.array(places))
    keys, n_windows = table["key"].to_numpy(), table["n_windows"].to_numpy().astype(np.int64)
    before = np.append(0, np.cumsum(n_windows))
    bounds = np.append(np.flatnonzero(np.append(True, keys[1:] != keys[:-1])), len(keys))
    chunks = _chunks(bounds, before[bounds])
    answers = pa.concat_tables([_compare(table.slice(low, high - low)) for low, high in pairwise(chunks)])
    return answers.combine_chunks().take(pa.array(kinds))


def find_kinds(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranges of one key that say the same are compared once, so that a notice costs as much as its variants.

    Args: table, in order of keys.
    Returns: int64 (n_ranges,), the kind of each; int64 (n_kinds,), the row of one of each, in order of keys; int32
    (n_kinds,), how many ranges are of it.
    """
    texts = [hash128(*utf8_buffers(table[name])) for name in ("leaving", "entering")]
    steps = hash128(*from_binary(table["steps"].combine_chunks(), np.uint16))
    numbers = [
        table[name].to_numpy().astype(np.uint64) for name in ("n_windows", "length", "first", "second")
    ]
    said = np.column_stack([*texts, steps, *numbers])
    hashes = hash128(said.ravel(), np.arange(len(said) + 1) * said.shape[1])
    keys = table["key"].to_numpy()
    order = np.lexsort((hashes[:, 1], hashes[:, 0], keys))
    sorted_ = np.column_stack([keys, hashes])[order]
    begins = np.flatnonzero(np.append(True, (sorted_[1:] != sorted_[:-1]).any(axis=1)))
    places = np.diff(np.append(begins, len(order)))
    kinds = np.empty(len(order), np.int64)
    kinds[order] = np.repeat(np.arange(len(begins)), places)
    return kinds, order[begins], places.astype(np.int32)


def _chunks(bounds: np.ndarray, before: np.ndarray) -> list[int]:
    """Cut ranges where a key begins, so that about CHUNK_WINDOWS are compared at once.

    Args: bounds, int64 (n_keys + 1,), where the ranges of each key begin; before, windows before them.
    """
    chunk = (before // CHUNK_WINDOWS)[:-1]
    first = np.append(True, chunk[1:] != chunk[:-1])
    return [*bounds[:-1][first].tolist(), int(bounds[-1])]


def _compare(table: pa.Table) -> pa.Table:
    """Runs of the windows of some keys, whole; the table is in order."""
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
    """Runs of each document in order."""
    table = table.filter(pc.is_valid(table["equal_ranges.strips"]))
    strips = pc.list_flatten(table["equal_ranges.strips"].combine_chunks()).to_numpy()
    ranges, open_ = find_ranges(table), np.flatnonzero(strips)
    back = np.empty(len(open_), np.intp)
    back[in_order(ranges.keys[open_])] = np.arange(len(open_))
    answers = answers.take(pa.array(back)).combine_chunks()
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
