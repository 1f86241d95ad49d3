"""WET: the extracted text of Common Crawl, WARC `conversion` records, plain or compressed.

Yields text, url, date, source_id, language (as detected by the crawler, if it was) and snapshot (`isPartOf` of
the preceding `warcinfo` record); position counts all WARC records of the file, including `warcinfo`. Reasons of broken
records: not_conversion, record_too_long, invalid_utf8; at position -1: truncated, corrupt_stream,
decompression_bomb, corrupt_warc.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.archive import snapshot_of
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated
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
    """Yield one record per WARC record that is not `warcinfo`, in order; see `Reader`."""
    source = Inflated(stream, config)
    end: Record | None = None
    snapshot: str | None = None
    try:
        # The library only calls read and tell, though it declares more.
        archive = ArchiveIterator(source, parse_http=False)  # type: ignore[arg-type]
        for position, warc in enumerate(archive):
            payload, n_bytes = _payload(warc, config.max_record_bytes)
            if "Content-Length" not in warc.headers or n_bytes < warc.content_length:
                detail = f"WARC record {position:,} ends after {n_bytes:,} of {warc.content_length:,} bytes"
                end = Record(-1, None, "truncated", detail, payload[:RAW_BYTES])
                break
            if warc.record_type == WarcRecordType.warcinfo:
                snapshot = snapshot_of(payload)
            else:
                yield _as_record(position, warc, payload, snapshot, config.max_record_bytes)
    except OSError as error:
        if source.failure:
            raise
        end = Record(-1, None, "corrupt_warc", str(error))
    if source.damage:
        end = dataclasses.replace(source.damage, raw=end.raw if end else None)
    if end:
        yield end


def _payload(warc: WarcRecord, max_bytes: int) -> tuple[bytes, int]:
    """Read a record to its end.

    Returns: the first max_bytes bytes of the payload; the number of payload bytes in the file.
    """
    payload = warc.reader.read(min(warc.content_length, max_bytes))
    n_bytes = len(payload)
    while n_bytes < warc.content_length and (more := warc.reader.read(1 << 16)):
        n_bytes += len(more)
    return payload, n_bytes


def _as_record(
    position: int, warc: WarcRecord, payload: bytes, snapshot: str | None, max_bytes: int
) -> Record:
    raw = payload[:RAW_BYTES]
    if warc.record_type != WarcRecordType.conversion:
        warc_type = warc.headers.get("WARC-Type", "no type")
        return Record(position, None, "not_conversion", f"WARC-Type {warc_type}; expected conversion", raw)
    if warc.content_length > max_bytes:
        detail = f"{warc.content_length:,} bytes; expected at most {max_bytes:,}"
        return Record(position, None, "record_too_long", detail, raw)
    try:
        fields = {"text": payload.decode("utf-8")}
    except UnicodeDecodeError as error:
        detail = f"byte 0x{payload[error.start]:02x} at {error.start:,}: {error.reason}"
        return Record(position, None, "invalid_utf8", detail, raw)
    for name, header in HEADERS.items():
        if value := warc.headers.get(header):
            fields[name] = value
    if snapshot:
        fields["snapshot"] = snapshot
    return Record(position, mended(fields))


READER = Reader(
    name="wet", version=3, config=Config, read=read, fields={**FIELDS, "source_id": ("source_id",)}
)
