"""Corpora of random near duplicates, and the deduplication steps run on them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipeline.stage import Global
from stages import dedup, minhash
from stages.dedup import candidates, exact, keepers
from tests.helpers.run_global import align, number_rows, run_global

WORDS = np.array(
    [a + b + c for a in "bdfklmnprst" for b in "aeiou" for c in ("n", "r", "s", "lo", "ti", "ka")]
)
HAN = np.array([chr(code) for code in range(0x4E00, 0x4E00 + 2000)])


def english(rng: np.random.Generator, n_words: int) -> list[str]:
    """Random words."""
    return [f"{word} " for word in rng.choice(WORDS, n_words)]


def chinese(rng: np.random.Generator, n_chars: int) -> list[str]:
    """Random ideographs with a full stop now and then."""
    return [char + ("。" if i % 12 == 11 else "") for i, char in enumerate(rng.choice(HAN, n_chars))]


def edited(rng: np.random.Generator, units: list[str], n_edits: int) -> list[str]:
    """A copy in which some units are replaced by others of the same document."""
    changed = list(units)
    for place in rng.integers(0, len(units), n_edits):
        changed[place] = changed[rng.integers(0, len(units))]
    return changed


def corpus(seed: int, n_families: int = 8) -> list[str]:
    """Families of near copies in both languages, with more and more edits."""
    rng = np.random.default_rng(seed)
    texts = []
    for family in range(n_families):
        units = (english if family % 2 else chinese)(rng, int(rng.integers(40, 400)))
        texts += ["".join(edited(rng, units, n)) for n in (0, 0, 1, 3, 6, 12)]
    return texts


def shards_of(texts: Sequence[str | None], sizes: Sequence[int], order: Sequence[int]) -> list[pa.Table]:
    """Numbered shards of these texts in this order, with exact hashes and band keys; doc_ids number the texts."""
    table = pa.table(
        {
            "text": pa.array([texts[i] for i in order], pa.large_string()),
            "doc_id": [f"doc{i:04}" for i in order],
            **{
                name: pa.nulls(len(order), pa.string())
                for name in ("parent_id", "provenance", "source", "snapshot")
            },
        }
    )
    for stage in (exact.STAGE, minhash.STAGE):
        columns = stage.load(stage.config())(table)
        for name in columns.column_names:
            table = table.append_column(f"{stage.name}.{name}", columns[name])
    starts = np.cumsum([0, *sizes])
    return number_rows([table.slice(int(a), int(b - a)) for a, b in pairwise(starts)])


def run_steps(shards: list[pa.Table], n_partitions: int, config: dedup.Config) -> pa.Table:
    """Run candidates, dedup and keepers; the first document by number is the best."""
    steps: list[tuple[Global, object]] = [(candidates.GLOBAL, candidates.Config()), (dedup.GLOBAL, config)]
    for step, setting in steps:
        shards = align(run_global(step, shards, setting, n_partitions), shards, step)
    shards = [
        shard.append_column("eligible", pa.array([True] * shard.num_rows, pa.bool_()))
        .append_column("fixed", pa.array([False] * shard.num_rows, pa.bool_()))
        .append_column("order", pa.array([[]] * shard.num_rows, pa.list_(pa.float64())))
        for shard in shards
    ]
    outcome = run_global(keepers.GLOBAL, shards, keepers.Config(), n_partitions)
    return pa.concat_tables(align(outcome, shards, keepers.GLOBAL)).sort_by("doc_id")
