"""Global steps: map over shards, exchange through files, reduce by key range, finish once.

Each map task writes one Arrow IPC file with one record batch per partition; the footer contains the offsets, so that a
reducer range-reads its batch from every file. Partitions are ranges of the 64-bit key: all rows of a key are in one
partition, and the concatenated partitions have the same order regardless of their number.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.addresses import GlobalResult
from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.errors import StageError
from pipeline.mapreduce.exchange import Exchange, Source, merge_block, merge_levels
from pipeline.mapreduce.feeds import Annotations, Feed, MemoryFeed
from pipeline.mapreduce.groups import (
    RoundReport,
    RoundTask,
    combined,
    group_starts,
    load_report,
    run_round,
    write_tables,
)
from pipeline.mapreduce.index import (
    Holding,
    Index,
    Slice,
    drop_rows,
    read_range,
    renumber,
    run_name,
    write_index_part,
)
from pipeline.mapreduce.pair_memory import memory_folder, numbers_of, update_memory, write_shard_list
from pipeline.mapreduce.replies import AnswerTask, answer_partition, answer_shard, write_questions
from pipeline.mapreduce.requests import Requests, plan_requests
from pipeline.mapreduce.rows import write_rows
from pipeline.mapreduce.shuffle import partition_of, read_exchange, read_sources, sort_keyed, write_exchange
from pipeline.recipe import digest
from pipeline.rounds import RESULTS, Round, Tables, added, group_of, play
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW_BITS
from pipeline.stage import Global
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store
from pipeline.translation import message

FORMAT = 2
"""Of exchange files: a run does not go on from files of another one."""

ROWS_PER_PARTITION = 8 << 20
"""Target number of keyed rows per partition: about 1 GB of memory for a reducer of ten 64-bit columns."""

ROWS_PER_DOCUMENT = 32
"""Keyed rows per document that the number of partitions is computed from."""

RUN_DOCUMENTS = 16 << 20
"""Documents per run of an index: bounds intermediate data and the fan-in of the sort; a build that is stopped keeps its
finished runs."""

TEXT_PER_PARTITION = 256 << 20
"""Target bytes of text per partition of a step that reads text: its rows may be as large as the text itself."""


@dataclass(frozen=True)
class MapTask:
    """Maps one shard.

    ordinal: of the shard in the run; place: of the map among the maps; key: of the exchange file; erased: rows to leave
    out.
    """

    store: Store
    step: GlobalStep
    feed: Feed
    ordinal: int
    place: int
    n_partitions: int
    key: str
    erased: tuple[int, ...] = ()


@dataclass(frozen=True)
class AddTask:
    """Sorts one partition of an exchange into a part of an index run. ordinals: see index.Slice."""

    store: Store
    sources: tuple[Source, ...]
    part: int
    folder: str
    ordinals: np.ndarray


@dataclass(frozen=True)
class ReduceTask:
    """Reduces one partition, from an exchange of the maps or from slices of the index.

    sources: the partition in the exchange of the maps; n_maps: their number. key: of the result. starts: groups of
    shards that it is for, see pipeline.rounds.
    """

    store: Store
    step: GlobalStep
    partition: int
    n_partitions: int
    key: str
    n_maps: int = 0
    sources: tuple[Source, ...] = ()
    index: tuple[Slice, ...] = ()
    starts: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class FinishTask:
    """Writes the artefacts and one row sidecar per shard. results: keys of the reduced partitions, in key order."""

    store: Store
    step: GlobalStep
    results: tuple[str, ...]
    shards: Mapping[int, Shard]  # by ordinal
    folder: str
    recipe: str
    memory: str | None = None  # its folder


def map_shard(task: MapTask) -> int:
    """Map one shard and write its exchange file; returns the number of keyed rows.

    Raises: StageError if the map output has no uint64 column `key`.
    """
    step, first_row = task.step.definition, task.ordinal << ROW_BITS
    batches = task.feed.batches(task.store, step.reads, first_row)
    table = pa.concat_tables([_keyed(step, step.map(batch, task.step.config)) for batch in batches])
    table = drop_rows(table, np.array(task.erased, np.uint64) + np.uint64(first_row))
    if step.answer is not None:
        write_questions(task.store, task.key, table, task.n_partitions, task.place)
        return table.num_rows
    keys = table["key"].to_numpy()
    write_exchange(task.store, task.key, table, partition_of(keys, task.n_partitions), task.n_partitions)
    return table.num_rows


def _keyed(step: Global, table: pa.Table) -> pa.Table:
    if "key" not in table.column_names or table.schema.field("key").type != pa.uint64():
        raise StageError(
            f"{step.name}.map returned {table.column_names}; expected a uint64 column `key` among them"
        )
    return table


def add_part(task: AddTask) -> tuple[int, int]:
    """Write one part of an index run; returns its number of rows and its bytes."""
    table = sort_keyed(renumber(read_sources(task.store, task.sources), task.ordinals))
    return table.num_rows, write_index_part(task.store, task.folder, task.part, table)


def reduce_partition(task: ReduceTask) -> int:
    """Reduce one partition and write the result; returns its number of rows."""
    if task.step.definition.answer is not None:
        return answer_partition(task.store, task.step, task.sources, task.n_maps, task.key)
    if task.index:
        tables = read_range(task.store, task.index, task.partition, task.n_partitions)
    else:
        tables = [read_sources(task.store, task.sources)]
    table = sort_keyed(pa.concat_tables(tables))
    result = task.step.definition.reduce(table, task.step.config)
    groups = np.zeros(result.num_rows, np.int64)
    if len(task.starts) > 1:
        groups = group_of(result[task.step.definition.route].to_numpy(), task.starts)
    write_exchange(task.store, task.key, result, groups, len(task.starts))
    return result.num_rows


@dataclass(frozen=True)
class FinishReport:
    """Summary of a finished step. digests: of each column, by shard id; artefacts: number of rows, by name."""

    digests: dict[str, dict[str, str]]
    artefacts: dict[str, int]


def read_results(task: FinishTask) -> pa.Table:
    """Read and concatenate the reduced partitions, reduced in size by the step's combiner if it has one."""
    combine = task.step.definition.combine
    if combine is None:
        return read_exchange(task.store, task.results, 0)

    def read(low: int, high: int) -> pa.Table:
        return read_exchange(task.store, task.results[low:high], 0)

    return combined(read, len(task.results), combine, task.step.config)


