"""The index: new shards are added and compared with old ones as in one build; query, compact and erase."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load_run
from pipeline.inspect.index_tools import compact_index
from pipeline.inspect.opened import open_build
from pipeline.mapreduce import feeds, run, shuffle
from pipeline.mapreduce.index import Holding, Index, find_keys, read_range, renumber, write_index_part
from pipeline.runtime.engines import LocalEngine, SerialEngine
from pipeline.runtime.metered import Measured
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW_BITS
from pipeline.storage.store import open_store
from stages import dedup
from stages.dedup import candidates
from tests.helpers.build import build, cli, digests, ledger, map_here, reference, small_page, tiny, write_run
from tests.helpers.near_duplicates import corpus, shards_of
from tests.helpers.run_global import align, run_global


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[list[str]]]:
    """The small corpus built in three batches of files; run file, store, and the shards mapped in each build."""
    folder = tmp_path_factory.mktemp("grown")
    inputs, store = folder / "inputs", folder / "store"
    done = reference()
    batches = [
        ["zh/00.jsonl.gz", "zh/01.jsonl.gz", "en/00.jsonl.zst", "web/crawl.warc.wet.gz", "books.parquet"],
        ["zh/02.jsonl.gz", "zh/03.jsonl.gz", "en/01.jsonl.zst", "copies.jsonl"],
        ["zh/04.jsonl.gz", "zh/05.jsonl.gz", "en/02.jsonl.zst", "en/03.jsonl.zst"],
    ]
    mapped = []
    for files in batches:
        for name in files:
            (inputs / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(done.inputs / name, inputs / name)
        page = small_page()
        page["sources"] = [s for s in page["sources"] if list(inputs.glob(s["files"]))]
        if files is not batches[-1]:
            page["mix"] = {}
        run_path = write_run(inputs, page)
        with counted() as found:
            build(run_path, store)
        mapped.append([task.feed.shard.id for task in found if task.step.name == "candidates"])
    return run_path, store, mapped


@contextmanager
def counted() -> Iterator[list[Any]]:
    """Note the tasks that a build in this process maps. Any: tasks of any phase."""
    mapped: list[Any] = []

    def note(
        engine: LocalEngine,
        fn: Callable[[Any], Any],
        tasks: Sequence[Any],
        follow: Callable[[Any], Any] | None = None,
    ) -> Iterator[Any]:
        if isinstance(fn, Measured) and fn.fn is run.map_shard:
            mapped.extend(tasks)
        return map_here(engine, fn, tasks, follow)

    with mock.patch("tests.helpers.build.map_here", note):
        yield mapped


def runs_of(run_path: Path, store: Path) -> dict[str, Any]:
    """The output of `index show`."""
    return dict(cli("index", "show", run_path, "--store", store, "--json").ok().json)


def columns_of(store: Path, step: str) -> dict[str, pa.Table]:
    """Rows of the one result of a global step that covers most shards, by shard."""
    folders = [path.parent for path in (store / "global" / step).glob("*/catalog.json")]
    folder = max(folders, key=lambda path: len(list((path / "rows").iterdir())))
    return {path.stem: pq.read_table(path) for path in sorted((folder / "rows").iterdir())}


def test_batches_through_the_index_give_what_all_at_once_gives(
    grown: tuple[Path, Path, list[list[str]]],
) -> None:
    """The second and the third batch map their own shards alone, and candidates, clusters and release are the same."""
    _, store, mapped = grown
    assert digests(store) == reference().digests
    for step in ("candidates", "dedup"):
        mine, all_at_once = columns_of(store, step), columns_of(reference().store, step)
        assert list(mine) == list(all_at_once)
        assert all(mine[shard].equals(all_at_once[shard]) for shard in mine)
    first, second, third = (set(shards) for shards in mapped)
    assert first and second and third
    assert not (first & second or first & third or second & third)
    assert first | second | third == set(columns_of(store, "candidates"))


def test_compaction_merges_runs_and_changes_no_decision(
    grown: tuple[Path, Path, list[list[str]]], tmp_path: Path
) -> None:
    """Three runs become one with the same keys, the old files are deleted, and later builds are the same."""
    run_path, store = grown[0], Path(shutil.copytree(grown[1], tmp_path / "store"))
    before = runs_of(run_path, store)
    assert len(before["runs"]) == 3
    stray = store / before["index"] / "0123456789abcdef" / "part-00000.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"a run that was killed")
    plan = cli("index", "compact", run_path, "--store", store, "--dry-run", "--json").ok().json
    assert plan["before"] == before == runs_of(run_path, store)
    cli("index", "compact", run_path, "--store", store, "--workers", 1).ok()
    after = runs_of(run_path, store)
    assert len(after["runs"]) == 1 and after["rows"] == before["rows"] and after["shards"] == before["shards"]
    folder = store / after["index"]
    assert {path.parent.name for path in folder.glob("*/part-*")} == {after["runs"][0]["run"]}
    for step in ("candidates", "dedup"):
        shutil.rmtree(store / "global" / step)
    with counted() as tasks:
        build(run_path, store)
    assert [task for task in tasks if task.step.name == "candidates"] == []
    assert digests(store) == reference().digests


def test_compaction_drops_shards_that_the_store_no_longer_has(tmp_path: Path) -> None:
    """Keys of a shard that the manifest no longer lists are removed by the next compaction."""
    store = open_store(tmp_path / "store")
    index = Index(store, "candidates", "0" * 32, {})
    held = [Holding("a-0-0", 1, "r"), Holding("b-0-0", 1, "r")]
    table = pa.table({"key": pa.array([1, 2], pa.uint64()), "row": pa.array([0, 1 << ROW_BITS], pa.uint64())})

    write_index_part(store, f"{index.folder}/r1", 0, table)
    index.commit("r1", held, 1, 2, 100)
    entry = {"source": "b", "shards": [["b-0-0", 5, 100, 1]]}
    store.put("shards/catalog.json", json.dumps({"entries": {"b-0": entry}, "header": {}}).encode())
    found = compact_index(index, SerialEngine(), Progress(quiet=True))
    assert found["shards_gone"] == 1 and found["after"]["rows"] == 1


def test_another_threshold_reads_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons are remembered: a lower threshold gives the release of a build from scratch without reading text."""
    done = reference()
    store, page = done.copy(tmp_path), copy.deepcopy(small_page())
    page["global"][2] = {"use": "stages.dedup", "config": {"threshold": 0.6}}
    page["keep_one"]["config"] = {"threshold": 0.6}
    run_path = done.variant(page)

    def refuse(*_: object) -> Iterator[object]:
        raise AssertionError("a document's text was read")

    with monkeypatch.context() as patch, counted():
        patch.setattr(feeds, "read_shard_rows", lambda *a: refuse() if a[3].any() else iter(()))
        build(run_path, store)
    build(run_path, tmp_path / "scratch")
    assert digests(store) == digests(tmp_path / "scratch") != done.digests


