"""Guards: a run in which duplicates remove too much stops with exit 5 and a reason, and releases nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.build import build, cli, ledger, reference, to_line, write_run
from tests.helpers.pages import page_data

NEWS = "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点，周末则照旧开放到下午五点。"


def write_inputs(folder: Path) -> None:
    """A shop whose pages are one template, and ten pages of their own, on three hosts."""
    shop = [{"text": f"{NEWS}商品是{'茶米油'[i % 3]}", "url": f"https://shop.example/{i}"} for i in range(40)]
    own = [
        {
            "text": "".join(chr(0x4E00 + 97 * i + 7 * k) for k in range(80)),
            "url": f"https://site{i % 2}.example/{i}",
        }
        for i in range(10)
    ]
    for name, rows in (("shop", shop), ("own", own)):
        (folder / f"{name}.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")


def page(**guards: object) -> dict[str, Any]:
    """A run file over `write_inputs` with guards."""
    return {
        "corpus": "guarded",
        "sources": [
            {"name": name, "reader": "stages.readers.jsonl", "files": f"{name}.jsonl"}
            for name in ("shop", "own")
        ],
        "annotate": ["stages.dedup.exact", "stages.minhash"],
        "global": ["stages.dedup.candidates", "stages.dedup"],
        "keep_one": {"of": "dedup", "guards": {"min_documents": 5, **guards}},
    }


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        ({"source_share": 0.9}, "of the 40 documents of source shop"),
        ({"host_share": 0.9}, "of the 40 documents of host shop.example"),
        ({"largest_cluster": 20}, "a cluster has 40 documents; allowed are 20"),
    ],
)
def test_a_guard_stops_the_run_and_names_examples(
    guards: dict[str, object], said: str, tmp_path: Path
) -> None:
    """Exit 5 with the group, share and limit, three removed documents with their keeper, and nothing is released."""
    write_inputs(tmp_path)
    run_path, store = write_run(tmp_path, page(**guards)), tmp_path / "store"
    stopped = cli("run", run_path, "--store", store, "--engine", "local", "--workers", 1)
    assert stopped.code == 5
    assert said in stopped.err and "bicorpus explain" in stopped.err and "Nothing was released" in stopped.err
    assert not (store / "releases" / "guarded" / "checksums.sha256").exists()
    examples = stopped.err.split("for example ")[1].split(". Nothing")[0].split(", ")
    assert len(examples) == 3
    removed, _, keeper = examples[0].split(" (")[0].partition(" for ")
    shown = cli("explain", run_path, removed, "--store", store).ok().out
    assert keeper in shown and "dropped by duplicate" in shown


def test_a_raised_limit_reads_no_text_again(tmp_path: Path) -> None:
    """The limit is no part of any recipe but the release's; a source above a half is named in the report."""
    write_inputs(tmp_path)
    store = tmp_path / "store"
    cli(
        "run",
        write_run(tmp_path, page(source_share=0.5)),
        "--store",
        store,
        "--engine",
        "local",
        "--workers",
        1,
    )
    record = build(write_run(tmp_path, page(source_share=0.99, largest_cluster=50)), store)
    assert record["tasks"]["annotate"] == record["tasks"]["global"] == record["text_tasks"] == 0
    lineage = json.loads((store / "releases" / "guarded" / "lineage.json").read_text())
    (warning,) = lineage["warnings"]
    assert warning.startswith("source shop: ")
    assert page_data(store / "releases" / "guarded" / "report.html")["numbers"]["warnings"] == [warning]
    kinds = lineage["duplicates"]["source"]["shop"]
    rows = [row for row in ledger(store, "guarded") if row["rule"] == "duplicate"]
    assert kinds == {kind: sum(row["duplicate"] == kind for row in rows) for kind in ("raw", "near")}
    assert sum(kinds.values()) == len(rows) == 39


def test_small_groups_are_not_asked(tmp_path: Path) -> None:
    """A source below min_documents may lose all but one of its documents."""
    write_inputs(tmp_path)
    build(write_run(tmp_path, page(source_share=0.5, min_documents=41)), tmp_path / "store")


def test_a_wrong_guard_is_refused(tmp_path: Path) -> None:
    """Unknown names and shares above one are errors of the run file."""
    write_inputs(tmp_path)
    for guards, said in (({"source_share": 2}, "expected a share from 0 to 1"), ({"hosts": 1}, "hosts")):
        refused = cli(
            "run", write_run(tmp_path, page(**guards)), "--store", tmp_path / "s", "--engine", "local"
        )
        assert refused.code == 2 and said in refused.err


def test_explain_shows_both_texts_side_by_side() -> None:
    """A near copy: its keeper with origin, similarity and margin, what kind it is, and the places that differ; and the
    keeper names what it was kept for."""
    done = reference()
    row = next(r for r in ledger(done.store) if r["duplicate"] == "near")
    found = cli("explain", done.run_path, row["doc_id"], "--store", done.store, "--json").ok().json
    keeper = found["keeper"]
    assert found["cluster_size"] == row["cluster_size"]
    assert keeper["doc_id"] == row["keeper_id"] and keeper["kind"] == "near" and keeper["threshold"] == 0.8
    assert keeper["margin"] == pytest.approx(row["similarity"] - 0.8, abs=1e-5)
    assert keeper["differences"] and all("[" in place["removed"] for place in keeper["differences"])
    text = cli("explain", done.run_path, row["doc_id"], "--store", done.store).ok().out
    assert "a near duplicate: similarity" in text and "removed" in text and " | kept" in text
    kept = cli("explain", done.run_path, row["keeper_id"], "--store", done.store).ok().out
    assert "keeper of " in kept
    same = next(r for r in ledger(done.store) if r["duplicate"] == "raw")
    assert "the same text" in cli("explain", done.run_path, same["doc_id"], "--store", done.store).ok().out


def test_report_shows_pairs_around_the_threshold() -> None:
    """The histogram counts every compared pair, and samples from both sides show where two texts differ."""
    done = reference()
    release = done.store / "releases" / "v1"
    report = json.loads((release / "report.json").read_text())
    found = report["near_duplicates"]
    assert found["threshold"] == 0.8
    assert sum(count for _, verified, count in found["histogram"] if verified) > 50
    assert all((edge >= 0.79) == verified or verified for edge, verified, _ in found["histogram"])
    assert any(sample["verified"] and sample["differences"] for sample in found["samples"])
    assert page_data(release / "report.html")["numbers"]["near_duplicates"] == found


def test_hosts_are_added_up_by_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of partitions finds the same worst host and counts the others above the limit."""
    write_inputs(tmp_path)
    (tmp_path / "shop.jsonl").write_text(
        (tmp_path / "shop.jsonl").read_text("utf-8")
        + (tmp_path / "shop.jsonl").read_text("utf-8").replace("//shop", "//x"),
        "utf-8",
    )
    run_path, said = write_run(tmp_path, page(host_share=0.9)), []
    for n_documents in (1000, 7):
        monkeypatch.setattr("pipeline.release.clusters.DOCUMENTS_PER_PART", n_documents)
        store = tmp_path / f"store-{n_documents}"
        stopped = cli("run", run_path, "--store", store, "--engine", "local", "--workers", 1)
        assert stopped.code == 5
        said.append(next(line for line in stopped.err.splitlines() if "host_share" in line))
        parts = {path.name for path in (store / "releases").rglob("hosts-*.json")}
        assert len(parts) == -(-90 // n_documents)
    assert said[0] == said[1] and "(1 more above the limit)" in said[0]
