"""Keepers: which members of a cluster are kept, by order of preference and verified pairs alone.

Reads cluster, verified pairs, whether a document passed the rules, and the values that define the order; writes
whether it is a keeper and, if not, the keeper in favour of which it is removed. No text is read, so that changing the
order takes minutes.

Members are processed in order of preference. A member similar to an existing keeper is removed; otherwise it becomes a
keeper, as does every fixed member (a reference). Two documents are similar if their pair was verified, or if their
similarities to a third imply it: the Jaccard distance 1 - J is a metric (Lipkus, J. Math. Chem. 26, 1999), hence
J(x, z) >= J(x, y) + J(y, z) - 1. The bound decides members of oversized groups, which were compared with a few leaders
only. It does not chain, because it applies to the removed pair itself, provided that all three documents were compared
by the same sort of shingles.

Where the bound is too weak, thousands of members of an oversized group would be kept beside a keeper that they were not
compared with. Instead one of the leaders that they are similar to becomes a keeper again, although it is similar to the
first one: one document too many, and each removed one is still similar to a kept one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables, add_counts
from pipeline.stage import Global, Outcome, outcome_of
from stages.dedup import exact
from stages.kernels.dedup.unionfind import components, locate
from stages.kernels.text.hashing import hash_lanes, string_keys

SCHEMA = pa.schema(
    {
        "is_keeper": pa.bool_(),
        "keeper_id": pa.string(),
        "similarity": pa.float32(),
        "kind": pa.string(),
        "verified": pa.bool_(),
    }
)
"""All null for a document in no cluster. is_keeper: False for removed and for ineligible members. keeper_id and
similarity: the first keeper similar to the member, and their least similarity; null for keepers, and for ineligible
members without a similar keeper. kind: RAW, EXACT or NEAR. verified: whether the two were compared directly; False if
their similarity follows from a third document."""

RAW, EXACT, NEAR = "raw", "exact", "near"
"""The same text; the same match text; a different text with a similarity of at least the threshold."""

HASHES = ("match_hash", "raw_hash")

HUB_PAIRS = 64
"""Verified pairs that a leader of an oversized group has more than. A member with fewer was compared with everything
that it shares a key with: `candidates.max_group`."""

READS = (
    "doc_id", "cluster", "pairs", "exact.match_hash", "exact.raw_hash", "eligible", "fixed", "order",
)  # fmt: skip
KEPT = pa.schema([pa.field("row", pa.uint64()), *SCHEMA])


@dataclass(frozen=True, kw_only=True)
class Config:
    """threshold: least bound on similarity at which a member without a verified pair is removed; that of dedup."""

    threshold: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                f"keepers.threshold is {self.threshold}; expected a number above 0 and at most 1"
            )


def map_members(table: pa.Table, config: Config) -> pa.Table:
    """Return the members of clusters, keyed by cluster.

    `order` contains the values to compare, the same number in every row: larger is better, the first counts
    most, null and NaN are worst. Ties go to the smaller doc_id.

    Args: table, with READS and `row`.
    Returns: one row per member: `key` uint64, `row`, `doc_id`, `eligible`, `fixed`, `order`, `pairs` and both hashes.
    """
    members = table.filter(pc.is_valid(table["cluster"]))
    columns = {
        "key": string_keys(members["cluster"]),
        "row": members["row"],
        "doc_id": members["doc_id"],
    }
    columns |= {name: members[name] for name in ("eligible", "fixed", "order")}
    columns |= {"pairs": members["pairs"]}
    columns |= {name: members[f"exact.{name}"].cast(exact.HASH) for name in HASHES}
    return pa.table(columns)


def choose(table: pa.Table, config: Config) -> pa.Table:
    """Choose the keepers of the clusters of one partition.

    Clusters whose keys collide do not affect each other, because only pairs decide.

    Args: table, as `map_members` returns it, one partition.
    Returns: a table of KEPT.
    """
    table = _in_order(table).combine_chunks()
    source, target, similarity = _edges(table)
    same = similarity >= 1
    classes = components(table.num_rows, source[same], target[same])
    starts, ends, weights = _class_edges(classes, source[~same], target[~same], similarity[~same])
    eligible, fixed = (table[name].to_numpy() for name in ("eligible", "fixed"))
    keeper, bounds = walk(eligible, fixed, classes, starts, ends, weights, config.threshold)
    is_keeper = keeper == np.arange(len(keeper))
    no_keeper = pa.array((keeper < 0) | is_keeper)
    names = pc.if_else(no_keeper, pa.scalar(None, pa.string()), table["doc_id"].take(np.maximum(keeper, 0)))
    similarities = pc.if_else(no_keeper, pa.scalar(None, pa.float32()), pa.array(bounds.astype(np.float32)))
    kind = pc.if_else(no_keeper, pa.scalar(None, pa.string()), pa.array(_kinds(table, np.maximum(keeper, 0))))
    compared = _compared(classes, source, target, np.maximum(keeper, 0)) | (bounds >= 1)
    verified = pc.if_else(no_keeper, pa.scalar(None, pa.bool_()), pa.array(compared))
    return pa.table([table["row"], pa.array(is_keeper), names, similarities, kind, verified], schema=KEPT)


def _kinds(table: pa.Table, keeper: np.ndarray) -> np.ndarray:
    """Sort of similarity of each member and the member at `keeper`: RAW, EXACT or NEAR."""
    same = []
    for name in HASHES:
        hashes = table[name].combine_chunks()
        lanes = hash_lanes(hashes)
        has_hash = np.asarray(hashes.is_valid())
        same.append(has_hash & has_hash[keeper] & (lanes == lanes[keeper]).all(axis=1))
    return np.where(same[1], RAW, np.where(same[0], EXACT, NEAR)).astype(object)


def _compared(classes: np.ndarray, source: np.ndarray, target: np.ndarray, keeper: np.ndarray) -> np.ndarray:
    """Whether a member of each one's class has a verified pair with a member of its keeper's class: bool (n,)."""
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
    """Positions of both ends, and similarity, of each verified pair, without pairs of which a row was erased."""
    pairs = table["pairs"].combine_chunks()
    source = pc.list_parent_indices(pairs).to_numpy().astype(np.int64)
    flat = pc.list_flatten(pairs)
    target, exists = locate(table["row"].to_numpy(), flat.field("row").to_numpy())
    return source[exists], target[exists], flat.field("similarity").to_numpy()[exists].astype(np.float64)


def _class_edges(
    classes: np.ndarray, source: np.ndarray, target: np.ndarray, similarity: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges between classes of equal documents, by first end: starts (n + 1,), second ends, similarities."""
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
    """Choose keepers, member by member, in order of preference.

    Args: eligible, bool (n,); fixed, bool (n,), which of the eligible ones are keepers in any case; classes, int64
    (n,), equal for members of similarity 1; starts int64 (n + 1,), ends int64 and similarity float64 (n_edges,), the
    verified pairs between classes, in both directions, grouped by first end; threshold, of the bound on similarity.
    Returns: int64 (n,), the keeper similar to each member, itself for keepers, -1 for none; float64 (n,), their
    similarity or a lower bound of it.
    """
    n = len(classes)
    keeper_of = np.full(n, -1)  # per class: the first keeper similar to it, and their similarity
    like = np.zeros(n)
    nearest = np.full(n, -1)  # per class: the keeper most similar to it, for bounds of other classes
    near = np.zeros(n)
    keeper = np.full(n, -1)
    first = _first_eligible(eligible, classes)
    for member in range(n):
        own = classes[member]
        if not eligible[member]:
            continue
        if keeper_of[own] < 0:
            for edge in range(starts[own], starts[own + 1]):
                bound = near[ends[edge]] + similarity[edge] - 1.0
                if nearest[ends[edge]] >= 0 and bound >= threshold and bound > like[own]:
                    keeper_of[own], like[own] = nearest[ends[edge]], bound
        if keeper_of[own] < 0 and not fixed[member]:
            hub = _hub(own, starts, ends, keeper_of, first)
            if hub >= 0:
                keeper_of[hub], like[hub] = first[hub], 1.0
                _keep(first[hub], hub, keeper, keeper_of, like, nearest, near, starts, ends, similarity)
        if keeper_of[own] >= 0 and not fixed[member]:
            keeper[member] = keeper_of[own]
            continue
        if keeper_of[own] < 0:
            keeper_of[own], like[own] = member, 1.0
        _keep(member, own, keeper, keeper_of, like, nearest, near, starts, ends, similarity)
    for member in range(n):
        if not eligible[member]:
            keeper[member] = keeper_of[classes[member]]
    return keeper, like[classes]