def test_memory_is_kept_for_documents_outside_a_run(tmp_path: Path) -> None:
    """A run over fewer files keeps the comparisons of the others, so that none is repeated later."""
    done = reference()
    store, page = done.copy(tmp_path), copy.deepcopy(small_page())
    (folder,) = (path for path in (store / "index" / "dedup").iterdir())
    n_pairs = sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))
    page["sources"] = page["sources"][:3]
    build(done.variant(page), store)
    assert sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet")) == n_pairs > 100


def test_query_finds_the_copies_of_a_text(grown: tuple[Path, Path, list[list[str]]], tmp_path: Path) -> None:
    """A document's own text finds it and the copies removed in its favour, with the ledger's similarity."""
    run_path, store, _ = grown
    rows = ledger(store)
    gone = next(row for row in rows if row["rule"] == "duplicate" and row["similarity"] < 1)
    finished = open_build(load_run(run_path), open_store(store))
    decision, row = finished.locate(gone["doc_id"])
    ((_, text),) = finished.text(decision.shard, np.array([row]))
    (tmp_path / "page.txt").write_text(text, encoding="utf-8")
    answer = (
        cli("index", "query", run_path, "--store", store, "--text-file", tmp_path / "page.txt", "--json")
        .ok()
        .json
    )
    found = {document["doc_id"]: document["similarity"] for document in answer[str(tmp_path / "page.txt")]}
    assert found[gone["doc_id"]] == 1.0
    assert found[gone["keeper_id"]] == pytest.approx(gone["similarity"], abs=1e-6)
    nothing = cli(
        "index", "query", run_path, "--store", store, "--text", "没有任何文档说过这样的一句话。", "--json"
    )
    assert nothing.ok().json == {"text 1": []}


