"""`scrub` names what is damaged in a store; the next run makes it again, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inspect.scrub import named_objects
from pipeline.planning.repair import repair_of
from pipeline.storage.run_records import read_record
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


@pytest.mark.parametrize(
    "pattern",
    ["shards/catalog.json", "shards/inputs.json", "annotations/recipes.json", "annotations/exact/*/catalog.json",
     "global/dedup/*/catalog.json", "index/candidates/*/catalog.json", "index/dedup/*/catalog.json",
     "releases/_heads/v1.json", "releases/v1/checksums.sha256"],
)  # fmt: skip
def test_a_missing_catalog_is_named(store: Path, pattern: str) -> None:
    """Nothing in a folder names its catalog; the record of the run or the release tells that it is gone."""
    path = next(store.glob(pattern))
    path.unlink()
    code, findings = scrub(store)
    assert code == 5 and list(findings) == [key_of(store, path)]
    assert findings[key_of(store, path)]["fault"].startswith("missing")


def test_a_folder_that_no_finished_run_used_needs_no_catalog(store: Path) -> None:
    """A run that is killed before its first commit leaves sidecars that no catalog lists."""
    folder = store / "annotations/exact/v9-00000000"
    folder.mkdir()
    pq.write_table(pa.table({"exact": [1]}), folder / "zh-0011.parquet")
    assert scrub(store) == (0, {})


@pytest.mark.parametrize("pattern", ["runs/*.json", "releases/_heads/v1.json"])
def test_a_changed_value_in_a_record_is_damage(store: Path, pattern: str) -> None:
    """Records of runs and heads of releases carry a digest: JSON that still parses is not enough."""
    path = next(store.glob(pattern))
    text = path.read_text()
    path.write_text(text.replace("v1", "v2", 1))
    code, findings = scrub(store)
    assert code == 5 and list(findings) == [key_of(store, path)]
    assert "digest" in findings[key_of(store, path)]["fault"]


@pytest.mark.parametrize("command", ["status", "plan"])
def test_a_damaged_record_is_one_line(store: Path, command: str) -> None:
    """Commands that read the records of runs name a damaged one instead of ending in a traceback."""
    path = next(store.glob("runs/*.json"))
    path.write_bytes(path.read_bytes()[:100])
    arguments = ("plan", reference().run_path) if command == "plan" else ("status",)
    ended = cli(*arguments, "--store", store)
    assert ended.code != 0 and key_of(store, path) in ended.err and "Traceback" not in ended.err


def test_a_record_without_a_digest_is_of_an_earlier_version(store: Path) -> None:
    """A record of an earlier version is read as it is."""
    path = next(store.glob("runs/*.json"))
    record = json.loads(path.read_text())
    del record["digest"], record["catalogs"]
    path.write_text(json.dumps(record, indent=1))
    assert scrub(store) == (0, {})
    assert read_record(open_store(str(store)), key_of(store, path)) == record


def test_an_empty_list_of_checksums_is_damage(store: Path) -> None:
    """A release whose list of checksums names nothing is not one without files."""
    path = store / "releases/v1/checksums.sha256"
    path.write_bytes(b"")
    code, findings = scrub(store, "--repair")
    assert code == 0 and list(findings) == [key_of(store, path)]
    assert "does not list" in findings[key_of(store, path)]["fault"] and not path.exists()


def test_a_catalog_of_shards_names_quarantined_records() -> None:
    """A group of which records were quarantined has a file of them, which must be there; others have none."""
    entry = {"source": "zh", "shards": [["zh-0011-0", 3]]}
    entries = {
        "zh-0011": {**entry, "quarantined": {"invalid_json": 1}},
        "zh-0022": {**entry, "quarantined": {}},
    }
    assert "quarantine/zh/zh-0011.parquet" in list(named_objects("shards/catalog.json", entries))
    assert "quarantine/zh/zh-0022.parquet" not in list(named_objects("shards/catalog.json", entries))
