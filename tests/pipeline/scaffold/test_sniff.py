"""Sniffing: which files, fields and languages are recognised, and why others are not."""

from __future__ import annotations

import csv
import gzip
import json
import random
import string
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scaffold.find_files import FoundFile, Unread
from pipeline.scaffold.infer import count_letters, guess_language
from pipeline.scaffold.sniff import Sample, sniff
from tests.helpers.inputs import EN, HANT, JA, KO, ZH, init, jsonl, parquet, wet


def look(path: Path, n_files: int = 1) -> Sample:
    """Sniff a file that must be recognised."""
    found = sniff(FoundFile(str(path), path.stat().st_size), n_files)
    assert isinstance(found, Sample), found
    return found


def refuse(path: Path) -> str:
    """Sniff a file that must not be recognised; why it was not."""
    found = sniff(FoundFile(str(path), path.stat().st_size))
    assert isinstance(found, Unread), found
    return found.reason


# Files


ROWS = [{"标题": f"新闻 {i}", "正文": ZH + str(i), "网址": f"https://example.cn/{i}"} for i in range(30)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.gz", "a.zst", "no-ending", "wrong.parquet"])
def test_json_lines_are_told_by_content(tmp_path: Path, name: str) -> None:
    """Plain and compressed JSON Lines are recognised under any file name, and counted."""
    found = look(jsonl(tmp_path / name, ROWS))
    assert (found.reader_name, found.text_field, found.n_docs) == ("stages.readers.jsonl", "正文", 30)
    assert found.text_bytes == pytest.approx(sum(len(row["正文"].encode()) for row in ROWS), abs=15)
    assert found.languages == {"Chinese": 1.0}


def test_parquet_is_told_by_content(tmp_path: Path) -> None:
    """Parquet is recognised under any name; its rows are counted, not estimated."""
    found = look(parquet(tmp_path / "data.jsonl", [{"k": i, "content_main": EN} for i in range(1234)]))
    assert (found.reader_name, found.text_field, found.n_docs) == (
        "stages.readers.parquet",
        "content_main",
        1234,
    )
    assert found.languages == {"Latin script": 1.0}


def test_wet_is_told_by_content(tmp_path: Path) -> None:
    """WET is recognised under any name, and needs no columns."""
    path = wet(tmp_path / "segment", [ZH, EN, JA, KO])
    found = look(path)
    assert (found.reader_name, found.text_field, found.n_docs) == ("stages.readers.wet", "text", 4)
    assert found.languages == dict.fromkeys(["Chinese", "Latin script", "Japanese", "Korean"], 0.25)
    _, run = init(tmp_path)
    assert run.sources[0].columns == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"a,b\n1,2\n", "read as jsonl: invalid_json"),
        (b'["one two"]', "not_an_object (a value in an array)"),
        ('{"text": "网页 正文"}\n'.encode("gbk"), "invalid_utf8"),
        (b"PAR1 and nothing else", "read as parquet: unreadable_parquet"),
        (b"\n\n", "read as jsonl: no records"),
        (b'{"id": "a1", "n": 2}\n{"id": "b2"}\n', "no field contains text; fields are id, n"),
        (b'{"html": "<p>one two three</p>"}\n', "no field contains text; fields are html"),
        (b'{"text": "one two"}\nno\nno\nno\n', "3 of 4 records broken, the first by invalid_json"),
        (gzip.compress(b"\x00\x01\x02" * 999, mtime=0), "invalid_json"),
    ],
)
def test_other_files_are_refused_with_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    """Files that cannot become documents are refused with a reason that names their format."""
    path = tmp_path / "file.jsonl"
    path.write_bytes(data)
    assert reason in refuse(path)


def test_a_warc_without_pages_is_no_source(tmp_path: Path) -> None:
    """Records that are neither texts nor pages are counted by what they are, not called a broken WET file."""
    for kind in ("request", "metadata"):
        reason = refuse(wet(tmp_path / f"a.{kind}", [EN], kind))
        assert reason == f"read as warc: no records that are documents, only {kind} 1"


def page(text: str, encoding: str = "utf-8") -> bytes:
    """A page of HTML."""
    html = f"<!DOCTYPE html><html><head><title>t</title></head><body><main><p>{text}</p></main></body></html>"
    return html.encode(encoding)


