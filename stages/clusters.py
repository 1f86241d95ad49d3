"""Clusters of verified pairs, and what was compared to find them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import KNOWN, widened
from pipeline.stage import Outcome
from stages.kernels.hashing import mix_all, string_keys
from stages.kernels.unionfind import components, locate

PAIRS = pa.struct({"row": pa.uint64(), "doc_id": pa.string(), "similarity": pa.float32()})
"""A verified pair as one of its ends sees it: the other document."""

CLOSE = 0.1
"""A compared pair whose similarity is this far from the threshold, or less, passed or failed by little."""

MAX_CLOSE = 1000
"""Such pairs that are told of, on each side."""

N_BINS = 100
"""Bins of the histogram of similarities."""


def clusters_of(
    pairs: pa.Table, verified: np.ndarray, rows: np.ndarray, doc_ids: pa.Array, threshold: float
) -> Outcome:
    """Clusters of the verified pairs; every such pair at both its ends, by row.

    Args: pairs, `row` and `known`, the rows of each compared pair, and its `jaccard` and `containment`; verified, bool
    (n_pairs,); rows and doc_ids, names of all documents in pairs, repeated or not.
    Artefacts: `clusters`, `summary`, `near_threshold` (pairs that passed or failed by little, a sample of them where
    they are many) and `similarities` (a histogram over all compared pairs).
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
    """For each of `rows`, sorted, its verified partners by row.

    Args: both and doc_ids, the first ends of all pairs, then the second ends; similarity, once per pair.
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
    """Smallest doc_id and size, int32, of the cluster of each document."""
    order = pc.sort_indices(
        pa.table({"label": labels, "doc_id": doc_ids}), [("label", "ascending"), ("doc_id", "ascending")]
    ).to_numpy()
    _, heads, cluster, sizes = np.unique(
        labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    place = np.empty(len(labels), np.int64)
    place[order] = cluster
    return doc_ids.take(order[heads][place]), sizes[place].astype(np.int32)


def _near_threshold(
    ends: list[np.ndarray],
    verified: np.ndarray,
    similarity: pa.FloatArray,
    rows: np.ndarray,
    doc_ids: pa.Array,
    threshold: float,
) -> pa.Table:
    """Pairs whose similarity is close to the threshold, on both sides; of many, those of least hash."""
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
    found = (
        pa.table({"bin": bins, "verified": verified})
        .group_by(["bin", "verified"])
        .aggregate([([], "count_all")])
    )
    found = found.sort_by([("bin", "ascending"), ("verified", "ascending")])
    edges = pc.divide(found["bin"].cast(pa.float64()), float(N_BINS))
    return pa.table({"bin": edges, "verified": found["verified"], "count": found["count_all"]})
