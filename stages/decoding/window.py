"""A sliding window over decompressed bytes that knows where members of the file end."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from stages.decoding.streams import Inflated

BLANK = b"\r\n \t\0"
COMPACT_BYTES = 1 << 20
"""Consumed bytes that are kept at most, so that dropping a record does not move the whole window each time."""

PASSED_ENDS = 1024
"""Ends of members before the window that are kept, for the same reason."""

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
        self._n_passed = 0  # ends of members before the current offset that are still listed

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
        while self._n_passed < len(ends) and ends[self._n_passed] <= self.offset:
            self.member = ends[self._n_passed]
            self._n_passed += 1
        if self._n_passed > PASSED_ENDS and self._n_passed * 2 > len(ends):
            del ends[: self._n_passed]
            self._n_passed = 0

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

    def record_ends(self, reach: int = FAR, start: int = 1) -> Iterator[int]:
        """Yield the positions from `start` on, before `reach`, at which a member ends and a record begins."""
        ends = self._source.ends
        i = bisect_left(ends, self.offset + max(start, 1), self._n_passed)
        while i < len(ends) and (at := ends[i] - self.offset) < reach and at <= self.n_bytes:
            if self.at_record(at):
                yield at
            i += 1

    def ends_at(self, at: int) -> bool:
        """Whether a member ends at a position."""
        ends, end = self._source.ends, self.offset + at
        i = bisect_right(ends, end, self._n_passed)
        return end == self.member or (i > self._n_passed and ends[i - 1] == end)

    def has_line(self, n: int) -> bool:
        """Whether the next n bytes have another first line of a record."""
        return self._search.search(self._data, self._start + 1, self._start + n) is not None

    def find_record(self, start: int, limit: int) -> int | None:
        """Return the position of the next record at `start` or later; None if there is none within `limit` bytes."""
        looked, looked_at_ends = start, start
        while True:
            end = next(self.record_ends(start=looked_at_ends), None)
            match = self._search.search(self._data, self._start + max(looked, 1))
            found = [at for at in (end, match and match.start() - self._start) if at is not None]
            if found:
                return min(found)
            looked = looked_at_ends = max(self.n_bytes - LINE_BYTES, start)
            if self.n_bytes > limit or not self.more():
                return None

    def gap(self) -> Gap | None:
        """Remove and return the first gap that ends here or before, or None."""
        gaps = self._source.gaps
        if not gaps or gaps[0][1] > self.offset:
            return None
        return Gap(*gaps.popleft())
