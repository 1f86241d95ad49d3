"""The reader of PDF files: text by page, scanned and damaged ones, and lines that become paragraphs."""

from __future__ import annotations

import importlib.util

import pytest

from stages.extraction.pdf_worker import page_text
from stages.readers import pdf
from tests.helpers.pdf_files import pdf_bytes
from tests.helpers.records import PACK, read, reasons

needs_pdfium = pytest.mark.skipif(
    importlib.util.find_spec("pypdfium2") is None,
    reason="pypdfium2 is not installed: pip install 'bicorpus[pdf]'",
)
LINES = [
    "The old mill stood at the end of the lane; nobody had worked in it",
    "since the war, and it was said to be haunted by those who had never",
    "been there.",
    "A second para begins.",
]


@needs_pdfium
def test_pages_become_one_document_and_scanned_ones_are_quarantined() -> None:
    """Text by page with the offset of each; a picture without text has its page's number, an empty page has nothing."""
    data = pdf_bytes([LINES, "picture", "", ["Last page."]], title="The mill")
    document, scanned = read(pdf.READER, PACK["gzip"](data))
    fields = document.fields
    assert fields is not None
    assert (fields["title"], fields["created"], fields["n_pages"]) == ("The mill", "2024-05-18", 4)
    assert [fields["text"][start:].split()[0] for start in fields["page_starts"][::3]] == ["The", "Last"]
    assert "worked in it since the war" in fields["text"] and "there.\nA second" in fields["text"]
    assert (scanned.position, scanned.reason) == (2, "scanned_page")
    assert reasons(read(pdf.READER, pdf_bytes(["picture"]))) == [(1, "scanned_page")]
    assert reasons(read(pdf.READER, pdf_bytes([""]))) == [(0, "no_pages_with_text")]


@needs_pdfium
def test_damaged_files_say_why() -> None:
    """Bytes that are no PDF file, a truncated compressed file, a file that is too large."""
    assert reasons(read(pdf.READER, b"%PDF-1.4 nothing")) == [(0, "unreadable_pdf")]
    packed = PACK["gzip"](pdf_bytes([LINES]))
    assert reasons(read(pdf.READER, packed[:-20])) == [(-1, "truncated")]
    assert reasons(read(pdf.READER, pdf_bytes([LINES]), max_page_bytes=100)) == [(0, "page_too_long")]


def test_lines_become_paragraphs() -> None:
    """Full lines go on in the next, without a blank between Han characters and without the hyphen of a broken word."""
    raw = "\r\n".join(
        [
            "春天来了，河边的柳树发了芽，孩子们在草",
            "地上放风筝。老人们在树下下棋，谁也不着",
            "急回家。",
            "第二段。",
        ]
    )
    assert page_text(raw).split("\n") == [raw.replace("\r\n", "")[:-4], "第二段。"]
    english = "a line that is full and ends in a hyphen-\r\nated word, and goes on to the next line\r\nof it.\r\nEnd."
    assert page_text(english.replace("hyphen-", "hyphe\ufffe").replace("ated", "nated")).startswith(
        "a line that is full and ends in a hyphenated word, and goes on"
    )
    assert page_text("a\r\nb\r\nc") == "a\nb\nc"
