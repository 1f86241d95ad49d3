"""`erase` takes documents and their copies out of a store and keeps them out, and nothing is measured again."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import opencc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.dataset.tombstones import Tombstones
from pipeline.release.run import Releasing
from pipeline.storage.lease import hold
from pipeline.storage.store import open_store
from stages import tombstones
from tests.helpers.build import build, cli, digests, ledger, to_line, write_run
from tests.helpers.paths import SAMPLE

KEEPER = "zh-0"
NEEDLE_CHARS = 12


def lines_of(name: str, field: str, n_rows: int) -> list[str]:
    """Real texts of the sample, of 300 to 1,500 characters."""
    data = (SAMPLE / name).read_bytes()
    data = (
        zstandard.ZstdDecompressor().stream_reader(data).read()
        if name.endswith(".zst")
        else gzip.decompress(data)
    )
    texts = []
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get(field), str) and 300 < len(row[field]) < 1500:
            texts.append(row[field])
    return texts[:n_rows]


def edited(text: str, seed: int) -> str:
    """The text with a tenth of its ideographs and words replaced by others of it, in Traditional characters."""
    units = re.findall(r"[A-Za-z]+|[\u4e00-\u9fff]|[^A-Za-z\u4e00-\u9fff]+", text)
    words = [i for i, unit in enumerate(units) if re.match(r"[A-Za-z\u4e00-\u9fff]", unit)]
    draw = random.Random(seed)
    for i in draw.sample(words, len(words) // 10):
        units[i] = units[draw.choice(words)]
    return opencc.OpenCC("s2twp").convert("".join(units))


@dataclass
class Erased:
    """A store before and after an erasure that was stopped half-way, and the run that finished it."""

    run: Path
    page: dict[str, Any]
    before: Path
    store: Path
    keeper: dict[str, Any]
    cluster: set[str]
    text: str
    dry: dict[str, Any]
    record: dict[str, Any]


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Erased:
    """Real documents, three copies of one of them, and conversions to the other script; the kept copy is erased."""
    folder = tmp_path_factory.mktemp("erased")
    zh, en = lines_of("docs_zh-00.jsonl.gz", "content", 14), lines_of("docs_en-00.jsonl.zst", "text", 12)
    rows = [{"id": f"zh-{i}", "text": text, "url": f"https://www.zh{i}.cn/a/"} for i, text in enumerate(zh)]
    (folder / "zh.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")
    others = [
        {"id": f"en-{i}", "text": text, "url": f"https://blog{i % 3}.example.com/{i}"}
        for i, text in enumerate(en)
    ]
    copies = [zh[0], zh[0][: -len(zh[0]) // 30], opencc.OpenCC("s2t").convert(zh[0])]
    others[3:3] = [{"id": f"copy-{i}", "text": text} for i, text in enumerate(copies)]
    (folder / "more.jsonl").write_text(
        "".join(map(to_line, [*others, {"text": "", "note": zh[0]}])), encoding="utf-8"
    )
    page: dict[str, Any] = {
        "corpus": "erased",
        "ingest": {"shard_bytes": "6kB", "max_quarantined_share": 0.5},
        "sources": [
            {"name": "zh", "reader": "stages.readers.jsonl", "files": "zh.jsonl"},
            {"name": "more", "reader": "stages.readers.jsonl", "files": "more.jsonl", "rank": 1},
            {"name": "other", "derive": "stages.conversion", "of": ["zh"]},
        ],
        "annotate": ["stages.dedup.exact", "stages.minhash", "classifiers.language", "stages.web.boilerplate"],
        "global": ["stages.dedup.candidates", "stages.dedup"],
        "keep_one": {"of": "dedup", "prefer": [{"rank": "low"}]},
        "release": {"name": "v1", "edits": {"boilerplate": "all"}},
    }  # fmt: skip
    run, before, store = write_run(folder, page), folder / "before", folder / "store"
    build(run, before)
    rows_before = ledger(before)
    (keeper,) = [row for row in rows_before if row["source_id"] == KEEPER]
    cluster = {row["doc_id"] for row in rows_before if row["cluster"] == keeper["cluster"]}
    shutil.copytree(before, store)
    options = (
        "erase",
        run,
        "--store",
        store,
        "--doc-id",
        keeper["doc_id"],
        "--workers",
        1,
        "--json",
        "--quiet",
    )
    dry = cli(*options, "--dry-run").ok().json
    assert not (store / "tombstones").exists() and digests(store) == digests(before)
    with mock.patch("pipeline.erasure.rewrite.delete_results", side_effect=KeyboardInterrupt):
        assert cli(*options).code != 0
    for refused in (cli("gc", run, "--store", store, "--delete"), cli(*options, "--dry-run")):
        assert refused.code == 2 and "stopped before its end" in refused.err
    record = build(run, store)
    return Erased(run, page, before, store, keeper, cluster, zh[0], dry, record)


def decoded(path: Path) -> str:
    """All that a file contains, as text."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        return json.dumps(
            pq.read_table(path).to_pylist(),
            ensure_ascii=False,
            default=lambda v: bytes(v).decode("utf-8", "replace"),
        )
    if path.suffix == ".arrow":
        with pa.ipc.open_file(path) as file:
            return str(file.read_all().to_pylist())
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    return data.decode("utf-8", "replace") + (
        json.dumps(json.loads(data), ensure_ascii=False) if path.suffix == ".json" else ""
    )


