"""Ranks of documents within their host and slice of time, so that a rule can keep the best N of each.

Reads host (or other columns), snapshot or date, a score and a weight; writes the rank by score of each document that
passes the base rules, and the cumulative weight up to it. The number kept is set by a rule:
`{name: host_cap, caps.rank: {max: 1000}, if_null: keep}`. See docs/urls.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.keyed_hash import keyed_hash
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables
from pipeline.stage import Global, Outcome, outcome_of
from stages.kernels.text.hashing import hash128, salt
from stages.kernels.text.text import utf8_buffers

Slice = Literal["snapshot", "year", "month", "none"]

SCHEMA = pa.schema({"rank": pa.int32(), "used": pa.int64(), "n_documents": pa.int32()})
"""rank: from 1, the best first. used: cumulative weight of the documents up to and including this one; the rank if
there is no `weigh` column. n_documents: ranked documents of its group and slice. All null for a document that fails a
base rule or has null in a column of `by`."""

PLACED = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])

READS = ("doc_id", "parent_id", "host", "snapshot", "date", "passes_base")

YEAR = r"(?P<year>(?:19|20)\d\d)"
MONTH = YEAR + r"(?:[-/.年](?P<month>\d{1,2})|(?P<packed>\d\d))"
"""Year and month of a date in one of the forms 2024-05-01, 2024/5/1, 2024年5月, 20240501."""

SEPARATOR = "\x1f"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Groups, and the order within them.

    by: columns that define a group, such as `host` or `urls.domain`. slice: groups are split by snapshot, or by year or
    month of `date`; documents without one form a slice of their own. prefer: numeric column, largest first (with
    prefer_low smallest first); null comes last, ties are broken by a keyed hash of the document. weigh: numeric column,
    such as `tokens.n_tokens`, that `used` adds up, null counts as 0; default: number of documents. once: column such as
    `dedup.cluster`; documents of a group with the same value share the rank of the first, so that duplicates, of which
    one is kept, use one rank. seed: of the hash.
    """

    by: tuple[str, ...] = ("host",)
    slice: Slice = "snapshot"
    prefer: str = ""
    prefer_low: bool = False  # whether small numbers of `prefer` come first
    weigh: str = ""
    once: str = ""
    seed: int = 0  # of the hash that decides ties

    def __post_init__(self) -> None:
        if isinstance(self.by, str) or not self.by:
            raise ConfigError(f"caps.by is {self.by!r}; expected a list of columns")
        if self.slice not in get_args(Slice):
            raise ConfigError(f"caps.slice is {self.slice!r}; expected one of {', '.join(get_args(Slice))}")
        if self.seed < 0:
            raise ConfigError(f"caps.seed is {self.seed}; expected 0 or more")


def map_rows(table: pa.Table, config: Config) -> pa.Table:
    """Return the documents to rank, keyed by group; `check` distinguishes groups whose keys collide.

    Args: table, with READS, `row` and the columns that config names.
    Returns: one row per document: `key`, `check`, `tie` and `more` uint64, `row`, `value` float64 (smaller is better),
    `weight` int64, `once` uint64, null without a value.
    """
    ranked = table["passes_base"]
    for column in config.by:
        ranked = pc.and_(ranked, table[column].is_valid())
    table = table.filter(ranked)
    names = [table[column].cast(pa.string()) for column in config.by]
    group = pc.binary_join_element_wise(*names, slice_of(table, config), SEPARATOR)
    hashes = hash128(*utf8_buffers(group)) ^ salt(table["parent_id"])[:, None]
    weights = numbers(table, config.weigh, 0.0) if config.weigh else np.ones(table.num_rows)
    value = numbers(table, config.prefer, -np.inf if not config.prefer_low else np.inf)
    value = -value if config.prefer and not config.prefer_low else value
    nulls = pa.chunked_array([pa.nulls(len(hashes), pa.string())])
    once = table[config.once].cast(pa.string()) if config.once else nulls
    once_key = pa.array(hash128(*utf8_buffers(once))[:, 0], mask=np.asarray(once.combine_chunks().is_null()))
    return pa.table(
        {
            "key": hashes[:, 0],
            "check": hashes[:, 1],
            "row": table["row"],
            "value": value,
            "tie": keyed_hash(table["doc_id"], config.seed),
            "more": keyed_hash(table["doc_id"], config.seed + 1),
            "weight": np.ceil(weights).astype(np.int64),
            "once": once_key,
        }
    )


