"""Digests inside the files of a store, checked as the files are read.

Parquet and Arrow files are read from their end: the last bytes give the length of the footer, and the footer gives
the position of everything else. Bytes between the last page and the footer belong to nothing, so a file with a seal
there is read by every program, and only this one looks at it. A seal contains the XXH3-64 of each block of the file
before it, and the XXH3-128 of the key of the file, the blocks' digests and the footer. A reader checks the blocks
that it reads, no others: a column of a large shard costs the blocks of that column. Files of releases have no seal:
`checksums.sha256` covers them.

A file without a seal was written by an earlier version, and is read as it is; one whose seal was overwritten is
distinguished from it by the gap that the seal leaves.

JSON of a store ends with the digest of its key and of what is before it, as the member `digest` of its object.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import xxhash

from pipeline.errors import DamagedError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 16
"""Bytes of a block, the least that is read and checked: 8 bytes of digest for each, 0.012 % of a file."""

WHOLE = 1 << 20
"""Files up to this size in bytes are read and checked whole, at the first read."""

SEALED = (
    "shards/", "annotations/", "global/", "index/", "verdicts/", "imports/", "quarantine/", "exchange/",
    "releases/_work/", "tombstones/",
)  # fmt: skip
"""Folders of a store whose Parquet and Arrow files have a seal."""

START = b"\x89bicorpus-seal1\n"
END = START[::-1]
_FACTS = struct.Struct("<QII")  # bytes before the seal, bytes of a block, number of blocks
_SUM = 16
_FIXED = len(START) + _FACTS.size + _SUM + len(END)
_ARROW_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""What ends the stream of an Arrow file: directly before its footer, unless there is a seal between."""

_JSON_DIGEST = re.compile(rb',?"digest":"([0-9a-f]{32})"\}\Z')


def has_seal(key: str) -> bool:
    """Return whether files under a key are sealed when they are written."""
    return key.startswith(SEALED) and key.endswith((".parquet", ".arrow"))


# Writing


def sealed(key: str, data: bytes | pa.Buffer) -> list[memoryview | bytes]:
    """Return the parts of a file with its seal, to be written one after the other.

    Args: data, of a Parquet or Arrow file; anything else is returned as it is.
    """
    view = memoryview(data).cast("B")
    n_tail = _tail_bytes(bytes(view[-16:]))
    if n_tail is None or n_tail > len(view):
        return [view]
    body, tail = view[: len(view) - n_tail], view[len(view) - n_tail :]
    digests = [xxhash.xxh3_64_intdigest(body[i : i + BLOCK]) for i in range(0, len(body), BLOCK)]
    return [body, _seal(key, len(body), digests, bytes(tail)), tail]


def copy_sealed(key: str, source: BinaryIO, target: BinaryIO) -> None:
    """Copy a Parquet or Arrow file of any size and put a seal into the copy. source: seekable, from its start."""
    size = source.seek(0, io.SEEK_END)
    source.seek(max(0, size - 16))
    n_tail = _tail_bytes(source.read(16))
    source.seek(0)
    if n_tail is None or n_tail > size:
        shutil.copyfileobj(source, target, WHOLE)
        return
    digests, rest = [], size - n_tail
    while rest:
        block = source.read(min(BLOCK, rest))
        digests.append(xxhash.xxh3_64_intdigest(block))
        target.write(block)
        rest -= len(block)
    tail = source.read(n_tail)
    target.write(_seal(key, size - n_tail, digests, tail))
    target.write(tail)


def _seal(key: str, n_body: int, digests: Sequence[int], tail: bytes) -> bytes:
    blocks = np.array(digests, "<u8").tobytes()
    facts = _FACTS.pack(n_body, BLOCK, len(digests))
    return b"".join([START, blocks, facts, _sum(key, blocks, facts, tail), END])


def _sum(key: str, blocks: bytes, facts: bytes, tail: bytes) -> bytes:
    """Digest of a seal and the footer. The key is part of it, so that a file is not taken for another one."""
    state = xxhash.xxh3_128(key.encode() + b"\0")
    for part in (blocks, facts, tail):
        state.update(part)
    return state.digest()


def _tail_bytes(end: bytes) -> int | None:
    """Bytes of the footer with its length and the mark at the end; None for another format. end: the last bytes."""
    if end.endswith(b"PAR1") and len(end) >= 12:
        return int.from_bytes(end[-8:-4], "little") + 8
    if end.endswith(b"ARROW1") and len(end) >= 16:
        return int.from_bytes(end[-10:-6], "little") + 10
    return None


