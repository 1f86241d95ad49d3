"""The JSON Lines reader: positions, and the effect of a bad line."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from stages.readers import jsonl
from tests.helpers.records import (
    MAGIC,
    PACK,
    PIECES,
    lines,
    read,
    reasons,
)


def test_jsonl_positions_count_every_line() -> None:
    """Blank lines give no record but keep their number; CRLF, a leading mark, no last line break are fine."""
    data = b'\xef\xbb\xbf{"text": "\xe4\xb8\x80"}\r\n\n  \t\r\n{"text": "two"}'
    records = read(jsonl.READER, data)
    assert [(r.position, r.fields) for r in records] == [(0, {"text": "一"}), (3, {"text": "two"})]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (
            json.dumps({"text": "国标编码的网页"}, ensure_ascii=False).encode("gb18030"),
            "invalid_utf8",
            "byte 0x",
        ),
        (b'{"text": "caf\xe9"}', "invalid_utf8", "byte 0xe9 at 13"),
        (b'{"text": "cut', "invalid_json", "at character 9"),
        (b"[" * 100_000, "invalid_json", "recursion"),
        (b'{"n": ' + b"9" * 5000 + b"}", "invalid_json", "digits"),
        (b'["text"]', "not_an_object", "list"),
        (b'"text"', "not_an_object", "str"),
        (b"null", "not_an_object", "NoneType"),
        (b"\x1f", "invalid_json", "at character 0"),
    ],
)
def test_jsonl_a_bad_line_says_why_and_costs_only_itself(line: bytes, reason: str, detail: str) -> None:
    """The line before and the line after are read; the bad one keeps its bytes."""
    before, bad, after = read(jsonl.READER, b'{"text": "x"}\n' + line + b"\n{}\n")
    assert (before.fields, after.fields, after.position) == ({"text": "x"}, {}, 2)
    assert (bad.position, bad.fields, bad.reason) == (1, None, reason)
    assert detail in str(bad.detail)
    assert bad.raw == line[: 1 << 16]
    assert ("raw holds" in str(bad.detail)) == (len(line) > 1 << 16)


def test_jsonl_reads_what_python_writes() -> None:
    r"""NaN, Infinity and lone surrogates are no strict JSON, but cost no document."""
    line = rb'{"x": [NaN, -Infinity, 1e999], "y": "\ud83d", "z": "\ud83d\ude00"}'
    (record,) = read(jsonl.READER, line)
    assert record.fields is not None
    assert record.fields["x"][1:] == [float("-inf"), float("inf")]
    assert (record.fields["y"], record.fields["z"]) == ("\ud83d", "😀")


@pytest.mark.parametrize("name", PACK)
def test_jsonl_a_line_over_the_bound_is_skipped(name: str) -> None:
    """Reading continues with the next line; position, length and the start of the long line are kept."""
    long = b'{"text": "' + random.Random(1).randbytes(100_000).hex().encode() + b'"}'
    data = b"\n".join([lines(1)[0], long, lines(1)[0], long])
    records = read(jsonl.READER, PACK[name](data), max_line_bytes=100_000)
    assert reasons(records) == [(0, None), (1, "line_too_long"), (2, None), (3, "line_too_long")]
    assert records[1].raw == long[: 1 << 16]
    assert f"{len(long):,} bytes" in str(records[1].detail)
    assert reasons(read(jsonl.READER, PACK[name](data))) == [(i, None) for i in range(4)]


def test_jsonl_memory_stays_small_whatever_the_file_holds() -> None:
    """20 MB of lines and one line of 20 MB pass in 3 MB of Python memory."""

    class Endless(io.RawIOBase):
        def __init__(self, head: bytes, block: bytes, n: int) -> None:
            self.blocks = iter([head, *[block] * n])

        def read(self, size: int = -1) -> bytes:
            return next(self.blocks, b"")

    block = b"\n".join(lines(1000)) + b"\n"
    n = (20 << 20) // len(block)
    for head, body, expected in ((b"\n", block, n * 1000), (b"{", block.replace(b"\n", b" "), 1)):
        tracemalloc.start()
        stream: Any = Endless(head, body, n)
        found = sum(1 for _ in jsonl.read(stream, "f", jsonl.Config(max_line_bytes=1 << 20)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == expected
        assert peak < 3 << 20


@settings(deadline=None)
@given(st.binary(max_size=200) | PIECES)
@example(b"\n\n")
@example(b"\xef\xbb\xbf")
@example(b'{"a":1}{\n{"a":1}')
def test_jsonl_accounts_for_any_bytes(data: bytes) -> None:
    """Never an exception; positions increase; of bytes that are more than brackets and blanks there is a record."""
    assume(not data.startswith((*MAGIC, b"\xff\xfe", b"\xfe\xff")))
    records = read(jsonl.READER, data)
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))
    assert bool(records) >= bool(data.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\x0b\x0c[],\x1e"))
