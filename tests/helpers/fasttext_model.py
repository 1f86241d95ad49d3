"""fastText model files written byte by byte."""

from __future__ import annotations

import struct

import numpy as np

WORDS = ["</s>", "the", "a", "hello", "数据", "的", "é", "word__label__", "x" * 40]
LABELS = ["__label__b", "__label__a", "__label__d", "__label__c", "__label__e", "odd"]


def model_bytes(
    *, loss: int, minn: int, maxn: int, word_ngrams: int = 1, dim: int = 8, version: int = 12, bucket: int = 200,
    words: list[str] = WORDS, quantised: bool = False, kept: float | None = None, norm: bool = False,
    output: bool = False, kind: int = 3, labels: list[str] = LABELS, vectors: np.ndarray | None = None,
    outputs: np.ndarray | None = None, seed: int = 7,
) -> bytes:  # fmt: skip
    """A random model as fastText 0.9.2 writes it, or one with these dense matrices."""
    rng = np.random.default_rng(seed)

    def quantiser(dim: int, width: int) -> bytes:
        parts = -(-dim // width)
        last = dim - (parts - 1) * width
        return (
            struct.pack("<4i", dim, parts, width, last) + rng.normal(0, 2, dim * 256).astype("<f4").tobytes()
        )

    def matrix(rows: int, quantised: bool, given: np.ndarray | None) -> bytes:
        if given is not None:
            return struct.pack("<2q", *given.shape) + given.astype("<f4").tobytes()
        if not quantised:
            return struct.pack("<2q", rows, dim) + rng.normal(0, 2, rows * dim).astype("<f4").tobytes()
        size = rows * -(-dim // 2)
        body = struct.pack("<?2qi", norm, rows, dim, size) + rng.bytes(size) + quantiser(dim, 2)
        return body + (rng.bytes(rows) + quantiser(1, 1) if norm else b"")

    args = struct.pack("<12id", dim, 5, 5, 1, 5, word_ngrams, loss, kind, bucket, minn, maxn, 100, 1e-4)
    buckets = bucket
    pairs = b""
    if kept is not None:
        chosen = rng.permutation(bucket)[: int(kept * bucket)]
        buckets = len(chosen)
        pairs = np.stack([chosen, rng.permutation(buckets)], axis=1).astype("<i4").tobytes()
    n_pruned = -1 if kept is None else buckets
    names = [*words, *(labels if labels is LABELS else [f"__label__{label}" for label in labels])]
    head = struct.pack("<3i2q", len(names), len(words), len(labels), 1000, n_pruned)
    counts = [9] * len(words) + [50, 20, 20, 7, 3, 1, *[1] * len(labels)][: len(labels)]
    entries = b"".join(
        name.encode() + b"\0" + struct.pack("<qb", count, i >= len(words))
        for i, (name, count) in enumerate(zip(names, counts, strict=True))
    )
    weights = struct.pack("<?", quantised) + matrix(len(words) + buckets, quantised, vectors)
    weights += struct.pack("<?", output) + matrix(len(labels), output, outputs)
    return struct.pack("<2i", 793712314, version) + args + head + entries + pairs + weights
