"""Run a global step in memory the way the engine does: map, exchange by key range, reduce, finish."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.answers import answered, ordered
from pipeline.keyed import partition_of
from pipeline.schema import ROW_BITS
from pipeline.stage import Global, Outcome, Stage


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
    if step.answer is not None:
        return Outcome(rows=run_answering(step, shards, config, n_partitions))
    mapped = pa.concat_tables([step.map(shard.select([*step.reads, "row"]), config) for shard in shards])
    order = [("key", "ascending"), *([("row", "ascending")] if "row" in mapped.column_names else [])]
    bounds = np.array([(i << 64) // n_partitions for i in range(1, n_partitions)], np.uint64)
    partition = np.searchsorted(bounds, mapped["key"].to_numpy(), side="right")
    parts = [mapped.filter(pa.array(partition == i)).sort_by(order) for i in range(n_partitions)]
    return step.finish(pa.concat_tables([step.reduce(part, config) for part in parts]), config)


def run_answering(
    step: Global, shards: Sequence[pa.Table], config: object, n_partitions: int = 1
) -> pa.Table:
    """Rows of a step with `answer`: each shard, here a batch, sends its keys in order."""
    assert step.answer is not None
    asked = [ordered(step.map(shard.select([*step.reads, "row"]), config))[0] for shard in shards]
    parts = [partition_of(table["key"].to_numpy(), n_partitions) for table in asked]
    pieces = [
        [table.filter(pa.array(part == i)) for table, part in zip(asked, parts, strict=True)]
        for i in range(n_partitions)
    ]
    said = [answered(step, pa.concat_tables(piece), config) for piece in pieces]
    rows = []
    for number, shard in enumerate(shards):
        begins = [sum(table.num_rows for table in piece[:number]) for piece in pieces]
        mine = [
            table.slice(begin, piece[number].num_rows)
            for table, begin, piece in zip(said, begins, pieces, strict=True)
        ]
        names = [name for name in step.reads if name != "text"]
        rows.append(
            step.answer(shard.select([*names, "row"]), pa.concat_tables(mine).combine_chunks(), config)
        )
    return pa.concat_tables(rows)


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


def extend(
    step: Stage | Global, shards: Sequence[pa.Table], config: object, n_partitions: int = 1
) -> list[pa.Table]:
    """Append the columns of a step to shards that have the columns of its `reads` and `row`."""
    if isinstance(step, Global):
        return align(run_global(step, shards, config, n_partitions), shards, step)
    annotate, extended = step.load(config), []
    for shard in shards:
        columns = annotate(shard.select(step.reads))
        for name in columns.column_names:
            shard = shard.append_column(f"{step.name}.{name}", columns[name])
        extended.append(shard)
    return extended
