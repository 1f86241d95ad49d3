"""fastText model files written byte by byte, and texts with what is special to the library."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from hypothesis import strategies as st

WORDS = ["</s>", "the", "a", "hello", "数据", "的", "é", "word__label__", "x" * 40]
LABELS = ["__label__b", "__label__a", "__label__d", "__label__c", "__label__e", "odd"]
PIECES = [*WORDS, *LABELS, "__label__new", "__label_", " ", "\n", "\t", "\r", "\v", "\0", "\u3000", "\u00a0"]
PIECES += ["ab", "中文没有空格", "😀", "é", "ÿ", "<", ">", "z" * 35, "　全角", "hello hello"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60)
MODELS: dict[str, dict[str, Any]] = {  # Any: arguments of model_bytes
    "hierarchical": {"loss": 1, "minn": 2, "maxn": 4},
    "negative": {"loss": 2, "minn": 3, "maxn": 3},
    "softmax": {"loss": 3, "minn": 1, "maxn": 6, "word_ngrams": 3},
    "one_vs_all": {"loss": 4, "minn": 0, "maxn": 0, "word_ngrams": 2},
    "words_only": {"loss": 3, "minn": 0, "maxn": 0},
    "no_end_token": {"loss": 3, "minn": 0, "maxn": 0, "words": WORDS[1:]},
    "old_version": {"loss": 3, "minn": 2, "maxn": 3, "version": 11},
    "quantised": {"loss": 3, "minn": 2, "maxn": 4, "quantised": True, "dim": 7},
    "pruned": {
        "loss": 1,
        "minn": 1,
        "maxn": 4,
        "word_ngrams": 2,
        "quantised": True,
        "kept": 0.5,
        "norm": True,
    },
    "pruned_all": {"loss": 3, "minn": 2, "maxn": 4, "word_ngrams": 2, "quantised": True, "kept": 0.0},
    "quantised_output": {"loss": 3, "minn": 2, "maxn": 2, "quantised": True, "output": True, "norm": True},
}


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
