"""All readers: no bytes make one raise or lose a record."""

from __future__ import annotations

import gzip
import io
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.stage import Reader
from stages.decoding.streams import Bounds, Inflated
from stages.readers import jsonl, parquet, wet
from tests.helpers.records import (
    PACK,
    conversion,
    documents,
    lines,
    parquet_bytes,
    read,
)

GOOD = {
    "jsonl": (jsonl.READER, b"\n".join(lines(30))),
    "wet": (wet.READER, b"".join(conversion(line) for line in lines(30))),
    "parquet": (parquet.READER, parquet_bytes(documents(30), row_group_size=10)),
}


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("name", GOOD)
@settings(deadline=None, max_examples=40)
@given(edit=st.data())
def test_no_reader_raises_on_damaged_bytes(name: str, pack: str, edit: st.DataObject) -> None:
    """Cut, overwritten or random bytes: records in order, each whole or with a reason, -1 only at the end."""
    reader, good = GOOD[name]
    data = bytearray(PACK[pack](good))
    for _ in range(edit.draw(st.integers(0, 3))):
        start = edit.draw(st.integers(0, len(data)))
        noise = edit.draw(st.binary(max_size=20))
        data[start : start + edit.draw(st.integers(0, 20))] = noise
    records = read(reader, bytes(data[: edit.draw(st.integers(0, len(data)))]))
    positions = [record.position for record in records]
    if positions and positions[-1] == -1:
        positions.pop()
    assert positions == sorted(set(positions))
    assert not positions or positions[0] >= 0
    for record in records:
        assert (record.fields is None) == (record.reason is not None)
        assert record.raw is None or len(record.raw) <= 1 << 16


@settings(deadline=None)
@given(st.sampled_from([jsonl.READER, wet.READER, parquet.READER]), st.binary(max_size=300))
@example(wet.READER, b"WARC/1.0\r\n\r\n")
@example(wet.READER, b"WARC/1.0\r\nContent-Length: 99999999999999999999\r\n\r\nx")
@example(jsonl.READER, b"\x1f\x8b")
@example(jsonl.READER, b"\x50\x2a\x4d\x18")
def test_no_reader_raises_on_random_bytes(reader: Reader, data: bytes) -> None:
    """Nothing but an empty or blank file gives no record at all."""
    records = read(reader, data)
    assert records or (reader.name != "parquet" and not data.strip())


@pytest.mark.parametrize("name", GOOD)
def test_reading_twice_gives_the_same_records(name: str) -> None:
    """Positions and fields are those of the file, for any sizes of reads from its stream."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(7 if size and size > 7 else size)

    reader, good = GOOD[name]
    slowly = list(reader.read(Slow(good), "f", reader.config()))
    assert slowly == read(reader, good)
    assert len(slowly) == 30


def test_inflated_reads_like_a_file() -> None:
    """`read` returns the same bytes as `chunks`, in pieces of at most the requested size."""
    whole = random.Random(3).randbytes(600_000)
    source = Inflated(io.BytesIO(gzip.compress(whole)), Bounds())
    pieces = list(iter(lambda: source.read(10_007), b""))
    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) <= 10_007
    assert source.damage is None
