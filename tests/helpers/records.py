"""Files of records for tests of readers, whole and compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import strategies as st

from pipeline.stage import Reader, Record

PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
COMPRESSED = [name for name in PACK if name != "plain"]
MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")
PIECES = st.lists(st.sampled_from([b"{}", b'{"a":1}', b"\n", b"\xff", b"[", b" ", b"x"])).map(b"".join)


def read(reader: Reader, data: bytes, **config: Any) -> list[Record]:
    """All records of a file with these bytes but for skipped ones."""
    return [record for record in read_all(reader, data, **config) if not record.skipped]


def read_all(reader: Reader, data: bytes, **config: Any) -> list[Record]:
    """All records of a file with these bytes."""
    return list(reader.read(io.BytesIO(data), "a/file", reader.config(**config)))


def reasons(records: list[Record]) -> list[tuple[int, str | None]]:
    """Position and reason of each record."""
    return [(record.position, record.reason) for record in records]


def lines(n: int) -> list[bytes]:
    """Lines of JSON, zh and en in turn, that compress no better than text does."""
    noise = random.Random(7)
    kinds = ("网页正文，第", "plain page text number ")
    return [
        json.dumps(
            {"id": i, "text": f"{kinds[i % 2]}{i} {noise.getrandbits(256):x}"}, ensure_ascii=i % 3 == 0
        ).encode()
        for i in range(n)
    ]


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    """A Parquet file of a table."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def documents(n: int) -> pa.Table:
    """A table of n rows with text."""
    return pa.table({"id": list(range(n)), "text": [line.decode() for line in lines(n)]})


def conversion(
    payload: bytes, kind: str = "conversion", n: int | None = None, language: str = "zho"
) -> bytes:
    """A WARC record."""
    return (
        (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://例子.cn/a\r\n"
            f"WARC-Date: 2024-05-18T01:58:10Z\r\n"
            f"WARC-Record-ID: <urn:uuid:1>\r\nWARC-Identified-Content-Language: {language}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(payload) if n is None else n}\r\n\r\n"
        ).encode()
        + payload
        + b"\r\n\r\n"
    )
