"""The oracle of the signals: its parts on texts short enough to be counted by hand."""

from __future__ import annotations

import pytest

from stages.languages import load_profile
from tests.helpers.oracles import signals


def test_words_are_runs_or_single_characters() -> None:
    """Apostrophes join letters, digits make words, and each Han character is a word."""
    assert signals.find_words("The cat's 3 mice，图书馆") == ["The", "cat's", "3", "mice", "图", "书", "馆"]
    assert signals.find_words("rock 'n' roll") == ["rock", "n", "roll"]


def test_lines_lose_the_blanks_at_their_ends() -> None:
    """All line breaks of Unicode end a line, and empty lines are counted."""
    assert signals.find_lines(" a \r\n\r\nb\u2028\u3000c") == ["a", "", "b", "c"]


@pytest.mark.parametrize(
    ("text", "n_sentences"),
    [("One. Two! Three", 2), ("3.14 is pi.", 1), ("今天下雨。明天呢？", 2), ("...", 0), ("", 0)],
)
def test_sentences_end_at_marks_after_letters(text: str, n_sentences: int) -> None:
    """A full stop inside a number ends no sentence, and neither do marks without a letter before them."""
    assert signals.count_sentences(text) == n_sentences


def test_repeated_n_grams_are_counted_in_characters() -> None:
    """The top n-gram counts at all its occurrences, a duplicate n-gram from its second occurrence on."""
    assert signals.repeats(["ab", "c", "ab", "c"], 2) == (6, 3)
    assert signals.repeats(["ab", "c", "d"], 2) == (0, 0)
    assert signals.repeats(["ab"], 2) == (0, 0)


@pytest.mark.parametrize(
    ("line", "n_separators"),
    [("a | b | c", 2), ("a,b,c", 2), ("a, b, c", 0), ("a\tb", 1), ("a | b", 0), ("plain", 0)],
)
def test_separators_are_bars_tabs_or_commas(line: str, n_separators: int) -> None:
    """One bar, or commas before blanks, separate no cells."""
    assert signals.separators(line) == n_separators


def test_kinds_of_lines() -> None:
    """Headings, time codes, names of speakers and ends of prose are found, and their look-alikes are not."""
    assert signals.is_heading("## Use") and signals.is_heading("=====")
    assert not signals.is_heading("####### deep") and not signals.is_heading("#tag")
    assert signals.is_cue("00:01:02,000 --> 00:01:05,000") and signals.is_cue("[01:02.00] la")
    assert not signals.is_cue("12:30 lunch")
    assert [signals.label(line) for line in ("Alice: hi", "老师：好", "http://a", "no name")] == [
        "Alice", "老师", "", "",
    ]  # fmt: skip
    assert signals.ends_prose('He said "yes."') and not signals.ends_prose("Read more")
    assert signals.bracketed("【图 书】和【未完") == 2


def test_a_known_text_has_its_known_signals() -> None:
    """Counts and shares of a text of two lines, one of them twice."""
    row = signals.measure("The cat sat on the mat.\nThe cat sat on the mat.", load_profile("eng"))
    assert (row["n_chars"], row["n_words"], row["n_lines"], row["n_sentences"]) == (47, 12, 2, 2)
    assert (row["duplicate_line_share"], row["terminal_line_share"]) == (0.5, 1.0)
    assert row["unique_word_share"] == pytest.approx(5 / 12, abs=5e-4)
    assert row["duplicate_5_gram_char_share"] == 0.5
    assert row["han_char_share"] == row["digit_share"] == 0.0
