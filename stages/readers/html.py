"""HTML files, plain or compressed: one file is one document, its main text extracted; position is always 0.

Yields text, encoding, and the page's claims about itself, see `extract_worker.extract`. Reasons of broken records:
those of `stages.extraction.pages`; at position -1: truncated, corrupt_stream, decompression_bomb.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.stage import Reader, Record
from stages.decoding.streams import Inflated
from stages.extraction.pages import PageBounds, html_record, read_start
from stages.readers import FIELDS


@dataclass(frozen=True, kw_only=True)
class Config(PageBounds):
    """Bounds of pages, of their extraction and of decompression."""


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield the page; see `Reader`. A file that is damaged before its end yields no page."""
    source = Inflated(stream, config)
    page = read_start(source, config.max_page_bytes + 1)
    yield source.damage or html_record(0, page, (), {}, config)


READER = Reader(
    name="html", version=8, config=Config, read=read, fields={**FIELDS, "text": ("text",), "date": ("date",)}
)
