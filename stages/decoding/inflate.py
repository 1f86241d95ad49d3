"""Decompressors of gzip, zstd, bzip2 and xz, fed piece by piece: damage is told from the end of the data, and may be
passed over where the next member can be read on its own.

The size of a piece is bounded for any input: STEP_BYTES, for zstd 32 MiB (see `unzstd`).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

STEP_BYTES = 1 << 18
"""Decompressed bytes produced at once."""

MAX_WINDOW_BYTES = 1 << 27
"""Largest zstd window or xz dictionary: the limit of the zstd command line without `--long`."""


class DamageError(Exception):
    """The compressed data end here; args: reason, detail, bytes in memory that are not decompressed."""


class Gap:
    """Decompression failed and was resumed at a later member; n_bytes of the file were passed over."""

    def __init__(self, detail: str, n_bytes: int) -> None:
        self.detail, self.n_bytes = detail, n_bytes


Piece = bytes | Gap | None
"""Decompressed bytes, a gap, or None: the end of a member, at which the next one can be read on its own."""


Fill = Callable[[], bytes]

GZIP, ZSTD, BZIP2, XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"

DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
"""Magic number of the skippable first frame that holds a dictionary, as a zstd frame or as it is.

Source: github.com/iipc/warc-specifications, warc-zstd, "Dictionary frame".
"""

MAX_DICTIONARY_BYTES = 16 << 20
LOOK_BYTES = 1024
"""Compressed bytes of a candidate member that are decompressed to see what it begins with."""


def decompress(data: bytes, fill: Fill, starts: tuple[bytes, ...] = ()) -> Iterator[Piece]:
    """Decompress a file, whose format is detected from its first bytes.

    Args: data, its first bytes; fill, returns the next ones, or none; starts, what records begin with: with them,
    reading resumes after a damaged member at the next one whose content begins so.
    """
    if data.startswith(GZIP):
        return gunzip(data, fill, starts)
    if data.startswith(ZSTD) or _is_skippable(data):
        return unzstd(data, fill, starts)
    if data.startswith(BZIP2):
        return _unpack(bz2.BZ2Decompressor, BZIP2, data, fill)
    if data.startswith(XZ):
        return _unpack(lambda: lzma.LZMADecompressor(memlimit=MAX_WINDOW_BYTES), XZ, data, fill)
    return _plain(data, fill)


def _is_skippable(data: bytes) -> bool:
    """Whether a skippable frame begins here (RFC 8878, section 3.1.2)."""
    return data[1:4] == b"\x2a\x4d\x18" and data[0] >> 4 == 5


def _plain(data: bytes, fill: Fill) -> Iterator[Piece]:
    while data:
        yield data
        data = fill()


def _next_member(data: bytes, fill: Fill, magic: bytes, name: str) -> bytes:
    """Skip zero padding after a member, as gzip and xz allow; return the bytes of the next one, or none.

    Raises: DamageError for other bytes: all members before them are complete.
    """
    while not (data := data.lstrip(b"\0")):
        if not (data := fill()):
            return b""
    while len(data) < len(magic) and magic.startswith(data) and (more := fill()):
        data += more
    if not data.startswith(magic[: len(data)]):
        what = "blank bytes" if not data.strip() else "bytes"
        raise DamageError("corrupt_stream", f"{what} behind the last {name}, which is complete", len(data))
    return data


def _resume(data: bytes, fill: Fill, magic: bytes, opens: Callable[[bytes], bool]) -> tuple[bytes, int]:
    """Return the data from the next member that `opens` accepts, or none, and the number of bytes passed over."""
    n_passed = 0
    while True:
        at = data.find(magic)
        if at < 0:
            kept = data[-len(magic) + 1 :]
            n_passed += len(data) - len(kept)
            data = kept
        else:
            n_passed, data = n_passed + at, data[at:]
            while len(data) < LOOK_BYTES and (more := fill()):
                data += more
            if opens(data[:LOOK_BYTES]):
                return data, n_passed
            n_passed, data = n_passed + 1, data[1:]
            continue
        if not (more := fill()):
            return b"", n_passed + len(data)
        data += more


def gunzip(data: bytes, fill: Fill, starts: tuple[bytes, ...]) -> Iterator[Piece]:
    """Decompress gzip members, up to the damage if there is any, or past it if `starts` tells members apart."""

    def opens(head: bytes) -> bool:
        try:
            return zlib.decompressobj(wbits=31).decompress(head, LOOK_BYTES).startswith(starts)
        except zlib.error:
            return False

    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not data and not (data := fill()):
                yield member.flush()
                raise DamageError("truncated", "the file ends inside a gzip member", 0)
            before = member.copy()
            try:
                chunk = member.decompress(data, STEP_BYTES)
            except zlib.error as error:
                yield from _salvage(before, data, STEP_BYTES >> 6)
                rest, n_passed = _resume(data[1:], fill, GZIP, opens) if starts else (b"", 0)
                if not rest:
                    left = n_passed if starts else len(data)
                    raise DamageError("corrupt_stream", f"gzip: {error}", left) from error
                yield Gap(f"gzip: {error}", n_passed)
                data = rest
                break
            yield chunk
            data = member.unconsumed_tail
        else:
            yield None
            data = _next_member(member.unused_data, fill, GZIP, "gzip member")


def _salvage(member: Any, data: bytes, step: int) -> Iterator[Piece]:  # Any: zlib does not name its class
    """Yield the output of `data` before the invalid byte; a call that fails loses its output, so steps get smaller."""
    while data:
        before = member.copy()
        try:
            chunk = member.decompress(data, step)
        except zlib.error:
            if step > 1:
                yield from _salvage(before, data, step >> 6 or 1)
            return
        yield chunk
        data = member.unconsumed_tail


def _dictionary_of(frame: bytes) -> bytes:
    """Return the dictionary that a dictionary frame holds, as it is or compressed."""
    if not frame.startswith(ZSTD):
        return frame
    library = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        return library.decompress(frame, max_output_size=MAX_DICTIONARY_BYTES)
    except zstandard.ZstdError as error:
        raise DamageError("no_dictionary", f"the dictionary in the first frame: {error}", 0) from error


def _read_dictionary(data: bytes, fill: Fill) -> tuple[bytes, bytes]:
    """Return the dictionary of a first frame, empty if there is none, and the data after it."""
    while len(data) < 8 and (more := fill()):
        data += more
    if not data.startswith(DICTIONARY_FRAME) or len(data) < 8:
        return b"", data
    n_bytes = int.from_bytes(data[4:8], "little")
    if n_bytes > MAX_DICTIONARY_BYTES:
        raise DamageError("no_dictionary", f"a dictionary of {n_bytes:,} bytes", len(data))
    parts, n_read = [data], len(data)
    while n_read < 8 + n_bytes:
        if not (more := fill()):
            raise DamageError("truncated", "the file ends inside a zstd dictionary", 0)
        parts.append(more)
        n_read += len(more)
    data = b"".join(parts)
    return _dictionary_of(data[8 : 8 + n_bytes]), data[8 + n_bytes :]


def unzstd(data: bytes, fill: Fill, starts: tuple[bytes, ...]) -> Iterator[Piece]:
    """Decompress zstd frames, with the dictionary that the first frame may hold.

    The library cannot limit its output, so that it is fed 1 KiB at a time: at most 256 blocks of 4 bytes, each of
    which may expand to 128 KiB.
    """
    dictionary, data = _read_dictionary(data, fill)
    known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    library = zstandard.ZstdDecompressor(dict_data=known, max_window_size=MAX_WINDOW_BYTES)

    def opens(head: bytes) -> bool:
        try:
            return library.decompressobj().decompress(head).startswith(starts)
        except zstandard.ZstdError:
            return False

    data = data or fill()
    while data:
        frame, view = library.decompressobj(), memoryview(data)
        while not frame.eof:
            if not view and not (view := memoryview(fill())):
                raise DamageError("truncated", "the file ends inside a zstd frame", 0)
            try:
                yield frame.decompress(view[:1024])
            except zstandard.ZstdError as error:
                reason, detail = _why_not_zstd(data, error)
                rest, n_passed = _resume(bytes(view)[1:], fill, ZSTD, opens) if starts else (b"", 0)
                if not rest:
                    raise DamageError(reason, detail, n_passed if starts else len(view)) from error
                yield Gap(detail, n_passed)
                data = rest
                break
            view = view[1024:]
        else:
            yield None
            data = frame.unused_data + bytes(view) or fill()
            if data and len(data) >= 4 and not data.startswith(ZSTD) and not _is_skippable(data):
                what = "blank bytes" if not data.strip() else "bytes"
                detail = f"{what} behind the last zstd frame, which is complete"
                raise DamageError("corrupt_stream", detail, len(data))


def _why_not_zstd(frame: bytes, error: Exception) -> tuple[str, str]:
    """Return reason and detail: frames that name a dictionary are sound, but cannot be read without it."""
    try:
        needed = zstandard.get_frame_parameters(frame).dict_id
    except zstandard.ZstdError:
        needed = 0
    if needed and "ictionary" in str(error):
        return "no_dictionary", f"the frames need the zstd dictionary {needed}, which is not in the file"
    return "corrupt_stream", f"zstd: {error}"


def _unpack(
    new: Callable[[], Any], magic: bytes, data: bytes, fill: Fill
) -> Iterator[Piece]:  # Any: a bz2 or an lzma object
    """Decompress bzip2 or xz streams."""
    while data:
        member = new()
        while not member.eof:
            if member.needs_input and not data and not (data := fill()):
                raise DamageError("truncated", "the file ends inside a bzip2 or xz stream", 0)
            try:
                chunk = member.decompress(data, STEP_BYTES)
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise DamageError("corrupt_stream", f"bzip2 or xz: {error}", len(data)) from error
            yield chunk
            data = b""
        data = _next_member(member.unused_data, fill, magic, "bzip2 or xz stream")
