"""The whole recipe with owners and derived documents: the same bytes for any engine, and little text read again."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.build import build, cli, command, digests, ledger, small_page, write_inputs, write_run
from tests.helpers.passage_texts import MEETING, NOTICE, SOLVED, prose


def rows() -> list[dict[str, Any]]:
    """Pages that share passages, contain worked solutions or are copies of others, and menus for the lowest bucket."""
    pages = [
        [prose(20 + i, 260), NOTICE if i % 2 else MEETING, *([SOLVED] if i % 3 == 0 else [])]
        for i in range(12)
    ]
    texts = ["\n\n".join(parts[:: 1 if i % 4 else -1]) for i, parts in enumerate(pages)]
    texts += [texts[3] + "（转载）", f"{NOTICE}\n{MEETING}", SOLVED.replace("水池", "油罐")]
    texts.append("\n".join(f"首页 | 登录 | 注册 | 上一篇：暂无 | 版权所有 | 返回顶部 {i}" for i in range(60)))
    return [{"id": f"p{i}", "text": text} for i, text in enumerate(texts)]


def page() -> dict[str, Any]:  # Any: sections of a run file
    """The small corpus with more pages, and every kind of step that decides about documents."""
    base = small_page()
    sources = [
        *base["sources"],
        {"name": "pages", "reader": "stages.readers.jsonl", "files": "pages/*.jsonl"},
    ]
    return base | {
        "sources": [*sources, {"name": "a_solved", "derive": "stages.cot.documents", "of": ["pages", "zh"]}],
        "annotate": [
            "classifiers.language", "classifiers.quality", "stages.signals", "stages.web.boilerplate", "stages.cot",
            "stages.dedup.exact", "stages.minhash", "stages.passages.anchors", {"use": "stages.tokens",
            "view": "release"},
        ],
        "global": [
            "stages.dedup.repeated_ids", "stages.dedup.candidates", "stages.dedup", "stages.cuts",
            "stages.passages.shared_anchors",
            "stages.passages.substring",
        ],
        "select": [
            {"name": "too_short", "signals.n_chars": {"min": 40}, "base": True},
            {"name": "low", "cuts.bucket": {"min": 1}, "if_null": "keep"},
            {"name": "hollow", "owners.n_chars_left": {"min": 60}, "if_null": "keep"},
        ],
        "keep_one": {"of": "dedup", "passages": "substring", "prefer": [{"rank": "low"}, {"signals.n_chars": "high"}]},
        "release": {"name": "v1", "edits": {"boilerplate": "all", "owners": "all"}, "part_bytes": "100kB"},
    }  # fmt: skip


def write_corpus(folder: Path) -> Path:
    """Write the inputs and the run file; returns its path."""
    inputs = write_inputs(folder)
    (inputs / "pages").mkdir()
    for i in range(3):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows()[i::3]]
        (inputs / "pages" / f"{i}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return write_run(inputs, page())


@functools.cache
def built() -> tuple[Path, Path, dict[str, str]]:
    """Run file, store and digests of a build by one local worker."""
    folder = Path(tempfile.mkdtemp(prefix="bicorpus-whole-"))
    run = write_corpus(folder / "inputs")
    build(run, folder / "store")
    return run, folder / "store", digests(folder / "store")


@pytest.fixture(scope="module", autouse=True)
def tidy() -> Any:  # Any: a generator that pytest runs
    """Remove the build that the tests share."""
    yield
    shutil.rmtree(built()[0].parent.parent, ignore_errors=True)


def test_the_corpus_has_what_is_to_be_tested() -> None:
    """The build has copies, hollow documents, removed passages and solutions, and verify can derive it again."""
    run, store, _ = built()
    found = ledger(store)
    reasons = {row["rule"] for row in found}
    assert {"duplicate", "hollow", "low", None} <= reasons
    solved = [row for row in found if row["source"] == "a_solved"]
    assert any(row["keep"] for row in solved) and not all(row["keep"] for row in solved)
    counts = json.loads((store / "releases/v1/lineage.json").read_text("utf-8"))["counts"]
    assert counts["derived"] == len(solved) and counts["read"] == counts["ingested"] + counts["quarantined"]
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()


@pytest.mark.parametrize(
    "options",
    [
        ("--engine", "local", "--workers", 2, "--partitions", 7, "--batch-rows", 3),
        ("--engine", "ray", "--workers", 2, "--partitions", 4),
    ],
)
def test_engine_partitions_and_batches_change_no_byte(tmp_path: Path, options: tuple[object, ...]) -> None:
    """Another engine, number of workers, partitions, batches and hash seed: the same release."""
    run, _, expected = built()
    command("run", run, "--store", tmp_path / "s", "--quiet", *options, PYTHONHASHSEED="77").ok()
    assert digests(tmp_path / "s") == expected


def test_growing_gives_the_same_bytes(tmp_path: Path) -> None:
    """Later pages get shards and solutions of their own; the release is that of a single build."""
    run, _, expected = built()
    inputs, store = tmp_path / "inputs", tmp_path / "store"
    shutil.copytree(run.parent, inputs)
    (inputs / "pages" / "1.jsonl").rename(tmp_path / "1.jsonl")
    first = build(inputs / "run.yaml", store)
    before = {path.name for path in (store / "shards").glob("*.parquet")}
    (tmp_path / "1.jsonl").rename(inputs / "pages" / "1.jsonl")
    record = build(inputs / "run.yaml", store)
    after = {path.name for path in (store / "shards").glob("*.parquet")}
    assert before <= after and first["tasks"]["derive"] > record["tasks"]["derive"] == 1
    assert digests(store) == expected


def test_a_threshold_reads_no_text_but_of_what_loses_passages(tmp_path: Path) -> None:
    """Other rules move keepers and owners; only token counts of documents whose passages moved are computed."""
    run, store, _ = built()
    copy, other = shutil.copytree(store, tmp_path / "store"), page()
    other["select"][0]["signals.n_chars"]["min"] = 300
    path = write_run(run.parent, other, "stricter.yaml")
    record = build(path, copy)
    assert record["tasks"]["ingest"] == record["tasks"]["derive"] == 0
    assert set(record["cpu_s"]) <= {"read", "write", "tokens_edited"}
    build(path, tmp_path / "fresh")
    assert digests(copy) == digests(tmp_path / "fresh")