def finish_step(task: FinishTask) -> FinishReport:
    """Finish a global step: write its artefacts, its memory and its row sidecars."""
    outcome = task.step.definition.finish(read_results(task), task.step.config)
    write_artefacts(task.store, task.folder, outcome.artefacts)
    if task.memory is not None and outcome.known is not None:
        known = update_memory(task.store, task.memory, outcome.known, task.shards, numbers_of(task.shards))
        Catalog.load(task.store, f"{task.memory}/catalog.json").update(known)
    digests = write_rows(task.store, task.step, task.folder, task.recipe, outcome, task.shards)
    return FinishReport(digests, {n: t.num_rows for n, t in outcome.artefacts.items()})


def count_partitions(step: GlobalStep, shards: Sequence[Shard]) -> int:
    """Number of partitions, from the size of the data alone, so that it does not depend on the workers."""
    by_rows = sum(shard.n_rows for shard in shards) * ROWS_PER_DOCUMENT / ROWS_PER_PARTITION
    n_bytes = sum(shard.text_bytes for shard in shards) * step.definition.expands
    by_text = n_bytes / TEXT_PER_PARTITION if "text" in step.definition.reads else 0
    return max(1, math.ceil(by_rows), math.ceil(by_text))


@dataclass(frozen=True)
class Job:
    """A global step to compute over shards.

    feeds: by the ordinal of their shard in the run: rows are numbered with it, and columns of other steps contain such
    numbers. folder: where the results are stored. n_partitions: for tests; by default it follows from the shards, never
    from the workers. index: of an indexed step; shards that it lacks are mapped and added to it.
    """

    store: Store
    step: GlobalStep
    recipe: str
    folder: str
    feeds: Mapping[int, Feed]
    n_partitions: int | None = None
    index: Index | None = None

    @property
    def shards(self) -> dict[int, Shard]:
        """The shards by ordinal."""
        return {ordinal: feed.shard for ordinal, feed in self.feeds.items()}

    @property
    def work(self) -> str:
        """Folder of the exchange files."""
        return f"exchange/{self.step.name}-{self.recipe[:8]}"

    @property
    def identity(self) -> str:
        """Digest of what the exchange files depend on: those of another job of the same folder are of no use."""
        shards = [[n, feed.shard.id, feed.shard.generation] for n, feed in sorted(self.feeds.items())]
        return digest([FORMAT, self.recipe, self.partitions(self.shards.values()), list(self.starts), shards])

    @property
    def starts(self) -> tuple[int, ...]:
        """Groups of shards, by the ordinal of their first one; one group for a step without rounds."""
        return group_starts(self.shards, self.n_partitions) if self.step.definition.rounds else (0,)

    @property
    def listed(self) -> str:
        """Key of the list of the shards, for a step with a memory."""
        return f"{self.work}/shards.json"

    @property
    def memory(self) -> str | None:
        """Folder of the pair memory; None for a step without one."""
        definition = self.step.definition
        return None if definition.memory is None else memory_folder(definition, self.step.config)

    def partitions(self, shards: Iterable[Shard]) -> int:
        """Number of partitions for the rows of some shards."""
        return self.n_partitions or count_partitions(self.step, list(shards))


