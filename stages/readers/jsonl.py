"""JSON Lines, plain or compressed: one object per line; blank lines are skipped but counted.

Files of other tools are read as well, under any name: one array of objects, on one line or many, objects one behind the
other, and objects printed over several lines. Yields the object's own fields; position is the line number from 0, plus
the number of earlier objects that shared a line with the one before. A file whose start is in another encoding than
UTF-8, such as GB18030 or UTF-16, is read in that. `undecoded` counts bytes that could not be decoded and became U+FFFD,
if they are few. Reasons of broken records: line_too_long, too_many_values, invalid_utf8, invalid_json, not_an_object;
at position -1: truncated, corrupt_stream, decompression_bomb, no_dictionary.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.encoding import EncodingError, decode_utf8
from stages.decoding.json_objects import BETWEEN, ArrayScanner, Nesting, Pending, has_more_values
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated, split_lines
from stages.decoding.transcode import check_encoding, file_encoding, to_utf8
from stages.readers import FIELDS


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """Bounds of lines and of decompression; longer lines are quarantined, and reading continues after them."""

    max_line_bytes: int = 64 << 20  # of one line, decompressed
    encoding: str = ""  # such as gb18030; detected if empty

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_line_bytes < 1:
            raise ConfigError(f"max_line_bytes is {self.max_line_bytes}; expected at least 1")
        check_encoding(self.encoding, "encoding")


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per object, in order, and one per line that is neither blank nor an object; see `Reader`."""
    source = Inflated(stream, config)
    chunks = source.chunks()
    first = next(chunks, b"")
    encoding = config.encoding or file_encoding(first, is_whole=False)
    chunks = to_utf8(itertools.chain((first,), chunks), encoding)
    first = next(chunks, b"")
    is_array = first.lstrip()[:1] == b"[" and b"\n" not in first.strip()
    records = (_read_array if is_array else _read_lines)(
        itertools.chain((first,) if first else (), chunks), config
    )
    held: Record | None = None
    for record in records:
        if held is not None:
            yield held
        held = record if record.fields is None else None  # only the last one may be truncated by the damage
        if held is None:
            yield record
    if source.damage and held is not None:
        source.damage = dataclasses.replace(source.damage, raw=held.raw)
    elif held is not None:
        yield held
    if source.damage:
        yield source.damage


def _read_array(chunks: Iterator[bytes], config: Config) -> Iterator[Record]:
    """Yield the objects of an array on one line; position is their number."""
    position = -1
    for position, found in enumerate(ArrayScanner(config.max_line_bytes, RAW_BYTES).scan(chunks)):
        if found.is_whole and found.is_object:
            yield _look_again(position, found.data, config.max_values)
        elif found.is_whole or not found.is_object:
            yield _broken(position, "not_an_object", "a value in an array", found.data, found.n_bytes)
        elif found.n_bytes > config.max_line_bytes:
            detail = f"{found.n_bytes:,} bytes; expected at most {config.max_line_bytes:,}"
            yield _broken(position, "line_too_long", detail, found.data, found.n_bytes)
        else:
            yield _broken(
                position, "invalid_json", "the file ends inside an object", found.data, found.n_bytes
            )


def _read_lines(chunks: Iterator[bytes], config: Config) -> Iterator[Record]:
    decode = msgspec.json.Decoder().decode
    lines = _Lines(config)
    n_bytes_max = config.max_line_bytes
    for position, (line, n_bytes) in enumerate(split_lines(chunks, n_bytes_max)):
        if lines.pending is None and n_bytes <= n_bytes_max:
            if not line or (line[0] <= BLANK and line.isspace()):
                continue
            if n_bytes < SHORT_BYTES and bytes(line).strip() in BRACKETS:
                continue
            if n_bytes > config.max_values and has_more_values(line, config.max_values):
                yield _too_many(position + lines.n_more, line, config.max_values)
                continue
            try:
                fields = decode(line)
            except (ValueError, RecursionError):
                fields = None
            if type(fields) is dict:
                yield Record(position + lines.n_more, fields, raw=bytes(line), n_bytes=n_bytes)
                continue
        yield from lines.add(position, bytes(line), n_bytes)
    yield from lines.end()


