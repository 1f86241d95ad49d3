"""Pinyin views of Chinese documents: each line above its transliteration, or the transliteration alone.

Pairs of a text and its transliteration let a model read both scripts as one language (MuRIL, arXiv 2103.10730). Each
view is a document of its own beside its parent. Needs pypinyin (extra `pinyin`), which reads phrases, so that most
characters of several readings have the right one. Which documents are drawn depends on a hash of the text, the same in
every run. Spans of the release are edited first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.recipe import optional_module
from pipeline.spans import apply_spans
from pipeline.stage import DERIVED, Derive
from stages.parallel.code_switched import drawn

METHOD = "pinyin"
STYLES = {"marks": "TONE", "numbers": "TONE3", "none": "NORMAL"}
"""Ways to write tones, and their names in pypinyin: nǐ, ni3, ni."""

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")
_WIDE_MARK = re.compile(r" *([，。、；：？！…（）《》「」『』【】“”‘’—]+) *")
_BEFORE_MARK = re.compile(r" +(?=[,.;:?!)\]])")
_BEHIND_MARK = re.compile(r"(?<=[(\[]) +")


@dataclass(frozen=True, kw_only=True)
class Config:
    """documents_share: of the documents, the cap of this source. tones: `marks` (nǐ), `numbers` (ni3) or `none`.
    layout: `pairs`, each line above its transliteration, or `alone`. han_share: least share of Han characters among
    letters. min_han: least number of them. max_chars: longer documents are left out."""

    documents_share: float = 0.02
    tones: Literal["marks", "numbers", "none"] = "marks"
    layout: Literal["pairs", "alone"] = "pairs"
    han_share: float = 0.7
    min_han: int = 50
    max_chars: int = 20_000

    def __post_init__(self) -> None:
        for name in ("documents_share", "han_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected above 0, at most 1")
        if self.min_han < 1 or self.max_chars < 1:
            raise ConfigError(f"min_han is {self.min_han}, max_chars {self.max_chars}; expected at least 1")


class Reader:
    """Transliterates lines. version: of pypinyin.

    Raises: ConfigError if pypinyin is not installed.
    """

    def __init__(self, tones: str) -> None:
        library: Any = optional_module("pypinyin", "pypinyin", "pinyin", "stages.parallel.pinyin")
        self.read, self.style = library.lazy_pinyin, getattr(library.Style, STYLES[tones])
        self.version: str = library.__version__

    def line(self, text: str) -> str:
        """The transliteration of a line; what is no Han character stays, with blanks around words."""
        pieces = (piece.strip() for piece in self.read(text, style=self.style, errors="default"))
        joined = " ".join(piece for piece in pieces if piece)
        return _BEHIND_MARK.sub("", _BEFORE_MARK.sub("", _WIDE_MARK.sub(r"\1", joined)))


def is_chinese(text: str, config: Config) -> bool:
    """Whether a text has enough Han characters, in number and among its letters."""
    n_han = len(_HAN.findall(text))
    n_letters = sum(map(str.isalpha, text))
    return n_han >= config.min_han and n_han >= config.han_share * n_letters


def view_of(text: str, reader: Reader, layout: str) -> str:
    """The pinyin view of a text. layout: see Config."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if layout == "alone":
        return "\n".join(map(reader.line, lines))
    return "\n\n".join(f"{line}\n{reader.line(line)}" if _HAN.search(line) else line for line in lines)


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return the pinyin views of a batch; see stage.Derive."""
    reader, rows = Reader(config.tones), []
    facts = {"method": METHOD, "tones": config.tones, "layout": config.layout, "pypinyin": reader.version}
    meta = json.dumps(facts)
    for parent, row in enumerate(table.select(["text", "edits"]).to_pylist()):
        text = row["text"]
        if len(text) > config.max_chars or not drawn(text, config.documents_share):
            continue
        edits = [(span["start"], span["end"], span["kind"]) for span in row["edits"] or ()]
        text = apply_spans(text, edits, replace)
        if is_chinese(text, config):
            rows.append(
                {"parent": parent, "number": 0, "text": view_of(text, reader, config.layout), "meta": meta}
            )
    return pa.Table.from_pylist(rows, schema=DERIVED)


DERIVE = Derive(
    name="pinyin",
    version=1,
    config=Config,
    reads=("text",),
    derive=make_documents,
    provenance=METHOD,
)
