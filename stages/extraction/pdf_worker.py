"""The process that reads PDF files: their text by page, which pages are pictures of text, and what the file claims.

PDFium finds the text in the order in which the file draws it. Lines that fill their page are joined to the next, since
a PDF file has no paragraphs: without a blank between Han characters, and without the hyphen of a broken word. A line
that begins like an item of a list begins a paragraph.
"""

from __future__ import annotations

import importlib
import re
import sys
import unicodedata
from typing import Any

from stages.extraction.extract_worker import refused, serve

FULL = 0.85
"""Share of the width of a page's long lines from which a line counts as full, so that its paragraph goes on."""

LONG = 0.9
"""Quantile of the widths of a page's lines that stands for a full one."""

MIN_FULL_WIDTH = 24
"""Narrower lines, in columns of a terminal, are those of tables, verses and lists, and are never joined."""

MIN_PICTURE = 0.25
"""Share of a page's area that a picture without text covers for the page to count as scanned."""

BROKEN_WORD = re.compile(r"(?<=[a-zà-ÿ])(?:[\ufffe\x02\u00ad]|-)$")
LIST_MARK = re.compile(
    r"\s*(?:[•‣◦▪●○■□➢*]|[-–—]\s|\(?\d{1,3}[.)、）]|[（(][一二三四五六七八九十]{1,3}[)）]|[一二三四五六七八九十]{1,3}、)"
)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
DAY = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")
WIDE_END = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]$")


def extract(data: bytes) -> dict[str, Any]:  # Any: text, lists and numbers
    """Return the text of each page (empty without any), the numbers of scanned pages, and title, author and day.

    Pages are counted from 1. Returns reason and detail if the file cannot be read.
    """
    pdfium = importlib.import_module("pypdfium2")
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        detail = str(error)[:500]
        return refused("encrypted_pdf", detail) if "assword" in detail else refused("unreadable_pdf", detail)
    pages: list[str] = []
    scanned, broken = [], {}
    for i in range(len(document)):
        text = ""
        try:
            page = document[i]
            text = page_text(page.get_textpage().get_text_range())
            if not text and _is_picture(page, pdfium):
                scanned.append(i + 1)
        except (pdfium.PdfiumError, UnicodeDecodeError) as error:
            broken[str(i + 1)] = str(error)[:500] or type(error).__name__
        pages.append(text)
    claims = document.get_metadata_dict(skip_empty=True)
    day = DAY.match(claims.get("CreationDate", ""))
    found = {"title": claims.get("Title"), "author": claims.get("Author")}
    found["created"] = "-".join(part for part in day.groups() if part) if day else None
    return {
        "pages": pages, "scanned": scanned, "broken": broken,
        "claims": {name: value.strip() for name, value in found.items() if value and value.strip()},
    }  # fmt: skip


def _is_picture(page: Any, pdfium: Any) -> bool:  # Any: objects of a library that is installed optionally
    """Whether pictures cover much of a page."""
    width, height = page.get_size()
    area = 0.0
    for item in page.get_objects(filter=(pdfium.raw.FPDF_PAGEOBJ_IMAGE,), max_depth=4):
        left, bottom, right, top = item.get_pos() if hasattr(item, "get_pos") else item.get_bounds()
        area += max(right - left, 0) * max(top - bottom, 0)
    return area >= MIN_PICTURE * width * height


def page_text(raw: str) -> str:
    """Return the text of a page with the lines of a paragraph joined; empty if it has no visible character."""
    lines = [line.rstrip() for line in raw.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    widths = sorted(width for line in lines if (width := columns(line)))
    if not widths:
        return ""
    full = max(FULL * widths[int(LONG * (len(widths) - 1))], MIN_FULL_WIDTH)
    joined: list[str] = []
    is_open = False
    for line in lines:
        if is_open and joined and line and not LIST_MARK.match(line):
            joined[-1] = _join(joined[-1], line.lstrip())
        else:
            joined.append(line)
        is_open = columns(line) >= full or (is_open and not line)
    return CONTROLS.sub("", "\n".join(joined)).strip()


def columns(line: str) -> int:
    """Return the width of a line in columns of a terminal: wide characters have two."""
    return len(line) + sum(unicodedata.east_asian_width(char) in "WF" for char in line)


def _join(line: str, following: str) -> str:
    if BROKEN_WORD.search(line) and following[:1].islower():
        return line[:-1] + following
    wide = WIDE_END.search(line) or WIDE_END.search(following[:1])
    return f"{line}{'' if wide else ' '}{following}"


if __name__ == "__main__":
    importlib.import_module("pypdfium2")
    serve(float(sys.argv[1]), int(sys.argv[2]), extract)
