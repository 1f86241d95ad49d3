"""Passages of text that is hard to cut: many copies, mixed scripts, marks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from stages import anchors
from tests.test_substring import SMALL, check, documents, han, removed, run


def test_thousands_of_copies_are_compared_once_each() -> None:
    """5,000 copies, each between characters of its own, are all found; pairs of them would be 2,500 million windows."""
    passage = han(5, 300)
    docs = {f"d{i:04}": f"{chr(0xAC00 + i)}{passage}{chr(0xC000 + i)}" for i in range(5000)}
    found = run(docs, anchors.Config())
    assert {
        (row["substring.passages"][0]["start"], row["substring.passages"][0]["end"]) for row in found.values()
    } == {(1, 301)}
    assert sum(bool(row["owners.spans"]) for row in found.values()) == 4999


PIECES = (
    "天地玄黄宇宙洪荒",
    "日月盈昃辰宿列张",
    "the quick brown fox ",
    "e\u0301a\u0308o\u0302",
    "😀👩‍👩‍👧🇨🇳",
    "𠮷野家",
    "ｆｕｌｌ",
    "한글かな",
)


@pytest.mark.parametrize("seed", range(6))
def test_mixed_scripts_agree_with_the_reference(seed: int) -> None:
    """Han of all planes, Latin, emoji in sequences and combining marks: passages are those of comparing all windows."""
    rng = random.Random(seed)
    docs = {f"d{i}": "".join(rng.choices(PIECES, k=rng.randrange(30))) for i in range(12)}
    docs |= {f"e{i}": docs[f"d{i}"][5:40] + str(i) + docs[f"d{i + 1}"][3:50] for i in range(6)}
    check(
        {doc: text or "空" for doc, text in docs.items()},
        anchors.Config(min_chars_han=5, min_chars_other=12),
        n_partitions=3,
    )


@settings(max_examples=40)
@given(docs=documents("a中😀\u0301𠮷"))
def test_removal_cuts_no_character(docs: dict[str, str]) -> None:
    """What is left is valid Unicode, and the original without just the code points that spans name."""
    found = run(docs)
    for doc, text in removed(docs, SMALL).items():
        covered = {i for span in found[doc]["owners.spans"] or () for i in range(span["start"], span["end"])}
        assert text == "".join(char for i, char in enumerate(docs[doc]) if i not in covered)
        assert text.encode("utf-8").decode("utf-8") == text
