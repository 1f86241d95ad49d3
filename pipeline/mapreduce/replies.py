"""Global steps that answer: every row that a map gave gets one back, by its place in the order of keys.

A map's rows lie sorted by key, so that a key costs what it adds to the one before it, and neither they nor the answers
say which document they belong to: the shard works that out anew, from its own columns.
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
"""Bytes of the difference between a key and the one before it, from the lowest: a column each, so that those that are
zero or small compress."""


def write_questions(store: Store, key: str, table: pa.Table, n_partitions: int) -> None:
    """Write what a map gave, in order of (key, place)."""
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
    """Read one partition of what a map gave."""
    packed = read_exchange(store, [key], partition)
    planes = np.stack([packed[name].to_numpy() for name in PLANES], axis=1)
    keys = np.cumsum(np.ascontiguousarray(planes).view("<u8").ravel().astype(np.uint64), dtype=np.uint64)
    return packed.drop_columns(list(PLANES)).add_column(0, "key", pa.array(keys, pa.uint64()))


def sort_by_key(table: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """A table in order of (key, place), and where each of its rows was: uint32 (n_rows,)."""
    from pipeline.keysort import key_order  # loads numba, which most commands can do without

    table = table.combine_chunks()
    numbers = number_columns(table)
    order = key_order(numbers["key"], np.arange(table.num_rows, dtype=np.uint64))
    return pick(table, numbers, order), order


def answer_partition(store: Store, step: GlobalStep, maps: Sequence[str], partition: int, key: str) -> int:
    """Answer one partition; the file has a record batch for each map."""
    asked = [read_questions(store, name, partition) for name in maps]
    sizes = [table.num_rows for table in asked]
    answers = answer_rows(step.definition, pa.concat_tables(asked), step.config)
    write_exchange(store, key, answers, np.repeat(np.arange(len(maps)), sizes), len(maps))
    return answers.num_rows


def answer_rows(step: Global, table: pa.Table, config: object) -> pa.Table:
    """What a step says to each row of a partition, in the order in which they stand.

    Raises: StageError unless reduce returns one row for each.
    """
    table, order = sort_by_key(table)
    answers = step.reduce(table, config).combine_chunks()
    if answers.num_rows != table.num_rows:
        raise StageError(
            f"{step.name}.reduce gave {answers.num_rows:,} answers to {table.num_rows:,} rows; expected one to each"
        )
    back = np.empty(len(order), np.intp)
    back[order] = np.arange(len(order))
    return pick(answers, number_columns(answers), back)


def read_answers(store: Store, parts: Sequence[str], place: int) -> pa.Table:
    """What all partitions say to the rows of one map, in order of (key, place)."""
    return read_exchange(store, parts, place).combine_chunks()


@dataclass(frozen=True)
class AnswerTask:
    """The end of a step that answers, for one shard; place, among the maps."""

    store: Store
    step: GlobalStep
    feed: Feed
    ordinal: int
    place: int
    parts: tuple[str, ...]
    folder: str
    recipe: str


def answer_shard(task: AnswerTask) -> dict[str, dict[str, str]]:
    """Write the sidecar of a shard that was answered; returns the digest of each column, by shard."""
    step, shard = task.step.definition, task.feed.shard
    assert step.answer is not None
    reads = tuple(name for name in step.reads if name != "text")
    table = pa.concat_tables(task.feed.batches(task.store, reads, task.ordinal << ROW_BITS)).combine_chunks()
    answers = read_answers(task.store, task.parts, task.place)
    outcome = Outcome(rows=step.answer(table, answers, task.step.config))
    return write_rows(task.store, task.step, task.folder, task.recipe, outcome, {task.ordinal: shard})
