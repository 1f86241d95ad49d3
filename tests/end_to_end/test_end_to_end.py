"""A whole build, from raw files to a release: computed once, and the same bytes however it is computed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers.build import (
    build,
    cli,
    command,
    digests,
    ledger,
    reference,
    small_page,
    start,
    texts,
    tiny,
    write_run,
)  # fmt: skip

NOTHING = {"ingest": 0, "derive": 0, "annotate": 0, "global": 0, "release": 0}


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when either engine starts a worker or runs a task."""

    def refuse(_: object) -> None:
        raise AssertionError("an engine was started for an empty plan")

    def refuse_tasks(_: object, fn: object, tasks: Sequence[object]) -> Iterator[object]:
        assert not tasks, "a task was run for an empty plan"
        return iter(())

    monkeypatch.setattr("tests.helpers.build.map_here", refuse_tasks)
    monkeypatch.setattr("pipeline.runtime.engines.LocalEngine.start", refuse)
    monkeypatch.setattr("pipeline.runtime.engines.RayEngine.start", refuse)


def test_reference_is_a_real_build() -> None:
    """The build that the others are compared with has many shards, duplicates, both halves and a full ledger."""
    done = reference()
    rows = ledger(done.store)
    assert done.record["tasks"]["annotate"] >= 16
    assert len(rows) == 362 and len({row["doc_id"] for row in rows}) == 362
    rules = Counter(row["rule"] for row in rows)
    assert rules["duplicate"] > 50 and rules["too_short"] >= 1
    assert {row["doc_id"] for row in rows if row["keep"]} == set(texts(done.store))
    copies = Counter(row["source"] for row in rows if row["rule"] == "duplicate")
    assert copies["copies"] > copies.total() * 0.9  # the keeper order prefers the sources of lower rank
    cli("verify", done.store / "releases" / "v1").ok()


@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.usefixtures("no_engine")
def test_second_run_computes_nothing(engine: str) -> None:
    """The same command again has no task of any kind, starts no engine and changes no file."""
    done = reference()
    before = {path: path.stat().st_mtime_ns for path in done.store.rglob("*") if ".locks" not in path.parts}
    record = cli("run", done.run_path, "--store", done.store, "--engine", engine, "--json").ok().json
    assert record["tasks"] == NOTHING and record["text_tasks"] == 0
    files = {
        p: p.stat().st_mtime_ns for p in done.store.rglob("*") if ".locks" not in p.parts and p.is_file()
    }
    assert files.items() <= before.items()


