"""Members of zip and tar files, one at a time, as streams; nothing is written to disk.

Bytes are bounded for each member and for the whole file; names are decoded, since zip and tar of Chinese Windows write
GBK. Damage ends a member, and reading continues at the next; in a tar file, at the next header.
"""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast

from pipeline.stage import Record
from stages.decoding.encoding import EncodingError, decode
from stages.decoding.streams import Bounds, Inflated, Watched
from stages.decoding.zip_headers import Followed, FoundMembers, find_members

BLOCK = tarfile.BLOCKSIZE
ZIP_START = (b"PK\x03\x04", b"PK\x05\x06")
LEAST_ZIP = 22
"""Bytes of an empty zip file: the end of its directory. Source: PKWARE, APPNOTE.TXT 6.3.10, section 4.3.16."""
UTF8_NAME, ENCRYPTED = 0x800, 0x1
"""Bits of a zip member's flags. Source: PKWARE, APPNOTE.TXT 6.3.10, section 4.4.4."""

MEMBER_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    struct.error,
)
"""Errors of a member's data."""

HIDDEN = "hidden member"


@dataclass
class Member:
    """A member: its name in the file, its bytes, and the size that it takes in the file."""

    name: str
    stream: MemberStream
    stored_bytes: int


class Fault(NamedTuple):
    """Why the bytes of a member end early."""

    reason: str
    detail: str