def test_erased_documents_meet_nothing(grown: tuple[Path, Path, list[list[str]]], tmp_path: Path) -> None:
    """An erased document's keys are in no run and in no memory, it removes nothing, and it does not come back."""
    run_path, store = grown[0], Path(shutil.copytree(grown[1], tmp_path / "store"))
    keeper = next(row["keeper_id"] for row in ledger(store) if row["rule"] == "duplicate")
    lost = [row["doc_id"] for row in ledger(store) if row["keeper_id"] == keeper]
    before = runs_of(run_path, store)
    erase = ("index", "erase", run_path, "--store", store, "--doc-id", keeper, "--json")
    plan = cli(*erase, "--dry-run").ok().json
    assert runs_of(run_path, store) == before
    answer = cli(*erase).ok().json
    assert plan == {name: answer[name] for name in ("documents", "keys")}
    assert answer["documents"] == 1 and answer["keys"] >= 1 and answer["pairs"] >= 2
    after = runs_of(run_path, store)
    assert after["rows"] == before["rows"] - answer["keys"] and after["erased"] == 1
    plan = cli("plan", run_path, "--store", store, "--json").ok().json
    assert "candidates" in {name for phase in plan["phases"] for name, n in phase["steps"].items() if n}
    build(run_path, store)
    rows = {row["doc_id"]: row for row in ledger(store)}
    assert rows[keeper]["keep"] and keeper not in {row["keeper_id"] for row in rows.values()}
    assert sum(rows[doc_id]["keep"] for doc_id in lost) == 1  # the best of what it stood for
    again = copy.deepcopy(small_page())
    again["annotate"][1] = {"use": "stages.minhash", "config": {"seed": 2}}
    build(write_run(run_path.parent, again, "again.yaml"), store)  # another index leaves it out as well
    assert keeper not in {row["keeper_id"] for row in ledger(store)}
    unknown = cli("index", "erase", run_path, "--store", store, "--doc-id", "nobody")
    assert unknown.code == 2 and "nobody" in unknown.err


def test_an_index_with_other_parameters_is_refused(tmp_path: Path) -> None:
    """The message names the parameter, both values and the remedy."""
    done = reference()
    page = copy.deepcopy(small_page())
    page["annotate"][1] = {"use": "stages.minhash", "config": {"seed": 1, "n_bands": 20}}
    refused = cli("index", "show", done.variant(page), "--store", done.store)
    assert refused.code == 2
    assert "minhash.n_bands is 28 there, 20 here" in refused.err and "bicorpus run" in refused.err
    empty = cli("index", "show", write_run(tmp_path, tiny(tmp_path)), "--store", tmp_path / "none")
    assert empty.code == 2 and "stages.dedup.candidates" in empty.err


