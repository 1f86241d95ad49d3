"""Owners: which occurrence of each repeated passage stays, among the documents that stay.

Reads every occurrence of repeated passages, of one step or of several, whether a document stays, and what the order
compares; writes the spans of the occurrences that go. No text is read, so that another order or another rule takes
minutes.

The owner of a passage is its first occurrence in the document of highest preference; ties go to the smaller doc_id.
All passages of all steps choose by that one order of places: document by preference, doc_id, then position. So every
removed character still stands in an earlier place:

- Two occurrences of a passage say the same, character by character: in canonical text (`substring`) or in match text
  (paragraphs and lines, whose occurrences do not overlap). The k-th character of an occurrence that goes is the k-th
  of its owner, and the owner's is earlier in the order: its document comes first, or it is the same document and the
  owner begins before. Then its k-th character is earlier too, since what is equal in canonical text is shifted as a
  whole, and units of match text do not overlap.
- If another passage, of whatever step, removes the owner's character, that one has an earlier one in turn. Places
  only ever come earlier in the order and there are finitely many, so the walk ends, at a character that no span
  holds. No step needs to know what others remove, and passages may overlap or nest as they like.
- Leaving out spans, of a kind that a release does not ask for, only leaves more standing.

Equal means equal for the step: what is removed as a paragraph stands in match text, perhaps in another width, case or
script, and its own punctuation may not. A line that goes because it is like an earlier one of its document
(`similar_lines`) has that one in its place. A passage may come to stand in pieces, in several documents, where other
passages cross it.

Documents that do not stay own nothing, so a passage goes nowhere only if no document that holds it stays. A passage
that one document alone still holds, once, is left whole.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import SPAN, SPANS
from pipeline.stage import Global, NoConfig, Outcome

KIND = "passage"
SCHEMA = pa.schema(
    {"spans": SPANS, "n_removed": pa.int32(), "removed_share": pa.float32(), "n_chars_left": pa.int32()}
)
"""spans: the union of the occurrences that go, for each kind of passage, by start; those of two kinds may overlap.
n_removed, removed_share: characters in spans of any kind; n_chars_left: all others of the document. All null for a
document without repeated passages, and for one that does not stay."""

READS = ("doc_id", "substring.passages", "substring.n_chars", "step", "eligible", "order")
"""The engine feeds one table for each step that `keep_one.passages` names, with that step's columns under these names
and its number as `step`: the same text may be a passage of two steps, and their numbers are not one another's."""

GONE = pa.schema(
    {
        "row": pa.uint64(),
        "n_chars": pa.int32(),
        "start": pa.int32(),
        "end": pa.int32(),
        "kind": pa.string(),
        "step": pa.int32(),
        "passage": pa.uint64(),
        "is_owner": pa.bool_(),
    }
)
ROWS = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


def map_passages(table: pa.Table, config: NoConfig) -> pa.Table:
    """One row for each occurrence in a document that stays, keyed by the passage."""
    held = table.filter(pc.and_(table["eligible"], pc.is_valid(table["substring.passages"])))
    passages = held["substring.passages"].combine_chunks()
    rows = pc.list_parent_indices(passages)
    flat = pc.list_flatten(passages)
    taken = held.select(["row", "doc_id", "order", "substring.n_chars", "step"]).take(rows)
    columns = {name: flat.field(name) for name in ("start", "end", "kind", "passage")}
    return pa.table(
        {
            "key": columns["passage"],
            "row": taken["row"],
            "doc_id": taken["doc_id"],
            "order": taken["order"],
            "n_chars": taken["substring.n_chars"],
            "step": taken["step"].cast(pa.int32()),
            **columns,
        }
    )


