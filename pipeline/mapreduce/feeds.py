"""Inputs of the map tasks of a global step: columns of a shard and of its sidecars, with row numbers.

Feeds that need decisions are in pipeline/select/feeds.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.shard import Shard, null_column, read_shard_rows
from pipeline.dataset.sidecars import SidecarRef, read_columns
from pipeline.mapreduce.pair_memory import read_memory, shard_numbers
from pipeline.schema import CANONICAL, KNOWN, ROW, ROW_BITS
from pipeline.stage import Memory
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store


class Feed(Protocol):
    """Source of the batches of a map task."""

    @property
    def shard(self) -> Shard:
        """The shard that is read."""
        ...

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """Yield at least one table with the columns of `reads` and `row`, uint64, numbered from first_row."""
        ...


@dataclass(frozen=True)
class Annotations:
    """Batches of a shard and its sidecars, without the rows that Global.sparse skips.

    refs: sidecars by step; loose: columns that the shard may lack, with dtypes; sparse: see Global.
    """

    shard: Shard
    refs: Mapping[str, SidecarRef]
    loose: Mapping[str, pa.DataType] = field(default_factory=dict)
    sparse: str | None = None

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See Feed.batches."""
        stored = [c for c in reads if "." in c and c not in self.loose]
        columns = read_columns(store, self.shard, self.refs, stored)
        columns |= {c: null_column(dtype, self.shard.n_rows) for c, dtype in self.loose.items()}
        rows = pa.array(np.arange(self.shard.n_rows, dtype=np.uint64) + np.uint64(first_row))
        canonical = [c for c in reads if c in CANONICAL.names]
        if not canonical:
            yield pa.table({**{c: columns[c] for c in reads}, ROW: rows})
            return
        needed = np.ones(self.shard.n_rows, bool)
        if self.sparse is not None:
            needed = np.asarray(columns[self.sparse].combine_chunks().is_valid())
        has_batches = False
        for start, batch in read_shard_rows(store, self.shard, canonical, needed):
            has_batches = True
            n_rows = batch.num_rows
            sliced = {c: batch[c] if c in canonical else columns[c].slice(start, n_rows) for c in reads}
            table = pa.table({**sliced, ROW: rows.slice(start, n_rows)})
            inside = needed[start : start + n_rows]
            yield table if inside.all() else table.filter(pa.array(inside))
        if not has_batches:  # one batch without rows, so that the map returns its schema
            dtypes = {c: CANONICAL.field(c).type if c in canonical else columns[c].type for c in reads}
            yield pa.schema([*dtypes.items(), (ROW, pa.uint64())]).empty_table()


@dataclass(frozen=True)
class MemoryFeed:
    """Batches for a global step with a memory: the stored pairs of every row, and text only where it is needed.

    folder: of the memory; listed: key of the list of the run's shards. For the other fields see Annotations.
    """

    shard: Shard
    refs: Mapping[str, SidecarRef]
    loose: Mapping[str, pa.DataType]
    sparse: str | None
    memory: Memory
    folder: str
    listed: str

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See Feed.batches."""
        shard = self.shard
        stored = [c for c in reads if "." in c and c not in self.loose]
        columns = read_columns(store, shard, self.refs, stored)
        columns |= {c: null_column(dtype, shard.n_rows) for c, dtype in self.loose.items()}
        plain = [c for c in reads if c in CANONICAL.names and c != "text"]
        with store.open(shard.key) as stream:
            documents = pq.read_table(stream, columns=plain)
        columns |= {c: documents[c] for c in plain}
        columns[ROW] = pa.chunked_array([np.arange(shard.n_rows, dtype=np.uint64) + np.uint64(first_row)])
        columns[KNOWN] = pa.chunked_array([self.stored_pairs(store)])
        table = pa.table(columns)
        is_dense = pa.array(np.ones(shard.n_rows, bool))
        if self.sparse is not None:
            is_dense = table[self.sparse].combine_chunks().is_valid()
        needed = np.zeros(shard.n_rows, bool)
        needed[np.flatnonzero(is_dense)] = self.memory.needs_text(table.filter(is_dense))
        names = [*reads, ROW, KNOWN]
        rest = table.filter(pc.and_not(is_dense, pa.array(needed)))
        if "text" not in reads:
            yield table.filter(is_dense).select(names)
            return
        yield rest.append_column("text", pa.nulls(rest.num_rows, pa.large_string())).select(names)
        for start, batch in read_shard_rows(store, shard, ["text"], needed):
            inside = pa.array(needed[start : start + batch.num_rows])
            part = table.slice(start, batch.num_rows).append_column("text", batch["text"])
            yield part.filter(inside).select(names)

    def stored_pairs(self, store: Store) -> pa.ListArray:
        """Stored pairs of each row with documents of this run: list<struct<row: uint64, …>> (n_rows,)."""
        fields = [pa.field(ROW, pa.uint64()), *self.memory.schema]
        catalog = Catalog.load(store, f"{self.folder}/catalog.json")
        stored = read_memory(catalog, self.folder, self.shard)
        if stored is None:
            return pa.nulls(self.shard.n_rows, pa.list_(pa.struct(fields)))
        table, names = stored
        numbers = shard_numbers(store, self.listed)
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
