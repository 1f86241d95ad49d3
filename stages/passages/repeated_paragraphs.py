"""Repeated paragraphs: every occurrence of a paragraph or line that occurs more than once.

Reads the keys of paragraphs, no text; writes each occurrence with the id of its passage, in the format of
`stages.passages.substring`. Which occurrence is kept is decided after the rules, by `stages.passages.owners`. Derived
documents share paragraphs only with each other, because they repeat their parents' text by construction.

A paragraph of k occurrences costs k rows, never pairs. Different paragraphs whose 96-bit hashes collide would be taken
for copies: with 10**10 different paragraphs, the probability of any such collision is 1 in 10**9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables, add_counts
from pipeline.stage import Global, Outcome, outcome_of
from stages.kernels.passages.passages import passage_ids
from stages.kernels.text.hashing import is_view, salt
from stages.passages.paragraphs import UNITS
from stages.passages.substring import PASSAGE, WHOLE

READS = (
    "parent_id",
    "provenance",
    *(f"paragraphs.{name}" for name in ("keys", "checks", "starts", "ends", "n_chars", "unit")),
)
KEYED = pa.schema(
    {
        "key": pa.uint64(),
        "check": pa.uint32(),
        "row": pa.uint64(),
        "start": pa.int32(),
        "end": pa.int32(),
        "n_chars": pa.int32(),
        "unit": pa.int8(),
    }
)
FOUND = pa.schema(
    {
        "row": pa.uint64(),
        "start": pa.int32(),
        "end": pa.int32(),
        "n_chars": pa.int32(),
        "unit": pa.int8(),
        "passage": pa.uint64(),
        "is_first": pa.bool_(),
    }
)
"""is_first: of the occurrences of its passage."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """min_copies: least number of occurrences of a repeated paragraph, including the one that is kept."""

    min_copies: int = 2

    def __post_init__(self) -> None:
        if self.min_copies < 2:
            raise ConfigError(f"repeated_paragraphs.min_copies is {self.min_copies}; expected 2 or more")


def map_keys(table: pa.Table, config: Config) -> pa.Table:
    """Return one row for each paragraph: table with READS and `row` to a table of KEYED; views of other documents have
    none, since they repeat their parents on purpose."""
    table = table.filter(pa.array(~is_view(table["parent_id"], table["provenance"])))
    lists = {
        name: table[f"paragraphs.{name}"].combine_chunks() for name in ("keys", "checks", "starts", "ends")
    }
    parents = pc.list_parent_indices(lists["keys"]).to_numpy().astype(np.int64)
    flat = {name: pc.list_flatten(values) for name, values in lists.items()}
    units = pc.index_in(table["paragraphs.unit"], pa.array(UNITS)).cast(pa.int8())
    columns = {
        "key": flat["keys"].to_numpy() ^ salt(table["parent_id"], table["provenance"])[parents],
        "check": flat["checks"],
        "row": table["row"].to_numpy()[parents],
        "start": flat["starts"],
        "end": flat["ends"],
        "n_chars": table["paragraphs.n_chars"].take(pa.array(parents)),
        "unit": units.take(pa.array(parents)),
    }
    return pa.table(columns, schema=KEYED)


def find_repeated(table: pa.Table, config: Config) -> pa.Table:
    """Return the occurrences of paragraphs that occur at least `min_copies` times.

    Args: table, of KEYED, one partition.
    Returns: a table of FOUND.
    """
    keys, checks = table["key"].to_numpy(), table["check"].to_numpy()
    order = np.lexsort((checks, keys))
    keys, checks = keys[order], checks[order]
    is_first = np.append(True, (keys[1:] != keys[:-1]) | (checks[1:] != checks[:-1]))[: len(keys)]
    begins = np.flatnonzero(is_first)
    n_copies = np.diff(np.append(begins, len(keys)))
    chosen = np.repeat(n_copies >= config.min_copies, n_copies)
    taken = table.take(pa.array(order[chosen])).select(FOUND.names[:-2])
    taken = taken.append_column("passage", pa.array(passage_ids(keys[chosen], checks[chosen])))
    return taken.append_column("is_first", pa.array(is_first[chosen])).cast(FOUND)


def list_occurrences(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """The only round: the occurrences of each document of a group by start.

    Returns: rows of `row` and WHOLE; counts for the artefact `summary`.
    """
    table = inbox[RESULTS]
    rows, starts = table["row"].to_numpy(), table["start"].to_numpy()
    order = np.lexsort((starts, rows))
    rows, starts = rows[order], starts[order]
    ends, lengths, passages = (table[name].to_numpy()[order] for name in ("end", "n_chars", "passage"))
    kinds = pa.array(UNITS).take(table["unit"].combine_chunks().take(pa.array(order)))
    distinct, begins = np.unique(rows, return_index=True)
    offsets = np.append(begins, len(rows))
    occurrences = pa.StructArray.from_arrays([starts, ends, kinds, passages], fields=list(PASSAGE))
    before = np.append(0, np.cumsum((ends - starts).astype(np.int64)))
    repeated, lengths = np.diff(before[offsets]), lengths[begins]
    share = np.round(repeated / np.maximum(lengths, 1), 3).astype(np.float32)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), occurrences)
    summary = {
        "documents": [len(distinct)],
        "passages": [int(np.count_nonzero(table["is_first"]))],
        "occurrences": [len(rows)],
        "repeated_chars": [int(repeated.sum())],
    }
    schema = pa.schema([pa.field("row", pa.uint64()), *WHOLE])
    return Sent(
        values=pa.table([distinct, lists, lengths, share], schema=schema),
        counted={"summary": pa.table(summary)},
    )


def close(shared: Tables, config: Config) -> dict[str, pa.Table]:
    """The artefact `summary`."""
    return {"summary": shared["summary"]}


def finish(table: pa.Table, config: Config) -> Outcome:
    """Return the occurrences and a summary; the round in one process. table: of FOUND, of all partitions."""
    return outcome_of(GLOBAL, table, config)


GLOBAL = Global(
    name="repeated_paragraphs",
    version=2,
    config=Config,
    reads=READS,
    writes=WHOLE,
    key="hash of the match text of the paragraph",
    map=map_keys,
    reduce=find_repeated,
    finish=finish,
    rounds=(Round(name="write", run=list_occurrences, takes=(RESULTS,), add=add_counts),),
    close=close,
)
