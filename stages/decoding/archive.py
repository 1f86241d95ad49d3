"""Records of a WARC or ARC file, plain or compressed, read leniently; positions count all records.

A record with a wrong length, or in a damaged member, costs itself at most: reading goes on at the next gzip member or
zstd frame, and in a plain file at the next line that begins a record. jwarc, warcio and browsers' archive viewers read
so as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.stage import Record
from stages.decoding.record_heads import (
    ARC_FIELDS,
    ARC_LINE,
    ARC_START,
    MAX_HEAD_BYTES,
    WARC_LINE,
    WARC_START,
    Head,
    arc_fields,
    arc_head,
    lines_lost_cr,
    warc_head,
)
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated
from stages.decoding.window import BLANK, Window

LOOK_BYTES = 1 << 24
"""Bytes that are searched for the next record after one of wrong length."""

MAX_LINE_BYTES = 1 << 15
"""Longest head of an ARC record."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of an archive. block: its first bytes, as many as were asked for; n_bytes: size of the whole block."""

    position: int
    head: Head
    block: bytes
    n_bytes: int

    def get(self, name: str) -> str | None:
        """Return the value of a header, or None; names in any case."""
        return self.head.headers.get(name.lower())


class Archive:
    """Iterates over the records of a file: entries, and broken records with their reason.

    The last one has position -1 if the file ends early: `truncated`, `corrupt_stream`, `decompression_bomb`,
    `no_dictionary` or `corrupt_warc`.
    """

    def __init__(self, stream: BinaryIO, bounds: Bounds, max_bytes: int) -> None:
        self._source = Inflated(stream, bounds, (WARC_START, ARC_START))
        self._window, self._max_bytes = Window(self._source, WARC_LINE), max_bytes
        self._is_arc, self._n_fields = False, ARC_FIELDS
        self._position = 0

    def __iter__(self) -> Iterator[Entry | Record]:
        """Yield entries and broken records in order; errors of the storage itself are raised."""
        window = self._window
        if window.skip_blank() and window.fill(len(ARC_START)) and window.peek(len(ARC_START)) == ARC_START:
            self._is_arc = True
            window.use(ARC_LINE)
        while window.skip_blank():
            item = self._entry() if self._at_record() else self._pass_over()
            window.skip_blank()
            yield from self._numbered(item)
            if isinstance(item, Record) and item.position < 0:
                return
        if self._source.damage:
            yield self._source.damage

    def _numbered(self, item: Entry | Record) -> Iterator[Entry | Record]:
        """Yield a record, and each member after it that gave none; a record that a gap cut short is broken."""
        while gap := self._window.gap():
            detail = f"{gap.detail}; {gap.n_bytes:,} bytes of the file were passed over"
            broken = Record(self._position, None, "corrupt_stream", detail, lost_bytes=gap.n_bytes)
            if gap.begin == gap.end:
                yield item
                self._position += 1
                broken = dataclasses.replace(broken, position=self._position)
            else:
                raw = item.block[:RAW_BYTES] if isinstance(item, Entry) else item.raw
                broken = dataclasses.replace(broken, raw=raw)
            item = broken
        yield item
        self._position += 1

    def _at_record(self) -> bool:
        if not self._is_arc:
            return self._window.at_record()
        while b"\n" not in self._window.peek(MAX_LINE_BYTES) and self._window.n_bytes < MAX_LINE_BYTES:
            if not self._window.more():
                break
        return self._window.at_record()

    def _pass_over(self, raw: bytes = b"") -> Record:
        """Skip bytes that are no record: a broken record, or the end of the file if none follows."""
        window = self._window
        begin = window.offset
        if (at := window.find_record(1, LOOK_BYTES)) is not None:
            raw = raw or window.peek(min(at, RAW_BYTES))
        else:
            raw = raw or window.peek(RAW_BYTES)
        while at is None:
            window.drop(max(window.n_bytes - MAX_LINE_BYTES, 0))
            if not window.more():
                window.drop(window.n_bytes)
                break
            at = window.find_record(1, LOOK_BYTES)
        else:
            window.drop(at)
            detail = f"{window.offset - begin:,} bytes that begin no record"
            return Record(self._position, None, "corrupt_warc", detail, raw)
        if damage := self._source.damage:
            return dataclasses.replace(damage, raw=raw)
        n_bytes = window.offset - begin
        lost = self._source.size() * n_bytes // max(window.offset, 1)  # if all of it compresses alike
        return Record(
            -1, None, "corrupt_warc", f"{n_bytes:,} bytes that begin no record", raw, lost_bytes=lost
        )

    def _entry(self) -> Entry | Record:
        """Read the record that begins here."""
        window = self._window
        is_member = window.offset in (0, window.member)
        head = self._head()
        if head is None:
            if window.find_record(1, MAX_HEAD_BYTES) is not None or window.n_bytes > MAX_HEAD_BYTES:
                return self._pass_over()
            return self._cut(b"", 0, None)
        window.drop(head.n_bytes)
        if head.length is not None and head.length > self._max_bytes:
            return self._long_entry(head)
        n_bytes, n_moved = self._extent(head.length, is_member)
        block = window.peek(min(n_bytes, self._max_bytes))
        if n_moved < 0:
            return self._cut(block, n_bytes, head.length)
        window.drop(n_moved)
        if self._is_arc and head.kind == "warcinfo":
            self._n_fields = arc_fields(block)
        return Entry(self._position, head, block, n_bytes)

    def _head(self) -> Head | None:
        """Parse the head of the record that begins here; it ends before the next member."""
        window = self._window
        if self._is_arc:
            line = window.peek(MAX_LINE_BYTES)
            return arc_head(line, self._n_fields) or arc_head(line, ARC_FIELDS)
        n_bytes = 1 << 12
        while True:
            window.fill(n_bytes)
            limit = next(window.record_ends(), n_bytes)
            if (head := warc_head(window.peek(min(limit, MAX_HEAD_BYTES)))) is not None:
                return head
            if (
                window.n_bytes < n_bytes
                or limit < n_bytes
                or n_bytes > MAX_HEAD_BYTES
                or window.has_line(n_bytes)
            ):
                return None
            n_bytes *= 8

    def _extent(self, length: int | None, is_member: bool) -> tuple[int, int]:
        """Return how long the block is that begins here, and where the next record begins: -1 if the file ends early.

        Args: length, as stated; is_member, the record began a member of its own, so that its end is that of the member.
        """
        window = self._window
        at: int | None
        if length is not None:
            is_filled = window.fill(length)
            if (at := next(window.record_ends(length), None)) is not None:
                return self._trimmed(at), at
            if not is_filled:
                whole = is_member and window.ends_at(window.n_bytes)
                whole |= lines_lost_cr(window.peek(MAX_HEAD_BYTES), length - window.n_bytes)
                if self._source.damage:
                    return window.n_bytes, -1
                if whole:
                    return self._trimmed(window.n_bytes), window.n_bytes
                at = window.find_record(1, window.n_bytes)  # the stated length is too large
                return (window.n_bytes, -1) if at is None else (self._trimmed(at), at)
            if self._is_closed(length):
                return length, length
            at = window.find_record(1, length + 64)
            if at is not None and at <= length + 16:
                return self._trimmed(at), at
        at = window.find_record(length or 0, (length or 0) + LOOK_BYTES)
        if at is not None:
            return self._trimmed(at), at
        if length is None or (not self._source.damage and window.n_bytes <= length + LOOK_BYTES):
            return self._trimmed(window.n_bytes), window.n_bytes
        return length, length

    def _is_closed(self, length: int) -> bool:
        """Whether a block of this length is followed by the end of a record, the next one or the end of the file."""
        window = self._window
        window.fill(length + 64)
        tail = window.peek(64, length)
        n_blank = len(tail) - len(tail.lstrip(BLANK))
        if n_blank == len(tail) or tail.startswith((b"\r\n\r\n", b"\n\n")) or (self._is_arc and n_blank):
            return True
        return window.at_record(length + n_blank) or any(
            window.ends_at(length + i) for i in range(n_blank + 1)
        )

    def _trimmed(self, n_bytes: int) -> int:
        """Return the length of a block without the line ends that close a record."""
        tail = self._window.peek(4, max(n_bytes - 4, 0)) if n_bytes else b""
        for end in (b"\n",) if self._is_arc else (b"\r\n\r\n", b"\n\n"):
            if tail.endswith(end):
                return n_bytes - len(end)
        return n_bytes

    def _long_entry(self, head: Head) -> Entry | Record:
        """Read a record whose block is longer than what is kept, up to its stated end or that of its member."""
        window, left = self._window, int(head.length or 0)
        window.fill(self._max_bytes)
        block = window.peek(self._max_bytes)
        while left > 0:
            if (at := next(window.record_ends(left), None)) is not None:
                window.drop(at)
                break
            n_bytes = min(left, max(window.n_bytes - 64, 0)) if left > window.n_bytes else left
            window.drop(n_bytes)
            left -= n_bytes
            if left and not window.more():
                return self._cut(block, int(head.length or 0) - left + window.n_bytes, head.length)
        return Entry(self._position, head, block, int(head.length or 0) - max(left, 0))

    def _cut(self, block: bytes, n_bytes: int, length: int | None) -> Record:
        """The end of a file inside a record."""
        stated = "an unknown number of" if length is None else f"{length:,}"
        detail = f"record {self._position:,} ends after {n_bytes:,} of {stated} bytes"
        raw = block[:RAW_BYTES] or self._window.peek(RAW_BYTES)
        if damage := self._source.damage:
            return dataclasses.replace(damage, raw=raw)
        return Record(-1, None, "truncated", detail, raw, lost_bytes=self._source.size())
