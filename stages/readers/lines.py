"""Plain text, plain or compressed, each line of which is a document; blank lines are skipped.

Yields text and encoding, which is detected from the start of the file. Position is the line number from 0. Reasons of
broken records: line_too_long, unknown_encoding; at position -1: truncated, corrupt_stream, decompression_bomb.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.encoding import CODECS, EncodingError, decode
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated

START_BYTES = 1 << 20
"""Bytes from which the encoding is detected: a few hundred lines, at least."""


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """max_line_chars: longer lines are quarantined, and reading continues after them."""

    max_line_chars: int = 16 << 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_line_chars < 1:
            raise ConfigError(f"max_line_chars is {self.max_line_chars}; expected at least 1")


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per line that is not blank, in order; see `Reader`."""
    source = Inflated(stream, config)
    start = b""
    while len(start) < START_BYTES and (piece := source.read(START_BYTES - len(start))):
        start += piece
    try:
        encoding = decode(start[: start.rfind(b"\n") + 1] or start)[1] if start else "utf-8"
    except EncodingError as error:
        yield Record(-1, None, "unknown_encoding", str(error), start[:RAW_BYTES], lost_bytes=source.size())
        return
    for position, line in enumerate(_lines(source, start, CODECS.get(encoding, (encoding,))[0])):
        record = _record(position, line.removesuffix("\r"), encoding, config)
        if record is not None:
            yield record
    if source.damage:
        yield source.damage


def _lines(source: Inflated, piece: bytes, codec: str) -> Iterator[str]:
    r"""Yield the decoded lines of a piece and of the rest of a file, without their \n."""
    decoder, rest = codecs.getincrementaldecoder(codec)("replace"), ""
    while piece:
        *lines, rest = (rest + decoder.decode(piece)).split("\n")
        yield from lines
        piece = source.read(START_BYTES)
    if rest := rest + decoder.decode(b"", final=True):
        yield rest


def _record(position: int, line: str, encoding: str, config: Config) -> Record | None:
    if position == 0:
        line = line.removeprefix("\ufeff")
    if not line or line.isspace():
        return None
    if len(line) > config.max_line_chars:
        detail = f"{len(line):,} characters; expected at most {config.max_line_chars:,}"
        return Record(position, None, "line_too_long", detail, line[:1000].encode("utf-8", "replace"))
    return Record(
        position, {"text": line, "encoding": encoding}, n_bytes=len(line.encode("utf-8", "replace"))
    )


READER = Reader(name="lines", version=1, config=Config, read=read, fields={"text": ("text",)})
