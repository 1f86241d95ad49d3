"""Passages of text that is hard to cut: many copies, mixed scripts, marks."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from pipeline.errors import ConfigError
from stages.kernels.text.ragged import from_binary, to_binary
from stages.passages import anchors
from tests.helpers.oracles.passages import SMALL, check, documents, han, removed, run


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


def test_presets_give_lengths_that_settings_override() -> None:
    """Lengths are equalised by default; the published setting has a name; an explicit setting overrides both."""
    assert anchors.Config().least == (100, 400)
    assert anchors.Config(preset="cci4").least == (185, 1700)
    assert anchors.Config(preset="cci4", min_chars_other=800).least == (185, 800)
    with pytest.raises(ConfigError, match="equalised, cci4"):
        anchors.Config(preset="cci5")
    passage = "他们沿着河岸走了很久，谁也没有说话，只听见水声和远处的钟声，" * 5  # 150 characters
    texts = [passage + tail * 30 for tail in ("甲乙丙丁戊", "子丑寅卯辰")]
    found = {
        name: anchors.STAGE.load(anchors.Config(preset=name))(
            pa.table({"text": pa.array(texts, pa.large_string())})
        )
        for name in anchors.PRESETS
    }
    shared = {
        name: set(table["keys"][0].as_py()) & set(table["keys"][1].as_py()) for name, table in found.items()
    }
    assert shared["equalised"] and not shared["cci4"]


def test_rows_of_numbers_as_bytes_are_what_they_were() -> None:
    """Ragged arrays survive Arrow's take, slices and null rows."""
    values, starts = np.arange(10, dtype=np.uint32), np.array([0, 3, 3, 10])
    column = to_binary(values, starts)
    taken, begins = from_binary(column.take(pa.array([2, None, 0])), np.uint32)
    assert taken.tolist() == [3, 4, 5, 6, 7, 8, 9, 0, 1, 2] and begins.tolist() == [0, 7, 7, 10]
    sliced, begins = from_binary(column.slice(1, 2), np.uint32)
    assert sliced.tolist() == list(range(3, 10)) and begins.tolist() == [0, 0, 7]
    nothing, begins = from_binary(to_binary(values[:0], np.zeros(1, np.int64)), np.uint32)
    assert len(nothing) == 0 and begins.tolist() == [0]