def test_the_dry_run_lists_what_would_leave(erased: Erased) -> None:
    """Document, cluster and derived document with reasons; files and token ranges of the release; inputs outside."""
    why = {row["doc_id"]: row["why"] for row in erased.dry["documents"]}
    assert len(erased.cluster) == 4 and why[erased.keeper["doc_id"]] == "asked"
    assert erased.cluster <= set(why) and sorted(why.values()) == ["asked", *["cluster"] * 3, "derived"]
    assert erased.dry["quarantined"] == 1
    (release,) = erased.dry["releases"]
    assert {"orders/natural.parquet", "mixes/natural/part-00000.parquet"} <= set(release["files"])
    (kept, derived) = release["token_ranges"]
    assert kept["doc_id"] != derived["doc_id"] and kept["first"] < kept["end"]
    listed = {(entry["source"], row) for entry in erased.dry["outside"]["inputs"] for row in entry["rows"]}
    assert listed == {("zh", 0), ("more", 3), ("more", 4), ("more", 5)}


def test_the_next_run_finishes_and_measures_nothing(erased: Erased) -> None:
    """A stopped erasure is finished by the next run; no stage runs; no member of the cluster is left anywhere."""
    tasks = erased.record["tasks"]
    assert (tasks["ingest"], tasks["derive"], tasks["annotate"]) == (0, 0, 0) and tasks["global"] > 0
    assert erased.record["healed"] == [] and not (erased.store / "tombstones/pending.json").exists()
    (receipt,) = (erased.store / "tombstones/receipts").iterdir()
    written = json.loads(receipt.read_text("utf-8"))
    assert {d["doc_id"] for d in written["documents"]} == {d["doc_id"] for d in erased.dry["documents"]}
    assert written["store"]["shards"] > 0 and written["releases"][0]["release"] == "v1"
    left = ledger(erased.store)
    assert not {row["doc_id"] for row in left} & erased.cluster
    assert len(left) == len(ledger(erased.before)) - 5
    needles = [
        erased.text[i : i + NEEDLE_CHARS] for i in range(0, len(erased.text) - NEEDLE_CHARS, NEEDLE_CHARS)
    ]
    needles = [needle for needle in needles if "\n" not in needle and '"' not in needle][:8]
    needles += [opencc.OpenCC("s2t").convert(needle) for needle in needles]
    for store, is_left in ((erased.before, True), (erased.store, False)):
        files = [decoded(path) for path in sorted(store.rglob("*")) if path.is_file()]
        assert len(files) > 50 and any(needle in text for needle in needles for text in files) == is_left
    assert cli("scrub", erased.store, "--quiet").code == 0
    assert cli("verify", erased.store / "releases/v1").code == 0
    counts = json.loads((erased.store / "releases/v1/lineage.json").read_text("utf-8"))["counts"]
    assert counts["erased"] == 4


def test_a_build_from_scratch_is_the_same_and_a_recrawl_stays_out(erased: Erased, tmp_path: Path) -> None:
    """Another store with the tombstones gets the same release; edited copies in the other script stay out."""
    scratch = tmp_path / "scratch"
    shutil.copytree(erased.store / "tombstones", scratch / "tombstones")
    record = build(erased.run, scratch)
    assert record["tasks"]["annotate"] > 0 and digests(scratch) == digests(erased.store)
    again = [{"text": edited(erased.text, seed), "url": f"https://mirror.tw/{seed}"} for seed in range(8)]
    control = lines_of("docs_zh-01.jsonl.gz", "content", 8)
    folder = erased.run.parent
    (folder / "again.jsonl").write_text(
        "".join(map(to_line, [*again, *({"text": t} for t in control)])), "utf-8"
    )
    source = {"name": "again", "reader": "stages.readers.jsonl", "files": "again.jsonl"}
    page = {**erased.page, "sources": [*erased.page["sources"], source]}
    build(write_run(folder, page, "again.yaml"), scratch)
    assert sum(row["source"] == "again" for row in ledger(scratch)) == len(control)