# Reading


def open_sealed(stream: BinaryIO, key: str, where: str) -> BinaryIO:
    """Return a stream that checks what is read from a file; the stream itself if the file has no seal.

    Args: stream, of the file, for random access; where, how errors name it.
    Raises: DamagedError if the end of the file is damaged; a read raises it for a damaged block.
    """
    try:
        size = stream.seek(0, io.SEEK_END) or stream.tell()
        window = _read(stream, max(0, size - BLOCK), min(size, BLOCK))
        n_tail = _tail_bytes(window[-16:])
        if n_tail is None or n_tail > size:
            raise _damaged(where, key, "the end of the file is missing or damaged")
        if n_tail + _FIXED > len(window) < size:
            window = _read(stream, max(0, size - n_tail - BLOCK), min(size, n_tail + BLOCK))
        end = len(window) - n_tail
        if window[max(0, end - len(END)) : end] != END:
            _check_unsealed(stream, window, end, key, where)
            stream.seek(0)
            return stream
        facts = window[end - len(END) - _SUM - _FACTS.size : end - len(END) - _SUM]
        n_body, block, n_blocks = _FACTS.unpack(facts) if len(facts) == _FACTS.size else (0, 0, -1)
        n_seal = _FIXED + 8 * n_blocks
        if n_blocks < 0 or n_body + n_seal + n_tail != size or not block:
            raise _damaged(where, key, "its digests are damaged")
        rest = (
            _read(stream, n_body, size - n_body) if size - n_body > len(window) else window[n_body - size :]
        )
        blocks, tail = rest[len(START) : len(START) + 8 * n_blocks], rest[n_seal:]
        found = rest[n_seal - len(END) - _SUM : n_seal - len(END)]
        if not rest.startswith(START) or found != _sum(key, blocks, facts, tail):
            raise _damaged(
                where, key, "its footer or its digests are damaged, or it is the copy of another file"
            )
        return SealedFile(stream, key, where, np.frombuffer(blocks, "<u8"), block, n_body, rest)  # type: ignore[return-value]  # what Arrow needs of a stream
    except BaseException:
        stream.close()
        raise


