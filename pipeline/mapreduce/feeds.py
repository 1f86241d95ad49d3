"""Inputs of the map tasks of a global step: columns of a shard and of its sidecars, with row numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from pipeline.dataset.shard import Shard, null_column, read_shard_rows
from pipeline.dataset.sidecars import SidecarRef, read_columns
from pipeline.schema import CANONICAL, ROW
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
