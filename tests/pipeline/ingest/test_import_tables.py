"""Importing: outside verdicts reach the right documents, also later ones, and change decisions without reading text."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.helpers.build import build, cli, ledger, small_page, tiny, to_line, write_run

TEXTS = ["清晨的菜市场很热闹，摊主们大声招呼客人。", "The harbour was quiet before the storm.", "图书馆周一闭馆。",
         "Rates rose by half a point on Tuesday.", "The harbour was quiet before the storm."]  # fmt: skip
URLS = ["https://a.cn/1", "https://b.org/1", "https://a.cn/2", None, "https://b.org/1"]
ROWS = [
    {"id": str(i), "text": text, "url": url} for i, (text, url) in enumerate(zip(TEXTS, URLS, strict=True))
]
HUMAN = {"name": "human", "reviews.verdict": {"not_in": ["差"]}, "if_null": "keep"}
SCORE = {"name": "low_score", "reviews.score": {"min": 0.5}, "if_null": "keep"}

Page = dict[str, Any]


def with_reviews(folder: Path, rules: tuple[Page, ...] = (HUMAN, SCORE), **changes: Any) -> Path:
    """A run file over ROWS that takes up the import `reviews`."""
    if not (folder / "docs.jsonl").exists():
        tiny(folder, ROWS)
    page = {
        "corpus": "tiny",
        "sources": [{"name": "docs", "reader": "stages.readers.jsonl", "files": "docs.jsonl"}],
        "ingest": {"pack_bytes": 0},
        "annotate": ["stages.tokens", {"import": "reviews"}],
        "select": list(rules),
        "release": {"name": "v1"},
    }
    return write_run(folder, page | changes)


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A store with ROWS and without any import, and its ledger in the order of ROWS."""
    plain = tiny(tmp_path, ROWS, annotate=["stages.tokens"], release={"name": "plain"})
    plain["ingest"] = {"pack_bytes": 0}
    build(write_run(tmp_path, plain, "plain.yaml"), tmp_path / "store")
    return tmp_path, sorted(ledger(tmp_path / "store", "plain"), key=lambda row: row["row"])


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A CSV file; gzipped if its name says so."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    data = ("\ufeff" + text.getvalue()).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def take_in(folder: Path, path: Path, on: str = "doc_id", *options: object) -> dict[str, Any]:
    """Import a file as `reviews`; returns the JSON output of the command."""
    command = ("import", "reviews", path, "--on", on, "--store", folder / "store", "--workers", 1, "--json")
    return dict(cli(*command, *options).ok().json)


def rules_of(folder: Path) -> list[str | None]:
    """The rule that dropped each document of ROWS."""
    return [
        row["rule"] for row in sorted(ledger(folder / "store"), key=lambda row: (row["shard"], row["row"]))
    ]


