"""Clusters of verified pairs, in rounds, with a histogram of similarities and a sample of pairs near the threshold.

Rows are numbers throughout. Each end of a pair sends its doc_id to the other end; the name of a cluster is the smallest
doc_id that the groups of shards found in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.rounds import Inbox, Round, Sent, Tables
from pipeline.schema import KNOWN, widened
from stages.dedup.connect import CONNECT, EDGES, labels_of
from stages.kernels.dedup.unionfind import locate
from stages.kernels.text.hashing import mix_all, string_keys

PAIRS = pa.struct({"row": pa.uint64(), "doc_id": pa.string(), "similarity": pa.float32()})
"""A verified pair as stored with one of its ends: row, doc_id and similarity of the other document."""

CLOSE = 0.1
"""Largest distance of a similarity from the threshold for pairs in the sample `near_threshold`."""

MAX_CLOSE = 1000
"""Most pairs of this sample, on each side of the threshold."""

N_BINS = 100
"""Number of bins of the histogram of similarities."""

MAX_LISTED = 10_000
"""Most clusters of the artefact `clusters`: the largest ones."""

NAMES = pa.schema({"row": pa.uint64(), "doc_id": pa.string()})
"""The doc_id of a document that has pairs."""

TOLD = pa.schema(
    {
        "row": pa.uint64(),
        "other": pa.uint64(),
        "doc_id": pa.string(),
        "similarity": pa.float32(),
        "verified": pa.bool_(),
    }
)
"""A pair as sent to `row` by its other end, with the doc_id of that end: a verified one to both ends, one near the
threshold to the smaller one."""

MEMBERS = pa.schema({"row": pa.uint64(), "back": pa.uint64(), "n_docs": pa.int64(), "name": pa.string()})
"""Documents of the cluster labelled `row` in the group that contains `back`: their number and smallest doc_id."""

NAMED = pa.schema({"row": pa.uint64(), "label": pa.uint64(), "n_docs": pa.int64(), "name": pa.string()})
"""Size and name of a cluster, to a group that has documents of it."""

CLUSTERS = pa.schema({"cluster": pa.large_string(), "size": pa.int32()})


def tell_names(pairs: pa.Table, verified: np.ndarray, names: pa.Table, threshold: float) -> Sent:
    """Send the names of documents to the other ends of their pairs, and the edges of clusters; count the pairs.

    Args: pairs, every compared pair of a group's rows, at both ends: `row`, `known` (the other row) and `jaccard`;
    verified, bool (n_pairs,); names, of NAMES, of all rows of pairs; threshold, of `jaccard`.
    Returns: tables `told` and `edges`; counts `similarities` and `summary`.
    """
    rows, others = (pairs[name].to_numpy() for name in ("row", KNOWN))
    similarity = pairs["jaccard"].to_numpy()
    smaller = rows < others
    sent = verified | (_is_close(similarity, threshold) & ~smaller)
    place, _ = locate(names["row"].to_numpy(), rows[sent])
    told = [others[sent], rows[sent], names["doc_id"].take(pa.array(place)), similarity[sent], verified[sent]]
    is_edge = verified & ~smaller
    here, first = similarity[smaller], verified[smaller]
    counts = {
        "compared": [len(here)],
        "pairs": [int(np.count_nonzero(first))],
        "pairs_of_similarity_1": [int(np.count_nonzero(here[first] == 1))],
    }
    return Sent(
        {
            "told": pa.table([_plain(column) for column in told], schema=TOLD),
            "edges": pa.table([rows[is_edge], others[is_edge]], schema=EDGES),
        },
        {"similarities": _histogram(here, first), "summary": pa.table(counts)},
    )


def _plain(column: Any) -> Any:  # Any: arrays of numpy or Arrow
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_close(similarity: np.ndarray, threshold: float) -> np.ndarray:
    return np.abs(similarity - np.float32(threshold)) <= np.float32(CLOSE)


def name_members(inbox: Inbox, shared: Tables, config: Any) -> Sent:  # Any: the config of dedup
    """Number and smallest doc_id of the documents of each cluster in a group, to the row that labels it; and the pairs
    of the group for the sample near the threshold."""
    told, names = inbox["told"], inbox["names"]
    verified = np.asarray(told["verified"].combine_chunks())
    rows = np.unique(told["row"].to_numpy()[verified])
    labels = labels_of(rows, inbox["edges"])
    own_names = _names_of(rows, names)
    order = pc.sort_indices(
        pa.table({"label": labels, "doc_id": own_names}), [("label", "ascending"), ("doc_id", "ascending")]
    ).to_numpy()
    distinct, heads, counts = np.unique(labels[order], return_index=True, return_counts=True)
    members = [distinct, rows[order][heads], counts.astype(np.int64), own_names.take(pa.array(order[heads]))]
    near = _near_threshold(told, names, config.threshold)
    return Sent({"members": pa.table(members, schema=MEMBERS)}, {"near_threshold": near})


def _names_of(rows: np.ndarray, names: pa.Table) -> pa.Array:
    return names["doc_id"].take(pa.array(locate(names["row"].to_numpy(), rows)[0])).combine_chunks()


def name_clusters(inbox: Inbox, shared: Tables, config: Any) -> Sent:  # Any: the config of dedup
    """Size and name of each cluster labelled by a row of the group, to the groups with documents of it."""
    members = inbox["members"].combine_chunks()
    labels, name = members["row"].to_numpy(), members["name"].combine_chunks()
    order = pc.sort_indices(
        pa.table({"label": labels, "name": name}), [("label", "ascending"), ("name", "ascending")]
    ).to_numpy()
    distinct, heads = np.unique(labels[order], return_index=True)
    cluster = np.searchsorted(distinct, labels)
    sizes = np.bincount(cluster, members["n_docs"].to_numpy(), len(distinct)).astype(np.int64)
    names = name.take(pa.array(order[heads]))
    columns = [members["back"], labels, sizes[cluster], names.take(pa.array(cluster))]
    counts = {
        "documents": [int(sizes.sum())],
        "clusters": [len(distinct)],
        "largest_cluster": [int(sizes.max(initial=0))],
    }
    listed = _largest(pa.table([names.cast(pa.large_string()), pa.array(sizes, pa.int32())], schema=CLUSTERS))
    return Sent(
        {"named": pa.table([_plain(c) for c in columns], schema=NAMED)},
        {"summary": pa.table(counts), "clusters": listed},
    )


def _largest(clusters: pa.Table) -> pa.Table:
    """The MAX_LISTED largest clusters; of equal size, those whose name comes first."""
    return clusters.sort_by([("size", "descending"), ("cluster", "ascending")]).slice(0, MAX_LISTED)


def list_pairs(inbox: Inbox, shared: Tables, config: Any) -> Sent:  # Any: the config of dedup
    """Cluster, its size and the verified pairs of each document of a group."""
    told = inbox["told"].filter(inbox["told"]["verified"]).combine_chunks()
    ends, others = told["row"].to_numpy(), told["other"].to_numpy()
    order = np.lexsort((others, ends))
    rows, starts = np.unique(ends[order], return_index=True)
    partners = pa.StructArray.from_arrays(
        [
            pa.array(others[order]),
            told["doc_id"].combine_chunks().cast(pa.large_string()).take(pa.array(order)),
            told["similarity"].combine_chunks().take(pa.array(order)),
        ],
        fields=list(widened(PAIRS)),
    )
    offsets = pa.array(np.append(starts, len(ends)), pa.int64())
    named = inbox["named"].combine_chunks()
    place, _ = locate(named["label"].to_numpy(), labels_of(rows, inbox["edges"]))
    columns = {
        "row": rows,
        "cluster": named["name"].combine_chunks().cast(pa.large_string()).take(pa.array(place)),
        "cluster_size": named["n_docs"].to_numpy()[place].astype(np.int32),
        "pairs": pa.LargeListArray.from_arrays(offsets, partners),
    }
    return Sent(values=pa.table(columns))


def _near_threshold(told: pa.Table, names: pa.Table, threshold: float) -> pa.Table:
    """Up to MAX_CLOSE pairs on each side within CLOSE of the threshold; of more, those with the smallest hashes."""
    rows, others = told["row"].to_numpy(), told["other"].to_numpy()
    near = (rows < others) & _is_close(told["similarity"].to_numpy(), threshold)
    told = told.filter(pa.array(near))
    columns = {
        "row_a": told["row"],
        "row_b": told["other"],
        "doc_a": _names_of(rows[near], names).cast(pa.string()),
        "doc_b": told["doc_id"],
        "similarity": told["similarity"],
        "verified": told["verified"],
    }
    return _drawn(pa.table(columns))


def _drawn(pairs: pa.Table) -> pa.Table:
    """The sample among pairs: on each side of the threshold, those with the smallest hashes of both names."""
    tables = []
    for side in (True, False):
        one = pairs.filter(pc.equal(pairs["verified"], side)).combine_chunks()
        chance = mix_all(string_keys(one["doc_a"]) ^ mix_all(string_keys(one["doc_b"])))
        tables.append(one.take(pa.array(np.argsort(chance, kind="stable")[:MAX_CLOSE])))
    return pa.concat_tables(tables)


def _histogram(similarity: np.ndarray, verified: np.ndarray) -> pa.Table:
    """Compared pairs by similarity: `bin`, its number; `verified`; `count`. Empty bins are left out."""
    bins = np.minimum((similarity * np.float32(N_BINS)).astype(np.int64), N_BINS - 1)
    table = pa.table({"bin": bins, "verified": verified, "count": np.ones(len(bins), np.int64)})
    return _added(table)


def _added(histogram: pa.Table) -> pa.Table:
    found = histogram.group_by(["bin", "verified"], use_threads=False).aggregate([("count", "sum")])
    found = found.rename_columns(["bin", "verified", "count"])
    return found.sort_by([("bin", "ascending"), ("verified", "ascending")])


def add_up(counted: Tables, shared: Tables, config: Any) -> Tables:  # Any: the config of dedup
    """Add up what the groups counted: the summary, the histogram, the sample and the list of clusters."""
    found = {}
    if "summary" in counted:
        columns = counted["summary"].to_pydict()
        totals = {name: [(max if name == "largest_cluster" else sum)(v)] for name, v in columns.items()}
        found["summary"] = pa.table((shared["summary"].to_pydict() if "summary" in shared else {}) | totals)
    if "similarities" in counted:
        found["similarities"] = _added(counted["similarities"])
    if "near_threshold" in counted:
        found["near_threshold"] = _drawn(counted["near_threshold"])
    if "clusters" in counted:
        found["clusters"] = _largest(counted["clusters"])
    return found


def close(shared: Tables, config: Any) -> dict[str, pa.Table]:  # Any: the config of dedup
    """The artefacts `clusters` (the largest), `summary`, `near_threshold` (a sample of pairs with a similarity within
    CLOSE of the threshold) and `similarities` (a histogram over all compared pairs)."""
    names = ["documents", "clusters", "compared", "pairs", "pairs_of_similarity_1", "largest_cluster"]
    histogram = shared["similarities"]
    edges = pc.divide(histogram["bin"].cast(pa.float64()), float(N_BINS))
    by_similarity = [(name, "ascending") for name in ("similarity", "doc_a", "doc_b")]
    return {
        "clusters": shared["clusters"].sort_by("cluster"),
        "near_threshold": shared["near_threshold"].sort_by(by_similarity),
        "similarities": histogram.set_column(0, "bin", edges),
        "summary": shared["summary"].select(names),
    }


ROUNDS = (
    CONNECT,
    Round(name="name members", run=name_members, reads=("told", "edges"), takes=("names",), add=add_up),
    Round(name="name clusters", run=name_clusters, takes=("members",), add=add_up),
    Round(name="list pairs", run=list_pairs, takes=("told", "edges", "named")),
)
"""The rounds after `tell_names`."""