@pytest.mark.parametrize(("text", "encoding"), [(ZH, "gb18030"), (HANT, "cp950"), (EN, "utf-8")])
def test_warc_is_told_by_content(tmp_path: Path, text: str, encoding: str) -> None:
    """A WARC of pages is recognised under any name and in any encoding, and metadata of pages is no column."""
    link = "<link rel=license href=https://l.example/by><a href=https://creativecommons.org/x>l</a>"
    body = page(text + link, encoding)
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    path = wet(tmp_path / "segment", [http] * 7, "response")
    found = look(path)
    assert (found.reader_name, found.text_field, found.n_docs) == ("stages.readers.warc", "text", 7)
    assert found.languages == {"Latin script" if text == EN else "Chinese": 1.0}
    _, run = init(tmp_path)
    assert run.sources[0].columns == {}


def test_a_long_warc_is_estimated(tmp_path: Path) -> None:
    """Of many WARC files only the start of each is extracted, and its documents are estimated from that."""
    noise = random.Random(3)
    bodies = [page(f"{ZH} {noise.randbytes(2000).hex()}") for _ in range(400)]
    path = wet(
        tmp_path / "a.warc.gz",
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b for b in bodies],
        "response",
    )
    found = sniff(FoundFile(str(path), path.stat().st_size), n_files=10**6)
    assert isinstance(found, Sample)
    assert found.n_read < 100 and found.n_docs == pytest.approx(400, rel=0.2)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("saved page", page(ZH)), ("a.html", page(ZH, "gb18030")), ("b.htm.gz", gzip.compress(page(EN))),
        ("c", b"\n<?xml version='1.0'?>\n<!-- saved -->\n<HTML><body><p>" + ZH.encode() + b"</p></body></HTML>"),
        ("d.html", f"<p>{ZH}</p>".encode()),
    ],
)  # fmt: skip
def test_html_is_told_by_content_or_name(tmp_path: Path, name: str, data: bytes) -> None:
    """A file that begins as a page does is one, and so is any that is called one."""
    (tmp_path / name).write_bytes(data)
    found = look(tmp_path / name)
    assert (found.reader_name, found.n_docs, found.doubt) == ("stages.readers.html", 1, "")
    assert found.languages == {"Latin script" if name == "b.htm.gz" else "Chinese": 1.0}


