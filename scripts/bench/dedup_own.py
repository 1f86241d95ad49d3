"""bicorpus as a tool of bench_dedup.py: signatures, candidate groups, keepers and a profile.

Usage: python -m scripts.bench.dedup_own TOOL CORPUS LANGUAGE CORE. See dedup_worker for its input and output.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

from scripts.bench.dedup_worker import pin, serve

if __name__ == "__main__":
    pin(int(sys.argv[4]))

import numba
import numpy as np
import pyarrow as pa

from pipeline import __version__
from stages import dedup, minhash
from stages.dedup import candidates, exact, keepers
from stages.kernels.dedup import minhash as minhash_kernels
from stages.kernels.dedup.minhash import hash_bands
from stages.kernels.text import text as text_kernels

CONFIG = minhash.Config()

PARTS: tuple[tuple[ModuleType, str, str], ...] = (
    (exact, "match_text", "decode and fold"),
    (minhash, "match_text", "decode and fold"),
    (minhash, "hash_units", "units and shingles"),
    (minhash, "hash_shingles", "units and shingles"),
    (minhash, "sign", "sign"),
    (minhash, "hash_bands", "bands"),
)
"""Functions called by the stages, and the label of the profile that their time is counted to."""

STEPS: tuple[tuple[ModuleType, dict[str, str]], ...] = (
    (candidates, dict.fromkeys(("map", "reduce", "finish"), "candidates")),
    (dedup, {"map": "verify: sets", "reduce": "verify: compare", "finish": "cluster"}),
    (keepers, dict.fromkeys(("map", "reduce", "finish"), "keepers")),
)


def forget() -> None:
    """Clear the cached views of the last batch, so that every repeat decodes and folds."""
    text_kernels._Last.entry = None
    minhash_kernels._Last.entry = None


def batches(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    """Slices of dedup.TEXT_ROWS rows, as in the package."""
    return (column.slice(start, dedup.TEXT_ROWS) for start in range(0, len(column), dedup.TEXT_ROWS))


class Clock:
    """Wall seconds by label; nested timed functions are counted to their own label only."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.open: list[str] = []
        self.since = 0.0

    def timed(self, label: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function to time it. Any: its arguments and result."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self.open.append(label)
            try:
                return work(*args, **kwargs)
            finally:
                self._turn()
                self.open.pop()

        return run

    def _turn(self) -> None:
        now = time.perf_counter()
        if self.open:
            self.spent[self.open[-1]] += now - self.since
        self.since = now


@contextmanager
def put(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a module temporarily; Any: the attribute."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


class Bicorpus:
    """cluster_texts with its defaults: 168 hashes in 28 bands, verified from text at 0.8."""

    def __init__(self) -> None:
        packages = {"numba": numba.__version__, "numpy": np.__version__, "pyarrow": pa.__version__}
        self.versions = {"bicorpus": __version__, **packages}

    def prepare(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """The Arrow column itself, as read from Parquet."""
        return column

    def keep(self, texts: pa.ChunkedArray) -> np.ndarray:
        """Rows to remove, by cluster_texts."""
        forget()
        keeper = dedup.cluster_texts(texts)["keeper"].to_numpy()
        return np.flatnonzero(keeper != np.arange(len(keeper)))

    def sign(self, texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Signatures, and whether each text has units; includes decoding, folding and shingling."""
        forget()
        signed = np.empty((len(texts), CONFIG.n_bands * CONFIG.band_rows), np.uint32)
        has_units = np.empty(len(texts), bool)
        for i, batch in enumerate(batches(texts)):
            rows = slice(i * dedup.TEXT_ROWS, i * dedup.TEXT_ROWS + len(batch))
            signed[rows], has_units[rows] = minhash.signatures(batch, CONFIG)
        return signed, has_units

    def cluster_input(self, texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, pa.ChunkedArray]:
        """Signatures and exact hashes."""
        annotate = exact.STAGE.load(exact.STAGE.config())
        hashes = pa.concat_tables(annotate(pa.table({"text": batch})) for batch in batches(texts))
        return *self.sign(texts), hashes["match_hash"]

    def cluster(self, signed: tuple[np.ndarray, np.ndarray, pa.ChunkedArray]) -> int:
        """Number of documents in candidate groups; pairs are not verified, as in most peers."""
        signatures, has_units, hashes = signed
        keys = hash_bands(signatures, CONFIG.n_bands)[has_units].reshape(-1)
        offsets = np.concatenate([[0], np.cumsum(has_units * CONFIG.n_bands)])
        table = pa.table(
            {
                "minhash.band_keys": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(keys)),
                "exact.match_hash": hashes,
                "parent_id": pa.nulls(len(signatures), pa.string()),
                "provenance": pa.nulls(len(signatures), pa.string()),
                "row": np.arange(len(signatures), dtype=np.uint64),
            }
        )
        step, config = candidates.GLOBAL, candidates.Config()
        mapped = step.map(table, config).sort_by([("key", "ascending"), ("row", "ascending")])
        rows = step.finish(step.reduce(mapped, config), config).rows
        assert rows is not None
        return int(rows.num_rows)

    def profile(self, texts: pa.ChunkedArray) -> dict[str, float]:
        """Seconds of cluster_texts by label; `the rest` is the time outside all labels."""
        clock = Clock()
        with ExitStack() as stack:
            for module, name, label in PARTS:
                stack.enter_context(put(module, name, clock.timed(label, getattr(module, name))))
            stage = exact.STAGE
            load = lambda config: clock.timed("exact", stage.load(config))  # noqa: E731 - one expression
            stack.enter_context(put(exact, "STAGE", replace(stage, load=load)))
            for module, labels in STEPS:
                timed = {
                    name: clock.timed(label, getattr(module.GLOBAL, name)) for name, label in labels.items()
                }
                stack.enter_context(put(module, "GLOBAL", replace(module.GLOBAL, **timed)))
            start = time.perf_counter()
            self.keep(texts)
            total = time.perf_counter() - start
        return dict(clock.spent) | {"the rest": total - sum(clock.spent.values()), "total": total}


TOOLS: dict[str, Callable[[], Bicorpus]] = {"bicorpus": Bicorpus}

if __name__ == "__main__":
    serve(TOOLS[sys.argv[1]], sys.argv[2])
