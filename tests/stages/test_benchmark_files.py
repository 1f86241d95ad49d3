"""Benchmark files with choices, answers and passages, and registries: what is read, refused and found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.errors import ConfigError
from stages.benchmark_evidence import covered, split_units, unit_information
from stages.benchmark_files import (
    SCHEMA,
    Text,
    answer_text,
    list_texts,
    read_items,
    registry_files,
    registry_text,
    sha256,
)
from stages.decontaminate import STAGE, Config

STEM = "采伐许可证的持有人在有效期届满之前申请延期的，发证机关应当在多长时间内予以答复？"
CHOICES = ["五日之内", "十日之内", "十五日之内", "三十日之内"]
PASSAGE = (
    "湖边的采石场在一九三六年由两兄弟开办，最初只有十一名工人，石料经水路运往下游的三个城镇。"
    "一九五二年采石场关闭，旧址后来成为候鸟的栖息地，每年秋天有数千只大雁在这里停留。"
)
ASKED = "采石场关闭之后，旧址后来成为哪一种动物的栖息地？"


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """A benchmark file. Any: values of SCHEMA."""
    names = [name for name in SCHEMA.names if any(name in row for row in rows)]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([SCHEMA.field(name) for name in names])), path)
    return str(path)


def hits(config: Config, *texts: str) -> list[list[dict[str, Any]]]:
    """Hits of texts. Any: values of a struct."""
    return STAGE.load(config)(pa.table({"text": pa.array(texts, pa.large_string())}))["hits"].to_pylist()


def test_choices_of_a_column_are_those_of_the_text(tmp_path: Path) -> None:
    """An item with choices in a column is found like one that contains them; choices alone are no hit."""
    row: dict[str, Any] = {"benchmark": "b", "id": "1", "question": STEM, "choices": CHOICES, "answer": "C"}
    inside = {"benchmark": "b", "id": "1", "question": "\n".join([STEM, *(f"({c}) {t}" for c, t in zip("ABCD", CHOICES,
              strict=True))])}  # fmt: skip
    texts = [
        inside["question"],
        STEM,
        " ".join(f"{CHOICES[i]}。" for i in (2, 0, 1)),
        inside["question"].lower(),
    ]
    found = []
    for i, item in enumerate((row, inside)):
        config = Config(benchmarks=(write(tmp_path / f"{i}.parquet", [item]),))
        found.append(
            [[(h["role"], h["start"], h["end"]) for h in of_text] for of_text in hits(config, *texts)]
        )
    assert found[0] == found[1]
    assert [[role for role, _, _ in of_text] for of_text in found[0]] == [
        ["item"],
        ["question"],
        [],
        ["item"],
    ]


def test_an_answer_is_looked_for_behind_its_question(tmp_path: Path) -> None:
    """The letter of an answer is its choice; of an item without choices it is the text; elsewhere it is none."""
    rows: list[dict[str, Any]] = [
        {"benchmark": "b", "id": "1", "question": STEM, "choices": CHOICES, "answer": "C"},
        {
            "benchmark": "b",
            "id": "2",
            "question": PASSAGE[:60] + "请问一共有多少名工人？",
            "answer": "十一名",
        },
    ]
    config = Config(benchmarks=(write(tmp_path / "a.parquet", rows),))
    texts = [STEM + "答：十五日之内。", STEM + "答：十日之内。", "十五日之内。" + STEM]
    assert [[h["answer"] for h in of_text] for of_text in hits(config, *texts)] == [[True], [False], [False]]
    question = str(rows[1]["question"])
    assert [[h["answer"] for h in of_text] for of_text in hits(config, question + "十一名", question)] == [
        [True],
        [False],
    ]
    items = read_items((config.benchmarks[0],))
    whole = list_texts(items)
    assert answer_text(whole[0], "(b)") == CHOICES[1] and answer_text(whole[0], "J") is None
    assert answer_text(whole[0], "2") is None and answer_text(whole[0], "十日之内") == CHOICES[1]
    assert answer_text(Text(0, "x", None, False), " B ") == "B" and answer_text(whole[0], None) is None


def test_a_passage_alone_is_the_source_of_its_question(tmp_path: Path) -> None:
    """A passage contains most of a question on it, and does not ask it; the question is found with it and alone."""
    row = {"benchmark": "read", "id": "1", "question": ASKED, "answer": "候鸟", "passage": PASSAGE}
    path = write(tmp_path / "a.parquet", [row])
    bare = write(tmp_path / "b.parquet", [{k: row[k] for k in ("benchmark", "id", "question")}])
    alone, (both,), (question,) = hits(Config(benchmarks=(path,)), PASSAGE, PASSAGE + ASKED + "候鸟", ASKED)
    assert alone == [] and both["passage"] == 1.0 and both["answer"] and both["coverage"] == 1.0
    assert question["passage"] < 0.5 and not question["answer"]
    assert hits(Config(benchmarks=(bare,)), PASSAGE + ASKED)[0][0]["passage"] is None


def test_short_questions_need_their_answer_or_passage(tmp_path: Path) -> None:
    """A question of fewer than ten units counts if its answer follows or its passage is near."""
    row = {"benchmark": "b", "id": "1", "question": "Who founded the old stone quarry?", "answer": "two brothers",
           "passage": "The quarry was opened by two brothers in 1936 and closed in 1952."}  # fmt: skip
    config = Config(benchmarks=(write(tmp_path / "a.parquet", [row]),))
    texts = [
        f"{row['question']} Two brothers.",
        f"{row['passage']} {row['question']}",
        row["question"],
        "Who founded it?",
    ]
    assert [len(of_text) for of_text in hits(config, *texts)] == [1, 1, 0, 0]
    choices = {**row, "choices": ["two brothers", "three sisters"], "answer": "A", "passage": None}
    config = Config(benchmarks=(write(tmp_path / "c.parquet", [choices]),))
    assert [len(of_text) for of_text in hits(config, texts[0], texts[2])] == [1, 0]


def test_a_formulaic_question_needs_its_answer(tmp_path: Path) -> None:
    """Among many items of one form, what all of them share and one common topic say nothing; a rare topic does."""
    topics = ["cells", "plants", "rivers", "rocks", "winds"]
    rows = [
        {
            "benchmark": "b", "id": str(i),
            "question": f"Which of the following statements about {topics[i % 5]} of region {i // 5} is correct?",
            "choices": [f"They were first described near lake {i}, once", f"They have number {i + 7} in lists"],
            "answer": "A",
        }
        for i in range(600)
    ]  # fmt: skip
    rare = (
        "Which of the following statements about the Ordovician brachiopods of Anticosti Island, which Twenhofel "
        "catalogued before the Great War, is correct?"
    )
    rows.append(
        {"benchmark": "b", "id": "rare", "question": rare, "choices": ["All of them", "None"], "answer": "A"}
    )
    config = Config(benchmarks=(write(tmp_path / "a.parquet", rows),), max_shared=1000)
    form = str(rows[7]["question"])
    texts = [form, f"{form} {rows[7]['choices'][0]}", rare]
    assert [[h["item"] for h in of_text] for of_text in hits(config, *texts)] == [[], ["7"], ["rare"]]
    assert [[h["item"] for h in of] for of in hits(Config(benchmarks=config.benchmarks, max_shared=1000,
            min_information=0.0), form)] == [["7"]]  # fmt: skip


def test_information_is_by_script() -> None:
    """A unit of all texts of a script has none, a rare one much; of a script with few texts nothing is known."""
    texts = ["同样的题目"] * 499 + ["同样的稀有题目"] + ["a b"] * 3
    units = split_units(texts)
    starts = pc.cumulative_sum(pa.array([0, *map(len, units)])).to_numpy()
    is_han = [
        unit in {u for part in units[:500] for u in part.tolist()} for part in units for unit in part.tolist()
    ]
    found = unit_information(np.concatenate(units), starts, np.array(is_han))
    assert found[0] == 0.0 and found[starts[499] + 3] == pytest.approx(np.log(501 / 2))
    assert np.isnan(found[starts[500] :]).all()
    assert covered(units[499], units[0], 2).tolist() == [True, True, True, False, False, True, True]


def test_a_registry_pins_its_files(tmp_path: Path) -> None:
    """A registry that the stage wrote is read by it; a changed file, a missing key and a missing file are refused."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    path = write(folder / "forest.parquet", [{"benchmark": "forest", "id": "1", "question": STEM}])
    registry = folder / "registry.yaml"
    registry.write_text(registry_text([path], "2026-11"), encoding="utf-8")
    (entry,) = yaml.safe_load(registry.read_text())["benchmarks"]
    assert entry == {
        "name": "forest",
        "version": "2026-11",
        "file": "forest.parquet",
        "sha256": sha256(path),
        "items": 1,
    }
    assert registry_files(str(registry)) == [path]
    config = Config(registry=(str(registry),))
    assert [h["benchmark"] for h in hits(config, STEM)[0]] == ["forest"]
    for page, said in (
        ({"benchmarks": [{**entry, "sha256": "0" * 64}]}, "the file changed|The file changed"),
        ({"benchmarks": [{k: entry[k] for k in ("name", "file", "sha256")}]}, "version"),
        ({"benchmarks": [{**entry, "file": "none.parquet"}]}, "name an existing benchmark file"),
        ({"sets": []}, "no list `benchmarks`"),
        ([1], "no list `benchmarks`"),
    ):
        registry.write_text(yaml.safe_dump(page), encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            STAGE.load(config)
    with pytest.raises(ConfigError, match="expected a registry"):
        registry_files(str(tmp_path / "none.yaml"))
