"""WARC: pages of real and of made-up archives, whole, damaged and hostile."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.ingest.canonical import Rows, SourceInfo
from stages.readers.warc import READER, Config
from tests.helpers.build import build, cli, write_run
from tests.helpers.build import texts as released_texts
from tests.helpers.paths import DEV_DATA
from tests.helpers.records import PACK, read, read_all, reasons
from tests.helpers.warc import HEAD, ZH, ZH_HANT, page, response, warc

HANG = "<p " + " ".join(f"a{i}=1" for i in range(200_000)) + ">"


def texts(data: bytes, **config: Any) -> list[str]:
    """Stripped texts of all records, which must be whole."""
    records = read(READER, data, **config)
    assert reasons(records) == [(record.position, None) for record in records]
    return [record.fields["text"].strip() for record in records]  # type: ignore[index]


def chunked(body: bytes, size: int = 50) -> bytes:
    """The body in HTTP chunks."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_page_gives_all_fields() -> None:
    """Headers of the archive, of HTTP and of the page become fields of one record."""
    head = f'{HEAD}<meta name="robots" content="noarchive"><link rel=license href="https://l.example/by">'
    html = page(ZH, head).replace("<html>", '<html lang="zh-CN">')
    data = response(
        html, 7, head="X-Robots-Tag: NoAI\r\nx-robots-tag: noindex\r\n", extra="WARC-Truncated: length\r\n"
    )
    (record,) = read(READER, data)
    assert record.fields is not None
    assert record.fields.pop("text").strip() == ZH
    assert record.fields == {
        "url": "http://例子.cn/7",
        "date": "2024-05-18T01:58:10Z",
        "source_id": "<urn:uuid:7>",
        "title": "t",
        "language": "zh-CN",
        "robots": "noai; noindex; noarchive",
        "license_links": ["https://l.example/by"],
        "rel_license": "https://l.example/by",
        "encoding": "utf-8",
        "warc_truncated": "length",
    }


def test_other_records_are_skipped_with_a_reason_each() -> None:
    """Only HTML and plain text with status 200 are pages; every other record has a reason; positions count all."""
    data = b"".join(
        [
            warc(b"software: x\r\n", "warcinfo"),
            warc(b"GET / HTTP/1.1\r\n\r\n", "request"),
            response(page("one")),
            response(b"\x89PNG", kind="image/png"),
            response(page("gone"), status="404 Not Found"),
            response("two", kind="Text/Plain; charset=utf-8"),
            warc(b"20240518 example.org 1.2.3.4", "response").replace(
                "http://例子.cn".encode(), b"dns:example.org"
            ),
            response("", kind="text/html", status="302 Found"),
            warc(b"x", "metadata"),
            response(page("three"), kind="application/xhtml+xml"),
        ]
    )
    records = read(READER, data)
    assert [record.position for record in records] == [2, 5, 9]
    assert texts(data) == ["one", "two", "three"]
    skipped = {record.position: record.reason for record in read_all(READER, data) if record.skipped}
    assert skipped == {
        0: "warcinfo",
        1: "request",
        3: "content type image/png",
        4: "status 404",
        6: "no HTTP",
        7: "status 302",
        8: "metadata",
    }


def test_pages_know_the_crawl_of_the_warcinfo_before_them() -> None:
    """`isPartOf` holds until the next warcinfo record; without one, and where it is empty, there is no snapshot."""
    info = [
        b"isPartOf: CC-MAIN-2024-22\r\nrobots: x\r\n",
        b"ISPARTOF:CC-MAIN-2025-30",
        b"isPartOf: \r\n",
        b"",
    ]
    data = response(page("first"))
    for i, block in enumerate(info):
        data += warc(block, "warcinfo") + response(page(f"after {i}"))
    found = [record.fields.get("snapshot") for record in read(READER, data) if record.fields is not None]
    assert found == [None, "CC-MAIN-2024-22", "CC-MAIN-2025-30", None, None]


@pytest.mark.parametrize(("codec", "text"), [("gb18030", ZH), ("cp950", ZH_HANT)])
@pytest.mark.parametrize("where", ["header", "meta", "nowhere"])
def test_chinese_encodings(codec: str, text: str, where: str) -> None:
    """GB18030 and Big5 pages are read by header, by meta element and by their bytes."""
    label = {"gb18030": "gb2312", "cp950": "big5"}[codec]
    kind = f"text/html; charset={label}" if where == "header" else "text/html"
    head = f"<meta charset={label}>" if where == "meta" else ""
    assert texts(response(page(text, head).encode(codec), kind=kind)) == [text]


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
}


