"""Repeated passages: every occurrence of a text of at least the least length that occurs more than once.

Reads which windows are repeated, and the text of documents that contain any; writes each occurrence with the id of its
passage. Occurrences are found in canonical text, across documents and within one. Which occurrence is kept is decided
after the rules, by `stages.passages.owners`.

A window is a text of exactly the least length (see `kernels.passages.anchors`). Consecutive windows whose sets of
occurrences are the same but for a shift by one character form a passage. Therefore all occurrences of a passage are
equal, two passages of a document may overlap, by less than a window, and a character belongs to a passage if and only
if a window that contains it is repeated. The result does not depend on partitions or order.

Passages begin and end where the texts around them begin to differ, often inside a word. Each occurrence therefore also
has the nearest places inside it where its document may be cut (`kernels.passages.breaks`).

Windows are compared by `stages.passages.equal_ranges` and `stages.passages.repeated_windows`, which a run file need
not name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN
from pipeline.stage import NoConfig, Stage
from stages.kernels.passages.anchors import wide_table
from stages.kernels.passages.breaks import move_inwards
from stages.kernels.passages.naming import join_runs, name_passages
from stages.kernels.text.hashing import is_view, salt
from stages.kernels.text.text import TABLES_PATH, view
from stages.languages import PUNCTUATION_PATH, load_roles
from stages.passages.owners import KIND, merge
from stages.passages.ranges import LEAST, READS, find_ranges

PASSAGE = pa.struct([*SPAN, pa.field("passage", pa.uint64())])
PLACED = pa.struct([*PASSAGE, pa.field("cut_start", pa.int32()), pa.field("cut_end", pa.int32())])
"""An occurrence, and the nearest places inside it, by its own document, where a removal may begin and end so that it
cuts no sentence, or at least no word (see `kernels.passages.breaks`)."""

SCHEMA = pa.schema({"passages": pa.list_(PLACED), "n_chars": pa.int32(), "repeated_share": pa.float32()})
"""passages: all occurrences, by start, with the places where a removal may begin and end; occurrences of the same text
have the same number `passage`. n_chars: characters of the document; repeated_share: share of them in passages. All null
for a document without passages."""

WHOLE = pa.schema({**{field.name: field.type for field in SCHEMA}, "passages": pa.list_(PASSAGE)})
"""The columns of steps whose passages are lines, paragraphs or sentences, which are removed whole. passages: all
occurrences, by start; occurrences of the same text have the same number `passage`. n_chars: characters of the document;
repeated_share: share of them in passages. All null for a document without passages."""

RUNS = tuple(f"repeated_windows.{name}" for name in ("lengths", "copies", "goes_on"))


def annotate(batch: pa.Table, roles: np.ndarray) -> pa.Table:
    """Find the passages of each document; only the text of documents with a repeated window is read.

    Args: batch, with the columns that the stage reads, (n_docs,); roles, uint8 (0x10000,), see `kernels.text.lines`.
    Returns: a table of SCHEMA, (n_docs,), null for documents without passages.
    """
    n_rows, batch = (
        batch.num_rows,
        batch.append_column("row", pa.array(np.arange(batch.num_rows, dtype=np.uint64))),
    )
    is_read = pa.array(
        ~is_view(batch["parent_id"], batch["provenance"])
    )  # views repeat their parents on purpose
    table = batch.filter(pc.and_(pc.is_valid(batch["equal_ranges.copies"]), is_read))
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
    ids ^= salt(table["parent_id"])[docs]  # the passages of derived documents are passages of each other only
    cuts = move_inwards(*text, roles, docs, begins + first, ends, wide_table(), *least)
    rows = to_rows(docs, first, ends - begins, ids, [cut - begins for cut in cuts], np.diff(text.starts))
    positions = np.full(n_rows, -1)
    positions[table["row"].to_numpy().astype(np.int64)[np.unique(docs)]] = np.arange(rows.num_rows)
    return rows.take(pa.array(positions, mask=positions < 0))


def to_rows(
    docs: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    says: np.ndarray,
    cuts: Sequence[np.ndarray],
    n_chars: np.ndarray,
) -> pa.Table:
    """Return the columns of each document with passages.

    Args: docs, int64 (n_passages,), row of the batch, ascending; starts and ends, characters, (n_passages,); says,
    uint64 (n_passages,), passage ids; cuts, of `move_inwards`, characters; n_chars, (n_docs,), of every document.
    Returns: a table of SCHEMA, one row for each distinct value of docs.
    """
    distinct, begins = np.unique(docs, return_index=True)
    spans = [
        pa.array(starts, pa.int32()),
        pa.array(ends, pa.int32()),
        pa.repeat(KIND, len(docs)),
        pa.array(says),
        *(pa.array(cut, pa.int32()) for cut in cuts),
    ]
    occurrences = pa.StructArray.from_arrays(spans, fields=list(PLACED))
    passages = pa.ListArray.from_arrays(pa.array(np.append(begins, len(docs)), pa.int32()), occurrences)
    _, repeated = merge(distinct, docs, starts, ends)
    lengths = n_chars[distinct]
    share = np.round(repeated / np.maximum(lengths, 1), 3).astype(np.float32)
    return pa.table([passages, pa.array(lengths, pa.int32()), share], schema=SCHEMA)


def load(config: NoConfig) -> Callable[[pa.Table], pa.Table]:
    """Return `annotate` with the roles of punctuation."""
    return partial(annotate, roles=load_roles())


STAGE = Stage(
    name="substring",
    version=5,
    reads=("text", *READS, *LEAST, "equal_ranges.copies", *RUNS),
    writes=SCHEMA,
    load=load,
    data=(TABLES_PATH, PUNCTUATION_PATH),
    needs=(
        "stages.passages.shared_anchors",
        "stages.passages.equal_ranges",
        "stages.passages.repeated_windows",
    ),
)
