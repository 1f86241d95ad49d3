"""Passes of a placement over ranges of an order: places, positions, parts, and the numbers of a training order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any  # plain JSON

import numpy as np
import pyarrow as pa

from pipeline.dataset.release_schema import ORDER
from pipeline.dataset.row_digest import ordered_total, row_digests
from pipeline.mapreduce.exchange import Source
from pipeline.mapreduce.shuffle import open_batches, read_sources, write_batches, write_exchange
from pipeline.mix.blocks import (
    PLACE_BITS,
    Sums,
    in_order,
    places,
    range_of,
    range_of_position,
    strata_of_copies,
)
from pipeline.mix.plan import MixPlan
from pipeline.release.block_tasks import MAX_PART_GROUPS, sums_by_range
from pipeline.release.parquet import release_writer, streamed_groups
from pipeline.release.parts import Base, Open, based, cut_marked, cut_range
from pipeline.release.passes import Report
from pipeline.rounds import group_of
from pipeline.schema import ROW, ROW_BITS
from pipeline.storage.scratch import scratch
from pipeline.storage.store import Store

PIECE_ROWS = 1 << 16
"""Rows of a record batch of a piece of a training order."""


@dataclass(frozen=True)
class RangeTask:
    """A task over one range. sources: what it reads; key: of the exchange file that it writes."""

    store: Store
    sources: tuple[Source, ...]
    key: str

    def read(self) -> pa.Table:
        """The rows of the range."""
        return read_sources(self.store, self.sources).combine_chunks()


@dataclass(frozen=True)
class Bytes:
    """Bytes of a sequence in front of a range, and in all."""

    before: int
    total: int


@dataclass(frozen=True)
class CutTask(RangeTask):
    """Cuts a range of the data into parts.

    starts: of the blocks, see `group_of`; bytes: by sequence. marks, left: by sequence, if documents follow the order
    of shards, see parts.cut_marked: every how many documents one is a mark, and what the range before left open.
    """

    starts: tuple[int, ...]
    bytes: Mapping[int, Bytes]
    part_bytes: int
    marks: Mapping[int, int] | None = None
    left: Mapping[int, Open] | None = None


def cut_data(task: CutTask) -> Report:
    """Order each sequence by hash, cut it, and send positions to the blocks; reports by sequence how it is cut, or what
    is left open."""
    table = task.read()
    keys = [table[name].to_numpy() for name in ("row", "hash", "sequence")]
    if task.marks is not None:
        keys.insert(2, keys[0] >> np.uint64(ROW_BITS))
    table = table.take(pa.array(np.lexsort(keys)))
    sequence, sizes = table["sequence"].to_numpy(), table["bytes"].to_numpy()
    part, row = np.zeros(len(table), np.int32), np.zeros(len(table), np.int32)
    cuts = {}
    for number, known in task.bytes.items():
        low, high = np.searchsorted(sequence, [number, number + 1])
        if task.marks is not None and task.left is not None:
            is_mark = table["hash"].to_numpy()[low:high] % np.uint64(task.marks[number]) == 0
            part[low:high], row[low:high], left = cut_marked(
                sizes[low:high], is_mark, task.part_bytes, task.left[number]
            )
            cuts[str(number)] = asdict(left)
            continue
        part[low:high], row[low:high], cut = cut_range(
            sizes[low:high], known.before, known.total, task.part_bytes
        )
        cuts[str(number)] = asdict(cut)
    sent = {ROW: table["row"], "sequence": sequence, "part": part, "position": row}
    _send(task.store, task.key, sent, task.starts)
    return Report(facts=cuts)


def _send(store: Store, key: str, columns: Mapping[str, Any], starts: Sequence[int]) -> None:
    """Send positions to blocks. Any: columns of pyarrow or numpy."""
    sent = pa.table(columns)
    write_exchange(store, key, sent, group_of(sent[ROW].to_numpy(), starts), len(starts))


@dataclass(frozen=True)
class PlaceTask(RangeTask):
    """Places the copies of a range in their buckets, or in their groups.

    sums: by stratum. n_ranges: of the next order.
    """

    plan: MixPlan
    sums: Mapping[int, Sums]
    n_ranges: int


def place_in_buckets(task: PlaceTask) -> Report:
    """Spread the buckets of a curve over their groups, and send copies by their places; reports sums by group."""
    copies = task.read()
    found = places(copies, "cell", task.sums)
    copies = copies.append_column("bucket_place", pa.array(found))
    ranges = range_of(found, task.n_ranges)
    write_exchange(task.store, task.key, copies, ranges, task.n_ranges)
    amounts = {name: copies[name].to_numpy() for name in ("size", "bytes")}
    return Report({"sums": sums_by_range(strata_of_copies(copies, "group"), ranges, amounts)})


def positions_of(copies: pa.Table, plan: MixPlan, sums: Mapping[int, Sums]) -> np.ndarray:
    """Position of each copy of a range in training order: uint64 (n_copies,), phase << 56 | place."""
    phase = copies["phase"].to_numpy().astype(np.uint64) << np.uint64(PLACE_BITS)
    position: np.ndarray = phase + places(copies, "group", sums, plan)
    return position


def place_in_groups(task: PlaceTask) -> Report:
    """Give every copy its position and send it there; reports sizes and bytes by range."""
    copies = task.read()
    position = positions_of(copies, task.plan, task.sums)
    copies = copies.append_column("position", pa.array(position))
    ranges = range_of_position(position, task.plan, task.n_ranges)
    write_exchange(task.store, task.key, copies, ranges, task.n_ranges)
    amounts = {name: copies[name].to_numpy() for name in ("size", "bytes")}
    return Report({"sums": sums_by_range(np.zeros(len(copies), np.int64), ranges, amounts)})


@dataclass(frozen=True)
class OrderTask(RangeTask):
    """Writes a range of a training order. key: of the piece. sums: given if copies have no position yet, because there
    is one stratum only; output: number of the mix; starts: of the blocks."""

    plan: MixPlan
    sums: Mapping[int, Sums]
    output: int
    starts: tuple[int, ...]
    bytes: Bytes
    part_bytes: int
    sent: str


def order_range(task: OrderTask) -> Report:
    """Order a range, cut it into parts, write its piece and send positions to the blocks; reports the cut."""
    copies = task.read()
    known = "position" in copies.column_names
    position = copies["position"].to_numpy() if known else positions_of(copies, task.plan, task.sums)
    copies = copies.take(pa.array(in_order(copies, position)))
    part, row, cut = cut_range(
        copies["bytes"].to_numpy(), task.bytes.before, task.bytes.total, task.part_bytes
    )
    sequence = np.full(len(copies), task.output * MAX_PART_GROUPS, np.int32)
    sent = {ROW: copies["row"], "sequence": sequence, "part": part, "position": row}
    _send(task.store, task.sent, sent, task.starts)
    has_data = "data_part" in copies.column_names
    piece = pa.table(
        {
            "doc_id": copies["doc_id"],
            "part": copies["data_part"] if has_data else part,
            "row": copies["data_position"] if has_data else row,
            "epoch": copies["epoch"],
            **{name: copies[name] for name in ("phase", "group", "size")},
        }
    ).combine_chunks()
    starts = range(0, max(len(piece), 1), PIECE_ROWS)
    write_batches(task.store, task.key, (piece.slice(start, PIECE_ROWS) for start in starts))
    return Report(facts=asdict(cut))


@dataclass(frozen=True)
class OrderFileTask:
    """Writes the order of a mix. pieces: by range; bases: by range, None where parts and rows are those of the data."""

    store: Store
    pieces: tuple[str, ...]
    bases: tuple[Base, ...] | None
    key: str


def write_order(task: OrderFileTask) -> Report:
    """Write one Parquet file from all pieces, a row group at a time; reports rows, bytes, SHA-256 and digest."""
    n_rows, found = 0, 0
    with scratch() as folder:
        path = os.path.join(folder, "order.parquet")
        with release_writer(path, ORDER) as writer:
            for table in streamed_groups(_rows(task), ORDER):
                writer.write_table(table, row_group_size=len(table))
                found += ordered_total(row_digests(table), n_rows)
                n_rows += len(table)
        with open(path, "rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        n_bytes = os.path.getsize(path)
        task.store.put_file(task.key, path)
    return Report(
        facts={"rows": n_rows, "sha256": sha256, "bytes": n_bytes, "digest": f"{found % 2**64:016x}"}
    )


def _rows(task: OrderFileTask) -> Iterator[pa.Table]:
    """The rows of the order."""
    for i, key in enumerate(task.pieces):
        with open_batches(task.store, key) as file:
            for number in range(file.num_record_batches):
                table = pa.Table.from_batches([file.get_batch(number)]).select(ORDER.names)
                if task.bases is not None:
                    part, row = based(table["part"].to_numpy(), table["row"].to_numpy(), task.bases[i])
                    table = table.set_column(1, "part", pa.array(part)).set_column(2, "row", pa.array(row))
                yield table.cast(ORDER)
