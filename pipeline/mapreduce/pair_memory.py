"""What a global step knows of pairs of documents from earlier runs: one file a shard under `index/`.

A pair stands at both its ends, and the other end is named by shard and row, so that it means the same in every run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.shard import Shard, null_column, read_shard_rows
from pipeline.dataset.sidecars import SidecarRef, read_columns
from pipeline.recipe import digest, file_digest, table_digest
from pipeline.schema import CANONICAL, KNOWN, ROW, ROW_BITS
from pipeline.stage import Global, Memory
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

LIST = "shards"
"""Key of the footer of a file: id and generation of the shards that its rows name by number."""


def memory_folder(step: Global, config: Any) -> str:  # Any: each step has its own config class
    """Where the memory of a step lies: it depends on what shapes its values, not on what is decided by them."""
    assert step.memory is not None
    plain = dataclasses.asdict(config)
    shape = {name: plain[name] for name in step.memory.config}
    recipe = digest([step.name, step.version, shape, [file_digest(path) for path in step.data]])
    return f"index/{step.name}/{recipe[:8]}"


def write_shard_list(store: Store, key: str, shards: Mapping[int, Shard]) -> None:
    """Write the list of a run's shards by number, for tasks that need all of them."""
    page = {number: [shard.id, shard.generation] for number, shard in shards.items()}
    store.put(key, json.dumps(page).encode())


@functools.lru_cache(maxsize=2)
def _numbers(store: Store, key: str) -> dict[tuple[str, int], int]:
    page = json.loads(store.get(key))
    return {(shard, generation): int(number) for number, (shard, generation) in page.items()}


