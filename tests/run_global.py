"""Run a global step in memory the way the engine does: map, exchange by key range, reduce, finish."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.schema import ROW_BITS
from pipeline.stage import Global, Outcome


def number_rows(shards: Sequence[pa.Table]) -> list[pa.Table]:
    """Append the column `row`: shard ordinal << 32 | row of the shard."""
    return [
        shard.append_column(
            "row", pa.array((ordinal << ROW_BITS) + np.arange(shard.num_rows, dtype=np.uint64), pa.uint64())
        )
        for ordinal, shard in enumerate(shards)
    ]


def run_global(step: Global, shards: Sequence[pa.Table], config: object, n_partitions: int = 1) -> Outcome:
    """Run `step` over shards that have the columns of its `reads` and `row`."""
    mapped = pa.concat_tables([step.map(shard.select([*step.reads, "row"]), config) for shard in shards])
    order = [("key", "ascending"), *([("row", "ascending")] if "row" in mapped.column_names else [])]
    bounds = np.array([(i << 64) // n_partitions for i in range(1, n_partitions)], np.uint64)
    partition = np.searchsorted(bounds, mapped["key"].to_numpy(), side="right")
    parts = [mapped.filter(pa.array(partition == i)).sort_by(order) for i in range(n_partitions)]
    return step.finish(pa.concat_tables([step.reduce(part, config) for part in parts]), config)


def align(outcome: Outcome, shards: Sequence[pa.Table], step: Global) -> list[pa.Table]:
    """Append the row-aligned columns of an outcome to the shards as `step.column`; absent rows get null."""
    assert outcome.rows is not None
    places = {row: i for i, row in enumerate(outcome.rows["row"].to_pylist())}
    joined = []
    for shard in shards:
        index = pa.array([places.get(row) for row in shard["row"].to_pylist()], pa.int64())
        for field in step.writes:
            column = outcome.rows[field.name].take(index).cast(field.type)
            shard = shard.append_column(f"{step.name}.{field.name}", column)
        joined.append(shard)
    return joined
