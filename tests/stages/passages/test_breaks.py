"""Breaks of texts: kernel against oracle, and where removed passages begin and end in real sentences."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels.passages.anchors import wide_table
from stages.kernels.passages.breaks import (
    CLAUSE,
    INSIDE_WORD,
    SENTENCE_OR_LINE,
    UNSEEN,
    WORD,
    move_inwards,
    strength_of,
)
from stages.kernels.text.text import view
from stages.languages import load_roles
from stages.passages import anchors
from tests.helpers.oracles.breaks import blank, strength
from tests.helpers.oracles.passages import SMALL, cut_of, removed

ROLES = load_roles()
PIECES = [
    *"aZ9é。！？，、；：.,:;!?\"'()”’）》《 \n\t\u3000中文字かハ한글กข-_$…😀", "Mr.", "3.14", "e\u0301", "1. ", "\n\n",
    "\u200d", "e.g. ", "…… ", "end. Next ", "年", "node.js",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=16).map("".join)


@settings(max_examples=400)
@given(TEXTS)
def test_strengths_equal_the_reference(text: str) -> None:
    """Every place before a visible character has the strength that the plain definition gives it."""
    codes, _, classes = view(pa.array([text], pa.large_string()))
    for p in range(len(text) + 1):
        if p == len(text) or not blank(text[p]):
            assert strength_of(codes, classes, ROLES, p, 0, len(text)) == strength(text, p), p


@settings(max_examples=300)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.data())
def test_moved_ranges_equal_the_reference(texts: list[str], data: st.DataObject) -> None:
    """Ranges of several texts are moved to the breaks that the oracle finds, and never outwards."""
    decoded = view(pa.array(texts, pa.large_string()))
    doc = data.draw(st.integers(0, len(texts) - 1))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(texts[doc]))] * 2)))
    base = int(decoded.starts[doc])
    docs, low, high = (np.array([n], np.int64) for n in (doc, base + start, base + end))
    han, other = SMALL.least
    begins, ends = move_inwards(
        decoded.codes, decoded.starts, decoded.classes, ROLES, docs, low, high, wide_table(), han, other
    )
    assert (begins[0] - base, ends[0] - base) == cut_of(texts[doc], start, end, SMALL)
    assert start <= begins[0] - base <= end and start <= ends[0] - base <= end


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("The end. |Next", SENTENCE_OR_LINE),
        ("He said “go.” |Then", SENTENCE_OR_LINE),
        ("in 1998. |The", SENTENCE_OR_LINE),
        ("第一句。|第二句", SENTENCE_OR_LINE),
        ("他说：“走吧。”|然后", SENTENCE_OR_LINE),
        ("Heading\n|Text", SENTENCE_OR_LINE),
        ("标题\n|正文", SENTENCE_OR_LINE),
        ("- one\n|- two", SENTENCE_OR_LINE),
        ("dear Mr. |Smith", WORD),
        ("by J. |Smith", WORD),
        ("see Fig. |4", WORD),
        ("1. |Open the lid", WORD),
        ("for tools, e.g. |pliers", WORD),
        ("hosted by\n|the club", WORD),
        ("first, |then", CLAUSE),
        ("第一，|第二", CLAUSE),
        ("两|个", UNSEEN),
        ("2024|年", UNSEEN),
        ("句子|。", UNSEEN),
        ("foo|-bar", UNSEEN),
        ("用|Python", WORD),
        ("wor|d", INSIDE_WORD),
        ("3.1|4", INSIDE_WORD),
        ("e|\u0301", INSIDE_WORD),
        ("한|글", INSIDE_WORD),
    ],
)
def test_what_ends_at_a_place(marked: str, expected: int) -> None:
    """Sentences and lines, clauses, words, and places without any of them."""
    before, _, after = marked.partition("|")
    codes, _, classes = view(pa.array([before + after], pa.large_string()))
    assert strength_of(codes, classes, ROLES, len(before), 0, len(codes)) == expected


# Removed passages in real sentences

EN = (
    "The village was a municipality until the middle of the century, when it was joined with its larger neighbour; the "
    "old town hall now serves as a small museum of rural life and is open on Sundays in summer. A guided tour in three "
    "languages takes about an hour and ends in the courtyard, where visitors can taste the honey and buy postcards, "
    "wooden toys and the cheese that the last of the three dairies still makes by hand every spring."
)
ZH = (
    "本馆将于下月初开始整理书库，期间三楼阅览室暂停开放，借书与还书照常在一楼大厅办理。已经预约的图书会为您保留到整理结束之后的第二个星期，"
    "届时请凭读者证领取；如有疑问，可以在服务台登记姓名与书名，工作人员会尽快给您答复。开放时间另行通知，请以门口的告示为准。"
)


def left_of(before: str, text: str, after: str, first: str) -> str:
    """What is left of a document that shares `text` with an earlier document `first`."""
    return removed({"a": first, "b": f"{before}{text}{after}"}, anchors.Config())["b"]


@pytest.mark.parametrize(
    ("before", "text", "after", "first", "left"),
    [
        ("Notes from the archive. ", EN, " These are games.", f"A second printing. {EN} There is a path.",
         "Notes from the archive. These are games."),
        ("Notes from the archive.\n\n", EN, "\n\nThese are games.", f"A second printing.\n{EN}\n\nThere is a path.",
         "Notes from the archive.\n\nThese are games."),
        ("He wrote that the day was fine. ", EN, " Its tower is new.", f"It was fine. {EN} Its gate is old.",
         "He wrote that the day was fine. Its tower is new."),
        ("馆长说了一些话。", ZH, "另外，食堂照常。", f"通知。{ZH}另行安排。", "馆长说了一些话。另外，食堂照常。"),
        ("公告\n", ZH, "\n另外，食堂照常。", f"通知\n{ZH}\n另行安排。", "公告\n另外，食堂照常。"),
        ("See http://example.org/notes: ", EN, " Thank you.", f"http://example.com/notes: {EN} That is all.",
         "See http://example.org/notes: Thank you."),
    ],
    ids=["sentence", "paragraph", "same word before", "Chinese", "Chinese lines", "URL before"],
)  # fmt: skip
def test_a_removed_passage_begins_and_ends_with_a_sentence(
    before: str, text: str, after: str, first: str, left: str
) -> None:
    """Letters that the neighbouring sentences happen to share are kept, and one blank or line break as well."""
    assert left_of(before, text, after, first) == left


def test_half_a_sentence_is_kept_whole() -> None:
    """If a passage ends inside a sentence, in both languages all of the sentence is kept."""
    assert left_of("Own words. ", EN[:-40] + "sold in the town.", "", f"Other words. {EN}") == (
        "Own words. " + EN[EN.index("A guided") : -40] + "sold in the town."
    )
    assert left_of("自己的话。", ZH[:-8] + "网站的消息为准。", "", f"别的话。{ZH}") == (
        "自己的话。" + ZH[ZH.index("开放时间") : -8] + "网站的消息为准。"
    )


def test_without_a_sentence_near_a_passage_is_cut_at_a_clause_or_a_word() -> None:
    """A list of words is cut at a comma, words without punctuation at a blank, Chinese without either where it is."""
    words = " ".join(f"{w}{i}" for i in range(40) for w in ("alpha", "beta"))
    assert left_of("own thing1", words, "1thing end", f"other thing2{words}2thing") == (
        "own thing1alpha0 beta391thing end"
    )
    clauses = ", ".join(words.split()[:60])
    assert left_of("own thing1", clauses, "1thing end", f"other thing2{clauses}2thing") == (
        "own thing1alpha0, beta291thing end"
    )
    han = "".join(chr(0x4E00 + i * 7) for i in range(120))
    assert left_of("前", han, "后", f"别{han}其") == "前后"


def test_a_passage_inside_one_word_is_kept() -> None:
    """A long token, such as an encoded picture, is not removed from the middle of a longer one."""
    token = "".join("abcdefghijklmnop"[i * i % 16] + f"{i:x}" for i in range(200))
    assert left_of("x1", token, "1y end", f"x2{token}2y") == f"x1{token}1y end"


def test_passages_that_touch_leave_nothing_between_them() -> None:
    """Only the ends of what is removed as a whole are moved, not the seam of two passages of other documents."""
    docs = {"a": f"Olden. {EN}", "b": f"Other. {EN.swapcase()}", "c": f"Newer. {EN}{EN.swapcase()} End here."}
    assert removed(docs, anchors.Config())["c"] == "Newer. End here."


def test_three_documents_that_overlap_pairwise_keep_whole_sentences() -> None:
    """Of sentences shared by pairs of documents, each is kept once, and no sentence is cut."""
    sentences = [f"Sentence {i} {'tells of the river and the mill ' * 6}at noon." for i in range(8)]
    docs = {
        "a": " ".join(["Apples here.", *sentences[:5]]),
        "b": " ".join(["Berries here.", *sentences[2:8]]),
        "c": " ".join(["Cherries here.", *sentences[:3], *sentences[5:]]),
    }
    left = removed(docs, anchors.Config())
    kept = [s for text in left.values() for s in text.replace("noon. ", "noon.|").split("|")]
    assert all(s.endswith(("noon.", "here.")) for s in kept)
    assert {s for s in sentences if any(s in text for text in left.values())} == set(sentences)
