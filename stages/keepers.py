"""Keepers: which members of a cluster stay, by order of preference and verified pairs alone.

Reads cluster, verified pairs, whether a document passed the rules, and what the order compares; writes
whether it is a keeper and, if not, for which one it goes. No text is read, so that changing the order takes
minutes.

Members are walked in order. One that is like a keeper goes; any other becomes a keeper, and so does each that is
fixed, a reference. Two documents are alike if their pair was verified, or if both are so close to a third that they
must be: the Jaccard distance 1 - J is a metric (Lipkus, J. Math. Chem. 26, 1999), hence J(x, z) >= J(x, y) + J(y, z)
- 1. This settles members of oversized groups, which were compared with a few leaders only, and it does not chain: the
bound holds for the very pair it removes, as far as all three were compared by the same kind of shingles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Global, Outcome
from stages import exact
from stages.kernels.hashing import hash_lanes, string_keys
from stages.kernels.unionfind import components, locate

SCHEMA = pa.schema(
    {
        "is_keeper": pa.bool_(),
        "keeper_id": pa.string(),
        "similarity": pa.float32(),
        "kind": pa.string(),
        "verified": pa.bool_(),
    }
)
"""All null for a document in no cluster. is_keeper: False for members that go and for ineligible ones.
keeper_id and similarity: the first keeper that the member is like, and how much at least; null for keepers,
and for ineligible members that are like none. kind: how it is like its keeper, RAW, EXACT or NEAR. verified: whether
the two were compared themselves, or must be alike because of a third."""

RAW, EXACT, NEAR = "raw", "exact", "near"
"""The same text; the same match text; another text that is as similar as the threshold asks."""

HASHES = ("match_hash", "raw_hash")

READS = (
    "doc_id", "dedup.cluster", "dedup.pairs", "exact.match_hash", "exact.raw_hash", "eligible", "fixed", "order",
)  # fmt: skip
KEPT = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


@dataclass(frozen=True, kw_only=True)
class Config:
    """threshold: least proven similarity for which a member goes without a verified pair; that of dedup."""

    threshold: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                f"keepers.threshold is {self.threshold}; expected a number above 0 and at most 1"
            )


def map_members(table: pa.Table, config: Config) -> pa.Table:
    """Members of clusters, keyed by cluster.

    `order` holds the values to compare, the same number in every row: larger is better, the first counts
    most, null and NaN are worst. Ties go to the smaller doc_id.
    """
    members = table.filter(pc.is_valid(table["dedup.cluster"]))
    columns = {
        "key": string_keys(members["dedup.cluster"]),
        "row": members["row"],
        "doc_id": members["doc_id"],
    }
    columns |= {name: members[name] for name in ("eligible", "fixed", "order")}
    columns |= {"pairs": members["dedup.pairs"]}
    columns |= {name: members[f"exact.{name}"].cast(exact.HASH) for name in HASHES}
    return pa.table(columns)


def choose(table: pa.Table, config: Config) -> pa.Table:
    """Walk the clusters of one partition.

    Clusters that share a key are told apart by their pairs, because only pairs decide.
    """
    table = _in_order(table).combine_chunks()
    source, target, similarity = _edges(table)
    same = similarity >= 1
    classes = components(table.num_rows, source[same], target[same])
    starts, ends, weights = _class_edges(classes, source[~same], target[~same], similarity[~same])
    eligible, fixed = (table[name].to_numpy() for name in ("eligible", "fixed"))
    keeper, alike = walk(eligible, fixed, classes, starts, ends, weights, config.threshold)
    itself = keeper == np.arange(len(keeper))
    lost = pa.array((keeper < 0) | itself)
    names = pc.if_else(lost, pa.scalar(None, pa.string()), table["doc_id"].take(np.maximum(keeper, 0)))
    shown = pc.if_else(lost, pa.scalar(None, pa.float32()), pa.array(alike.astype(np.float32)))
    kind = pc.if_else(lost, pa.scalar(None, pa.string()), pa.array(_kinds(table, np.maximum(keeper, 0))))
    compared = _compared(classes, source, target, np.maximum(keeper, 0)) | (alike >= 1)
    verified = pc.if_else(lost, pa.scalar(None, pa.bool_()), pa.array(compared))
    return pa.table([table["row"], pa.array(itself), names, shown, kind, verified], schema=KEPT)


def _kinds(table: pa.Table, keeper: np.ndarray) -> np.ndarray:
    """How each member is like the member at `keeper`: RAW, EXACT or NEAR."""
    same = []
    for name in HASHES:
        hashes = table[name].combine_chunks()
        lanes = hash_lanes(hashes)
        known = np.asarray(hashes.is_valid())
        same.append(known & known[keeper] & (lanes == lanes[keeper]).all(axis=1))
    return np.where(same[1], RAW, np.where(same[0], EXACT, NEAR)).astype(object)


def _compared(classes: np.ndarray, source: np.ndarray, target: np.ndarray, keeper: np.ndarray) -> np.ndarray:
    """Whether each member, or its like in the same class, has a verified pair with that of `keeper`: bool (n,)."""
    n = len(classes)
    return np.isin(classes * n + classes[keeper], classes[source] * n + classes[target])


def _in_order(table: pa.Table) -> pa.Table:
    """Sort by key, then by preference."""
    n_values = pc.max(pc.list_value_length(table["order"])).as_py() or 0
    columns = {f"order_{i}": pc.list_element(table["order"], i) for i in range(n_values)}
    columns |= {"key": table["key"], "doc_id": table["doc_id"]}
    keys = [
        ("key", "ascending"),
        *((f"order_{i}", "descending") for i in range(n_values)),
        ("doc_id", "ascending"),
    ]
    return table.take(pc.sort_indices(pa.table(columns), sort_keys=keys))


def _edges(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of both ends, and similarity, of each verified pair; pairs with an erased row are gone."""
    pairs = table["pairs"].combine_chunks()
    source = pc.list_parent_indices(pairs).to_numpy().astype(np.int64)
    flat = pc.list_flatten(pairs)
    target, found = locate(table["row"].to_numpy(), flat.field("row").to_numpy())
    return source[found], target[found], flat.field("similarity").to_numpy()[found].astype(np.float64)


