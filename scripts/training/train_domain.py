"""Train the shipped domain model: one linear model of 26 classes over hashed n-grams of Chinese and English.

Reads the file of `domain_teacher.py` (columns text, source, language, domain, shares); writes the model and prints its
figures as Markdown, by domain and language, on sources that were not trained on: first those that never are, by the
model as written; then every other source of known domain, by models trained without it. Equal input gives an equal
file.

Example: python -m scripts.training.train_domain --data domain_labels.parquet --out classifiers/models/domain_ngrams.npz
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import domain
from classifiers.class_training import fit_classes
from classifiers.domain_features import N_CELLS, list_features, pack
from classifiers.training import Settings
from scripts.training.domain_sources import HELD_OUT
from stages.kernels.text import load_tables, view

N_FOLDS = 4
SETTINGS = Settings(epochs=6, rate=0.1, decay=1e-3, dropout=0.75)
ROWS = 1 << 15
"""Cells that keep their weights: those that move most documents farthest."""
MIN_DOCUMENTS = 3
"""An n-gram of fewer training documents weighs nothing."""
SMOOTHING = 0.1
"""Share of a source's own domain that is spread over all: labels of sources are not sure."""
DICTIONARIES = ("dictionary", "glosses")
LISTS = ("places", "wordnet")
"""Sources of known domain without running text: the table by domain leaves them out."""
ENTRIES, MIN_SHARE = 8, 0.3
"""Entries of a dictionary in one document, and the least share of their likeliest domain."""
PER_SOURCE = 500
"""Documents of one source, domain and language that are trained on, at most."""


class Examples(NamedTuple):
    """Documents with their features and targets.

    cells, starts: see `list_features`. targets: float64 (n, n_labels). label: int64 (n,), -1 if the source has none.
    source, language: str (n,).
    """

    texts: list[str]
    cells: np.ndarray
    starts: np.ndarray
    targets: np.ndarray
    label: np.ndarray
    source: np.ndarray
    language: np.ndarray


def load_examples(path: Path) -> Examples:
    """Read the documents and find their features."""
    table = pq.read_table(path)
    if table.schema.metadata.get(b"domains", b"").decode() != "|".join(domain.LABELS):
        raise SystemExit(
            f"{path}: found other domains than those of classifiers.domain; run domain_teacher.py again"
        )
    documents = join_entries(table.to_pylist())
    texts = [row["text"] for row in documents]
    encoded = view(pa.array(texts, pa.large_string()))
    cells, starts = list_features(encoded.codes, encoded.classes, encoded.starts, load_tables().fold)
    n_labels = len(domain.LABELS)
    label = np.array(
        [-1 if row["domain"] is None else domain.LABELS.index(row["domain"]) for row in documents]
    )
    targets = np.full((len(documents), n_labels), SMOOTHING / n_labels)
    for i, row in enumerate(documents):
        if row["domain"] is None:
            targets[i] = np.array(row["shares"], np.float64) / sum(row["shares"])
        else:
            targets[i, label[i]] += 1 - SMOOTHING
    source, language = (np.array([row[name] for row in documents]) for name in ("source", "language"))
    return Examples(texts, cells, starts, targets, label, source, language)


