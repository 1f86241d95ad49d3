"""WARC and ARC: crawled pages, HTML or plain text, with their main text extracted; position counts all records.

Pages are HTTP responses with status 200, and `resource` records of web addresses (warcit stores pages so), of such a
content type; a body without one is looked at. Every other record is skipped with a reason that is counted: its type
(`request`), `status 404`, `content type image/png`, … Fields: text, url, date, source_id (WARC-Record-ID), snapshot
(`isPartOf` of the preceding warcinfo record), encoding, undecoded, the page's claims about itself (title, language,
robots, also from X-Robots-Tag; license_links, rel_license: see `extract_worker.extract`), warc_truncated, the
crawler's reason if it truncated the page, and body_cut, the coding of a body that ends early. Reasons of broken
records: invalid_http, corrupt_stream, corrupt_warc, those of `stages.extraction.pages`; at position -1: truncated,
corrupt_stream, decompression_bomb, no_dictionary, corrupt_warc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.stage import Reader, Record
from stages.decoding.archive import Archive, Entry, snapshot_of
from stages.decoding.encoding import declared_in_header
from stages.decoding.http_body import start_of_body
from stages.decoding.http_response import (
    HTML,
    TEXT,
    XHTML,
    Response,
    media_type,
    parse_response,
    sniffed_type,
)
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

PAGES = (HTML, XHTML, TEXT)
XML = ("text/xml", "application/xml")
"""Types under which XHTML is served; browsers show it as a page by its root element."""

HEADER_BYTES = 1 << 16
"""Bytes of HTTP headers that are allowed in addition to a page's bytes."""

WEB = re.compile(r"(?:https?|ftp|file):", re.IGNORECASE)
"""Addresses of `resource` records that are pages; crawlers also store logs, screenshots and texts as `urn:` or
`metadata:`."""

CODE_NAME = re.compile(
    r"\.(?:js|mjs|css|json|xml|map|csv|tsv|ts|svg|rss|atom|ics|vtt|srt|m3u8?)$", re.IGNORECASE
)
"""Endings of addresses whose text is no page, if no header states what it is."""


@dataclass(frozen=True, kw_only=True)
class Config(PageBounds):
    """Bounds of pages, of their extraction and of decompression."""


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per record of the archive, in order; see `Reader`."""
    snapshot: str | None = None
    for item in Archive(stream, config, config.max_page_bytes + HEADER_BYTES):
        if isinstance(item, Record):
            yield item
            continue
        if item.head.kind == "warcinfo":
            snapshot = snapshot_of(item.block)
        yield _as_record(item, snapshot, config)


def _as_record(entry: Entry, snapshot: str | None, config: Config) -> Record:
    kind = entry.head.kind
    if not kind:
        return _broken(entry, "corrupt_warc", "no WARC-Type")
    if kind not in ("response", "resource"):
        return _skipped(entry, kind if re.fullmatch(r"[a-z-]{1,20}", kind) else "unknown record type")
    url = (entry.get("WARC-Target-URI") or "").strip(
        "<> "
    )  # wget writes brackets, by the grammar of WARC 1.0
    stated = entry.get("Content-Type") or ""
    http = parse_response(entry.block)
    if http is None:
        if (
            kind == "response"
            and media_type([stated]) == "application/http"
            and not sniffed_type(entry.block) == HTML
        ):
            if url.lower().startswith("dns:") or entry.n_bytes == 0 or not WEB.match(url):
                return _skipped(entry, "no HTTP")
            return _broken(entry, "invalid_http", "no HTTP status line")
        if not WEB.match(url):
            return _skipped(entry, f"{kind} of {url.partition(':')[0][:20].lower() or 'no address'}:")
        own = [] if media_type([stated]) == "application/http" else [stated]
        http = Response(200, tuple(("content-type", value) for value in own), entry.block)
    if http.status != 200:
        return _skipped(entry, f"status {http.status}")
    return _page(entry, http, url, snapshot, config)


def _page(entry: Entry, http: Response, url: str, snapshot: str | None, config: Config) -> Record:
    """Create a record from a response with status 200."""
    kind = media_type(http.all("content-type")) or media_type(
        [entry.get("WARC-Identified-Payload-Type") or ""]
    )
    if kind and kind not in (*PAGES, *XML):
        return _skipped(entry, f"content type {kind}")
    if len(entry.block) < entry.n_bytes:
        detail = f"{entry.n_bytes:,} bytes; expected at most {config.max_page_bytes:,}"
        return _broken(entry, "page_too_long", detail)
    try:
        page, cut = start_of_body(
            http.body, http.all("transfer-encoding"), http.all("content-encoding"), config.max_page_bytes + 1
        )
    except OSError as error:
        return _broken(entry, "invalid_http", str(error)[:500])
    if kind not in PAGES:
        sniffed = sniffed_type(page)
        if not sniffed or (sniffed == TEXT and (kind or CODE_NAME.search(url.partition("?")[0]))):
            return _skipped(entry, f"content type {kind}" if kind else "no content type, not a page")
        kind = sniffed
    fields = (
        _fields(entry, http, url)
        | ({"snapshot": snapshot} if snapshot else {})
        | ({"body_cut": cut} if cut else {})
    )
    declared = [label for value in reversed(http.all("content-type")) for label in declared_in_header(value)]
    if kind == TEXT:
        record = text_record(entry.position, page, declared, fields, config)
        return record if record.fields is None else Record(entry.position, mended(record.fields))
    return html_record(entry.position, page, declared, fields, config)


def _fields(entry: Entry, http: Response, url: str) -> dict[str, Any]:
    """Return the fields that headers of the archive and of HTTP give."""
    fields: dict[str, Any] = {name: entry.get(header) for name, header in HEADERS.items()}
    fields["url"] = url
    fields["robots"] = "; ".join(http.all("x-robots-tag")).lower()[:500]
    for name in ("tdm-reservation", "tdm-policy"):
        fields[name.replace("-", "_")] = ", ".join(http.all(name))[:500]
    return {name: value for name, value in fields.items() if value}


def _skipped(entry: Entry, reason: str) -> Record:
    return Record(entry.position, None, reason, skipped=True)


def _broken(entry: Entry, reason: str, detail: str) -> Record:
    return Record(entry.position, None, reason, detail, entry.block[:RAW_BYTES])


READER = Reader(
    name="warc",
    version=9,
    config=Config,
    read=read,
    fields={**FIELDS, "text": ("text",), "source_id": ("source_id",), "date": ("date",)},
)
