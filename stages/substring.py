"""Repeated passages: every occurrence of a text of the least length that stands in more than one place.

Reads which windows are repeated, and the text of documents that have some; writes each occurrence with the id of its
passage. Places are compared in canonical text, across documents and inside one. Which occurrence stays is decided after
the rules, by `stages.owners`.

A window is a text of just the least length (see `kernels.anchors`). Consecutive windows that stand in the
same set of places, each time one character on, make a passage. So all occurrences of a passage say the same,
two passages of a document may overlap by less than a window, and a character belongs to a passage if and only
if a window that holds it is repeated. Nothing depends on partitions or order.

Windows are compared by `stages.equal_ranges` and `stages.repeated_windows`, which a run file need not name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN
from pipeline.stage import Global, Outcome
from stages.kernels.anchors import wide_table
from stages.kernels.naming import join_runs, name_passages
from stages.kernels.text import view
from stages.owners import KIND, merge
from stages.ranges import LEAST, READS, find_ranges

PASSAGE = pa.struct([*SPAN, pa.field("passage", pa.uint64())])
SCHEMA = pa.schema({"passages": pa.list_(PASSAGE), "n_chars": pa.int32(), "repeated_share": pa.float32()})
"""passages: every occurrence, by start; passage is the same number wherever the text is the same. n_chars: characters
of the document; repeated_share: those of them that lie in passages. All null for a document without any."""

RUNS = tuple(f"repeated_windows.{name}" for name in ("lengths", "copies", "goes_on"))
PASSAGES = pa.schema(
    {"key": pa.uint64(), "row": pa.uint64(), "n_chars": pa.int32(), "start": pa.int32(), "end": pa.int32()}
)
"""key: hash of what the first window says, the number of the passage."""
ROWS = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


@dataclass(frozen=True, kw_only=True)
class Config:
    """Nothing to set: how long a passage is at least, the anchors know."""


def map_passages(table: pa.Table, config: Config) -> pa.Table:
    """One row for each occurrence of a passage."""
    table = table.filter(pc.is_valid(table["equal_ranges.copies"]))
    if not table.num_rows:
        return PASSAGES.empty_table()
    ranges = find_ranges(table)
    copies, *runs = (
        pc.list_flatten(table[name].combine_chunks()).to_numpy(zero_copy_only=False)
        for name in ("equal_ranges.copies", *RUNS)
    )
    docs, first, last = join_runs(ranges.docs, ranges.firsts, ranges.stops, copies, *runs)
    text = view(table["text"])
    begins = text.starts[docs]
    least = [table[name][0].as_py() for name in LEAST]
    says, ends = name_passages(text.codes, begins + first, begins + last, wide_table(), *least)
    columns = [
        says,
        table["row"].to_numpy()[docs],
        np.diff(text.starts)[docs].astype(np.int32),
        first.astype(np.int32),
        (ends - begins).astype(np.int32),
    ]
    return pa.table(columns, schema=PASSAGES)


def keep(table: pa.Table, config: Config) -> pa.Table:
    """Occurrences are known by now; only their documents must bring them together."""
    return table


def finish(table: pa.Table, config: Config) -> Outcome:
    """The passages of each document in order."""
    table = table.take(pc.sort_indices(table, sort_keys=[("row", "ascending"), ("start", "ascending")]))
    says, rows, lengths, starts, ends = (table[name].to_numpy() for name in PASSAGES.names)
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
    version=3,
    config=Config,
    reads=("text", *READS, *LEAST, "equal_ranges.copies", *RUNS),
    writes=SCHEMA,
    key="what a passage begins with",
    map=map_passages,
    reduce=keep,
    finish=finish,
    sparse="equal_ranges.copies",
    needs=("stages.equal_ranges", "stages.repeated_windows"),
)
