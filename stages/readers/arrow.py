"""Arrow IPC: files (Feather V2, `.arrow`, `.feather`) and streams, as pandas, Polars, DuckDB and `datasets` write them.

Every column of every row, as in `parquet`; position is the row number in the file. A file whose footer is missing is
read as the stream that it contains, up to the damage. Reasons of broken records: invalid_utf8, unreadable_value,
too_many_values; at
position -1: unreadable_arrow, truncated, corrupt_batch (rows before it are used), decompression_bomb, reader_memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from pipeline.stage import Reader, Record
from stages.decoding.arrow_rows import (
    MAX_BATCH_ROWS,
    UNREADABLE,
    check_batch,
    one_line,
    output_bytes,
    records_of,
    repeated_name,
)
from stages.decoding.streams import Bounds, Watched
from stages.readers import FIELDS

FILE, STREAM, FEATHER_1 = b"ARROW1\0\0", b"\xff\xff\xff\xff", b"FEA1"
"""First bytes of an IPC file, of a stream, and of the Feather format before Arrow's."""

OLD_FEATHER = "Feather V1, which Arrow replaced in 2020; write it again, for example with pandas' to_feather"


def is_arrow(start: bytes) -> bool:
    """Whether a file begins like one of Arrow or Feather."""
    return start.startswith((FILE, STREAM, FEATHER_1))


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """Bounds of decompression: the bytes of the batches so far against those of the file that were read."""


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per row, in order; see `Reader`."""
    watched = Watched(stream)
    start, size = watched.read(len(FILE)), watched.seek(0, 2)
    position = n_out = 0
    try:
        if start.startswith(FEATHER_1):
            raise pa.ArrowInvalid(OLD_FEATHER)
        for batch in _batches(watched, start):
            check_batch(batch)
            n_out += output_bytes(batch)
            if excess := config.exceeded(size, n_out):
                yield Record(-1, None, "decompression_bomb", excess, lost_bytes=size)
                return
            for at in range(0, batch.num_rows, MAX_BATCH_ROWS):
                yield from records_of(batch.slice(at, MAX_BATCH_ROWS), position + at, config.max_values)
            position += batch.num_rows
    except MemoryError as error:  # which is an ArrowException
        yield Record(-1, None, "reader_memory", one_line(error), lost_bytes=size)
    except UNREADABLE as error:
        if watched.failure:
            raise
        detail = f"{one_line(error)}; {position:,} rows were read"
        if position and watched.furthest >= size:  # nobody knows how much is missing
            yield Record(-1, None, "truncated", detail, lost_bytes=size)
        elif position:
            yield Record(-1, None, "corrupt_batch", detail, lost_bytes=size - watched.furthest)
        else:
            yield Record(-1, None, "unreadable_arrow", detail, lost_bytes=size)


def _batches(watched: Watched, start: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file by its footer, or of the stream in it."""
    if start == FILE:
        watched.seek(0)
        try:
            file = pa.ipc.open_file(pa.PythonFile(watched, mode="r"))
        except MemoryError:
            raise
        except UNREADABLE:
            if watched.failure:
                raise
        else:
            _check(file.schema)
            for i in range(file.num_record_batches):
                yield file.get_batch(i)
            return
    watched.seek(len(FILE) if start == FILE else 0)
    reader = pa.ipc.open_stream(pa.PythonFile(watched, mode="r"))
    _check(reader.schema)
    yield from reader
    if start == FILE:
        raise pa.ArrowInvalid("the footer is missing: the file was cut off")


def _check(schema: pa.Schema) -> None:
    if fault := repeated_name(schema):
        raise pa.ArrowInvalid(fault)


READER = Reader(name="arrow", version=2, config=Config, read=read, fields=FIELDS)
