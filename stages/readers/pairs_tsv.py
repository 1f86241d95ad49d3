"""Pairs of segments in a file of tab-separated lines, plain or compressed: OPUS, Tatoeba, ParaCrawl, WikiMatrix.

No quotation: a quotation mark is text. Yields documents of pairs (`stages.parallel`), `score` if there is a column of
it. Position is the line number from 0. Reasons of broken records: missing_column, empty_side, record_too_long,
invalid_utf8; at position -1: truncated, corrupt_stream, decompression_bomb, no_dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES, Inflated, split_lines
from stages.parallel import Pair, PairSettings, records

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Config(PairSettings):
    """source_column: number of the column from 0. target_column: likewise. score_column: of a number that the publisher
    gave the pair, -1 for none. skip_lines: lines before the first pair, such as a header."""

    source_column: int = 0
    target_column: int = 1
    score_column: int = -1
    skip_lines: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.source_column, self.target_column, self.skip_lines) < 0 or self.score_column < -1:
            raise ConfigError("columns and skip_lines are numbers from 0")
        if self.source_column == self.target_column:
            raise ConfigError(f"source_column and target_column are both {self.source_column}; expected two")


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per document of pairs, in order; see `Reader`."""
    source = Inflated(stream, config)
    yield from records(_pairs(source, config), config)
    if source.damage:
        yield source.damage


def _pairs(source: Inflated, config: Config) -> Iterator[Pair | Record]:
    needed = max(config.source_column, config.target_column, config.score_column)
    for position, (line, n_bytes) in enumerate(split_lines(source.chunks(), config.max_record_bytes)):
        if position < config.skip_lines:
            continue
        raw = bytes(line[:RAW_BYTES])
        if n_bytes > config.max_record_bytes:
            yield Record(position, None, "record_too_long", f"{n_bytes:,} bytes", raw)
            continue
        try:
            cells = bytes(line).removeprefix(BOM if position == 0 else b"").decode().rstrip("\r").split("\t")
        except UnicodeDecodeError as error:
            yield Record(position, None, "invalid_utf8", str(error), raw)
            continue
        if cells == [""]:
            continue
        if len(cells) <= needed:
            yield Record(position, None, "missing_column", f"{len(cells)} columns, {needed + 1} needed", raw)
            continue
        fields = {} if config.score_column < 0 else {"score": cells[config.score_column]}
        yield Pair(position, cells[config.source_column], cells[config.target_column], fields)


READER = Reader(name="pairs_tsv", version=1, config=Config, read=read, fields={"text": ("text",)})
