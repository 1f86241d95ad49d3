"""Decompression and line splitting: the effect of damage, and bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.decoding.streams import Bounds, split_lines
from stages.readers import jsonl, parquet, wet
from tests.helpers.records import (
    COMPRESSED,
    PACK,
    conversion,
    documents,
    lines,
    parquet_bytes,
    read,
    reasons,
)


@pytest.mark.parametrize("name", PACK)
def test_a_file_of_several_members_reads_as_one(name: str) -> None:
    """The format is detected from the bytes; gzip members, zstd frames, bzip2 and xz streams are concatenated."""
    parts = [b"\n".join(lines(40)) + b"\n", b"", b'{"text": "\xe4\xb8', b'\xad"}\n', lines(1)[0]]
    records = read(jsonl.READER, b"".join(PACK[name](part) for part in parts))
    assert [r.position for r in records] == list(range(42))
    assert records[40].fields == {"text": "中"}
    assert records[41].fields == json.loads(lines(1)[0])


def test_zero_padding_and_skippable_frames_are_no_damage() -> None:
    """Tapes pad gzip with zeros and zstd tools store notes in skippable frames."""
    line = lines(1)[0] + b"\n"
    note = b"\x50\x2a\x4d\x18\x04\0\0\0note"
    packed = zstandard.compress(line)
    assert reasons(read(jsonl.READER, gzip.compress(line) + bytes(700) + gzip.compress(line))) == [
        (0, None),
        (1, None),
    ]
    assert reasons(read(jsonl.READER, note + packed + note + packed)) == [(0, None), (1, None)]


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_truncated_file_gives_every_line_before_the_cut(name: str) -> None:
    """Records are a prefix of those of the whole file, and the last one has the reason `truncated`."""
    whole = b"\n".join(lines(3000))
    packed = PACK[name](whole)
    expected = read(jsonl.READER, packed)
    for cut in (len(packed) - 1, len(packed) - 5, len(packed) // 2, len(packed) // 3, 40):
        *before, last = read(jsonl.READER, packed[:cut])
        assert (last.position, last.fields, last.reason) == (-1, None, "truncated")
        assert before == expected[: len(before)]
        if name == "gzip":  # the others give whole blocks only, up to 900 kB
            readable = zlib.decompressobj(31).decompress(packed[:cut])
            assert len(before) in (readable.count(b"\n"), readable.count(b"\n") + 1)
            if len(before) == readable.count(b"\n"):
                assert (last.raw or b"") == readable.rpartition(b"\n")[2]


def test_a_damaged_gzip_member_gives_every_line_before_the_damage() -> None:
    """A wrong checksum is found at the end of a member, and the lines read before it are kept."""
    whole = b"\n".join(lines(3000)) + b"\n"
    packed = bytearray(gzip.compress(whole))
    packed[-6] ^= 1
    *before, last = read(jsonl.READER, bytes(packed) + gzip.compress(b"lost"))
    assert reasons(before) == [(i, None) for i in range(3000)]
    assert (last.position, last.reason) == (-1, "corrupt_stream")
    assert "incorrect data check" in str(last.detail)


@pytest.mark.parametrize("name", COMPRESSED)
def test_bytes_after_a_member_that_start_none_are_damage(name: str) -> None:
    """What follows a member must be one too; the lines before it are kept."""
    records = read(jsonl.READER, PACK[name](b"\n".join(lines(3)) + b"\n") + b"trailing garbage")
    assert [r.position for r in records] == [0, 1, 2, -1]
    assert records[-1].reason in {"corrupt_stream", "truncated"}


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_decompression_bomb_ends_the_file(name: str) -> None:
    """Beyond the free bytes, output above the ratio stops reading; earlier records are kept."""
    data = b"".join(PACK[name](part) for part in (lines(1)[0] + b"\n", b"0" * (8 << 20)))
    records = read(jsonl.READER, data, max_ratio=100, ratio_free_bytes=1 << 20, max_line_bytes=1 << 16)
    first, *cut, last = reasons(records)
    assert (first, last) == ((0, None), (-1, "decompression_bomb"))
    assert cut in ([(1, "line_too_long")], [])  # 8 MiB of zstd come at once and are refused whole
    generous = read(jsonl.READER, data, max_ratio=10**6, ratio_free_bytes=1 << 20)
    assert reasons(generous) == [(0, None), (1, "invalid_json")]


@given(
    st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"b", b"\n")), max_size=8),
    st.integers(1, 12),
)
@settings(deadline=None)
def test_lines_do_not_depend_on_chunks(chunks: list[bytes], max_bytes: int) -> None:
    """Cut into chunks or not, the same lines come out, each with its full length."""
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    found = list(split_lines(iter(chunks), max_bytes))
    assert [n for _, n in found] == [len(line) for line in expected]
    for (line, n), plain in zip(found, expected, strict=True):
        assert n > max_bytes or line == plain


def test_an_error_of_the_storage_rises() -> None:
    """A broken network is not a broken file: it must be tried again, not quarantined."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1000:
                raise ConnectionError("reset by peer")
            return super().read(min(size, 600) if size and size > 0 else 600)

    for reader, data in (
        (jsonl.READER, gzip.compress(b"\n".join(lines(100)))),
        (wet.READER, b"".join(conversion(line) for line in lines(100))),
        (parquet.READER, parquet_bytes(documents(100))),
    ):
        with pytest.raises(ConnectionError):
            list(reader.read(Broken(data), "f", reader.config()))


def test_bounds_out_of_range_are_refused() -> None:
    """A bound that no input can meet is an error of the run file."""
    for make in (
        lambda: Bounds(max_ratio=0.5),
        lambda: jsonl.Config(max_line_bytes=0),
        lambda: wet.Config(max_record_bytes=0),
    ):
        with pytest.raises(ConfigError):
            make()
