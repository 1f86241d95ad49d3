"""Translation memories (TMX 1.4), plain or compressed: each unit that has both languages is a pair.

The markup of a segment is left out, the text that it marks as native code (`bpt`, `ept`, `it`, `ph`, `ut`) with it.
Yields documents of pairs (`stages.parallel`); `direction` is that of the unit's or the header's `srclang`, and
`source_id` the unit's `tuid`. Position is the number of the unit from 0. Reasons of broken records: missing_language,
empty_side, record_too_long; at position -1: invalid_xml, entities_declared, truncated, corrupt_stream,
decompression_bomb, no_dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from xml.parsers import expat

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.streams import Inflated
from stages.parallel import Pair, PairSettings, records

CODE = frozenset(("bpt", "ept", "it", "ph", "ut"))
"""Elements whose text is native code of the translated format, not of the segment."""


@dataclass(frozen=True, kw_only=True)
class Config(PairSettings):
    """source_code, target_code: the languages as the file names them, without region (`zh` matches zh-CN)."""

    source_code: str = "zh"
    target_code: str = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.source_code or not self.target_code or self.source_code == self.target_code:
            raise ConfigError(
                f"source_code is {self.source_code!r}, target_code {self.target_code!r}; expected two"
            )


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per document of pairs, in order; see `Reader`."""
    source = Inflated(stream, config)
    yield from records(_pairs(source, config), config)
    if source.damage:
        yield source.damage


def _pairs(source: Inflated, config: Config) -> Iterator[Pair | Record]:
    units = _Units(config)
    try:
        for chunk in source.chunks():
            units.parser.Parse(chunk, False)
            yield from units.take()
        if source.damage is None:
            units.parser.Parse(b"", True)
    except expat.ExpatError as error:
        yield from units.take()
        yield Record(-1, None, "invalid_xml", str(error), lost_bytes=source.size())
    except _EntityError as error:
        yield Record(-1, None, "entities_declared", str(error), lost_bytes=source.size())
    yield from units.take()


class _EntityError(Exception):
    """The file declares entities, which could expand without bound or name other files."""


class _Units:
    """Translation units as the parser reports them."""

    def __init__(self, config: Config) -> None:
        self.config, self.done = config, list[Pair | Record]()
        self.position = -1
        self.header_language = ""
        self.unit: dict[str, str] = {}
        self.segments: dict[str, str] = {}
        self.language, self.text, self.n_bytes = "", list[str](), 0
        self.in_segment, self.in_code = False, 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.add
        self.parser.EntityDeclHandler = self.entity

    def take(self) -> list[Pair | Record]:
        """The units that are complete."""
        done, self.done = self.done, []
        return done

    def entity(self, name: str, *_: object) -> None:
        """Refuse declarations of entities."""
        raise _EntityError(f"entity {name}")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "header":
            self.header_language = attributes.get("srclang", "")
        elif name == "tu":
            self.position += 1
            self.unit, self.segments, self.n_bytes = attributes, {}, 0
        elif name == "tuv":
            self.language = attributes.get("xml:lang") or attributes.get("lang", "")
        elif name == "seg":
            self.in_segment, self.text = True, []
        elif name in CODE:
            self.in_code += 1

    def add(self, data: str) -> None:
        """Text of a segment; no more of it is kept than may be."""
        if self.in_segment and not self.in_code:
            self.n_bytes += len(data.encode())
            if self.n_bytes <= self.config.max_record_bytes:
                self.text.append(data)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "seg":
            self.in_segment = False
            self.segments.setdefault(_base(self.language), "".join(self.text))
        elif name in CODE:
            self.in_code -= 1
        elif name == "tu":
            self.done.append(self.finish())

    def finish(self) -> Pair | Record:
        """The pair of a unit."""
        config = self.config
        codes = (_base(config.source_code), _base(config.target_code))
        missing = [code for code in codes if code not in self.segments]
        if self.n_bytes > config.max_record_bytes:
            return Record(self.position, None, "record_too_long", f"{self.n_bytes:,} bytes")
        if missing:
            found = ", ".join(sorted(self.segments)) or "none"
            return Record(
                self.position, None, "missing_language", f"no {' and no '.join(missing)}; languages: {found}"
            )
        fields = {"source_id": self.unit.get("tuid", "")}
        original = _base(self.unit.get("srclang") or self.header_language)
        if not config.direction and original in codes:
            fields["direction"] = "forward" if original == codes[0] else "backward"
        return Pair(self.position, self.segments[codes[0]], self.segments[codes[1]], fields)


def _base(code: str) -> str:
    """A language code without its region, in lower case."""
    return code.replace("_", "-").partition("-")[0].lower()


READER = Reader(
    name="tmx", version=1, config=Config, read=read, fields={"text": ("text",), "source_id": ("source_id",)}
)