class MemberStream:
    """The bytes of a member, read once from the front. fault: reason and detail if they ended early."""

    closed = False

    def __init__(
        self, stream: BinaryIO, watched: Watched | Inflated, bounds: Bounds, stored_bytes: int
    ) -> None:
        self._stream, self._watched, self._bounds, self._stored = stream, watched, bounds, stored_bytes
        self.n_out = 0
        self.fault: Fault | None = None

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; none at the end, and from the first damage on."""
        if self.fault:
            return b""
        try:
            data = self._stream.read(size)
        except MEMBER_ERRORS as error:
            if self._watched.failure:
                raise
            self.fault = Fault("corrupt_member", str(error) or type(error).__name__)
            return b""
        self.n_out += len(data)
        if excess := self._bounds.exceeded(self._stored, self.n_out):
            self.fault = Fault("decompression_bomb", excess)
            return b""
        return data


def is_zip(start: bytes) -> bool:
    """Whether a file begins like a zip file."""
    return start.startswith(ZIP_START)


def is_tar(start: bytes) -> bool:
    """Whether the first block of a decompressed file is the header of a tar member."""
    try:
        tarfile.TarInfo.frombuf(start[:BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def zip_members(stream: BinaryIO, bounds: Bounds) -> Iterator[Member | Record]:
    """Yield the members of a zip file in the order of its directory.

    If that cannot be read, as in a file that was cut off, members are found by their own headers; a record of position
    -1 reports it after them, or alone if there are none.
    """
    watched = Watched(stream)
    size = watched.seek(0, 2)
    if size < LEAST_ZIP:
        yield Record(
            -1, None, "unreadable_zip", f"{size} bytes; a directory has {LEAST_ZIP} at least", lost_bytes=size
        )
        return
    found: FoundMembers | None = None
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, watched))  # it calls read, seek and tell only
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (*MEMBER_ERRORS, NotImplementedError, UnicodeDecodeError) as error:
        if watched.failure:
            raise
        found = find_members(watched, size, bounds)
        if not found.entries:
            yield Record(-1, None, "unreadable_zip", str(error) or type(error).__name__, lost_bytes=size)
            return
        try:
            archive = zipfile.ZipFile(cast(BinaryIO, Followed(watched, size, found.directory(size))))
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (*MEMBER_ERRORS, NotImplementedError) as again:
            if watched.failure:
                raise
            yield Record(-1, None, "unreadable_zip", str(again) or type(again).__name__, lost_bytes=size)
            return
    yield from _zip_entries(archive, entries, watched, size, bounds)
    if found is not None:
        yield found.record(size)


def _zip_entries(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], watched: Watched, size: int, bounds: Bounds
) -> Iterator[Member | Record]:
    """Yield the members of an open zip file."""
    if (stated := sum(entry.compress_size for entry in entries)) > size:
        detail = f"members of {stated:,} bytes in a file of {size:,}: they overlap"
        yield Record(-1, None, "decompression_bomb", detail, lost_bytes=size)
        return
    names = _zip_names(entries)
    n_out = 0
    for name, entry in zip(names, entries, strict=True):
        fault = _zip_fault(entry)
        try:
            opened = None if fault else archive.open(entry)
        except (*MEMBER_ERRORS, NotImplementedError, RuntimeError) as error:
            if watched.failure:
                raise
            fault, opened = Fault("corrupt_member", str(error) or type(error).__name__), None
        data = MemberStream(cast(BinaryIO, opened), watched, bounds, entry.compress_size)
        member = Member(name, data, entry.compress_size)
        member.stream.fault = fault
        yield member
        if not member.stream.fault:  # of a bomb no more was read than its own bound
            n_out += member.stream.n_out
        if excess := bounds.exceeded(size, n_out):
            yield Record(-1, None, "decompression_bomb", f"all members: {excess}", lost_bytes=size)
            return


def _zip_fault(entry: zipfile.ZipInfo) -> Fault | None:
    if entry.flag_bits & ENCRYPTED:
        return Fault("encrypted_member", "the member needs a password; decrypt the file first")
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    if entry.compress_type not in known:
        detail = f"compression method {entry.compress_type} is not supported; pack the file again"
        return Fault("corrupt_member", detail)
    return None


def _zip_names(entries: list[zipfile.ZipInfo]) -> list[str]:
    """Return the names of members: UTF-8 where the flag says so, else in the encoding that fits all of them."""
    raw = [
        entry.orig_filename.encode("utf-8" if entry.flag_bits & UTF8_NAME else "cp437", "replace")
        for entry in entries
    ]
    unflagged = b"\n".join(
        name for name, entry in zip(raw, entries, strict=True) if not entry.flag_bits & UTF8_NAME
    )
    encoding = name_encoding(unflagged)
    return [
        name.decode("utf-8" if entry.flag_bits & UTF8_NAME else encoding, "replace")
        for name, entry in zip(raw, entries, strict=True)
    ]


def name_encoding(names: bytes) -> str:
    """Return the encoding of names without a declared one: UTF-8, a detected one, GB18030 if it fits, else cp437."""
    try:
        names.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        _, found = decode(names)
        if found in ("gb18030", "big5", "shift_jis", "euc-kr"):
            return {"big5": "cp950", "shift_jis": "cp932", "euc-kr": "cp949"}.get(found, found)
    except EncodingError:
        pass
    try:
        names.decode("gb18030")
        return "gb18030"
    except UnicodeDecodeError:
        return "cp437"


class _Forward:
    """A decompressed stream with the positions that tarfile asks for: forwards, and back by at most one block."""

    def __init__(self, source: Inflated) -> None:
        self._source, self._at, self._last = source, 0, b""
        self._back = 0

    def tell(self) -> int:
        return self._at - self._back

    def seek(self, offset: int) -> int:
        back = self._at - offset
        if 0 <= back <= len(self._last):
            self._back = back
        elif back < 0:
            self._back = 0
            while self._at < offset and self.read(min(offset - self._at, 1 << 20)):
                pass
        else:
            raise tarfile.StreamError(f"seek from {self._at} to {offset}")
        return self.tell()

    def read(self, size: int) -> bytes:
        data = bytearray()
        if self._back:
            at = len(self._last) - self._back
            data += self._last[at : at + size]
            self._back -= len(data)
        while len(data) < size and (more := self._source.read(size - len(data))):
            data += more
            self._at += len(more)
            self._last = (self._last + more)[-BLOCK:] if len(more) < BLOCK else more[-BLOCK:]
        return bytes(data)


def tar_members(source: Inflated, bounds: Bounds, file_bytes: int) -> Iterator[Member | Record]:
    """Yield the members of a decompressed tar file that are files; links, devices and sparse files are skipped.

    Bytes that are no header end in a broken record; reading continues at the next header. Its position, like that of
    skipped ones, is set by the caller.
    """
    forward = _Forward(source)
    archive = None
    gap, has_end = 0, False
    while True:
        try:
            if archive is None:
                # It calls read, seek and tell only.
                archive = tarfile.TarFile(
                    fileobj=cast(Any, forward), mode="r", encoding="utf-8", errors="surrogateescape"
                )
            info = archive.next()
            cast(Any, archive).members.clear()  # a list of all members, of which there may be millions
        except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
            if source.failure:
                raise
            if archive is None:
                yield Record(-1, None, "unreadable_tar", str(error), lost_bytes=file_bytes)
                return
            info = None
        if info is None:
            forward.seek(archive.offset)
            block = forward.read(BLOCK)
            if not block:
                break
            has_end = not block.strip(b"\0")
            gap += 0 if has_end else BLOCK
            archive.offset += BLOCK
            continue
        has_end = False
        if gap:
            yield _gap(gap)
            gap = 0
        if info.isdir():
            continue
        name = _tar_name(info.name)
        if not info.isreg() or info.issparse():
            yield Record(-1, None, "link or device", skipped=True)
            continue
        own_size = Bounds(max_ratio=1.0, ratio_free_bytes=max(info.size, 0))
        stream = MemberStream(cast(BinaryIO, archive.extractfile(info)), source, own_size, info.size)
        yield Member(name, stream, info.size)
    if gap:
        yield _gap(gap)
    if not has_end and not source.damage:
        detail = "the blocks that end a tar file are missing: it was cut off"
        yield Record(-1, None, "truncated", detail, lost_bytes=file_bytes)


def _gap(n_bytes: int) -> Record:
    return Record(-1, None, "corrupt_tar", f"{n_bytes:,} bytes that begin no member", lost_bytes=n_bytes)


def _tar_name(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    return raw.decode(name_encoding(raw), "replace")
