"""Bytes of an input file, decompressed within bounds, as chunks, as a stream or as lines.

The format is detected from magic bytes, never from the file's name. Damage ends the stream and is recorded, so that
the bytes before it are used; errors of the storage itself are raised, so that a network failure is never mistaken for
a broken file.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import zstandard

from pipeline.errors import ConfigError
from pipeline.stage import Record

RAW_BYTES = 1 << 16
"""Bytes of a broken record that are kept."""

READ_BYTES = 1 << 17
STEP_BYTES = 1 << 18
"""Compressed bytes read at once; decompressed bytes produced at once (zstd: at most 32 MiB, see `_unzstd`)."""

MAX_WINDOW_BYTES = 1 << 27
"""Largest zstd window or xz dictionary: the limit of the zstd command line without `--long`."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of a reader of compressed files.

    max_ratio, ratio_free_bytes: a file is a decompression bomb if its output exceeds both `ratio_free_bytes` and
        `max_ratio` times the bytes read. Typical ratios are 3 to 10 for web text and up to 50 for lists made from a
        template; the limit of deflate is 1,032, and zstd can exceed 30,000.
    """

    max_ratio: float = 200.0
    ratio_free_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        if self.max_ratio < 1 or self.ratio_free_bytes < 0:
            raise ConfigError(
                f"max_ratio is {self.max_ratio}, ratio_free_bytes {self.ratio_free_bytes}; "
                "expected at least 1 and at least 0"
            )

    def exceeded(self, n_in: int, n_out: int) -> str | None:
        """Return a message if n_out bytes from n_in bytes exceed the bounds, else None."""
        if n_out <= self.ratio_free_bytes or n_out <= self.max_ratio * n_in:
            return None
        return f"{n_out:,} bytes from {n_in:,}; expected at most {self.max_ratio:g} times as many"


class Watched:
    """A binary stream that records its own failure, even if a library replaces the exception."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def _watch(self, call: Callable[..., Any], *args: int) -> Any:  # Any: bytes of read, int of seek and tell
        try:
            return call(*args)
        except Exception as error:
            self.failure = error
            raise

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, fewer only at the end, even if the underlying stream returns fewer anywhere."""
        data = self._watch(self._stream.read, size)
        while 0 < len(data) < size and (more := self._watch(self._stream.read, size - len(data))):
            data += more
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek as the stream does."""
        return self._watch(self._stream.seek, offset, whence)

    def tell(self) -> int:
        """Return the position of the stream."""
        return self._watch(self._stream.tell)

    def close(self) -> None:
        """Do nothing: the stream is closed by its owner."""


class _DamageError(Exception):
    """The compressed data are truncated or invalid; args: reason, detail."""