def join_entries(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put eight entries of a dictionary with the same likeliest domain into one document; leave doubtful ones out.

    Any: rows of Parquet hold values of several types. An entry `headword, tab, definition` goes into two documents,
    one in each language.
    """
    kept: list[dict[str, Any]] = []
    groups: dict[tuple[str, int], list[tuple[str, np.ndarray]]] = {}
    for row in documents:
        if row["source"] not in DICTIONARIES:
            kept.append(row)
            continue
        shares = np.array(row["shares"])
        if shares.max() < MIN_SHARE:
            continue
        head, _, meaning = row["text"].rpartition("\t")
        for language, text in (("zh", head), ("en", meaning)):
            group = groups.setdefault((language, int(shares.argmax())), [])
            if text:
                group.append((text, shares))
            if len(group) == ENTRIES:
                joined, mean = "\n".join(word for word, _ in group), np.mean([s for _, s in group], axis=0)
                kept.append({**row, "text": joined, "language": language, "shares": mean.tolist()})
                group.clear()
    return kept


def weigh(examples: Examples, use: np.ndarray) -> np.ndarray:
    """Importance of each example: domains and languages weigh about the same, doubtful labels less than sure ones.

    Of one source, PER_SOURCE documents of a domain and language are used at most.
    """
    top = np.where(examples.label >= 0, examples.label, examples.targets.argmax(axis=1))
    sure = np.where(examples.label >= 0, 1.0, examples.targets.max(axis=1))
    random = np.random.default_rng(SETTINGS.seed)
    importance, order = np.zeros(len(top)), random.permutation(len(top))
    for k in range(len(domain.LABELS)):
        for language in ("zh", "en"):
            group = order[(use & (top == k) & (examples.language == language))[order]]
            kept = [
                group[examples.source[group] == s][:PER_SOURCE] for s in sorted(set(examples.source[group]))
            ]
            if kept:
                chosen = np.concatenate(kept)
                total = sure[chosen].sum()
                importance[chosen] = sure[chosen] * min(8.0, (400 / total) ** 0.85)
    return importance


def train(examples: Examples, use: np.ndarray) -> dict[str, np.ndarray]:
    """Fit the examples of `use`; returns the arrays of the model file."""
    weights, bias = fit_classes(
        examples.cells, examples.starts, examples.targets, weigh(examples, use), N_CELLS, SETTINGS
    )
    counts = count_documents(examples, use)
    weights -= weights.mean(axis=1, keepdims=True)
    worth = np.where(counts < MIN_DOCUMENTS, 0.0, np.abs(weights).max(axis=1) * np.sqrt(counts))
    cells = np.sort(np.argsort(-worth, kind="stable")[: min(ROWS, np.count_nonzero(worth))])
    step = np.quantile(np.abs(weights[cells]), 0.9999) / 127
    return {
        "cells": cells.astype(np.uint32),
        "weights": np.clip(np.rint(weights[cells] / step), -127, 127).astype(np.int8),
        "step": np.array(step),
        "bias": bias - bias.mean(),
        "labels": np.array(domain.LABELS),
    }


def count_documents(examples: Examples, use: np.ndarray) -> np.ndarray:
    """Training documents of each cell."""
    counts = np.zeros(N_CELLS, np.int64)
    for i in np.flatnonzero(use):
        counts[np.unique(examples.cells[examples.starts[i] : examples.starts[i + 1]])] += 1
    return counts


def predict(
    stored: dict[str, np.ndarray], examples: Examples, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Label and probability of each chosen example."""
    model = domain.Model(*pack(stored["cells"], stored["weights"]), float(stored["step"]), stored["bias"])
    texts = pa.array([examples.texts[i] for i in np.flatnonzero(chosen)], pa.large_string())
    result = domain.annotate(pa.table({"text": texts, "url": pa.nulls(len(texts), pa.string())}), model)
    labels = [-1 if name is None else domain.LABELS.index(name) for name in result["label"].to_pylist()]
    return np.array(labels), result["score"].fill_null(0.0).to_numpy()


def folds(examples: Examples) -> Iterator[np.ndarray]:
    """Sources of known domain, in N_FOLDS parts; of each, which examples it holds."""
    names = sorted(set(examples.source[examples.label >= 0]) - HELD_OUT)
    for k in range(N_FOLDS):
        yield np.isin(examples.source, names[k::N_FOLDS])


def report(title: str, truth: np.ndarray, found: np.ndarray, language: np.ndarray) -> Iterator[str]:
    """A Markdown table: documents, recall, precision and F1 by domain and language."""
    yield f"\n{title}\n\n| domain | zh n | recall | precision | F1 | en n | recall | precision | F1 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for k, name in enumerate(domain.LABELS):
        cells = []
        for code in ("zh", "en"):
            here = language == code
            n, hits = int((here & (truth == k)).sum()), int((here & (truth == k) & (found == k)).sum())
            claimed = int((here & (found == k)).sum())
            recall, precision = hits / n if n else 0.0, hits / claimed if claimed else 0.0
            f1 = 2 * recall * precision / (recall + precision) if hits else 0.0
            cells += [str(n), *(f"{value:.2f}" if n else "" for value in (recall, precision, f1))]
        if cells[0] != "0" or cells[4] != "0":
            yield f"| {name} | {' | '.join(cells)} |"
    for code in ("zh", "en"):
        here = language == code
        yield f"\nAccuracy {code}: {(truth == found)[here].mean():.3f} of {here.sum()} documents"


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=re.split("\n", __doc__, maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="file of domain_teacher.py")
    parser.add_argument("--out", type=Path, default=Path(domain.MODEL_PATH))
    parser.add_argument("--no-folds", action="store_true", help="leave out the second table")
    arguments = parser.parse_args()
    examples = load_examples(arguments.data)
    held_out = np.isin(examples.source, sorted(HELD_OUT))
    stored = train(examples, ~held_out)
    np.savez_compressed(arguments.out, **stored)  # type: ignore[arg-type]  # arrays, by name
    chosen = held_out & (examples.label >= 0)
    found, scores = predict(stored, examples, chosen)
    for line in report("Sources never trained on", examples.label[chosen], found, examples.language[chosen]):
        print(line)
    print_sources(examples, chosen, found, scores)
    if not arguments.no_folds:
        everywhere, sure = np.full(len(examples.label), -1), np.zeros(len(examples.label))
        for part in folds(examples):
            known = part & (examples.label >= 0)
            everywhere[known], sure[known] = predict(train(examples, ~held_out & ~part), examples, known)
        chosen = (examples.label >= 0) & ~held_out
        running = chosen & ~np.isin(examples.source, LISTS)
        lines = (examples.label[running], everywhere[running], examples.language[running])
        for line in report("Sources of running text, left out in turn", *lines):
            print(line)
        print_sources(examples, chosen, everywhere[chosen], sure[chosen])


def print_sources(examples: Examples, chosen: np.ndarray, found: np.ndarray, scores: np.ndarray) -> None:
    """Print documents, accuracy and mean score of each source."""
    print("\n| source | language | n | accuracy | mean score |\n|---|---|---|---|---|")
    pairs = list(zip(examples.source[chosen], examples.language[chosen], strict=True))
    right = found == examples.label[chosen]
    for source, language in sorted(set(pairs)):
        here = np.array([pair == (source, language) for pair in pairs])
        print(
            f"| {source} | {language} | {here.sum()} | {right[here].mean():.3f} | {scores[here].mean():.2f} |"
        )


if __name__ == "__main__":
    main()
