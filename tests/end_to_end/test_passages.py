"""Repeated passages and derived documents through the engine: who keeps which passage, and why others lose it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from pipeline.config.load import load_run
from pipeline.errors import ConfigError
from stages import tokens
from tests.helpers.build import build, cli, digests, ledger, texts, tiny, write_run
from tests.helpers.passage_texts import MEETING, NOTICE, SOLVED, prose

OWN = {name: prose(i, 160) for i, name in enumerate("abcd")}


def page_of(rows: list[dict[str, Any]], folder: Path, **changes: Any) -> dict[str, Any]:
    """A run file with passages over rows of id and text; sections can be replaced. Any: sections and values."""
    page = tiny(
        folder,
        rows,
        annotate=["stages.signals", "stages.dedup.exact", "stages.minhash", "stages.passages.anchors",
        "classifiers.language",
                  {"use": "stages.tokens", "view": "release"}],
        select=[{"name": "unwanted", "source_id": {"not_in": ["gone"]}, "if_null": "keep"},
                {"name": "hollow", "owners.n_chars_left": {"min": 150}, "if_null": "keep"}],
        keep_one={"of": "dedup", "passages": "substring", "prefer": [{"signals.n_chars": "high"}]},
        release={"name": "v1", "edits": {"owners": "all"}},
    )  # fmt: skip
    page["global"] = [
        "stages.dedup.candidates",
        "stages.dedup",
        "stages.passages.shared_anchors",
        "stages.passages.substring",
    ]
    return page | changes


def by_id(store: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Ledger rows by the source id of their records, with the released text as `text`."""
    found, released = {}, texts(store)
    for row in ledger(store):
        shard = pq.read_table(store / "shards" / f"{row['shard']}.parquet", columns=["doc_id", "source_id"])
        names = dict(zip(shard["doc_id"].to_pylist(), shard["source_id"].to_pylist(), strict=True))
        found[names[row["doc_id"]]] = row | {"text": released.get(row["doc_id"])}
    assert len(found) == len(rows)
    return found


def test_a_passage_stays_in_the_preferred_document_that_stays(tmp_path: Path) -> None:
    """Only a kept document owns a passage; the release contains it once, with exact counts."""
    rows = [
        {"id": "gone", "text": f"{prose(10, 900)}\n{NOTICE}"},  # the longest, dropped by a rule
        {"id": "long", "text": f"{prose(11, 600)}\n{NOTICE}"},
        {"id": "short", "text": f"{NOTICE}\n{prose(12, 300)}"},
        {"id": "copy", "text": f"{NOTICE}\n{prose(12, 300)}！"},
    ]
    run, store = write_run(tmp_path, page_of(rows, tmp_path)), tmp_path / "store"
    build(run, store)
    found = by_id(store, rows)
    assert found["gone"]["rule"] == "unwanted"
    assert found["long"]["text"] == rows[1]["text"]
    copies = sorted((found["short"], found["copy"]), key=lambda row: row["keep"])
    assert [row["rule"] for row in copies] == ["duplicate", None]
    assert copies[1]["text"].rstrip("！") == prose(12, 300)
    tokenizer = Tokenizer.from_file(tokens.Config().tokenizer)
    data = [pq.read_table(path) for path in (store / "releases/v1/data").glob("*/*.parquet")]
    for row in (row for table in data for row in table.to_pylist()):
        assert row["n_tokens"] == len(tokenizer.encode(row["text"]).ids)
    explained = cli("explain", run, copies[1]["doc_id"], "--store", store, "--json").ok().json
    assert explained["annotations"]["owners.n_removed"] == len(NOTICE)
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()


