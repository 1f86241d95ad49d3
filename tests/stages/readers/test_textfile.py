"""Markdown and plain text files: one document each, front matter apart, encodings told or refused."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.stage import Record
from stages.readers.textfile import READER, Config, split_front_matter
from tests.helpers.records import PACK, reasons

HANT = "三月的風吹過湖面，岸邊的柳樹剛剛發芽。他把信摺好放進口袋，沿著小路慢慢走回村子。\n"
ZH = "三月的风吹过湖面，岸边的柳树刚刚发芽。他把信折好放进口袋，沿着小路慢慢走回村子。\n"


def read(data: bytes, path: str = "a/page.md", config: Config | None = None) -> Record:
    """The one record of a file."""
    (record,) = READER.read(io.BytesIO(data), path, config or Config())
    return record


@pytest.mark.parametrize("pack", PACK)
def test_a_file_is_one_document(pack: str) -> None:
    """A text file, plain or compressed, gives its text and its encoding."""
    assert read(PACK[pack](ZH.encode()), "a.txt").fields == {"text": ZH, "encoding": "utf-8"}
    assert read(PACK[pack](ZH.encode("gb18030")), "a.txt").fields == {"text": ZH, "encoding": "gb18030"}
    assert read(PACK[pack](HANT.encode("cp950")), "a.txt").fields == {"text": HANT, "encoding": "big5"}


@pytest.mark.parametrize(
    "front",
    [
        "---\ntitle: 春天\nlicense: CC-BY-4.0\ndate: 2024-05-18\ntags: [a, b]\n---\n\n",
        "---\r\ntitle: 春天\r\nlicense: CC-BY-4.0\r\ndate: 2024-05-18\r\ntags:\r\n- a\r\n- b\r\n---\r\n",
        '+++\ntitle = "春天"\nlicense = "CC-BY-4.0"\ndate = 2024-05-18\ntags = ["a", "b"]\n+++\n',
    ],
    ids=["yaml", "crlf", "toml"],
)
def test_front_matter_becomes_fields(front: str) -> None:
    """YAML and TOML at the head of a Markdown file are fields of the document, not its text."""
    record = read((front + "# 标题\n" + ZH).encode())
    rows = Rows(SourceInfo(name="notes", input="f", fields=READER.fields))
    rows.add(record)
    (row,) = rows.take()[0].to_pylist()
    assert row["text"] == "# 标题\n" + ZH
    assert (row["license"], row["date"]) == ("CC-BY-4.0", "2024-05-18")
    assert row["meta"] == '{"encoding":"utf-8","tags":["a","b"],"title":"春天"}'


@pytest.mark.parametrize(
    "text",
    [
        "---\nA rule above, a rule below\n---\ntext",
        "---\nno end: here\ntext",
        "---\na: [1\n---\ntext",
        "---\na: &x [1]\nb: *x\n---\ntext",
        "---\n- a list\n---\ntext",
        "+++\nnot toml\n+++\ntext",
        "---\na: !!python/object/apply:os.system ['true']\n---\ntext",
        "---\n" + "[" * 5000 + "\n---\ntext",
        "---\na: " + "x" * 20_000 + "\n---\ntext",
        "----\na: b\n----\ntext",
        "text\n---\na: b\n---\n",
        "---\ndate: 2024-99-99\n---\n",
    ],
)
def test_what_is_no_front_matter_stays_in_the_text(text: str) -> None:
    """A block that is no plain mapping, or only looks like front matter, is text."""
    assert split_front_matter(text) == ({}, text)


def test_only_markdown_has_front_matter() -> None:
    """In a file that is not Markdown by its name nothing is taken out of the text."""
    text = "---\ntitle: x\n---\nbody"
    assert read(text.encode(), "a.txt").fields == {"text": text, "encoding": "utf-8"}
    for path in ("a.md", "A.Markdown", "a.mdx.gz"):
        assert read(text.encode(), path).fields == {"text": "body", "encoding": "utf-8", "title": "x"}


def test_front_matter_cannot_replace_the_text() -> None:
    """Fields named text or encoding are kept under another name."""
    record = read(b"---\ntext: not this\nencoding: gbk\n1: a\n---\nthis")
    assert record.fields == {
        "text": "this",
        "encoding": "utf-8",
        "front_text": "not this",
        "front_encoding": "gbk",
        "1": "a",
    }


def test_broken_files_say_why() -> None:
    """A file that is too long, binary or cut off is quarantined with its reason."""
    assert reasons([read(b"x" * 11, config=Config(max_page_bytes=10))]) == [(0, "page_too_long")]
    assert reasons([read(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(128, 256)))]) == [
        (0, "unknown_encoding")
    ]
    assert reasons([read(PACK["gzip"](ZH.encode())[:-4])]) == [(-1, "truncated")]
    assert read(b"x" * 10, config=Config(max_page_bytes=10)).reason is None


@given(st.binary() | st.builds(lambda a, b: b"---\n" + a.encode() + b"\n---\n" + b, st.text(), st.binary()))
@example(b"---\n? {}\n---\n")
@example(b"---\n{[]: 1}\n---\n")
@example(b"---\n0: !!int x\n---\n")
@example(b"---\n!!timestamp x: 1\n---\n")
@example(b"---\n=: 1\n---\n")
def test_any_bytes_give_one_record(data: bytes) -> None:
    """Any file gives one record, whole or with a reason."""
    record = read(data)
    assert (record.fields is None) == (record.reason is not None)
