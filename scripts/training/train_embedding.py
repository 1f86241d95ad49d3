"""Train the shipped embedding: one vector for each of 65,535 words, stems, characters and pairs of characters.

Reads the file of `embedding_teacher.py`. The mean of each language is taken from its vectors, so that the language of a
text is no part of its meaning; headword and meaning of a dictionary entry get the mean of both; the first 128 principal
components of the passages remain. Ridge regression then finds the vectors of the features whose sum, weighted by
log(1 + occurrences) and inverse document frequency, is nearest to that of the passage. Then spherical k-means over the
embedded passages gives the centroids. The result differs in the last digits between builds of numpy, so that equal
input gives an equal file on equal machines only.

Example: python -m scripts.training.train_embedding --targets embedding_targets.parquet
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from classifiers import embedding
from classifiers.embedding.features import MAX_ROWS, N_DIMENSIONS, embed, list_features, make_slots
from stages.kernels.text.text import load_tables, view

MIN_PASSAGES = 3
"""Minimum number of texts that a feature occurs in."""
RIDGE = 1.0
DICTIONARY_WEIGHT = 0.3
"""Weight of a dictionary entry; a passage has 1."""
N_STEPS = 30
N_CLUSTERS = 64
N_ROUNDS = 30
SEED = 1


class Examples(NamedTuple):
    """Texts with what they are fitted to.

    counts: float32 (n_texts, n_features), log(1 + occurrences). hashes: uint32 (n_features,). targets: float32
    (n_texts, N_DIMENSIONS), unit vectors. weights: float32 (n_texts,).
    """

    counts: sparse.csr_matrix
    hashes: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def read_examples(table: pa.Table) -> Examples:
    """Features and targets of the texts of a file of `embedding_teacher.py`."""
    text = view(table["text"].cast(pa.large_string()))
    features, begins = list_features(text.codes, text.classes, text.starts, load_tables().fold)
    hashes, columns = np.unique(features, return_inverse=True)
    counts = sparse.csr_matrix(
        (np.ones(len(columns), np.float32), columns, begins), shape=(len(table), len(hashes))
    )
    counts.sum_duplicates()
    common = np.flatnonzero(np.bincount(counts.indices, minlength=len(hashes)) >= MIN_PASSAGES)
    counts = counts[:, common]
    counts.data = np.log1p(counts.data)
    is_entry = np.asarray(table["pair"]) >= 0
    weights = np.where(is_entry, DICTIONARY_WEIGHT, 1.0).astype(np.float32)
    return Examples(counts, hashes[common], make_targets(table, is_entry), weights)


def make_targets(table: pa.Table, is_entry: np.ndarray) -> np.ndarray:
    """Principal components of the teacher's vectors without the mean of each language."""
    vectors = (
        np.asarray(table["vector"].combine_chunks().flatten()).reshape(len(table), -1).astype(np.float32)
    )
    is_chinese = np.asarray(table["language"]) == "zh"
    for of_language in (is_chinese, ~is_chinese):
        for of_kind in (is_entry, ~is_entry):
            vectors[of_language & of_kind] -= vectors[of_language & of_kind].mean(axis=0)
    pairs = np.asarray(table["pair"])[is_entry]
    pairs = np.unique(pairs, return_inverse=True)[1]
    means = np.zeros((pairs.max() + 1, vectors.shape[1]), np.float32)
    for of_language in (is_chinese[is_entry], ~is_chinese[is_entry]):  # each language counts once
        part = np.zeros_like(means)
        np.add.at(part, pairs[of_language], vectors[is_entry][of_language])
        means += part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6)
    vectors[is_entry] = means[pairs]
    passages = vectors[~is_entry] / np.linalg.norm(vectors[~is_entry], axis=1, keepdims=True)
    _, axes = np.linalg.eigh(passages.T @ passages)
    reduced = vectors @ axes[:, ::-1][:, :N_DIMENSIONS]
    return reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-6)


