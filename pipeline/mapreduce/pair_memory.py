"""Memory of a global step: results for pairs of documents from earlier runs, one file per shard under `index/`.

A pair is stored with both of its documents; each entry identifies the other document by shard and row, so that it is
valid in every run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shard import Shard, opened
from pipeline.recipe import digest, file_digest, table_digest
from pipeline.schema import KNOWN, ROW, ROW_BITS
from pipeline.stage import Global
from pipeline.storage.catalog import Catalog
from pipeline.storage.seal import parse_sealed, sealed_json
from pipeline.storage.store import Store

LIST = "shards"
"""Metadata key of a file: id and generation of the shards that its rows refer to by index."""


def numbers_of(shards: Mapping[int, Shard]) -> dict[tuple[str, int], int]:
    """Ordinals of shards by id and generation."""
    return {(shard.id, shard.generation): number for number, shard in shards.items()}


def memory_folder(step: Global, config: Any) -> str:  # Any: each step has its own config class
    """Folder of the memory of a step, from the settings that affect the stored values (Memory.config) alone."""
    assert step.memory is not None
    plain = dataclasses.asdict(config)
    shape = {name: plain[name] for name in step.memory.config}
    recipe = digest([step.name, step.version, shape, [file_digest(path) for path in step.data]])
    return f"index/{step.name}/{recipe[:8]}"


def write_shard_list(store: Store, key: str, shards: Mapping[int, Shard]) -> None:
    """Write id and generation of all shards of a run, by ordinal, for tasks that need the whole list."""
    entries = {number: [shard.id, shard.generation] for number, shard in shards.items()}
    store.put(key, sealed_json(json.dumps(entries).encode(), key))


@functools.lru_cache(maxsize=2)
def shard_numbers(store: Store, key: str) -> dict[tuple[str, int], int]:
    """Read the list of write_shard_list: ordinals by shard id and generation."""
    entries = parse_sealed(store.get(key), key, f"{store.url}/{key}")
    return {(shard, generation): int(number) for number, (shard, generation) in entries.items()}


def memory_key(folder: str, shard: Shard) -> str:
    """Key of a shard's file in the store."""
    return f"{folder}/{shard.id}-{shard.generation}.parquet"


def read_memory(catalog: Catalog, folder: str, shard: Shard) -> tuple[pa.Table, list[tuple[str, int]]] | None:
    """Stored pairs of a shard, by row, and the shards they refer to; None if it has no file. catalog: of the folder."""
    key = memory_key(folder, shard)
    return read_pairs(catalog.store, key) if key.rpartition("/")[2] in catalog.entries else None


def read_pairs(store: Store, key: str) -> tuple[pa.Table, list[tuple[str, int]]]:
    """Read one file: its pairs, and id and generation of the shards that column `shard` refers to by index."""
    with opened(store, key) as stream:
        table = pq.read_table(stream)
    return table, [
        (name, generation) for name, generation in json.loads(table.schema.metadata[LIST.encode()])
    ]


def update_memory(
    store: Store, folder: str, all_pairs: pa.Table, shards: Mapping[int, Shard],
    numbers: Mapping[tuple[str, int], int],
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Write the pairs of shards, and keep stored pairs with documents of shards outside the run.

    Args: all_pairs, Outcome.known, of these shards; shards, by ordinal; numbers, ordinals of all shards of the run, by
    id and generation.
    Returns: the entries for the catalog of the folder that are new. Any: JSON.
    """
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    named = {number: name for name, number in numbers.items()}
    order = np.lexsort((all_pairs[KNOWN].to_numpy(), all_pairs[ROW].to_numpy()))
    all_pairs = all_pairs.take(pa.array(order))
    rows = all_pairs[ROW].to_numpy()
    entries = {}
    for number, shard in shards.items():
        low, high = np.searchsorted(rows, [np.uint64(n << ROW_BITS) for n in (number, number + 1)])
        pairs = all_pairs.slice(low, high - low).combine_chunks()
        others = pairs[KNOWN].to_numpy() >> np.uint64(ROW_BITS)
        partners = np.unique(others).astype(np.int64)
        listed = [named[n] for n in partners.tolist()]
        columns = {
            "row": pairs[ROW].to_numpy().astype(np.uint32),
            "shard": np.searchsorted(partners, others.astype(np.int64)).astype(np.int32),
            "other": pairs[KNOWN].to_numpy().astype(np.uint32),
        }
        table = pa.table(
            {**columns, **{n: pairs[n] for n in all_pairs.column_names if n not in (ROW, KNOWN)}}
        )
        table, listed = _join(table, listed, read_memory(catalog, folder, shard), numbers)
        key = memory_key(folder, shard)
        name = key.rpartition("/")[2]
        if not table.num_rows and name not in catalog.entries:
            continue
        entry = {"digest": digest([table_digest(table), listed]), "pairs": table.num_rows}
        if catalog.entries.get(name) != entry:
            write_pairs(store, key, table, listed)
            entries[name] = entry
    return entries


def _join(
    table: pa.Table,
    listed: list[tuple[str, int]],
    stored: tuple[pa.Table, list[tuple[str, int]]] | None,
    numbers: Mapping[tuple[str, int], int],
) -> tuple[pa.Table, list[tuple[str, int]]]:
    """Add the stored pairs with documents of shards outside the run. numbers: ordinals of the run's shards."""
    if stored is None:
        return table, listed
    outside_pairs, names = stored
    outside = np.array([name not in numbers for name in names] + [False], bool)
    outside_pairs = outside_pairs.filter(pa.array(outside[outside_pairs["shard"].to_numpy()]))
    indices = outside_pairs["shard"].to_numpy() + len(listed)
    outside_pairs = outside_pairs.set_column(
        1, "shard", pa.array(indices.astype(np.int32))
    ).replace_schema_metadata()
    joined = pa.concat_tables([table, outside_pairs.select(table.column_names)])
    names = [*listed, *names] if outside_pairs.num_rows else listed
    return joined.sort_by([("row", "ascending"), ("shard", "ascending"), ("other", "ascending")]), names


def write_pairs(store: Store, key: str, table: pa.Table, listed: Sequence[tuple[str, int]]) -> None:
    """Write one file. listed: id and generation of the shards that column `shard` refers to."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({LIST: json.dumps(listed)}), sink, compression="zstd")
    store.put(key, sink.getvalue())


def forget(store: Store, folder: str, rows: Mapping[str, Sequence[int]]) -> int:
    """Remove all pairs of some documents; returns how many entries were removed. rows: by shard id."""
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    entries, n_removed = {}, 0
    for name in sorted(catalog.entries):
        key = f"{folder}/{name}"
        table, listed = read_pairs(store, key)
        shard_id = name.rpartition("-")[0]
        is_removed = np.isin(table["row"].to_numpy(), np.array(rows.get(shard_id, ()), np.uint32))
        for number, (other, _) in enumerate(listed):
            others = np.array(rows.get(other, ()), np.uint32)
            is_removed |= (table["shard"].to_numpy() == number) & np.isin(table["other"].to_numpy(), others)
        if is_removed.any():
            n_removed += int(is_removed.sum())
            table = table.filter(pa.array(~is_removed)).replace_schema_metadata()
            write_pairs(store, key, table, listed)
            entries[name] = {"digest": digest([table_digest(table), listed]), "pairs": table.num_rows}
    catalog.update(entries)
    return n_removed
