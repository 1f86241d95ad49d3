"""Near duplicates: candidate pairs verified from text, and the clusters that the verified pairs connect.

Reads text of documents with candidates; writes cluster, cluster size and every verified pair on both its
ends. Clusters know no keeper and are not transitive evidence: two members need not be alike, so removal goes
by pairs.

Similarity is the Jaccard index of sets of shingles of match text: runs of five characters, blanks left out,
for a document with a fair share of ideographs, kana, Hangul or characters of other scripts without blanks;
runs of five words for any other. Two documents of different kinds are compared by characters. A document of
fewer than five units is one shingle, so that it equals only the same text. Copies by match hash have
similarity 1 without comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Global, Outcome
from stages import candidates, exact, keepers, minhash
from stages.kernels.jaccard import count_shared, sort_sets
from stages.kernels.minhash import (
    CHARACTERS,
    NOTHING,
    WORDS,
    count_units,
    hash_shingles,
    hash_units,
    match_text,
)
from stages.kernels.text import load_tables
from stages.kernels.unionfind import components, locate

SHINGLE_UNITS = 5
CHARACTERS_SHARE = 0.1
"""Least share of single characters among the units (words and single characters) of a document compared by
characters. Far below a half: of 6,027 Chinese documents, many of them technical, 18 % hold more Latin words
than ideographs, 0.6 % stay below this share, and 0.3 % of 2,752 English ones reach it. A document by words
with half this share brings its characters too, for copies across the line."""

BATCH_ROWS = 256
"""Rows that cluster_texts hands to a step at once; any number gives the same result."""

READS = ("text", "doc_id", "exact.match_hash", *(f"candidates.{name}" for name in candidates.SCHEMA.names))
PAIRS = pa.list_(pa.struct({"row": pa.uint64(), "doc_id": pa.string(), "similarity": pa.float32()}))
SCHEMA = pa.schema({"cluster": pa.string(), "cluster_size": pa.int32(), "pairs": PAIRS})
"""cluster: smallest doc_id of the documents connected by verified pairs. All null for a document without
any."""

SET = pa.large_list(pa.uint64())
MEMBERS = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint64(),
        "doc_id": pa.string(),
        "match_hash": exact.HASH,
        "partners": pa.list_(pa.uint64()),
        "kind": pa.uint8(),
        "shingles": SET,
        "characters": SET,
    }
)
VERIFIED = pa.schema(
    {
        "row_a": pa.uint64(),
        "row_b": pa.uint64(),
        "doc_a": pa.string(),
        "doc_b": pa.string(),
        "similarity": pa.float32(),
    }
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """threshold: least Jaccard index of a verified pair. containment: a pair whose smaller set lies in the
    other by at least this share is verified as well; None for no such pairs. Its similarity is still the
    Jaccard index."""

    threshold: float = 0.8
    containment: float | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "containment"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"dedup.{name} is {value}; expected a number above 0 and at most 1")


def map_members(table: pa.Table, config: Config) -> pa.Table:
    """Documents that have candidates, with the sets they are compared by; copies come without sets."""
    members = table.filter(pc.is_valid(table["candidates.group"]))
    match = match_text(members["text"])
    classes = load_tables().classes
    n_words, n_single = count_units(*match, classes).T
    share = n_single / np.maximum(n_words + n_single, 1)
    kind = np.where(share >= CHARACTERS_SHARE, CHARACTERS, WORDS).astype(np.uint8)
    compared = ~members["candidates.is_copy"].to_numpy()
    mixed = compared & (kind == WORDS) & (share >= CHARACTERS_SHARE / 2)
    columns = {
        "key": members["candidates.group"],
        "row": members["row"],
        "doc_id": members["doc_id"],
        "match_hash": members["exact.match_hash"],
        "partners": members["candidates.partners"],
        "kind": pa.array(kind),
    }
    for name, modes in (("shingles", np.where(compared, kind, NOTHING)), ("characters", mixed * CHARACTERS)):
        units = hash_units(*match, classes, modes.astype(np.uint8))
        values, starts = sort_sets(*hash_shingles(*units, SHINGLE_UNITS))
        columns[name] = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(values))
    return pa.table(columns, schema=MEMBERS)


def verify(table: pa.Table, config: Config) -> pa.Table:
    """Compare the candidate pairs of one partition; return those that are near duplicates."""
    table = table.combine_chunks()
    left, right = _candidate_pairs(table)
    lanes = candidates.hash_lanes(table["match_hash"].combine_chunks())
    copies = (lanes[left] == lanes[right]).all(axis=1)
    jaccard, containment = _compare(table, left, right, ~copies, config)
    jaccard[copies] = 1.0
    found = jaccard >= config.threshold
    if config.containment is not None:
        found |= containment >= config.containment
    left, right = left[found], right[found]
    rows, names = table["row"].to_numpy(), table["doc_id"]
    similarity = jaccard[found].astype(np.float32)
    return pa.table(
        [rows[left], rows[right], names.take(left), names.take(right), similarity], schema=VERIFIED
    )


def _candidate_pairs(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Positions of both ends of each candidate pair; pairs with an erased row are gone."""
    partners = table["partners"].combine_chunks()
    left = pc.list_parent_indices(partners).to_numpy().astype(np.int64)
    right, found = locate(table["row"].to_numpy(), pc.list_flatten(partners).to_numpy())
    return left[found], right[found]


