"""Rounds of a global step (pipeline.rounds) over groups of shards: one task a group and turn, tables exchanged by
files.

Every task writes its result last, so that a run that was stopped goes on with the tasks that it lacks.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.mapreduce.exchange import Source
from pipeline.mapreduce.pair_memory import shard_numbers, update_memory
from pipeline.mapreduce.rows import write_rows
from pipeline.mapreduce.shuffle import read_sources, write_exchange
from pipeline.rounds import RESULTS, GroupRange, Inbox, Tables, group_of
from pipeline.schema import ROW
from pipeline.stage import Outcome
from pipeline.storage.store import Store

ROWS_PER_GROUP = 2 << 20
"""Documents of a group: about 1 GB of memory for the pairs of its documents, at one pair a document."""


def group_starts(shards: Mapping[int, Shard], n_groups: int | None = None) -> tuple[int, ...]:
    """Ordinal of the first shard of each group of consecutive shards, from the sizes of the shards alone.

    Args: shards, by ordinal; n_groups, for tests: some groups may be empty.
    """
    ordinals = sorted(shards) or [0]
    if n_groups is not None:
        return tuple(ordinals[i * len(ordinals) // n_groups] for i in range(n_groups))
    sizes = np.array([shards[n].n_rows for n in ordinals] if shards else [0], np.int64)
    group = (np.cumsum(sizes) - sizes) // ROWS_PER_GROUP
    return tuple(np.array(ordinals)[np.unique(group, return_index=True)[1]].tolist())


@dataclass(frozen=True)
class RoundTask:
    """One turn of one group.

    turn: number of the turn; index: of the round; group: index among starts (see GroupRange). sources: by table, what
    the group reads. shared: key of what the rounds before it share. work: folder of the exchange; folder and recipe:
    of the result; shards: of the group, by ordinal. memory, listed: see MemoryFeed.
    """

    store: Store
    step: GlobalStep
    turn: int
    index: int
    group: int
    starts: tuple[int, ...]
    sources: Mapping[str, tuple[Source, ...]]
    shared: str | None
    work: str
    folder: str
    recipe: str
    shards: Mapping[int, Shard]
    memory: str | None = None
    listed: str = ""

    @property
    def done(self) -> str:
        """Key of the report, which is written last."""
        return f"{self.work}/turn-{self.turn:04d}/done-{self.group:06d}.arrow"

    def sent(self, name: str) -> str:
        """Key of the file with a table that the group sends."""
        return f"{self.work}/turn-{self.turn:04d}/{name}-{self.group:06d}.arrow"


@dataclass(frozen=True)
class RoundReport:
    """What the driver gets of a turn. sent: names of the tables; digests: see FinishReport; known: catalog entries."""

    counted: Tables
    sent: tuple[str, ...]
    digests: dict[str, dict[str, str]]
    known: dict[str, dict[str, Any]]  # Any: JSON


def run_round(task: RoundTask) -> RoundReport:
    """Run one turn of one group, write what it sends and its part of the result, and then its report."""
    definition = task.step.definition
    one = definition.rounds[task.index]
    combine = definition.combine if RESULTS in one.needs else None
    tables = {}
    for name, sources in task.sources.items():
        read = functools.partial(_read, task.store, sources)
        tables[name] = read() if combine is None else combined(read, len(sources), combine, task.step.config)
    shared = {} if task.shared is None else read_tables(task.store, task.shared)[0]
    sent = one.run(Inbox(tables, GroupRange(task.starts, task.group).rows), shared, task.step.config)
    del tables
    for name, table in sent.tables.items():
        groups = group_of(table[ROW].to_numpy(), task.starts)
        write_exchange(task.store, task.sent(name), table, groups, len(task.starts))
    known: dict[str, Any] = {}
    if task.memory is not None and sent.known is not None:
        numbers = shard_numbers(task.store, task.listed)
        known = update_memory(task.store, task.memory, sent.known, task.shards, numbers)
    digests = {}
    if sent.values is not None:
        outcome = Outcome(rows=sent.values)
        digests = write_rows(task.store, task.step, task.folder, task.recipe, outcome, task.shards)
    facts = {"sent": list(sent.tables), "digests": digests, "known": known}
    write_tables(task.store, task.done, sent.counted, facts)
    return RoundReport(sent.counted, tuple(sent.tables), digests, known)


def _read(store: Store, sources: Sequence[Source], low: int = 0, high: int | None = None) -> pa.Table:
    return read_sources(store, sources[low:high])


ROWS_AT_ONCE = 8 << 20
"""Rows that are read before they are combined, if the step has a combiner."""


def combined(
    read: Callable[[int, int], pa.Table], n_sources: int, combine: Callable[[pa.Table, Any], pa.Table], config: Any
) -> pa.Table:  # fmt: skip
    """Read sources one after another, and reduce what was read by a combiner whenever it has grown by half.

    Any: each step has its own config class.
    """
    tables, n_rows, n_combined = [], 0, 0
    for i in range(n_sources):
        tables.append(read(i, i + 1))
        n_rows += tables[-1].num_rows
        if n_rows > 1.5 * n_combined + ROWS_AT_ONCE:
            tables = [combine(pa.concat_tables(tables), config)]
            n_rows = n_combined = tables[0].num_rows
    return pa.concat_tables(tables)


def load_report(store: Store, key: str) -> RoundReport:
    """The report of a turn that is done."""
    counted, facts = read_tables(store, key)
    return RoundReport(counted, tuple(facts["sent"]), facts["digests"], facts["known"])


def write_tables(store: Store, key: str, tables: Tables, facts: Any = None) -> None:
    """Write small tables by name, and facts as JSON, as one object."""
    columns = {name: [_to_bytes(table)] for name, table in tables.items()}
    packed = pa.table(columns) if columns else pa.table({"": pa.nulls(1)})
    store.put(key, _to_bytes(packed.replace_schema_metadata({b"facts": json.dumps(facts).encode()})))


def read_tables(store: Store, key: str) -> tuple[dict[str, pa.Table], Any]:  # Any: JSON
    """Read what `write_tables` has written."""
    with store.open(key) as stream:
        packed = pa.ipc.open_file(pa.PythonFile(stream, mode="r")).read_all()
    tables = {
        name: pa.ipc.open_file(column[0].as_buffer()).read_all()
        for name, column in zip(packed.column_names, packed.columns, strict=True)
        if name
    }
    return tables, json.loads(packed.schema.metadata[b"facts"])


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