def fit(examples: Examples) -> np.ndarray:
    """Vectors of the features, float32 (n_features, N_DIMENSIONS), inverse document frequency included.

    Ridge regression by conjugate gradients, all dimensions side by side.
    """
    found = np.bincount(examples.counts.indices, minlength=examples.counts.shape[1])
    idf = np.log(examples.counts.shape[0] / np.maximum(found, 1)).astype(np.float32)
    x = examples.counts @ sparse.diags(idf)
    length = np.sqrt(np.asarray(x.multiply(x).sum(axis=1))).ravel()
    scale = np.sqrt(examples.weights)
    x = (sparse.diags(scale / np.maximum(length, 1e-6)) @ x).tocsr().astype(np.float32)
    transposed = x.T.tocsr()
    solution = np.zeros((x.shape[1], N_DIMENSIONS), np.float32)
    residual = transposed @ (examples.targets * scale[:, None])
    direction, square = residual.copy(), (residual**2).sum(axis=0)
    for step in range(N_STEPS):
        image = transposed @ (x @ direction) + RIDGE * direction
        rate = square / (direction * image).sum(axis=0)
        solution += rate * direction
        residual -= rate * image
        square, before = (residual**2).sum(axis=0), square
        direction = residual + square / before * direction
        print(f"step {step}: residual {np.sqrt(square.sum()):.4f}", file=sys.stderr)
    return solution * idf[:, None]


def choose(examples: Examples, vectors: np.ndarray) -> np.ndarray:
    """Indices of the MAX_ROWS features with the largest effect over all texts, in the order of their hashes."""
    squares = examples.counts.multiply(examples.counts).T @ examples.weights
    worth = np.linalg.norm(vectors, axis=1) * np.sqrt(squares)
    return np.sort(np.argsort(-worth, kind="stable")[:MAX_ROWS])


def quantise(vectors: np.ndarray) -> np.ndarray:
    """Vectors of the features as int8; the largest entries, one in ten thousand, are clipped."""
    step = np.quantile(np.abs(vectors), 0.9999) / 127
    return np.clip(np.rint(vectors / step), -127, 127).astype(np.int8)


def cluster(vectors: np.ndarray) -> np.ndarray:
    """Centroids of spherical k-means, int16 (N_CLUSTERS, N_DIMENSIONS), in order of size, largest first.

    Args: vectors, int8 (n_docs, N_DIMENSIONS).
    """
    rng = np.random.default_rng(SEED)
    points = vectors[vectors.any(axis=1)].astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    centroids = points[rng.integers(len(points), size=1)]
    while len(centroids) < N_CLUSTERS:  # k-means++
        distance = np.maximum(1 - (points @ centroids.T).max(axis=1), 0)
        centroids = np.vstack([centroids, points[rng.choice(len(points), p=distance / distance.sum())]])
    for _ in range(N_ROUNDS):
        nearest = (points @ centroids.T).argmax(axis=1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, points)
        centroids = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    order = np.argsort(-np.bincount(nearest, minlength=N_CLUSTERS), kind="stable")
    return np.rint(centroids[order] * embedding.CENTROID_LENGTH).astype(np.int16)


def main() -> None:
    """Read the command line, train and write the two files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--targets", type=Path, required=True, help="file of embedding_teacher.py")
    parser.add_argument("--out", type=Path, default=Path(embedding.MODEL_PATH))
    parser.add_argument("--centroids", type=Path, default=Path(embedding.CENTROIDS_PATH))
    arguments = parser.parse_args()
    table = pq.read_table(arguments.targets)
    examples = read_examples(table)
    kept = choose(examples, fit(examples))
    examples = examples._replace(counts=examples.counts[:, kept], hashes=examples.hashes[kept])
    matrix = quantise(fit(examples))
    np.savez_compressed(arguments.out, hashes=examples.hashes, matrix=matrix)
    passages = view(table.filter(np.asarray(table["pair"]) < 0)["text"].cast(pa.large_string()))
    fold, slots = load_tables().fold, make_slots(examples.hashes)
    vectors = embed(passages.codes, passages.classes, passages.starts, fold, slots, matrix)
    np.savez_compressed(arguments.centroids, centroids=cluster(vectors))
    print(f"{len(kept):,} of the features kept; files {arguments.out}, {arguments.centroids}")


if __name__ == "__main__":
    main()