def choose(table: pa.Table, config: NoConfig) -> pa.Table:
    """Choose the owner of each passage of one partition."""
    n_values = pc.max(pc.list_value_length(table["order"])).as_py() or 0
    keys = [(name, "descending") for name in (f"order_{i}" for i in range(n_values))]
    columns = {f"order_{i}": pc.list_element(table["order"], i) for i in range(n_values)}
    columns |= {name: table[name] for name in ("passage", "step", "doc_id", "start")}
    order = [
        ("passage", "ascending"),
        ("step", "ascending"),
        *keys,
        ("doc_id", "ascending"),
        ("start", "ascending"),
    ]
    table = table.take(pc.sort_indices(pa.table(columns), sort_keys=order))
    passage, step = table["passage"].to_numpy(), table["step"].to_numpy()
    is_first = np.append(True, (passage[1:] != passage[:-1]) | (step[1:] != step[:-1]))[: len(passage)]
    return table.append_column("is_owner", pa.array(is_first)).select(GONE.names).cast(GONE)


def finish(table: pa.Table, config: NoConfig) -> Outcome:
    """Join what goes to spans, document by document."""
    rows, n_chars = table["row"].to_numpy(), table["n_chars"].to_numpy()
    distinct, begins = np.unique(rows, return_index=True)
    gone = table.filter(pc.invert(table["is_owner"]))
    places, starts, ends = (gone[name].to_numpy() for name in ("row", "start", "end"))
    spans, removed = merge(distinct, places, starts, ends, gone["kind"].combine_chunks())
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
        "passages": [pc.sum(table["is_owner"]).as_py() or 0],
        "occurrences": [len(rows)],
        "removed_chars": [int(removed.sum())],
    }
    return Outcome(rows=pa.table(columns, schema=ROWS), artefacts={"summary": pa.table(summary)})


def merge(
    distinct: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    kinds: pa.Array | None = None,
) -> tuple[pa.ListArray, np.ndarray]:
    """Union of ranges by row: for each of `distinct` the list of spans, and the characters in any of them, int64.

    Args: distinct, sorted, all of rows among them; rows, starts, ends and kinds, of ranges in any order that may
    overlap and nest. Without kinds all are of one. Ranges of different kinds are not joined.
    """
    places = np.searchsorted(distinct, rows)
    names, codes = np.array([KIND]), np.zeros(len(rows), np.int64)
    if kinds is not None and len(kinds):
        coded = kinds.dictionary_encode()
        names, ranks = np.unique(np.asarray(coded.dictionary.to_pylist()), return_inverse=True)
        codes = ranks[coded.indices.to_numpy()].astype(np.int64)
    whole, first, last = union(places, starts, ends)
    n_chars = np.bincount(whole, last - first, len(distinct)).astype(np.int64)
    groups, first, last = union(places * len(names) + codes, starts, ends)
    places, codes = np.divmod(groups, len(names))
    order = np.lexsort((codes, first, places))
    kind = pa.array(names[codes[order]].tolist(), pa.string())
    spans = pa.StructArray.from_arrays(
        [pa.array(first[order], pa.int32()), pa.array(last[order], pa.int32()), kind], fields=list(SPAN)
    )
    offsets = np.searchsorted(places[order], np.arange(len(distinct) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), spans), n_chars


def union(
    groups: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join ranges of one group that overlap or touch: group, start and end of each union, int64, in order.

    Args: groups, int64, from 0 and below 2**31; starts and ends, of ranges in any order. How far the ranges before it
    reach tells whether a range goes on, and a group's number above its ends keeps it from reaching into the next.
    """
    order = np.lexsort((starts, groups))
    groups = groups[order]
    base = groups << np.int64(32)
    first, reach = base + starts[order], np.maximum.accumulate(base + ends[order])
    begins = np.flatnonzero(np.append(True, first[1:] > reach[:-1])[: len(first)])
    last = np.append(begins[1:], len(first))[: len(begins)] - 1
    groups = groups[begins]
    return groups, first[begins] - base[begins], reach[last] - base[last]


GLOBAL = Global(
    name="owners",
    version=2,
    reads=READS,
    writes=SCHEMA,
    key="passage",
    map=map_passages,
    reduce=choose,
    finish=finish,
)
