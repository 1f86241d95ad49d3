"""Rounds: the end of a global step in groups of shards that send tables to each other, so that no process holds all
rows.

The results of reduce are sent to the group of shards that contains their row. Then each round is a pure function of
what a group received: it sends tables to rows of any group, returns counts of a size that does not follow the corpus,
or returns the values of the group's rows. A small corpus is one group, and its rounds run in one process without
files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.schema import ROW, ROW_BITS

Tables = Mapping[str, pa.Table]

RESULTS = "results"
"""Name under which the first rounds find the results of reduce."""

EVERYWHERE = (0, 1 << 64)


@dataclass(frozen=True)
class Inbox:
    """What a group received. tables: by name, in no order, and without those that nobody sent; rows: first row of the
    group and the first one after it."""

    tables: Tables
    rows: tuple[int, int] = EVERYWHERE

    def __getitem__(self, name: str) -> pa.Table:
        return self.tables[name]

    def get(self, name: str) -> pa.Table | None:
        """A table, or None if nobody has sent one."""
        return self.tables.get(name)

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Whether each row, uint64 (n,), is one of this group's: bool (n,)."""
        low, high = self.rows
        below = np.ones(len(rows), bool) if high >= 1 << 64 else rows < np.uint64(high)
        return below & (rows >= np.uint64(low))


@dataclass(frozen=True)
class Sent:
    """What a round returns for one group.

    tables: by name; the column `row`, uint64, says to which group each row goes. counted: by name, small tables for
    `Round.add`. values: `row` and the columns that the step writes, of rows of the group; in one round only. known:
    results to remember of pairs (stage.Outcome.known), `row` in the group.
    """

    tables: Tables = field(default_factory=dict)
    counted: Tables = field(default_factory=dict)
    values: pa.Table | None = None
    known: pa.Table | None = None


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round. Results must not depend on how shards are grouped.

    run(inbox, shared, config): of one group. takes: tables that it uses up; reads: tables that later rounds see too.
    add(counted, shared, config): the counts of all groups, concatenated by name -> tables that all later rounds and
        `Global.close` see as `shared`.
    again(shared): whether the round is repeated.
    combine(counted, config): counts of some groups, concatenated -> smaller tables of the same schemas that are
        equivalent for `add`; for counts of some size, of which the driver then holds those of a few groups only.
    """

    name: str
    run: Callable[[Inbox, Tables, Any], Sent]
    takes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    add: Callable[[Tables, Tables, Any], Tables] | None = None
    again: Callable[[Tables], bool] | None = None
    combine: Callable[[Tables, Any], Tables] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the tables that it gets."""
        return (*self.takes, *self.reads)


Close = Callable[[Tables, Any], dict[str, pa.Table]]
"""(shared, config) -> the artefacts of a step."""

Turn = Callable[[int, int, Tables], Tables]
"""Runs a round for all groups: (number of the turn, index of the round, shared) -> counts of all groups by name."""


def play(
    rounds: Sequence[Round], config: Any, turn: Turn
) -> Tables:  # Any: each step has its own config class
    """Run the rounds in order, each until it need not be repeated; returns what they share at the end."""
    shared: Tables = {}
    number = 0
    for index, one in enumerate(rounds):
        while True:
            counted = turn(number, index, shared)
            number += 1
            if one.add is not None:
                shared = {**shared, **one.add(counted, shared, config)}
            if one.again is None or not one.again(shared):
                break
    return shared


@dataclass(frozen=True)
class Ended:
    """Result of rounds in memory: see stage.Outcome."""

    rows: pa.Table | None
    artefacts: dict[str, pa.Table]
    known: pa.Table | None


def play_in_memory(
    results: pa.Table,
    rounds: Sequence[Round],
    close: Close,
    config: Any,
    route: str = ROW,
    starts: Sequence[int] = (0,),
) -> Ended:
    """Run rounds in this process.

    Args: results, of reduce; route, the column by which they are sent; starts, ordinal of the first shard of each
    group.
    """
    groups = [GroupRange(starts, i) for i in range(len(starts))]
    received: list[dict[str, list[pa.Table]]] = [{} for _ in groups]
    values: list[pa.Table] = []
    known: list[pa.Table] = []

    def deliver(name: str, table: pa.Table, route: str) -> None:
        if len(groups) == 1:
            received[0].setdefault(name, []).append(table)
            return
        group = group_of(table[route].to_numpy(), starts)
        for i in range(len(groups)):
            received[i].setdefault(name, []).append(table.filter(pa.array(group == i)))

    def turn(number: int, index: int, shared: Tables) -> Tables:
        one = rounds[index]
        sent = []
        for group, tables in zip(groups, received, strict=True):
            inbox = {name: pa.concat_tables(tables[name]) for name in one.needs if name in tables}
            sent.append(one.run(Inbox(inbox, group.rows), shared, config))
            for name in one.takes:
                tables.pop(name, None)
        for each in sent:
            for name, table in each.tables.items():
                deliver(name, table, ROW)
            values.extend([each.values] if each.values is not None else [])
            known.extend([each.known] if each.known is not None else [])
        return added(one, [each.counted for each in sent], config)

    deliver(RESULTS, results, route)
    shared = play(rounds, config, turn)
    return Ended(
        pa.concat_tables(values) if values else None,
        close(shared, config),
        pa.concat_tables(known) if known else None,
    )


def added(
    one: Round, counted: Sequence[Tables], config: Any
) -> Tables:  # Any: each step has its own config class
    """Counts of several groups as one: concatenated, and combined if the round has a combiner."""
    tables = joined(counted)
    return tables if one.combine is None or len(counted) < 2 else one.combine(tables, config)


def joined(tables: Sequence[Tables]) -> Tables:
    """Tables of the same name, concatenated."""
    names = dict.fromkeys(name for each in tables for name in each)
    return {name: pa.concat_tables([each[name] for each in tables if name in each]) for name in names}


def add_counts(
    counted: Tables, shared: Tables, config: Any
) -> Tables:  # Any: each step has its own config class
    """The `add` of rounds whose counts are sums: each column of each table is summed over the groups."""
    return {
        name: pa.table({c: [sum(table[c].to_pylist())] for c in table.column_names})
        for name, table in counted.items()
    }


@dataclass(frozen=True)
class GroupRange:
    """A group of consecutive shards. starts: ordinal of the first shard of each group; index: of this one."""

    starts: Sequence[int]
    index: int

    @property
    def rows(self) -> tuple[int, int]:
        """First row, and the first row after the group; the first group begins at 0 and the last one never ends."""
        low = self.starts[self.index] << ROW_BITS if self.index else 0
        last = self.index + 1 == len(self.starts)
        return low, 1 << 64 if last else self.starts[self.index + 1] << ROW_BITS


def group_of(rows: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """Group of each row: uint64 (n,) to int64 (n,). starts: ordinal of the first shard of each group."""
    firsts = np.array(starts[1:], np.uint64) << np.uint64(ROW_BITS)
    return np.searchsorted(firsts, rows, "right").astype(np.int64)
