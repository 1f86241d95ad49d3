"""Repeated passages: every occurrence of a text of at least the least length that occurs more than once.

Reads which windows are repeated, and the text of documents that contain any; writes each occurrence with the id of its
passage. Occurrences are found in canonical text, across documents and within one. Which occurrence is kept is decided
after the rules, by `stages.passages.owners`.

A window is a text of exactly the least length (see `kernels.passages.anchors`). Consecutive windows whose sets of
occurrences are the same but for a shift by one character form a passage. Therefore all occurrences of a passage are
equal, two passages of a document may overlap, by less than a window, and a character belongs to a passage if and only
if a window that contains it is repeated. The result does not depend on partitions or order.

Windows are compared by `stages.passages.equal_ranges` and `stages.passages.repeated_windows`, which a run file need
not name.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN
from pipeline.stage import Stage, bind
from stages.kernels.passages.anchors import wide_table
from stages.kernels.passages.naming import join_runs, name_passages
from stages.kernels.text.text import view
from stages.passages.owners import KIND, merge
from stages.passages.ranges import LEAST, READS, find_ranges

PASSAGE = pa.struct([*SPAN, pa.field("passage", pa.uint64())])
SCHEMA = pa.schema({"passages": pa.list_(PASSAGE), "n_chars": pa.int32(), "repeated_share": pa.float32()})
"""passages: all occurrences, by start; occurrences of the same text have the same number `passage`. n_chars: characters
of the document; repeated_share: share of them in passages. All null for a document without passages."""

RUNS = tuple(f"repeated_windows.{name}" for name in ("lengths", "copies", "goes_on"))


def annotate(batch: pa.Table) -> pa.Table:
    """Find the passages of each document; only the text of documents with a repeated window is read.

    Args: batch, with the columns that the stage reads, (n_docs,).
    Returns: a table of SCHEMA, (n_docs,), null for documents without passages.
    """
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
    ids, ends = name_passages(text.codes, begins + first, begins + last, wide_table(), *least)
    rows = to_rows(docs, first, ends - begins, ids, np.diff(text.starts))
    positions = np.full(n_rows, -1)
    positions[table["row"].to_numpy().astype(np.int64)[np.unique(docs)]] = np.arange(rows.num_rows)
    return rows.take(pa.array(positions, mask=positions < 0))


def to_rows(
    docs: np.ndarray, starts: np.ndarray, ends: np.ndarray, says: np.ndarray, n_chars: np.ndarray
) -> pa.Table:
    """Return the columns of each document with passages.

    Args: docs, int64 (n_passages,), row of the batch, ascending; starts and ends, characters, (n_passages,); says,
    uint64 (n_passages,), passage ids; n_chars, (n_docs,), of every document.
    Returns: a table of SCHEMA, one row for each distinct value of docs.
    """
    distinct, begins = np.unique(docs, return_index=True)
    spans = [
        pa.array(starts, pa.int32()),
        pa.array(ends, pa.int32()),
        pa.repeat(KIND, len(docs)),
        pa.array(says),
    ]
    occurrences = pa.StructArray.from_arrays(spans, fields=list(PASSAGE))
    passages = pa.ListArray.from_arrays(pa.array(np.append(begins, len(docs)), pa.int32()), occurrences)
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
    needs=(
        "stages.passages.shared_anchors",
        "stages.passages.equal_ranges",
        "stages.passages.repeated_windows",
    ),
)
