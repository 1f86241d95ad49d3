"""Positions found by the kernels against slow readings of the same text, and hints against their patterns."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.cot.patterns import load_patterns, pattern_paths
from stages.cot.question import BLANKS, has_blank
from stages.cot.scan import break_table, find_lines, find_places, find_signs, head_tables
from stages.cot.segment import sentences
from stages.kernels.text.tables import HAN, LATIN, NEWLINE, SPACE, load_tables
from stages.kernels.text.text import decode
from tests.helpers.paths import DEV_DATA

PATTERNS = load_patterns(pattern_paths())
HEADS = head_tables(PATTERNS.heads)
PIECES = [
    "解", "：", "题目", "。", ". ", ": ", "\n", "\r\n", "\n\n", " ", "\u3000", "\u200b", "Solution", "the answer", "a",
    "A: ", "Q:", "#### 5\n", "# ", "> ", ">", "?", "？", "**", "(1) ", "【", "甲", "x", "9", ") ", "`", "<", "\u0416",
]  # fmt: skip
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), max_size=3)


def slow_begins(text: str) -> Iterator[int]:
    """Offsets at which segments begin: at lines, behind signs, before brackets, and ideographs behind a blank."""
    classes, bits = load_tables().classes, break_table()
    kinds = [int(classes[ord(char)]) for char in text]
    fresh = True
    for i, kind in enumerate(kinds):
        own = int(bits[ord(text[i])])
        spaced = i > 0 and kinds[i - 1] == SPACE and kind >= HAN
        if kind <= NEWLINE and not fresh:
            fresh = kind == NEWLINE or (kind == SPACE and i > 0 and bool(bits[ord(text[i - 1])] & 2))
        elif kind > NEWLINE:
            if fresh or spaced or own & 4:
                yield i
            fresh = bool(own & 1)


@given(TEXTS)
@example(["解：x", " 甲"])
def test_places_are_words_behind_segments(docs: list[str]) -> None:
    """Each place has decorations from a begin on and a word or a result at most twelve characters behind it."""
    view = decode(pa.array(docs, pa.large_string()))
    signs = find_signs(*view)
    places = find_places(*view, signs.begins, load_tables().fold, *HEADS)
    begins = {(doc, int(view.starts[doc]) + i) for doc, text in enumerate(docs) for i in slow_begins(text)}
    assert {(doc, begin) for doc, begin, _ in places.tolist()} <= begins
    for doc, begin, word in places.tolist():
        assert begin <= word <= begin + 12 and word < view.starts[doc + 1]
        assert view.classes[word] >= LATIN or chr(view.codes[word]) == "#"
    words = {(doc, word - view.starts[doc]) for doc, _, word in places.tolist()}
    for doc, text in enumerate(docs):
        assert all((doc, i) in words for i in slow_begins(text) if text.startswith("题目", i)), text


@given(TEXTS)
def test_lines_are_those_of_a_slow_reader(docs: list[str]) -> None:
    """Visible part, breaks before and first character of each line that has more than `>` signs."""
    view = decode(pa.array(docs, pa.large_string()))
    found = find_lines(*view, find_signs(*view).breaks)
    for doc, text in enumerate(docs):
        rows, _ = found.of(doc)
        assert [tuple(row) for row in rows.tolist()] == list(slow_lines(text))


def slow_lines(text: str) -> Iterator[tuple[int, int, int, int]]:
    """The rows of `Lines.lines` for a text."""
    classes = load_tables().classes
    begin = n_breaks = 0
    while begin < len(text):
        stop = next((i for i in range(begin, len(text)) if classes[ord(text[i])] == NEWLINE), len(text))
        visible = [i for i in range(begin, stop) if classes[ord(text[i])] > SPACE]
        if any(text[i] != ">" for i in visible):
            yield visible[0], visible[-1] + 1, n_breaks, ord(text[visible[0]])
            n_breaks = 0
        begin = stop + (2 if text[stop : stop + 2] == "\r\n" else 1)
        n_breaks += 1


@pytest.mark.skipif(not (DEV_DATA / "cot_real.parquet").exists(), reason="needs shared/data")
def test_hints_rule_out_no_task() -> None:
    """Every sentence that states a task has a hint, and every blank what begins one."""
    fold = load_tables().fold
    for text in pq.read_table(DEV_DATA / "cot_real.parquet")["text"].to_pylist():
        matched = "".join(chr(fold[ord(char)] or ord(char)) for char in text)
        for start, end in sentences(matched, 0, len(matched)):
            sentence = matched[start:end]
            assert bool(PATTERNS.demand(sentence)) == bool(PATTERNS.demands.search(sentence)), sentence
            assert has_blank(sentence) == bool(BLANKS.search(sentence)), sentence
            assert PATTERNS.ask(sentence) == bool(PATTERNS.asks.search(sentence)), sentence
