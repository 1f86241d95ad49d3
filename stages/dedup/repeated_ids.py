"""Repeated ids: rows of one source whose source_id occurs more than once in it.

Reads source and source_id; writes how many rows share the id, and a summary per source. No decision depends on it:
doc_id is unique in any case, but a source with repeated ids was often concatenated or ingested twice.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables
from pipeline.stage import Global, NoConfig, Outcome, outcome_of
from stages.kernels.text.hashing import ODD_A, string_keys

SCHEMA = pa.schema({"n_same": pa.int32()})
"""n_same: rows of the source with this source_id, including this one; null for a unique or missing id."""

IDS = pa.schema({"key": pa.uint64(), "row": pa.uint64(), "source": pa.string(), "source_id": pa.string()})
REPEATED = pa.schema([*list(IDS)[1:], pa.field("n_same", pa.int32()), pa.field("is_first", pa.bool_())])
"""is_first: of the rows with the same id."""

SUMMARY = ["source", "repeated_ids", "rows", "example"]


def map_ids(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return the rows with an id, keyed by source and id: a table of IDS."""
    table = table.filter(pc.is_valid(table["source_id"]))
    keys = string_keys(table["source"]) * ODD_A + string_keys(table["source_id"])
    return pa.table([keys, table["row"], table["source"], table["source_id"]], schema=IDS)


def find_repeats(table: pa.Table, config: NoConfig) -> pa.Table:
    """Return the rows of one partition whose id is not unique; different ids with colliding keys are distinguished.

    Args: table, of IDS.
    Returns: a table of REPEATED.
    """
    by = ["key", "source", "source_id"]
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in [*by, "row"]])
    table = table.take(order).combine_chunks()
    new = np.ones(table.num_rows, np.bool_)
    for i, name in enumerate(by):
        column = table[name]
        changed = pc.not_equal(column.slice(1), column.slice(0, max(len(column) - 1, 0))).to_numpy()
        new[1:] = changed if i == 0 else new[1:] | changed
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, table.num_rows)).astype(np.int32)
    n_same = np.repeat(sizes, sizes)
    table = table.drop_columns("key").append_column("n_same", pa.array(n_same))
    table = table.append_column("is_first", pa.array(new))
    return table.filter(pa.array(n_same > 1)).cast(REPEATED)


def write_counts(inbox: Inbox, shared: Tables, config: NoConfig) -> Sent:
    """The only round: return the rows, and per source what the first rows of repeated ids say: their number, their rows
    and the smallest id."""
    table = inbox[RESULTS]
    firsts = table.filter(table["is_first"])
    summary = firsts.group_by("source", use_threads=False).aggregate(
        [("source_id", "count"), ("n_same", "sum"), ("source_id", "min")]
    )
    summary = summary.select(["source", "source_id_count", "n_same_sum", "source_id_min"])
    return Sent(values=table.select(["row", "n_same"]), counted={"summary": summary.rename_columns(SUMMARY)})


def add_up(counted: Tables, shared: Tables, config: NoConfig) -> Tables:
    """Add the counts of each source; the smallest of the examples."""
    ordered = counted["summary"].group_by("source", use_threads=False)
    summary = ordered.aggregate([("repeated_ids", "sum"), ("rows", "sum"), ("example", "min")])
    summary = summary.select(["source", "repeated_ids_sum", "rows_sum", "example_min"])
    return {"summary": summary.rename_columns(SUMMARY).sort_by("source")}


def close(shared: Tables, config: NoConfig) -> dict[str, pa.Table]:
    """The artefact `summary`: per source the number of repeated ids, their rows, and the smallest such id."""
    return {"summary": shared["summary"]}


def finish(table: pa.Table, config: NoConfig) -> Outcome:
    """Return the rows and the summary; the round in one process. table: of REPEATED, of all partitions."""
    return outcome_of(GLOBAL, table, config)


GLOBAL = Global(
    name="repeats",
    version=1,
    reads=("source", "source_id"),
    writes=SCHEMA,
    key="hash of source and source_id",
    map=map_ids,
    reduce=find_repeats,
    finish=finish,
    rounds=(Round(name="write", run=write_counts, takes=(RESULTS,), add=add_up),),
    close=close,
)
