"""Training of `classifiers.like`: a linear discriminant between the vectors of examples and of a pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from classifiers import embedding
from classifiers.embedding.features import N_DIMENSIONS
from classifiers.like import Model, pack, score
from classifiers.linear.train import auc
from classifiers.training.data import language_of
from classifiers.training.head import Trained
from pipeline.errors import UsageError

MAX_FOLDS = 10
SHRINKAGE = 0.5
"""Weight of the identity in the covariance, 0 to 1. On eleven domains of web pages, by left-out sources, 0.5 had a mean
AUC of 0.956 (zh) and 0.936 (en), 0.09 and 0.91 up to 0.010 less, the cosine with the mean vector 0.919 and 0.913."""


def train_like(examples: pa.Table, pool: pa.Table, out: str) -> Trained:
    """Train a model of documents like `examples`; write it with a card.

    The figures of the card are of folds by source: examples of left-out sources against documents of a left-out part of
    the pool, by language.

    Args: examples, with columns text, source and, if both have it, lang; pool, with text: what the corpus consists of.
    Raises: UsageError if a column is missing, there are fewer than two sources, or fewer than two documents with a word
    on a side.
    """
    for name, table in (("source", examples), ("text", examples), ("text", pool)):
        if name not in table.column_names:
            raise UsageError(
                f"no column {name!r}; examples have the columns text and source, a pool has text"
            )
    both = "lang" in examples.column_names and "lang" in pool.column_names
    languages = np.array(
        [language_of(code) if both else "und" for table in (examples, pool)
         for code in (table["lang"] if both else table["text"]).to_pylist()]
    )  # fmt: skip
    vectors = np.concatenate([_vectors(examples), _vectors(pool)])
    wanted = np.arange(len(vectors)) < examples.num_rows
    names, numbers = np.unique([str(name) for name in examples["source"].to_pylist()], return_inverse=True)
    n_folds = min(MAX_FOLDS, len(names))
    known = vectors.any(axis=1)
    if n_folds < 2 or min((wanted & known).sum(), (~wanted & known).sum()) < 2:
        raise UsageError(
            f"{len(names)} sources of examples, {(wanted & known).sum()} examples and {(~wanted & known).sum()} "
            "documents of the pool with a word; expected 2 or more of each"
        )
    folds = np.concatenate([numbers % n_folds, np.arange(pool.num_rows) % n_folds])
    model = fit(vectors[known], wanted[known])
    np.savez_compressed(out, **model._asdict())
    lines = [
        f"- {examples.num_rows:,} examples of {len(names)} sources, against a pool of {pool.num_rows:,} documents",
        *_evaluation(vectors[known], wanted[known], folds[known], languages[known]),
    ]
    stem = Path(out).with_suffix("")
    Path(f"{stem}.md").write_text("\n".join([f"# {stem.name}: card", "", *lines, ""]), encoding="utf-8")
    return Trained((out, f"{stem}.md"), tuple(lines))


def _vectors(table: pa.Table) -> np.ndarray:
    """Vectors of texts, int8 (n, N_DIMENSIONS); zeros for a text without a known word."""
    batch = pa.table({"text": table["text"].cast(pa.large_string())})
    column = embedding.STAGE.load(embedding.Config())(batch)["vector"].combine_chunks()
    vectors = np.zeros((len(column), N_DIMENSIONS), np.int8)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    vectors[known] = column.drop_null().flatten().to_numpy().reshape(-1, N_DIMENSIONS)
    return vectors


def fit(vectors: np.ndarray, wanted: np.ndarray) -> Model:
    """Fit the discriminant. vectors: int8 (n, N_DIMENSIONS), none of them zero; wanted: bool (n,), with both values."""
    units = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    sides = [units[wanted], units[~wanted]]
    means = [side.mean(axis=0) for side in sides]
    inside = np.concatenate([side - mean for side, mean in zip(sides, means, strict=True)])
    covariance = inside.T @ inside / len(inside)
    spread = max(float(np.trace(covariance)) / N_DIMENSIONS, 1e-12)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * spread * np.eye(N_DIMENSIONS)
    weights = np.linalg.solve(shrunk, means[0] - means[1])
    return pack(weights, -float(weights @ (means[0] + means[1])) / 2)


def _evaluation(
    vectors: np.ndarray, wanted: np.ndarray, folds: np.ndarray, languages: np.ndarray
) -> list[str]:
    """AUC of left-out examples against left-out documents of the pool, by language."""
    scores = np.full(len(vectors), np.nan)
    for fold in np.unique(folds):
        own = folds == fold
        if wanted[~own].any() and not wanted[~own].all():
            scores[own] = score(vectors[own], fit(vectors[~own], wanted[~own]))
    lines = []
    for language in np.unique(languages):
        values = []
        for fold in np.unique(folds):
            own = (folds == fold) & (languages == language) & ~np.isnan(scores)
            if wanted[own].any() and not wanted[own].all():
                values.append(auc(scores[own], wanted[own]))
        if values:
            lines.append(
                f"- {language}: AUC {np.mean(values):.3f} of examples of left-out sources against the pool, "
                f"{min(values):.3f} to {max(values):.3f} over {len(values)} folds"
            )
    return lines
