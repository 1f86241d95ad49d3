"""The sample's benchmark questions: a small file of them to look for, and pages that hold some to be found.

Questions of two open test sets, one Chinese and one English; the pages are quizzes made of them, as people publish.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from scripts.sample.sample_pages import Raw

CHOSEN = {"cmath": "zh", "gsm8k-test": "en"}
"""Test set -> its language and the folder of its pages."""

N_QUESTIONS = 30
N_PAGES, N_ON_A_PAGE = 2, 6
MIN_CHARS = {"zh": 24, "en": 120}
WORDS = {"zh": ("每周一练（第{}期）", "答案：{}"), "en": ("Weekly quiz, no. {}", "Answer: {}")}
NAME = "benchmarks.parquet"

Question = dict[str, Any]
"""A row of the table of questions: benchmark, id, question, answer, license, repo, commit. Any: its values."""


def choose(data: Path, order: Callable[[str], str]) -> list[Question]:
    """Questions of each test set, in shuffled order."""
    rows = pl.read_parquet(data / "benchmarks.parquet").to_dicts()
    found: list[Question] = []
    for benchmark, language in CHOSEN.items():
        fitting = [
            r for r in rows if r["benchmark"] == benchmark and len(r["question"]) >= MIN_CHARS[language]
        ]
        found += sorted(fitting, key=lambda row: order(row["id"]))[:N_QUESTIONS]
    return found


def pages(questions: list[Question]) -> list[Raw]:
    """Pages that hold the first questions of each test set."""
    found = []
    for benchmark, language in CHOSEN.items():
        mine = [row for row in questions if row["benchmark"] == benchmark]
        title, answer = WORDS[language]
        for number in range(N_PAGES):
            some = mine[number * N_ON_A_PAGE : (number + 1) * N_ON_A_PAGE]
            parts = [f"# {title.format(number + 1)}"]
            for i, row in enumerate(some, 1):
                parts.append(f"{i}. {row['question'].strip()}\n\n{answer.format(str(row['answer']).strip())}")
            first = some[0]
            found.append(
                Raw(
                    f"notes/{language}/quiz-{number + 1}.md", "", ("\n\n".join(parts) + "\n").encode(), "utf-8", "",
                    benchmark, first["repo"], first["commit"], first["license"],
                    "zh-cn" if language == "zh" else "en", "benchmark questions",
                )
            )  # fmt: skip
    return found


def write(questions: list[Question], out: Path) -> None:
    """Write the file of questions that a run looks for."""
    table = pl.DataFrame(questions).select("benchmark", "id", "question", "license")
    table.write_parquet(out / NAME, compression="zstd", statistics=False)
