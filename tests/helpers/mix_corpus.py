"""Random documents to plan mixes over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.mix.order import keyed_hash


def doc_ids(n: int, seed: int = 0) -> pa.Array:
    """Distinct ids of 26 characters."""
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
    codes = np.random.default_rng(seed).integers(0, 32, (n, 26))
    return pa.array([row.tobytes().decode() for row in letters[codes]], pa.string())


def corpus(n: int, seed: int = 0, labels: tuple[str, ...] = ("eng_Latn", "zho_Hans")) -> dict[str, Any]:
    """Documents with log-normal lengths: hashes, tokens and labels."""
    rng = np.random.default_rng(seed)
    return {
        "hashes": keyed_hash(doc_ids(n, seed), 0),
        "tokens": np.ceil(rng.lognormal(6, 1, n)).astype(np.int64),
        "labels": pa.array(np.array(labels)[rng.integers(0, len(labels), n)].tolist(), pa.string()),
    }
