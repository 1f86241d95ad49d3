"""A sliding window over decompressed bytes that knows where members of the file end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stages.decoding.streams import Inflated

BLANK = b"\r\n \t\0"
COMPACT_BYTES = 1 << 20
"""Consumed bytes that are kept at most, so that dropping a record does not move the whole window each time."""

LINE_BYTES = 1 << 15
"""Longest first line of a record."""

FAR = 1 << 62


@dataclass(frozen=True, slots=True)
class Gap:
    """A member that was cut short: offsets of its output, and the bytes of the file that were passed over."""

    begin: int
    end: int
    detail: str
    n_bytes: int


class Window:
    """The bytes from the current offset on; positions are relative to it. line: the first line of a record."""

    def __init__(self, source: Inflated, line: re.Pattern[bytes]) -> None:
        self._source, self._chunks, self._line = source, source.chunks(), line
        self._data, self._start = bytearray(), 0
        self._search = re.compile(rb"(?<=\n)" + line.pattern)
        self.offset = 0
        self.member = 0  # offset at which the current member begins

    @property
    def n_bytes(self) -> int:
        """Bytes in the window."""
        return len(self._data) - self._start

    def use(self, line: re.Pattern[bytes]) -> None:
        """Expect records of another format."""
        self._line, self._search = line, re.compile(rb"(?<=\n)" + line.pattern)

    def more(self) -> bool:
        """Read more bytes into the window; False at the end of the file."""
        chunk = next(self._chunks, b"")
        self._data += chunk
        return bool(chunk)

    def fill(self, n: int) -> bool:
        """Whether the window has n bytes, after reading as many as it takes."""
        while self.n_bytes < n:
            if not self.more():
                return False
        return True

    def peek(self, n: int, at: int = 0) -> bytes:
        """Return up to n bytes of the window."""
        return bytes(self._data[self._start + at : self._start + at + n])

    def drop(self, n: int) -> None:
        """Move on by n bytes, or to the end of the window."""
        n = min(n, self.n_bytes)
        self._start += n
        self.offset += n
        if self._start > COMPACT_BYTES or self._start == len(self._data):
            del self._data[: self._start]
            self._start = 0
        ends = self._source.ends
        while ends and ends[0] <= self.offset:
            self.member = ends.popleft()

    def skip_blank(self) -> bool:
        """Move to the next byte that is not blank; False at the end of the file."""
        while self.n_bytes or self.more():
            head = self.peek(64)
            n_blank = len(head) - len(head.lstrip(BLANK))
            self.drop(n_blank)
            if n_blank < len(head):
                return True
        return False

    def at_record(self, at: int = 0) -> bool:
        """Whether a record begins here."""
        self.fill(at + 64)
        return self._line.match(self._data, self._start + at) is not None

    def record_ends(self, reach: int = FAR) -> Iterator[int]:
        """Yield the positions after this one, before `reach`, at which a member ends and a record begins."""
        for end in list(self._source.ends):
            at = end - self.offset
            if 0 < at < reach and at <= self.n_bytes and self.at_record(at):
                yield at

    def ends_at(self, at: int) -> bool:
        """Whether a member ends at a position."""
        return self.offset + at in (*self._source.ends, self.member)

    def find_record(self, start: int, limit: int) -> int | None:
        """Return the position of the next record at `start` or later; None if there is none within `limit` bytes."""
        looked = start
        while True:
            ends = [at for at in self.record_ends() if at >= start]
            match = self._search.search(self._data, self._start + max(looked, 1))
            found = [*ends, match.start() - self._start] if match else ends
            if found:
                return min(found)
            looked = max(self.n_bytes - LINE_BYTES, start)
            if self.n_bytes > limit or not self.more():
                return None

    def gap(self) -> Gap | None:
        """Remove and return the first gap that ends here or before, or None."""
        gaps = self._source.gaps
        if not gaps or gaps[0][1] > self.offset:
            return None
        return Gap(*gaps.popleft())
