"""Rounds in the engine: groups of shards, jobs that go on after a stop, and exchanges that are merged and counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, write_sidecar
from pipeline.mapreduce import exchange, run
from pipeline.mapreduce.exchange import Exchange, count_reads, count_writes, merge_block, merge_levels
from pipeline.mapreduce.feeds import Annotations
from pipeline.mapreduce.groups import group_starts
from pipeline.mapreduce.index import Index
from pipeline.mapreduce.requests import Requests
from pipeline.mapreduce.shuffle import read_sources, write_exchange
from pipeline.rounds import group_of
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.stage import Global, NoConfig
from pipeline.storage.local import FolderStore
from pipeline.storage.store import Store, open_store
from stages.dedup import candidates, exact, repeated_ids


class CountingStore(FolderStore):
    """Notes the exchange files that are opened and written."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.opened: list[str] = []
        self.written: list[str] = []

    def open(self, key: str) -> BinaryIO:
        """See Store.open."""
        self.opened.append(key)
        return super().open(key)

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """See Store.put."""
        self.written.append(key)
        super().put(key, data)


class StoppedError(Exception):
    """The engine was stopped."""


class StoppingEngine(SerialEngine):
    """Stops before a task; notes those that ran."""

    def __init__(self, left: int) -> None:
        self.left, self.ran = left, list[Any]()  # Any: tasks of any phase

    def map(
        self, fn: Callable[[Any], Any], tasks: Sequence[Any], follow: Callable[[Any], Any] | None = None
    ) -> Iterator[Any]:
        """See Engine.map."""
        for task in tasks:
            if len(self.ran) == self.left:
                raise StoppedError
            self.ran.append((fn.__name__, getattr(task, "key", getattr(task, "done", ""))))
            yield fn(task)


def pairs_step() -> GlobalStep:
    """Candidates without an index."""
    definition = Global(**{**candidates.GLOBAL.__dict__, "indexed": False})
    return GlobalStep(
        name="candidates", module="stages.dedup.candidates", definition=definition, config=candidates.Config()
    )


def job_of(store: Store, n_partitions: int, step: GlobalStep | None = None) -> run.Job:
    """A job over six shards of eighty documents, of which some share band keys or are copies."""
    rng, feeds = np.random.default_rng(7), {}
    for number in range(6):
        shard = Shard(f"s-{number}", "s", 80, 1000)
        sink = pa.BufferOutputStream()
        ids = pa.array([f"id{i}" for i in rng.integers(0, 300, 80)])
        columns = {c: pa.nulls(80, pa.string()) for c in candidates.READS if "." not in c}
        pq.write_table(pa.table({**columns, "source": ["s"] * 80, "source_id": ids}), sink)
        store.put(shard.key, sink.getvalue())
        refs = {n: SidecarRef(f"annotations/{n}/{shard.id}.parquet", "r") for n in ("exact", "minhash")}
        hashes = pa.array([bytes([h]) * 16 for h in rng.integers(0, 256, 80).tolist()], exact.HASH)
        bands = pa.array(rng.integers(0, 1 << 9, 320).astype(np.uint64) << np.uint64(55))
        bands = pa.ListArray.from_arrays(pa.array(np.arange(0, 321, 4), pa.int32()), bands)
        write_sidecar(store, refs["exact"], pa.table({"match_hash": hashes}), shard)
        write_sidecar(store, refs["minhash"], pa.table({"band_keys": bands}), shard)
        feeds[number + 2] = Annotations(shard, refs)  # ordinals of a run need not begin at 0
    return run.Job(store, step or pairs_step(), "r" * 32, "global/c", feeds, n_partitions)