def test_hosts_urls_and_single_copies(erased: Erased, tmp_path: Path) -> None:
    """A host takes all of its documents, a URL its page in any form, --only-this-copy one document and no other."""
    store = Path(shutil.copytree(erased.before, tmp_path / "store"))

    def ids(*options: object) -> list[dict[str, Any]]:
        ended = cli("erase", erased.run, "--store", store, "--workers", 1, "--json", "--quiet", *options)
        return list(ended.ok().json["documents"])

    assert len(ids("--host", "example.com", "--dry-run")) == 12
    assert len(ids("--host", "blog1.example.com", "--dry-run")) == 4
    assert len(ids("--url", "http://zh3.cn/a#top", "--dry-run")) == 2  # with what was derived from it
    assert len(ids("--source-id", "copy-1", "--dry-run")) == 5
    (only,) = ids("--source-id", "copy-1", "--only-this-copy")
    assert only["why"] == "asked" and only["input_row"] == 4
    build(erased.run, store)
    left = {row["source_id"] for row in ledger(store)}
    assert {KEEPER, "copy-0", "copy-2"} <= left and "copy-1" not in left
    unknown = cli("erase", erased.run, "--store", store, "--doc-id", "nobody", "--quiet")
    assert unknown.code == 2 and "nobody" in unknown.err
    assert cli("erase", erased.run, "--store", store).code == 2


def test_who_excludes_an_erasure(erased: Erased, tmp_path: Path) -> None:
    """A held index refuses `erase`; during an erasure the index is not changed, and a run that does not wait ends."""
    store_path = Path(shutil.copytree(erased.before, tmp_path / "store"))
    store, options = open_store(store_path), ("--store", store_path, "--quiet")
    doc_id = erased.keeper["doc_id"]
    with hold(store, "index-candidates-1"):
        ended = cli("erase", erased.run, *options, "--doc-id", doc_id, "--workers", 1)
        assert ended.code == 75 and "index-candidates-1" in ended.err
    with hold(store, "erase"):
        for command in (
            ("index", "compact", erased.run, *options),
            ("index", "erase", erased.run, *options[:2], "--doc-id", doc_id),
            ("run", erased.run, *options, "--engine", "local", "--no-wait"),
        ):  # fmt: skip
            ended = cli(*command)
            assert ended.code == 75 and "being erased" in ended.err, (command, ended.err)
    assert not (store_path / "tombstones").exists() and not list((store_path / "leases").glob("run-*"))
    assert digests(store_path) == digests(erased.before)


def test_a_run_that_was_passed_over_by_an_erasure_writes_nothing(
    erased: Erased, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped past its lease before it commits, while documents are erased, exits with 75; the next run
    releases what is left."""
    store_path = Path(shutil.copytree(erased.before, tmp_path / "store"))
    page = {**erased.page, "release": {**erased.page["release"], "seed": 7}}
    path = write_run(erased.run.parent, page, "late.yaml")
    commit = Releasing.commit

    def stopped(self: Releasing, *arguments: Any) -> None:
        """As if the process were stopped here for longer than its leases, and an erasure came between."""
        store = open_store(store_path)
        for key, _ in list(store.list("leases")):
            store.put(key, json.dumps(json.loads(store.get(key)) | {"expires": 0}).encode())
        options = ("--store", store_path, "--doc-id", erased.keeper["doc_id"], "--workers", 1, "--quiet")
        cli("erase", erased.run, *options).ok()
        lease = self.session.lease
        assert lease is not None
        lease._deadline = 0.0  # what a clock of the process shows when it goes on
        commit(self, *arguments)

    monkeypatch.setattr(Releasing, "commit", stopped)
    ended = cli("run", path, "--store", store_path, "--engine", "local", "--workers", 1, "--quiet")
    assert ended.code == 75 and "lost to another run" in ended.err
    assert digests(store_path) == digests(erased.before)
    monkeypatch.setattr(Releasing, "commit", commit)
    build(path, store_path)
    assert not {row["doc_id"] for row in ledger(store_path)} & erased.cluster


def test_texts_are_read_for_tombstones_of_texts_only(tmp_path: Path) -> None:
    """Tombstones of values alone are matched without the column of texts; one of a text asks for it."""
    key = b"0123456789abcdef"
    values = tombstones.value_tombstones("url", ["example.org/a"], key)
    documents = pa.table({"url": ["https://example.org/a/", None], "text": ["a text of some words"] * 2})
    found = Tombstones(values, key)
    assert found.columns() == ["url"] and found.erased(documents.select(["url"])).tolist() == [True, False]
    quarantined = pa.table({"raw": [b"a text of some words"]})
    assert found.hidden(quarantined) is quarantined
    both = Tombstones(
        pa.concat_tables([values, tombstones.tombstones_of(["a text of some words"], key)]), key
    )
    assert both.columns() == ["url", "text"] and both.erased(documents).all()
    assert both.hidden(quarantined)["raw"].null_count == 1
