"""Global steps that return one value per mapped row, joined back by key order.

The rows of a map are stored sorted by (key, position in the map output), so that keys are stored as differences, and
neither they nor the answers contain a document id: the shard computes the assignment again from its own columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.run_file import GlobalStep
from pipeline.errors import StageError
from pipeline.mapreduce.feeds import Feed
from pipeline.mapreduce.rows import write_rows
from pipeline.mapreduce.shuffle import number_columns, partition_of, pick, read_exchange, write_exchange
from pipeline.schema import ROW_BITS
from pipeline.stage import Global, Outcome
from pipeline.storage.store import Store

PLANES = tuple(f"key_{i}" for i in range(8))
"""Bytes of the difference between a key and the previous one, lowest first, one column each, so that bytes that are
zero or small compress."""


def write_questions(store: Store, key: str, table: pa.Table, n_partitions: int) -> None:
    """Write the output of a map in order of (key, position), in one record batch per partition."""
    table = sort_by_key(table)[0]
    keys = table["key"].to_numpy()
    partitions = partition_of(keys, n_partitions)
    begins = np.append(True, partitions[1:] != partitions[:-1])[: len(keys)]
    steps = keys - np.where(begins, np.uint64(0), np.append(np.uint64(0), keys[:-1])[: len(keys)])
    planes = np.ascontiguousarray(steps.astype("<u8").view(np.uint8).reshape(-1, 8).T)
    packed = pa.table(list(planes), names=PLANES)
    for name in table.column_names:
        if name != "key":
            packed = packed.append_column(name, table[name])
    write_exchange(store, key, packed, partitions, n_partitions)


def read_questions(store: Store, key: str, partition: int) -> pa.Table:
    """Read one partition of the output of a map, in order of (key, position)."""
    packed = read_exchange(store, [key], partition)
    planes = np.stack([packed[name].to_numpy() for name in PLANES], axis=1)
    keys = np.cumsum(np.ascontiguousarray(planes).view("<u8").ravel().astype(np.uint64), dtype=np.uint64)
    return packed.drop_columns(list(PLANES)).add_column(0, "key", pa.array(keys, pa.uint64()))


def sort_by_key(table: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Sort a table by (key, position); returns it and the former position of each row: uint32 (n_rows,)."""
    from pipeline.keysort import key_order  # loads numba, which most commands can do without

    table = table.combine_chunks()
    numbers = number_columns(table)
    order = key_order(numbers["key"], np.arange(table.num_rows, dtype=np.uint64))
    return pick(table, numbers, order), order


def answer_partition(store: Store, step: GlobalStep, maps: Sequence[str], partition: int, key: str) -> int:
    """Reduce one partition and write its answers, in one record batch per map; returns the number of answers."""
    tables = [read_questions(store, name, partition) for name in maps]
    sizes = [table.num_rows for table in tables]
    answers = answer_rows(step.definition, pa.concat_tables(tables), step.config)
    write_exchange(store, key, answers, np.repeat(np.arange(len(maps)), sizes), len(maps))
    return answers.num_rows


def answer_rows(step: Global, table: pa.Table, config: object) -> pa.Table:
    """Reduce a partition; returns one answer per row, in the order of the table.

    Raises: StageError unless reduce returns one row for each.
    """
    table, order = sort_by_key(table)
    answers = step.reduce(table, config).combine_chunks()
    if answers.num_rows != table.num_rows:
        raise StageError(
            f"{step.name}.reduce returned {answers.num_rows:,} rows for {table.num_rows:,}; expected one for each"
        )
    inverse = np.empty(len(order), np.intp)
    inverse[order] = np.arange(len(order))
    return pick(answers, number_columns(answers), inverse)


def read_answers(store: Store, results: Sequence[str], position: int) -> pa.Table:
    """Read the answers of all partitions to the rows of one map, in order of (key, position)."""
    return read_exchange(store, results, position).combine_chunks()


@dataclass(frozen=True)
class AnswerTask:
    """Last task of a step with `answer`, for one shard. position: of its map; results: keys of the answers."""

    store: Store
    step: GlobalStep
    feed: Feed
    ordinal: int
    position: int
    results: tuple[str, ...]
    folder: str
    recipe: str


def answer_shard(task: AnswerTask) -> dict[str, dict[str, str]]:
    """Join the answers to a shard and write its row sidecar; returns the digest of each column, by shard id."""
    step, shard = task.step.definition, task.feed.shard
    assert step.answer is not None
    reads = tuple(name for name in step.reads if name != "text")
    table = pa.concat_tables(task.feed.batches(task.store, reads, task.ordinal << ROW_BITS)).combine_chunks()
    answers = read_answers(task.store, task.results, task.position)
    outcome = Outcome(rows=step.answer(table, answers, task.step.config))
    return write_rows(task.store, task.step, task.folder, task.recipe, outcome, {task.ordinal: shard})
