"""The command `review`: hits by benchmark, and passages without what the release replaces."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers.build import build, cli, tiny, write_run

QUESTION = "果园里有苹果树和梨树一共三百六十棵，其中苹果树的棵数是梨树的两倍还多三十棵，请问果园里一共有多少棵苹果树？"

STORY = "老人种了四十年果树，去年秋天把园子交给了孙女，自己搬到镇上去住。"


def test_hits_are_listed_by_benchmark(tmp_path: Path) -> None:
    """A copy and a copy without its end: counts, order by coverage, passage, masked; a wrong benchmark is refused."""
    items = {
        "benchmark": ["orchard"],
        "id": ["7"],
        "question": [QUESTION],
        "answer": ["250"],
        "passage": [STORY],
    }
    pq.write_table(pa.table(items), tmp_path / "q.parquet")
    rows = [
        {"id": "whole", "text": f"练习：{QUESTION}答案：250。"},
        {
            "id": "cut",
            "text": f"来自 zhang.wei@example.com 的题：{QUESTION[:34]}请问一共有多少棵苹果树？写出过程。",
        },
        {"id": "clean", "text": "果园里有很多苹果树和梨树，春天开花的时候很好看。"},
    ]
    page = tiny(
        tmp_path, rows,
        annotate=[{"use": "stages.decontaminate", "config": {"benchmarks": ["q.parquet"]}}, "stages.pii"],
        select=[{"name": "contaminated", "decontaminate.coverage": {"max": 0.95}}],
        release={"edits": {"pii": "all"}, "replace": {"email": "<EMAIL>"}},
    )  # fmt: skip
    run_path, store = write_run(tmp_path, page), tmp_path / "store"
    build(run_path, store)
    found = cli("review", run_path, "--store", store, "--json").ok().json
    (row,) = found["benchmarks"]
    assert (row["benchmark"], row["items"], row["documents"], row["kept"]) == ("orchard", 1, 2, 1)
    first, second = found["hits"]
    assert first["coverage"] < second["coverage"] and first["keep"] and not second["keep"]
    assert second["text"].startswith("果园里") and "example.com" not in first["text"]
    assert (second["role"], second["answer"], second["passage"]) == ("question", True, 0.0)
    assert (first["answer"], first["weighted"]) == (False, first["coverage"])
    shown = cli("review", run_path, "--store", store, "--kept").ok().out
    assert shown.count("orchard 7") == 1 and "coverage" in shown and "question" in shown
    release = store / "releases" / "tiny"
    numbers = json.loads((release / "report.json").read_text(encoding="utf-8"))
    assert numbers["spans"]["decontaminate.hits"] == {"orchard": [2, 1, 2]}
    assert "## Benchmark questions" in (release / "README.md").read_text(encoding="utf-8")
    refused = cli("review", run_path, "--store", store, "--benchmark", "orchad")
    assert refused.code == 2 and "did you mean 'orchard'" in refused.err