@nb.njit(cache=True, nogil=True)
def _first_eligible(eligible: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The first eligible member of each class, -1 for none: int64 (n,)."""
    first = np.full(len(classes), -1)
    for member in range(len(classes) - 1, -1, -1):
        if eligible[member]:
            first[classes[member]] = member
    return first


@nb.njit(cache=True, nogil=True)
def _hub(own: int, starts: np.ndarray, ends: np.ndarray, keeper_of: np.ndarray, first: np.ndarray) -> int:
    """The removed class with the most pairs that a class is similar to, if it is one of leaders; -1 for none.

    It has more than HUB_PAIRS pairs and at least twice those of the class, which shows that the class was compared with
    a part of its group.
    """
    hub, most = -1, max(HUB_PAIRS, 2 * (starts[own + 1] - starts[own]) - 1)
    for edge in range(starts[own], starts[own + 1]):
        other = ends[edge]
        n_pairs = starts[other + 1] - starts[other]
        if n_pairs > most and keeper_of[other] >= 0 and first[other] >= 0:
            hub, most = other, n_pairs
    return hub


@nb.njit(cache=True, nogil=True)
def _keep(
    member: int,
    own: int,
    keeper: np.ndarray,
    keeper_of: np.ndarray,
    like: np.ndarray,
    nearest: np.ndarray,
    near: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    similarity: np.ndarray,
) -> None:
    """Make a member a keeper, also of the classes similar to its own that have none; arrays as in `walk`."""
    keeper[member] = member
    for edge in range(starts[own], starts[own + 1]):
        other = ends[edge]
        if keeper_of[other] < 0:
            keeper_of[other], like[other] = member, similarity[edge]
        if similarity[edge] > near[other]:
            nearest[other], near[other] = member, similarity[edge]


def write_kept(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """The only round: return the decisions unchanged, and count them."""
    table = inbox[RESULTS]
    n_keepers = int(pc.sum(table["is_keeper"]).as_py() or 0)
    return Sent(
        values=table, counted={"summary": pa.table({"members": [table.num_rows], "keepers": [n_keepers]})}
    )


def close(shared: Tables, config: Config) -> dict[str, pa.Table]:
    """The artefact `summary`: members and keepers of all clusters."""
    return {"summary": shared["summary"]}


def finish(table: pa.Table, config: Config) -> Outcome:
    """Return the decisions and a summary; the round in one process. table: of KEPT, of all partitions."""
    return outcome_of(GLOBAL, table, config)


GLOBAL = Global(
    name="keepers",
    version=3,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the cluster",
    map=map_members,
    reduce=choose,
    finish=finish,
    rounds=(Round(name="write", run=write_kept, takes=(RESULTS,), add=add_counts),),
    close=close,
)
