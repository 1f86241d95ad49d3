"""Places of documents within their host and slice of time, so that a rule can keep the best N of each.

Reads host (or any columns), snapshot or date, a score and a weight; writes the place of each document that passes the
base rules in the order of the score, and what all up to it weigh together. How many may stay is up to a rule:
`{name: host_cap, caps.rank: {max: 1000}, if_null: keep}`. See docs/urls.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Global, Outcome
from stages.kernels.hashing import hash128, salt
from stages.kernels.text import utf8_buffers
from stages.keyed_hash import keyed_hash

Slice = Literal["snapshot", "year", "month", "none"]

SCHEMA = pa.schema({"rank": pa.int32(), "used": pa.int64(), "n_documents": pa.int32()})
"""rank: from 1, the best first. used: what the documents up to this one weigh, itself included; the rank where nothing
is weighed. n_documents: documents of its group and slice that compete. All null for a document that fails a base rule
or lacks a column of `by`."""

PLACED = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])

READS = ("doc_id", "parent_id", "host", "snapshot", "date", "passes_base")

YEAR = r"(?P<year>(?:19|20)\d\d)"
MONTH = YEAR + r"(?:[-/.年](?P<month>\d{1,2})|(?P<packed>\d\d))"
"""Where a date has its year and its month: 2024-05-01, 2024/5/1, 2024年5月, 20240501."""

SEPARATOR = "\x1f"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Who competes with whom, and in what order.

    by: columns that name a group, such as `host` or `urls.domain`. slice: groups are apart for each snapshot, or year
    or month of `date`; documents without one are a slice too. prefer: column of numbers, the largest first (with
    prefer_low the least); null comes last, ties go by a keyed hash of the document. weigh: column of numbers such as
    `tokens.n_tokens` that `used` adds up, null as 0; none: documents. once: column such as `dedup.cluster`; documents
    of a group with the same value share the place of the first, so that copies, of which one stays, take one place.
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
    """Documents that compete, keyed by group; `check` tells groups of one key apart."""
    inside = table["passes_base"]
    for column in config.by:
        inside = pc.and_(inside, table[column].is_valid())
    table = table.filter(inside)
    names = [table[column].cast(pa.string()) for column in config.by]
    group = pc.binary_join_element_wise(*names, slice_of(table, config), SEPARATOR)
    hashes = hash128(*utf8_buffers(group)) ^ salt(table["parent_id"])[:, None]
    weights = numbers(table, config.weigh, 0.0) if config.weigh else np.ones(table.num_rows)
    value = numbers(table, config.prefer, -np.inf if not config.prefer_low else np.inf)
    value = -value if config.prefer and not config.prefer_low else value
    nothing = pa.chunked_array([pa.nulls(len(hashes), pa.string())])
    once = table[config.once].cast(pa.string()) if config.once else nothing
    same = pa.array(hash128(*utf8_buffers(once))[:, 0], mask=np.asarray(once.combine_chunks().is_null()))
    return pa.table(
        {
            "key": hashes[:, 0],
            "check": hashes[:, 1],
            "row": table["row"],
            "value": value,
            "tie": keyed_hash(table["doc_id"], config.seed),
            "more": keyed_hash(table["doc_id"], config.seed + 1),
            "weight": np.ceil(weights).astype(np.int64),
            "once": same,
        }
    )


def slice_of(table: pa.Table, config: Config) -> pa.ChunkedArray:
    """The slice of each document as text; empty for none, and with month 00 where a date has none."""
    if config.slice == "none":
        return pa.chunked_array([pa.repeat("", table.num_rows)])
    if config.slice == "snapshot":
        return pc.fill_null(table["snapshot"], "")
    year = pc.fill_null(pc.struct_field(pc.extract_regex(table["date"], YEAR), "year"), "")
    if config.slice == "year":
        return year
    found = pc.extract_regex(table["date"], MONTH)
    month = pc.binary_join_element_wise(pc.struct_field(found, "month"), pc.struct_field(found, "packed"), "")
    return pc.binary_join_element_wise(year, pc.utf8_lpad(pc.fill_null(month, ""), 2, "0"), "-")


def numbers(table: pa.Table, column: str, null: float) -> np.ndarray:
    """A column as float64; null and NaN become `null`, and so does a column without a name."""
    if not column:
        return np.full(table.num_rows, 0.0)
    values = pc.fill_null(table[column].cast(pa.float64()), float("nan")).to_numpy()
    return np.where(np.isnan(values), null, values)


def place(table: pa.Table, config: Config) -> pa.Table:
    """Order every group of one partition and count."""
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
    """The first document of a group with the same value, itself for one without; places in the order, int64 (n,)."""
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
    """Sums of values from the start of each group on, int64 (n,)."""
    total = np.cumsum(values)
    return total - (total[starts] - values[starts])[group] if len(values) else total


def finish(table: pa.Table, config: Config) -> Outcome:
    """The places as they are, and how large the largest group is."""
    largest = pc.max(table["n_documents"]).as_py() or 0
    summary = pa.table({"documents": [table.num_rows], "largest": pa.array([largest], pa.int64())})
    return Outcome(rows=table, artefacts={"summary": summary})


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
    named=("by", "prefer", "weigh", "once"),
    numbers=("prefer", "weigh"),
)