class _Lines:
    """Records of lines that are not one object each. n_more: by how much records outnumber lines so far.

    pending: an object that has not ended yet.
    """

    def __init__(self, config: Config) -> None:
        self._max_bytes, self._max_values = config.max_line_bytes, config.max_values
        self.n_more = 0
        self.pending: Pending | None = None

    def add(self, position: int, line: bytes, n_bytes: int) -> Iterator[Record]:
        """Yield the records that end on a line."""
        if self.pending is not None and self.pending.is_broken_by(line) and self._begins_anew(line):
            yield from self._give_up()
        if n_bytes > self._max_bytes:
            yield from self._give_up()
            detail = f"{n_bytes:,} bytes; expected at most {self._max_bytes:,}"
            yield _broken(position + self.n_more, "line_too_long", detail, line, n_bytes)
            return
        if self.pending is None:
            if not line.strip():
                return
            record = _look_again(position + self.n_more, line, self._max_values)
            if record.fields is not None or not _may_hold_objects(line):
                if line.strip() not in BRACKETS:
                    yield record
                return
        yield from self._objects(position, line)

    def end(self) -> Iterator[Record]:
        """Yield what is left at the end of the file."""
        yield from self._give_up()

    def _begins_anew(self, line: bytes) -> bool:
        record = _look_again(0, line.rstrip().rstrip(b","), self._max_values)
        return line.strip() == b"{" or record.fields is not None or record.reason == "not_an_object"

    def _objects(self, position: int, line: bytes) -> Iterator[Record]:
        """Yield the objects that end on a line, and keep the one that does not."""
        at = n_found = 0
        while True:
            nesting = self.pending.nesting if self.pending else Nesting()
            start = at if self.pending else BETWEEN.match(line, at).end()  # type: ignore[union-attr]  # matches ""
            if start == len(line) and self.pending is None:
                return
            if self.pending is None and line[start : start + 1] != b"{":
                yield self._rest(position, line, start, n_found)
                return
            end = nesting.scan(line, start)
            if end is None:
                if self.pending is None:
                    self.n_more += n_found > 0
                    self.pending = Pending(nesting, start=start)
                self.pending.add(position + self.n_more, line, self._max_bytes, self._max_values)
                return
            if n_found:
                self.n_more += 1
            yield self._finished(position, line[start:end], line if n_found == 0 else b"")
            at, n_found = end, n_found + 1

    def _finished(self, position: int, data: bytes, line: bytes) -> Record:
        """The record of a complete object. line: the whole line, to be kept if it is one broken object."""
        if self.pending is None:
            is_alone = not line[line.find(data) + len(data) :].strip(b" \t\r,]") if line else False
            record = _look_again(position + self.n_more, data, self._max_values)
            if record.fields is not None or not is_alone:
                return record
            return _look_again(record.position, line, self._max_values)
        pending, self.pending = self.pending, None
        first = pending.lines[0][0]
        if pending.n_bytes > self._max_bytes:
            detail = f"an object of {pending.n_bytes:,} bytes; expected at most {self._max_bytes:,}"
            return _broken(first, "line_too_long", detail, pending.text(b""), pending.n_bytes)
        if pending.n_lines > self._max_values:
            return _too_many(first, pending.text(b""), self._max_values)
        return _look_again(first, pending.text(data), self._max_values)

    def _rest(self, position: int, line: bytes, start: int, n_found: int) -> Record:
        """What follows the objects of a line and is none."""
        if n_found == 0:
            return _look_again(position + self.n_more, line, self._max_values)
        self.n_more += 1
        return _look_again(position + self.n_more, line[start:], self._max_values)

    def _give_up(self) -> Iterator[Record]:
        """Yield an object that does not end as a broken record, or more where further lines begin like it."""
        if self.pending is None:
            return
        pending, self.pending = self.pending, None
        for position, data in pending.parts():
            yield _look_again(position, data, self._max_values)


BLANK, SHORT_BYTES = 0x20, 8
BRACKETS = (b"[", b"]", b",", b"],", b"[]")
"""Lines of an array that hold no object; nothing is lost with them."""


def _may_hold_objects(line: bytes) -> bool:
    begin = BETWEEN.match(line)
    return begin is not None and line[begin.end() : begin.end() + 1] == b"{"


def _as_record(position: int, value: Any, line: bytes, extra: dict[str, int]) -> Record:  # Any: a JSON value
    if isinstance(value, dict):
        return Record(position, value | extra if extra else value, n_bytes=len(line))
    return _broken(position, "not_an_object", f"a JSON {type(value).__name__}", line)


def _too_many(position: int, line: bytes | bytearray, max_values: int) -> Record:
    detail = f"{len(line):,} bytes with more than {max_values:,} values (max_values)"
    return _broken(position, "too_many_values", detail, line)


def _look_again(position: int, line: bytes, max_values: int) -> Record:
    r"""Decode an object again, leniently, or return why it is invalid.

    The fast decoder rejects NaN, Infinity, lone surrogates (\ud800), which Python's own writes, and control characters
    in strings, which are common in files made by hand. Such objects are accepted, and so are those with a few bytes
    that are not UTF-8: an odd character does not cost a document.
    """
    if len(line) > max_values and has_more_values(line, max_values):
        return _too_many(position, line, max_values)
    extra: dict[str, int] = {}
    try:
        text, n_undecoded = decode_utf8(line)
        if n_undecoded:
            extra["undecoded"] = n_undecoded
        return _as_record(position, json.loads(text, strict=False), line, extra)
    except EncodingError as error:
        return _broken(position, "invalid_utf8", str(error), line)
    except json.JSONDecodeError as error:
        return _broken(position, "invalid_json", f"{error.msg} at character {error.pos:,}", line)
    except (ValueError, RecursionError) as error:
        return _broken(position, "invalid_json", str(error), line)


def _broken(
    position: int, reason: str, detail: str, line: bytes | bytearray, n_bytes: int | None = None
) -> Record:
    if max(len(line), n_bytes or 0) > RAW_BYTES:
        detail += f"; raw holds the first {RAW_BYTES:,} bytes"
    return Record(position, None, reason, detail, bytes(line[:RAW_BYTES]), n_bytes=n_bytes or len(line))


READER = Reader(name="jsonl", version=4, config=Config, read=read, fields=FIELDS)
