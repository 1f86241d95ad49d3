"""Records of a WARC file, plain or compressed, up to the first damage; positions count all records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord

from pipeline.stage import Record
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated

SNAPSHOT_CHARS = 200
"""Longest name of a snapshot; longer values are ignored."""


def snapshot_of(block: bytes) -> str | None:
    """Return the crawl named in the field `isPartOf` of a warcinfo record, or None.

    Source: ISO 28500:2017, section 6.2; an example from Common Crawl is `CC-MAIN-2024-22`.
    """
    for line in block.splitlines():
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() == b"ispartof":
            snapshot = value.decode("utf-8", "replace").strip()
            return snapshot if 0 < len(snapshot) <= SNAPSHOT_CHARS else None
    return None


class Archive:
    """Iterates over (position, WARC record, payload); a payload is truncated to max_bytes.

    end: set if the records ended before the file: a record of position -1 with reason `truncated`,
        `corrupt_stream`, `decompression_bomb` or `corrupt_warc`.
    """

    def __init__(self, stream: BinaryIO, bounds: Bounds, max_bytes: int) -> None:
        self._source, self._max_bytes = Inflated(stream, bounds), max_bytes
        self.end: Record | None = None

    def __iter__(self) -> Iterator[tuple[int, WarcRecord, bytes]]:
        """Yield complete records; errors of the storage itself are raised."""
        try:
            # The library only calls read and tell, though it declares more.
            archive = ArchiveIterator(self._source, parse_http=False)  # type: ignore[arg-type]
            for position, warc in enumerate(archive):
                payload, n_bytes = self._payload(warc)
                if "Content-Length" not in warc.headers or n_bytes < warc.content_length:
                    detail = (
                        f"WARC record {position:,} ends after {n_bytes:,} of {warc.content_length:,} bytes"
                    )
                    self.end = Record(-1, None, "truncated", detail, payload[:RAW_BYTES])
                    break
                yield position, warc, payload
        except OSError as error:
            if self._source.failure:
                raise
            self.end = Record(-1, None, "corrupt_warc", str(error))
        if self._source.damage:
            self.end = dataclasses.replace(self._source.damage, raw=self.end.raw if self.end else None)

    def _payload(self, warc: WarcRecord) -> tuple[bytes, int]:
        """Read a record to its end; return the first max_bytes bytes of its payload, and the payload's size."""
        payload = warc.reader.read(min(warc.content_length, self._max_bytes))
        n_bytes = len(payload)
        while n_bytes < warc.content_length and (more := warc.reader.read(1 << 16)):
            n_bytes += len(more)
        return payload, n_bytes