class Inflated:
    """The decompressed bytes of a file, in a single pass: `chunks()`, or `read(size)` as for a file.

    damage: set if the bytes ended before the file: a record of position -1 with reason
        `truncated`, `corrupt_stream` or `decompression_bomb`.
    """

    def __init__(self, stream: BinaryIO, bounds: Bounds) -> None:
        self._stream, self._bounds = Watched(stream), bounds
        self._n_in = self._n_out = 0
        self._chunks, self._rest = self.chunks(), memoryview(b"")
        self.damage: Record | None = None

    @property
    def failure(self) -> Exception | None:
        """The error of the storage that a read raised, or None."""
        return self._stream.failure

    def chunks(self) -> Iterator[bytes]:
        """Yield decompressed bytes, never an empty chunk, until the end of the file or the first damage."""
        try:
            for chunk in self._decompress():
                self._n_out += len(chunk)
                if excess := self._bounds.exceeded(self._n_in, self._n_out):
                    self.damage = Record(-1, None, "decompression_bomb", excess)
                    return
                if chunk:
                    yield chunk
        except _DamageError as error:
            reason, detail = error.args
            self.damage = Record(-1, None, reason, f"{detail}; after {self._n_out:,} readable bytes")

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or none at the end."""
        data = self._rest or memoryview(next(self._chunks, b""))
        self._rest = data[size:]
        return bytes(data[:size])

    def tell(self) -> int:
        """Return how many bytes `read` has returned."""
        return self._n_out - len(self._rest)

    def _fill(self) -> bytes:
        data = self._stream.read(READ_BYTES)
        self._n_in += len(data)
        return data

    def _decompress(self) -> Iterator[bytes]:
        data = self._fill()
        if data.startswith(b"\x1f\x8b"):
            return _gunzip(data, self._fill)
        if data.startswith(b"\x28\xb5\x2f\xfd") or (data[1:4] == b"\x2a\x4d\x18" and data[0] >> 4 == 5):
            return _unzstd(data, self._fill)  # the second form is a skippable frame, RFC 8878 section 3.1.2
        if data.startswith(b"BZh"):
            return _unpack(bz2.BZ2Decompressor, data, self._fill)
        if data.startswith(b"\xfd7zXZ\x00"):
            return _unpack(lambda: lzma.LZMADecompressor(memlimit=MAX_WINDOW_BYTES), data, self._fill)
        return _plain(data, self._fill)


Fill = Callable[[], bytes]


def _plain(data: bytes, fill: Fill) -> Iterator[bytes]:
    while data:
        yield data
        data = fill()


def _next_member(data: bytes, fill: Fill) -> bytes:
    """Skip zero padding after a member, as gzip and xz allow; return the bytes of the next one, or none."""
    while not (data := data.lstrip(b"\0")):
        if not (data := fill()):
            return b""
    return data


def _gunzip(data: bytes, fill: Fill) -> Iterator[bytes]:
    """Decompress gzip members, up to the damage if there is any."""
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not data and not (data := fill()):
                yield member.flush()
                raise _DamageError("truncated", "the file ends inside a gzip member")
            before = member.copy()
            try:
                chunk = member.decompress(data, STEP_BYTES)
            except zlib.error as error:
                yield from _salvage(before, data, STEP_BYTES >> 6)
                raise _DamageError("corrupt_stream", f"gzip: {error}") from error
            yield chunk
            data = member.unconsumed_tail
        data = _next_member(member.unused_data, fill)


def _salvage(member: Any, data: bytes, step: int) -> Iterator[bytes]:  # Any: zlib does not name its class
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


def _unzstd(data: bytes, fill: Fill) -> Iterator[bytes]:
    """Decompress zstd frames.

    The library cannot limit its output, so that it is fed 1 KiB at a time: at most 256 blocks of 4 bytes, each of
    which may expand to 128 KiB.
    """
    library = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    while data:
        frame, view = library.decompressobj(), memoryview(data)
        while not frame.eof:
            if not view and not (view := memoryview(fill())):
                raise _DamageError("truncated", "the file ends inside a zstd frame")
            try:
                yield frame.decompress(view[:1024])
            except zstandard.ZstdError as error:
                raise _DamageError("corrupt_stream", f"zstd: {error}") from error
            view = view[1024:]
        data = frame.unused_data + bytes(view) or fill()


def _unpack(
    new: Callable[[], Any], data: bytes, fill: Fill
) -> Iterator[bytes]:  # Any: a bz2 or an lzma object
    """Decompress bzip2 or xz streams."""
    while data:
        member = new()
        while not member.eof:
            if member.needs_input and not data and not (data := fill()):
                raise _DamageError("truncated", "the file ends inside a bzip2 or xz stream")
            try:
                chunk = member.decompress(data, STEP_BYTES)
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise _DamageError("corrupt_stream", f"bzip2 or xz: {error}") from error
            yield chunk
            data = b""
        data = _next_member(member.unused_data, fill)


def split_lines(chunks: Iterator[bytes], max_bytes: int) -> Iterator[tuple[bytes | bytearray, int]]:
    r"""Split chunks at \n; memory is limited to `max_bytes` of a line and one chunk.

    Yields: the line without its \n, and its length in bytes; lines over `max_bytes` are truncated to RAW_BYTES.
    A last line without \n is yielded after `chunks` have ended, if it has any bytes.
    """
    line_start, n_bytes = bytearray(), 0
    for chunk in chunks:
        first, *lines = chunk.split(b"\n")
        n_bytes += len(first)
        line_start += first
        if n_bytes > max_bytes:
            del line_start[RAW_BYTES:]
        if not lines:
            continue
        yield line_start, n_bytes
        last = lines.pop()
        for line in lines:
            yield (line if len(line) <= max_bytes else line[:RAW_BYTES]), len(line)
        line_start, n_bytes = bytearray(last), len(last)
    if n_bytes:
        yield (line_start if n_bytes <= max_bytes else line_start[:RAW_BYTES]), n_bytes
