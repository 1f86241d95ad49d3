"""Global steps: map over shards, exchange through files, reduce by key range, finish once.

Each map task writes one Arrow IPC file with one record batch per partition; the footer contains the offsets, so that a
reducer range-reads its batch from every file. Partitions are ranges of the 64-bit key: all rows of a key are in one
partition, and the concatenated partitions have the same order regardless of their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.addresses import GlobalResult
from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.errors import StageError
from pipeline.mapreduce.feeds import Annotations, Feed, MemoryFeed
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
from pipeline.mapreduce.pair_memory import memory_folder, update_memory, write_shard_list
from pipeline.mapreduce.replies import AnswerTask, answer_partition, answer_shard, write_questions
from pipeline.mapreduce.rows import write_rows
from pipeline.mapreduce.shuffle import partition_of, read_exchange, sort_keyed, write_exchange
from pipeline.recipe import digest
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW_BITS
from pipeline.stage import Global
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store
from pipeline.translation import message

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
    """Maps one shard. ordinal: of the shard in the run; key: of the exchange file; erased: rows to leave out."""

    store: Store
    step: GlobalStep
    feed: Feed
    ordinal: int
    n_partitions: int
    key: str
    erased: tuple[int, ...] = ()


@dataclass(frozen=True)
class AddTask:
    """Sorts one partition of exchange files into a part of an index run. ordinals: see index.Slice."""

    store: Store
    maps: tuple[str, ...]
    part: int
    folder: str
    ordinals: np.ndarray


@dataclass(frozen=True)
class ReduceTask:
    """Reduces one partition, from the exchange files of the maps or from slices of the index. key: of the result."""

    store: Store
    step: GlobalStep
    maps: tuple[str, ...]
    partition: int
    n_partitions: int
    key: str
    index: tuple[Slice, ...] = ()


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
        write_questions(task.store, task.key, table, task.n_partitions)
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
    table = sort_keyed(renumber(read_exchange(task.store, task.maps, task.part), task.ordinals))
    return table.num_rows, write_index_part(task.store, task.folder, task.part, table)


def reduce_partition(task: ReduceTask) -> int:
    """Reduce one partition and write the result; returns its number of rows."""
    if task.step.definition.answer is not None:
        return answer_partition(task.store, task.step, task.maps, task.partition, task.key)
    if task.index:
        tables = read_range(task.store, task.index, task.partition, task.n_partitions)
    else:
        tables = [read_exchange(task.store, task.maps, task.partition)]
    table = sort_keyed(pa.concat_tables(tables))
    result = task.step.definition.reduce(table, task.step.config)
    write_exchange(task.store, task.key, result, np.zeros(result.num_rows, np.int64), 1)
    return result.num_rows


@dataclass(frozen=True)
class FinishReport:
    """Summary of a finished step. digests: of each column, by shard id; artefacts: number of rows, by name."""

    digests: dict[str, dict[str, str]]
    artefacts: dict[str, int]


def read_results(task: FinishTask) -> pa.Table:
    """Read and concatenate the reduced partitions, reduced in size by the step's combiner if it has one."""
    combine, tables, n_rows, n_combined = task.step.definition.combine, [], 0, 0
    for key in task.results:
        tables.append(read_exchange(task.store, [key], 0))
        n_rows += tables[-1].num_rows
        if combine is not None and n_rows > 1.5 * n_combined + ROWS_PER_PARTITION:
            tables = [combine(pa.concat_tables(tables), task.step.config)]
            n_rows = n_combined = tables[0].num_rows
    return pa.concat_tables(tables)


def finish_step(task: FinishTask) -> FinishReport:
    """Finish a global step: write its artefacts, its memory and its row sidecars."""
    outcome = task.step.definition.finish(read_results(task), task.step.config)
    for name, artefact in sorted(outcome.artefacts.items()):
        sink = pa.BufferOutputStream()
        pq.write_table(artefact, sink, compression="zstd")
        task.store.put(f"{task.folder}/{name}.parquet", sink.getvalue())
    if task.memory is not None and outcome.known is not None:
        update_memory(task.store, task.memory, outcome.known, task.shards)
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
    def memory(self) -> str | None:
        """Folder of the pair memory; None for a step without one."""
        definition = self.step.definition
        return None if definition.memory is None else memory_folder(definition, self.step.config)

    def partitions(self, shards: Iterable[Shard]) -> int:
        """Number of partitions for the rows of some shards."""
        return self.n_partitions or count_partitions(self.step, list(shards))


