"""The process that reads PDF files: their text by page, which pages are pictures of text, and what the file claims.

PDFium finds the text in the order in which the file draws it; pages whose columns are drawn line by line are read
column by column (`pdf_columns`). Lines that fill their page are joined to the next, since
a PDF file has no paragraphs: without a blank between Han characters, and without the hyphen of a broken word. A line
that begins like an item of a list begins a paragraph.
"""

from __future__ import annotations

import importlib
import re
import sys
import unicodedata
from itertools import pairwise
from typing import Any

from stages.extraction.extract_worker import refused, serve
from stages.extraction.pdf_columns import MIN_GAP, MIN_LINES, Run, read_columns

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
MAX_RECTS = 20_000
"""Pieces of a page that are looked at for columns."""

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
            text = page_text(_drawn_text(page, pdfium))
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


def _drawn_text(page: Any, pdfium: Any) -> str:  # Any: objects of a library that is installed optionally
    """The text of a page in the order of drawing, or of its columns if it is drawn across them."""
    textpage, width = page.get_textpage(), page.get_width()
    n_rects = min(textpage.count_rects(), MAX_RECTS)
    boxes = [textpage.get_rect(i) for i in range(n_rects)]
    if might_have_columns(boxes, width):
        text = read_columns(_runs(textpage, pdfium, MIN_GAP * width), width)
        if text is not None:
            return text
    return str(textpage.get_text_range())


def might_have_columns(boxes: list[tuple[float, float, float, float]], width: float) -> bool:
    """Whether pieces of text often jump to the right or left at one height, as where columns are drawn across.

    Args: boxes, left, bottom, right and top of pieces in the order of drawing; width, of the page.
    """
    jumps = 0
    for (left, bottom, right, top), (left2, bottom2, right2, top2) in pairwise(boxes):
        same_height = min(top, top2) - max(bottom, bottom2) > 0
        jumps += same_height and max(left2 - right, left - right2) >= MIN_GAP * width
    return jumps >= MIN_LINES


def _runs(textpage: Any, pdfium: Any, gap: float) -> list[Run]:
    """Characters of a page in runs, which end with a line and before a gap of a width, in points."""
    raw, runs = pdfium.raw, list[Run]()
    is_open = False
    for i in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, i)
        char = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
        if char in "\r\n":
            is_open = False
            continue
        left, bottom, right, top = textpage.get_charbox(i)
        if char.isspace() or right <= left:
            if is_open:
                runs[-1].text += char
            continue
        run = runs[-1] if is_open else None
        if run is None or left - run.right >= gap or run.left - left > gap or left < run.right - 4 * gap:
            runs.append(Run(char, left, bottom, right, top))
            is_open = True
            continue
        run.text += char
        run.right, run.bottom, run.top = max(run.right, right), min(run.bottom, bottom), max(run.top, top)
    return runs


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