def test_empty_plan_does_not_even_import_ray() -> None:
    """A run with nothing to do on the default engine ends without Ray in the process."""
    done = reference()
    code = (
        "import sys; from pipeline.cli import main\n"
        f"main(['run', {str(done.run_path)!r}, '--store', {str(done.store)!r}, '--quiet'], standalone_mode=False)\n"
        "assert 'ray' not in sys.modules, 'Ray was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def built_elsewhere(folder: Path, *options: object, **environment: str) -> dict[str, str]:
    """Build the small corpus anew in a process of its own; returns the digests of its release."""
    done = reference()
    options = options or ("--engine", "local", "--workers", 1)
    command("run", done.run_path, "--store", folder / "s", "--quiet", *options, **environment).ok()
    return digests(folder / "s")


def test_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    """Ray on this machine writes the release that the process pool writes."""
    assert built_elsewhere(tmp_path, "--engine", "ray", "--workers", 2) == reference().digests


def test_settings_of_where_and_how_change_no_byte(tmp_path: Path) -> None:
    """One worker, seven partitions, batches of five documents and another hash seed: the same release."""
    options = ("--engine", "local", "--workers", 1, "--partitions", 7, "--batch-rows", 5)
    assert built_elsewhere(tmp_path, *options, PYTHONHASHSEED="77") == reference().digests


def test_four_partitions_and_other_batches_change_no_byte(tmp_path: Path) -> None:
    """Four partitions and batches of 64 documents: the same release."""
    options = ("--engine", "local", "--workers", 2, "--partitions", 4, "--batch-rows", 64)
    assert built_elsewhere(tmp_path, *options, PYTHONHASHSEED="1") == reference().digests


def test_growing_file_by_file_gives_the_same_bytes(tmp_path: Path) -> None:
    """A corpus that grew in three steps has the release of one built at once, and old shards keep their names."""
    done = reference()
    inputs, store = tmp_path / "inputs", tmp_path / "store"
    shutil.copytree(done.inputs, inputs)
    run_path = inputs / "run.yaml"
    later = [["zh/03.jsonl.gz", "zh/00.jsonl.gz"], ["en/01.jsonl.zst", "zh/05.jsonl.gz"]]
    for name in (name for step in later for name in step):
        (inputs / name).rename(tmp_path / name.replace("/", "-"))
    shards: set[str] = set()
    for step in [[], *later]:
        for name in step:
            (tmp_path / name.replace("/", "-")).rename(inputs / name)
        record = build(run_path, store)
        found = {path.name for path in (store / "shards").glob("*.parquet")}
        assert shards <= found
        new, shards = found - shards, found
        assert record["tasks"]["ingest"] == (len(step) or 9)
        assert record["tasks"]["annotate"] == len(new)
    assert digests(store) == done.digests


def test_moved_inputs_give_the_same_documents(tmp_path: Path) -> None:
    """Inputs in another folder, copied with new time stamps, are read again and found to be the same."""
    done = reference()
    store = done.copy(tmp_path)
    shutil.copytree(done.inputs, tmp_path / "moved", copy_function=shutil.copyfile)
    record = build(tmp_path / "moved" / "run.yaml", store)
    assert (
        record["tasks"]["annotate"] == 0
        and record["tasks"]["global"] == 0
        and record["tasks"]["release"] == 0
    )
    assert digests(store) == done.digests


def test_two_runs_at_once_share_a_store(tmp_path: Path) -> None:
    """Two runs started together on one store: each ends with 0, or 75 for a held release; then it is whole."""
    done = reference()
    options = ("--store", tmp_path / "s", "--engine", "local", "--workers", 1, "--quiet")
    running = [start("run", done.run_path, *options) for _ in range(2)]
    codes = set()
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode in (0, 75), err
        codes.add(process.returncode)
    assert 0 in codes
    build(done.run_path, tmp_path / "s")
    assert digests(tmp_path / "s") == done.digests


def test_a_second_release_of_the_store_leaves_the_first(tmp_path: Path) -> None:
    """Another run file with another release name adds a release and touches no byte of the first."""
    done = reference()
    store = done.copy(tmp_path)
    page = small_page(select=[{"name": "short", "tokens.n_tokens": {"min": 200}}])
    page["release"] = page["release"] | {"name": "v2"}
    record = build(done.variant(page), store)
    assert record["text_tasks"] == 0
    assert digests(store) == done.digests
    assert len(texts(store, "v2")) < len(texts(store, "v1"))


def test_release_is_replaced_whole(tmp_path: Path) -> None:
    """A release written again under its name contains no file of the one before, and equals one in a new store."""
    done = reference()
    store = done.copy(tmp_path)
    page = small_page(mix={})
    changed = done.variant(page)
    build(changed, store)
    assert "orders/half.parquet" not in digests(store)
    build(changed, tmp_path / "fresh")
    assert digests(store) == digests(tmp_path / "fresh")
    cli("verify", store / "releases" / "v1").ok()


def test_run_file_comments_do_not_matter(tmp_path: Path) -> None:
    """A comment in the run file makes nothing stale."""
    done = reference()
    path = write_run(done.inputs, small_page(), "comment.yaml")
    path.write_text("# another comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert build(path, done.copy(tmp_path))["tasks"] == NOTHING


def test_sources_may_bring_different_scores_under_one_name(tmp_path: Path) -> None:
    """A score that a record's source does not bring is null there, although it brings another of that name."""
    page = tiny(tmp_path, [{"id": "1", "text": "第一篇文档，写的是春天。", "task": 3, "level": 1}])
    (tmp_path / "more.jsonl").write_text(
        '{"text": "A second document, about autumn.", "level": 5}\n', "utf-8"
    )
    first = page["sources"][0] | {"columns": {"given.task": "task", "given.level": "level"}}
    other = {"name": "more", "reader": "stages.readers.jsonl", "files": "more.jsonl"}
    rules = [{"name": "task", "given.task": {"max": 9}, "if_null": "drop"}]
    page |= {"sources": [first, other | {"columns": {"given.level": "level"}}], "select": rules}
    run, store = write_run(tmp_path, page | {"release": {"name": "v1"}}), tmp_path / "store"
    build(run, store)
    assert {row["source"]: row["rule"] for row in ledger(store)} == {"docs": None, "more": "task"}
    target = tmp_path / "rows.jsonl"
    cli("export", run, "--store", store, "--columns", "given.task,given.level", "--to", target).ok()
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert found == [{"given.level": 1.0, "given.task": 3.0}, {"given.level": 5.0, "given.task": None}]
