"""Parquet: every column of every row, nested values as Python objects; position is the row number in the file.

Reads a few MB at a time, row group by row group. Extension types are the values that they stand for, such as UUIDs, and
maps are objects. Two columns of one name are refused, since nothing tells which is meant. Reasons of broken records:
invalid_utf8, unreadable_value, too_many_values; at position -1: unreadable_parquet, decompression_bomb,
reader_memory, corrupt_row_group (rows before it are used).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.stage import Reader, Record
from stages.decoding.arrow_rows import (
    MAX_BATCH_ROWS,
    UNREADABLE,
    one_line,
    output_bytes,
    records_of,
    repeated_name,
)
from stages.decoding.streams import Bounds, Watched
from stages.readers import FIELDS

BATCH_BYTES = 8 << 20
"""Uncompressed bytes read at once, estimated from the average row of the file."""


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """Bounds of decompression, checked against the sizes in the file's metadata and against what it is read as."""


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per row, in order; see `Reader`."""
    watched = Watched(stream)
    try:
        file = pq.ParquetFile(pa.PythonFile(watched, mode="r"), buffer_size=1 << 20, pre_buffer=False)
        stated = _stated_bytes(file.metadata)
    except MemoryError as error:  # which is an ArrowException
        yield Record(-1, None, "reader_memory", one_line(error), lost_bytes=_size(watched))
        return
    except UNREADABLE as error:
        if watched.failure:
            raise
        yield Record(-1, None, "unreadable_parquet", one_line(error), lost_bytes=_size(watched))
        return
    fault = repeated_name(file.schema_arrow)
    if fault or (excess := config.exceeded(_size(watched), stated)):
        reason = "unreadable_parquet" if fault else "decompression_bomb"
        yield Record(-1, None, reason, fault or excess, lost_bytes=_size(watched))
        return
    uuids = _uuid_columns(file)
    n_rows = file.metadata.num_rows
    batch_rows = min(max(BATCH_BYTES * n_rows // max(stated, 1), 1), MAX_BATCH_ROWS)
    position, n_out, size = 0, 0, _size(watched)
    try:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_rows, row_groups=[group], use_threads=False):
                n_out += output_bytes(batch)
                if excess := config.exceeded(size, n_out):
                    yield Record(-1, None, "decompression_bomb", excess, lost_bytes=size)
                    return
                yield from records_of(batch, position, config.max_values, uuids)
                position += batch.num_rows
    except MemoryError as error:
        yield Record(-1, None, "reader_memory", one_line(error), lost_bytes=size)
    except UNREADABLE as error:
        if watched.failure:
            raise
        detail = f"{one_line(error)}; {position:,} of {n_rows:,} rows were read"
        lost = _size(watched) * (n_rows - position) // max(n_rows, 1)
        yield Record(-1, None, "corrupt_row_group", detail, lost_bytes=lost)


def _size(watched: Watched) -> int:
    return watched.seek(0, 2)


def _uuid_columns(file: pq.ParquetFile) -> frozenset[str]:
    """Names of top-level columns that Parquet declares as UUID and that Arrow reads as plain bytes."""
    leaves = (file.schema.column(i) for i in range(len(file.schema)))
    return frozenset(leaf.path for leaf in leaves if str(leaf.logical_type) == "UUID")


def _stated_bytes(metadata: pq.FileMetaData) -> int:
    """Return the uncompressed bytes of all row groups, from the footer.

    Those of column chunks are not looked at: Arrow ends the process where their statistics contradict each other.
    """
    return sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))


READER = Reader(name="parquet", version=3, config=Config, read=read, fields=FIELDS)