def run_global(
    job: Job, engine: Engine, progress: Progress, requests: Requests | None = None
) -> GlobalResult:
    """Compute a global step, record its result, and delete its exchange files.

    Tasks whose files a stopped run of the same job has left are not run again.

    Args: requests, to which reads and writes of exchange files are added.
    Raises: StageError if a function of the step breaks its contract.
    """
    present = resume(job)
    if job.memory is not None:
        job = with_memory(job, job.memory)
    run = _JobRun(job, engine, progress, requests or Requests(), present)
    n_partitions = job.partitions(job.shards.values())
    if job.index is None:
        results = run.reduce(n_partitions, maps=run.map(job.feeds, n_partitions, {}))
    else:
        results = run.reduce(n_partitions, slices=run.update_index(job.index))
    report = run.end(results)
    catalog = Catalog.load(job.store, f"{job.folder}/catalog.json")
    catalog.update({**report.digests, "": {"recipe": job.recipe, "artefacts": report.artefacts}})
    job.store.delete_prefix(job.work)
    return GlobalResult(job.recipe, report.digests)


def resume(job: Job) -> frozenset[str]:
    """Keys of the exchange files of a stopped run of the same job; those of another job are deleted."""
    header, identity = f"{job.work}/job.json", json.dumps(job.identity).encode()
    present = {key for key, _ in job.store.list(job.work)}
    if header not in present or job.store.get(header) != identity:
        if present:
            job.store.delete_prefix(job.work)
        present = set()
        job.store.put(header, identity)
    return frozenset(present)


def with_memory(job: Job, folder: str) -> Job:
    """Return the job with feeds that also contain the stored pairs of each row."""
    write_shard_list(job.store, job.listed, job.shards)
    definition = job.step.definition
    feeds = {n: memory_feed(definition, feed, folder, job.listed) for n, feed in job.feeds.items()}
    return replace(job, feeds=feeds)