def test_an_owner_that_late_rules_drop_hands_its_passages_on(tmp_path: Path) -> None:
    """A hollow document is dropped with value and margin; its passages go back to the next document with them."""
    rows = [
        {"id": "best", "text": f"{prose(13, 500)}\n{MEETING}\n{prose(17, 200)}"},
        {"id": "hollow", "text": f"{MEETING}\n{prose(17, 200)}\n{NOTICE}"},  # owns NOTICE alone
        {"id": "next", "text": f"{prose(14, 200)}\n{NOTICE}"},
    ]
    run, store = write_run(tmp_path, page_of(rows, tmp_path)), tmp_path / "store"
    build(run, store)
    found = by_id(store, rows)
    assert {name: row["rule"] for name, row in found.items()} == {
        "best": None,
        "hollow": "hollow",
        "next": None,
    }
    assert found["next"]["text"] == rows[2]["text"]
    assert found["best"]["text"] == rows[0]["text"]
    explained = cli("explain", run, found["hollow"]["doc_id"], "--store", store, "--json").ok().json
    (rule,) = [rule for rule in explained["rules"] if rule["name"] == "hollow"]
    assert rule["fails"] and rule["conditions"][0]["value"] == len(NOTICE) + 1
    assert rule["conditions"][0]["margin"] == len(NOTICE) - 149
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()


def test_another_order_measures_only_what_loses_passages(tmp_path: Path) -> None:
    """Owners follow the order without reading most texts again; the bytes are those of a build from scratch."""
    rows = [
        {"id": "x", "text": f"{prose(15, 600)}\n{NOTICE}"},
        {"id": "y", "text": f"{NOTICE}\n{prose(16, 300)}"},
    ]
    page, store = page_of(rows, tmp_path), tmp_path / "store"
    build(write_run(tmp_path, page), store)
    assert build(write_run(tmp_path, page), store)["tasks"]["release"] == 0
    page["keep_one"]["prefer"] = [{"signals.n_chars": "low"}]
    run = write_run(tmp_path, page)
    plan = cli("plan", run, "--store", store, "--json").ok().json
    assert [phase["label"] for phase in plan["phases"] if phase["n_tasks"]] == ["keepers", "owners"]
    record = build(run, store)
    assert (
        record["tasks"]["annotate"] == record["text_tasks"] == 1
    )  # tokens of the document that loses the notice
    assert by_id(store, rows)["x"]["text"] == prose(15, 600)
    build(run, tmp_path / "fresh")
    assert digests(store) == digests(tmp_path / "fresh")


def with_paragraphs(rows: list[dict[str, Any]], folder: Path, **changes: Any) -> dict[str, Any]:
    """A run file with passages and repeated lines over rows of id and text. Any: sections and values of a run file."""
    page = page_of(rows, folder)
    page["annotate"].append({"use": "stages.passages.paragraphs", "config": {"unit": "line"}})
    page["global"].append("stages.passages.repeated_paragraphs")
    page["keep_one"]["passages"] = ["substring", "repeated_paragraphs"]
    return page | changes


def test_paragraphs_and_passages_go_together_and_what_is_left_is_judged(tmp_path: Path) -> None:
    """Lines that differ in marks go beside passages, each stands once, and a page left hollow says why it went."""
    hours, path = (
        "本馆开放时间为每天上午九点至晚上八点，节假日照常开放",
        "地铁二号线人民广场站一号口出来步行五分钟即可到达本馆",
    )
    rows = [
        {"id": "first", "text": f"{prose(20, 500)}\n{hours}。\n{NOTICE}\n{path}。\n"},
        {"id": "second", "text": f"{prose(21, 300)}\n{hours}！\n{prose(22, 60)}。{NOTICE}{prose(23, 60)}\n"},
        {"id": "hollow", "text": f"{prose(24, 120)}\n{hours}……\n{path}！！\n{hours}\n{prose(25, 20)}\n"},
        {"id": "code", "text": f"{prose(26, 300)}\n}}\n第一章\n" + "}\n第一章\n" * 10},
    ]
    run, store = write_run(tmp_path, with_paragraphs(rows, tmp_path)), tmp_path / "store"
    build(run, store)
    found = by_id(store, rows)
    assert {name: row["rule"] for name, row in found.items()} == {
        "first": None, "second": None, "hollow": "hollow", "code": None,
    }  # fmt: skip
    assert found["first"]["text"] == rows[0]["text"] and found["code"]["text"] == rows[3]["text"]
    assert found["second"]["text"] == f"{prose(21, 300)}\n{prose(22, 60)}。{prose(23, 60)}\n"
    explained = cli("explain", run, found["second"]["doc_id"], "--store", store, "--json").ok().json
    kinds = [span["kind"] for span in explained["annotations"]["owners.spans"]]
    assert kinds == ["line", "passage"]
    explained = cli("explain", run, found["hollow"]["doc_id"], "--store", store, "--json").ok().json
    (rule,) = [rule for rule in explained["rules"] if rule["name"] == "hollow"]
    assert rule["fails"] and rule["conditions"][0]["value"] == 142 and rule["conditions"][0]["margin"] == -8
    assert "hollow" in cli("explain", run, found["hollow"]["doc_id"], "--store", store).ok().out
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()


