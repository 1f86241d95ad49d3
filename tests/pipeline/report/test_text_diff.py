"""Texts side by side: differences are found, visible, and bounded for any texts."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cells import wide
from pipeline.report.text_diff import columns, differences, fit


def test_one_changed_word_is_shown_with_what_is_around_it() -> None:
    """The place is in brackets on both sides; equal texts have none."""
    left = "从下个月起，市图书馆延长开放时间。\n工作日的闭馆时间推迟到晚上九点。\n周末照旧。"
    (place,) = differences(left, left.replace("九", "十"))
    assert "推迟到晚上[九]点" in place["removed"] and "推迟到晚上[十]点" in place["kept"]
    assert differences(left, left) == []
    (place,) = differences("a b c d", "a b x c d")
    assert place["removed"].startswith("a b []") or "[]" in place["removed"]
    assert "[x" in place["kept"]


def test_long_texts_take_no_long_time() -> None:
    """Two megabytes without a common line are two columns in a moment."""
    begin = time.process_time()
    places = differences("\n".join(str(i) for i in range(400_000)), "很长的一行" * 400_000)
    assert places and time.process_time() - begin < 30
    assert max(len(place["removed"]) for place in places) < 200


def test_lines_that_repeat_take_no_long_time() -> None:
    """Lists of few different lines, which match in very many ways, are compared in a moment."""
    begin = time.process_time()
    (place,) = differences("a\n" * 10_000, "a\n" * 5_000 + "b\n" + "a\n" * 4_999)
    assert "[a]" in place["removed"] and "[b]" in place["kept"]
    assert differences("a\nb\n" * 5_000, "b\nb\na\n" * 3_333)
    assert differences("ab " * 6_000, "bb a " * 4_000)
    assert time.process_time() - begin < 10


def test_a_difference_far_into_two_texts_is_shown() -> None:
    """What two texts begin and end with in common counts for nothing, however long it is."""
    start, end = "一行文字。\n" * 100_000, "末尾。\n" * 100_000
    (place,) = differences(f"{start}甲\n{end}", f"{start}乙\n{end}")
    assert "[甲]" in place["removed"] and "[乙]" in place["kept"]


def test_blanks_and_controls_are_visible() -> None:
    """A line feed does not look like a space, and nothing reaches the terminal as a command."""
    (place,) = differences("甲乙 丙丁", "甲乙\n丙丁")
    assert place["removed"] != place["kept"] and "↵" in place["kept"]
    for place in differences("a \x1b[31mb", "a b"):
        assert place["removed"].isprintable() and place["kept"].isprintable()


@given(text=st.text(alphabet="ab 漢字[]e\u0301", max_size=60), cells=st.integers(5, 40))
def test_a_cell_has_its_width(text: str, cells: int) -> None:
    """For any content, a cell takes the requested columns of the terminal, or one less before a wide character."""
    assert cells - 1 <= wide(fit(text, cells)) <= cells


def test_columns_stand_one_below_the_other() -> None:
    """The separator is in the same column of every line."""
    lines = columns(
        [{"removed": "晚上[九]点", "kept": "晚上[十]点"}, {"removed": "a[b]c" * 30, "kept": "[]"}], 60
    )
    assert len({wide(line.partition(" | ")[0]) for line in lines}) == 1
    assert "[b]" in lines[2] or "[" in lines[2]