def slice_of(table: pa.Table, config: Config) -> pa.ChunkedArray:
    """Return the slice of each document, string (n_rows,): "" for none; the month is 00 where a date has none."""
    if config.slice == "none":
        return pa.chunked_array([pa.repeat("", table.num_rows)])
    if config.slice == "snapshot":
        return pc.fill_null(table["snapshot"], "")
    year = pc.fill_null(pc.struct_field(pc.extract_regex(table["date"], YEAR), "year"), "")
    if config.slice == "year":
        return year
    match = pc.extract_regex(table["date"], MONTH)
    month = pc.binary_join_element_wise(pc.struct_field(match, "month"), pc.struct_field(match, "packed"), "")
    return pc.binary_join_element_wise(year, pc.utf8_lpad(pc.fill_null(month, ""), 2, "0"), "-")


def numbers(table: pa.Table, column: str, null: float) -> np.ndarray:
    """Return a column as float64 (n_rows,), with null and NaN replaced by `null`; all 0 if column is ""."""
    if not column:
        return np.full(table.num_rows, 0.0)
    values = pc.fill_null(table[column].cast(pa.float64()), float("nan")).to_numpy()
    return np.where(np.isnan(values), null, values)


def place(table: pa.Table, config: Config) -> pa.Table:
    """Rank the documents of each group of one partition: rows of `map_rows` to a table of PLACED."""
    columns = ("more", "tie", "value", "check", "key")
    order = np.lexsort([table[name].to_numpy() for name in columns])
    key, check, weight = (table[name].to_numpy()[order] for name in ("key", "check", "weight"))
    begins = np.ones(len(order), bool)
    begins[1:] = (key[1:] != key[:-1]) | (check[1:] != check[:-1])
    starts = np.flatnonzero(begins)
    sizes = np.diff(np.append(starts, len(order)))
    group = np.repeat(np.arange(len(starts)), sizes)
    first = firsts(group, table["once"].take(pa.array(order)))
    new = first == np.arange(len(order))
    rank, used = running(new.astype(np.int64), starts, group), running(weight * new, starts, group)
    return pa.table(
        [
            table["row"].take(pa.array(order)),
            pa.array(rank[first], pa.int32()),
            pa.array(used[first]),
            pa.array(np.repeat(sizes, sizes), pa.int32()),
        ],
        schema=PLACED,
    )


def firsts(group: np.ndarray, once: pa.ChunkedArray) -> np.ndarray:
    """Return the position of the first document of the same group and value.

    Args: group, int64 (n,), ascending; once, uint64 (n,), in the order of ranks.
    Returns: int64 (n,), a document's own position where `once` is null.
    """
    first = np.arange(len(group))
    rows = np.flatnonzero(np.asarray(once.combine_chunks().is_valid()))
    if not len(rows):
        return first
    values = pc.fill_null(once, 0).to_numpy()[rows]
    order = np.lexsort((rows, values, group[rows]))
    ordered, values = rows[order], values[order]
    begins = np.ones(len(rows), bool)
    begins[1:] = (values[1:] != values[:-1]) | (group[ordered][1:] != group[ordered][:-1])
    first[ordered] = ordered[np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))]
    return first


def running(values: np.ndarray, starts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return cumulative sums of values within groups: int64 (n,).

    Args: values, int64 (n,); starts, int64 (n_groups,), first position of each group; group, int64 (n,), its index.
    """
    total = np.cumsum(values)
    return total - (total[starts] - values[starts])[group] if len(values) else total


def write_ranks(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """The only round: return the ranks unchanged, and count them."""
    table = inbox[RESULTS]
    largest = pc.max(table["n_documents"]).as_py() or 0
    summary = pa.table({"documents": [table.num_rows], "largest": pa.array([largest], pa.int64())})
    return Sent(values=table, counted={"summary": summary})


def add_up(counted: Tables, shared: Tables, config: Config) -> Tables:
    """Documents of all groups, and the largest number of documents of a group and slice."""
    found = counted["summary"]
    summary = {
        "documents": [pc.sum(found["documents"]).as_py()],
        "largest": [pc.max(found["largest"]).as_py()],
    }
    return {"summary": pa.table(summary)}


def close(shared: Tables, config: Config) -> dict[str, pa.Table]:
    """The artefact `summary`."""
    return {"summary": shared["summary"]}


def finish(table: pa.Table, config: Config) -> Outcome:
    """Return the ranks and a summary; the round in one process. table: of PLACED, of all partitions."""
    return outcome_of(GLOBAL, table, config)


GLOBAL = Global(
    name="caps",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the group and its slice",
    map=map_rows,
    reduce=place,
    finish=finish,
    rounds=(Round(name="write", run=write_ranks, takes=(RESULTS,), add=add_up),),
    close=close,
    named=("by", "prefer", "weigh", "once"),
    numbers=("prefer", "weigh"),
)
