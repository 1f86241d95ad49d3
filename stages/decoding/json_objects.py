"""JSON objects in a text that is not one object per line: arrays, objects one behind the other, pretty-printed ones.

An object may begin and end anywhere; commas, brackets of arrays and blanks between objects carry nothing. Only brackets
and strings are looked at here, so that each object can be decoded on its own, with the memory of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
"""A whole string, a bracket, or the quotation mark of a string that does not end here."""

STRING_END = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
BETWEEN = re.compile(rb"[\s,\[\]\x1e]*+")
"""What may stand between objects; U+001E begins each text of a JSON text sequence (RFC 7464)."""

WORD = re.compile(rb'[^\s,\[\]{"]*+', re.DOTALL)
"""A value that is neither an object nor a string: a number or a word."""

STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def has_more_values(data: bytes | bytearray, max_values: int) -> bool:
    """Whether a JSON text has more values than max_values, those in lists and objects counted, keys not.

    Each value follows a comma, or opens a list or an object; signs in strings are left out only if they matter. A value
    has at least a byte, so that shorter texts need no count.
    """

    def n_signs(data: bytes | bytearray) -> int:
        return data.count(b",") + data.count(b"[") + data.count(b"{")

    return n_signs(data) > max_values and n_signs(STRING.sub(b"", data)) > max_values


@dataclass
class Nesting:
    """How deep a position is inside brackets, and whether it is inside a string."""

    depth: int = 0
    in_string: bool = False

    def scan(self, data: bytes | bytearray, at: int) -> int | None:
        """Go on from a position to the end of the outermost object; None if the data end before it."""
        if self.in_string:
            end = STRING_END.match(data, at)
            if end is None:
                return None
            self.in_string, at = False, end.end()
        for token in TOKEN.finditer(data, at):
            sign = token[0]
            if sign == b'"':
                self.in_string = True
                return None
            if sign in (b"{", b"["):
                self.depth += 1
            elif sign in (b"}", b"]"):
                self.depth -= 1
                if self.depth <= 0:
                    self.depth = 0
                    return token.end()
        return None


@dataclass
class Pending:
    """An object that began on an earlier line.

    lines: (position, line) as far as they are kept; n_bytes, n_lines: of all.
    """

    nesting: Nesting
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    start: int = 0
    n_bytes: int = 0
    n_lines: int = 0

    def add(self, position: int, line: bytes, max_bytes: int, max_lines: int) -> None:
        """Add a line; those beyond max_bytes or max_lines are only counted."""
        if self.n_bytes <= max_bytes and self.n_lines <= max_lines:
            self.lines.append((position, line))
        self.n_bytes += len(line) + 1
        self.n_lines += 1

    def text(self, end: bytes) -> bytes:
        """Return the whole object, which ends with these bytes of a further line."""
        first, *rest = [line for _, line in self.lines]
        return b"\n".join([first[self.start :], *rest, end])

    def parts(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines kept so far, as (position, lines) from each line that begins like the first one."""
        (position, first), *rest = self.lines
        indent = first[: len(first) - len(first.lstrip(b" \t"))]
        lines = [first[self.start :] if first[: self.start].strip() else first]
        for at, line in rest:
            if line.startswith(indent + b"{"):
                yield position, b"\n".join(lines)
                position, lines = at, []
            lines.append(line)
        yield position, b"\n".join(lines)

    def is_broken_by(self, line: bytes) -> bool:
        """Whether a line begins the next object although this one has not ended: both have the same indentation.

        In an object that is printed with indentation, an inner one stands further to the right.
        """
        first = self.lines[0][1]
        indent = len(first) - len(first.lstrip(b" \t"))
        if line[:indent] != first[:indent] or self.start != indent:
            return False
        if line[indent : indent + 1] == b"[":
            return len(self.lines) == 1
        if line[indent : indent + 1] != b"{":
            return False
        inner = self.lines[1][1] if len(self.lines) > 1 else b""
        return line.strip() != b"{" or len(inner) - len(inner.lstrip(b" \t")) > indent


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of a JSON array: an object, or what is none. is_whole: it is a complete value. n_bytes: its size."""

    data: bytes
    is_object: bool
    is_whole: bool
    n_bytes: int


class ArrayScanner:
    """Yields the objects of a JSON array that need not have lines; of one over max_bytes, only its first kept_bytes."""

    def __init__(self, max_bytes: int, kept_bytes: int) -> None:
        self._max_bytes, self._kept_bytes = max_bytes, kept_bytes
        self._data, self._at, self._n_dropped = bytearray(), 0, 0
        self._nesting, self._in_object = Nesting(), False

    def scan(self, chunks: Iterator[bytes]) -> Iterator[Found]:
        """Yield the pieces of all chunks in order; the last one may be open, if it is more than brackets and blanks."""
        for chunk in chunks:
            self._data += chunk
            while (found := self._next()) is not None:
                yield found
            if len(self._data) > self._max_bytes:
                self._n_dropped += len(self._data) - self._kept_bytes
                del self._data[self._kept_bytes :]
                self._at = len(self._data)
        if self._data:
            yield Found(bytes(self._data), self._in_object, False, len(self._data) + self._n_dropped)

    def _next(self) -> Found | None:
        """Return the next whole piece; None if more bytes are needed. Bytes before it are removed."""
        data = self._data
        if not self._in_object:
            if not self._at:
                del data[: BETWEEN.match(data).end()]  # type: ignore[union-attr]  # it matches nothing as well
            if data[:1] != b"{":
                return self._other()
            self._in_object = True
        end = self._nesting.scan(data, self._at)
        if end is None:
            self._at = len(data) - (self._open_escape(self._at) if self._nesting.in_string else 0)
            return None
        self._in_object = False
        return self._take(end, is_object=True)

    def _other(self) -> Found | None:
        """Return a string, number or word; None if it may go on. The search goes on where it ended before."""
        data = self._data
        is_string = data[:1] == b'"'
        match = STRING_END.match(data, max(self._at, 1)) if is_string else WORD.match(data, self._at)
        if match is None or (match.end() == len(data) and not is_string):
            self._at = len(data) - (self._open_escape(self._at) if is_string else 0)
            return None
        return self._take(match.end(), is_object=False)

    def _open_escape(self, start: int) -> int:
        """1 if the data from `start`, inside a string, end in a backslash that escapes what follows, else 0."""
        new = self._data[start:]
        return (len(new) - len(new.rstrip(b"\\"))) % 2

    def _take(self, end: int, is_object: bool) -> Found:
        found = Found(bytes(self._data[:end]), is_object, self._n_dropped == 0, end + self._n_dropped)
        del self._data[:end]
        self._at = self._n_dropped = 0
        return found