def _check_unsealed(stream: BinaryIO, window: bytes, end: int, key: str, where: str) -> None:
    """Check that a file without a seal never had one. window: the end of the file; end: where its footer begins.

    Raises: DamagedError if parts of a seal are left, or a gap where one was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    gap = START in window[:end] or END in window[:end]
    if window.endswith(b"PAR1"):
        try:
            stream.seek(0)
            metadata = pq.read_metadata(stream)
            size = stream.seek(0, io.SEEK_END) or stream.tell()
        except (pa.ArrowException, OSError) as error:
            raise _damaged(where, key, f"the footer cannot be read ({_line(error)})") from error
        groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
        chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
        ends = [min(_offsets(chunk)) + chunk.total_compressed_size for chunk in chunks]
        gap |= max(ends, default=4) != size - len(window) + end
    else:
        gap |= not window[:end].endswith(_ARROW_END)
    if gap:
        raise _damaged(where, key, "its digests are missing or damaged")


def _offsets(chunk: Any) -> list[int]:  # Any: pyarrow's metadata of a column chunk
    return [offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset]


class SealedFile:
    """A file for random access whose blocks are checked as they are read; Arrow reads from it without a copy."""

    def __init__(
        self,
        stream: BinaryIO,
        key: str,
        where: str,
        digests: np.ndarray,
        block: int,
        n_body: int,
        rest: bytes,
    ) -> None:
        self.stream, self.key, self.where = stream, key, where
        self.digests, self.block, self.n_body, self.rest = digests, block, n_body, rest
        self.position, self.closed = 0, False
        self._checked: tuple[int, memoryview] = (
            0,
            memoryview(b""),
        )  # first byte and bytes of the last blocks read

    def __enter__(self) -> SealedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.closed = True
        self._checked = (0, memoryview(b""))
        self.stream.close()

    def readable(self) -> bool:
        """Return True; Arrow asks for it."""
        return True

    def seekable(self) -> bool:
        """Return True; Arrow asks for it."""
        return True

    def writable(self) -> bool:
        """Return False."""
        return False

    def tell(self) -> int:
        """Return the position in bytes."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set and return the position in bytes."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.n_body + len(self.rest)}[whence]
        self.position = max(0, base + offset)
        return self.position

    def read(self, n_bytes: int = -1) -> bytes:
        """Read and check bytes from the position; all that follow if `n_bytes` is negative."""
        return bytes(self._take(n_bytes))

    def read_buffer(self, n_bytes: int = -1) -> pa.Buffer:
        """Read and check bytes from the position as a buffer; Arrow calls it instead of `read`."""
        import pyarrow as pa

        return pa.py_buffer(self._take(n_bytes))

    def check(self) -> None:
        """Check every block of the file.

        Raises: DamagedError if one is damaged.
        """
        for first in range(0, self.n_body, WHOLE):
            self._blocks(first, min(first + WHOLE, self.n_body))

    def _take(self, n_bytes: int) -> memoryview | bytes:
        start, size = self.position, self.n_body + len(self.rest)
        end = size if n_bytes < 0 else min(size, start + n_bytes)
        self.position = max(start, end)
        if start >= end:
            return b""
        if start >= self.n_body:
            return memoryview(self.rest)[start - self.n_body : end - self.n_body]
        body = self._blocks(start, min(end, self.n_body))
        return body if end <= self.n_body else bytes(body) + self.rest[: end - self.n_body]

    def _blocks(self, start: int, end: int) -> memoryview:
        """Bytes of the body, read with the blocks around them."""
        first, checked = self._checked
        if not (first <= start and end <= first + len(checked)):
            whole = self.n_body <= WHOLE
            low = 0 if whole else start // self.block
            high = len(self.digests) if whole else -(-end // self.block)
            first, n_bytes = low * self.block, min(high * self.block, self.n_body) - low * self.block
            checked = memoryview(_read(self.stream, first, n_bytes))
            if len(checked) < n_bytes:
                raise _damaged(self.where, self.key, f"it ends after {first + len(checked):,} bytes")
            for i in range(low, high):
                block = checked[(i - low) * self.block : (i - low + 1) * self.block]
                if xxhash.xxh3_64_intdigest(block) != self.digests[i]:
                    begin = i * self.block
                    raise _damaged(
                        self.where,
                        self.key,
                        f"bytes {begin:,} to {begin + len(block):,} do not have their digest",
                    )
            self._checked = (first, checked) if n_bytes <= WHOLE else (0, memoryview(b""))
        return checked[start - first : end - first]


def _read(stream: BinaryIO, start: int, n_bytes: int) -> bytes:
    stream.seek(start)
    return stream.read(n_bytes)


def _damaged(where: str, key: str, what: str) -> DamagedError:
    return DamagedError(f"{where}: {what}", key)


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


# JSON


def sealed_json(data: bytes, key: str) -> bytes:
    """Return a JSON object with the digest of its key and bytes as its last member. data: without blanks around it."""
    digest = _json_digest(data, key)
    return data[:-1] + (b'"digest":"' if data == b"{}" else b',"digest":"') + digest.encode() + b'"}'


def unsealed_json(data: bytes, key: str, where: str) -> bytes:
    """Return what `sealed_json` was called with; bytes without a digest are of an earlier version, as are those with a
    digest without the key.

    Raises: DamagedError if the digest differs.
    """
    found = _JSON_DIGEST.search(data)
    if found is None:
        return data
    body = data[: found.start()] + b"}"
    if found[1].decode() not in (_json_digest(body, key), xxhash.xxh3_128_hexdigest(body)):
        raise _damaged(where, key, "it does not have its digest")
    return body


def _json_digest(data: bytes, key: str) -> str:
    """Digest of an object. The key is part of it, so that an object is not taken for another one."""
    return xxhash.xxh3_128_hexdigest(key.encode() + b"\0" + data)


def parse_sealed(data: bytes, key: str, where: str) -> Any:  # Any: plain JSON
    """Return the object of `sealed_json` without its digest; an object without one was written by an earlier version.

    Raises: DamagedError if it is damaged.
    """
    try:
        content = json.loads(unsealed_json(data, key, where))
        if not isinstance(content, dict):
            raise ValueError(f"found {type(content).__name__}, expected an object")
    except ValueError as error:
        raise _damaged(where, key, f"not JSON of a store ({_line(error)})") from error
    return content
