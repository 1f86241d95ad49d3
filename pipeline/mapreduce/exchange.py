"""Exchange of many files with many readers: files are merged in levels, so that requests grow with the data.

Every source writes one file with one record batch per partition, and a reader of one partition reads one batch of every
file: S sources and P partitions are S * P reads. Above FAN_IN sources, blocks of FAN_IN files are merged first: a
task reads a range of partitions from each file of a block, as much as one partition in all, and writes one file. A
level costs FAN_IN reads for each partition, and leaves S / FAN_IN sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.mapreduce.shuffle import open_batches, write_batches
from pipeline.storage.store import Store

FAN_IN = 256
"""Most files that one task reads."""

WORTH = 4
"""Least ratio of reads without and with merging; below it, writing everything again costs more than it saves."""

Source = tuple[str, int]
"""A file of an exchange, and the record batch in it."""


@dataclass(frozen=True)
class Exchange:
    """Files of an exchange. blocks: of files with the same sources, each with `width` consecutive partitions."""

    blocks: tuple[tuple[str, ...], ...]
    width: int
    n_partitions: int

    @staticmethod
    def of(keys: Sequence[str], n_partitions: int) -> Exchange:
        """The exchange of files as maps write them, each with all partitions."""
        return Exchange(tuple((key,) for key in keys), n_partitions, n_partitions)

    @property
    def files(self) -> tuple[str, ...]:
        """Keys of all files."""
        return tuple(key for keys in self.blocks for key in keys)

    def sources(self, partition: int) -> tuple[Source, ...]:
        """What a reader of one partition reads, in the order of the sources."""
        return tuple((keys[partition // self.width], partition % self.width) for keys in self.blocks)


@dataclass(frozen=True)
class MergeTask:
    """Merges a range of partitions of one block. sources: file, first batch and number of batches; key: of the
    result."""

    store: Store
    sources: tuple[tuple[str, int, int], ...]
    key: str


def merge_block(task: MergeTask) -> int:
    """Merge files of a block; returns the bytes written."""
    n_batches = task.sources[0][2]
    parts: list[list[pa.RecordBatch]] = [[] for _ in range(n_batches)]
    for key, first, _ in task.sources:
        with open_batches(task.store, key) as file:
            for i in range(n_batches):
                parts[i].append(file.get_batch(first + i))
    return write_batches(task.store, task.key, [pa.Table.from_batches(part) for part in parts])


def widths(n_sources: int, n_partitions: int) -> tuple[int, ...]:
    """Partitions of a merged file at each level, for sources that are worth merging; () if they are read as they
    are."""
    found, left = [], n_sources
    while left > FAN_IN:
        left = math.ceil(left / FAN_IN)
        found.append(left)
    for i in range(len(found) - 2, -1, -1):  # each range of a level lies within one of the level before
        found[i] = math.ceil(found[i] / found[i + 1]) * found[i + 1]
    merged = tuple(min(width, n_partitions) for width in found)
    return (
        merged
        if merged and n_sources * n_partitions >= WORTH * _reads(n_sources, n_partitions, merged)
        else ()
    )


def _reads(n_sources: int, n_partitions: int, merged: Sequence[int]) -> int:
    n_reads, left = 0, n_sources
    for width in merged:
        n_reads += left * math.ceil(n_partitions / width)
        left = math.ceil(left / FAN_IN)
    return n_reads + left * n_partitions


def count_reads(n_sources: int, n_partitions: int) -> int:
    """Reads of files for an exchange, merging included."""
    return _reads(n_sources, n_partitions, widths(n_sources, n_partitions))


def count_writes(n_sources: int, n_partitions: int) -> int:
    """Files written for an exchange by its sources and by merging."""
    n_files, left = n_sources, n_sources
    for width in widths(n_sources, n_partitions):
        left = math.ceil(left / FAN_IN)
        n_files += left * math.ceil(n_partitions / width)
    return n_files


def merge_levels(store: Store, exchange: Exchange, folder: str) -> Iterator[tuple[Exchange, list[MergeTask]]]:
    """Yield the tasks of each level of merging, to be run before the next one, and the exchange after it."""
    for level, width in enumerate(widths(len(exchange.blocks), exchange.n_partitions)):
        blocks, tasks = [], []
        for b in range(0, len(exchange.blocks), FAN_IN):
            keys = []
            for low in range(0, exchange.n_partitions, width):
                n_batches = min(width, exchange.n_partitions - low)
                key = f"{folder}/merged-{level}-{b:06d}-{low:06d}.arrow"
                sources = [
                    (files[low // exchange.width], low % exchange.width, n_batches)
                    for files in exchange.blocks[b : b + FAN_IN]
                ]
                tasks.append(MergeTask(store, tuple(sources), key))
                keys.append(key)
            blocks.append(tuple(keys))
        exchange = Exchange(tuple(blocks), width, exchange.n_partitions)
        yield exchange, tasks
