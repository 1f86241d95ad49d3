"""Owners: which occurrence of each repeated passage is kept, among the kept documents.

Reads all occurrences of repeated passages, of one step or of several, whether a document is kept, and the values that
define the order; writes the spans of the occurrences to remove. No text is read, so that another order or another rule
takes minutes.

The owner of a passage is its first occurrence in the document of highest preference; ties go to the smaller doc_id.
All passages of all steps use the same order of positions: document by preference, doc_id, then offset. Therefore every
removed character is kept at an earlier position:

- All occurrences of a passage are equal, character by character, in canonical text (`substring`) or in match text
  (paragraphs and lines, whose occurrences do not overlap). The k-th character of a removed occurrence equals the k-th
  of its owner, which is earlier in the order: the owner's document comes first, or it is the same document and the
  owner begins before. In the latter case its k-th character is earlier too, because occurrences in canonical text
  differ by one shift, and units of match text do not overlap.
- If another passage, of any step, removes the owner's character, the owner of that passage has an equal character at a
  still earlier position. There are finitely many positions, so this chain ends at a character that no span contains. No
  step depends on what others remove, and passages may overlap or nest.
- A release that ignores spans of some kinds only keeps more text, and so does moving the ends of removed text inwards,
  to a sentence or at least to a word of its document, after occurrences that overlap or touch are merged.

Equal means equal for the step: a removed paragraph is kept as the same match text, possibly in another width, case or
script and with other punctuation; a removed line of `similar_lines` is represented by the earlier line of its document
that it is similar to. Where other passages overlap it, a passage may be kept in pieces, in several documents.

Documents that are dropped own nothing, so that a passage is lost only if every document containing it is dropped. A
passage with a single occurrence in kept documents is kept whole.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables, add_counts
from pipeline.schema import SPAN, SPANS
from pipeline.stage import Global, NoConfig, Outcome, outcome_of

KIND = "passage"
SCHEMA = pa.schema(
    {"spans": SPANS, "n_removed": pa.int32(), "removed_share": pa.float32(), "n_chars_left": pa.int32()}
)
"""spans: the union of the removed occurrences, for each kind of passage, by start, its ends moved inwards so that no
sentence, or at least no word, is cut (`cut_start` and `cut_end` of `substring`); spans of two kinds may overlap.
n_removed, removed_share: characters in spans of any kind; n_chars_left: all others of the document. All null for a
document without repeated passages, and for a dropped one."""

READS = ("doc_id", "passages", "n_chars", "step", "eligible", "order")
"""The engine passes one table for each step that `keep_one.passages` names, with the `passages` and `n_chars` of the
step and its index as `step`: the same text may be a passage of two steps, and passage ids of different steps are
unrelated."""

GONE = pa.schema(
    {
        "row": pa.uint64(),
        "n_chars": pa.int32(),
        "start": pa.int32(),
        "end": pa.int32(),
        "cut_start": pa.int32(),
        "cut_end": pa.int32(),
        "kind": pa.string(),
        "step": pa.int32(),
        "passage": pa.uint64(),
        "is_owner": pa.bool_(),
    }
)
ROWS = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


def map_passages(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return one row for each occurrence in a kept document, keyed by the passage.

    Args: table, with READS and `row`.
    Returns: `key`, `row`, `doc_id`, `order`, `n_chars`, `step`, `start`, `end`, `cut_start`, `cut_end` (those of the
    occurrence if its step does not write any), `kind` and `passage`.
    """
    kept = table.filter(pc.and_(table["eligible"], pc.is_valid(table["passages"])))
    passages = kept["passages"].combine_chunks()
    rows = pc.list_parent_indices(passages)
    flat = pc.list_flatten(passages)
    taken = kept.select(["row", "doc_id", "order", "n_chars", "step"]).take(rows)
    columns = {name: flat.field(name) for name in ("start", "end", "kind", "passage")}
    has_cuts = flat.type.get_field_index("cut_start") >= 0
    columns |= {f"cut_{edge}": flat.field(f"cut_{edge}" if has_cuts else edge) for edge in ("start", "end")}
    return pa.table(
        {
            "key": columns["passage"],
            "row": taken["row"],
            "doc_id": taken["doc_id"],
            "order": taken["order"],
            "n_chars": taken["n_chars"],
            "step": taken["step"].cast(pa.int32()),
            **columns,
        }
    )


def choose(table: pa.Table, config: NoConfig) -> pa.Table:
    """Choose the owner of each passage of one partition: rows of `map_passages` to a table of GONE."""
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