def run_global(job: Job, engine: Engine, progress: Progress) -> GlobalResult:
    """Compute a global step, record its result, and delete its exchange files.

    Raises: StageError if a function of the step breaks its contract.
    """
    if job.memory is not None:
        job = with_memory(job, job.memory)
    run = _JobRun(job, engine, progress)
    n_partitions = job.partitions(job.shards.values())
    if job.index is None:
        results = run.reduce(n_partitions, maps=run.map(job.feeds, n_partitions, {}))
    else:
        results = run.reduce(n_partitions, slices=run.update_index(job.index))
    report = run.finish(results) if job.step.definition.answer is None else run.replies(results)
    catalog = Catalog.load(job.store, f"{job.folder}/catalog.json")
    catalog.update({**report.digests, "": {"recipe": job.recipe, "artefacts": report.artefacts}})
    job.store.delete_prefix(job.work)
    return GlobalResult(job.recipe, report.digests)


def with_memory(job: Job, folder: str) -> Job:
    """Return the job with feeds that also contain the stored pairs of each row."""
    list_key = f"{job.work}/shards.json"
    write_shard_list(job.store, list_key, job.shards)
    definition = job.step.definition
    feeds = {n: memory_feed(definition, feed, folder, list_key) for n, feed in job.feeds.items()}
    return replace(job, feeds=feeds)


@dataclass(frozen=True)
class _JobRun:
    """The phases of a job."""

    job: Job
    engine: Engine
    progress: Progress

    def map(
        self, feeds: Mapping[int, Feed], n_partitions: int, erased: Mapping[str, Sequence[int]]
    ) -> tuple[str, ...]:
        """Map shards, by ordinal; returns the keys of their exchange files. erased: rows to leave out, by shard id."""
        job = self.job
        tasks = [
            MapTask(
                job.store, job.step, feed, ordinal, n_partitions, f"{job.work}/map-{ordinal:06d}.arrow",
                tuple(erased.get(feed.shard.id, ())),
            )
            for ordinal, feed in feeds.items()
        ]  # fmt: skip
        with self.progress.phase(message(f"{job.step.name}: map"), len(tasks)) as phase:
            for _ in self.engine.map(map_shard, tasks):
                phase.step()
        return tuple(task.key for task in tasks)

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
        tasks = [AddTask(self.job.store, maps, i, folder, positions) for i in range(n_parts)]
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
        tasks = [
            ReduceTask(job.store, job.step, maps, i, n_partitions, key, slices) for i, key in enumerate(keys)
        ]
        with self.progress.phase(message(f"{job.step.name}: reduce"), n_partitions, "partitions") as phase:
            for _ in self.engine.map(reduce_partition, tasks):
                phase.step()
        return keys

    def replies(self, results: tuple[str, ...]) -> FinishReport:
        """End a step that answers: join the answers back to each shard."""
        job = self.job
        tasks = [
            AnswerTask(job.store, job.step, feed, ordinal, i, results, job.folder, job.recipe)
            for i, (ordinal, feed) in enumerate(job.feeds.items())
        ]
        digests: dict[str, dict[str, str]] = {}
        with self.progress.phase(message(f"{job.step.name}: answer"), len(tasks)) as phase:
            for shard_digests in self.engine.map(answer_shard, tasks):
                digests |= shard_digests
                phase.step()
        return FinishReport(digests, {})

    def finish(self, results: tuple[str, ...]) -> FinishReport:
        """End any other step: one task for all partitions."""
        job = self.job
        task = FinishTask(job.store, job.step, results, job.shards, job.folder, job.recipe, job.memory)
        (report,) = self.engine.map(finish_step, [task])
        return report


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
