"""Clusters of verified pairs, with a histogram of similarities and a sample of pairs near the threshold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import KNOWN, widened
from pipeline.stage import Outcome
from stages.kernels.dedup.unionfind import components, locate
from stages.kernels.text.hashing import mix_all, string_keys

PAIRS = pa.struct({"row": pa.uint64(), "doc_id": pa.string(), "similarity": pa.float32()})
"""A verified pair as stored with one of its ends: row, doc_id and similarity of the other document."""

CLOSE = 0.1
"""Largest distance of a similarity from the threshold for pairs in the sample `near_threshold`."""

MAX_CLOSE = 1000
"""Most pairs of this sample, on each side of the threshold."""

N_BINS = 100
"""Number of bins of the histogram of similarities."""


def clusters_of(
    pairs: pa.Table, verified: np.ndarray, rows: np.ndarray, doc_ids: pa.Array, threshold: float
) -> Outcome:
    """Return the clusters of the verified pairs, with every such pair at both its ends, by row.

    Args: pairs, (n_pairs,): `row` and `known`, the rows of each compared pair, and its `jaccard` and `containment`;
    verified, bool (n_pairs,); rows uint64 and doc_ids, of all documents in pairs, possibly repeated; threshold, of
    `jaccard`.
    Returns: rows of `row`, `cluster`, `cluster_size` and `pairs`; the artefacts `clusters`, `summary`, `near_threshold`
    (a sample of pairs with a similarity within CLOSE of the threshold) and `similarities` (a histogram over all
    compared pairs).
    """
    rows, first = np.unique(rows, return_index=True)
    doc_ids = doc_ids.take(pa.array(first)).cast(widened(doc_ids.type))
    ends = [pairs[name].to_numpy() for name in ("row", KNOWN)]
    similarity = pairs["jaccard"].combine_chunks()
    artefacts = {
        "near_threshold": _near_threshold(ends, verified, similarity, rows, doc_ids, threshold),
        "similarities": _histogram(similarity.to_numpy(), verified),
    }
    both = np.concatenate([end[verified] for end in ends])
    similarity = similarity.filter(pa.array(verified))
    n_pairs = len(similarity)
    place, _ = locate(rows, both)
    names = doc_ids.take(pa.array(place))
    rows, first, places = np.unique(both, return_index=True, return_inverse=True)
    labels = components(len(rows), places[:n_pairs], places[n_pairs:])
    clusters, sizes = _name_clusters(labels, names.take(pa.array(first)))
    _, heads = np.unique(labels, return_index=True)
    listed = pa.table({"cluster": clusters.take(pa.array(heads)), "size": sizes[heads]})
    summary = {
        "documents": [len(rows)],
        "clusters": [len(heads)],
        "compared": [pairs.num_rows],
        "pairs": [n_pairs],
        "pairs_of_similarity_1": [int(np.count_nonzero(similarity.to_numpy() == 1))],
        "largest_cluster": [int(sizes.max(initial=0))],
    }
    artefacts |= {"clusters": listed.sort_by("cluster"), "summary": pa.table(summary)}
    columns = {
        "row": rows,
        "cluster": clusters,
        "cluster_size": sizes,
        "pairs": _pairs_by_row(rows, both, names, similarity),
    }
    return Outcome(rows=pa.table(columns), artefacts=artefacts)


def _pairs_by_row(
    rows: np.ndarray, both: np.ndarray, doc_ids: pa.Array, similarity: pa.FloatArray
) -> pa.LargeListArray:
    """Verified partners of each of `rows` (sorted), by row: lists of PAIRS, (n_rows,).

    Args: both uint64 and doc_ids, (2 * n_pairs,), the first ends of all pairs, then the second ends; similarity,
    (n_pairs,).
    """
    n_pairs = len(similarity)
    other_end = np.roll(np.arange(len(both)), -n_pairs)
    order = np.lexsort((both[other_end], both))
    other_end = other_end[order]
    columns = [pa.array(both[other_end]), doc_ids.take(other_end), similarity.take(order % max(n_pairs, 1))]
    partners = pa.StructArray.from_arrays(columns, fields=list(widened(PAIRS)))
    offsets = np.append(np.searchsorted(both[order], rows), len(both))
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), partners)


def _name_clusters(labels: np.ndarray, doc_ids: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Smallest doc_id, and size (int32), of the cluster of each document: (n_docs,) each."""
    order = pc.sort_indices(
        pa.table({"label": labels, "doc_id": doc_ids}), [("label", "ascending"), ("doc_id", "ascending")]
    ).to_numpy()
    _, heads, cluster, sizes = np.unique(
        labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    cluster_of = np.empty(len(labels), np.int64)
    cluster_of[order] = cluster
    return doc_ids.take(order[heads][cluster_of]), sizes[cluster_of].astype(np.int32)


def _near_threshold(
    ends: list[np.ndarray],
    verified: np.ndarray,
    similarity: pa.FloatArray,
    rows: np.ndarray,
    doc_ids: pa.Array,
    threshold: float,
) -> pa.Table:
    """Up to MAX_CLOSE pairs on each side within CLOSE of the threshold; of more, those with the smallest hashes."""
    close = np.abs(similarity.to_numpy() - np.float32(threshold)) <= np.float32(CLOSE)
    tables = []
    for side in (True, False):
        near = np.flatnonzero(close & (verified == side))
        names = [doc_ids.take(pa.array(locate(rows, end[near])[0])) for end in ends]
        chance = mix_all(string_keys(names[0]) ^ mix_all(string_keys(names[1])))
        chosen = np.argsort(chance, kind="stable")[:MAX_CLOSE]
        columns = {
            "row_a": ends[0][near[chosen]],
            "row_b": ends[1][near[chosen]],
            "doc_a": names[0].take(pa.array(chosen)).cast(pa.string()),
            "doc_b": names[1].take(pa.array(chosen)).cast(pa.string()),
            "similarity": similarity.take(pa.array(near[chosen])),
            "verified": pa.repeat(side, len(chosen)),
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables).sort_by(
        [(name, "ascending") for name in ("similarity", "doc_a", "doc_b")]
    )


def _histogram(similarity: np.ndarray, verified: np.ndarray) -> pa.Table:
    """Compared pairs by similarity: `bin`, its lower edge; `verified`; `count`. Empty bins are left out."""
    bins = np.minimum((similarity * np.float32(N_BINS)).astype(np.int64), N_BINS - 1)
    counts = (
        pa.table({"bin": bins, "verified": verified})
        .group_by(["bin", "verified"])
        .aggregate([([], "count_all")])
    )
    counts = counts.sort_by([("bin", "ascending"), ("verified", "ascending")])
    edges = pc.divide(counts["bin"].cast(pa.float64()), float(N_BINS))
    return pa.table({"bin": edges, "verified": counts["verified"], "count": counts["count_all"]})
