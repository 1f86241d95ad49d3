"""Deduplication of many documents: the synthetic corpus, and the kernels that candidates sort and list pairs with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, read_sidecar, write_sidecar
from pipeline.mapreduce import run
from pipeline.mapreduce.feeds import Annotations
from pipeline.mapreduce.index import Index
from pipeline.mapreduce.shuffle import sort_keyed
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.schema import CANONICAL, ROW_BITS
from pipeline.storage.store import Store, open_store
from stages.dedup import candidates, exact
from tests.helpers.paths import ROOT


def test_planted_clusters_are_found(tmp_path: Path) -> None:
    """The script makes a corpus, runs the engine over it and a batch, and finds the planted clusters and no others."""
    page_path = tmp_path / "scale.json"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench.scale_candidates", "--documents", "4000", "8000", "--workers", "0",
         "--shard-documents", "1500", "--partitions", "3", "--batch-share", "0.1", "--folder", tmp_path / "store",
         "--json", page_path],
        check=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    sizes = json.loads(page_path.read_text())["sizes"]
    assert [size["documents"] for size in sizes] == [4000, 8000]
    for size in sizes:
        summary = size["summary"]
        assert summary["mixed"] == 0
        assert 0.25 * size["documents"] < summary["planted"] < 0.36 * size["documents"]
        assert 0.98 * summary["planted"] < summary["found"] <= summary["planted"]
        assert summary["candidates.documents"] > summary["planted"]
        assert summary["candidates.pairs"] > summary["planted"] / 2
        assert summary["dedup.clusters"] == summary["clusters"] > 0
        assert summary["dedup.documents"] == summary["clustered"] == summary["keepers.members"]
        assert summary["clusters"] * 0.5 < summary["keepers.keepers"] < summary["keepers.members"] / 2
        kept = size["documents"] - summary["keepers.members"] + summary["keepers.keepers"]
        assert kept <= summary["placement.kept"] == summary["placement.natural"] < size["documents"]
        assert summary["placement.ratio"] > 0
        old, new = sorted(size["index_bytes"].values(), reverse=True)
        assert 0 < new < 0.2 * old
        assert [phase["name"] for phase in size["batch"]] == [
            f"candidates: {name}" for name in ("map_shard", "add_part", "reduce_partition", "run_group")
        ]
    assert done.stdout.count("| candidates: run_group |") == 5  # twice for each size, and its growth
    assert not list((tmp_path / "store").iterdir())


@given(data=st.data())
def test_keyed_rows_are_sorted_stably(data: st.DataObject) -> None:
    """For near, far, few or equal keys, rows are sorted by key, then row, then input order."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    n_rows = data.draw(st.sampled_from([0, 1, 2, 50, 3000]))
    span = data.draw(st.sampled_from([1, 3, 1000, 1 << 30, 1 << 63]))
    keys = rng.integers(0, span, n_rows, np.uint64) + np.uint64(data.draw(st.sampled_from([0, 1 << 62])))
    rows = rng.integers(0, max(n_rows // 3, 1), n_rows).astype(np.uint64)
    names = pa.array([str(i) for i in range(n_rows)], pa.string())
    table = pa.table({"key": keys, "row": rows, "name": names})
    cut = data.draw(st.integers(0, n_rows))
    for given_ in (table, pa.concat_tables([table.slice(cut), table.slice(0, cut)])):
        order = np.lexsort((np.arange(n_rows), given_["row"].to_numpy(), given_["key"].to_numpy()))
        assert sort_keyed(given_).equals(given_.take(pa.array(order)))
    assert sort_keyed(table.drop_columns("row"))["name"].equals(
        table["name"].take(pa.array(np.argsort(keys, kind="stable")))
    )


@given(
    ends=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 3), st.integers(0, 5))),
    far=st.booleans(), cut=st.integers(0, 20),
)  # fmt: skip
def test_pairs_are_merged_as_sets_are(ends: list[tuple[int, int, int, int]], far: bool, cut: int) -> None:
    """Parts with repeated pairs give each pair once, in order, also where two rows do not fit into 64 bits."""
    unit = ((1 << 32) - 1) // 3 if far else 1
    rows = [(((a * unit) << ROW_BITS) + b, ((c * unit) << ROW_BITS) + d) for a, b, c, d in ends]
    pairs = [(min(pair), max(pair)) for pair in rows if pair[0] != pair[1]]
    columns = [np.array([pair[i] for pair in pairs], np.uint64) for i in range(2)]
    is_copy = np.array([left % 3 == right % 3 for left, right in pairs], bool)
    table = pa.table([*columns, is_copy], schema=candidates.PAIRS)
    parts = pa.concat_tables([table.slice(cut), table.slice(0, cut)])
    merged = candidates.merge_pairs(parts, candidates.Config())
    expected = sorted({(a, b, a % 3 == b % 3) for a, b in pairs})
    assert [tuple(row.values()) for row in merged.to_pylist()] == expected
    assert candidates.merge_pairs(merged, candidates.Config()).equals(merged)
    if far:  # no run has as many shards, and rows are looked up by shard
        return
    outcome = candidates.finish(parts, candidates.Config()).rows
    assert outcome is not None
    partners = {row["row"]: row["partners"] for row in outcome.to_pylist()}
    assert partners == {
        row: sorted({b if a == row else a for a, b, _ in expected if row in (a, b)})
        for row in {end for pair in pairs for end in pair}
    }