@dataclass(frozen=True)
class _JobRun:
    """The phases of a job. present: keys of exchange files that need not be made again."""

    job: Job
    engine: Engine
    progress: Progress
    requests: Requests
    present: frozenset[str]

    def run(self, fn: Callable[[Any], Any], tasks: Sequence[Any], label: str, unit: str = "shards") -> None:
        """Run the tasks whose file, `key`, is not there yet. Any: tasks of any phase."""
        tasks = [task for task in tasks if task.key not in self.present]
        with self.progress.phase(label, len(tasks), unit) as phase:
            for _ in self.engine.map(fn, tasks) if tasks else ():
                phase.step()

    def map(
        self, feeds: Mapping[int, Feed], n_partitions: int, erased: Mapping[str, Sequence[int]]
    ) -> tuple[str, ...]:
        """Map shards, by ordinal; returns the keys of their exchange files. erased: rows to leave out, by shard id."""
        job = self.job
        tasks = [
            MapTask(
                job.store, job.step, feed, ordinal, place, n_partitions,
                f"{job.work}/map-{ordinal:06d}-{n_partitions}.arrow", tuple(erased.get(feed.shard.id, ())),
            )
            for place, (ordinal, feed) in enumerate(feeds.items())
        ]  # fmt: skip
        self.run(map_shard, tasks, message(f"{job.step.name}: map"))
        self.requests.writes += len(tasks)
        return tuple(task.key for task in tasks)

    def merge(self, keys: Sequence[str], n_partitions: int, name: str = "maps") -> Exchange:
        """Merge the files of an exchange if there are very many of them."""
        job, exchange = self.job, Exchange.of(keys, n_partitions)
        for merged, tasks in merge_levels(job.store, exchange, f"{job.work}/{name}"):
            self.run(merge_block, tasks, message(f"{job.step.name}: merge"), "files")
            self.requests.reads += sum(len(task.sources) for task in tasks)
            self.requests.writes += len(tasks)
            exchange = merged
        return exchange

    def update_index(self, index: Index) -> tuple[Slice, ...]:
        """Map the shards that the index lacks and add them as runs; returns the slices that reducers read."""
        feeds = self.job.feeds
        ordinals = {holding_of(feed): ordinal for ordinal, feed in feeds.items()}
        slices, missing = index.cover(ordinals)
        if not missing:
            return slices
        sizes = {holding: feeds[ordinal].shard.n_rows for holding, ordinal in ordinals.items()}
        for holdings in in_runs(missing, sizes):
            self.add_run(index, holdings, {ordinals[h]: feeds[ordinals[h]] for h in holdings})
        return index.cover(ordinals)[0]

    def add_run(self, index: Index, holdings: Sequence[Holding], feeds: Mapping[int, Feed]) -> None:
        """Map shards, by ordinal, and add them as one run of an index; holdings: of these shards, in this order."""
        n_parts = self.job.partitions(feed.shard for feed in feeds.values())
        maps = self.map(feeds, n_parts, index.erased)
        name = run_name(holdings)
        positions = np.full(max(feeds) + 1, -1, np.int64)
        positions[list(feeds)] = np.arange(len(holdings))
        folder = f"{index.folder}/{name}"
        exchange = self.merge(maps, n_parts, f"maps-{name}")
        tasks = [AddTask(self.job.store, exchange.sources(i), i, folder, positions) for i in range(n_parts)]
        self.requests.reads += sum(len(task.sources) for task in tasks)
        sizes = []
        with self.progress.phase(message(f"{self.job.step.name}: index"), n_parts, "parts") as phase:
            for size in self.engine.map(add_part, tasks):
                sizes.append(size)
                phase.step()
        n_rows, n_bytes = (sum(column) for column in zip(*sizes, strict=True))
        index.commit(name, holdings, n_parts, n_rows, n_bytes)
        for key in maps:
            self.job.store.delete(key)

    def reduce(
        self, n_partitions: int, maps: tuple[str, ...] = (), slices: tuple[Slice, ...] = ()
    ) -> tuple[str, ...]:
        """Reduce the partitions of exchange files or of index slices; returns the keys of the results, in key order."""
        job = self.job
        keys = tuple(f"{job.work}/part-{i:06d}.arrow" for i in range(n_partitions))
        exchange = self.merge(maps, n_partitions)
        tasks = [
            ReduceTask(
                job.store, job.step, i, n_partitions, key, len(maps), exchange.sources(i), slices, job.starts
            )
            for i, key in enumerate(keys)
        ]  # fmt: skip
        self.run(reduce_partition, tasks, message(f"{job.step.name}: reduce"), "partitions")
        self.requests.reads += sum(len(task.sources) for task in tasks)
        self.requests.writes += len(tasks)
        return keys

    def end(self, results: tuple[str, ...]) -> FinishReport:
        """End the job: by answers, in one task, or in rounds over groups of shards."""
        if self.job.step.definition.answer is not None:
            return self.replies(results)
        return self.finish(results) if len(self.job.starts) == 1 else self.rounds(results)

    def replies(self, results: tuple[str, ...]) -> FinishReport:
        """End a step that answers: join the answers back to each shard."""
        job = self.job
        exchange = self.merge(results, len(job.feeds), "answers")
        tasks = [
            AnswerTask(job.store, job.step, feed, ordinal, exchange.sources(place), job.folder, job.recipe)
            for place, (ordinal, feed) in enumerate(job.feeds.items())
        ]
        self.requests.reads += sum(len(task.sources) for task in tasks)
        digests: dict[str, dict[str, str]] = {}
        with self.progress.phase(message(f"{job.step.name}: answer"), len(tasks)) as phase:
            for shard_digests in self.engine.map(answer_shard, tasks):
                digests |= shard_digests
                phase.step()
        return FinishReport(digests, {})

    def finish(self, results: tuple[str, ...]) -> FinishReport:
        """End a step without rounds, or one whose shards are one group: one task for all partitions."""
        job = self.job
        task = FinishTask(job.store, job.step, results, job.shards, job.folder, job.recipe, job.memory)
        (report,) = self.engine.map(finish_step, [task])
        self.requests.reads += len(results)
        return report

    def rounds(self, results: tuple[str, ...]) -> FinishReport:
        """End a step in rounds: each is a phase of one task for each group of shards."""
        job, definition = self.job, self.job.step.definition
        live: dict[str, Exchange] = {RESULTS: self.merge(results, len(job.starts), "results")}
        digests: dict[str, dict[str, str]] = {}
        known: dict[str, dict[str, Any]] = {}  # Any: JSON
        told: list[Any] = [{}, None]  # what the rounds so far share, and its key

        def turn(number: int, index: int, shared: Tables) -> Tables:
            one = definition.rounds[index]
            if shared is not told[0]:
                told[:] = [shared, f"{job.work}/shared-{number:04d}.arrow"]
                write_tables(job.store, told[1], shared)
                self.requests.writes += 1
            tasks = self.round_tasks(number, index, live, told[1])
            reports = self.run_rounds(tasks, one, message(f"{job.step.name}: round {number:,}"))
            for name in one.takes:
                for key in live.pop(name, NO_FILES).files if name != RESULTS else ():
                    job.store.delete(key)
            for name in dict.fromkeys(name for report in reports for name in report.sent):
                live[name] = self.merge(
                    [task.sent(name) for task in tasks], len(tasks), f"turn-{number:04d}/{name}"
                )
            for report in reports:
                digests.update(report.digests)
                known.update(report.known)
            return added(one, [report.counted for report in reports], job.step.config)

        artefacts = definition.close(play(definition.rounds, job.step.config, turn), job.step.config)
        write_artefacts(job.store, job.folder, artefacts)
        if job.memory is not None:
            Catalog.load(job.store, f"{job.memory}/catalog.json").update(known)
        return FinishReport(digests, {name: table.num_rows for name, table in artefacts.items()})

    def round_tasks(
        self, turn: int, index: int, live: Mapping[str, Exchange], shared: str | None
    ) -> list[RoundTask]:
        """One task for each group. live: the tables that were sent and not taken yet."""
        job, starts = self.job, self.job.starts
        shards: list[dict[int, Shard]] = [{} for _ in starts]
        for ordinal, shard in job.shards.items():
            shards[bisect_right(starts[1:], ordinal)][ordinal] = shard
        needs = job.step.definition.rounds[index].needs
        return [
            RoundTask(
                job.store, job.step, turn, index, group, starts,
                {name: live[name].sources(group) for name in needs if name in live},
                shared, job.work, job.folder, job.recipe, shards[group], job.memory, job.listed,
            )
            for group in range(len(starts))
        ]  # fmt: skip

    def run_rounds(self, tasks: Sequence[RoundTask], one: Round, label: str) -> list[RoundReport]:
        """Run the tasks of a turn that are not done; returns the reports of all, by group.

        The counts of a round with a combiner are added up as tasks end, into the report of the first group.
        """
        reports: dict[int, RoundReport] = {}
        counted: list[Tables] = []

        def note(group: int, report: RoundReport) -> None:
            if one.combine is not None:
                counted.append(report.counted)
                report = replace(report, counted={})
                if len(counted) > COUNTS_AT_ONCE:
                    counted[:] = [added(one, counted, self.job.step.config)]
            reports[group] = report

        for task in tasks:
            if task.done in self.present:
                note(task.group, load_report(task.store, task.done))
        missing = [task for task in tasks if task.group not in reports]
        with self.progress.phase(label, len(missing), "groups") as phase:
            for group, report in self.engine.map(run_group, missing) if missing else ():
                note(group, report)
                phase.step()
        self.requests.reads += sum(len(sources) for task in tasks for sources in task.sources.values())
        self.requests.reads += sum(task.shared is not None for task in tasks)
        self.requests.writes += sum(len(report.sent) + 1 for report in reports.values())
        if counted:
            reports[0] = replace(reports[0], counted=added(one, counted, self.job.step.config))
        return [reports[task.group] for task in tasks]


