"""Similar lines: which sentences are removed in favour of an earlier one, against plain definitions, and the cost."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.spans import apply_spans
from stages.kernels.text.tables import DIGIT, load_tables
from stages.passages import similar_lines
from tests.helpers.oracles.paragraphs import match_of
from tests.helpers.passage_texts import LETTERS, prose

SHORT = similar_lines.Config(min_chars_han=2, min_chars_other=4, max_distance=0.25)


def find(
    texts: Sequence[str | None], config: similar_lines.Config = SHORT, doc_ids: list[str] | None = None
) -> list[dict[str, Any]]:
    """What the stage writes for documents. Any: values of columns."""
    names = doc_ids or [f"d{i}" for i in range(len(texts))]
    table = pa.table({"doc_id": names, "text": pa.array(texts, pa.large_string())})
    return similar_lines.STAGE.load(config)(table).to_pylist()


def left(text: str, config: similar_lines.Config = SHORT) -> str:
    """The text without all sentences but the first of each group."""
    seen, spans = set(), []
    for place in find([text], config)[0]["passages"] or ():
        if place["passage"] in seen:
            spans.append((place["start"], place["end"], place["kind"]))
        seen.add(place["passage"])
    return apply_spans(text, spans)


def distance(left: str, right: str) -> int:
    """Edit distance by the textbook's table."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(before + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def digits(text: str) -> str:
    """Digits of a text."""
    return "".join(char for char in text if load_tables().classes[ord(char)] == DIGIT)


SAID = (
    "甲乙丙丁戊己庚", "甲乙丙丁戊己辛", "甲丙丁戊己庚", "one two three four", "One two, three for", "甲3乙", "甲4乙",
)  # fmt: skip
ENDS = ("。", "！\n", "\n", "\n\n", "……", ". ", "”。", "\r\n", "，")
SENTENCES = st.lists(st.tuples(st.sampled_from(SAID), st.sampled_from(ENDS)).map("".join), max_size=12).map(
    "".join
)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(SENTENCES, max_size=4),
    same_digits=st.booleans(),
    share=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
)
def test_what_goes_is_like_what_stays(texts: list[str], same_digits: bool, share: float) -> None:
    """Each sentence is within the distance of the first of its group, and equal sentences share a group."""
    config = similar_lines.Config(
        min_chars_han=2, min_chars_other=4, max_distance=share, same_digits=same_digits
    )
    for text, row in zip(texts, find(texts, config), strict=True):
        groups: dict[int, str] = {}
        places = row["passages"] or []
        for place in places:
            said = match_of(text[place["start"] : place["end"]])
            first = groups.setdefault(place["passage"], said)
            assert distance(first, said) <= share * max(len(first), len(said))
            assert not same_digits or digits(first) == digits(said)
        assert (row["passages"] is None) == (row["n_chars"] is None) == (not places)
        assert all(a["end"] <= b["start"] for a, b in pairwise(places))
        ids: dict[str, int] = {}
        for place in places:
            said = match_of(text[place["start"] : place["end"]])
            assert ids.setdefault(said, place["passage"]) == place["passage"]
        if places:
            assert row["repeated_share"] == pytest.approx(
                sum(p["end"] - p["start"] for p in places) / len(text), abs=6e-4
            )


def test_the_later_of_two_like_sentences_goes() -> None:
    """A sentence is removed with its marks and blanks, a whole line with its break; the rest is unchanged."""
    first, second = prose(1, 40), prose(1, 40)[:20] + "龙" + prose(1, 40)[21:]
    config = similar_lines.Config()
    assert (
        left(f"{first}。{prose(2, 30)}。{second}！”  {prose(3, 30)}。", config)
        == f"{first}。{prose(2, 30)}。{prose(3, 30)}。"
    )
    text = f"{first}\n\n{second}\n\n{prose(2, 30)}。{second}？\n{prose(3, 30)}"
    assert left(text, config) == f"{first}\n\n{prose(2, 30)}。\n{prose(3, 30)}"


def test_likeness_does_not_chain() -> None:
    """Of sentences that drift step by step, one is removed only if it is similar to one that is kept."""
    steps = ["".join("乙" if i < n else char for i, char in enumerate(LETTERS[:40])) for n in range(0, 20, 3)]
    config = similar_lines.Config(max_distance=0.1)
    stays = left("\n".join(steps), config).splitlines()
    assert 2 <= len(stays) < len(steps)
    for step in steps:
        assert step in stays or any(distance(step, other) <= 4 for other in stays)


