"""Files that would cost far more than they are worth: each is small or dull, and asks for time or memory.

Each bomb writes about `n` bytes to a path, unless what it asks for is in few bytes; `bench_bombs` measures them.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

TEXT = "山不在高，有仙则名。A plain sentence that fills the field of a record."


@dataclass(frozen=True)
class Bomb:
    """A hostile file. reader: the module's last name; name: of the file; make: n bytes -> its content.

    grows: whether its size follows from n; one that does not asks for the same at any n.
    """

    reader: str
    name: str
    make: Callable[[int], bytes]
    grows: bool = True


def _fill(piece: bytes, n: int) -> bytes:
    return piece * max(n // len(piece), 1)


def _around(before: str, piece: bytes, after: str) -> Callable[[int], bytes]:
    return lambda n: before.encode() + _fill(piece, n) + after.encode()


def _keys(n: int) -> bytes:
    inner = b",".join(b'"k%d":1' % i for i in range(n // 12))
    return b'{"text": "%b", "x": {%b}}\n' % (TEXT.encode(), inner)


def _parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


def _dictionary(n: int) -> bytes:
    """One long value in a dictionary, to which many rows refer."""
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(8192, np.int32)), pa.array(["x" * (n // 64)]))
    return _parquet(pa.table({"text": rows}), store_schema=False)


def _null_rows(n: int) -> bytes:
    """Rows of nulls, run-length coded: hundreds of millions in a few hundred bytes."""
    return _parquet(pa.table({"text": pa.nulls(n * 8, pa.string())}), row_group_size=n * 8)


def _unused_column(n: int) -> bytes:
    """A row with a short text and a list of zeros in a column that nobody maps."""
    zeros = pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), pa.array(np.zeros(n, np.int64)))
    return _parquet(pa.table({"text": [TEXT], "features": zeros}))


def _many_columns(n: int) -> bytes:
    return _parquet(pa.table({f"c{i}": [1] for i in range(max(n // 400, 1))}))


def _arrow(n: int) -> bytes:
    """One batch of zeros in zstd: the size of the file bounds nothing."""
    zeros = pa.array([np.zeros(n * 4, np.int8).tobytes()] * 8, pa.large_binary())
    batch = pa.record_batch({"text": pa.array([TEXT] * 8), "x": zeros})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _zip(n: int, name: int = 8, size: int = 0) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(max(n // (2 * name + 80), 1)):
            archive.writestr(f"{i:0{name}d}.txt", b"x" * size)
    return sink.getvalue()


def _nested_zip(n: int) -> bytes:
    data = b"\0" * (n * 8)
    for name in ("a.txt", "b.zip", "c.zip"):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)
        data = sink.getvalue()
    return data


def _tar(n: int) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for i in range(n // 512):
            archive.addfile(tarfile.TarInfo(f"{i}.txt"))
    return sink.getvalue()


def _response(body: bytes, headers: bytes = b"") -> bytes:
    http = b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n" + body
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\n"
    head += b"Content-Type: application/http\r\nContent-Length: %d\r\n\r\n" % len(http)
    return head + http + b"\r\n\r\n"


def _small_members(n: int, content: bytes = b"x") -> bytes:
    return _fill(gzip.compress(content, mtime=0), n)


def _deflated(make: Callable[[int], bytes], times: int) -> Callable[[int], bytes]:
    """The bomb `times` as large, in gzip."""

    def made(n: int) -> bytes:
        packer, unit = zlib.compressobj(wbits=31), make(1 << 20)
        parts = [packer.compress(unit) for _ in range(n * times >> 20)]
        return b"".join([*parts, packer.flush()])

    return made


def _front(value: str) -> Callable[[int], bytes]:
    return lambda n: f"---\nid: {value}\nurl: http://a.example/\n---\n{TEXT}\n".encode()


def _toml(value: str) -> Callable[[int], bytes]:
    return lambda n: f"+++\nid = {value}\n+++\n{TEXT}\n".encode()


LINE = f'{{"text": "{TEXT}"}}\n'

BOMBS = {
    "json: a line of []": Bomb("jsonl", "a.jsonl", _around(f'{LINE}{{"x": [', b"[],", "1]}\n")),
    "json: a bare line of []": Bomb("jsonl", "a.jsonl", _around(f"{LINE}[", b"[],", "1]\n")),
    "json: a line of {}": Bomb("jsonl", "a.jsonl", _around(f'{{"text": "{TEXT}", "x": [', b"{},", "1]}\n")),
    "json: a line of keys": Bomb("jsonl", "a.jsonl", _keys),
    "json: a line of numbers": Bomb(
        "jsonl", "a.jsonl", _around(f'{LINE}{{"text": "a", "x": [', b"1,", "1]}\n")
    ),
    "json: a bare line of numbers": Bomb("jsonl", "a.jsonl", _around(f"{LINE}[", b"1,", "1]\n")),
    "json: a line of one number": Bomb("jsonl", "a.jsonl", _around(f'{LINE}{{"x":', b"1", "}\n")),
    "json: an array of one number": Bomb("jsonl", "a.json", _around("[", b"1", "]")),
    "json: an array of one string": Bomb("jsonl", "a.json", _around('["', b"a", '"]')),
    "json: an array of an open string": Bomb("jsonl", "a.json", _around('["', b"a", "")),
    "json: an array of []": Bomb("jsonl", "a.json", _around("[", b"[],", "1]")),
    "json: an array of numbers": Bomb("jsonl", "a.json", _around("[", b"1,", "1]")),
    "json: an array of {}": Bomb("jsonl", "a.json", _around("[", b"{},", "{}]")),
    "json: open brackets": Bomb("jsonl", "a.jsonl", _around(LINE, b"[", "\n")),
    "json: open objects": Bomb("jsonl", "a.jsonl", _around(f"{LINE}", b'{"a":', "\n")),
    "json: escapes": Bomb("jsonl", "a.jsonl", _around('{"text": "', b"\\", '"}\n')),
    "json: bad lines of one byte": Bomb("jsonl", "a.jsonl", _around("", b"x\n", "")),
    "json: bad objects": Bomb("jsonl", "a.jsonl", _around(LINE, b"{\n", "")),
    "json: an object of short lines": Bomb("jsonl", "a.jsonl", _around(f'{LINE}{{"x":[\n', b"1,\n", "1]}\n")),
    "json: empty objects": Bomb("jsonl", "a.jsonl", _around("", b"{}\n", "")),
    "json: lines of []": Bomb("jsonl", "a.jsonl", _around(LINE, b"[]\n", "")),
    "json: line breaks": Bomb("jsonl", "a.jsonl", _around(LINE, b"\n", LINE)),
    "json: blank lines": Bomb("jsonl", "a.jsonl", _around(LINE, b" \r\n", LINE)),
    "json: line breaks in gzip": Bomb("jsonl", "a.jsonl.gz", _deflated(lambda n: b"\n" * n, 2)),
    "json: CR alone": Bomb("jsonl", "a.jsonl", _around(LINE, b"\r", LINE)),
    "json: objects side by side": Bomb("jsonl", "a.jsonl", _around(LINE, b"{}", "\n")),
    "json: U+001E": Bomb("jsonl", "a.jsonl", _around(LINE, b"\x1e", "\n")),
    "csv: line breaks": Bomb("csv", "a.csv", _around("id,text\n", b"\n", f"1,{TEXT}\n")),
    "csv: blank lines": Bomb("csv", "a.csv", _around("id,text\n", b" \r\n", f"1,{TEXT}\n")),
    "csv: commas": Bomb("csv", "a.csv", _around(f"id,text\n1,{TEXT}\n", b",", "\n")),
    "csv: a header of commas": Bomb("csv", "a.csv", _around("", b",", f"\n1,{TEXT}\n")),
    "csv: a header of one name": Bomb("csv", "a.csv", lambda n: b"a," * min(n // 2, 100_000) + b"b\n1,2\n"),
    "csv: quotation marks": Bomb("csv", "a.csv", _around("id,text\n1,", b'"', "\n")),
    "csv: lines of a quotation mark": Bomb("csv", "a.csv", _around("id,text\n1,a\n", b'"\n', "")),
    "csv: bad rows": Bomb("csv", "a.csv", _around("id,text,url\n1,a,b\n", b"x\n", "")),
    "csv: NUL": Bomb("csv", "a.csv", _around("id,text\n1,", b"\0", "\n")),
    "lines: line breaks": Bomb("lines", "a.txt", _around("a\n", b"\n", "b\n")),
    "lines: lines of one byte": Bomb("lines", "a.txt", _around("", b"x\n", "")),
    "lines: one line": Bomb("lines", "a.txt", _around("", b"x", "")),
    "parquet: a dictionary of one long value": Bomb("parquet", "a.parquet", _dictionary, False),
    "parquet: rows of nulls": Bomb("parquet", "a.parquet", _null_rows, False),
    "parquet: an unused column of zeros": Bomb("parquet", "a.parquet", _unused_column, False),
    "parquet: many columns": Bomb("parquet", "a.parquet", lambda n: _many_columns(n // 8)),
    "arrow: zeros in zstd": Bomb("arrow", "a.arrow", _arrow, False),
    "textfile: sexagesimal": Bomb("textfile", "a.md", _front("1" + ":59" * 5000), False),
    "textfile: octal": Bomb("textfile", "a.md", _front("0" + "7" * 15000), False),
    "textfile: hexadecimal": Bomb("textfile", "a.md", _front("0x" + "f" * 15000), False),
    "textfile: 5,000 digits": Bomb("textfile", "a.md", _front("9" * 5000), False),
    "textfile: a key of digits": Bomb("textfile", "a.md", _front("1\n? 0x" + "f" * 9000 + "\n: 1"), False),
    "textfile: brackets": Bomb("textfile", "a.md", _front("[" * 15000), False),
    "textfile: TOML in hexadecimal": Bomb("textfile", "a.md", _toml("0x" + "f" * 15000), False),
    "textfile: TOML brackets": Bomb("textfile", "a.md", _toml("[" * 15000), False),
    "textfile: an open fence": Bomb("textfile", "a.md", _around("---\n", b"a: 1\n", "")),
    "textfile: 0x80": Bomb("textfile", "a.txt", _around("", b"\x80", "")),
    "html: open tags": Bomb("html", "a.html", _around("<html><body>", b"<div>", "")),
    "html: attributes": Bomb("html", "a.html", _around("<html><body><p ", b"a=1 ", ">")),
    "warc: blank bytes": Bomb("warc", "a.warc", _around("WARC/1.0\r\n", b"\r\n", "")),
    "warc: version lines": Bomb("warc", "a.warc", _around("", b"WARC/1.0\r\n", "")),
    "warc: empty records": Bomb("warc", "a.warc", _around("", b"WARC/1.0\r\n\r\n\r\n\r\n", "")),
    "warc: members of one byte": Bomb("warc", "a.warc.gz", _small_members),
    "warc: empty members": Bomb("warc", "a.warc.gz", lambda n: _small_members(n, b"")),
    "warc: members without a record's end": Bomb(
        "warc",
        "a.warc.gz",
        lambda n: gzip.compress(b"WARC/1.0\r\nContent-Length: 99999999\r\n\r\n") + _small_members(n),
    ),
    "warc: a content type of commas": Bomb(
        "warc", "a.warc", lambda n: _response(b"<p>x", b"Content-Type: " + b"," * n + b"\r\n")
    ),
    "warc: headers": Bomb("warc", "a.warc", lambda n: _response(b"<p>x", b"a: b\r\n" * (n // 6))),
    "warc: comments": Bomb("warc", "a.warc", lambda n: _response(b"<!---->" * 30 + b"x" * 9)),
    "wet: version lines": Bomb("wet", "a.wet", _around("", b"WARC/1.0\r\n", "")),
    "arc: lines": Bomb(
        "warc", "a.arc", _around("filedesc://a 0 20200101000000 text/plain 0\n", b"a b c d 0\n", "")
    ),
    "zip: empty members": Bomb("members", "a.zip", _zip),
    "zip: long names": Bomb("members", "a.zip", lambda n: _zip(n, 60_000)),
    "zip: an archive in an archive": Bomb("members", "a.zip", _nested_zip, False),
    "tar: empty members": Bomb("members", "a.tar", _tar),
    "tar: no headers": Bomb("members", "a.tar", lambda n: _tar(512) + b"x" * n),
    "chat: turns": Bomb(
        "chat",
        "a.jsonl",
        _around('{"messages":[', b'{"role":"user","content":"a"},', '{"role":"user","content":"b"}]}\n'),
    ),
    "gzip: zeros": Bomb("jsonl", "a.jsonl.gz", _deflated(bytes, 64), False),
    "zstd: zeros": Bomb("jsonl", "a.jsonl.zst", lambda n: zstandard.compress(bytes(n * 16)), False),
    "zstd: empty frames": Bomb("jsonl", "a.jsonl.zst", lambda n: _fill(zstandard.compress(b""), n)),
    "gzip: empty members": Bomb("jsonl", "a.jsonl.gz", lambda n: _small_members(n, b"")),
    "gzip: members of one byte": Bomb("jsonl", "a.jsonl.gz", _small_members),
}


def write(bomb: Bomb, n: int, folder: Path) -> Path:
    """Write a bomb of about n bytes; returns its path."""
    path = folder / bomb.name
    path.write_bytes(bomb.make(n))
    return path