def test_a_release_asks_for_the_kinds_that_it_removes(tmp_path: Path) -> None:
    """With `owners: [passage]` repeated lines are kept; the bytes do not depend on the order of the steps."""
    hours = "本馆开放时间为每天上午九点至晚上八点，节假日照常开放"
    rows = [
        {"id": "first", "text": f"{prose(20, 500)}\n{hours}。\n{NOTICE}\n"},
        {"id": "second", "text": f"{prose(21, 300)}\n{hours}！\n甲。{NOTICE}{prose(23, 60)}\n"},
    ]
    page = with_paragraphs(rows, tmp_path, release={"name": "v1", "edits": {"owners": ["passage"]}})
    build(write_run(tmp_path, page), tmp_path / "store")
    assert (
        by_id(tmp_path / "store", rows)["second"]["text"]
        == f"{prose(21, 300)}\n{hours}！\n甲。{prose(23, 60)}\n"
    )
    page["release"]["edits"] = {"owners": ["line"]}
    run = write_run(tmp_path, page)
    build(run, tmp_path / "store")
    assert (
        by_id(tmp_path / "store", rows)["second"]["text"]
        == f"{prose(21, 300)}\n甲。{NOTICE}{prose(23, 60)}\n"
    )
    page["keep_one"]["passages"].reverse()
    build(write_run(tmp_path, page), tmp_path / "other")
    ours, theirs = digests(tmp_path / "store"), digests(tmp_path / "other")
    data = [name for name in ours if name.startswith(("data/", "ledger/"))]
    assert data and all(ours[name] == theirs[name] for name in data)


def test_sentences_like_an_earlier_one_go_with_the_rest(tmp_path: Path) -> None:
    """A stage may be named for its passages like a global step; documents outside its gate take no part."""
    hours = "本馆开放时间为每天上午九点至晚上八点，节假日照常开放"
    alike = hours.replace("开放时间为", "的开放时间是")
    rows = [
        {"id": "page", "text": f"{prose(20, 300)}。{hours}。{prose(21, 90)}。{alike}！{prose(22, 90)}。\n"},
        {"id": "next", "text": f"{prose(23, 500)}\n{hours}。\n"},
        {"id": "last", "text": f"{prose(24, 200)}\n{hours}。\n"},
        {"id": "left", "text": f"{prose(25, 900)}\n{hours}。\n{alike}！\n"},
    ]
    page = with_paragraphs(rows, tmp_path)
    gate = {"signals.n_chars": {"max": 900}}
    page["annotate"][-1] |= {"gate": gate}
    page["annotate"].append({"use": "stages.passages.similar_lines", "gate": gate})
    page["keep_one"]["passages"] = ["similar_lines", "repeated_paragraphs"]
    run, store = write_run(tmp_path, page), tmp_path / "store"
    build(run, store)
    found = by_id(store, rows)
    assert {name: row["text"] for name, row in found.items()} == {
        "page": f"{prose(20, 300)}。{hours}。{prose(21, 90)}。{prose(22, 90)}。\n",
        "next": rows[1]["text"],
        "last": f"{prose(24, 200)}\n",
        "left": rows[3]["text"],
    }
    explained = cli("explain", run, found["page"]["doc_id"], "--store", store, "--json").ok().json
    assert [span["kind"] for span in explained["annotations"]["owners.spans"]] == ["similar_line"]
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()


