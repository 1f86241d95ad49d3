"""Row-aligned results of a global step, written as one sidecar per shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from pipeline.config.run_file import Step
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, write_sidecar
from pipeline.errors import StageError
from pipeline.recipe import table_digest
from pipeline.schema import ROW, ROW_BITS, widened
from pipeline.stage import Outcome
from pipeline.storage.store import Store


def cut_rows(step: Step, outcome: Outcome, shards: Mapping[int, Shard]) -> Iterator[tuple[Shard, pa.Table]]:
    """Yield one table per shard with a row for each document; rows without a result are null.

    Args: shards, by the ordinal in their row numbers.
    Raises: StageError if finish returned columns other than declared, or two rows with the same number.
    """
    schema = step.definition.writes
    values = (
        outcome.rows if outcome.rows is not None else pa.schema([(ROW, pa.uint64()), *schema]).empty_table()
    )
    if set(values.column_names) != {ROW, *schema.names}:
        raise StageError(
            f"{step.name}.finish returned {values.column_names}; expected row, {', '.join(schema.names)}"
        )
    order = np.argsort(values[ROW].to_numpy(), kind="stable")
    numbers = values[ROW].to_numpy()[order]
    # combined once, because that copies even a single chunk; widened, because all shards are in one column
    whole = {f.name: values[f.name].cast(widened(f.type)).combine_chunks() for f in schema}
    if len(numbers) and (np.diff(numbers) == 0).any():
        raise StageError(f"{step.name}.finish returned more than one row with the same `row`")
    for ordinal, shard in shards.items():
        index = np.full(shard.n_rows, -1, np.int64)
        low, high = (np.searchsorted(numbers, np.uint64(n << ROW_BITS)) for n in (ordinal, ordinal + 1))
        chosen = slice(low, high)
        index[(numbers[chosen] & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)] = order[chosen]
        indices = pa.array(np.maximum(index, 0), mask=index < 0)
        columns = [
            whole[f.name].take(indices).cast(f.type) if len(values) else pa.nulls(shard.n_rows, f.type)
            for f in schema
        ]
        yield shard, pa.table(columns, schema=schema)


def write_rows(
    store: Store, step: Step, folder: str, recipe: str, outcome: Outcome, shards: Mapping[int, Shard]
) -> dict[str, dict[str, str]]:
    """Write the row sidecars of shards, by ordinal; returns the digest of each column, by shard id."""
    digests = {}
    for shard, rows in cut_rows(step, outcome, shards):
        ref = SidecarRef(f"{folder}/rows/{shard.id}.parquet", recipe)
        write_sidecar(store, ref, rows, shard)
        digests[shard.id] = {name: table_digest(rows.select([name])) for name in rows.column_names}
    return digests
