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
from pipeline.mapreduce.exchange import Source
from pipeline.mapreduce.feeds import Feed
from pipeline.mapreduce.rows import write_rows
from pipeline.mapreduce.shuffle import number_columns, partition_of, pick, read_sources, write_exchange
from pipeline.schema import ROW_BITS
from pipeline.stage import Global, Outcome
from pipeline.storage.store import Store

PLANES = tuple(f"key_{i}" for i in range(8))
"""Bytes of the difference between a key and the previous one, lowest first, one column each, so that bytes that are
zero or small compress."""

MAP = "key_map"
"""Column with the place of the map that a row comes from."""


def write_questions(store: Store, key: str, table: pa.Table, n_partitions: int, place: int) -> None:
    """Write the output of a map in order of (key, position), in one record batch per partition.

    Args: place, of the map among the maps of the step, which each row names, so that files of several maps can be
    merged.
    """
    table = sort_by_key(table)[0]
    keys = table["key"].to_numpy()
    partitions = partition_of(keys, n_partitions)
    begins = np.append(True, partitions[1:] != partitions[:-1])[: len(keys)]
    steps = keys - np.where(begins, np.uint64(0), np.append(np.uint64(0), keys[:-1])[: len(keys)])
    planes = np.ascontiguousarray(steps.astype("<u8").view(np.uint8).reshape(-1, 8).T)
    packed = pa.table([*planes, np.full(len(keys), place, np.uint32)], names=[*PLANES, MAP])
    for name in table.column_names:
        if name != "key":
            packed = packed.append_column(name, table[name])
    write_exchange(store, key, packed, partitions, n_partitions)


def read_questions(store: Store, sources: Sequence[Source]) -> tuple[pa.Table, np.ndarray]:
    """Read one partition of the output of maps, in order of (map, key, position).

    Returns: the table, and the place of the map of each row: uint32 (n_rows,), ascending.
    """
    packed = read_sources(store, sources).combine_chunks()
    maps = packed[MAP].to_numpy()
    planes = np.stack([packed[name].to_numpy() for name in PLANES], axis=1)
    sums = np.cumsum(np.ascontiguousarray(planes).view("<u8").ravel(), dtype=np.uint64)
    begins = np.searchsorted(maps, maps)  # of the rows of the same map: their sums start anew there
    keys = sums - np.where(begins == 0, np.uint64(0), sums[begins - 1])
    return packed.drop_columns([*PLANES, MAP]).add_column(0, "key", pa.array(keys, pa.uint64())), maps


def sort_by_key(table: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Sort a table by (key, position); returns it and the former position of each row: uint32 (n_rows,)."""
    from pipeline.keysort import key_order  # loads numba, which most commands can do without

    table = table.combine_chunks()
    numbers = number_columns(table)
    order = key_order(numbers["key"], np.arange(table.num_rows, dtype=np.uint64))
    return pick(table, numbers, order), order


def answer_partition(store: Store, step: GlobalStep, sources: Sequence[Source], n_maps: int, key: str) -> int:
    """Reduce one partition and write its answers, in one record batch per map; returns the number of answers."""
    table, maps = read_questions(store, sources)
    answers = answer_rows(step.definition, table, step.config)
    write_exchange(store, key, answers, maps, n_maps)
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


@dataclass(frozen=True)
class AnswerTask:
    """Last task of a step with `answer`, for one shard.

    sources: the answers to its map, in order of (key, position).
    """

    store: Store
    step: GlobalStep
    feed: Feed
    ordinal: int
    sources: tuple[Source, ...]
    folder: str
    recipe: str


def answer_shard(task: AnswerTask) -> dict[str, dict[str, str]]:
    """Join the answers to a shard and write its row sidecar; returns the digest of each column, by shard id."""
    step, shard = task.step.definition, task.feed.shard
    assert step.answer is not None
    reads = tuple(name for name in step.reads if name != "text")
    table = pa.concat_tables(task.feed.batches(task.store, reads, task.ordinal << ROW_BITS)).combine_chunks()
    answers = read_sources(task.store, task.sources).combine_chunks()
    outcome = Outcome(rows=step.answer(table, answers, task.step.config))
    return write_rows(task.store, task.step, task.folder, task.recipe, outcome, {task.ordinal: shard})