@pytest.mark.parametrize("name", ["a.md", "B.TXT", "c.rst.gz", "d.mdx"])
@pytest.mark.parametrize(("text", "encoding"), [(ZH, "gb18030"), (HANT, "cp950"), (EN, "utf-8")])
def test_text_is_told_by_name(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    """Markdown and plain text are recognised by file name, in their encodings."""
    data = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = look(tmp_path / name)
    assert (found.reader_name, found.n_docs, found.doubt) == ("stages.readers.textfile", 1, "")
    assert found.text_bytes == len(text.encode())
    (tmp_path / "other.dat").write_bytes(data)
    assert "read as jsonl" in refuse(tmp_path / "other.dat")


def test_json_lines_called_text_are_json_lines(tmp_path: Path) -> None:
    """A file of records is recognised under any name."""
    assert look(jsonl(tmp_path / "a.txt", ROWS)).reader_name == "stages.readers.jsonl"


def test_lines_of_json_in_a_page_are_no_records(tmp_path: Path) -> None:
    """Pages, alone or in a WARC, that contain lines of JSON are pages."""
    data = b"<html><head><script type=application/ld+json>\n" + b'{"text": "one two three"}\n' * 3
    data += b"</script></head><body><p>" + ZH.encode() + b"</p></body></html>"
    (tmp_path / "saved").write_bytes(data)
    assert look(tmp_path / "saved").reader_name == "stages.readers.html"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    assert look(wet(tmp_path / "crawl", [http + data], "response")).reader_name == "stages.readers.warc"


def test_xml_is_no_page(tmp_path: Path) -> None:
    """Markup that is no HTML, under no such name, is refused."""
    (tmp_path / "feed").write_text(f"<?xml version='1.0'?><rss><item>{EN}</item></rss>")
    assert "invalid_json" in refuse(tmp_path / "feed")


def test_a_part_is_enough_for_an_estimate(tmp_path: Path) -> None:
    """A large file is estimated from its start, within a tenth if its records are similar."""
    found = look(jsonl(tmp_path / "a.jsonl", [{"text": f"{EN * 6} number {i}"} for i in range(5000)]))
    assert (tmp_path / "a.jsonl").stat().st_size > 2 * (4 << 20)
    assert found.n_docs == pytest.approx(5000, rel=0.1)
    assert not found.broken  # the record that the end of the part cuts is not broken


def test_samples_are_spread(tmp_path: Path) -> None:
    """Records all over the part that is read are looked at: a sorted file is not taken for its first page."""
    rows = [{"text": f"{ZH if i < 600 else EN} {i}"} for i in range(1000)]
    for path in (jsonl(tmp_path / "a.jsonl.gz", rows), parquet(tmp_path / "a.parquet", rows)):
        assert look(path).languages == pytest.approx({"Chinese": 0.6, "Latin script": 0.4}, abs=0.01)


def test_a_first_record_longer_than_the_share_of_a_file_is_read(tmp_path: Path) -> None:
    """Among many files each gets few bytes, but enough to see one whole record."""
    path = jsonl(tmp_path / "a.jsonl", [{"text": EN * 2000}, {"text": EN}])
    found = sniff(FoundFile(str(path), path.stat().st_size), n_files=10**6)
    assert isinstance(found, Sample) and found.n_docs == 2


def test_broken_records_are_counted(tmp_path: Path) -> None:
    """A source with broken records reports their number, and whether a run would stop over them."""
    rows = [{"text": EN} for _ in range(9)]
    path = jsonl(tmp_path / "in" / "a.jsonl", [*rows, {"text": None}])
    path.write_bytes(path.read_bytes() + b"{broken\n")
    draft, _ = init(tmp_path, path)
    page = Path(draft.path).read_text("utf-8")
    assert (
        "# 2 of the first 11 records are broken (invalid_json 1, no_text 1): more than ingest allows" in page
    )


# Fields


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"raw_content": EN, "docid": "7", "licence": "MIT"}, {"text": "raw_content", "source_id": "docid"}),
        ({"text": "A title of it", "body": EN * 3}, {"text": "body"}),
        ({"answer": EN, "extra": json.dumps({"note": EN * 2})}, {"text": "answer"}),
        ({"text": EN, "html": f"<p>{EN * 9}</p>"}, {"text": "text"}),
        ({"summary": EN * 2, "content": EN, "link": "x"}, {"text": "content", "url": "link"}),
        (
            {"正文": ZH, "编号": 5, "发布时间": "2024年5月6日"},
            {"text": "正文", "source_id": "编号", "date": "发布时间"},
        ),
        (
            {"data": {"story": EN}, "meta": {"page": "https://e.org/1"}},
            {"text": "data.story", "url": "meta.page"},
        ),
        ({"t": EN, "image": "https://e.org/1.png", "page": "https://e.org/1"}, {"text": "t", "url": "page"}),
        ({"article_id": "a", "content": EN.encode()}, {"text": "content", "source_id": "article_id"}),
    ],
)
def test_fields_are_told_by_name_and_content(
    tmp_path: Path, row: dict[str, Any], columns: dict[str, str]
) -> None:
    """The long prose is the text; identifiers, addresses, dates and licences are found by name or by look."""
    draft, run = init(tmp_path, parquet(tmp_path / "a.parquet", [row]))
    assert columns.items() <= draft.sources[0].columns().items()
    assert dict(run.sources[0].columns) == ({} if draft.sources[0].is_plain() else draft.sources[0].columns())


def test_a_remark_on_every_record_is_no_text(tmp_path: Path) -> None:
    """What is the same in every record counts once, so that short texts win over a long remark."""
    rows = [{"text": f"a line, and no more: {i}", "origin": EN} for i in range(200)]
    assert look(jsonl(tmp_path / "a.jsonl", rows)).text_field == "text"


def test_a_name_alone_makes_no_identifier(tmp_path: Path) -> None:
    """A field that ends in id but repeats its values is no identifier."""
    draft, _ = init(tmp_path, jsonl(tmp_path / "a.jsonl", [{"text": EN, "site_id": 1}] * 9))
    assert "source_id" not in draft.sources[0].columns()


def test_other_long_fields_are_named(tmp_path: Path) -> None:
    """Where two fields contain long text, a remark names the one that was not chosen."""
    draft, _ = init(tmp_path, jsonl(tmp_path / "a.jsonl", [{"zh": ZH, "en": EN, "n": 1}]))
    page = Path(draft.path).read_text("utf-8")
    assert "columns: {text: en}" in page
    assert "# also long: zh;" in page


# Languages