COUNTS_AT_ONCE = 16
"""Groups whose counts the driver holds before it combines them."""

NO_FILES = Exchange((), 1, 1)


def run_group(task: RoundTask) -> tuple[int, RoundReport]:
    """Run one turn of one group; returns its number with the report, because tasks end in any order."""
    return task.group, run_round(task)


def write_artefacts(store: Store, folder: str, artefacts: Mapping[str, pa.Table]) -> None:
    """Write the artefacts of a step."""
    for name, artefact in sorted(artefacts.items()):
        sink = pa.BufferOutputStream()
        pq.write_table(artefact, sink, compression="zstd")
        store.put(f"{folder}/{name}.parquet", sink.getvalue())


def planned_requests(step: GlobalStep, shards: Sequence[Shard]) -> Requests:
    """Exchange files that a step over shards would read and write; all of them are mapped, also by an indexed step."""
    definition = step.definition
    n_partitions = count_partitions(step, shards)
    maps = [list(shards)]
    if definition.indexed:
        sizes = {Holding(shard.id, shard.generation, ""): shard for shard in shards}
        runs = in_runs(list(sizes), {holding: shard.n_rows for holding, shard in sizes.items()})
        maps = [[sizes[holding] for holding in run] for run in runs]
    n_parts = [count_partitions(step, run) for run in maps]
    n_groups = len(group_starts(dict(enumerate(shards)))) if definition.rounds else 1
    n_maps = [len(run) for run in maps]
    has_answer = definition.answer is not None
    return plan_requests(n_maps, n_parts, n_partitions, n_groups, definition.rounds, has_answer)


def in_runs(missing: Sequence[Holding], sizes: Mapping[Holding, int]) -> Iterator[list[Holding]]:
    """Yield shards in groups of about RUN_DOCUMENTS documents. sizes: documents by shard."""
    offsets = np.cumsum([0, *(sizes[holding] for holding in missing)])[:-1]
    for _, group in groupby(zip(offsets // RUN_DOCUMENTS, missing, strict=True), key=itemgetter(0)):
        yield [holding for _, holding in group]


def holding_of(feed: Feed) -> Holding:
    """The shard as an index identifies it, with a recipe of the sidecars that are read."""
    assert isinstance(feed, Annotations), "only a step that reads stored columns has an index"
    recipes = [ref.recipe for _, ref in sorted(feed.refs.items())]
    return Holding(feed.shard.id, feed.shard.generation, digest(recipes))


def memory_feed(step: Global, feed: Feed, folder: str, listed: str) -> MemoryFeed:
    """A feed with the same columns and the stored pairs of the step. folder, listed: see MemoryFeed."""
    assert isinstance(feed, Annotations), "only a step that reads stored columns has a memory"
    assert step.memory is not None
    return MemoryFeed(feed.shard, feed.refs, feed.loose, feed.sparse, step.memory, folder, listed)