def test_runs_of_bounded_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose shards are added to the index in many runs has the same result, and keeps no exchange files."""
    found = []
    for name, n_documents in (("one", 1 << 24), ("many", 150)):
        monkeypatch.setattr(run, "RUN_DOCUMENTS", n_documents)
        store = open_store(tmp_path / name)
        index = Index(store, "candidates", "r" * 32, {})
        feeds = [Annotations(shard, refs) for shard, refs in small_shards(store)]
        step = GlobalStep(
            name="candidates",
            module="stages.dedup.candidates",
            definition=candidates.GLOBAL,
            config=candidates.Config(),
        )
        engine, progress = SerialEngine(), Progress(quiet=True)
        job = run.Job(store, step, "r", "global/c", dict(enumerate(feeds)), 3, index)
        run.run_global(job, engine, progress)
        assert not list(store.list("exchange"))
        tables = [
            read_sidecar(store, SidecarRef(f"global/c/rows/{feed.shard.id}.parquet", "r"), feed.shard)
            for feed in feeds
        ]
        found.append((len(index.runs), pa.concat_tables(tables)))
    assert [n_runs for n_runs, _ in found] == [1, 4]
    assert found[0][1].equals(found[1][1]) and found[0][1]["partners"].null_count < 600


def small_shards(store: Store) -> list[tuple[Shard, dict[str, SidecarRef]]]:
    """Six shards of a hundred documents; some share band keys or are copies."""
    rng, shards = np.random.default_rng(7), []
    for number in range(6):
        shard = Shard(f"s-{number}", "s", 100, 1000)
        canonical = {c: pa.nulls(100, CANONICAL.field(c).type) for c in candidates.READS if "." not in c}
        store.put(shard.key, parquet(pa.table(canonical)))
        refs = {
            name: SidecarRef(f"annotations/{name}/{shard.id}.parquet", "r") for name in ("exact", "minhash")
        }
        hashes = pa.array([bytes([h]) * 16 for h in rng.integers(0, 256, 100).tolist()], exact.HASH)
        bands = pa.array(rng.integers(0, 1 << 10, 400).astype(np.uint64) << np.uint64(50))
        bands = pa.ListArray.from_arrays(pa.array(np.arange(0, 401, 4), pa.int32()), bands)
        write_sidecar(store, refs["exact"], pa.table({"match_hash": hashes}), shard)
        write_sidecar(store, refs["minhash"], pa.table({"band_keys": bands}), shard)
        shards.append((shard, refs))
    return shards


def parquet(table: pa.Table) -> pa.Buffer:
    """A Parquet file in memory."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue()
