"""Records of a WARC file, plain or compressed, to the end of what can be read; positions count them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord

from pipeline.stage import Record
from stages.readers.streams import RAW_BYTES, Bounds, Inflated

SNAPSHOT_CHARS = 200
"""Longest name of a snapshot; a longer value is none."""


def snapshot_of(block: bytes) -> str | None:
    """The crawl that a warcinfo record says its file is part of: its field `isPartOf`.

    Source: ISO 28500:2017, section 6.2; Common Crawl writes `CC-MAIN-2024-22` there.
    """
    for line in block.splitlines():
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() == b"ispartof":
            found = value.decode("utf-8", "replace").strip()
            return found if 0 < len(found) <= SNAPSHOT_CHARS else None
    return None


class Archive:
    """Iterates over (position, WARC record, payload): the payload's bytes, or the start of a longer one.

    end: set when the records have ended before the file did: a record of position -1 with reason `truncated`,
        `corrupt_stream`, `decompression_bomb` or `corrupt_warc`.
    """

    def __init__(self, stream: BinaryIO, bounds: Bounds, max_bytes: int) -> None:
        self._source, self._max_bytes = Inflated(stream, bounds), max_bytes
        self.end: Record | None = None

    def __iter__(self) -> Iterator[tuple[int, WarcRecord, bytes]]:
        """Yield whole records; errors of the storage itself rise."""
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
        """Read a record to its end; return its payload, or the start of it, and how many bytes the file has."""
        payload = warc.reader.read(min(warc.content_length, self._max_bytes))
        n_bytes = len(payload)
        while n_bytes < warc.content_length and (more := warc.reader.read(1 << 16)):
            n_bytes += len(more)
        return payload, n_bytes
