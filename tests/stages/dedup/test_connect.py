"""Connected components in rounds over groups of shards, against union-find."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables, play_in_memory
from pipeline.schema import ROW_BITS
from pipeline.stage import outcome_of
from stages.dedup import candidates
from stages.dedup.connect import CONNECT, EDGES, labels_of
from stages.kernels.dedup.unionfind import components

SHARD_ROWS = 1000


def row_of(nodes: np.ndarray) -> np.ndarray:
    """Row numbers of nodes, SHARD_ROWS to a shard."""
    return (nodes // SHARD_ROWS << ROW_BITS | nodes % SHARD_ROWS).astype(np.uint64)


def hand_on(inbox: Inbox, shared: Tables, config: None) -> Sent:
    """The results of reduce as edges."""
    return Sent({"edges": inbox[RESULTS]})


def give_labels(inbox: Inbox, shared: Tables, config: None) -> Sent:
    """Labels of the group's rows that are not the smallest of their component."""
    edges = inbox["edges"]
    labels = labels_of(edges["row"].to_numpy(), edges)
    return Sent(values=pa.table([edges["row"], labels], names=["row", "label"]))


ROUNDS = (
    Round(name="edges", run=hand_on, takes=(RESULTS,)),
    CONNECT,
    Round(name="labels", run=give_labels, takes=("edges",)),
)


def connect(left: np.ndarray, right: np.ndarray, n_nodes: int, n_groups: int) -> tuple[np.ndarray, int]:
    """Labels of nodes from edges in any direction, and the turns that it took."""
    small, large = np.minimum(left, right), np.maximum(left, right)
    proper = small < large
    edges = pa.table([row_of(large[proper]), row_of(small[proper])], schema=EDGES)
    n_shards = -(-n_nodes // SHARD_ROWS)
    starts = [i * n_shards // n_groups for i in range(n_groups)]
    ended = play_in_memory(edges, ROUNDS, lambda shared, _: dict(shared), None, starts=starts)
    labels = np.arange(n_nodes)
    if ended.rows is not None:
        rows, found = (ended.rows[name].to_numpy().astype(np.int64) for name in ("row", "label"))
        nodes, names = ((v >> ROW_BITS) * SHARD_ROWS + (v & ((1 << ROW_BITS) - 1)) for v in (rows, found))
        assert len(np.unique(nodes)) == len(nodes)
        labels[nodes] = names
    return labels, ended.artefacts["connecting"]["turns"][0].as_py()


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10_000),
    n_groups=st.sampled_from([1, 2, 5, 9]),
    density=st.sampled_from([0.3, 0.6, 1.5]),
)
def test_labels_are_those_of_union_find(seed: int, n_groups: int, density: float) -> None:
    """For random pairs, with repetitions, over any number of groups."""
    rng = np.random.default_rng(seed)
    n = 9 * SHARD_ROWS
    nodes = rng.choice(n, 60, replace=False)
    left, right = nodes[rng.integers(0, 60, (2, int(60 * density)))]
    labels, turns = connect(left, right, n, n_groups)
    assert labels.tolist() == components(n, left, right).tolist()
    assert n_groups > 1 or turns == 1


def shape(name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a graph of n nodes in random places."""
    rng = np.random.default_rng(3)
    place = rng.permutation(n)
    nodes = np.arange(n)
    edges = {
        "path": (place[:-1], place[1:]),
        "sorted path": (nodes[:-1], nodes[1:]),
        "star": (np.full(n - 1, place[0]), place[1:]),
        "star of the last": (np.full(n - 1, n - 1), nodes[:-1]),
        "random": tuple(rng.integers(0, n, (2, n))),
    }
    return edges[name]


@pytest.mark.parametrize("name", ["path", "sorted path", "star", "star of the last", "random"])
def test_hard_shapes_end_in_few_turns(name: str) -> None:
    """A path, a star and random pairs of 20,000 documents in seven groups: labels of union-find, turns by logarithm."""
    n = 20 * SHARD_ROWS
    left, right = shape(name, n)
    labels, turns = connect(left, right, n, 7)
    assert labels.tolist() == components(n, left, right).tolist()
    assert turns <= 2 * math.log2(n)


@pytest.mark.parametrize("n_groups", [1, 3])
def test_a_clique_above_the_leader_limit_is_one_component(n_groups: int) -> None:
    """Documents that all share a key are linked by leaders alone, and its size is known in every group."""
    n = candidates.MAX_TOGETHER + 1000
    rows = row_of(np.random.default_rng(1).permutation(6 * SHARD_ROWS)[:n])
    keyed = pa.table(
        [np.full(n, 7, np.uint64), np.sort(rows), np.arange(n).astype(np.uint64)], schema=candidates.KEYED
    )
    pairs = candidates.link_keys(keyed, candidates.Config())
    outcome = outcome_of(
        candidates.GLOBAL, pairs, candidates.Config(), [i * 6 // n_groups for i in range(n_groups)]
    )
    (summary,) = outcome.artefacts["summary"].to_pylist()
    assert (summary["documents"], summary["groups"], summary["largest_group"]) == (n, 1, n)
    assert outcome.rows is not None
    listed = outcome.rows.sort_by("row").to_pylist()
    blocks: dict[int, set[int]] = {}
    for one in listed:  # of a large component: the block of the end with fewer partners
        assert len(one["groups"]) == len(one["partners"])
        for group, other in zip(one["groups"], one["partners"], strict=True):
            blocks.setdefault(group, set()).update((one["row"], other))
    leaders = {one["row"] for one in listed if len(one["partners"]) == n - 1}
    assert len(leaders) == candidates.Config().leaders
    for one in listed:
        assert one["row"] in leaders or len(set(one["groups"])) == 1
    assert max(map(len, blocks.values())) <= candidates.BLOCK_DOCS + len(leaders)