def test_verdicts_by_doc_id_drop_exactly_their_documents(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """A reviewers' CSV drops the Chinese page it calls bad and the English one it scores low; a rest is counted."""
    folder, rows = built
    found = take_in(folder, write_csv(folder / "r.csv.gz", [
        {"doc_id": rows[0]["doc_id"], "verdict": "差", "score": 0.9},
        {"doc_id": rows[3]["doc_id"], "verdict": "good", "score": 0.25},
        {"doc_id": rows[2]["doc_id"], "verdict": "good", "score": ""},
        {"doc_id": "nosuchdocument", "verdict": "good", "score": 1},
        {"doc_id": "", "verdict": "good", "score": 1},
    ]))  # fmt: skip
    assert (found["documents"], found["matched"], found["unmatched"]) == (5, 3, 2)
    assert (found["unknown_keys"], found["examples"], found["without_key"]) == (1, ["nosuchdocument"], 1)
    assert found["columns"] == {"verdict": "string", "score": "double"}
    record = build(run_path := with_reviews(folder), folder / "store")
    assert rules_of(folder) == ["human", None, None, "low_score", None]
    assert record["text_tasks"] == 0 and record["tasks"]["annotate"] == 0
    explained = cli("explain", run_path, "--store", folder / "store", rows[3]["doc_id"]).ok().out
    assert "FAILS low_score" in explained and "reviews.score 0.25 (min 0.5, margin -0.25)" in explained
    assert "reviews.verdict 'good'" in explained
    shown = cli("show", run_path, "--store", folder / "store", "--where", "reviews.score>=0.9").ok().out
    assert shown.split()[0] == rows[0]["doc_id"] and len(shown.splitlines()) == 1
    target = folder / "rows.jsonl"
    cli(
        "export", run_path, "--store", folder / "store", "--columns", "reviews.verdict,text", "--to", target
    ).ok()
    exported = {
        (row["text"], row["reviews.verdict"]) for row in map(json.loads, target.open(encoding="utf-8"))
    }
    assert (TEXTS[0], "差") in exported and (TEXTS[1], None) in exported
    release = folder / "store/releases/v1"
    cli("verify", release, "--store", folder / "store", "--run", run_path).ok()
    assert "import reviews: 4 rows by doc_id: score double, verdict string" in cli(
        "status", "--store", folder / "store").ok().out  # fmt: skip


@pytest.mark.parametrize("on", ["url", "text_hash"])
def test_every_document_of_a_url_or_text_gets_the_row(
    on: str, built: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Two copies of an English page share a url and a text: one row drops both; a null url matches nothing."""
    folder, rows = built
    (key,) = {row[on] for row in documents(folder) if row["doc_id"] in (rows[1]["doc_id"], rows[4]["doc_id"])}
    found = take_in(folder, write_csv(folder / "r.csv", [{on: key, "verdict": "差"}]), on)
    assert (found["matched"], found["unmatched"], found["unknown_keys"]) == (2, 3, 0)
    build(with_reviews(folder, (HUMAN,)), folder / "store")
    assert rules_of(folder) == [None, "human", None, None, "human"]


def documents(folder: Path) -> list[dict[str, Any]]:
    """Canonical rows of a store."""
    paths = sorted((folder / "store/shards").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_other_values_make_decisions_stale_and_nothing_else(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """Another import reads no text and runs no stage; the same values again, in any format and order, do nothing."""
    folder, rows = built
    first = [{"doc_id": row["doc_id"], "verdict": "好", "score": 0.5} for row in rows]
    run_path = with_reviews(folder)
    before = take_in(folder, write_csv(folder / "r.csv", first))
    build(run_path, folder / "store")
    turned = [dict(reversed(row.items())) for row in [*first[::-1], first[0]]]
    lines = zstandard.compress("".join(map(to_line, turned)).encode())
    (folder / "same.jsonl").write_bytes(lines)  # told by content, not by name
    files = {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*.parquet")}
    again = take_in(folder, folder / "same.jsonl")
    assert again["table"] == before["table"] and before["changed"] and not again["changed"]
    assert {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*.parquet")} == files
    assert cli("plan", run_path, "--store", folder / "store", "--json").ok().json["empty"]
    changed = take_in(folder, write_csv(folder / "r.csv", [{**first[0], "verdict": "差"}, *first[1:]]))
    assert changed["changed"]
    plan = cli("plan", run_path, "--store", folder / "store", "--json").ok().json
    assert plan["release"] != "up to date" and plan["text_tasks"] == 0
    assert not any(phase["n_tasks"] for phase in plan["phases"])
    record = build(run_path, folder / "store")
    assert record["text_tasks"] == 0 and record["tasks"]["annotate"] == 0 and record["tasks"]["release"] > 0
    assert rules_of(folder) == ["human", None, None, None, None]


def test_a_stage_that_is_gated_by_an_import_follows_it(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """Another verdict makes the stage behind its gate stale, and not the one beside it."""
    folder, rows = built
    gated = {"use": "stages.tokens", "as": "checked", "gate": {"reviews.verdict": "好"}}
    run_path = with_reviews(folder, (), annotate=["stages.tokens", {"import": "reviews"}, gated])
    for verdicts in (["好", "差", "差", "好", "差"], ["差", "好", "差", "好", "差"]):
        table = [{"doc_id": row["doc_id"], "verdict": v} for row, v in zip(rows, verdicts, strict=True)]
        take_in(folder, write_csv(folder / "r.csv", table))
        record = build(run_path, folder / "store")
        assert set(record["stage_bytes"]) == {"checked"} and record["text_tasks"] == 1
        shown = cli("show", run_path, "--store", folder / "store", "--where", "checked.n_tokens>=1").ok().out
        expected = {row["doc_id"] for row, verdict in zip(rows, verdicts, strict=True) if verdict == "好"}
        assert {line.split()[0] for line in shown.splitlines()} == expected


def test_a_shard_that_comes_later_is_aligned_by_the_run(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """A new file's documents get their rows from the stored table; other shards stay as they are."""
    folder, _ = built
    late = {"id": "late", "text": "后来的一篇文章。", "url": "https://late.cn/1"}
    table: list[Page] = [
        {"url": "https://late.cn/1", "verdict": "差", "score": 1.5},
        {"url": URLS[0], "verdict": "好", "score": 2},
    ]
    found = take_in(folder, write_csv(folder / "r.csv", table), "url")
    assert (found["matched"], found["examples"]) == (1, ["https://late.cn/1"])
    run_path = with_reviews(folder, (HUMAN,))
    build(run_path, folder / "store")
    (folder / "later.jsonl").write_text(to_line(late), encoding="utf-8")
    source = {"name": "docs", "reader": "stages.readers.jsonl", "files": ["docs.jsonl", "later.jsonl"]}
    run_path = with_reviews(folder, (HUMAN,), sources=[source])
    plan = cli("plan", run_path, "--store", folder / "store", "--json").ok().json
    assert len(plan["ingest"]) == 1
    record = build(run_path, folder / "store")
    assert record["tasks"]["ingest"] == record["tasks"]["annotate"] == 1
    (dropped,) = [row for row in ledger(folder / "store") if not row["keep"]]
    assert dropped["rule"] == "human"
    explained = cli("explain", run_path, "--store", folder / "store", "--input", "later.jsonl:0").ok().out
    assert "FAILS human" in explained and "reviews.verdict '差' (not_in 差)" in explained


def test_an_import_before_the_first_run_waits_for_its_documents(tmp_path: Path) -> None:
    """An empty store takes a table; the run that brings the documents aligns it, in batches of any size."""
    table: list[Page] = [{"url": URLS[2], "verdict": "差", "score": 1}]
    found = take_in(tmp_path, write_csv(tmp_path / "r.csv", table), "url")
    assert (found["documents"], found["unknown_keys"]) == (0, 1)
    build(with_reviews(tmp_path), tmp_path / "store", "--batch-rows", 2)
    assert rules_of(tmp_path) == [None, None, "human", None, None]


def test_columns_keep_their_types_and_may_be_renamed(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """Lists, structs and truth values of Parquet come through; `as` gives another prefix; --columns chooses."""
    folder, rows = built
    ids = [row["doc_id"] for row in rows]
    table = pa.table({
        "when": pa.array([0] * 5, pa.timestamp("us")), "doc_id": pa.array(ids).dictionary_encode(),
        "ok": [True, None, False, True, True], "n": pa.array(range(5), pa.int16()),
        "labels": [["a"], [], None, ["b", "c"], ["a"]], "by": [{"who": "李", "p": 0.5}] * 5,
        "x": pa.array([1.0, float("nan"), float("inf"), 2.0, 3.0], pa.float32()),
    })  # fmt: skip
    pq.write_table(table, folder / "r.parquet")
    refused = cli("import", "reviews", folder / "r.parquet", "--on", "doc_id", "--store", folder / "store")
    assert (
        refused.code == 2
        and "'when' is timestamp[us]" in refused.err
        and "--columns ok,n,labels" in refused.err
    )
    found = take_in(folder, folder / "r.parquet", "doc_id", "--columns", "x,ok,n,labels,by")
    assert found["columns"] == {"x": "float", "ok": "bool", "n": "int16", "labels": "list<item: string>",
                                "by": "struct<who: string, p: double>"}  # fmt: skip
    rules: list[Page] = [
        {"name": "not_ok", "people.ok": True, "if_null": "drop"},
        {"name": "x", "people.x": {"max": 2}, "if_null": "keep"},
    ]
    run_path = with_reviews(
        folder, tuple(rules), annotate=["stages.tokens", {"import": "reviews", "as": "people"}]
    )
    build(run_path, folder / "store")
    assert rules_of(folder) == [None, "not_ok", "not_ok", None, "x"]
    cli("export", run_path, "--store", folder / "store", "--columns", "doc_id,people.by,people.labels", "--to",
        folder / "rows.parquet").ok()  # fmt: skip
    exported = {row["doc_id"]: row for row in pq.read_table(folder / "rows.parquet").to_pylist()}
    assert [exported[i]["people.labels"] for i in ids] == table["labels"].to_pylist()
    assert exported[ids[0]]["people.by"] == {"who": "李", "p": 0.5}


def test_a_mix_and_the_release_take_imported_columns(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """Verdicts are strata, documents without one are left out of them; scores become a quality of the release."""
    folder, rows = built
    table = [{"doc_id": row["doc_id"], "verdict": "好", "score": i / 4} for i, row in enumerate(rows[:3])]
    take_in(folder, write_csv(folder / "r.csv", table))
    mix = {
        "default": "good",
        "max_discard": 1,
        "mixes": {"good": {"by": "reviews.verdict", "share": {"好": 1}}},
    }
    release = {"name": "v1", "columns": {"quality": {"human": "reviews.score"}}}
    build(with_reviews(folder, (), mix=mix, release=release), folder / "store")
    copies = {row["doc_id"]: row["copies"] for row in ledger(folder / "store")}
    assert [copies[row["doc_id"]] for row in rows] == [1, 1, 1, 0, 0]
    path = next((folder / "store/releases/v1/data").glob("*/part-00000.parquet"))
    human = {row["doc_id"]: row["quality"]["human"] for row in pq.read_table(path).to_pylist()}
    assert [human[row["doc_id"]] for row in rows] == [0, 0.25, 0.5, None, None]


def test_imported_spans_are_checked_and_applied(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """Spans that people marked are cut from the released text; one outside its document is refused."""
    folder, rows = built
    kind = pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "kind": pa.string()}))
    for end, code in ((99, 1), (3, 0)):
        spans = pa.array([[{"start": 0, "end": end, "kind": "marked"}]], kind)
        pq.write_table(pa.table({"doc_id": [rows[0]["doc_id"]], "spans": spans}), folder / "r.parquet")
        command = ("import", "reviews", folder / "r.parquet", "--on", "doc_id", "--store", folder / "store")
        done = cli(*command, "--workers", 1)
        assert done.code == code and ("expected 0 <= start < end" in done.err) == bool(code)
    build(with_reviews(folder, (), release={"name": "v1", "edits": {"reviews": "all"}}), folder / "store")
    path = next((folder / "store/releases/v1/data").glob("*/part-00000.parquet"))
    texts = {row["doc_id"]: row["text"] for row in pq.read_table(path).to_pylist()}
    assert texts[rows[0]["doc_id"]] == TEXTS[0][3:] and texts[rows[2]["doc_id"]] == TEXTS[2]


def test_a_missing_import_says_what_to_do(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """A run file that names a missing import stops before any work; a rule over an import must define `if_null`."""
    folder, rows = built
    run_path = with_reviews(folder)
    done = cli("run", run_path, "--store", folder / "store", "--engine", "local", "--workers", 1)
    assert done.code == 2
    assert "annotate[1]" in done.err and "`bicorpus import reviews FILES --on doc_id --store" in done.err
    take_in(
        folder, write_csv(folder / "r.csv", [{"doc_id": rows[0]["doc_id"], "verdict": "好", "score": 1.5}])
    )
    unsaid = {key: value for key, value in HUMAN.items() if key != "if_null"}
    page: list[tuple[Page, str]] = [
        ({"rules": (unsaid,)}, "which may be null; add `if_null"),
        ({"annotate": ["stages.tokens", {"import": "reviews", "gate": {}}]}, "unknown key 'gate'"),
        ({"annotate": [{"import": "reviews"}, {"import": "reviews"}]}, "'reviews' is used twice"),
        ({"rules": ({**HUMAN, "reviews.verdict": {"min": 1}},)}, "expected a column of numbers"),
        ({"annotate": [{"import": "review"}]}, "did you mean 'reviews'"),
    ]
    for changes, message in page:
        changed = with_reviews(folder, **copy.deepcopy(changes))
        done = cli("plan", changed, "--store", folder / "store")
        assert done.code == 2 and message in done.err, done.err


def test_a_damaged_or_deleted_table_is_refused(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """A stored table that was edited is not aligned with new documents; a deleted one is an error with advice."""
    folder, _ = built
    take_in(folder, write_csv(folder / "r.csv", [{"url": URLS[0], "verdict": "好", "score": 1}]), "url")
    (path,) = (folder / "store/imports/reviews").iterdir()
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    (folder / "docs2.jsonl").write_text(to_line(ROWS[0] | {"id": "9"}), encoding="utf-8")
    source = {"name": "docs", "reader": "stages.readers.jsonl", "files": ["docs.jsonl", "docs2.jsonl"]}
    run_path = with_reviews(folder, sources=[source])
    done = cli("run", run_path, "--store", folder / "store", "--engine", "local", "--workers", 1)
    assert done.code == 1 and "Import the table again" in done.err
    path.unlink()
    done = cli("plan", run_path, "--store", folder / "store")
    assert done.code == 2 and "`bicorpus import reviews FILES" in done.err


def test_workers_give_the_same_import(tmp_path: Path) -> None:
    """Two processes align the shards of a real build as one does."""
    from tests.helpers.build import reference

    done = reference()
    rows = ledger(done.store)
    table = write_csv(
        tmp_path / "r.csv", [{"doc_id": row["doc_id"], "n": i} for i, row in enumerate(rows[::2])]
    )
    found = []
    for workers in (1, 2):
        store = done.copy(tmp_path / str(workers))
        ended = cli(
            "import", "n", table, "--on", "doc_id", "--store", store, "--workers", workers, "--json"
        ).ok()
        files = sorted((store / "annotations/n").rglob("*.parquet"))
        found.append((ended.json, [(path.name, path.read_bytes()) for path in files]))
    assert found[0] == found[1]
    assert found[0][0]["matched"] == 181 and len(found[0][1]) == found[0][0]["documents"] // 362 * 19
    page = small_page()
    page["annotate"].append({"import": "n"})
    page["keep_one"]["prefer"] = [{"n.n": "high"}]
    record = build(done.variant(page), store)
    assert record["tasks"]["annotate"] == 0 and record["text_tasks"] == 0
