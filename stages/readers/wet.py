"""WET: the extracted text of Common Crawl, WARC `conversion` records, plain or compressed.

Yields text, url, date, source_id, language (as detected by the crawler, if it was), snapshot (`isPartOf` of
the preceding `warcinfo` record) and undecoded, how many bytes or sequences became U+FFFD because they are not UTF-8;
position counts all WARC records of the file, including `warcinfo`, which is skipped. Reasons of broken records:
not_conversion, record_too_long, invalid_utf8, corrupt_stream, corrupt_warc; at position -1: truncated, corrupt_stream,
decompression_bomb, no_dictionary, corrupt_warc.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.archive import Archive, Entry, snapshot_of
from stages.decoding.encoding import EncodingError, decode_utf8
from stages.decoding.streams import RAW_BYTES, Bounds
from stages.extraction.pages import mended
from stages.readers import FIELDS

HEADERS = {
    "url": "WARC-Target-URI",
    "date": "WARC-Date",
    "source_id": "WARC-Record-ID",
    "language": "WARC-Identified-Content-Language",
}
"""Field -> WARC header. Source: ISO 28500:2017, section 5; the last one is an extension of Common Crawl."""


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """Bounds of records and of decompression; longer records are quarantined, and reading continues."""

    max_record_bytes: int = 64 << 20  # of one record, decompressed

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_record_bytes < 1:
            raise ConfigError(f"max_record_bytes is {self.max_record_bytes}; expected at least 1")


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per record of the archive, `warcinfo` skipped, in order; see `Reader`."""
    snapshot: str | None = None
    for item in Archive(stream, config, config.max_record_bytes):
        if isinstance(item, Record):
            yield item
        elif item.head.kind == "warcinfo":
            snapshot = snapshot_of(item.block)
            yield Record(position=item.position, fields=None, reason="warcinfo", skipped=True)
        else:
            yield _as_record(item, snapshot, config.max_record_bytes)


def _as_record(entry: Entry, snapshot: str | None, max_bytes: int) -> Record:
    raw = entry.block[:RAW_BYTES]
    if entry.head.kind != "conversion":
        warc_type = entry.get("WARC-Type") or "no type"
        detail = f"WARC-Type {warc_type}; expected conversion"
        return Record(entry.position, None, "not_conversion", detail, raw)
    if entry.n_bytes > max_bytes:
        detail = f"{entry.n_bytes:,} bytes; expected at most {max_bytes:,}"
        return Record(entry.position, None, "record_too_long", detail, raw, n_bytes=entry.n_bytes)
    try:
        text, undecoded = decode_utf8(entry.block)
    except EncodingError as error:
        return Record(entry.position, None, "invalid_utf8", str(error), raw, n_bytes=entry.n_bytes)
    fields: dict[str, Any] = {"text": text} | ({"undecoded": undecoded} if undecoded else {})
    for name, header in HEADERS.items():
        if value := entry.get(header):
            fields[name] = value
    if snapshot:
        fields["snapshot"] = snapshot
    return Record(entry.position, mended(fields), n_bytes=entry.n_bytes)


READER = Reader(
    name="wet", version=5, config=Config, read=read, fields={**FIELDS, "source_id": ("source_id",)}
)
