"""Repeated passages: every occurrence of a text of the least length that stands in more than one place.

Reads text around shared anchors; writes each occurrence with the id of its passage. Places are compared character by
character, in canonical text, across documents and inside one. Which occurrence stays is decided after the rules, by
`stages.owners`.

A window is a text of just the least length (see `kernels.anchors`). Consecutive windows that stand in the
same set of places, each time one character on, make a passage. So all occurrences of a passage say the same,
two passages of a document may overlap by less than a window, and a character belongs to a passage if and only
if a window that holds it is repeated. Nothing depends on chance, partitions or order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN
from pipeline.stage import Global, Outcome
from stages.kernels.anchors import cut, range_ends, wide_table, window_ends
from stages.kernels.hashing import salt
from stages.kernels.substring import Windows, find_repeats
from stages.kernels.text import view
from stages.owners import KIND, merge

PASSAGE = pa.struct([*SPAN, pa.field("passage", pa.uint64())])
SCHEMA = pa.schema({"passages": pa.list_(PASSAGE), "n_chars": pa.int32(), "repeated_share": pa.float32()})
"""passages: every occurrence, by start; passage is the same number wherever the text is the same. n_chars: characters
of the document; repeated_share: those of them that lie in passages. All null for a document without any."""

CHUNK_BYTES = 1 << 22
"""Text compared at once, about: each character takes some 50 bytes while it is."""

ANCHORS = tuple(
    f"anchors.{name}" for name in ("keys", "firsts", "n_windows", "min_chars_han", "min_chars_other")
)
READS = ("text", "parent_id", *ANCHORS, "shared_anchors.places")

RANGES = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint64(),
        "n_chars": pa.int32(),
        "first": pa.int32(),
        "n_windows": pa.int32(),
        "min_chars_han": pa.int32(),
        "min_chars_other": pa.int32(),
        "text": pa.large_string(),
    }
)
"""What goes through the exchange: text as UTF-8, so that Latin takes a byte a character, and no doc_id, since rows
are numbered."""
RUNS = pa.schema(
    {
        "row": pa.uint64(),
        "n_chars": pa.int32(),
        "start": pa.int32(),
        "n_windows": pa.int32(),
        "end": pa.int32(),
        "says": pa.uint64(),
        "places": pa.uint64(),
    }
)
ROWS = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


@dataclass(frozen=True, kw_only=True)
class Config:
    """Nothing to set: how long a passage is at least, the anchors know."""


def map_ranges(table: pa.Table, config: Config) -> pa.Table:
    """One row for each shared anchor: its windows, as one piece of text, keyed by the anchor.

    Rows are in order of their keys, so that equal texts are neighbours and compress to little.
    """
    table = table.filter(pc.is_valid(table["shared_anchors.places"]))
    if not table.num_rows:
        return RANGES.empty_table()
    keys, firsts, places = (
        table[name].combine_chunks() for name in ("anchors.keys", "anchors.firsts", "shared_anchors.places")
    )
    rows = pc.list_parent_indices(places).to_numpy().astype(np.int64)
    lengths = pc.list_value_length(firsts).to_numpy().astype(np.int64)
    chosen = (np.cumsum(lengths) - lengths)[rows] + pc.list_flatten(places).to_numpy()
    flat = pc.list_flatten(firsts).to_numpy().astype(np.int64)
    bounds = np.append(flat, 0)  # the first window of each anchor, and where those of the last one stop
    stops = bounds[chosen + 1]
    at_end = chosen + 1 == np.cumsum(lengths)[rows]
    stops[at_end] = table["anchors.n_windows"].to_numpy()[rows[at_end]]
    text = view(table["text"])
    least = (table["anchors.min_chars_han"][0].as_py(), table["anchors.min_chars_other"][0].as_py())
    shown = pc.list_flatten(keys).to_numpy()[chosen] ^ salt(table["parent_id"])[rows]
    order = np.argsort(shown, kind="stable")
    shown, rows, first, stops = shown[order], rows[order], flat[chosen[order]], stops[order]
    begins = text.starts[rows]
    ends = range_ends(text.codes, begins + first, begins + stops, wide_table(), *least)
    data, offsets = cut(text.codes, begins + first, ends)
    columns = {
        "key": shown,
        "row": table["row"].to_numpy()[rows],
        "n_chars": np.diff(text.starts)[rows].astype(np.int32),
        "first": first.astype(np.int32),
        "n_windows": (stops - first).astype(np.int32),
        "min_chars_han": np.full(len(rows), least[0], np.int32),
        "min_chars_other": np.full(len(rows), least[1], np.int32),
        "text": pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(data)),
    }
    return pa.table(columns, schema=RANGES)


def find_runs(table: pa.Table, config: Config) -> pa.Table:
    """Compare the windows of each anchor of one partition; return runs of repeated ones."""
    if not table.num_rows:
        return RUNS.empty_table()
    keys, n_bytes = table["key"].to_numpy(), pc.binary_length(table["text"]).to_numpy()
    starts = np.append(0, np.cumsum(n_bytes))
    bounds = np.append(np.flatnonzero(np.append(True, keys[1:] != keys[:-1])), len(keys))
    parts = [
        _find_some(table.slice(low, high - low)) for low, high in pairwise(_chunks(bounds, starts[bounds]))
    ]
    return pa.concat_tables(parts)


def _chunks(bounds: np.ndarray, sizes: np.ndarray) -> list[int]:
    """Cut ranges where a key begins, so that about CHUNK_BYTES of text are compared at once.

    Args: bounds, int64 (n_keys + 1,), where the ranges of each key begin; sizes, bytes before them.
    """
    chunk = (sizes // CHUNK_BYTES)[:-1]
    first = np.append(True, chunk[1:] != chunk[:-1])
    return [*bounds[:-1][first].tolist(), int(bounds[-1])]


def _find_some(table: pa.Table) -> pa.Table:
    """Runs of repeated windows of some keys, whole; the table is in order."""
    table = table.combine_chunks()
    keys, text = table["key"].to_numpy(), view(table["text"])
    codes, starts = text.codes, text.starts
    least = (table["min_chars_han"][0].as_py(), table["min_chars_other"][0].as_py())
    windows = Windows(
        groups=np.append(np.flatnonzero(np.append(True, keys[1:] != keys[:-1])), len(keys)),
        codes=codes,
        starts=starts,
        counts=table["n_windows"].to_numpy(),
        ends=window_ends(codes, starts, wide_table(), *least),
        firsts=table["first"].to_numpy(),
        docs=table["row"].to_numpy(),
    )
    ranges, *columns = find_repeats(windows)
    documents = [table[name].to_numpy()[ranges] for name in ("row", "n_chars")]
    return pa.table([*documents, *columns], schema=RUNS)


def finish(table: pa.Table, config: Config) -> Outcome:
    """Join the runs of each document to passages."""
    table = table.take(pc.sort_indices(table, sort_keys=[("row", "ascending"), ("start", "ascending")]))
    rows, lengths, starts, n_windows, ends, says, places = (table[name].to_numpy() for name in RUNS.names)
    stops = starts + n_windows
    goes_on = (rows[1:] == rows[:-1]) & (starts[1:] == stops[:-1]) & (places[1:] == places[:-1])
    first = np.flatnonzero(np.append(True, ~goes_on)[: len(rows)])
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    rows, starts, ends = rows[first], starts[first], ends[last]
    lengths, says = lengths[first], says[first]
    distinct, begins = np.unique(rows, return_index=True)
    lengths = lengths[begins]
    kinds = pa.repeat(KIND, len(rows))
    found = pa.StructArray.from_arrays([starts, ends, kinds, says], fields=list(PASSAGE))
    passages = pa.ListArray.from_arrays(pa.array(np.append(begins, len(rows)), pa.int32()), found)
    _, repeated = merge(distinct, rows, starts, ends)
    share = np.round(repeated / np.maximum(lengths, 1), 3).astype(np.float32)
    summary = {
        "documents": [len(distinct)],
        "passages": [len(np.unique(says))],
        "occurrences": [len(rows)],
        "repeated_chars": [int(repeated.sum())],
    }
    return Outcome(
        rows=pa.table([distinct, passages, lengths, share], schema=ROWS),
        artefacts={"summary": pa.table(summary)},
    )


GLOBAL = Global(
    name="substring",
    version=2,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the anchor",
    map=map_ranges,
    reduce=find_runs,
    finish=finish,
    sparse="shared_anchors.places",
    expands=4,
)
