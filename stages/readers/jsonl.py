"""JSON Lines, plain or compressed: one object per line; blank lines are skipped but counted.

Yields the object's own fields; position is the line number from 0. Reasons of broken records: line_too_long,
invalid_utf8, invalid_json, not_an_object; at position -1: truncated, corrupt_stream, decompression_bomb.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated, split_lines
from stages.readers import FIELDS

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """Bounds of lines and of decompression; longer lines are quarantined, and reading continues after them."""

    max_line_bytes: int = 64 << 20  # of one line, decompressed

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_line_bytes < 1:
            raise ConfigError(f"max_line_bytes is {self.max_line_bytes}; expected at least 1")


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per line that is not blank, in order; see `Reader`."""
    source = Inflated(stream, config)
    decode = msgspec.json.Decoder().decode
    for position, (line, n_bytes) in enumerate(split_lines(source.chunks(), config.max_line_bytes)):
        if n_bytes > config.max_line_bytes:
            detail = f"{n_bytes:,} bytes; expected at most {config.max_line_bytes:,}"
            yield _broken(position, "line_too_long", detail, line, n_bytes)
            continue
        if position == 0 and line.startswith(BOM):
            line = line[len(BOM) :]
        try:
            fields = decode(line)
        except (ValueError, RecursionError):
            record = _look_again(position, line)
        else:
            record = _as_record(position, fields, line)
        if record is None:
            continue
        if source.damage and record.fields is None:  # only the last line, truncated by the damage
            source.damage = dataclasses.replace(source.damage, raw=record.raw)
            continue
        yield record
    if source.damage:
        yield source.damage


def _as_record(position: int, value: Any, line: bytes | bytearray) -> Record:  # Any: a JSON value
    if isinstance(value, dict):
        return Record(position, value)
    return _broken(position, "not_an_object", f"a JSON {type(value).__name__}", line)


def _look_again(position: int, line: bytes | bytearray) -> Record | None:
    r"""Decode a line again with Python's decoder, or return why it is invalid; None if it is blank.

    The fast decoder rejects NaN, Infinity and lone surrogates (\ud800), which Python's own writes. Such lines are
    accepted, so that an odd number in an unused field does not cost a document.
    """
    if not line.strip():
        return None
    try:
        return _as_record(position, json.loads(line.decode("utf-8")), line)
    except UnicodeDecodeError as error:
        detail = f"byte 0x{line[error.start]:02x} at {error.start:,}: {error.reason}"
        return _broken(position, "invalid_utf8", detail, line)
    except json.JSONDecodeError as error:
        return _broken(position, "invalid_json", f"{error.msg} at character {error.pos:,}", line)
    except (ValueError, RecursionError) as error:
        return _broken(position, "invalid_json", str(error), line)


def _broken(
    position: int, reason: str, detail: str, line: bytes | bytearray, n_bytes: int | None = None
) -> Record:
    if max(len(line), n_bytes or 0) > RAW_BYTES:
        detail += f"; raw holds the first {RAW_BYTES:,} bytes"
    return Record(position, None, reason, detail, bytes(line[:RAW_BYTES]))


READER = Reader(name="jsonl", version=1, config=Config, read=read, fields=FIELDS)
