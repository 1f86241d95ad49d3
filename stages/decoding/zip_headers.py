"""Members of a zip file without its directory, found by the headers in front of them.

A directory for them is written in memory and appended to the file as it is read, so that names, checksums and
compression are those of every zip file. Source of layouts and numbers: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3, 4.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.stage import Record
from stages.decoding.streams import Bounds, Watched

LOCAL, CENTRAL, DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
WIDE_END, WIDE_PLACE, END = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<4s4H2LH")
WIDE = struct.Struct("<2H3Q")
"""The extra field 0x0001: size, size in the file, offset, where the fields of 32 bits are all ones."""

WIDE_VERSION = 45
"""The version of the format that has sizes of 64 bits. That of a damaged header is not believed: readers refuse it."""

HAS_DESCRIPTOR = 0x8
"""The bit of a member whose sizes stand behind its data."""

STORED, DEFLATED = 0, 8
MAX_MEMBERS = 1_000_000
STEP = 1 << 20
ONES = 0xFFFFFFFF


class Entry(NamedTuple):
    """A member: version, flags, method, time and date of its header, CRC-32, sizes, where its header begins, name."""

    head: tuple[int, int, int, int, int]
    crc: int
    packed: int
    size: int
    offset: int
    name: bytes

    def central(self) -> bytes:
        """The member's header in a directory."""
        _, flags, method, time, date = self.head
        wide = WIDE.pack(1, WIDE.size - 4, self.size, self.packed, self.offset)
        head = CENTRAL_HEADER.pack(
            CENTRAL, WIDE_VERSION, WIDE_VERSION, flags, method, time, date, self.crc, ONES, ONES, len(self.name),
            len(wide), 0, 0, 0, 0, ONES,
        )  # fmt: skip
        return head + self.name + wide


@dataclass
class FoundMembers:
    """Members in the order of the file. is_whole: whether a directory, damaged, stands behind them."""

    entries: list[Entry] = field(default_factory=list)
    is_whole: bool = False

    def directory(self, at: int) -> bytes:
        """The directory of the members, as it would stand at an offset."""
        headers, n = b"".join(entry.central() for entry in self.entries), len(self.entries)
        end = at + len(headers)
        wide = WIDE_END.pack(
            b"PK\x06\x06", WIDE_END.size - 12, WIDE_VERSION, WIDE_VERSION, 0, 0, n, n, len(headers), at
        )
        place = WIDE_PLACE.pack(b"PK\x06\x07", 0, end, 1)
        return headers + wide + place + END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, ONES, ONES, 0)

    def record(self, n_bytes: int) -> Record:
        """What is reported of the file, after its members."""
        if self.is_whole:
            detail = "the directory is damaged; members were found by their own headers"
            return Record(-1, None, "unreadable_zip", detail)
        detail = "the directory at the end is missing: the file was cut off; members were found by their own headers"
        return Record(-1, None, "truncated", detail, lost_bytes=n_bytes)


class Followed:
    """A stream followed by some bytes, for a library that reads, seeks and tells."""

    closed = False

    def __init__(self, stream: Watched, n_bytes: int, following: bytes) -> None:
        self._stream, self._n, self._following, self._at = stream, n_bytes, following, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek as a file does."""
        self._at = max(0, offset + (0, self._at, self._n + len(self._following))[whence])
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing: the stream is closed by its owner."""

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        left = self._n + len(self._following) - self._at
        size = left if size < 0 else min(size, left)
        data = b""
        if self._at < self._n and size:
            self._stream.seek(self._at)
            data = self._stream.read(min(size, self._n - self._at))
        self._at += len(data)
        if len(data) < size:
            start = self._at - self._n
            data += self._following[start : start + size - len(data)]
            self._at = self._n + start + len(self._following[start : start + size])
        return data


def find_members(stream: Watched, n_bytes: int, bounds: Bounds) -> FoundMembers:
    """Find members by their headers; the bytes of a file are searched once. n_bytes: of the file."""
    found, at = FoundMembers(), 0
    while at < n_bytes and len(found.entries) < MAX_MEMBERS:
        stream.seek(at)
        head = stream.read(LOCAL_HEADER.size)
        if head[:4] == CENTRAL:
            found.is_whole = True
            break
        entry = _entry(stream, head, at, n_bytes, bounds) if head[:4] == LOCAL else None
        if entry is None:
            at = _search(stream, at + 1, n_bytes, (LOCAL, CENTRAL))
            continue
        found.entries.append(entry)
        at = entry.offset + LOCAL_HEADER.size + _tail(head) + entry.packed
    return found


