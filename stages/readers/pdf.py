"""PDF files, plain or compressed: one file is one document, the text of its pages; the extra `pdf` installs PDFium.

Position is 0 for the document, and the number of the page, from 1, for a page that is quarantined: a page without text
that is a picture (scanned_page: recognise its characters with another tool), or a damaged one (unreadable_page). Yields
text, with an empty line between pages; page_starts, the offset of each page in code points; n_pages; and what the file
claims: title, author, created. Reasons of a file without text: unreadable_pdf, encrypted_pdf, no_pages_with_text,
page_too_long and those of `stages.extraction.extract`; at position -1: truncated, corrupt_stream, decompression_bomb.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES, Inflated
from stages.extraction.extract import PDF_WORKER, ExtractionError, shared_extractor
from stages.extraction.pages import PageBounds, read_start
from stages.readers import FIELDS

BETWEEN = "\n\n"


@dataclass(frozen=True, kw_only=True)
class Config(PageBounds):
    """Bounds of files, of the process that reads them, and of decompression; a page stands for a file."""

    max_page_bytes: int = 256 << 20
    page_seconds: float = 60.0


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield the document, and its pages without text; see `Reader`. A file that is cut off yields none."""
    source = Inflated(stream, config)
    data = read_start(source, config.max_page_bytes + 1)
    if source.damage:
        yield source.damage
        return
    if len(data) > config.max_page_bytes:
        yield Record(0, None, "page_too_long", f"more than {config.max_page_bytes:,} bytes", data[:RAW_BYTES])
        return
    try:
        found = shared_extractor(config.page_seconds, config.page_memory_bytes, PDF_WORKER).extract(data)
    except ExtractionError as error:
        reason, detail = error.args
        yield Record(0, None, reason, detail, data[:RAW_BYTES])
        return
    yield from _records(found, data)


def _records(found: dict[str, Any], data: bytes) -> Iterator[Record]:  # Any: see pdf_worker.extract
    pages: list[str] = found["pages"]
    n = len(pages)
    if any(pages):
        shown = [page + (BETWEEN if page else "") for page in pages]
        starts = list(itertools.accumulate(map(len, shown), initial=0))[:-1]
        text = "".join(shown).removesuffix(BETWEEN)
        yield Record(0, {**found["claims"], "text": text, "page_starts": starts, "n_pages": n})
    elif not found["scanned"] and not found["broken"]:
        yield Record(
            0, None, "no_pages_with_text", f"{n:,} pages, none with text or a picture", data[:RAW_BYTES]
        )
    broken = {int(number): detail for number, detail in found["broken"].items()}
    for number in sorted((*found["scanned"], *broken)):
        if number in broken:
            yield Record(number, None, "unreadable_page", broken[number])
        else:
            yield Record(number, None, "scanned_page", f"page {number:,} of {n:,} is a picture without text")


READER = Reader(
    name="pdf",
    version=2,
    config=Config,
    read=read,
    fields={**FIELDS, "text": ("text",), "date": ("created",)},
    requires=("pypdfium2",),
)
