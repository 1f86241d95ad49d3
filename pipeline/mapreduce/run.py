"""Global steps: map over shards, exchange through files, reduce by key range, finish once.

Each map task writes one Arrow IPC file with one record batch per partition; the file's footer is the offset index,
so a reducer range-reads its batch from every file. Partitions are ranges of the 64-bit key: all rows of a key meet in
one partition, and concatenating the partitions gives the same order whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.addresses import GlobalResult
from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.errors import StageError
from pipeline.mapreduce.feeds import Annotations, Feed
from pipeline.mapreduce.index import (
    Holding,
    Index,
    Slice,
    read_range,
    renumber,
    run_name,
    without,
    write_part,
)
from pipeline.mapreduce.pair_memory import Remembering, memory_folder, remember, write_shards
from pipeline.mapreduce.replies import AnswerTask, answer_partition, answer_shard, write_questions
from pipeline.mapreduce.rows import write_rows
from pipeline.mapreduce.shuffle import partition_of, read_exchange, sort_keyed, write_exchange
from pipeline.recipe import digest
from pipeline.runtime.engines import Engine, peak_rss_bytes
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW_BITS
from pipeline.stage import Global
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

ROWS_PER_PARTITION = 8 << 20
"""Aim of keyed rows per partition: about 1 GB of memory for a reducer of ten 64-bit columns."""

ROWS_PER_DOCUMENT = 32
"""Keyed rows that a document may give, as far as the number of partitions goes."""

RUN_DOCUMENTS = 16 << 20
"""Documents of a run of the index: as much is mapped before it is sorted, so that what lies between maps and sorting,
and how many files a sorter reads from, have bounds; a build that is stopped keeps the runs that it has."""

TEXT_PER_PARTITION = 256 << 20
"""Aim of text behind a partition of a step that reads text: its rows may be as large as the text itself."""


@dataclass(frozen=True)
class MapTask:
    """One shard of a global step; ordinal numbers the shards of the run."""

    store: Store
    step: GlobalStep
    feed: Feed
    ordinal: int
    n_partitions: int
    key: str
    erased: tuple[int, ...] = ()


@dataclass(frozen=True)
class AddTask:
    """Sorts what maps gave into one part of a run of the index. ordinals: see index.Slice."""

    store: Store
    maps: tuple[str, ...]
    part: int
    folder: str
    ordinals: np.ndarray


@dataclass(frozen=True)
class ReduceTask:
    """One partition of a global step, from the files of its maps or from its index."""

    store: Store
    step: GlobalStep
    maps: tuple[str, ...]
    partition: int
    n_partitions: int
    key: str
    index: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class FinishTask:
    """The end of a global step: parts, in key order, become artefacts and one row sidecar per shard."""

    store: Store
    step: GlobalStep
    parts: tuple[str, ...]
    shards: Mapping[int, Shard]  # by ordinal
    folder: str
    recipe: str
    memory: str | None = None  # its folder


def map_shard(task: MapTask) -> int:
    """Map one shard and write its exchange file; returns the number of keyed rows."""
    step, first_row = task.step.definition, task.ordinal << ROW_BITS
    batches = task.feed.batches(task.store, step.reads, first_row)
    table = pa.concat_tables([_keyed(step, step.map(batch, task.step.config)) for batch in batches])
    table = without(table, np.array(task.erased, np.uint64) + np.uint64(first_row))
    if step.answer is not None:
        write_questions(task.store, task.key, table, task.n_partitions)
        return table.num_rows
    keys = table["key"].to_numpy()
    write_exchange(task.store, task.key, table, partition_of(keys, task.n_partitions), task.n_partitions)
    return table.num_rows


def _keyed(step: Global, table: pa.Table) -> pa.Table:
    if "key" not in table.column_names or table.schema.field("key").type != pa.uint64():
        raise StageError(
            f"{step.name}.map wrote {table.column_names}; expected a uint64 column `key` among them"
        )
    return table


def add_part(task: AddTask) -> tuple[int, int]:
    """Write one part of a run of the index; returns its rows and bytes."""
    table = sort_keyed(renumber(read_exchange(task.store, task.maps, task.part), task.ordinals))
    return table.num_rows, write_part(task.store, task.folder, task.part, table)


def reduce_partition(task: ReduceTask) -> int:
    """Reduce one partition and write its part; returns its number of rows."""
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
    """What a global step left: per shard the digest of each column, and the sizes of its artefacts."""

    digests: dict[str, dict[str, str]]
    artefacts: dict[str, int]
    peak_rss: int


def read_parts(task: FinishTask) -> pa.Table:
    """Read the parts of a global step; those that say the same again are combined on the way."""
    combine, tables, n_rows, n_combined = task.step.definition.combine, [], 0, 0
    for part in task.parts:
        tables.append(read_exchange(task.store, [part], 0))
        n_rows += tables[-1].num_rows
        if combine is not None and n_rows > 1.5 * n_combined + ROWS_PER_PARTITION:
            tables = [combine(pa.concat_tables(tables), task.step.config)]
            n_rows = n_combined = tables[0].num_rows
    return pa.concat_tables(tables)


def finish_step(task: FinishTask) -> FinishReport:
    """Finish a global step: write its artefacts and its row sidecars."""
    outcome = task.step.definition.finish(read_parts(task), task.step.config)
    for name, artefact in sorted(outcome.artefacts.items()):
        sink = pa.BufferOutputStream()
        pq.write_table(artefact, sink, compression="zstd")
        task.store.put(f"{task.folder}/{name}.parquet", sink.getvalue())
    if task.memory is not None and outcome.known is not None:
        remember(task.store, task.memory, outcome.known, task.shards)
    digests = write_rows(task.store, task.step, task.folder, task.recipe, outcome, task.shards)
    return FinishReport(digests, {n: t.num_rows for n, t in outcome.artefacts.items()}, peak_rss_bytes())


def count_partitions(step: GlobalStep, shards: Sequence[Shard]) -> int:
    """Partitions of a global step: from the size of the data alone, so that workers change nothing."""
    by_rows = sum(shard.n_rows for shard in shards) * ROWS_PER_DOCUMENT / ROWS_PER_PARTITION
    n_bytes = sum(shard.text_bytes for shard in shards) * step.definition.expands
    by_text = n_bytes / TEXT_PER_PARTITION if "text" in step.definition.reads else 0
    return max(1, math.ceil(by_rows), math.ceil(by_text))


def run_global(
    engine: Engine,
    store: Store,
    step: GlobalStep,
    recipe: str,
    feeds: Sequence[Feed],
    folder: str,
    progress: Progress,
    n_partitions: int | None = None,
    ordinals: Sequence[int] | None = None,
    index: Index | None = None,
) -> GlobalResult:
    """Run a global step over shards and record it; its exchange files are gone afterwards.

    Args: feeds, one per shard in the run's shard order; folder, where results go; n_partitions, for tests: by
    default it follows from the number of documents, never from the workers; ordinals, the shards' places in the run,
    where the feeds are not of all of them: rows are numbered by them, and columns of other steps hold such numbers;
    index, of a step that has one: only shards that it lacks are mapped, and then it has them.
    """
    work = f"exchange/{step.name}-{recipe[:8]}"
    numbers = list(range(len(feeds)) if ordinals is None else ordinals)
    shards = {number: feed.shard for feed, number in zip(feeds, numbers, strict=True)}
    memory = None
    if step.definition.memory is not None:
        memory, listed = memory_folder(step.definition, step.config), f"{work}/shards.json"
        write_shards(store, listed, shards)
        feeds = [remembering(step.definition, feed, memory, listed) for feed in feeds]
    fed = dict(zip(numbers, feeds, strict=True))
    run = _Exchange(engine, store, step, work, progress, n_partitions)
    if index is None:
        n_partitions = n_partitions or count_partitions(step, list(shards.values()))
        maps = run.map(fed, n_partitions, {})
        slices: tuple[Slice, ...] = ()
    else:
        maps, slices = (), run.add(index, fed)
        n_partitions = n_partitions or count_partitions(step, list(shards.values()))
    parts = tuple(f"{work}/part-{i:06d}.arrow" for i in range(n_partitions))
    reduces = [ReduceTask(store, step, maps, i, n_partitions, parts[i], slices) for i in range(n_partitions)]
    with progress.phase(f"{step.name}: reduce", n_partitions, "partitions") as phase:
        for _ in engine.map(reduce_partition, reduces):
            phase.step()
    if step.definition.answer is not None:
        asked = [AnswerTask(store, step, fed[n], n, i, parts, folder, recipe) for i, n in enumerate(fed)]
        with progress.phase(f"{step.name}: answer", len(asked)) as phase:
            digests: dict[str, dict[str, str]] = {}
            for found in engine.map(answer_shard, asked):
                digests |= found
                phase.step()
        report = FinishReport(digests, {}, 0)
    else:
        (report,) = engine.map(finish_step, [FinishTask(store, step, parts, shards, folder, recipe, memory)])
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    catalog.update({**report.digests, "": {"recipe": recipe, "artefacts": report.artefacts}})
    store.delete_prefix(work)
    return GlobalResult(recipe, report.digests)


@dataclass(frozen=True)
class _Exchange:
    """The first half of a global step: from shards to what reducers read. n_partitions: see run_global."""

    engine: Engine
    store: Store
    step: GlobalStep
    work: str
    progress: Progress
    n_partitions: int | None

    def map(
        self, feeds: Mapping[int, Feed], n_partitions: int, erased: Mapping[str, Sequence[int]]
    ) -> tuple[str, ...]:
        """Map shards, by ordinal; returns the keys of their files."""
        tasks = [
            MapTask(
                self.store, self.step, feed, number, n_partitions, f"{self.work}/map-{number:06d}.arrow",
                tuple(erased.get(feed.shard.id, ())),
            )
            for number, feed in feeds.items()
        ]  # fmt: skip
        with self.progress.phase(f"{self.step.name}: map", len(tasks)) as phase:
            for _ in self.engine.map(map_shard, tasks):
                phase.step()
        return tuple(task.key for task in tasks)

    def add(self, index: Index, feeds: Mapping[int, Feed]) -> tuple[Slice, ...]:
        """Map the shards that an index lacks and add them as a run of it; returns all that reducers read."""
        wanted = {holding_of(feed): number for number, feed in feeds.items()}
        slices, missing = index.cover(wanted)
        if not missing:
            return slices
        for held in in_runs(
            missing, {holding: feeds[number].shard.n_rows for holding, number in wanted.items()}
        ):
            self.add_run(index, held, {wanted[holding]: feeds[wanted[holding]] for holding in held})
        return index.cover(wanted)[0]

    def add_run(self, index: Index, held: Sequence[Holding], feeds: Mapping[int, Feed]) -> None:
        """Map shards, by ordinal, and add them as one run of an index; held: the same shards, in the same order."""
        n_parts = self.n_partitions or count_partitions(self.step, [feed.shard for feed in feeds.values()])
        maps = self.map(feeds, n_parts, index.erased)
        name = run_name(held)
        places = np.full(max(feeds) + 1, -1, np.int64)
        places[list(feeds)] = np.arange(len(held))
        tasks = [AddTask(self.store, maps, i, f"{index.folder}/{name}", places) for i in range(n_parts)]
        with self.progress.phase(f"{self.step.name}: index", n_parts, "parts") as phase:
            sizes = []
            for size in self.engine.map(add_part, tasks):
                sizes.append(size)
                phase.step()
        n_rows, n_bytes = (sum(column) for column in zip(*sizes, strict=True))
        index.commit(name, held, n_parts, n_rows, n_bytes)
        for key in maps:
            self.store.delete(key)


def in_runs(missing: Sequence[Holding], sizes: Mapping[Holding, int]) -> Iterator[list[Holding]]:
    """Cut shards into runs of about RUN_DOCUMENTS."""
    before = np.cumsum([0, *(sizes[holding] for holding in missing)])[:-1]
    for _, held in groupby(zip(before // RUN_DOCUMENTS, missing, strict=True), key=itemgetter(0)):
        yield [holding for _, holding in held]


def holding_of(feed: Feed) -> Holding:
    """What an index holds of a shard that is fed like this."""
    assert isinstance(feed, Annotations), "only a step that reads stored columns has an index"
    recipes = [ref.recipe for _, ref in sorted(feed.refs.items())]
    return Holding(feed.shard.id, feed.shard.generation, digest(recipes))


def remembering(step: Global, feed: Feed, folder: str, listed: str) -> Remembering:
    """A feed that brings what the step knows."""
    assert isinstance(feed, Annotations), "only a step that reads stored columns has a memory"
    assert step.memory is not None
    return Remembering(feed.shard, feed.refs, feed.loose, feed.sparse, step.memory, folder, listed)