def _compare(
    table: pa.Table, left: np.ndarray, right: np.ndarray, wanted: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Jaccard index and the share of the smaller set in the other, of each pair; 0 where not wanted or out of
    reach."""
    shingles, characters = table["shingles"].combine_chunks(), table["characters"].combine_chunks()
    values = np.concatenate([shingles.flatten().to_numpy(), characters.flatten().to_numpy()])
    own = _ranges(shingles)
    kind = table["kind"].to_numpy()
    by_characters = np.where(
        (kind == CHARACTERS)[:, None], own, _ranges(characters) + len(shingles.flatten())
    )
    same = (kind[left] == kind[right])[:, None]
    a, b = np.where(same, own[left], by_characters[left]), np.where(same, own[right], by_characters[right])
    n_a, n_b = np.diff(a)[:, 0], np.diff(b)[:, 0]
    smaller, larger = np.minimum(n_a, n_b), np.maximum(n_a, n_b)
    reach = wanted & (smaller > 0)
    if config.containment is None:
        reach &= smaller >= config.threshold * larger  # the Jaccard index is at most smaller / larger
    shared = np.zeros(len(left), np.int64)
    shared[reach] = count_shared(values, a[reach], b[reach])
    return shared / np.maximum(n_a + n_b - shared, 1), shared / np.maximum(smaller, 1)


def _ranges(sets: pa.LargeListArray) -> np.ndarray:
    """Half-open range of each set in the flattened values: int64 (n, 2)."""
    offsets = sets.offsets.to_numpy() - (sets.offsets[0].as_py() if len(sets.offsets) else 0)
    return np.stack([offsets[:-1], offsets[1:]], axis=1)


def finish(table: pa.Table, config: Config) -> Outcome:
    """Clusters of verified pairs; every pair at both its ends, by row; the list of clusters and a summary."""
    table = table.combine_chunks()
    n_pairs = table.num_rows
    both = np.concatenate([table["row_a"].to_numpy(), table["row_b"].to_numpy()])
    doc_ids = pa.concat_arrays([table["doc_a"].combine_chunks(), table["doc_b"].combine_chunks()])
    rows, first, places = np.unique(both, return_index=True, return_inverse=True)
    labels = components(len(rows), places[:n_pairs], places[n_pairs:])
    names, sizes = _name_clusters(labels, doc_ids.take(first))
    pairs = _pairs_by_row(rows, both, doc_ids, table["similarity"].combine_chunks())
    _, heads = np.unique(labels, return_index=True)
    clusters = pa.table({"cluster": names.take(heads), "size": sizes[heads]})
    summary = {
        "documents": [len(rows)],
        "clusters": [len(heads)],
        "pairs": [n_pairs],
        "pairs_of_similarity_1": [int(np.count_nonzero(table["similarity"].to_numpy() == 1))],
        "largest_cluster": [int(sizes.max(initial=0))],
    }
    return Outcome(
        rows=pa.table([rows, names, sizes, pairs], schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA])),
        artefacts={"clusters": clusters.sort_by("cluster"), "summary": pa.table(summary)},
    )


def _pairs_by_row(
    rows: np.ndarray, both: np.ndarray, doc_ids: pa.Array, similarity: pa.FloatArray
) -> pa.ListArray:
    """For each of `rows`, sorted, its verified partners by row.

    Args: both and doc_ids, the first ends of all pairs, then the second ends; similarity, once per pair.
    """
    n_pairs = len(similarity)
    other_end = np.roll(np.arange(len(both)), -n_pairs)
    order = np.lexsort((both[other_end], both))
    other_end = other_end[order]
    columns = [pa.array(both[other_end]), doc_ids.take(other_end), similarity.take(order % max(n_pairs, 1))]
    partners = pa.StructArray.from_arrays(columns, fields=list(PAIRS.value_type))
    offsets = np.append(np.searchsorted(both[order], rows), len(both))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), partners)


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


GLOBAL = Global(
    name="dedup",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="group of candidates",
    map=map_members,
    reduce=verify,
    finish=finish,
    sparse="candidates.group",
)


def cluster_texts(
    texts: pa.ChunkedArray | pa.Array | Iterable[str], config: Config | None = None
) -> pa.Table:
    """Cluster texts in memory, exact and near duplicates, and say which to keep.

    Signatures, candidate groups and keepers have their default settings: a config with a threshold below 0.7
    verifies the pairs that are met, but meets fewer of them (see minhash.catch_probability).

    Args: texts, strings; null texts stay alone.
    Returns: `cluster` int64, row number of a member, its own for a text without duplicates; `cluster_size`
    int32; `keeper` int64, row number of the text that this one would be removed for, its own when it is kept:
    the longest text of a cluster is kept, then the first, and further texts that are not like a kept one.
    """
    config = config or Config()
    column = texts if isinstance(texts, (pa.ChunkedArray, pa.Array)) else pa.array(texts, pa.large_string())
    n_rows = len(column)
    table = pa.table({"text": column.cast(pa.large_string()), "row": np.arange(n_rows, dtype=np.uint64)})
    table = table.append_column("doc_id", pa.array([f"{row:020d}" for row in range(n_rows)], pa.string()))
    table = table.append_column("parent_id", pa.nulls(n_rows, pa.string()))
    for stage in (exact.STAGE, minhash.STAGE):
        annotate = stage.load(stage.config())
        table = _join(table, stage.name, pa.concat_tables(annotate(batch) for batch in _batches(table)))
    table = _join(table, "candidates", _run(candidates.GLOBAL, table, candidates.Config()))
    table = _join(table, "dedup", _run(GLOBAL, table, config))
    lengths = pc.utf8_length(table["text"]).cast(pa.float64()).combine_chunks()
    order = pa.ListArray.from_arrays(pa.array(np.arange(n_rows + 1), pa.int32()), lengths)
    eligible = pa.array(np.ones(n_rows, np.bool_))
    table = table.append_column("order", order).append_column("eligible", eligible)
    chosen = _run(keepers.GLOBAL, table, keepers.Config(threshold=config.threshold))
    named = {"cluster": table["dedup.cluster"], "keeper": chosen["keeper_id"]}
    numbers = {name: pc.coalesce(ids, table["doc_id"]).cast(pa.int64()) for name, ids in named.items()}
    size = pc.fill_null(table["dedup.cluster_size"], 1)
    return pa.table({"cluster": numbers["cluster"], "cluster_size": size, "keeper": numbers["keeper"]})


def _batches(table: pa.Table) -> list[pa.Table]:
    """Slices of a size that kernels are fast at; at least one, for its schema."""
    return [table.slice(start, BATCH_ROWS) for start in range(0, max(table.num_rows, 1), BATCH_ROWS)]


def _run(step: Global, table: pa.Table, config: object) -> pa.Table:
    """Run a global step in memory on a table whose rows count from 0; one row for each of them."""
    mapped = pa.concat_tables(step.map(batch, config) for batch in _batches(table)).sort_by(
        [("key", "ascending"), ("row", "ascending")]
    )
    rows = step.finish(step.reduce(mapped, config), config).rows
    assert rows is not None  # the steps that are run here all write rows
    place = np.full(table.num_rows, -1)
    place[rows["row"].to_numpy().astype(np.int64)] = np.arange(rows.num_rows)
    return rows.drop_columns("row").take(pa.array(place, mask=place < 0))


def _join(table: pa.Table, step: str, columns: pa.Table) -> pa.Table:
    """Append the columns of a step under their full names."""
    for name in columns.column_names:
        table = table.append_column(f"{step}.{name}", columns[name])
    return table
