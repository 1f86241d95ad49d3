"""Train the scorer `intact` of classifiers.quality, from open documents and damaged copies of them.

Reads docs_zh_en-*.parquet (columns text, source, lang_hint) below --data; writes the model and prints a Markdown table
of areas under the ROC curve on held-out sources, by type of damage and language. Equal input gives an equal file.

Example: python -m scripts.training.train_intact --data FOLDER --out classifiers/models/quality_intact.npz
"""

from __future__ import annotations

import argparse
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import quality
from classifiers.linear.families import CHARACTERS, WORDS
from classifiers.linear.odds import WEIGHT_STEP
from classifiers.linear.train import Settings, auc, fit
from classifiers.quality.features import N_FAMILIES, N_ROWS, list_features
from scripts.training.damage import DAMAGE, Maker
from stages.kernels.text.text import load_tables, view

HELD_OUT = frozenset(
    "drcd d2l-zh vue-docs-zh ms-sfb-zh-tw ms-sfb-zh-cn xquad openstax-sociology owasp-cheatsheets opensource-guide "
    "eips se-sherlock".split()
)
"""Sources used for evaluation only. Chinese: Wikipedia (Taiwan), textbook, documentation; English: Wikipedia, textbook,
handbook, standards, fiction."""
LITERATURE = frozenset("classic-novels chinese-poetry classical-prose gutenberg se-sherlock".split())
"""Sources drawn twice as often, as there are few of them."""

MARKUP = (
    (re.compile(r"```.*?(```|\Z)", re.S), ""),
    (re.compile(r"<[^<>\n]{1,200}>|\{[:%#{][^{}\n]*\}+|!\[[^\]]*\]\([^)]*\)"), ""),
    (re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"^[#>\s]*[#>]\s+|[`*]{1,3}|^\s*[-:|]{3,}\s*$", re.M), ""),
    (re.compile(r"\n{3,}"), "\n\n"),
)
"""Markdown, removed because nearly all sources have it and crawled text does not: the model must not rely on it."""


class Example(NamedTuple):
    """A text; intact: 1, or 0 for a damaged copy."""

    text: str
    source: str
    language: str
    kind: str
    intact: int


def load_documents(folder: Path) -> list[dict[str, str]]:
    """Read the documents, in a fixed order."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("docs_zh_en-*.parquet")):
        rows += pq.read_table(path, columns=["text", "source", "lang_hint"]).to_pylist()
    return rows


def plain(text: str) -> str:
    """Text without Markdown."""
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return text.strip()


def cut(text: str, rng: random.Random) -> str:
    """Consecutive paragraphs of random total length, in a third of cases without line breaks."""
    size, lines = int(rng.choice((150, 400, 1000, 3000)) * rng.uniform(0.5, 1.5)), text.split("\n")
    at, taken, n = rng.randrange(len(lines)), [], 0
    while at < len(lines) and n < size:
        taken.append(lines[at])
        n += len(lines[at])
        at += 1
    piece = "\n".join(taken)[: 2 * size].strip()
    if rng.random() >= 0.33:
        return piece
    return re.sub(r"\n+", "" if re.search(r"[\u3400-\u9fff]", piece) else " ", piece)


def make_examples(documents: list[dict[str, str]], per_source: int, seed: int) -> Iterator[Example]:
    """Passages of the documents, each with one damaged copy."""
    by_source: dict[tuple[str, str], list[str]] = {}
    for row in documents:
        by_source.setdefault((row["source"], language_of(row["lang_hint"])), []).append(row["text"])
    for (source, language), texts in sorted(by_source.items()):
        rng = random.Random(zlib.crc32(f"{source} {language} {seed}".encode()))
        n_pieces = per_source * (2 if source in LITERATURE else 1)
        for _ in range(min(n_pieces, 4 * len(texts))):
            text = rng.choice(texts)
            piece = cut(plain(text) if rng.random() < 0.85 else text, rng)
            if len(piece) < 60:
                continue
            make: Maker = rng.choice(DAMAGE)
            yield Example(piece, source, language, "good", 1)
            yield Example(make(piece, rng), source, language, make.__name__, 0)


def language_of(hint: str) -> str:
    """zh (all variants of Chinese), en, ja or other."""
    if hint.startswith(("zh", "lzh", "yue")):
        return "zh"
    return hint if hint in ("en", "ja") else "other"


def featurise(examples: list[Example]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Family, n-gram cells, offsets of the cells of each example, and shapes; see `list_features`."""
    text = view(pa.array([e.text for e in examples], pa.large_string()))
    families = np.array([CHARACTERS if e.language in ("zh", "ja") else WORDS for e in examples])
    fold = load_tables().fold
    return families, *list_features(text.codes, text.classes, text.starts, fold, families)


def train(examples: list[Example], settings: Settings) -> dict[str, np.ndarray]:
    """Fit the scorer for both families; returns the arrays of the model file."""
    families, rows, starts, shapes = featurise(examples)
    weights, bias = np.zeros((N_FAMILIES, N_ROWS, 1), np.int16), np.zeros((N_FAMILIES, 1))
    for family in (CHARACTERS, WORDS):
        labels = np.array([e.intact for e in examples], np.int8)
        labels[families != family] = -1
        fitted, bias[family, 0] = fit(rows, starts, shapes, labels, N_ROWS, settings)
        weights[family, :, 0] = np.clip(np.rint(fitted / WEIGHT_STEP), -32767, 32767)
    steps = np.full((N_FAMILIES, 1), WEIGHT_STEP)
    return {"weights": weights, "steps": steps, "bias": bias, "scorers": np.array(["intact"])}


def measure(model: quality.Model, examples: list[Example]) -> Iterator[str]:
    """Rows of a Markdown table of areas under the ROC curve, against all types of damage and against each."""
    labels = [
        {"zh": "zho_Hans", "en": "eng_Latn", "ja": "jpn_Jpan"}.get(e.language, "fra_Latn") for e in examples
    ]
    batch = pa.table(
        {"text": pa.array([e.text for e in examples], pa.large_string()), "language.label": labels}
    )
    values = quality.annotate(batch, model)["intact"].to_numpy(zero_copy_only=False)
    language, kinds = np.array([e.language for e in examples]), np.array([e.kind for e in examples])
    truth = np.array([e.intact for e in examples])
    for kind in ("all", *sorted(set(kinds[truth == 0]))):
        cells = []
        for name in ("zh", "en"):
            chosen = (language == name) & ((truth == 1) | (kind == "all") | (kinds == kind))
            cells.append(f"{auc(values[chosen], truth[chosen] == 1):.3f}")
        yield f"| {kind} | {' | '.join(cells)} |"


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of docs_zh_en-*.parquet")
    parser.add_argument("--out", type=Path, default=Path(quality.INTACT_PATH))
    parser.add_argument(
        "--per-source", type=int, default=700, help="maximum number of passages per source and language"
    )
    arguments = parser.parse_args()
    settings = Settings()
    examples = list(make_examples(load_documents(arguments.data), arguments.per_source, settings.seed))
    stored = train([e for e in examples if e.source not in HELD_OUT], settings)
    np.savez_compressed(arguments.out, **stored)  # type: ignore[arg-type]  # arrays, by name
    model = quality.load_model(quality.VALUE_PATH, str(arguments.out))
    print("| against | zh | en |\n|---|---|---|")
    for line in measure(model, [e for e in examples if e.source in HELD_OUT]):
        print(line)


if __name__ == "__main__":
    main()