@pytest.mark.parametrize("transfer", [False, True])
@pytest.mark.parametrize("coding", BODIES)
def test_http_codings_are_undone(coding: str, transfer: bool) -> None:
    """Bodies that are compressed, chunked or both are decoded."""
    body = BODIES[coding](page(ZH).encode())
    head = f"Content-Encoding: {coding}\r\n" + ("Transfer-Encoding: chunked\r\n" if transfer else "")
    assert texts(response(chunked(body) if transfer else body, head=head)) == [ZH]


def test_brotli_is_undone() -> None:
    """A brotli body is decoded; these bytes are one stored block and an empty last one (RFC 7932, section 9.2)."""
    html = page(ZH).encode()
    n = len(html) - 1
    # window of 16 bits "0"; not last "0"; 4 nibbles of length "00"; length - 1; stored "1"; then zeros to a byte
    header = (n << 4 | 1 << 20).to_bytes(3, "little")
    assert texts(response(header + html + b"\x03", head="Content-Encoding: br\r\n")) == [ZH]


def test_bodies_stored_decoded_are_used() -> None:
    """A crawler that kept the headers of an encoding which it undid loses no page."""
    for head in ("Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n"):
        assert texts(response(page("kept"), head=head)) == ["kept"]


def test_broken_pages_say_why_and_reading_goes_on() -> None:
    """Pages that are broken, too long or hang are quarantined, and the page after each of them is read."""
    data = b"".join(
        [
            response(b"\x1f\x8b broken", head="Content-Encoding: gzip\r\n"),
            response(b"?", head="Content-Encoding: sdch\r\n"),
            response("x" * 300_000, kind="text/plain"),
            response(gzip.compress(b"x" * 300_000), head="Content-Encoding: gzip\r\n"),
            response(bytes(range(256)), kind="text/plain"),
            response(page("fine")),
        ]
    )
    records = read(READER, data, max_page_bytes=200_000)
    assert reasons(records) == [
        (0, "invalid_http"),
        (1, "invalid_http"),
        (2, "page_too_long"),
        (3, "page_too_long"),
        (4, "unknown_encoding"),
        (5, None),
    ]
    assert all(record.raw and len(record.raw) <= 1 << 16 for record in records[:5])


def test_hostile_pages_are_quarantined() -> None:
    """Pages that hang or eat memory have their reasons, and the pages between them are read."""
    bodies = ["one", HANG, "two", "<p>x" * 2_000_000, "<div>" * 2_000 + "deep", "three"]
    data = b"".join(map(response, bodies))
    records = read(READER, data, page_seconds=1.0, page_memory_bytes=192 << 20)
    found = dict(reasons(records))
    assert [found[i] for i in (0, 1, 2, 3, 5)] == [None, "extractor_timeout", None, "extractor_memory", None]


def test_plain_text_is_not_parsed() -> None:
    """A plain text page keeps its angle brackets and blanks."""
    assert texts(response("a <b>  c\n\n<script>d", kind="text/plain")) == ["a <b>  c\n\n<script>d"]


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_a_cut_file_gives_what_can_be_read(pack: str) -> None:
    """Records before the cut are whole, and the last one says that the file is truncated."""
    parts = [PACK[pack](response(page(f"page {i}"), i)) for i in range(4)]
    records = read(READER, b"".join(parts)[: len(b"".join(parts[:3])) - 20])
    assert reasons(records) == [(0, None), (1, None), (-1, "truncated")]


def test_records_become_documents() -> None:
    """The fields land in the columns of canonical documents, the rest in meta."""
    rows = Rows(SourceInfo(name="crawl", input="f", fields=READER.fields))
    for record in read(READER, response(page(ZH), 3)):
        rows.add(record)
    (row,) = rows.take()[0].to_pylist()
    assert (row["text"].strip(), row["url"], row["source_id"]) == (ZH, "http://例子.cn/3", "<urn:uuid:3>")
    assert row["meta"] == '{"encoding":"utf-8","title":"t"}'