def solved_page(rows: list[dict[str, Any]], folder: Path, **changes: Any) -> dict[str, Any]:
    """A run file that makes documents of worked solutions. Any: sections and values of a run file."""
    page = tiny(
        folder,
        rows,
        annotate=["classifiers.language", "stages.signals", "stages.dedup.exact", "stages.minhash", "stages.cot",
                  "stages.pii"],
        select=[{"name": "unwanted", "source_id": {"not_in": ["gone"]}, "if_null": "keep"}],
        keep_one={"of": "dedup", "prefer": [{"signals.n_chars": "high"}]},
        release={"name": "v1", "edits": {"pii": ["email"]}, "replace": {"email": "<EMAIL>"}},
    )  # fmt: skip
    page["global"] = ["stages.dedup.candidates", "stages.dedup"]
    page["sources"].append({"name": "solved", "derive": "stages.cot.documents"})
    return page | changes


def test_worked_solutions_become_documents_of_their_own(tmp_path: Path) -> None:
    """A solution stands in data/ and cot/ with its parent, edited as it; it meets other solutions, never its page."""
    mail = SOLVED.replace("答：2小时。", "答：2小时，来信请寄wang@example.com。")
    rows = [
        {"id": "gone", "text": f"{OWN['a']}{OWN['b']}\n\n{SOLVED}\n\n{OWN['c']}", "license": "CC0-1.0"},
        {"id": "page", "text": f"{OWN['d']}\n\n{SOLVED}", "license": "CC-BY-4.0"},
        {"id": "mail", "text": f"{OWN['c']}\n\n{mail.replace('水池', '油罐').replace('注', '灌')}"},
        {"id": "plain", "text": OWN["b"]},
    ]
    mix = {"mixes": {"sums": {"by": "shape.task", "share": {"none": 0.7, "compute": 0.3}}}}
    page = solved_page(rows, tmp_path, mix=mix)
    page["annotate"] += ["stages.cot.shape", {"use": "stages.tokens", "view": "release"}]
    run, store = write_run(tmp_path, page), tmp_path / "store"
    record = build(run, store)
    assert record["tasks"]["derive"] == 1
    found = {row["doc_id"]: row for row in ledger(store)}
    derived = [row for row in found.values() if row["source"] == "solved"]
    assert sorted(row["rule"] or "kept" for row in derived) == ["kept", "kept", "parent_dropped"]
    (path,) = (store / "releases/v1/cot").glob("part-*.parquet")
    released = texts(store)
    for row in pq.read_table(path).to_pylist():
        assert found[row["doc_id"]]["keep"] and found[row["parent_id"]]["keep"]
        assert row["language"] == "zho_Hans" and len(row["steps"]) >= 3 and row["support"] > 0.4
        assert released[row["doc_id"]].startswith(row["question"])
        assert "wang@" not in row["answer"] + released[row["doc_id"]]
        assert row["template"].startswith(row["step_kinds"][0]) and row["task"] == "compute"
    mixed = [
        pq.read_table(part, partitioning=None)
        for part in sorted((store / "releases/v1/mixes/sums").rglob("*.parquet"))
    ]
    assert pa.concat_tables(mixed)["source"].to_pylist().count("solved") == 2
    assert any("<EMAIL>" in text for text in released.values())
    (part,) = json.loads((store / "releases/v1/report.json").read_text("utf-8"))["parts"]
    assert part["part"] == "cot" and part["column"] == "template"
    assert {row["by"]: row["documents"] for row in part["groups"]} == dict.fromkeys(
        ("all", "language", "domain", "task"), 2
    )
    counts = cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()
    assert "derived documents with their parents" in counts.out
    assert build(run, store)["tasks"] == dict.fromkeys(record["tasks"], 0)
    (orphan,) = [row for row in derived if row["rule"] == "parent_dropped"]
    assert "parent_dropped" in cli("explain", run, orphan["doc_id"], "--store", store).ok().out