@dataclass(frozen=True)
class MemoryFeed:
    """Feeds a global step with a memory: text only of the rows that it asks for, and what is known of every row.

    folder: of the memory; listed: key of the list of the run's shards.
    """

    shard: Shard
    refs: Mapping[str, SidecarRef]
    loose: Mapping[str, pa.DataType]
    sparse: str | None
    memory: Memory
    folder: str
    listed: str

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See feeds.Feed.batches."""
        shard = self.shard
        stored = [c for c in reads if "." in c and c not in self.loose]
        columns = read_columns(store, shard, self.refs, stored)
        columns |= {c: null_column(kind, shard.n_rows) for c, kind in self.loose.items()}
        plain = [c for c in reads if c in CANONICAL.names and c != "text"]
        with store.open(shard.key) as stream:
            documents = pq.read_table(stream, columns=plain)
        columns |= {c: documents[c] for c in plain}
        columns[ROW] = pa.chunked_array([np.arange(shard.n_rows, dtype=np.uint64) + np.uint64(first_row)])
        columns[KNOWN] = pa.chunked_array([self.stored_pairs(store)])
        table = pa.table(columns)
        wanted = pa.array(np.ones(shard.n_rows, bool))
        if self.sparse is not None:
            wanted = table[self.sparse].combine_chunks().is_valid()
        needed = np.zeros(shard.n_rows, bool)
        needed[np.flatnonzero(wanted)] = self.memory.needs_text(table.filter(wanted))
        names = [*reads, ROW, KNOWN]
        rest = table.filter(pc.and_not(wanted, pa.array(needed)))
        if "text" not in reads:
            yield table.filter(wanted).select(names)
            return
        yield rest.append_column("text", pa.nulls(rest.num_rows, pa.large_string())).select(names)
        for start, batch in read_shard_rows(store, shard, ["text"], needed):
            inside = pa.array(needed[start : start + batch.num_rows])
            cut = table.slice(start, batch.num_rows).append_column("text", batch["text"])
            yield cut.filter(inside).select(names)

    def stored_pairs(self, store: Store) -> pa.ListArray:
        """What is known of each row of the shard and of documents of this run."""
        fields = [pa.field(ROW, pa.uint64()), *self.memory.schema]
        catalog = Catalog.load(store, f"{self.folder}/catalog.json")
        found = read_memory(catalog, self.folder, self.shard)
        if found is None:
            return pa.nulls(self.shard.n_rows, pa.list_(pa.struct(fields)))
        table, names = found
        numbers = _numbers(store, self.listed)
        ordinals = np.array([numbers.get(name, -1) for name in names], np.int64)[table["shard"].to_numpy()]
        table = (
            table.append_column("ordinal", pa.array(ordinals))
            .filter(pa.array(ordinals >= 0))
            .combine_chunks()
        )
        others = (table["ordinal"].to_numpy() << ROW_BITS) | table["other"].to_numpy().astype(np.int64)
        values = [
            pa.array(others.astype(np.uint64)),
            *(table[f.name].combine_chunks() for f in self.memory.schema),
        ]
        offsets = np.searchsorted(table["row"].to_numpy(), np.arange(self.shard.n_rows + 1))
        return pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), pa.StructArray.from_arrays(values, fields=fields)
        )


def memory_key(folder: str, shard: Shard) -> str:
    """Where what is known of a shard lies."""
    return f"{folder}/{shard.id}-{shard.generation}.parquet"


def read_memory(catalog: Catalog, folder: str, shard: Shard) -> tuple[pa.Table, list[tuple[str, int]]] | None:
    """What is known of a shard, by row, and the shards that it names; None if nothing is. catalog: of the folder."""
    key = memory_key(folder, shard)
    return read_pairs(catalog.store, key) if key.rpartition("/")[2] in catalog.entries else None


def read_pairs(store: Store, key: str) -> tuple[pa.Table, list[tuple[str, int]]]:
    """One file of a memory."""
    with store.open(key) as stream:
        table = pq.read_table(stream)
    return table, [
        (name, generation) for name, generation in json.loads(table.schema.metadata[LIST.encode()])
    ]


def update_memory(store: Store, folder: str, known: pa.Table, shards: Mapping[int, Shard]) -> None:
    """Write what is known after a run, shard by shard, together with what was known of documents outside it.

    Args: known, Outcome.known; shards, those of the run by number.
    """
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    numbers = {(shard.id, shard.generation): number for number, shard in shards.items()}
    order = np.lexsort((known[KNOWN].to_numpy(), known[ROW].to_numpy()))
    known = known.take(pa.array(order))
    rows = known[ROW].to_numpy()
    entries = {}
    for number, shard in shards.items():
        low, high = np.searchsorted(rows, [np.uint64(n << ROW_BITS) for n in (number, number + 1)])
        mine = known.slice(low, high - low).combine_chunks()
        others = mine[KNOWN].to_numpy() >> np.uint64(ROW_BITS)
        named = np.unique(others).astype(np.int64)
        listed = [(shards[n].id, shards[n].generation) for n in named.tolist()]
        columns = {
            "row": mine[ROW].to_numpy().astype(np.uint32),
            "shard": np.searchsorted(named, others.astype(np.int64)).astype(np.int32),
            "other": mine[KNOWN].to_numpy().astype(np.uint32),
        }
        table = pa.table({**columns, **{n: mine[n] for n in known.column_names if n not in (ROW, KNOWN)}})
        table, listed = _join(table, listed, read_memory(catalog, folder, shard), numbers)
        key = memory_key(folder, shard)
        name = key.rpartition("/")[2]
        if not table.num_rows and name not in catalog.entries:
            continue
        found = {"digest": digest([table_digest(table), listed]), "pairs": table.num_rows}
        if catalog.entries.get(name) != found:
            write_pairs(store, key, table, listed)
            entries[name] = found
    catalog.update(entries)


def _join(
    table: pa.Table,
    listed: list[tuple[str, int]],
    before: tuple[pa.Table, list[tuple[str, int]]] | None,
    numbers: Mapping[tuple[str, int], int],
) -> tuple[pa.Table, list[tuple[str, int]]]:
    """Add what was known of documents of shards that the run does not have."""
    if before is None:
        return table, listed
    old, names = before
    outside = np.array([name not in numbers for name in names] + [False], bool)
    old = old.filter(pa.array(outside[old["shard"].to_numpy()]))
    moved = old["shard"].to_numpy() + len(listed)
    old = old.set_column(1, "shard", pa.array(moved.astype(np.int32))).replace_schema_metadata()
    joined = pa.concat_tables([table, old.select(table.column_names)])
    names = [*listed, *names] if old.num_rows else listed
    return joined.sort_by([("row", "ascending"), ("shard", "ascending"), ("other", "ascending")]), names


def write_pairs(store: Store, key: str, table: pa.Table, listed: Sequence[tuple[str, int]]) -> None:
    """Write one shard's file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({LIST: json.dumps(listed)}), sink, compression="zstd")
    store.put(key, sink.getvalue())


def forget(store: Store, folder: str, rows: Mapping[str, Sequence[int]]) -> int:
    """Take the pairs of documents out of the memory, at both ends; returns how many entries went. rows: by shard."""
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    entries, n_gone = {}, 0
    for name in sorted(catalog.entries):
        key = f"{folder}/{name}"
        table, listed = read_pairs(store, key)
        own = name.rpartition("-")[0]
        gone = np.isin(table["row"].to_numpy(), np.array(rows.get(own, ()), np.uint32))
        for number, (other, _) in enumerate(listed):
            others = np.array(rows.get(other, ()), np.uint32)
            gone |= (table["shard"].to_numpy() == number) & np.isin(table["other"].to_numpy(), others)
        if gone.any():
            n_gone += int(gone.sum())
            table = table.filter(pa.array(~gone)).replace_schema_metadata()
            write_pairs(store, key, table, listed)
            entries[name] = {"digest": digest([table_digest(table), listed]), "pairs": table.num_rows}
    catalog.update(entries)
    return n_gone
