"""Passes of a placement over blocks of documents: counting, choosing, sending copies, and receiving their positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.keyed_hash import keyed_hash
from pipeline.mapreduce.exchange import Source
from pipeline.mapreduce.shuffle import open_batches, partition_of, read_sources, write_exchange
from pipeline.mix.blocks import (
    Decided,
    count_copies,
    list_copies,
    partial_cells,
    phase_items,
    range_of,
    strata_of_copies,
    walk,
)
from pipeline.mix.config import Mix
from pipeline.mix.cutoffs import Items, Request, answers, pack
from pipeline.mix.plan import MixPlan
from pipeline.release.kept import Block, count_strata, documents_of, length_counts, rows_of, tokens_of
from pipeline.release.parts import Base, based
from pipeline.release.passes import Report
from pipeline.release.tally import plain, tally
from pipeline.release.work_folder import WorkFolder
from pipeline.rounds import group_of
from pipeline.schema import ROW, ROW_BITS
from pipeline.storage.store import Store


@dataclass(frozen=True)
class BlockTask:
    """A task over one block."""

    block: Block

    @property
    def store(self) -> Store:
        """Where everything is read and written."""
        return self.block.store


@dataclass(frozen=True)
class CountTask(BlockTask):
    """Counts the documents of a block. mixes: those that are planned."""

    mixes: tuple[Mix, ...]


def count_block(task: CountTask) -> Report:
    """Counts by stratum for each mix, documents by length, tokens, and the modules of derived documents."""
    facts = task.block.read()
    counts = {mix.name: count_strata(rows_of(facts, mix), mix) for mix in task.mixes}
    return Report(counts, {"lengths": length_counts(facts), "tokens": int(tokens_of(facts).sum())})


@dataclass(frozen=True)
class SendDataTask(BlockTask):
    """Sends the documents of a block to ranges of the data's order.

    languages, modules: output of each, by number. group: column of facts with a small number, by which the documents
    of a language are put into parts of their own, in this order; "" for none. seed: of the keyed hash. starts: ordinals
    of the first shards of the blocks, if these are the ranges, because documents follow the order of shards; else the
    keyed hash is divided. key: of the exchange file.
    """

    languages: Mapping[str, int]
    modules: Mapping[str, int]
    seed: int
    n_ranges: int
    key: str
    group: str = ""
    starts: tuple[int, ...] | None = None


MAX_PART_GROUPS = 16
"""Groups of documents that one output may keep in parts of their own."""


def send_data(task: SendDataTask) -> Report:
    """Send row, sequence (output * MAX_PART_GROUPS + group), hash and bytes; reports the bytes that each range gets, by
    sequence."""
    facts = task.block.read()
    hashes, sizes = keyed_hash(facts["doc_id"], task.seed), facts["text_bytes"].to_numpy().astype(np.int64)
    parts = []
    for column, outputs in (("language", task.languages), ("module", task.modules)):
        output = _numbers(facts[column], outputs)
        rows = np.flatnonzero(output >= 0)
        sequence = output[rows] * np.int32(MAX_PART_GROUPS)
        if task.group and column == "language":
            sequence += facts[task.group].to_numpy()[rows].astype(np.int32)
        parts.append(
            {
                "row": facts[ROW].to_numpy()[rows],
                "sequence": sequence,
                "hash": hashes[rows],
                "bytes": sizes[rows],
            }
        )
    table = pa.table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    if task.starts is None:
        ranges = partition_of(table["hash"].to_numpy(), task.n_ranges)
    else:
        ranges = group_of(table["row"].to_numpy(), task.starts)
    write_exchange(task.store, task.key, table, ranges, task.n_ranges)
    return Report(
        {"bytes": sums_by_range(table["sequence"].to_numpy(), ranges, {"bytes": table["bytes"].to_numpy()})}
    )


def _numbers(values: pa.ChunkedArray, numbers: Mapping[str, int]) -> np.ndarray:
    """Number of each value, -1 for none: int32 (n,)."""
    coded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    known = np.array([*(numbers.get(name, -1) for name in coded.dictionary.to_pylist()), -1], np.int32)
    return known[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def sums_by_range(index: np.ndarray, ranges: np.ndarray, amounts: Mapping[str, np.ndarray]) -> pa.Table:
    """Sums of amounts by index and range, those that occur: index, range and the sums, int64; and count."""
    table = pa.table({"index": index.astype(np.int64), "range": ranges, **amounts})
    sums = table.group_by(["index", "range"]).aggregate(
        [*((name, "sum") for name in amounts), ([], "count_all")]
    )
    return sums.select(["index", "range", *(f"{name}_sum" for name in amounts), "count_all"]).rename_columns(
        ["index", "range", *amounts, "count"]
    )


@dataclass(frozen=True)
class JoinTask(BlockTask):
    """Collects the positions of a block's documents in some outputs.

    sources: by range; bases: of each sequence, by range. key: of the file with one record batch.
    """

    sources: tuple[Source, ...]
    bases: Mapping[int, tuple[Base, ...]]
    key: str


def join_positions(task: JoinTask) -> Report:
    """Write row, output, part and position (row of the part), ordered by row and output."""
    write_exchange(
        task.store, task.key, table := _joined(task.store, task.sources, task.bases), _zeros(table), 1
    )
    return Report()


def _zeros(table: pa.Table) -> np.ndarray:
    return np.zeros(len(table), np.int64)


def _joined(store: Store, sources: Sequence[Source], bases: Mapping[int, Sequence[Base]]) -> pa.Table:
    """Positions that ranges sent, with numbers of the whole output. bases: by sequence, then range."""
    tables = []
    for i, source in enumerate(sources):
        table = read_sources(store, [source])
        sequence, part, row = (table[name].to_numpy() for name in ("sequence", "part", "position"))
        part, row, output = part.copy(), row.astype(np.int64), sequence // np.int32(MAX_PART_GROUPS)
        for number in np.unique(sequence).tolist():
            mine = sequence == number
            part[mine], row[mine] = based(part[mine], row[mine], bases[number][i])
        tables.append(pa.table({ROW: table[ROW], "output": output, "part": part, "position": row}))
    joined = pa.concat_tables(tables)
    keys = [joined[name].to_numpy() for name in ("position", "part", "output", ROW)]
    return joined.take(pa.array(np.lexsort(keys)))


@dataclass(frozen=True)
class MixTask(BlockTask):
    """A task for one mix. decided: what is known of it."""

    decided: Decided

    def facts(self) -> pa.Table:
        """Facts of the documents that the mix may contain."""
        return rows_of(self.block.read(), self.decided.plan.mix)


@dataclass(frozen=True)
class AnswerTask(MixTask):
    """Answers the requests of one turn, about copies to be chosen, or about phases."""

    requests: tuple[Request, ...]
    of_phases: bool


def items_of(task: MixTask, of_phases: bool) -> Items:
    """What is searched, of one block."""
    plan: MixPlan = task.decided.plan
    documents = documents_of(task.facts(), plan)
    if of_phases:
        return phase_items(plan, documents, count_copies(task.decided, documents))[1]
    return walk(documents, partial_cells(plan))[1]


def answer_block(task: AnswerTask) -> Report:
    """See `cutoffs.answers`."""
    items = items_of(task, task.of_phases)
    return Report(pack(answers(items.take(items.order()), task.requests)))


def total_block(task: MixTask) -> Report:
    """Number and sizes of what is divided among phases, by cell."""
    items = items_of(task, of_phases=True)
    n_cells = len(task.decided.plan.cells)
    inside = items.cell >= 0
    sizes = np.zeros(n_cells, np.int64)
    np.add.at(sizes, items.cell[inside], items.size[inside])
    return Report(
        {"cells": pa.table({"count": np.bincount(items.cell[inside], minlength=n_cells), "size": sizes})}
    )


@dataclass(frozen=True)
class SendCopiesTask(MixTask):
    """Sends the copies of a block to ranges of their places.

    key: of the exchange file. placed: file of positions in the data, if the mix refers to them. outputs: of the data,
    by language.
    """

    n_ranges: int
    key: str
    placed: str | None = None
    languages: int = 0


def send_copies(task: SendCopiesTask) -> Report:
    """Send what the training order depends on and consists of; reports sums by stratum and range, and the tally."""
    facts, plan = task.facts(), task.decided.plan
    documents = documents_of(facts, plan)
    n_copies = count_copies(task.decided, documents)
    document, copies = list_copies(task.decided, documents, n_copies)
    counted = tally(facts, documents, n_copies, copies, plan)
    chosen = facts.select(["doc_id", "text_bytes"]).take(pa.array(document))
    copies = copies.append_column("bytes", chosen["text_bytes"].cast(pa.int64()))
    copies = copies.append_column("doc_id", chosen["doc_id"].cast(pa.string()))
    if task.placed is not None:
        data = _data_positions(task, facts, document)
        for name in ("part", "position"):
            copies = copies.append_column(f"data_{name}", pa.array(data[name], pa.int32()))
    ranges = range_of(copies["place"].to_numpy(), task.n_ranges)
    write_exchange(task.store, task.key, copies, ranges, task.n_ranges)
    strata = strata_of_copies(copies, "cell" if plan.mix.curve else "group")
    amounts = {"size": copies["size"].to_numpy(), "bytes": copies["bytes"].to_numpy()}
    return Report({"sums": sums_by_range(strata, ranges, amounts)}, plain(counted))


def _data_positions(task: SendCopiesTask, facts: pa.Table, document: np.ndarray) -> dict[str, np.ndarray]:
    """Part and row in data/ of the document of each copy."""
    assert task.placed is not None
    placed = read_sources(task.store, [(task.placed, 0)])
    placed = placed.filter(pa.array(placed["output"].to_numpy() < task.languages))
    at = np.searchsorted(placed[ROW].to_numpy(), facts[ROW].to_numpy()[document])
    return {name: placed[name].to_numpy()[at] for name in ("part", "position")}


@dataclass(frozen=True)
class ScatterTask(BlockTask):
    """Writes the positions of each shard of a block. placed: file of positions in the data; sources and bases: see
    JoinTask, one for each mix."""

    placed: str
    sources: tuple[tuple[Source, ...], ...]
    bases: tuple[Mapping[int, tuple[Base, ...]], ...]
    work: WorkFolder


def scatter(task: ScatterTask) -> Report:
    """Write one table for each shard: row (of the shard), output, part, position; reports outputs by shard."""
    with open_batches(task.store, task.placed) as file:
        tables = [pa.Table.from_batches([file.get_batch(0)])]
    tables += [_joined(task.store, s, b) for s, b in zip(task.sources, task.bases, strict=True)]
    table = pa.concat_tables(tables)
    ordinals = (table[ROW].to_numpy() >> np.uint64(ROW_BITS)).astype(np.int64)
    order = np.argsort(ordinals, kind="stable")
    present: dict[str, list[int]] = {}
    for ordinal in task.block.shards:
        low, high = np.searchsorted(ordinals, [ordinal, ordinal + 1], sorter=order)
        mine = table.take(pa.array(order[low:high]))
        local = (mine[ROW].to_numpy() & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
        mine = mine.set_column(0, ROW, pa.array(local))
        write_exchange(task.store, task.work.positions(ordinal), mine, _zeros(mine), 1)
        present[str(ordinal)] = np.unique(mine["output"].to_numpy()).tolist()
    return Report(facts=present)