@pytest.mark.parametrize("name", ["a_solved", "solved"])
def test_duplicates_go_wherever_derived_shards_stand(tmp_path: Path, name: str) -> None:
    """Copies among pages and among solutions are found whether derived shards come before or after the others."""
    rows = [{"id": f"{i}", "text": f"{prose(i // 2, 300)}\n\n{SOLVED}"} for i in range(4)]
    page = solved_page(rows, tmp_path)
    page["sources"][1]["name"] = name
    page["global"] += ["stages.passages.shared_anchors", "stages.passages.substring"]
    page["annotate"].append("stages.passages.anchors")
    page["keep_one"]["passages"] = "substring"
    run, store = write_run(tmp_path, page), tmp_path / "store"
    build(run, store)
    kept = [row["source"] for row in ledger(store) if row["keep"]]
    assert sorted(kept) == sorted(["docs", "docs", name])
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()


def test_new_pages_leave_old_solutions_alone(tmp_path: Path) -> None:
    """Another file gives one more derived shard; what was derived keeps its ids, whatever the shards are."""
    rows = [{"id": "page", "text": f"{OWN['d']}\n\n{SOLVED}"}]
    page = solved_page(rows, tmp_path)
    page["sources"][0]["files"] = "*.jsonl"
    run, store = write_run(tmp_path, page), tmp_path / "store"
    build(run, store)
    before = {row["doc_id"] for row in ledger(store) if row["source"] == "solved"}
    (tmp_path / "more.jsonl").write_text((tmp_path / "docs.jsonl").read_text().replace("六", "九"), "utf-8")
    page["ingest"] = {"pack_bytes": 0}
    record = build(write_run(tmp_path, page), store)
    assert record["tasks"]["derive"] == 2  # the first file is ingested anew without packing
    assert before < {row["doc_id"] for row in ledger(store) if row["source"] == "solved"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_one": {"of": "dedup", "passages": "substrings"}}, "did you mean 'substring'"),
        ({"keep_one": {"of": "dedups", "passages": "substring"}}, "no global step 'dedups'; did you mean 'dedup'"),
        ({"keep_one": {"of": "dedup", "passages": ["substring", "repeated"]}}, "keep_one.passages: no step 'repeated'"),
        ({"keep_one": {"of": "dedup", "passages": ["substring", "substring"]}}, "'substring' is named twice"),
        ({"keep_one": {"of": "dedup", "passages": {"substring": "all"}}}, "expected a step or a list of steps"),
        ({"keep_one": {"of": "dedup", "passages": ["substring", "signals"]}}, "no column 'signals.passages'"),
        ({"release": {"edits": {"substring": "all"}}}, "owners: all"),
        ({"select": [{"name": "x", "owners.n_removed": {"min": 1}, "if_null": "keep", "base": True}]}, "neither"),
        ({"select": [{"name": "x", "signals.n_chars": {"quantile": {"max": 0.9}}, "base": True}]}, "leave `base` out"),
        ({"keep_one": {"of": "dedup", "passages": "substring", "prefer": [{"owners.n_removed": "low"}]}}, "no column"),
        ({"keep_one": {"of": "dedup", "passages": "dedup"}}, "no column 'dedup.n_chars'"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_in_order_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """A rule, edit or order that depends on a later phase stops the run before any work, with advice."""
    run = write_run(tmp_path, page_of([{"id": "a", "text": OWN["a"]}], tmp_path, **changes))
    with pytest.raises(ConfigError, match=message):
        load_run(run)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"name": "solved", "derive": "stages.cot.documents", "of": ["doks"]}, "did you mean 'docs'"),
        ({"name": "solved", "derive": "stages.cot"}, "no DERIVE"),
        ({"name": "docs", "derive": "stages.cot.documents"}, "two entries named 'docs'"),
        ({"name": "solved", "derive": "stages.cot.documents", "files": "x"}, "unknown key 'files'|'files'"),
        (
            {"name": "solved", "derive": "stages.cot.documents", "config": {"min_support": 3}},
            "min_support is 3",
        ),
    ],
)
def test_a_bad_derived_source_says_what_is_wrong(
    tmp_path: Path, source: dict[str, Any], message: str
) -> None:
    """Every mistake in a derived source is refused with its place and the expected value."""
    page = solved_page([{"id": "a", "text": SOLVED}], tmp_path)
    page["sources"][1] = source
    with pytest.raises(ConfigError, match=message):
        load_run(write_run(tmp_path, page))
