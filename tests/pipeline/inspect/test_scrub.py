"""`scrub` names what is damaged in a store; the next run makes it again, and says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.planning.repair import repair_of
from pipeline.storage.store import open_store
from tests.helpers.build import cli, digests, reference


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the finished store, to be damaged."""
    return reference().copy(tmp_path)


def flip(path: Path) -> str:
    """Flip a bit in the middle of a file; returns its key."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    return path.name


def scrub(store: Path, *options: object) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code of `scrub` and its findings by key."""
    ended = cli("scrub", store, "--json", "--quiet", *options)
    return ended.code, {finding["key"]: finding for finding in ended.json["findings"]}


def key_of(store: Path, path: Path) -> str:
    """Key of a file of a store."""
    return path.relative_to(store).as_posix()


def test_damage_is_named_and_made_again(store: Path) -> None:
    """Damaged shards, annotations, index, memory and catalogs: one run says so and writes the same release."""
    assert scrub(store) == (0, {})
    damaged = [
        sorted((store / "shards").glob("zh-*.parquet"))[1],
        sorted(store.glob("annotations/minhash/*/*.parquet"))[0],
        next(store.glob("annotations/exact/*/catalog.json")),
        next(store.glob("index/candidates/*/*/part-*.parquet")),
        next(store.glob("index/dedup/*/catalog.json")),
    ]
    missing = sorted(store.glob("annotations/boilerplate/*/*.parquet"))[2]
    for path in damaged:
        flip(path)
    missing.unlink()
    keys = {key_of(store, path) for path in (*damaged, missing)}
    code, findings = scrub(store)
    assert code == 5 and set(findings) == keys
    assert {finding["state"] for finding in findings.values()} == {
        "next run"
    }  # its inputs are those of the last run
    for folder in ("releases", "verdicts", "global/candidates", "global/dedup", "global/keepers"):
        shutil.rmtree(store / folder)
    ended = cli("run", reference().run_path, "--store", store, "--engine", "local").ok()
    assert ended.err.count("it is made again") == len(keys) and key_of(store, missing) in ended.err
    assert digests(store) == reference().digests
    assert scrub(store) == (0, {})


def test_repair(store: Path) -> None:
    """--repair forgets what can be made again; what cannot is kept, and named with what needs it."""
    sidecar = sorted(store.glob("annotations/minhash/*/*.parquet"))[0]
    shard = sorted((store / "shards").glob("books-*.parquet"))[0]
    table = store / "imports/scores/0123456789abcdef.parquet"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"PAR1 no table PAR1")
    run_path = reference().variant({"corpus": "other", "sources": [
        {"name": "en", "reader": "stages.readers.jsonl", "files": "en/*.jsonl.zst"}]})  # fmt: skip
    flip(sidecar), flip(shard)
    code, findings = scrub(store, "--repair", "--run", run_path)
    assert code == 5 and shard.exists() and table.exists() and not sidecar.exists()
    assert findings[key_of(store, sidecar)]["state"] == "forgotten"
    lost = findings[key_of(store, shard)]
    assert lost["state"] == "lost" and "releases/v1" in lost["dependents"] and len(lost["dependents"]) == 4
    assert "import" in findings[key_of(store, table)]["why"]


def test_a_release_without_some_files_is_written_again(store: Path) -> None:
    """A file of a release that is missing is noticed by the run that would have called the release up to date."""
    next((store / "releases/v1/data").glob("*/part-*")).unlink()
    ended = cli("run", reference().run_path, "--store", store, "--engine", "local").ok()
    assert "missing or damaged" in ended.err
    assert digests(store) == reference().digests


def test_a_lost_file_of_compared_pairs_takes_the_others_along(tmp_path: Path) -> None:
    """A pair is remembered at both ends. If one end forgot it and the other did not, nobody would compare it again."""
    store = open_store(str(tmp_path))
    repair = repair_of(store, "index/dedup/0123abcd/web-0011-1.parquet")
    assert repair.folders == ("index/dedup/0123abcd",)
    assert repair_of(store, "index/dedup/0123abcd/catalog.json").folders == repair.folders
