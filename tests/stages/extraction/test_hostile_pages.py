"""Pages made to hang a reader or to fill its memory: each ends in text or in quarantine, within its bounds."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from stages.extraction.extract import ExtractionError, Extractor
from stages.extraction.extract_worker import extract, seconds_of
from stages.readers.warc import READER
from tests.helpers.paths import ROOT
from tests.helpers.records import read, reasons
from tests.helpers.warc import page, response

BOMB_BYTES = 400_000_000
PAGE_BYTES = 1 << 20


def _deflate(n: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(n >> 20)) + packer.flush()


def _brotli(n: int) -> bytes:
    packer = pytest.importorskip("brotli").Compressor(quality=1)
    return b"".join(packer.process(bytes(1 << 20)) for _ in range(n >> 20)) + packer.finish()


def _zstd(n: int) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(n >> 20)) + packer.flush()


BOMBS: dict[str, Callable[[int], bytes]] = {
    "gzip": lambda n: gzip.compress(bytes(n), 9),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}

READ = """
import resource, sys
from stages.readers.warc import READER, Config
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as stream:
    for record in READER.read(stream, "f", Config(max_page_bytes=int(sys.argv[2]))):
        print(record.position, record.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("coding", BOMBS)
def test_a_body_that_decompresses_without_end_is_cut_short(coding: str, tmp_path: Path) -> None:
    """A bomb inside an HTTP body is page_too_long, costs little memory and time, and the next page is read."""
    path = tmp_path / "bomb.warc"
    bomb = response(BOMBS[coding](BOMB_BYTES), head=f"Content-Encoding: {coding}\r\n")
    path.write_bytes(bomb + response(page("next")))
    assert len(bomb) < BOMB_BYTES / 500
    start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    ended = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(PAGE_BYTES)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    *records, kilobytes = ended.stdout.split("\n")[:-1]
    assert records == ["0 page_too_long", "1 None"]
    assert int(kilobytes) < 64_000  # the program itself, a page and a window of zstd; the bomb is 400 MB
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start < 10


TRAPS = {
    "nested": "<div>" * 200_000 + "x",
    "spans of a table": '<table><tr><td colspan="9007199254740992" rowspan="9007199254740992">x</table>',
    "attributes": "<p " + " ".join(f"a{i}=1" for i in range(200_000)) + ">x",
    "open formulas": "<math x>" * 50_000 + "<mjx-container>" * 50_000,
    "nested formulas": "<math>" * 50_000 + "</math>" * 50_000,
    "formulas in scripts": "<script type=math/tex>" * 50_000,
    "images of formulas": '<img eeimg=1 alt="' * 50_000,
    "class names": f'<div class="{"share-" * 200_000}">x</div>'
    + "<p>你好，世界，这是一个很长的句子。</p>" * 9,
    "blanks": "<p>版权所有" + " " * 500_000 + "</p>" + "<p>你好，世界，这是一个很长的句子。</p>" * 9,
    "linked data": '<script type="application/ld+json">' + "[" * 100_000 + '"datePublished"</script>',
    "metas": "<body>" + "<meta name=a content=b>" * 50_000,
    "times": "<time datetime=x>" * 50_000,
    "dates": f'<meta name=pubdate content="{"2019-" * 200_000}">',
    "links": "<a href=https://creativecommons.org/licenses/by/4.0/>x" * 20_000,
}


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    """An extractor with little memory and little time."""
    extractor = Extractor(2.0, 512 << 20)
    yield extractor
    extractor.close()


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_ends_within_the_bounds(extractor: Extractor, trap: str) -> None:
    """Each page ends in text or a reason within the processor time of two tries, and the next page is read."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        assert isinstance(extractor.extract(TRAPS[trap])["text"], str)
    except ExtractionError as error:
        assert error.args[0] in (
            "extractor_timeout",
            "extractor_memory",
            "extractor_crashed",
            "extractor_failed",
            "table_too_large",
        )
    bound = 4 + 2 * seconds_of(2.0, len(TRAPS[trap].encode()))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start < bound
    assert extractor.extract("<p>next")["text"].strip() == "next"


SHAPES = {
    "cells": lambda n: "<table>" + "<tr><td>a<td>b<td>c<td>d" * (n // 4) + "</table>",
    "divs": lambda n: "<div>" * n + "x",
    "nested tables": lambda n: "<table><tr><td>" * (n // 4) + "x",
    "nested lists": lambda n: "<ul><li>x" * (n // 4),
}
"""Pages of n elements."""


@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear_in_cells_and_depth(shape: str) -> None:
    """Eight times the elements cost less than 24 times the time; 64 times if it were quadratic."""
    sentence = "<p>In March the wind crossed the lake, and the willows on its shore were just in bud.</p>" * 3

    def seconds(n: int) -> float:
        page = sentence + SHAPES[shape](n)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            extract(page)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(16_000) < 24 * seconds(2_000)


def test_traps_in_an_archive_are_quarantined_with_reasons() -> None:
    """A page of 200,000 attributes times out, a table of 2**53 cells is refused unread, and the rest is read."""
    data = b"".join(map(response, [TRAPS["attributes"], TRAPS["spans of a table"], page("next")]))
    records = read(READER, data, page_seconds=1.0)
    assert reasons(records) == [(0, "extractor_timeout"), (1, "table_too_large"), (2, None)]
    assert records[1].raw is not None and TRAPS["spans of a table"].encode() in records[1].raw


def table(cell: str) -> str:
    """A page with a table of one cell and a paragraph below it."""
    return f"<p>above<table><tr>{cell}</table><p>below"


@pytest.mark.parametrize(
    "cell",
    [
        "<td colspan=9007199254740992>x",
        '<td rowspan="9007199254740992">x',
        "<th COLSPAN=' +0009007199254740992 columns'>x",
        '<td colspan="&#57;007199254740992">x',
        f"<td colspan={'9' * 100_000}>x",
        "<td rowspan=2147483648>x",
        "<td>x<table><tr><td colspan=2147483648>y</table>",
        "<td>x</table><table><colgroup span=9007199254740992><tr><td>y",
        "<td>x</table><table><col span=9007199254740992><tr><td>y",
    ],
    ids=[
        "columns", "rows", "sloppy", "entity", "long", "least", "nested", "group", "column",
    ],
)  # fmt: skip
def test_a_table_larger_than_any_is_refused(extractor: Extractor, cell: str) -> None:
    """A cell that spans more than 2**31 - 1 columns or rows ends its page at once, and the next page is read."""
    start = time.perf_counter()
    with pytest.raises(ExtractionError) as error:
        extractor.extract(table(cell))
    assert error.value.args[0] == "table_too_large"
    assert "expected at most 2,147,483,647" in error.value.args[1] and len(error.value.args[1]) < 200
    assert time.perf_counter() - start < 2
    assert extractor.extract("<p>next")["text"].strip() == "next"


@pytest.mark.parametrize(
    "cell",
    [
        "<td colspan=1001>x",
        "<td rowspan=65535>x",
        '<td colspan="9999">x',
        "<td colspan=2147483647>x",
        "<td rowspan=2147483647>x",
        "<td colspan=100%>x",
        "<td colspan=-9007199254740992>x",
        "<td colspan=all>x",
        "<td colspan=1e300>x",
        "<td colspan='x 9007199254740992'>x",
        "<td colspan=９００７１９９２５４７４０９９２>x",
        "<td colspan>x",
        "<td colspan=1 span=9007199254740992>x",
        "<td data-colspan=9007199254740992>x",
        "<td>x<script>'<td colspan=9007199254740992>'</script><!-- <td colspan=9007199254740992> -->",
    ],
)
def test_sloppy_spans_are_read(extractor: Extractor, cell: str) -> None:
    """A span that browsers clamp, or that is no number, changes nothing of the text."""
    assert extractor.extract(table(cell))["text"] == extractor.extract(table("<td>x"))["text"]


def test_a_page_about_such_a_table_is_read(extractor: Extractor) -> None:
    """Markup that a page shows is text."""
    shown = "&lt;td colspan=9007199254740992&gt;"
    assert "colspan=9007199254740992" in extractor.extract(f"<p>Never write <code>{shown}</code>.")["text"]