@given(st.text())
def test_scripts_count_letters_once(text: str) -> None:
    """Every character counts for at most one script, ASCII letters always and other ASCII never."""
    counts = count_letters(text)
    assert counts.total() <= len(text)
    ascii_letters = sum(char in string.ascii_letters for char in text)
    assert counts["Latin"] >= ascii_letters
    assert not count_letters("".join(char for char in text if char in string.punctuation + string.digits))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ZH, "Chinese"), (EN, "Latin script"), (JA, "Japanese"), (KO, "Korean"),
        ("我们用 Python 和 PyTorch 训练模型", "Chinese"), ("The word 中文 means Chinese", "Latin script"),
        ("Библиотека закрыта", "other script"), ("ｆｕｌｌ ｗｉｄｔｈ", "Latin script"),
        ("圖書館今日關閉", "Chinese"), ("123 — 456 。", "no letters"),
    ],
)  # fmt: skip
def test_languages_are_guessed_from_scripts(text: str, language: str) -> None:
    """A guess needs no model: Chinese with English words in it is Chinese, and kana makes Japanese."""
    assert guess_language(text) == language


# Tables, archives, conversations, and files of other programs


def test_tables_are_told_by_name_or_form(tmp_path: Path) -> None:
    """Delimited rows in any encoding, under any name but that of a text; what was detected is said."""
    table = "id;正文;网址\n" + "".join(f"{i};{ZH}{i};http://a.cn/{i}\n" for i in range(5))
    (tmp_path / "a.csv").write_bytes(table.encode("gb18030"))
    (tmp_path / "part-00000").write_bytes(table.encode())
    (tmp_path / "notes.txt").write_bytes(table.encode())
    for name, detected in (
        ("a.csv", "gb18030, semicolons between cells"),
        ("part-00000", "semicolons between cells"),
    ):
        found = look(tmp_path / name)
        assert (found.reader_name, found.text_field, found.detected) == (
            "stages.readers.csv",
            "正文",
            detected,
        )
        assert found.n_docs == 5
    assert look(tmp_path / "notes.txt").reader_name == "stages.readers.textfile"


def test_a_table_of_long_cells_is_recognised_from_its_start(tmp_path: Path) -> None:
    """A start that ends inside a cell of many lines has no broken rows."""
    with open(tmp_path / "a.csv", "w", encoding="gb18030", newline="") as file:
        rows = [[f"第{i}篇", "\n".join(f"{ZH}{line}" for line in range(1000))] for i in range(30)]
        csv.writer(file).writerows([["标题", "正文"], *rows])
    found = look(tmp_path / "a.csv", n_files=1 << 20)
    assert (found.reader_name, found.text_field, found.broken) == ("stages.readers.csv", "正文", Counter())


def test_archives_and_conversations_are_recognised(tmp_path: Path) -> None:
    """Zip and tar files of texts, plain or compressed; messages and instructions, unless a row has a text."""
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(ZH)
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as archive,
        tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar,
    ):
        for i in range(3):
            archive.write(tmp_path / f"{i}.txt", f"文/{i}.txt")
            tar.add(tmp_path / f"{i}.txt", f"{i}.txt")
    for name in ("a.zip", "b.tar.gz"):
        found = look(tmp_path / name)
        assert (found.reader_name, found.n_docs) == ("stages.readers.members", 3)
    chats = [{"messages": [{"role": "user", "content": ZH}, {"role": "assistant", "content": EN}]}] * 4
    jsonl(tmp_path / "chat.jsonl", chats)
    jsonl(tmp_path / "alpaca.jsonl", [{"instruction": ZH, "input": "", "output": EN}] * 4)
    jsonl(tmp_path / "both.jsonl", [{**chats[0], "text": EN}] * 4)
    readers = {name: look(tmp_path / f"{name}.jsonl").reader_name for name in ("chat", "alpaca", "both")}
    assert {name: reader.rpartition(".")[2] for name, reader in readers.items()} == {
        "chat": "chat", "alpaca": "chat", "both": "jsonl",
    }  # fmt: skip


def test_files_of_other_programs_are_named_with_what_to_do(tmp_path: Path) -> None:
    """A workbook, a database, a picture and a pickle are no text, whatever their names."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    starts = {"b.csv": b"SQLite format 3\0", "c": b"\x89PNG\r\n\x1a\n", "d.pkl": b"\x80\x04\x95"}
    for name, start in starts.items():
        (tmp_path / name).write_bytes(start + b"\0" * 99)
    said = {name: refuse(tmp_path / name) for name in ("a.zip", *starts)}
    assert "save each sheet as CSV" in said["a.zip"] and "an SQLite database" in said["b.csv"]
    assert said["c"] == "a picture" and "any code" in said["d.pkl"]
