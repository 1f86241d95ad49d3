"""Measure classifiers.solution_pairs on problems whose translations are known.

Reads `cot_math.parquet` (columns source, lang, question, solution, extra) and a checkout of microsoft/MathOctopus: its
folders mgsm and msvamp have one JSON file for each language, line by line the same problems. Prints, for each set, how
many problems exist in both languages, how many pairs were found and how many of them are wrong.

Example: python -m scripts.bench.bench_solution_pairs cot_math.parquet --octopus MathOctopus --show 4
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from classifiers import embedding
from classifiers.solution_pairs import Config, map_questions, pair

LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}
DATA = "step1_supervised_finetuning/data"
FILES = {"mgsm": "mgsm/mgsm_{}.json", "msvamp": "msvamp/test_{}.json"}
NAMES = {"zh": "Chinese", "en": "English"}


class Problem(NamedTuple):
    """A problem; name is the same in both languages."""

    name: str
    lang: str
    question: str
    solution: str = ""


def read_math(path: Path, leetcode: bool) -> list[Problem]:
    """Problems of the file: those of leetcode, or all others."""
    rows = pl.read_parquet(path).filter(pl.col("source").str.starts_with("leetcode") == leetcode)
    return [
        Problem(
            str(Path(json.loads(row["extra"])["path"]).parent) if leetcode else row["id"],
            row["lang"],
            row["question"],
            row["solution"],
        )
        for row in rows.iter_rows(named=True)
    ]


def read_octopus(folder: Path, file: str) -> Iterator[Problem]:
    """Problems of a test set of MathOctopus."""
    for lang, name in NAMES.items():
        text = (folder / DATA / file.format(name)).read_text("utf-8")
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        for number, row in enumerate(rows):
            yield Problem(str(number), lang, row.get("m_query") or row["query"])


def measure(name: str, problems: list[Problem], config: Config, n_shown: int) -> None:
    """Print figures of one set, and wrong pairs."""
    texts = pa.array([f"{one.question}\n\n{one.solution}" for one in problems], pa.large_string())
    vectors = embedding.STAGE.load(embedding.Config())(pa.table({"text": texts}))["vector"]
    table = pa.table(
        {
            "parent_id": [one.name for one in problems],
            "meta": [json.dumps({"question": one.question}) for one in problems],
            "language.label": [LABELS[one.lang] for one in problems],
            "embedding.vector": vectors,
            "row": pa.array(range(len(problems)), pa.uint64()),
        }
    )
    keyed = map_questions(table, config).sort_by([("key", "ascending"), ("row", "ascending")])
    answers = zip(keyed["row"].to_pylist(), pair(keyed, config).to_pylist(), strict=True)
    found = [(row, one["other"]) for row, one in answers if one["id"] and row < one["other"]]
    wrong = [(i, j) for i, j in found if problems[i].name != problems[j].name]
    languages = Counter(name for name, _ in {(one.name, one.lang) for one in problems})
    n_both = sum(n == len(LABELS) for n in languages.values())
    print(f"| {name} | {n_both:,} | {len(found):,} | {len(wrong):,} |")
    for i, j in wrong[:n_shown]:
        print(f"    {problems[i].question[:150]!r}\n    {problems[j].question[:150]!r}")


def main() -> None:
    """Read the command line and measure each set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("math", type=Path, help="cot_math.parquet")
    parser.add_argument("--octopus", type=Path, help="checkout of microsoft/MathOctopus")
    parser.add_argument("--min-numbers", type=int, default=Config.min_numbers)
    parser.add_argument("--min-cosine", type=float, default=Config.min_cosine)
    parser.add_argument("--show", type=int, default=0, help="number of wrong pairs to print")
    arguments = parser.parse_args()
    config = Config(min_numbers=arguments.min_numbers, min_cosine=arguments.min_cosine)
    print("| set | problems in both languages | pairs found | of them wrong |\n|---|---:|---:|---:|")
    measure("leetcode", read_math(arguments.math, True), config, arguments.show)
    measure("gsm8k, tal-scq5k", read_math(arguments.math, False), config, arguments.show)
    for name, file in FILES.items() if arguments.octopus else ():
        measure(name, list(read_octopus(arguments.octopus, file)), config, arguments.show)


if __name__ == "__main__":
    main()
