"""The reader of Arrow and Feather files: what other tools write, whole and damaged."""

from __future__ import annotations

import io

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from stages.readers import arrow
from tests.helpers.records import documents, read, reasons

TABLE = documents(600)
ROWS = TABLE.to_pylist()


def ipc(kind: str, compression: str | None = None) -> bytes:
    """An IPC file or stream of batches of 100 rows."""
    sink = io.BytesIO()
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(sink, TABLE.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(TABLE, max_chunksize=100)
    return sink.getvalue()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_files_and_streams_are_read(kind: str, compression: str | None) -> None:
    """Rows in order; a file that is cut off gives the batches before the end, damaged ones those before the damage."""
    data = ipc(kind, compression)
    records = read(arrow.READER, data)
    assert [record.fields for record in records] == ROWS
    assert [record.position for record in records] == list(range(600))
    cut = read(arrow.READER, data[: len(data) * 2 // 3])
    assert [record.fields for record in cut[:-1]] == ROWS[: len(cut) - 1] and len(cut) > 200
    assert (cut[-1].position, cut[-1].reason, cut[-1].lost_bytes) == (-1, "truncated", len(data) * 2 // 3)


def test_what_other_tools_write_is_read() -> None:
    """pandas' Feather, Polars' IPC files and streams."""
    sinks = [io.BytesIO() for _ in range(3)]
    pd.DataFrame(ROWS).to_feather(sinks[0])
    pl.DataFrame(ROWS).write_ipc(sinks[1])
    pl.DataFrame(ROWS).write_ipc_stream(sinks[2])
    for sink in sinks:
        assert [record.fields for record in read(arrow.READER, sink.getvalue())] == ROWS


def test_what_is_no_arrow_file_says_so() -> None:
    """Junk behind the magic bytes, nothing, the old Feather format, columns of one name, a bomb."""
    for data in (b"ARROW1\0\0" + b"x" * 99, b"\xff\xff\xff\xffxx", b"", b"FEA1" + b"\0" * 50):
        assert reasons(read(arrow.READER, data)) == [(-1, "unreadable_arrow")]
    twice = pa.table([pa.array(["a"]), pa.array(["b"])], names=["t", "t"])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, twice.schema) as writer:
        writer.write_table(twice)
    (record,) = read(arrow.READER, sink.getvalue())
    assert "named 't'" in str(record.detail)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    big = pa.table({"text": ["a" * (1 << 20)] * 3})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, big.schema, options=options) as writer:
        writer.write_table(big, max_chunksize=1)
    records = read(arrow.READER, sink.getvalue(), ratio_free_bytes=1 << 21)
    assert records[-1].reason == "decompression_bomb" and len(records) < 4
