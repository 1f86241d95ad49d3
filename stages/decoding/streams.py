"""Bytes of an input file, decompressed within bounds, as chunks, as a stream or as lines.

The format is detected from magic bytes, never from the file's name. Damage ends the stream and is recorded, so that
the bytes before it are used; errors of the storage itself are raised, so that a network failure is never mistaken for
a broken file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.errors import ConfigError
from pipeline.stage import Record
from stages.decoding.inflate import DamageError, Gap, decompress

RAW_BYTES = 1 << 16
"""Bytes of a broken record that are kept."""

READ_BYTES = 1 << 17
"""Compressed bytes read at once."""

CHUNK_BYTES = 1 << 15
"""Smaller pieces are joined, so that a file of tiny members costs no more steps than another."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of a reader of compressed files.

    max_ratio, ratio_free_bytes: a file is a decompression bomb if its output exceeds both `ratio_free_bytes` and
        `max_ratio` times the bytes read. Typical ratios are 3 to 10 for web text and up to 50 for lists made from a
        template; the limit of deflate is 1,032, and zstd can exceed 30,000.
    max_values: values of one record, those in lists and objects included; each takes some 60 bytes of memory, however
        few it has in the file.
    file_seconds, file_memory_bytes: processor time of the reading of a file of at most 64 MiB on disk, a larger one has
        more in proportion; memory that reading may take. The engine enforces them.
    """

    max_ratio: float = 200.0
    ratio_free_bytes: int = 64 << 20
    max_values: int = 1_000_000
    file_seconds: float = 300.0
    file_memory_bytes: int = 1536 << 20

    def __post_init__(self) -> None:
        if self.max_ratio < 1 or self.ratio_free_bytes < 0:
            raise ConfigError(
                f"max_ratio is {self.max_ratio}, ratio_free_bytes {self.ratio_free_bytes}; "
                "expected at least 1 and at least 0"
            )
        if self.max_values < 1 or self.file_seconds <= 0 or self.file_memory_bytes < 64 << 20:
            raise ConfigError(
                f"max_values is {self.max_values}, file_seconds {self.file_seconds}, file_memory_bytes "
                f"{self.file_memory_bytes:,}; expected at least 1, more than 0 and at least 64 MiB"
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
        self.furthest = 0  # offset up to which bytes were read

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
        self.furthest = max(self.furthest, self._tell())
        return data

    def _tell(self) -> int:
        try:
            return self._stream.tell()
        except (OSError, AttributeError):
            return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek as the stream does.

        Raises: ValueError for a negative offset, which is the fault of the file that states it, not of the storage.
        """
        if whence == 0 and offset < 0:
            raise ValueError(f"negative seek value {offset}")
        return self._watch(self._stream.seek, offset, whence)

    def tell(self) -> int:
        """Return the position of the stream."""
        return self._watch(self._stream.tell)

    def seekable(self) -> bool:
        """Return True: inputs can seek."""
        return True

    def close(self) -> None:
        """Do nothing: the stream is closed by its owner."""


class Inflated:
    """The decompressed bytes of a file, in a single pass: `chunks()`, or `read(size)` as for a file.

    damage: set if the bytes ended before the file: a record of position -1 with reason
        `truncated`, `corrupt_stream`, `decompression_bomb` or `no_dictionary`.
    starts: with them, damage inside a gzip member or zstd frame ends only that one: reading resumes at the next whose
        content begins so. ends: offsets at which members ended, ascending, each once; gaps: those that were cut short,
        as offset of their begin and end, detail, and bytes of the file passed over.

    Nobody knows how much a truncated file lacks: `damage.lost_bytes` is then as much again as the file has.
    """

    def __init__(self, stream: BinaryIO, bounds: Bounds, starts: tuple[bytes, ...] = ()) -> None:
        self._stream, self._bounds, self._starts = Watched(stream), bounds, starts
        self._n_in = self._n_out = 0
        self._chunks, self._rest = self.chunks(), memoryview(b"")
        self.damage: Record | None = None
        self.ends: list[int] = []
        self.gaps: deque[tuple[int, int, str, int]] = deque()
        self._member = 0

    @property
    def failure(self) -> Exception | None:
        """The error of the storage that a read raised, or None."""
        return self._stream.failure

    def chunks(self) -> Iterator[bytes]:
        """Yield decompressed bytes, never an empty chunk, until the end of the file or the first damage."""
        held: list[bytes] = []
        n_held = 0
        try:
            for piece in decompress(self._fill(), self._fill, self._starts):
                if not isinstance(piece, bytes):
                    self._note_end(piece)
                    continue
                self._n_out += len(piece)
                if excess := self._bounds.exceeded(self._n_in, self._n_out):
                    if held:
                        yield b"".join(held)
                    self.damage = Record(-1, None, "decompression_bomb", excess, lost_bytes=self.size())
                    return
                if not piece:
                    continue
                held.append(piece)
                n_held += len(piece)
                if n_held >= CHUNK_BYTES:
                    yield piece if len(held) == 1 else b"".join(held)
                    held, n_held = [], 0
            if held:
                yield b"".join(held)
        except DamageError as error:
            if held:
                yield b"".join(held)
            reason, detail, n_left = error.args
            lost = self.size() if reason == "truncated" else n_left + self.rest_bytes()
            detail = f"{detail}; after {self._n_out:,} readable bytes"
            self.damage = Record(-1, None, reason, detail, lost_bytes=lost)

    def _note_end(self, piece: Gap | None) -> None:
        if self._starts and self.ends[-1:] != [self._n_out]:
            self.ends.append(self._n_out)
        if piece is not None:
            self.gaps.append((self._member, self._n_out, piece.detail, piece.n_bytes))
        self._member = self._n_out

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or none at the end."""
        data = self._rest or memoryview(next(self._chunks, b""))
        self._rest = data[size:]
        return bytes(data[:size])

    def size(self) -> int:
        """Return the size of the file as stored, or the bytes read so far if the stream cannot seek."""
        try:
            at = self._stream.tell()
            end = self._stream.seek(0, 2)
            self._stream.seek(at)
        except (OSError, AttributeError):
            self._stream.failure = None
            return self._n_in
        return max(end, self._n_in)

    def rest_bytes(self) -> int:
        """Return how many bytes of the file have not been read."""
        return self.size() - self._n_in

    def _fill(self) -> bytes:
        data = self._stream.read(READ_BYTES)
        self._n_in += len(data)
        return data


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