def test_other_numbers_are_another_sentence() -> None:
    """Exercises that differ in their numbers are kept by default."""
    one, two = (
        f"小明有{n}个苹果，小红又给了他一些，现在他一共有三十七个苹果，小红给了几个？" for n in (12, 15)
    )
    assert left(f"{one}\n{two}\n", similar_lines.Config()) == f"{one}\n{two}\n"
    assert left(f"{one}\n{two}\n", similar_lines.Config(same_digits=False)) == f"{one}\n"


def test_a_decimal_point_ends_no_sentence() -> None:
    """3.14 and node.js are inside their sentences; short sentences are kept however often they occur."""
    said = "The ratio is 3.14159 for every circle that node.js has ever drawn on a screen of whatever size."
    assert left(f"{said} {said}", similar_lines.Config()) == said
    assert left("谢谢。谢谢。谢谢。}\n}\n", similar_lines.Config()) == "谢谢。谢谢。谢谢。}\n}\n"


def test_documents_do_not_meet() -> None:
    """Equal sentences of two documents are no group, and have other numbers where both repeat them."""
    said = prose(5, 30)
    assert [
        row["passages"] for row in find([f"{said}。", f"{said}。", None, ""], similar_lines.Config())
    ] == [None] * 4
    one, two = (row["passages"] for row in find([f"{said}。{said}。"] * 2, similar_lines.Config()))
    assert {p["passage"] for p in one}.isdisjoint(p["passage"] for p in two)


def edited(text: str, n_edits: int, dice: random.Random) -> str:
    """A text with characters replaced, left out or put in at random."""
    chars = list(text)
    for _ in range(n_edits):
        place = dice.randrange(len(chars))
        chars[place : place + dice.randrange(2)] = dice.choice(("龙", "", "凤"))
    return "".join(chars)


def test_nearly_all_that_are_alike_are_found() -> None:
    """Edits spread over a tenth of the characters leave a shared least gram in all but a pair in a hundred."""
    dice = random.Random(7)
    pairs = [(prose(seed, 60), edited(prose(seed, 60), 6, dice)) for seed in range(400)]
    pairs = [(a, b) for a, b in pairs if 0 < distance(a, b) <= 0.1 * max(len(a), len(b))]
    rows = find([f"{a}。\n{b}。\n" for a, b in pairs], similar_lines.Config())
    assert len(pairs) > 300 and sum(row["passages"] is not None for row in rows) >= 0.99 * len(pairs)


def test_many_lines_cost_what_they_weigh() -> None:
    """Ten times the lines take about ten times as long, whether equal, similar or of one template."""
    dice, said = random.Random(1), prose(9, 40)
    for make in (lambda i: said, lambda i: edited(said, 2, dice), lambda i: f"{said[:20]}{prose(i, 20)}"):
        lines = [f"{make(i)}\n" for i in range(20_000)]
        find(["".join(lines[:100])], similar_lines.Config())
        seconds = []
        for n_lines in (2_000, 20_000):
            begun = time.process_time()
            find(["".join(lines[:n_lines])], similar_lines.Config())
            seconds.append(time.process_time() - begun)
        assert seconds[1] < 40 * seconds[0] + 0.5  # a hundred times, were all compared with all


def test_a_book_of_seventy_thousand_lines() -> None:
    """Sentences beyond the sixteen-bit numbers get the right positions."""
    lines = [f"第{i}行与别的行都不相同，它的号码是{i}，一共有很多行。\n" for i in range(70_000)]
    lines[69_000] = lines[3].replace("，", "——")
    (row,) = find(["".join(lines)], similar_lines.Config())
    begins = [0, *(len(line) for line in lines)]
    assert [p["start"] for p in row["passages"]] == [sum(begins[:4]), sum(begins[:69_001])]


def test_long_sentences_must_be_equal() -> None:
    """Above `max_chars` only equal sentences are similar."""
    said = prose(6, 300)
    text = f"{said}\n{said[:-1]}龙\n{said}。\n"
    assert left(text, similar_lines.Config(max_chars=200)) == f"{said}\n{said[:-1]}龙\n"
    assert left(text, similar_lines.Config()) == f"{said}\n"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("min_chars_han", 0), ("max_distance", 1.0), ("max_distance", -0.1), ("max_chars", 20_001)],
)
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    """A length or share out of range is a usage error that names the setting."""
    with pytest.raises(ConfigError, match=f"similar_lines.{setting} is {value}; expected"):
        similar_lines.Config(**{setting: value})  # type: ignore[arg-type]  # whole numbers and a share