@given(data=st.data())
def test_ranges_of_runs_are_what_filtering_gives(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For any number of files and partitions each row is read once, renumbered."""
    store = open_store(tmp_path_factory.mktemp("runs"))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    n_rows, n_parts = data.draw(st.integers(0, 50)), data.draw(st.sampled_from([1, 3, 8]))
    keys = np.sort(rng.integers(0, 1 << 64, n_rows, np.uint64))
    rows = (rng.integers(0, 3, n_rows).astype(np.uint64) << np.uint64(ROW_BITS)) + np.arange(
        n_rows, dtype=np.uint64
    )
    table = pa.table({"key": keys, "row": rows})
    index = Index(store, "candidates", "1" * 32, {})
    held = [Holding(f"s-{i}-0", 1, "r") for i in range(3)]
    parts = shuffle.partition_of(keys, n_parts)
    for part in range(n_parts):
        write_index_part(store, f"{index.folder}/r", part, table.filter(pa.array(parts == part)))
    index.commit("r", held, n_parts, n_rows, 1)
    slices, missing = index.cover({held[0]: 7, held[2]: 4, Holding("new-0-0", 1, "r"): 5})
    assert [holding.shard for holding in missing] == ["new-0-0"]
    expected = renumber(table, np.array([7, -1, 4]))
    n_partitions = data.draw(st.sampled_from([1, 4, 7]))
    found = [t for i in range(n_partitions) for t in read_range(store, slices, i, n_partitions)]
    assert pa.concat_tables(found).equals(expected)
    asked = np.unique(np.append(keys[::2], np.uint64(5)))
    hits = find_keys(store, slices[0], asked)
    assert hits.sort_by("key").equals(expected.filter(pa.array(np.isin(expected["key"].to_numpy(), asked))))


def test_memory_changes_no_result() -> None:
    """With all, some or none of its pairs remembered, dedup has the same result."""
    texts = corpus(3)
    shards = shards_of(texts, [20, len(texts) - 20], range(len(texts)))
    shards = align(run_global(candidates.GLOBAL, shards, candidates.Config(), 4), shards, candidates.GLOBAL)
    whole = run_global(dedup.GLOBAL, shards, dedup.Config(), 4)
    assert whole.known is not None and whole.rows is not None
    kind = dedup.MEMBERS.field("known").type
    for share in (0.5, 1.0):
        rng = np.random.default_rng(1)
        ends = whole.known.select(["row", "known"])
        chance = rng.random(1 << 16)
        low = np.minimum(ends["row"].to_numpy(), ends["known"].to_numpy())
        high = np.maximum(ends["row"].to_numpy(), ends["known"].to_numpy())
        kept = whole.known.filter(
            pa.array(chance[((low * np.uint64(31) + high) % np.uint64(1 << 16)).astype(int)] < share)
        )
        known: dict[int, list[dict[str, Any]]] = {}
        for pair in kept.to_pylist():
            known.setdefault(pair.pop("row"), []).append({"row": pair.pop("known"), **pair})
        told = []
        for shard in shards:
            column = pa.array([known.get(row) for row in shard["row"].to_pylist()], kind)
            told.append(shard.append_column("known", column))
        mapped = [dedup.GLOBAL.map(t.select([*dedup.READS, "row", "known"]), dedup.Config()) for t in told]
        table = pa.concat_tables(mapped).sort_by([("key", "ascending"), ("row", "ascending")])
        outcome = dedup.GLOBAL.finish(dedup.GLOBAL.reduce(table, dedup.Config()), dedup.Config())
        assert outcome.rows is not None and outcome.rows.equals(whole.rows)
        order = [("row", "ascending"), ("known", "ascending")]
        assert outcome.known is not None and outcome.known.sort_by(order).equals(whole.known.sort_by(order))
        n_texts = sum(int(dedup.needs_text(t).sum()) for t in told)
        assert (n_texts == 0) == (share == 1.0)


def test_an_erasure_that_was_stopped_counts_from_its_beginning(tmp_path: Path) -> None:
    """Keys that are still in a part are read by nobody."""
    store = open_store(tmp_path / "store")
    index = Index(store, "candidates", "2" * 32, {})
    rows = np.array([0, 1, (1 << ROW_BITS) + 1], np.uint64)
    table = pa.table({"key": pa.array([1, 2, 3], pa.uint64()), "row": rows})
    write_index_part(store, f"{index.folder}/r", 0, table)
    held = [Holding("a-0-0", 1, "r"), Holding("b-0-0", 1, "r")]
    index.commit("r", held, 1, 3, 1)
    index.erasures.update({"b-0-0": {"rows": [1]}})  # as far as a killed call came
    slices, _ = index.cover({holding: i for i, holding in enumerate(held)})
    assert pa.concat_tables(read_range(store, slices, 0, 1))["key"].to_pylist() == [1, 2]
    assert find_keys(store, slices[0], np.array([2, 3], np.uint64))["key"].to_pylist() == [2]
    assert index.erase({"b-0-0": [1]}) == 1 and index.runs["r"]["rows"] == 2
