"""Candidates: which documents are compared at all, and where."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stages import dedup
from stages.dedup import candidates
from stages.dedup.scope import Scope
from tests.helpers.near_duplicates import chinese, corpus, run_steps, shards_of
from tests.helpers.run_global import align, run_global


def test_large_groups_are_compared_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components too large for one group are compared pair by pair in several groups, with the same result."""
    texts = corpus(4)
    names = ["doc_id", "dedup.cluster", "dedup.cluster_size", "dedup.pairs"]
    together = run_steps(shards_of(texts, [len(texts)], range(len(texts))), 4, dedup.Config())
    monkeypatch.setattr(candidates, "MAX_TOGETHER", 2)
    apart = run_steps(shards_of(texts, [len(texts)], range(len(texts))), 4, dedup.Config())
    groups = pc.list_value_length(apart["candidates.groups"])
    assert (
        pc.max(groups).as_py() > 1
        and pc.max(pc.list_value_length(together["candidates.groups"])).as_py() == 1
    )
    assert apart.select(names).equals(together.select(names))


@pytest.mark.parametrize(("scope", "n_clusters"), [("global", 1), ("source", 2), ("snapshot", 3)])
def test_only_documents_of_one_scope_are_compared(scope: Scope, n_clusters: int) -> None:
    """One page in two sources and three snapshots is one cluster, two or three."""
    page = "".join(chinese(np.random.default_rng(8), 200))
    (shard,) = shards_of([page] * 8, [8], range(8))
    places = {"source": ["a"] * 6 + ["b"] * 2, "snapshot": ["1", "1", "2", "2", None, None, "1", "2"]}
    for name, values in places.items():
        shard = shard.set_column(shard.schema.get_field_index(name), name, pa.array(values, pa.string()))
    found = run_global(candidates.GLOBAL, [shard], candidates.Config(scope=scope), 4)
    (shard,) = align(found, [shard], candidates.GLOBAL)
    (shard,) = align(run_global(dedup.GLOBAL, [shard], dedup.Config(), 4), [shard], dedup.GLOBAL)
    assert len(set(shard["dedup.cluster"].to_pylist()) - {None}) == n_clusters