def _class_edges(
    classes: np.ndarray, source: np.ndarray, target: np.ndarray, similarity: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges between classes of equal documents by first end: starts (n + 1,), second ends, similarities."""
    source, target = classes[source], classes[target]
    order = np.lexsort((similarity, target, source))
    return np.searchsorted(source[order], np.arange(len(classes) + 1)), target[order], similarity[order]


@nb.njit(cache=True, nogil=True)
def walk(
    eligible: np.ndarray,
    fixed: np.ndarray,
    classes: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    similarity: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Decide each member, in order of preference.

    Args: eligible, bool (n,); fixed, bool (n,), which of those are keepers whatever they are like; classes, int64
    (n,), the same for members of similarity 1; starts, ends, similarity, the verified pairs between classes, both
    directions, grouped by first end; threshold, of proven similarity.
    Returns: int64 (n,), the keeper that each member is like, itself for keepers, -1 for none; float64 (n,),
    the similarity, or what it is at least.
    """
    n = len(classes)
    keeper_of = np.full(n, -1)  # per class: the first keeper it is like, and how much
    like = np.zeros(n)
    nearest = np.full(n, -1)  # per class: the keeper most like it, as a witness for others
    near = np.zeros(n)
    keeper = np.full(n, -1)
    for member in range(n):
        own = classes[member]
        if not eligible[member]:
            continue
        if keeper_of[own] < 0:
            for edge in range(starts[own], starts[own + 1]):
                bound = near[ends[edge]] + similarity[edge] - 1.0
                if nearest[ends[edge]] >= 0 and bound >= threshold and bound > like[own]:
                    keeper_of[own], like[own] = nearest[ends[edge]], bound
        if keeper_of[own] >= 0 and not fixed[member]:
            keeper[member] = keeper_of[own]
            continue
        keeper[member] = member
        if keeper_of[own] < 0:
            keeper_of[own], like[own] = member, 1.0
        for edge in range(starts[own], starts[own + 1]):
            other = ends[edge]
            if keeper_of[other] < 0:
                keeper_of[other], like[other] = member, similarity[edge]
            if similarity[edge] > near[other]:
                nearest[other], near[other] = member, similarity[edge]
    for member in range(n):
        if not eligible[member]:
            keeper[member] = keeper_of[classes[member]]
    return keeper, like[classes]


def finish(table: pa.Table, config: Config) -> Outcome:
    """The decisions as they are, and how many of each kind."""
    n_keepers = int(pc.sum(table["is_keeper"]).as_py() or 0)
    summary = pa.table({"members": [table.num_rows], "keepers": [n_keepers]})
    return Outcome(rows=table, artefacts={"summary": summary})


GLOBAL = Global(
    name="keepers",
    version=2,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the cluster",
    map=map_members,
    reduce=choose,
    finish=finish,
)
