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

KEPT_CHARS = 1000
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
    codec, longest = CODECS.get(encoding, (encoding,))[0], config.max_line_chars
    for position, (line, n_chars) in enumerate(_lines(source, start, codec, longest)):
        if line and (record := _record(position, line.removesuffix("\r"), n_chars, encoding, config)):
            yield record
    if source.damage:
        yield source.damage


def _lines(source: Inflated, piece: bytes, codec: str, longest: int) -> Iterator[tuple[str, int]]:
    r"""Yield the decoded lines of a piece and of the rest of a file, without their \n, and their characters.

    Of lines of more than `longest` characters at least KEPT_CHARS are yielded.
    """
    decoder = codecs.getincrementaldecoder(codec)("replace")
    parts, n_chars = list[str](), 0
    while True:
        first, *lines = (decoder.decode(piece) if piece else decoder.decode(b"", final=True)).split("\n")
        if n_chars <= longest or not parts:
            parts.append(first)
        n_chars += len(first)
        if lines:
            yield "".join(parts), n_chars
            last = lines.pop()
            for line in lines:
                yield line, len(line)
            parts, n_chars = [last], len(last)
        if not piece:
            break
        piece = source.read(START_BYTES)
    if n_chars:
        yield "".join(parts), n_chars


def _record(position: int, line: str, n_chars: int, encoding: str, config: Config) -> Record | None:
    if position == 0:
        line = line.removeprefix("\ufeff")
    if not line or line.isspace():
        return None
    if n_chars > config.max_line_chars:
        detail = f"{n_chars:,} characters; expected at most {config.max_line_chars:,}"
        return Record(position, None, "line_too_long", detail, line[:KEPT_CHARS].encode("utf-8", "replace"))
    return Record(
        position, {"text": line, "encoding": encoding}, n_bytes=len(line.encode("utf-8", "replace"))
    )


READER = Reader(name="lines", version=2, config=Config, read=read, fields={"text": ("text",)})
