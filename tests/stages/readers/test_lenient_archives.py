"""Archives as the web's tools write them: records out of form that other readers read, and damage that costs itself."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
import zstandard

from stages.readers import wet
from stages.readers.jsonl import READER as JSONL
from stages.readers.warc import READER
from tests.helpers.records import PACK, conversion, lines, read, read_all, reasons
from tests.helpers.warc import ZH, page, response, warc

HTML = b"Content-Type: text/html\r\n"


def http(
    body: bytes, head: bytes = HTML, status: bytes = b"HTTP/1.1 200 OK\r\n", blank: bytes = b"\r\n"
) -> bytes:
    """A block of a response record."""
    return status + head + blank + body


def found(data: bytes) -> list[str]:
    """Texts of the documents of an archive."""
    return [record.fields["text"].strip() for record in read(READER, data) if record.fields is not None]


PAGE = page(ZH).encode()
RESPONSES = {
    "lines end in LF": http(
        PAGE, b"Content-Type: text/html; charset=utf-8\nX: y\n", b"HTTP/1.1 200 OK\n", b"\n"
    ),
    "only the blank line is LF": http(PAGE, blank=b"\n"),
    "only the status line is LF": http(PAGE, status=b"HTTP/1.0 200 OK\n"),
    "lines end in CR CR LF": http(
        PAGE, b"Content-Type: text/html\r\r\n", b"HTTP/1.1 200 OK\r\r\n", b"\r\r\n"
    ),
    "no reason phrase": http(PAGE, status=b"HTTP/1.1 200\r\n"),
    "ICY": http(PAGE, status=b"ICY 200 OK\r\n"),
    "another protocol": http(PAGE, status=b"HTTPX/1.1 200 OK\r\n"),
    "HTTP/2": http(PAGE, status=b"HTTP/2 200\r\n"),
    "a blank line first": b"\r\n" + http(PAGE),
    "no blank line": http(PAGE, blank=b""),
    "an interim response first": b"HTTP/1.1 100 Continue\r\n\r\n" + http(PAGE),
    "two interim responses": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    + http(PAGE),
    "a folded header": http(PAGE, b"Link: <a>,\r\n <b>\r\nContent-Type:\r\n text/html\r\n"),
    "a blank before the colon": http(PAGE, b"content-type : TEXT/HTML\r\n"),
    "no content type": http(PAGE, b"Server: x\r\n"),
    "no content type, a comment first": http(b"<!-- saved from -->\n" + PAGE, b"Server: x\r\n"),
    "no headers at all": http(PAGE, b""),
    "two types in one header": http(PAGE, b"Content-Type: text/html, text/html; charset=utf-8\r\n"),
    "two headers": http(PAGE, HTML + b"Content-Type: text/html; charset=utf-8\r\n"),
    "a type without a slash": http(PAGE, b"Content-Type: html\r\n"),
    "any type": http(PAGE, b"Content-Type: */*\r\n"),
    "XHTML as XML": http(b'<?xml version="1.0"?>\n' + PAGE, b"Content-Type: application/xml\r\n"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_out_of_form_are_pages(name: str) -> None:
    """Header lines and types are read as browsers read them (webrecorder/warcio#157, iipc/jwarc#25)."""
    assert found(warc(RESPONSES[name])) == [ZH]


NO_PAGES = {
    "no content type, not a page": [
        http(b"\x89PNG\r\n\x1a\n" + bytes(90), b""),
        http(b'{"a": 1}', b""),
        http(b"/* style */ p {}", b""),
        http(b"", b""),
    ],
    "content type application/pdf": [http(b"%PDF-1.4", b"Content-Type: application/pdf\r\n")],
    "content type text/xml": [http(b'<?xml version="1.0"?><rss></rss>', b"Content-Type: text/xml\r\n")],
    "status 206": [http(PAGE, status=b"HTTP/1.1 206 Partial Content\r\n")],
}


@pytest.mark.parametrize("reason", NO_PAGES)
def test_what_is_no_page_is_counted(reason: str) -> None:
    """Without a type, images, data and code are no pages; each has a reason."""
    records = read_all(READER, b"".join(map(warc, NO_PAGES[reason])))
    assert {(record.reason, record.skipped) for record in records} == {(reason, True)}


@pytest.mark.parametrize(
    ("block", "kind", "texts"),
    [
        (PAGE, "text/html", [ZH]),
        (page(ZH).encode("gb18030"), "application/xhtml+xml; charset=gbk", [ZH]),
        (ZH.encode(), "text/plain", [ZH]),
        (PAGE, "", [ZH]),
        (b"\x89PNG\r\n\x1a\n", "image/png", []),
        (b'{"a": 1}', "application/json", []),
    ],
)
@pytest.mark.parametrize("address", ["http://a.example/", "urn:text:http://a.example/"])
def test_resource_records_of_the_web_are_pages(
    block: bytes, kind: str, texts: list[str], address: str
) -> None:
    """warcit stores pages so; texts and logs that crawlers add are `urn:` or `metadata:`
    (ukwa/webarchive-discovery#270)."""
    data = warc(block, "resource").replace(b"Content-Type: application/http; msgtype=resource\r\n", b"", 1)
    data = data.replace(
        b"\r\nContent-Length",
        f"\r\nContent-Type: {kind}\r\nContent-Length".encode() if kind else b"\r\nContent-Length",
        1,
    )
    data = data.replace("http://例子.cn/0".encode(), address.encode(), 1)
    assert found(data) == (texts if address.startswith("http") else [])
    assert len(read_all(READER, data)) == 1


def chunked(body: bytes, extension: bytes = b"", size: int = 70) -> bytes:
    """The body in HTTP chunks."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n\r\n"


def coded(body: bytes, content: bytes = b"", transfer: bytes = b"") -> bytes:
    """A record whose headers name codings, whatever its body is."""
    head = HTML + (b"Content-Encoding: %b\r\n" % content if content else b"")
    return warc(http(body, head + (b"Transfer-Encoding: %b\r\n" % transfer if transfer else b"")))


BODIES = {
    "chunks undone, gzip kept": coded(gzip.compress(PAGE), b"gzip", b"chunked"),
    "gzip undone, chunks kept": coded(chunked(PAGE), b"gzip", b"chunked"),
    "all undone": coded(PAGE, b"br", b"chunked"),
    "undone, a byte order mark": coded(b"\xef\xbb\xbf" + PAGE, b"gzip"),
    "deflate undone": coded(PAGE, b"deflate"),
    "gzip that no header names": coded(gzip.compress(PAGE)),
    "zstd that no header names": coded(zstandard.compress(PAGE)),
    "gzip in chunks, only chunks named": coded(chunked(gzip.compress(PAGE)), b"", b"chunked"),
    "gzip named once, applied twice": coded(gzip.compress(gzip.compress(PAGE)), b"gzip"),
    "two gzip members": coded(gzip.compress(PAGE[:50]) + gzip.compress(PAGE[50:]), b"gzip"),
    "chunk extensions": coded(chunked(PAGE, b";name=v"), b"", b"chunked"),
    "chunk extensions with blanks": coded(chunked(PAGE, b' ; a="b c"; d'), b"", b"chunked"),
    "a charset as coding": coded(PAGE, b"UTF-8"),
}


@pytest.mark.parametrize("name", BODIES)
def test_codings_are_tried_one_by_one(name: str) -> None:
    """A coding that the bytes do not have was undone before; magic numbers tell what no header names
    (webrecorder/pywb#584, archivesunleashed/aut#493, RFC 9112 section 7.1.1)."""
    assert found(BODIES[name]) == [ZH]


@pytest.mark.parametrize(
    ("record", "coding"),
    [
        (coded(chunked(page(ZH * 40).encode())[:2000], b"", b"chunked"), "chunked"),
        (
            coded(
                gzip.compress(page(ZH + "".join(map(chr, range(0x4E00, 0x6E00)))).encode())[:4000], b"gzip"
            ),
            "gzip",
        ),
    ],
)
def test_a_body_that_ends_early_gives_its_start_and_says_so(record: bytes, coding: str) -> None:
    """The page is a document, marked with the coding that was cut."""
    (page_record,) = read(READER, record)
    assert page_record.fields is not None
    assert ZH in page_record.fields["text"]
    assert page_record.fields["body_cut"] == coding


def wrong(i: int, by: int) -> bytes:
    """A record whose Content-Length is wrong by some bytes."""
    data = response(page(f"page {i}"), i)
    block = data.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")
    return data.replace(b"Content-Length: %d" % len(block), b"Content-Length: %d" % (len(block) + by), 1)


@pytest.mark.parametrize("pack", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("by", [-60, -20, -3, -1, 1, 2, 4, 5, 6, 9])
@pytest.mark.parametrize("at", [0, 2, 3])
def test_a_wrong_length_costs_no_record(pack: str, by: int, at: int) -> None:
    """The next member, or in a plain file the next line that begins a record, ends the one of wrong length
    (webrecorder/warcio#121)."""
    if pack == "plain" and at == 3 and by > 4:
        pytest.skip("a plain file that ends before the stated length is truncated")
    parts = [wrong(i, by) if i == at else response(page(f"page {i}"), i) for i in range(4)]
    records = read(READER, b"".join(map(PACK[pack], parts)))
    assert reasons(records) == [(i, None) for i in range(4)]
    assert [r.fields["text"].strip() for r in records if r.fields] == [f"page {i}" for i in range(4)]


@pytest.mark.parametrize("by", [400, 5_000, 10**6])
@pytest.mark.parametrize("at", [0, 2])
def test_a_length_beyond_the_end_of_a_plain_file_costs_no_record(by: int, at: int) -> None:
    """The next line that begins a record ends it; the last record of a file is truncated instead."""
    parts = [wrong(i, by) if i == at else response(page(f"page {i}"), i) for i in range(4)]
    records = read(READER, b"".join(parts))
    assert [r.fields["text"].strip() for r in records if r.fields] == [f"page {i}" for i in range(4)]
    assert reasons(read(READER, b"".join(parts[: at + 1])))[-1] == (-1, "truncated")


def test_a_length_far_too_large_ends_at_the_next_member() -> None:
    """Also beyond what is kept of a record."""
    parts = [wrong(0, 10**9), *(response(page(f"page {i}"), i) for i in range(1, 4))]
    records = read(READER, b"".join(map(gzip.compress, parts)), max_page_bytes=100_000)
    assert [record.position for record in records] == [0, 1, 2, 3]
    assert [record.reason for record in records[1:]] == [None] * 3


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
@pytest.mark.parametrize("at", [12, 60, 200, -6, -2])
def test_a_damaged_member_costs_itself(pack: str, at: int) -> None:
    """Reading resumes at the next member; the damaged one is quarantined with the bytes that were passed over."""
    members = [PACK[pack](response(page(f"page {i} {ZH}"), i)) for i in range(5)]
    damaged = bytearray(members[2])
    damaged[at] ^= 0x5A
    records = read(READER, b"".join([*members[:2], bytes(damaged), *members[3:]]))
    assert [record.reason for record in records if record.position in (0, 1)] == [None, None]
    assert [r.fields["text"].strip()[:6] for r in records if r.fields][-2:] == ["page 3", "page 4"]
    assert [record.reason for record in records if record.fields is None] == ["corrupt_stream"]


def test_a_destroyed_head_costs_its_record() -> None:
    """In a plain file, bytes that begin no record are quarantined up to the next one, not added to the page before."""
    parts = [response(page(f"page {i}"), i) for i in range(4)]
    parts[1] = b"WXRC" + parts[1][4:]
    records = read(READER, b"".join(parts))
    assert reasons(records) == [(0, None), (1, "corrupt_warc"), (2, None), (3, None)]


def dictionary(n: int = 60) -> zstandard.ZstdCompressionDict:
    """A dictionary of pages."""
    return zstandard.train_dictionary(2048, [response(page(f"{i} {ZH}"), i) for i in range(n)])


def frame(data: bytes) -> bytes:
    """A skippable frame of a dictionary."""
    return b"\x5d\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


@pytest.mark.parametrize("packed", [False, True])
def test_a_dictionary_in_the_first_frame_is_used(packed: bool) -> None:
    """Archive Team's .warc.zst, the dictionary as it is or compressed (webrecorder/warcio#118)."""
    known = dictionary()
    compress = zstandard.ZstdCompressor(dict_data=known).compress
    first = frame(zstandard.compress(known.as_bytes()) if packed else known.as_bytes())
    assert found(first + b"".join(compress(response(page(ZH), i)) for i in range(3))) == [ZH] * 3
    assert len(read(JSONL, first + compress(b"\n".join(lines(30))))) == 30


def test_a_missing_dictionary_is_named() -> None:
    """The file is sound: the reason says what it needs."""
    known = dictionary()
    data = zstandard.ZstdCompressor(dict_data=known).compress(response(page(ZH)))
    (record,) = read(READER, data)
    assert (record.position, record.reason) == (-1, "no_dictionary")
    assert str(known.dict_id()) in str(record.detail)


def arc(*records: tuple[str, str, bytes]) -> bytes:
    """An ARC file: address, type and block of each record."""
    head = b"1 0 Tool\nURL IP-address Archive-date Content-type Archive-length\n"
    data = b"filedesc://x.arc 0.0.0.0 20140216050221 text/plain %d\n%b\n" % (len(head), head)
    for url, kind, block in records:
        data += f"{url} 93.184.216.119 20140216050221 {kind} {len(block)}\n".encode() + block + b"\n"
    return data


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_arc_files_are_read(pack: str) -> None:
    """The archives before WARC: pages by their HTTP headers, addresses with blanks, dates as ISO 8601."""
    data = arc(
        ("http://a.example/a b?c=d e", "text/html", http(PAGE)),
        ("dns:a.example", "text/dns", b"20140216050221\na.example. 1 IN A 1.2.3.4\n"),
        ("http://a.example/i.png", "image/png", http(b"\x89PNG", b"Content-Type: image/png\r\n")),
        (
            "http://a.example/2",
            "text/html",
            http(page("two").encode(), status=b"HTTP/1.0 200 OK\n", blank=b"\n"),
        ),
    )
    records = read_all(READER, PACK[pack](data))
    assert [record.skipped for record in records] == [True, False, True, True, False]
    first, second = (record.fields for record in records if record.fields)
    assert (first["text"].strip(), first["url"]) == (ZH, "http://a.example/a b?c=d e")
    assert first["date"] == "2014-02-16T05:02:21Z"
    assert second["text"].strip() == "two"


STRAY: dict[str, Callable[[bytes], bytes]] = {
    "stray bytes": lambda text: (
        text[:90] + b"\xff" + text[90:600] + b"\xc0" + text[600:1500] + b"\xfe" + text[1500:]
    ),
    "cut characters": lambda text: text[:90] + text[91:600] + text[602:],
}


@pytest.mark.parametrize("name", STRAY)
def test_readers_agree_on_a_page_with_a_few_bytes_that_are_no_utf8(name: str) -> None:
    """WARC, WET and JSON Lines give the same text with U+FFFD, and its number (jawah/charset_normalizer#516)."""
    data = STRAY[name]((ZH * 14).encode())
    (a,) = read(READER, warc(http(data, b"Content-Type: text/plain; charset=utf-8\r\n")))
    (b,) = read(wet.READER, conversion(data))
    (c,) = read(JSONL, b'{"text": "' + data + b'"}')
    assert a.fields is not None and b.fields is not None and c.fields is not None
    assert a.fields["text"] == b.fields["text"] == c.fields["text"]
    assert (
        a.fields["undecoded"]
        == b.fields["undecoded"]
        == c.fields["undecoded"]
        == a.fields["text"].count("\ufffd")
    )