def write_spans(inbox: Inbox, shared: Tables, config: NoConfig) -> Sent:
    """The only round: merge the removed occurrences of each document of a group to spans.

    Returns: rows of ROWS; counts for the artefact `summary`.
    """
    table = inbox[RESULTS]
    rows, n_chars = table["row"].to_numpy(), table["n_chars"].to_numpy()
    distinct, begins = np.unique(rows, return_index=True)
    removed_rows = table.filter(pc.invert(table["is_owner"]))
    doc_rows, starts, ends = (removed_rows[name].to_numpy() for name in ("row", "start", "end"))
    cuts = removed_rows["cut_start"].to_numpy(), removed_rows["cut_end"].to_numpy()
    spans, removed = merge(distinct, doc_rows, starts, ends, removed_rows["kind"].combine_chunks(), cuts)
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
    return Sent(values=pa.table(columns, schema=ROWS), counted={"summary": pa.table(summary)})


def close(shared: Tables, config: NoConfig) -> dict[str, pa.Table]:
    """The artefact `summary`."""
    return {"summary": shared["summary"]}


def finish(table: pa.Table, config: NoConfig) -> Outcome:
    """Return the spans and a summary; the round in one process. table: of GONE, of all partitions."""
    return outcome_of(GLOBAL, table, config)


def merge(
    distinct: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    kinds: pa.Array | None = None,
    cuts: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[pa.ListArray, np.ndarray]:
    """Merge overlapping ranges of each row and kind, then move their ends inwards.

    Args: distinct, sorted row numbers, (n_rows,), which include all of rows; rows, starts, ends and kinds, (n_ranges,),
    of ranges in any order, which may overlap and nest. Without kinds all are of kind KIND. Ranges of different kinds
    are not merged. cuts: where a range that begins or ends with this one may be cut, (n_ranges,) each.
    Returns: for each of `distinct` the list of spans, (n_rows,), and the characters in any of them, int64 (n_rows,).
    """
    indices = np.searchsorted(distinct, rows)
    names, codes = np.array([KIND]), np.zeros(len(rows), np.int64)
    if kinds is not None and len(kinds):
        coded = kinds.dictionary_encode()
        names, ranks = np.unique(np.asarray(coded.dictionary.to_pylist()), return_inverse=True)
        codes = ranks[coded.indices.to_numpy()].astype(np.int64)
    groups = indices * len(names) + codes
    unions = union(groups, starts, ends)
    groups, first, last = unions if cuts is None else _cut(unions, groups, starts, ends, *cuts)
    indices, codes = np.divmod(groups, len(names))
    whole, low, high = union(indices, first, last)
    n_chars = np.bincount(whole, high - low, len(distinct)).astype(np.int64)
    order = np.lexsort((codes, first, indices))
    kind = pa.array(names[codes[order]].tolist(), pa.string())
    spans = pa.StructArray.from_arrays(
        [pa.array(first[order], pa.int32()), pa.array(last[order], pa.int32()), kind], fields=list(SPAN)
    )
    offsets = np.searchsorted(indices[order], np.arange(len(distinct) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), spans), n_chars


def union(
    groups: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge ranges of the same group that overlap or touch.

    Groups are packed above the offsets, so that the running maximum of ends never reaches into the next group.

    Args: groups, int64 (n_ranges,), from 0 to 2**31 - 1; starts and ends, integers (n_ranges,), in any order.
    Returns: int64 (n_unions,) each: group, start and end, sorted by group, then start.
    """
    order = np.lexsort((starts, groups))
    groups = groups[order]
    base = groups << np.int64(32)
    first, reach = base + starts[order], np.maximum.accumulate(base + ends[order])
    begins = np.flatnonzero(np.append(True, first[1:] > reach[:-1])[: len(first)])
    last = np.append(begins[1:], len(first))[: len(begins)] - 1
    groups = groups[begins]
    return groups, first[begins] - base[begins], reach[last] - base[last]


def _cut(
    unions: tuple[np.ndarray, np.ndarray, np.ndarray],
    groups: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    cut_starts: np.ndarray,
    cut_ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut each union where the ranges that begin and end with it may be cut; the result has no empty ranges.

    Only the ends of a union are moved: where ranges overlap or touch, no text is left between them.

    Args: unions, of `union`, from groups, starts and ends; cut_starts, cut_ends, integers (n_ranges,).
    Returns: int64 (n_cut_unions,) each: group, start and end, in the order of unions.
    """
    group, first, last = unions
    base = group << np.int64(32)
    at = np.searchsorted(base + first, (groups << np.int64(32)) + starts, side="right") - 1
    opens, closes = starts == first[at], ends == last[at]
    cut_first, cut_last = last.copy(), first.copy()
    np.minimum.at(cut_first, at[opens], cut_starts[opens])
    np.maximum.at(cut_last, at[closes], cut_ends[closes])
    left = cut_first < cut_last
    return group[left], cut_first[left], cut_last[left]


GLOBAL = Global(
    name="owners",
    version=3,
    reads=READS,
    writes=SCHEMA,
    key="passage",
    map=map_passages,
    reduce=choose,
    finish=finish,
    rounds=(Round(name="write", run=write_spans, takes=(RESULTS,), add=add_counts),),
    close=close,
)