def results(store: Store) -> dict[str, bytes]:
    """Bytes of the result of a job, and no exchange file is left."""
    assert not list(store.list("exchange"))
    return {key: store.get(key) for key, _ in store.list("global/c")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The result of one partition and one group."""
    store = open_store(tmp_path_factory.mktemp("whole"))
    run.run_global(job_of(store, 1), SerialEngine(), Progress(quiet=True))
    return results(store)


def test_a_stopped_job_goes_on(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """Stopped at any task, a job runs the others once, and its result has the same bytes; another job starts afresh."""
    store = open_store(tmp_path / "store")
    job, progress = job_of(store, 3), Progress(quiet=True)
    ran: list[Any] = []
    for stop in (2, 7, 3, 11, 1, 1000):
        engine = StoppingEngine(stop)
        with pytest.raises(StoppedError) if stop < 1000 else nullcontext():
            run.run_global(job, engine, progress)
        ran += engine.ran
    assert len(set(ran)) == len(ran) > 25 and results(store) == whole
    with pytest.raises(StoppedError):
        run.run_global(job, StoppingEngine(8), progress)
    again = StoppingEngine(-1)
    run.run_global(replace(job, n_partitions=2), again, progress)
    assert sum(name == "map_shard" for name, _ in again.ran) == 6 and results(store) == whole


@pytest.mark.parametrize("fan_in", [256, 2])
def test_requests_are_counted_and_merging_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes], fan_in: int
) -> None:
    """What a run notes is what the store was asked for, with and without merged files; the result is the same."""
    monkeypatch.setattr(exchange, "FAN_IN", fan_in)
    monkeypatch.setattr(exchange, "WORTH", 0)
    store, found = CountingStore(tmp_path / "store"), Requests()
    job = job_of(store, 3)
    store.opened.clear()
    run.run_global(job, SerialEngine(), Progress(quiet=True), found)
    reads = [key for key in store.opened if key.startswith("exchange/") and "job.json" not in key]
    apart = ("job.json", "shards.json")
    writes = [k for k in store.written if k.startswith("exchange/") and not any(name in k for name in apart)]
    assert found.reads == len(reads) and found.writes == len(writes)
    assert any("merged-" in key for key in writes) == (fan_in == 2)
    assert results(store) == whole


def answering_step() -> GlobalStep:
    """Answers each row with its key and the number of rows that have it."""

    def ask(batch: pa.Table, config: Any) -> pa.Table:  # Any: config classes differ
        hashes = b"".join(batch["exact.match_hash"].combine_chunks().to_pylist())
        return pa.table({"key": np.frombuffer(hashes, "<u8")[::2]})

    def count(table: pa.Table, config: Any) -> pa.Table:
        keys = table["key"].to_numpy()
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return pa.table({"key": keys, "n": counts[inverse]})

    def place(table: pa.Table, answers: pa.Table, config: Any) -> pa.Table:
        keys = np.sort(ask(table, config)["key"].to_numpy())
        assert (keys == answers["key"].to_numpy()).all()
        return pa.table({"row": table["row"], "n": answers["n"]})

    definition = Global(
        name="copies", version=1, config=NoConfig, reads=("exact.match_hash",),
        writes=pa.schema([("n", pa.int64())]), key="any", map=ask, reduce=count, answer=place,
    )  # fmt: skip
    return GlobalStep(name="copies", module="copies", definition=definition, config=NoConfig())


def test_answers_come_through_merged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With questions and answers merged in levels each shard gets the same answers; reads are those of the plan."""
    monkeypatch.setattr(exchange, "WORTH", 0)
    found = []
    for fan_in, n_partitions in ((256, 1), (256, 5), (2, 5), (2, 1)):
        monkeypatch.setattr(exchange, "FAN_IN", fan_in)
        monkeypatch.setattr(run, "count_partitions", lambda step, shards, n=n_partitions: n)
        store, requests = CountingStore(tmp_path / f"{fan_in}-{n_partitions}"), Requests()
        job = replace(job_of(store, n_partitions), step=answering_step())
        store.opened.clear()
        run.run_global(job, SerialEngine(), Progress(quiet=True), requests)
        reads = [key for key in store.opened if key.startswith("exchange/") and "job.json" not in key]
        assert requests.reads == len(reads) and any("merged-" in key for key in reads) == (fan_in == 2)
        assert requests == run.planned_requests(job.step, list(job.shards.values()))
        found.append(results(store))
    assert all(one == found[0] for one in found[1:])
    monkeypatch.undo()
    many = [Shard(f"s-{n}", "s", 75_000, 1) for n in range(13_000)]
    n_partitions = run.count_partitions(answering_step(), many)
    assert run.planned_requests(answering_step(), many).reads < 0.06 * 2 * 13_000 * n_partitions


@settings(max_examples=6)
@given(
    n_sources=st.integers(1, 16),
    n_partitions=st.integers(1, 9),
    fan_in=st.integers(2, 4),
    worth=st.sampled_from([0, 1]),
)
def test_merged_files_have_the_rows_of_all(
    tmp_path_factory: pytest.TempPathFactory, n_sources: int, n_partitions: int, fan_in: int, worth: int
) -> None:
    """Any number of sources and partitions: each partition has its rows in the order of the sources, as counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "FAN_IN", fan_in)
        patch.setattr(exchange, "WORTH", worth)
        store = CountingStore(tmp_path_factory.mktemp("merged"))
        for i in range(n_sources):
            table = pa.table({"source": np.full(n_partitions, i), "partition": np.arange(n_partitions)})
            write_exchange(store, f"x/{i}", table, np.arange(n_partitions), n_partitions)
        merged = Exchange.of([f"x/{i}" for i in range(n_sources)], n_partitions)
        for after, tasks in merge_levels(store, merged, "x"):
            for task in tasks:
                merge_block(task)
            merged = after
        for i in range(n_partitions):
            found = read_sources(store, merged.sources(i))
            assert found["source"].to_pylist() == list(range(n_sources))
            assert set(found["partition"].to_pylist()) == {i}
        assert len(store.opened) == count_reads(n_sources, n_partitions)
        assert len(store.written) == count_writes(n_sources, n_partitions)


def test_requests_grow_with_the_data() -> None:
    """Ten times as many shards and partitions: ten times the reads for each level of merging, not a hundred times."""
    for size in (10**i for i in range(7)):
        n_shards, n_partitions = 130 * size, 38 * size
        n_levels = math.ceil(math.log(n_shards, exchange.FAN_IN))
        assert count_reads(n_shards, n_partitions) <= exchange.FAN_IN * n_levels * n_partitions
    assert count_reads(130, 38) == 130 * 38  # few files are read as they are
    assert count_reads(13_000, 3800) < 0.03 * 13_000 * 3800


@pytest.mark.parametrize("indexed", [False, True])
def test_a_plan_counts_what_a_run_reads(tmp_path: Path, indexed: bool) -> None:
    """For a corpus of one group the requests of the plan are those of the run."""
    step, store, found = pairs_step(), open_store(tmp_path), Requests()
    step = replace(step, definition=replace(step.definition, indexed=indexed))
    index = Index(store, "candidates", "r" * 32, {}) if indexed else None
    job = replace(job_of(store, 1, step), index=index, n_partitions=None)
    run.run_global(job, SerialEngine(), Progress(quiet=True), found)
    assert found == run.planned_requests(step, list(job.shards.values()))
    many = [Shard(f"s-{n}", "s", 75_000, 1) for n in range(1340)]
    assert 50_000 < run.planned_requests(step, many).reads < 0.7 * 1340 * 384


def test_groups_follow_from_the_sizes_of_shards() -> None:
    """Consecutive shards, by documents; every row is in one group."""
    shards = {n: Shard(f"s-{n}", "s", 900_000, 1) for n in range(3, 12)}
    starts = group_starts(shards)
    assert starts == (3, 6, 8, 10)
    rows = np.array([n << 32 for n in range(3, 12)], np.uint64)
    assert group_of(rows, starts).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert group_starts({}) == (0,) and len(group_starts(shards, 20)) == 20


def test_counts_of_groups_are_added_up(tmp_path: Path) -> None:
    """A step whose rounds count by group has the same artefacts and rows for one group and for several."""
    step = GlobalStep(
        name="repeats",
        module="stages.dedup.repeated_ids",
        definition=repeated_ids.GLOBAL,
        config=NoConfig(),
    )
    found = []
    for n_partitions in (1, 7):
        store = open_store(tmp_path / str(n_partitions))
        run.run_global(job_of(store, n_partitions, step), SerialEngine(), Progress(quiet=True))
        found.append(results(store))
    assert found[0] == found[1] and len(found[0]) == 8
