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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN
from pipeline.stage import Stage, bind
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


def annotate(batch: pa.Table) -> pa.Table:
    """Find the passages of each document; only the text of those with a repeated window is looked at."""
    n_rows, batch = (
        batch.num_rows,
        batch.append_column("row", pa.array(np.arange(batch.num_rows, dtype=np.uint64))),
    )
    table = batch.filter(pc.is_valid(batch["equal_ranges.copies"]))
    if not table.num_rows:
        return pa.table([pa.nulls(n_rows, field.type) for field in SCHEMA], schema=SCHEMA)
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
    found = to_rows(docs, first, ends - begins, says, np.diff(text.starts))
    place = np.full(n_rows, -1)
    place[table["row"].to_numpy().astype(np.int64)[np.unique(docs)]] = np.arange(found.num_rows)
    return found.take(pa.array(place, mask=place < 0))


def to_rows(
    docs: np.ndarray, starts: np.ndarray, ends: np.ndarray, says: np.ndarray, n_chars: np.ndarray
) -> pa.Table:
    """The columns of each document with passages.

    Args: docs, int64 (n_passages,), ascending; n_chars, of every document.
    """
    distinct, begins = np.unique(docs, return_index=True)
    spans = [
        pa.array(starts, pa.int32()),
        pa.array(ends, pa.int32()),
        pa.repeat(KIND, len(docs)),
        pa.array(says),
    ]
    found = pa.StructArray.from_arrays(spans, fields=list(PASSAGE))
    passages = pa.ListArray.from_arrays(pa.array(np.append(begins, len(docs)), pa.int32()), found)
    _, repeated = merge(distinct, docs, starts, ends)
    lengths = n_chars[distinct]
    share = np.round(repeated / np.maximum(lengths, 1), 3).astype(np.float32)
    return pa.table([passages, pa.array(lengths, pa.int32()), share], schema=SCHEMA)


STAGE = Stage(
    name="substring",
    version=3,
    reads=("text", *READS, *LEAST, "equal_ranges.copies", *RUNS),
    writes=SCHEMA,
    load=bind(annotate),
    needs=("stages.shared_anchors", "stages.equal_ranges", "stages.repeated_windows"),
)
