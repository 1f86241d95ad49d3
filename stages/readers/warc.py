"""WARC: crawled pages, HTML or plain text, with their main text extracted; position counts all WARC records.

Yields one record per HTTP response with status 200 and such a content type; other records are skipped. Fields:
text, url, date, source_id (WARC-Record-ID), snapshot (`isPartOf` of the preceding warcinfo record), encoding, the
page's claims about itself (title, language, robots, also from X-Robots-Tag; license_links, rel_license: see
`extract_worker.extract`) and warc_truncated, the crawler's reason if it truncated the page. Reasons of broken
records: invalid_http, those of `stages.extraction.pages`; at position -1: truncated, corrupt_stream,
decompression_bomb, corrupt_warc.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline.stage import Reader, Record
from stages.decoding.archive import Archive, snapshot_of
from stages.decoding.encoding import declared_in_header
from stages.decoding.http_body import start_of_body
from stages.decoding.streams import RAW_BYTES
from stages.extraction.pages import PageBounds, html_record, mended, text_record
from stages.readers import FIELDS

HEADERS = {
    "url": "WARC-Target-URI",
    "date": "WARC-Date",
    "source_id": "WARC-Record-ID",
    "warc_truncated": "WARC-Truncated",
}
"""Field -> WARC header. Source: ISO 28500:2017, section 5."""

HTML = ("text/html", "application/xhtml+xml")
HEADER_BYTES = 1 << 16
"""Bytes of HTTP headers that are allowed in addition to a page's bytes."""

ENVELOPE = (
    b"WARC/1.1\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
"""A response as a WARC record of its own: it is parsed apart from the archive, which it therefore cannot break."""


@dataclass(frozen=True, kw_only=True)
class Config(PageBounds):
    """Bounds of pages, of their extraction and of decompression."""


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per page, in order; see `Reader`."""
    archive = Archive(stream, config, config.max_page_bytes + HEADER_BYTES)
    snapshot: str | None = None
    for position, warc, block in archive:
        if warc.record_type == WarcRecordType.warcinfo:
            snapshot = snapshot_of(block)
        elif warc.record_type == WarcRecordType.response:
            record = _page(position, warc, block, snapshot, config)
            if record:
                yield record
    if archive.end:
        yield archive.end


def _page(
    position: int, warc: WarcRecord, block: bytes, snapshot: str | None, config: Config
) -> Record | None:
    """Create a record from a response; None if it is not a page."""
    if not block.startswith(b"HTTP/"):
        return None  # for example a DNS response
    try:
        http = _response(block)
    except OSError as error:
        return Record(position, None, "invalid_http", str(error)[:500], block[:RAW_BYTES])
    identified = warc.headers.get("WARC-Identified-Payload-Type")
    kind = (http.http_content_type or identified or "").partition(";")[0].strip().lower()
    if http.http_headers.status_code != 200 or kind not in (*HTML, "text/plain"):
        return None
    if len(block) < warc.content_length:
        detail = f"{warc.content_length:,} bytes; expected at most {config.max_page_bytes:,}"
        return Record(position, None, "page_too_long", detail, block[:RAW_BYTES])
    try:
        page = _body(http, config.max_page_bytes + 1)
    except OSError as error:
        return Record(position, None, "invalid_http", str(error)[:500], block[:RAW_BYTES])
    fields: dict[str, Any] = {name: warc.headers.get(header) for name, header in HEADERS.items()}
    fields["url"] = (fields["url"] or "").strip(
        "<>"
    )  # wget writes brackets, following the grammar of WARC 1.0
    fields["robots"] = "; ".join(_all(http, "X-Robots-Tag")).lower()[:500]
    for name in ("tdm-reservation", "tdm-policy"):
        fields[name.replace("-", "_")] = ", ".join(_all(http, name))[:500]
    fields["snapshot"] = snapshot
    fields = {name: value for name, value in fields.items() if value}
    declared = [*declared_in_header(http.http_headers.get("Content-Type"))]
    as_record = html_record if kind in HTML else text_record
    record = as_record(position, page, declared, fields, config)
    return record if kind in HTML or record.fields is None else Record(position, mended(record.fields))


def _response(block: bytes) -> WarcRecord:
    """Parse an HTTP response.

    Raises: OSError if it is invalid.
    """
    warc = WarcRecord.from_bytes(ENVELOPE % (len(block), block))
    warc.parse_http(auto_decode="none")
    if warc.http_headers is None:
        raise OSError("no HTTP headers")
    return warc


def _body(http: WarcRecord, max_bytes: int) -> bytes:
    """Return the start of a response's body, decoded according to its headers.

    Some crawlers store the decoded body with the original headers: a body that begins like a page is not decoded.

    Raises: OSError if it cannot be decoded.
    """
    body = http.reader.read()
    try:
        return start_of_body(body, _all(http, "Transfer-Encoding"), _all(http, "Content-Encoding"), max_bytes)
    except OSError:
        if body.lstrip()[:1] != b"<":
            raise
        return body[:max_bytes]


def _all(http: WarcRecord, name: str) -> list[str]:
    return [value for key, value in http.http_headers.items() if key.lower() == name.lower()]


READER = Reader(
    name="warc",
    version=5,
    config=Config,
    read=read,
    fields={**FIELDS, "text": ("text",), "source_id": ("source_id",), "date": ("date",)},
)
