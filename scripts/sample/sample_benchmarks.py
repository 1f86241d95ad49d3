"""Benchmark questions of the sample: a file of questions to search for, and pages that contain some of them.

Questions come from two open test sets, one Chinese and one English; the pages are quizzes built from them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from scripts.sample.sample_pages import Raw

CHOSEN = {"cmath": "zh", "gsm8k-test": "en"}
"""Test set -> its language, which is also the folder of its pages."""

N_QUESTIONS = 30
N_PAGES, N_ON_A_PAGE = 2, 6
MIN_CHARS = {"zh": 24, "en": 120}
WORDS = {"zh": ("每周一练（第{}期）", "答案：{}"), "en": ("Weekly quiz, no. {}", "Answer: {}")}
NAME = "benchmarks.parquet"

Question = dict[str, Any]
"""A row of the table of questions: benchmark, id, question, answer, license, repo, commit. Any: its values."""


def choose(data: Path, order: Callable[[str], str]) -> list[Question]:
    """Up to N_QUESTIONS questions of each test set, in shuffled order."""
    rows = pl.read_parquet(data / "benchmarks.parquet").to_dicts()
    questions: list[Question] = []
    for benchmark, language in CHOSEN.items():
        fitting = [
            r for r in rows if r["benchmark"] == benchmark and len(r["question"]) >= MIN_CHARS[language]
        ]
        questions += sorted(fitting, key=lambda row: order(row["id"]))[:N_QUESTIONS]
    return questions


def pages(questions: list[Question]) -> list[Raw]:
    """Quiz pages with the first questions of each test set."""
    raws = []
    for benchmark, language in CHOSEN.items():
        of_benchmark = [row for row in questions if row["benchmark"] == benchmark]
        title, answer = WORDS[language]
        for number in range(N_PAGES):
            on_page = of_benchmark[number * N_ON_A_PAGE : (number + 1) * N_ON_A_PAGE]
            parts = [f"# {title.format(number + 1)}"]
            for i, row in enumerate(on_page, 1):
                parts.append(f"{i}. {row['question'].strip()}\n\n{answer.format(str(row['answer']).strip())}")
            first = on_page[0]
            raws.append(
                Raw(
                    f"notes/{language}/quiz-{number + 1}.md", "", ("\n\n".join(parts) + "\n").encode(), "utf-8", "",
                    benchmark, first["repo"], first["commit"], first["license"],
                    "zh-cn" if language == "zh" else "en", "benchmark questions",
                )
            )  # fmt: skip
    return raws


def write(questions: list[Question], out: Path) -> None:
    """Write the file of benchmark questions for decontamination."""
    table = pl.DataFrame(questions).select("benchmark", "id", "question", "license")
    table.write_parquet(out / NAME, compression="zstd", statistics=False)
