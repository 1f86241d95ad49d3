"""Pairs of segments in two files, line n of one beside line n of the other, plain or compressed (Moses, OPUS).

The input is the file of the source language (`news.zh-en.zh`); the other one is beside it, with `target_ending` for
`source_ending` in its name. Yields documents of pairs (`stages.parallel`). Position is the line number from 0.
Reasons of broken records: empty_side (a pair of two blank lines is skipped), record_too_long, invalid_utf8; at
position -1: unequal_lines, truncated, corrupt_stream, decompression_bomb, no_dictionary."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.errors import ConfigError, InputError
from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES, Inflated, split_lines
from stages.parallel import Pair, PairSettings, records


@dataclass(frozen=True, kw_only=True)
class Config(PairSettings):
    """source_ending, target_ending: what follows the last dot of the names, that of a compression aside."""

    source_ending: str = "zh"
    target_ending: str = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.source_ending or not self.target_ending or self.source_ending == self.target_ending:
            raise ConfigError(
                f"source_ending is {self.source_ending!r}, target_ending {self.target_ending!r}; expected two"
            )


COMPRESSIONS = ("gz", "zst", "bz2", "xz")


def siblings(path: str, config: Config) -> list[str]:
    """Return the path of the other language's file.

    Raises: InputError if the file's name does not end in `source_ending`, or it is in a bucket.
    """
    stem, _, last = path.rpartition(".")
    packed = f".{last}" if last in COMPRESSIONS else ""
    if packed:
        stem, _, last = stem.rpartition(".")
    if last != config.source_ending or "://" in path:
        raise InputError(
            f"{path}: expected a local file whose name ends in .{config.source_ending}; name those of the "
            "source language in `files`, and set source_ending and target_ending"
        )
    return [f"{stem}.{config.target_ending}{packed}"]


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per document of pairs, in order; see `Reader`."""
    (other,) = siblings(getattr(stream, "name", path), config)
    try:
        target = open(other, "rb")
    except OSError as error:
        raise InputError(
            f"{other}: {error.strerror}; expected the target language of {os.path.basename(path)}"
        ) from error
    with target:
        sides = (Inflated(stream, config), Inflated(target, config))
        yield from records(_pairs(sides, config), config)
        yield from (side.damage for side in sides if side.damage)


END = (None, 0)


def _pairs(sides: tuple[Inflated, Inflated], config: Config) -> Iterator[Pair | Record]:
    lines = [split_lines(side.chunks(), config.max_record_bytes) for side in sides]
    for position, row in enumerate(itertools.zip_longest(*lines, fillvalue=END)):
        parts = [part for part, _ in row]
        if None in parts:
            if not any(side.damage for side in sides):
                shorter = "source" if parts[0] is None else "target"
                yield Record(-1, None, "unequal_lines", f"the {shorter} file has only {position:,} lines")
            return
        raw = b"\t".join(bytes(part[:RAW_BYTES]) for part in parts if part is not None)
        if max(n_bytes for _, n_bytes in row) > config.max_record_bytes:
            yield Record(position, None, "record_too_long", f"{max(n for _, n in row):,} bytes", raw)
            continue
        try:
            source, target = (bytes(part).decode("utf-8-sig") for part in parts if part is not None)
        except UnicodeDecodeError as error:
            yield Record(position, None, "invalid_utf8", str(error), raw)
            continue
        if source.strip() or target.strip():
            yield Pair(position, source, target)


READER = Reader(
    name="moses", version=1, config=Config, read=read, fields={"text": ("text",)}, siblings=siblings
)
