"""Owners: which occurrence of each repeated passage stays, among the documents that stay.

Reads every occurrence of repeated passages, whether a document stays, and what the order compares; writes the spans of
the occurrences that go. No text is read, so that another order or another rule takes minutes.

The owner of a passage is its first occurrence in the document of highest preference; ties go to the smaller doc_id.
All passages choose by that one order, so every removed character still stands in an earlier place: follow it from
owner to owner, and document and position only ever go forward in the order. Documents that do not stay own nothing, so
a passage goes nowhere only if no document that holds it stays. A passage that one document alone still holds, once, is
left whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN, SPANS
from pipeline.stage import Global, Outcome

KIND = "passage"
SCHEMA = pa.schema(
    {"spans": SPANS, "n_removed": pa.int32(), "removed_share": pa.float32(), "n_chars_left": pa.int32()}
)
"""spans: the union of the occurrences that go. n_removed, removed_share: characters in them; n_chars_left: all others
of the document. All null for a document without repeated passages, and for one that does not stay."""

READS = ("doc_id", "substring.passages", "substring.n_chars", "eligible", "order")
GONE = pa.schema(
    {
        "row": pa.uint64(),
        "n_chars": pa.int32(),
        "start": pa.int32(),
        "end": pa.int32(),
        "passage": pa.uint64(),
        "is_owner": pa.bool_(),
    }
)
ROWS = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


@dataclass(frozen=True, kw_only=True)
class Config:
    """Nothing to set: the order is that of `keep_one`."""


def map_passages(table: pa.Table, config: Config) -> pa.Table:
    """One row for each occurrence in a document that stays, keyed by the passage."""
    held = table.filter(pc.and_(table["eligible"], pc.is_valid(table["substring.passages"])))
    passages = held["substring.passages"].combine_chunks()
    rows = pc.list_parent_indices(passages)
    flat = pc.list_flatten(passages)
    taken = held.select(["row", "doc_id", "order", "substring.n_chars"]).take(rows)
    columns = {name: flat.field(name) for name in ("start", "end", "passage")}
    return pa.table(
        {
            "key": columns["passage"],
            "row": taken["row"],
            "doc_id": taken["doc_id"],
            "order": taken["order"],
            "n_chars": taken["substring.n_chars"],
            **columns,
        }
    )


def choose(table: pa.Table, config: Config) -> pa.Table:
    """Choose the owner of each passage of one partition."""
    n_values = pc.max(pc.list_value_length(table["order"])).as_py() or 0
    keys = [(name, "descending") for name in (f"order_{i}" for i in range(n_values))]
    columns = {f"order_{i}": pc.list_element(table["order"], i) for i in range(n_values)}
    columns |= {name: table[name] for name in ("passage", "doc_id", "start")}
    order = [("passage", "ascending"), *keys, ("doc_id", "ascending"), ("start", "ascending")]
    table = table.take(pc.sort_indices(pa.table(columns), sort_keys=order))
    passage = table["passage"].to_numpy()
    first = np.append(True, passage[1:] != passage[:-1])[: len(passage)]
    return table.append_column("is_owner", pa.array(first)).select(GONE.names).cast(GONE)


def finish(table: pa.Table, config: Config) -> Outcome:
    """Join what goes to spans, document by document."""
    table = table.take(pc.sort_indices(table, sort_keys=[("row", "ascending"), ("start", "ascending")]))
    rows, n_chars, starts, ends, passages, is_owner = (table[name].to_numpy() for name in GONE.names)
    distinct, begins = np.unique(rows, return_index=True)
    spans, removed = merge(distinct, rows[~is_owner], starts[~is_owner], ends[~is_owner])
    lengths = n_chars[begins]
    columns = [
        distinct,
        spans,
        removed.astype(np.int32),
        np.round(removed / np.maximum(lengths, 1), 3).astype(np.float32),
        (lengths - removed).astype(np.int32),
    ]
    summary = {
        "documents": [len(distinct)],
        "passages": [len(np.unique(passages))],
        "occurrences": [len(rows)],
        "removed_chars": [int(removed.sum())],
    }
    return Outcome(rows=pa.table(columns, schema=ROWS), artefacts={"summary": pa.table(summary)})


def merge(
    distinct: np.ndarray, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[pa.ListArray, np.ndarray]:
    """Union of ranges by row: for each of `distinct` the list of spans, and the characters in them, int64.

    Args: rows, starts and ends, by row and start. In a document the ends of passages grow with their starts, so that
    neighbours tell all.
    """
    joined = (rows[1:] == rows[:-1]) & (starts[1:] <= ends[:-1])
    first = np.flatnonzero(np.append(True, ~joined)[: len(rows)])
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    rows, starts, ends = rows[first], starts[first], ends[last]
    kinds = pa.repeat(KIND, len(rows))
    spans = pa.StructArray.from_arrays([starts, ends, kinds], fields=list(SPAN))
    offsets = np.append(np.searchsorted(rows, distinct), len(rows))
    before = np.append(0, np.cumsum((ends - starts).astype(np.int64)))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), spans), np.diff(before[offsets])


GLOBAL = Global(
    name="owners",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="passage",
    map=map_passages,
    reduce=choose,
    finish=finish,
)
