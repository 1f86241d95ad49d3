"""The sheet itself: no text of a document is anything but text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.excerpt import CUT, excerpt
from pipeline.labelling.rubric import DEFAULT, LANGUAGES, names_of, read_rubric
from pipeline.labelling.sheet import documents_of, sheet_csv, sheet_html
from tests.helpers.hostile_texts import HOSTILE


class Tags(HTMLParser):
    """Collects the elements of a page, its attributes and the content of its blocks."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note the content of a script or style."""
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.blocks.append(data)


def page_of(texts: list[str], chars: int = 0) -> str:
    """The sheet of documents with these texts."""
    n = range(len(texts))
    drawn = pa.table({"doc_id": [f"d{i}" for i in n], "language": ["eng_Latn" for _ in n], "text": texts})
    return sheet_html("sheet </title>", read_rubric(), documents_of(drawn, chars))


def data_of(page: str) -> dict[str, list[dict[str, str]]]:
    """The block of data of a page, as a browser would parse it."""
    tags = Tags(page)
    (block,) = [block for block in tags.blocks if block.startswith("{")]
    return dict(json.loads(block))


def test_hostile_texts_add_no_element() -> None:
    """A page with hostile texts has the elements of one with harmless ones, and its data are the texts unchanged."""
    hostile, harmless = page_of(HOSTILE), page_of(["text"] * len(HOSTILE))
    assert Tags(hostile).tags == Tags(harmless).tags
    assert [row["text"] for row in data_of(hostile)["documents"]] == HOSTILE
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', hostile, re.S)
    assert block is not None and not set("<>&\u2028\u2029") & set(block[1])


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_every_text_comes_back(texts: list[str]) -> None:
    """Whatever a text holds, the page's data hold it unchanged."""
    assert [row["text"] for row in data_of(page_of(texts))["documents"]] == texts


def test_the_page_needs_nothing_from_outside() -> None:
    """No address is loaded, and the policy allows the page's own script and style alone."""
    page = page_of(HOSTILE)
    tags = Tags(page).tags
    assert not [tag for tag, attrs in tags if {"src", "href", "srcset"} & set(attrs)]
    (policy,) = [
        attrs["content"] for tag, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy and policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]


def test_cells_are_no_formulas() -> None:
    """The CSV quotes every cell, and one that a spreadsheet would run begins with an apostrophe."""
    drawn = pa.table({"doc_id": ["d0"], "language": ["eng_Latn"], "text": ['=cmd|"x"!A1']})
    text = sheet_csv(documents_of(drawn, 0))
    assert text.startswith("\ufeffdoc_id,score,keep,kind,flags,domain,note,labeller,language,text\r\n")
    assert text.splitlines()[1].endswith(',"eng_Latn","\'=cmd|""x""!A1"')


def test_a_long_text_shows_beginning_middle_and_end() -> None:
    """What is left out is marked; a text within the limit is shown whole, and 0 is no limit."""
    text = "\n".join(f"line {i} of the text" for i in range(1000))
    shown = excerpt(text, 1000)
    parts = shown.split(CUT)
    assert len(parts) == 3 and len(shown) <= 1000 + 2 * len(CUT)
    assert text.startswith(parts[0]) and text.endswith(parts[2]) and parts[1] in text
    assert all(line in text.splitlines() for part in parts for line in part.splitlines())
    assert excerpt(text, 0) == text == excerpt(text, len(text))
    assert documents_of(pa.table({"doc_id": ["d"], "language": ["x"], "text": [text]}), 1000)[0]["cut"]


def test_the_sheet_does_not_sway_the_reader() -> None:
    """A document is shown with its language and length, not with its score, domain or source."""
    drawn = pa.table({"doc_id": ["d"], "language": ["x"], "text": ["t"], "score": [1.0], "domain": ["a"]})
    assert set(documents_of(drawn, 0)[0]) == {"doc_id", "language", "chars", "cut", "text"}


def test_the_rubric_is_whole() -> None:
    """Every question and choice has a text in both languages, scores are 0 to 5."""
    rubric = read_rubric()
    assert [level["name"] for level in rubric["score"]["levels"]] == [0, 1, 2, 3, 4, 5]
    assert {len(names_of(rubric, name)) for name in ("kind", "flags", "domain")} == {30, 13, 26}
    for question in ("kind", "flags", "domain"):
        assert all(choice[language] for choice in rubric[question]["choices"] for language in LANGUAGES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("zh: 是否保留？", "fr: Garder", "'zh' is missing"),
        ("{name: news,", "{name: essay,", "kind.choices"),
        ("key: B,", "key: K,", "different capital letters"),
        ("- name: 5", "- name: five", "score.levels"),
        ("title:", "title: [", "expected a rubric"),
    ],
)
def test_a_faulty_rubric_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """A rubric that lacks a text or repeats a name or key says so."""
    path = tmp_path / "mine.yaml"
    text = DEFAULT.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_rubric(path)
