"""Modes of a growing corpus: new loses to old, old loses to new, and one corpus without another."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.build import build, cli, digests, ledger, reference, small_page, texts, to_line, write_run

Page = dict[str, Any]


def newer(page: Page, mode: str) -> Page:
    """A second release over the same files, in whose own order the copies would win."""
    page = copy.deepcopy(page)
    page["release"]["name"] = "v2"
    page["keep_one"]["prefer"] = [{"rank": "high"}, {"tokens.n_tokens": "high"}]
    page["keep_one"]["against"] = {"release": "v1", "mode": mode}
    page["mix"] = {}
    return page


def by_id(store: Path, release: str) -> dict[str, dict[str, Any]]:
    """Rows of a ledger by document."""
    return {row["doc_id"]: row for row in ledger(store, release)}


def test_new_loses_to_old(tmp_path: Path) -> None:
    """Documents kept by the earlier release are kept, regardless of the present order of preference."""
    done = reference()
    store = done.copy(tmp_path)
    build(done.variant(newer(small_page(), "new_loses")), store)
    before, after = by_id(store, "v1"), by_id(store, "v2")
    assert {d for d, row in before.items() if row["keep"]} == {d for d, row in after.items() if row["keep"]}
    free = copy.deepcopy(newer(small_page(), "new_loses"))
    del free["keep_one"]["against"]
    build(done.variant(free), store)
    assert {d for d, row in by_id(store, "v2").items() if row["keep"]} != {
        d for d, row in after.items() if row["keep"]
    }


def test_old_loses_to_new(tmp_path: Path) -> None:
    """A copy that was removed before is kept now, and its former keeper is removed."""
    done = reference()
    store = done.copy(tmp_path)
    page = newer(small_page(), "old_loses")
    page["keep_one"]["prefer"] = small_page()["keep_one"]["prefer"]
    build(done.variant(page), store)
    before, after = by_id(store, "v1"), by_id(store, "v2")
    copies = [row for row in before.values() if row["rule"] == "duplicate"]
    turned = [row for row in copies if after[row["doc_id"]]["keep"]]
    assert len(turned) > 30
    assert all(after[row["keeper_id"]]["rule"] == "duplicate" for row in turned)
    cli("verify", store / "releases" / "v2").ok()


def test_one_corpus_without_another(tmp_path: Path) -> None:
    """A minus B: no document that B kept or that is similar to one is released; the ledger names each keeper."""
    done = reference()
    store = done.copy(tmp_path)
    run_path = done.variant(newer(small_page(), "exclude"))
    build(run_path, store)
    before, after = by_id(store, "v1"), by_id(store, "v2")
    kept_before = {d for d, row in before.items() if row["keep"]}
    assert {d for d, row in after.items() if row["rule"] == "reference"} == kept_before
    gone = [row for row in before.values() if row["rule"] == "duplicate"]
    assert len(gone) > 50
    for row in gone:
        now = after[row["doc_id"]]
        assert now["rule"] == "duplicate" and now["keeper_id"] in kept_before
    assert not any(row["keep"] for row in after.values())  # all else failed a rule
    cli("verify", store / "releases" / "v2", "--store", store, "--run", run_path, "--sample", 362).ok()


def test_a_reference_source_takes_out_and_is_not_released(tmp_path: Path) -> None:
    """Documents similar to a reference are removed, even if a rule drops it; references never remove each other."""
    page: Page = {
        "corpus": "minus",
        "sources": [
            {"name": "mine", "reader": "stages.readers.jsonl", "files": "mine.jsonl"},
            {"name": "stage1", "reader": "stages.readers.jsonl", "files": "stage1.jsonl", "reference": True},
        ],
        "annotate": [
            "stages.dedup.exact",
            "stages.minhash",
            "stages.passages.anchors",
            {"use": "stages.signals"},
            "classifiers.language",
        ],
        "global": ["stages.dedup.candidates", "stages.dedup"],
        "select": [{"name": "few", "signals.n_chars": {"min": 60}}],
        "keep_one": {"of": "dedup", "prefer": [{"signals.n_chars": "high"}]},
    }
    story = "从前有座山，山里有座庙，庙里有个老和尚和小和尚。老和尚每天清晨敲钟，小和尚扫地、挑水、做饭。"
    other = "The library will close earlier on Friday because the heating has to be repaired before winter comes. "
    mine = [
        {"text": story * 2 + "甲乙丙丁"},
        {"text": other * 2},
        {
            "text": "这一篇谁也不像，讲的是海边的渔船怎样在大风来临之前回港，"
            "以及船上的人怎样修补渔网，等到天晴再出海捕鱼，把鱼运到镇上去卖，换回盐和布。"
        },
    ]
    stage1 = [{"text": story * 2}, {"text": story * 2 + "。"}, {"text": other}]
    for name, rows in (("mine", mine), ("stage1", stage1)):
        (tmp_path / f"{name}.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")
    run_path, store = write_run(tmp_path, page), tmp_path / "store"
    build(run_path, store)
    released = ledger(store, "minus")
    mine_rows = {row["row"]: row for row in released if row["source"] == "mine"}
    references = [row for row in released if row["source"] == "stage1"]
    assert [row["rule"] for row in references] == ["reference"] * 3
    assert mine_rows[0]["rule"] == "duplicate"
    assert mine_rows[0]["keeper_id"] in {row["doc_id"] for row in references}
    assert mine_rows[2]["keep"]
    assert len(texts(store, "minus")) == 1 + mine_rows[1]["keep"]
    cli("verify", store / "releases" / "minus", "--store", store, "--run", run_path, "--sample", 6).ok()
    shown = cli("explain", run_path, mine_rows[0]["doc_id"], "--store", store).ok().out
    assert mine_rows[0]["keeper_id"] in shown


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ({"release": "v0", "mode": "exclude"}, "no finished release 'v0'"),
        ({"release": "v2", "mode": "exclude"}, "expected an earlier release"),
        ({"release": "v1", "mode": "newest"}, "expected one of new_loses, old_loses, exclude"),
        ("v1", "expected {release: NAME, mode:"),
    ],
)
def test_a_wrong_against_is_refused(against: object, said: str, tmp_path: Path) -> None:
    """A message in one line, before any work."""
    done = reference()
    page = newer(small_page(), "exclude")
    page["keep_one"]["against"] = against
    refused = cli("run", done.variant(page), "--store", done.copy(tmp_path), "--engine", "local")
    assert refused.code == 2 and said in refused.err


def test_a_release_of_other_files_is_refused(tmp_path: Path) -> None:
    """Documents of the earlier release that this run does not read could take nothing out."""
    done = reference()
    page = newer(small_page(), "exclude")
    page["sources"] = page["sources"][:3]
    refused = cli("run", done.variant(page), "--store", done.copy(tmp_path), "--engine", "local")
    assert refused.code == 2 and "list source" in refused.err


def test_decisions_alone_change(tmp_path: Path) -> None:
    """Another mode chooses keepers again without reading text; the first release is unchanged."""
    done = reference()
    store = done.copy(tmp_path)
    record = build(done.variant(newer(small_page(), "exclude")), store)
    assert record["tasks"]["annotate"] == 0 and record["text_tasks"] == 0 and record["tasks"]["global"] == 1
    assert digests(store) == done.digests
    lineage = json.loads((store / "releases" / "v2" / "lineage.json").read_text())
    assert lineage["counts"]["kept"] == 0
