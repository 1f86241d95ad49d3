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


COLUMN = [
    "the river rose in the night and took",
    "the bridge with it, so that nobody in",
    "the village could reach the road; the",
    "miller said that it had happened once",
    "before, when he was a boy, and that it",
    "would take a month to build another",
    "one, if the carpenter was sober. They",
]
OTHER = [line.replace("the", "their") for line in COLUMN]


def _across(left: list[str], right: list[str], start: int, at: int = 320) -> list[tuple[int, int, str]]:
    """Two columns, drawn row by row."""
    rows = zip(left, right, strict=True)
    return [piece for i, (a, b) in enumerate(rows, start) for piece in ((50, i, a), (at, i, b))]


@needs_pdfium
def test_columns_that_are_drawn_across_are_read_one_after_another() -> None:
    """The title above both comes first, what crosses them ends both; a table of short cells keeps its rows."""
    pages = [
        [(180, 0, "A title above both of the columns"), *_across(COLUMN, OTHER, 2), (298, 12, "7")],
        _across(
            ["cell", "a longer cell", "x", "y", "z", "u", "v"], ["1", "2", "3", "4", "5", "6", "seven"], 0
        ),
        [(50, i, line) for i, line in enumerate(COLUMN)] + [(320, i, line) for i, line in enumerate(OTHER)],
    ]
    (document,) = read(pdf.READER, pdf_bytes(pages))
    assert document.fields is not None
    starts = document.fields["page_starts"]
    first, table, drawn = (
        document.fields["text"][a:b].split() for a, b in zip(starts, [*starts[1:], None], strict=True)
    )
    prose = " ".join([*COLUMN, *OTHER]).split()
    assert first == ["A", "title", "above", "both", "of", "the", "columns", *prose, "7"]
    assert table[:5] == ["cell", "1", "a", "longer", "cell"]
    assert drawn == prose


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