def _tail(head: bytes) -> int:
    """Bytes of name and extra field behind a header."""
    return sum(LOCAL_HEADER.unpack(head)[-2:])


def _entry(stream: Watched, head: bytes, at: int, n_bytes: int, bounds: Bounds) -> Entry | None:
    """The member of a header, None if the file ends within it."""
    if len(head) < LOCAL_HEADER.size:
        return None
    _, *facts = LOCAL_HEADER.unpack(head)
    version, flags, method, time, date, crc, packed, size, n_name, n_extra = facts
    tail = stream.read(n_name + n_extra)
    start = at + LOCAL_HEADER.size + n_name + n_extra
    if len(tail) < n_name + n_extra or not n_name or tail[:1] == b"\0":  # names end at a NUL
        return None
    size, packed = _wide_sizes(tail[n_name:], size, packed)
    if flags & HAS_DESCRIPTOR:
        crc, packed, size = _measured(stream, method, start, n_bytes, bounds)
    elif start + packed > n_bytes:  # cut off, or a damaged size
        packed = _search(stream, start, n_bytes, (LOCAL, CENTRAL)) - start
    return Entry((version, flags & ~HAS_DESCRIPTOR, method, time, date), crc, packed, size, at, tail[:n_name])


def _wide_sizes(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """Sizes of a member, from its extra field if they are of 64 bits."""
    while len(extra) >= 4:
        name, length = struct.unpack("<2H", extra[:4])
        if name == 1 and length >= 16 and ONES in (size, packed):
            return struct.unpack("<2Q", extra[4:20]) if len(extra) >= 20 else (size, packed)
        extra = extra[4 + length :]
    return size, packed


def _measured(stream: Watched, method: int, start: int, n_bytes: int, bounds: Bounds) -> tuple[int, int, int]:
    """CRC-32, size in the file and size of a member whose header lacks them.

    The checksum of data without an end is one that they do not have, so that the member is reported as broken.
    """
    if method != DEFLATED:
        end = _search(stream, start, n_bytes, (DESCRIPTOR, LOCAL, CENTRAL))
        crc = _checksum(stream, start, end) if method == STORED else 0
        return (crc if end < n_bytes else crc ^ ONES), end - start, end - start
    inflater, crc, n_in, n_out = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0, 0
    for chunk in _chunks(stream, start, n_bytes):
        try:
            data = inflater.decompress(chunk, STEP)
            while data:
                crc, n_out = zlib.crc32(data, crc), n_out + len(data)
                data = inflater.decompress(inflater.unconsumed_tail, STEP) if not inflater.eof else b""
        except zlib.error:
            break
        n_in += len(chunk) - len(inflater.unused_data)
        if inflater.eof:
            return crc, n_in, n_out
        if bounds.exceeded(n_in, n_out):
            break
    end = _search(stream, start, n_bytes, (DESCRIPTOR, LOCAL, CENTRAL))
    return crc ^ ONES, end - start, max(n_out, 1)


def _checksum(stream: Watched, start: int, end: int) -> int:
    crc = 0
    for chunk in _chunks(stream, start, end):
        crc = zlib.crc32(chunk, crc)
    return crc


def _chunks(stream: Watched, start: int, end: int) -> Iterator[bytes]:
    at = start
    while at < end:
        stream.seek(at)
        chunk = stream.read(min(STEP, end - at))
        if not chunk:
            return
        yield chunk
        at += len(chunk)


def _search(stream: Watched, start: int, end: int, marks: tuple[bytes, ...]) -> int:
    """Offset of the first of some marks of four bytes, `end` if there is none."""
    kept, at = b"", start
    for chunk in _chunks(stream, start, end):
        data = kept + chunk
        places = [place for mark in marks if (place := data.find(mark)) >= 0]
        if places:
            return at - len(kept) + min(places)
        at += len(chunk)
        kept = data[-3:]
    return end
