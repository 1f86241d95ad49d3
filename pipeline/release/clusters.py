"""The clusters of duplicates of a release: size, kept members, and members by snapshot and source.

No text is read. Members go through exchange files to partitions by the name of their cluster, so that each cluster is
counted in one place; the partitions' tables, one after the other, are sorted by cluster, for any number of partitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.mapreduce.exchange import Source
from pipeline.mapreduce.shuffle import read_sources
from pipeline.release.files import FileReport, put_table
from pipeline.storage.store import Store

if TYPE_CHECKING:
    from pipeline.rules.rules import Rule

DOCUMENTS_PER_PART = 2 << 20
"""Target of ingested documents per partition: about 0.8 GB of memory if all are in clusters, at 400 bytes each."""

DIGITS = np.frombuffer(b"234567abcdefghijklmnopqrstuvwxyz", np.uint8)
"""The characters of a document id in byte order."""

MEMBERS = pa.schema(
    {
        "cluster": pa.string(),
        "doc_id": pa.string(),
        "snapshot": pa.string(),
        "source": pa.string(),
        "eligible": pa.bool_(),
        "kept": pa.bool_(),
    }
)
"""One row for each document with a cluster. doc_id: null where it is not kept. eligible: passes all rules that
decide before keepers."""


def members(
    named: tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray],
    eligible: np.ndarray,
    kept: np.ndarray,
) -> pa.Table:
    """The documents of a shard, or of a ledger, that have a cluster: MEMBERS.

    Args: named, cluster, doc_id, snapshot and source of each row; eligible and kept, bool (n_rows,).
    """
    cluster, doc_id, snapshot, source = named
    keepers = pc.if_else(pa.array(kept), doc_id, pa.scalar(None, pa.string()))
    columns = [cluster.cast(pa.string()), keepers, snapshot, source, pa.array(eligible), pa.array(kept)]
    return pa.table(columns, schema=MEMBERS).filter(pc.is_valid(cluster))


def eligible_rows(rule: np.ndarray, rules: Sequence[Rule]) -> np.ndarray:
    """Which rows the keepers were chosen among: bool (n_rows,). Args: rule, as in `decide.Kept`."""
    return np.isin(rule, [-1, len(rules), *(i for i, late in enumerate(rules) if late.is_late)])


def count_parts(n_docs: int) -> int:
    """Number of partitions of the clusters for a number of ingested documents; depends on nothing else."""
    return max(1, math.ceil(n_docs / DOCUMENTS_PER_PART))


def part_of(cluster: pa.ChunkedArray | pa.Array, n_parts: int) -> np.ndarray:
    """The partition of each name, by its first four bytes and in the order of names: int64 (n_rows,).

    The ranges are equal for ids of documents, which are base32; any other name has a place as well.
    """
    names = cluster.combine_chunks() if isinstance(cluster, pa.ChunkedArray) else cluster
    if not len(names):
        return np.zeros(0, np.int64)
    _, offset_buffer, data_buffer = names.cast(pa.large_string()).buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(names) + 1)
    data = np.append(np.frombuffer(data_buffer or b"", np.uint8), np.uint8(0))
    places = offsets[:-1, None] + np.arange(4)
    found = np.where(places < offsets[1:, None], data[np.minimum(places, len(data) - 1)], 0)
    digits = np.maximum(np.searchsorted(DIGITS, found, side="right") - 1, 0)
    return (digits @ np.array([1 << 15, 1 << 10, 1 << 5, 1])) * n_parts >> 20


def counts_by(
    cluster: pa.ChunkedArray | pa.Array, value: pa.ChunkedArray | pa.Array, kept: pa.ChunkedArray | pa.Array
) -> pa.Table:
    """Count the documents of each cluster by a value, such as their snapshot; those without a cluster are not counted.

    Args: kept, bool; all (n_rows,).
    Returns: cluster, value, n_docs, n_kept (int64): one row for each pair that occurs, sorted by both, null last.
    """
    table = pa.table({"cluster": cluster, "value": value, "kept": kept.cast(pa.int64())})
    groups = table.filter(pc.is_valid(table["cluster"])).group_by(["cluster", "value"])
    counts = groups.aggregate([([], "count_all"), ("kept", "sum")])
    counts = counts.rename_columns(["cluster", "value", "n_docs", "n_kept"])
    return counts.sort_by([("cluster", "ascending"), ("value", "ascending")])


def cluster_table(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """One row for each cluster, in the order of their names, from MEMBERS in any order; schema: of the release."""
    numbers = pa.table(
        {
            "cluster": found["cluster"],
            "eligible": found["eligible"].cast(pa.int64()),
            "kept": found["kept"].cast(pa.int64()),
        }
    )
    totals = numbers.group_by("cluster").aggregate([([], "count_all"), ("eligible", "sum"), ("kept", "sum")])
    totals = totals.sort_by("cluster").combine_chunks()
    names = totals["cluster"].combine_chunks()
    keepers = found.select(["cluster", "doc_id"]).filter(found["kept"])
    keepers = keepers.sort_by([("cluster", "ascending"), ("doc_id", "ascending")])
    columns = {
        "cluster": names,
        "size": totals["count_all"],
        "n_eligible": totals["eligible_sum"],
        "n_kept": totals["kept_sum"],
        "keepers": _lists(names, keepers["cluster"], keepers["doc_id"].combine_chunks()),
    }
    for column, name in (("snapshots", "snapshot"), ("sources", "source")):
        kind = schema.field(column).type.value_type
        counts = counts_by(found["cluster"], found[name], found["kept"])
        fields = zip(kind, ("value", "n_docs", "n_kept"), strict=True)
        values = [counts[count].combine_chunks().cast(field.type) for field, count in fields]
        columns[column] = _lists(
            names, counts["cluster"], pa.StructArray.from_arrays(values, fields=list(kind))
        )
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _lists(names: pa.Array, cluster: pa.ChunkedArray, values: pa.Array) -> pa.ListArray:
    """The values of each cluster as a list. Args: names, sorted; cluster, of each value, sorted."""
    place = pc.index_in(cluster, names).to_numpy()
    offsets = np.searchsorted(place, np.arange(len(names) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


@dataclass(frozen=True)
class ClusterTask:
    """Counts the clusters of one partition. sources: its MEMBERS; schema: of the release's table."""

    store: Store
    sources: tuple[Source, ...]
    schema: pa.Schema
    key: str


def write_clusters(task: ClusterTask) -> FileReport:
    """Write the part of one partition."""
    found = read_sources(task.store, task.sources)
    return put_table(task.store, task.key, cluster_table(found, task.schema))
