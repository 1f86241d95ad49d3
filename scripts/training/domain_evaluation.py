"""Calibration and evaluation of the domain model on labelled documents that it was not trained on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from classifiers import domain
from scripts.training.domain_names import ACCEPTED


def softmax(odds: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers = np.exp(odds - odds.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def is_accepted(rows: pl.DataFrame) -> np.ndarray:
    """Whether each label is right for each labelled document, bool (n, 26)."""
    return np.array([[name in ACCEPTED[truth] for name in domain.LABELS] for truth in rows["domain"]])


def fold_of(rows: pl.DataFrame, n_folds: int) -> np.ndarray:
    """Fold of each document, by its column or a hash of its source; int64 (n,)."""
    return np.array(
        [
            fold if fold is not None else int(hashlib.sha256(source.encode()).hexdigest(), 16) % n_folds
            for fold, source in zip(rows["fold"], rows["source"], strict=True)
        ]
    )


def calibrate(odds: np.ndarray, rows: pl.DataFrame) -> float:
    """The slope, from 1 to 40, that makes the probability of the accepted domains of labelled documents highest.

    Documents without a fold alone decide, so that the others measure the calibration; all if there are too few.
    """
    labelled = rows["domain"].is_not_null().to_numpy()
    apart = labelled & rows["fold"].is_null().to_numpy()
    chosen = apart if apart.sum() >= 200 else labelled
    accepted = is_accepted(rows.filter(pl.Series(chosen)))
    slopes = np.arange(2, 81) / 2
    losses = [-np.log((softmax(s * odds[chosen]) * accepted).sum(axis=1) + 1e-9).mean() for s in slopes]
    return float(slopes[int(np.argmin(losses))])


def evaluate(
    found: dict[str, tuple[np.ndarray, pl.DataFrame]], slopes: dict[str, float], path: Path | None
) -> Iterator[str]:
    """Markdown tables for the documents with a fold; with a path, writes the labels of all labelled documents to it.

    Args: found, language -> log-odds of slope 1 and documents.
    """
    frames = []
    for language, (odds, rows) in found.items():
        labelled = rows["domain"].is_not_null().to_numpy()
        rows, odds = rows.filter(pl.Series(labelled)), odds[labelled]
        best, scores = domain.choose(np.rint(slopes[language] * odds * domain.ODDS_STEPS).astype(np.int64))
        right = is_accepted(rows)[np.arange(len(best)), best]
        names = [domain.LABELS[k] for k in best]
        found_columns = (pl.Series("found", names), pl.Series("score", scores), pl.Series("right", right))
        frames.append(rows.with_columns(*found_columns))
    table = pl.concat(frames)
    if path:
        table.write_parquet(path)
    yield from report(table.filter(pl.col("fold").is_not_null()), list(found))


def report(rows: pl.DataFrame, languages: list[str]) -> Iterator[str]:
    """Markdown tables of left-out labels: by domain, source and score, and the commonest errors."""
    for column in ("domain", "source"):
        yield f"\n| {column} | zh n | right | en n | right |\n|---|---|---|---|---|"
        for name, n in rows.group_by(column, maintain_order=True).len().sort(column).iter_rows():
            if n < 10 and column != "domain":
                continue
            cells: list[str] = []
            for language in languages:
                right = rows.filter((pl.col(column) == name) & (pl.col("lang") == language))[
                    "right"
                ].to_numpy()
                cells += [str(len(right)), f"{right.mean():.2f}" if len(right) else ""]
            yield f"| {name} | {' | '.join(cells)} |"
    for language in languages:
        here = rows.filter(pl.col("lang") == language)
        right, scores = here["right"].to_numpy(), here["score"].to_numpy()
        yield f"\nRight, {language}: {right.mean():.3f} of {len(here)} documents"
        wrong = here.filter(~pl.col("right"))
        common = Counter(zip(wrong["domain"], wrong["found"], strict=True)).most_common(12)
        yield "Commonest errors: " + "; ".join(f"{truth} as {name} {n}" for (truth, name), n in common)
        yield "\n| score | n | mean score | right |\n|---|---|---|---|"
        for low in np.arange(0, 1, 0.1):
            inside = (scores >= low) & (scores < low + 0.1)
            if inside.any():
                mean = scores[inside].mean()
                yield f"| {low:.1f} to {low + 0.1:.1f} | {inside.sum()} | {mean:.2f} | {right[inside].mean():.2f} |"
