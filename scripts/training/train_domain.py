"""Train the shipped domain model: one linear model of 26 classes over hashed n-grams of Chinese and English.

Reads the file of `domain_teacher.py` (columns text, source, language, domain, shares); writes the model and prints an
evaluation as Markdown, by domain and language: first of the written model on held-out sources, then by cross-validation
over all other sources of known domain. Equal input gives an equal file.

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
from classifiers.domain.features import N_CELLS, list_features, pack
from classifiers.linear.train import Settings
from classifiers.linear.train_classes import fit_classes
from scripts.training.domain_sources import HELD_OUT
from stages.kernels.text.text import load_tables, view

N_FOLDS = 4
SETTINGS = Settings(epochs=6, rate=0.1, decay=1e-3, dropout=0.75)
ROWS = 1 << 15
"""Number of cells whose weights are kept, those with the largest effect over all documents."""
MIN_DOCUMENTS = 3
"""Minimum number of training documents of an n-gram; rarer ones have weight 0."""
SMOOTHING = 0.1
"""Label smoothing of source labels, which are uncertain."""
DICTIONARIES = ("dictionary", "glosses")
LISTS = ("places", "wordnet")
"""Sources of known domain without running text, excluded from the table by domain."""
ENTRIES, MIN_SHARE = 8, 0.3
"""Dictionary entries joined into one document, and the minimum probability of their most likely domain."""
PER_SOURCE = 500
"""Maximum number of training documents per source, domain and language."""


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
    """Read the documents and compute their features.

    Raises: SystemExit if the file has other domains than the classifier.
    """
    table = pq.read_table(path)
    if table.schema.metadata.get(b"domains", b"").decode() != "|".join(domain.LABELS):
        raise SystemExit(
            f"{path}: found other domains than those of classifiers.domain; run domain_teacher again"
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
    """Join ENTRIES dictionary entries with the same most likely domain into one document; skip uncertain entries.

    Headword and definition of an entry (separated by a tab) go into two documents, one per language. Any: values of
    Parquet rows.
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
    """Importance of each example, float64 (n,): balances domains and languages, and reduces uncertain labels.

    At most PER_SOURCE documents per source, domain and language have a weight above 0.
    """
    top = np.where(examples.label >= 0, examples.label, examples.targets.argmax(axis=1))
    certainty = np.where(examples.label >= 0, 1.0, examples.targets.max(axis=1))
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
                total = certainty[chosen].sum()
                importance[chosen] = certainty[chosen] * min(8.0, (400 / total) ** 0.85)
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
    """Number of training documents of each cell, int64 (N_CELLS,)."""
    counts = np.zeros(N_CELLS, np.int64)
    for i in np.flatnonzero(use):
        counts[np.unique(examples.cells[examples.starts[i] : examples.starts[i + 1]])] += 1
    return counts


def predict(
    stored: dict[str, np.ndarray], examples: Examples, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted label (-1 for none) and score of each chosen example."""
    model = domain.Model(*pack(stored["cells"], stored["weights"]), float(stored["step"]), stored["bias"])
    texts = pa.array([examples.texts[i] for i in np.flatnonzero(chosen)], pa.large_string())
    result = domain.annotate(pa.table({"text": texts, "url": pa.nulls(len(texts), pa.string())}), model)
    labels = [-1 if name is None else domain.LABELS.index(name) for name in result["label"].to_pylist()]
    return np.array(labels), result["score"].fill_null(0.0).to_numpy()


def folds(examples: Examples) -> Iterator[np.ndarray]:
    """Split the sources of known domain into N_FOLDS folds; yields a mask of examples, bool (n,), per fold."""
    names = sorted(set(examples.source[examples.label >= 0]) - HELD_OUT)
    for k in range(N_FOLDS):
        yield np.isin(examples.source, names[k::N_FOLDS])


def report(title: str, truth: np.ndarray, found: np.ndarray, language: np.ndarray) -> Iterator[str]:
    """Markdown table of documents, recall, precision and F1 by domain and language."""
    yield f"\n{title}\n\n| domain | zh n | recall | precision | F1 | en n | recall | precision | F1 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for k, name in enumerate(domain.LABELS):
        cells = []
        for code in ("zh", "en"):
            of_language = language == code
            n, hits = (
                int((of_language & (truth == k)).sum()),
                int((of_language & (truth == k) & (found == k)).sum()),
            )
            n_predicted = int((of_language & (found == k)).sum())
            recall, precision = hits / n if n else 0.0, hits / n_predicted if n_predicted else 0.0
            f1 = 2 * recall * precision / (recall + precision) if hits else 0.0
            cells += [str(n), *(f"{value:.2f}" if n else "" for value in (recall, precision, f1))]
        if cells[0] != "0" or cells[4] != "0":
            yield f"| {name} | {' | '.join(cells)} |"
    for code in ("zh", "en"):
        of_language = language == code
        yield f"\nAccuracy {code}: {(truth == found)[of_language].mean():.3f} of {of_language.sum()} documents"


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=re.split("\n", __doc__, maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="file of domain_teacher.py")
    parser.add_argument("--out", type=Path, default=Path(domain.MODEL_PATH))
    parser.add_argument("--no-folds", action="store_true", help="skip the cross-validation")
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
        predicted, fold_scores = np.full(len(examples.label), -1), np.zeros(len(examples.label))
        for fold in folds(examples):
            labelled = fold & (examples.label >= 0)
            predicted[labelled], fold_scores[labelled] = predict(
                train(examples, ~held_out & ~fold), examples, labelled
            )
        chosen = (examples.label >= 0) & ~held_out
        running = chosen & ~np.isin(examples.source, LISTS)
        lines = (examples.label[running], predicted[running], examples.language[running])
        for line in report("Sources of running text, left out in turn", *lines):
            print(line)
        print_sources(examples, chosen, predicted[chosen], fold_scores[chosen])


def print_sources(examples: Examples, chosen: np.ndarray, found: np.ndarray, scores: np.ndarray) -> None:
    """Print the number of documents, accuracy and mean score per source and language."""
    print("\n| source | language | n | accuracy | mean score |\n|---|---|---|---|---|")
    pairs = list(zip(examples.source[chosen], examples.language[chosen], strict=True))
    is_correct = found == examples.label[chosen]
    for source, language in sorted(set(pairs)):
        of_source = np.array([pair == (source, language) for pair in pairs])
        accuracy, mean_score = is_correct[of_source].mean(), scores[of_source].mean()
        print(f"| {source} | {language} | {of_source.sum()} | {accuracy:.3f} | {mean_score:.2f} |")


if __name__ == "__main__":
    main()