def test_a_run_over_a_hostile_crawl(tmp_path: Path) -> None:
    """Through the engine: pages of all encodings are released, a page that hangs and a cut are in quarantine."""
    parts = [
        response(page(ZH).encode("gb18030"), 0),
        response(HANG, 1),
        response(page(ZH_HANT).encode("cp950"), 2, kind="text/html; charset=big5"),
        response(page("Text about &lt;script&gt;, with a script."), 3),
        response(page("never whole"), 4),
    ]
    data = b"".join(map(gzip.compress, parts))
    (tmp_path / "c.warc.gz").write_bytes(data[:-40])
    source = {
        "name": "crawl",
        "reader": "stages.readers.warc",
        "files": "c.warc.gz",
        "config": {"page_seconds": 1.0},
    }
    limits = {"max_quarantined_share": 0.5}
    run_path = write_run(
        tmp_path, {"corpus": "c", "sources": [source], "ingest": limits, "release": {"name": "v1"}}
    )
    record = build(run_path, tmp_path / "store")
    assert record["quarantined"] == {"crawl": {"extractor_timeout": 1, "truncated": 1}}
    released = {text.strip() for text in released_texts(tmp_path / "store").values()}
    assert released == {ZH, ZH_HANT, "Text about <script>, with a script."}
    ended = cli("explain", run_path, "--store", tmp_path / "store", "--input", "c.warc.gz:1")
    assert ended.code == 2 and "c.warc.gz:1 is in quarantine: extractor_timeout" in ended.err


GOOD = b"".join(
    [
        warc(b"x", "warcinfo"),
        response(page(ZH).encode("gb18030"), 1),
        response(
            chunked(gzip.compress(page("two").encode())),
            2,
            head="Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n",
        ),
        response("plain", 3, kind="text/plain"),
    ]
)


@pytest.mark.parametrize("pack", ["plain", "gzip", "zstd"])
@settings(deadline=None, max_examples=60)
@given(edit=st.data())
def test_damaged_bytes_never_raise(pack: str, edit: st.DataObject) -> None:
    """Cut, overwritten or random bytes: records in order, each whole or with a reason, -1 only at the end."""
    data = bytearray(GOOD if edit.draw(st.booleans()) else PACK[pack](GOOD))
    for _ in range(edit.draw(st.integers(0, 4))):
        start = edit.draw(st.integers(0, len(data)))
        data[start : start + edit.draw(st.integers(0, 20))] = edit.draw(st.binary(max_size=20))
    records = read(READER, bytes(data[: edit.draw(st.integers(0, len(data)))]))
    positions = [record.position for record in records]
    if positions and positions[-1] == -1:
        positions.pop()
    assert positions == sorted(set(positions))
    assert not positions or positions[0] >= 0
    assert all((record.fields is None) == (record.reason is not None) for record in records)


@given(st.binary(max_size=300), st.binary(max_size=100), st.sampled_from(["", "Content-Encoding: gzip\r\n"]))
@example(b"WARC/1.0\r\n\r\n", b"", "")
@example(b"", b"HTTP/1.1 200\r\n", "")
@example(b"", b"HTTP/1.1 abc def\r\nContent-Type: \xff\r\n\r\n", "")
def test_random_bytes_never_raise(data: bytes, block: bytes, head: str) -> None:
    """Random files, random responses and random bodies give records."""
    assert read(READER, data) or not data.strip()
    read(READER, warc(block) + warc(b"HTTP/" + block))
    assert len(read(READER, response(block, head=head))) == 1


def test_reading_twice_gives_the_same_records() -> None:
    """Positions and fields are those of the file, whatever sizes its stream is read in."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(7 if size and size > 7 else size)

    assert list(READER.read(Slow(GOOD), "f", Config())) == read_all(READER, GOOD)


REAL = {
    "pages-rewrapped.warc.gz": (142, None),
    "dolma-sample-0000.warc.gz": (22, None),
    "resiliparse-warcfile.warc.gz": (16, None),
    "iah-urls-wget.warc.gz": (3, None),
    "whirlwind.warc.gz": (1, None),
    "whirlwind.warc.wet.gz": (0, None),
    "resiliparse-clipped.warc.gz": (0, "truncated"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_archives(name: str) -> None:
    """Every page of real archives is decoded and extracted, Chinese ones included, with no script in it."""
    path = DEV_DATA / "warc" / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set BICORPUS_DEV_DATA")
    n_pages, end = REAL[name]
    records = read(READER, path.read_bytes(), page_seconds=120.0)  # other tests share the cores
    if end:
        assert reasons(records)[-1] == (-1, end)
        records.pop()
    assert [record.reason for record in records] == [None] * n_pages
    for record in records:
        assert record.fields is not None
        # pages of OWASP show scripts as text
        assert "<script" not in record.fields["text"].lower() or "owasp" in record.fields["url"]
        assert record.fields["url"].startswith("http")
    if name.startswith("resiliparse-warcfile"):
        assert sum(record.fields["encoding"] == "gb18030" for record in records if record.fields) == 6
