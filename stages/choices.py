"""Multiple-choice items: where the question ends and the choices begin, and whether a text asks the question.

Choices quote what they ask about, often to the letter: statutes, definitions, verses. A text that contains them and not
the question is their source, not a copy of the item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from stages.kernels.text.grams import find_units
from stages.kernels.text.hashing import ODD_A
from stages.kernels.text.text import load_tables, view
from stages.languages import load_asking

MARKER = re.compile(
    r"(?:^|(?<=[\s。．.？?！!；;:：)）]))[(（\[【]?([A-Ja-jＡ-Ｊ])[)）\]】.．、:：](?=\s*\S)", re.M
)
"""A letter of a choice: (A), A. or A、, at the beginning of a line or behind a blank or a mark."""

HEADING = re.compile(
    r"^[^\S\n]*(?:options|choices|answer choices|选项|選項|备选答案)[^\S\n]*[:：]?[^\S\n]*$", re.M | re.I
)
"""A line that announces the choices."""

LINES = 4
"""Choices without letters, one on each line; MMLU has four."""

LONGEST_LINE = 400

PASSAGE_UNITS = 150
"""Units from which a question contains a passage to read."""

END_UNITS, LEAST_END = 10, 0.6
"""The end of a question, in units, and the least share of it that must occur."""

LEAST_BEGINNING, WITHOUT_GAPS = 0.5, 0.98
"""Least share of a question up to the last unit that occurs, and least share of the units up to there."""

QUESTION_WINDOW = 4
"""Units per gram of a question near a hit."""

GRAM_FACTORS = np.array([3, 5, 7, 11], np.uint64) * ODD_A
"""Factors of the units of a gram."""


def question_end(item: str) -> int | None:
    """Return the length of the question in front of the choices, None if no choices are found.

    Choices are lettered from A, in order, two or more of them; or follow a heading; or are the last four lines.
    """
    heading = HEADING.search(item)
    ends = [heading.start()] if heading else []
    ends += [start] if (start := _first_letter(item)) is not None else []
    if ends:
        end = min(ends)
    else:
        lines = item.rstrip().split("\n")
        choices = lines[-LINES:]
        if len(lines) <= LINES or not all(0 < len(line.strip()) <= LONGEST_LINE for line in choices):
            return None
        if any(line.rstrip().endswith(("?", "？")) for line in choices):
            return None
        end = len("\n".join(lines[:-LINES]))
    return end if item[:end].strip() else None


def list_choices(item: str, end: int) -> list[str]:
    """Return the choices of an item without their letters. Args: end, the length of its question."""
    marks = [match for match in MARKER.finditer(item) if match.start() >= end - 1]
    if len(marks) < 2:
        lines = [line.strip(" -*•·\t") for line in item[end:].split("\n") if not HEADING.match(line)]
        return [line for line in lines if line]
    ends = [match.start() for match in marks[1:]] + [len(item)]
    return [item[match.end() : stop].strip() for match, stop in zip(marks, ends, strict=True)]


def letters(item: str) -> list[int]:
    """Return the places of the letters that may mark choices."""
    return [match.start(1) for match in MARKER.finditer(item)]


def _first_letter(item: str) -> int | None:
    """Return where the last series A, B, ... of letters begins, None without one of at least two."""
    found: int | None = None
    expected, begin = "A", 0
    for match in MARKER.finditer(item):
        letter = chr(ord(match[1]) - 0xFEE0) if ord(match[1]) > 0xFF00 else match[1]
        if letter.upper() == "A":
            begin, expected = match.start(), chr(ord(letter) + 1)
        elif letter == expected:
            if letter.upper() == "B":
                found = begin
            expected = chr(ord(letter) + 1)
    return found


class Question(NamedTuple):
    """What shows that an item with choices is asked, and not only what it quotes.

    units: uint64 (n_units,), of the item, or of its question alone. length: units of the question. asking: bool
    (n_units,), units of words that ask, and the letters of choices.
    """

    units: np.ndarray
    length: int
    asking: np.ndarray


def list_questions(texts: Sequence[str], ends: Sequence[int | None]) -> list[Question | None]:
    """Return the question of each text, None for one without choices.

    Args: texts, of items with choices, or of their questions alone; ends, length of the question of each, None without
    choices.
    """
    if not len(texts):
        return []
    codes, starts, classes = view(pa.array(texts, pa.large_string()))
    units, begins, unit_starts = find_units(codes, starts, classes, load_tables().fold)
    words = _asking_words()
    questions: list[Question | None] = []
    for i, (text, end) in enumerate(zip(texts, ends, strict=True)):
        if end is None:
            questions.append(None)
            continue
        mine = slice(unit_starts[i], unit_starts[i + 1])
        places = begins[mine] - starts[i]
        length = int(np.searchsorted(places, end))
        asking = np.isin(places, [place for place in letters(text) if place >= end])
        asking[:length] |= _mark_words(units[mine][:length], words)
        questions.append(Question(units[mine].copy(), length, asking))
    return questions


def asks(question: Question, near: np.ndarray) -> bool:
    """Whether a range of a document asks a question, beyond what the question quotes.

    A statute contains "shall decide within" and not "within how many days?". So one of these must occur with its
    neighbours: a word that asks; the letter of a choice; the end of the question with the first choice. Without a word
    that asks, the end of the question may as well occur alone. Otherwise the range must contain the question from its
    beginning without gaps, as a copy that is cut off does. A long question is a passage to read, most of which
    identifies it.

    Args: near, units of the range, uint64 (n,). Grams are shorter than those that find an item, since only text around
    a hit is compared.
    """
    length, n = question.length, min(QUESTION_WINDOW, len(question.units))
    if length >= PASSAGE_UNITS:
        return True
    if len(near) < n:
        return False
    grams, others = (sliding_window_view(units, n) @ GRAM_FACTORS[:n] for units in (question.units, near))
    begins = np.flatnonzero(np.isin(grams, others))
    covered = np.zeros(len(question.units), bool)
    for offset in range(n):
        covered[begins + offset] = True
    meets_choices = ((begins < length) & (begins + n > length)).any()
    if meets_choices or (covered & question.asking).any():
        return True
    covered = covered[:length]
    if not question.asking[:length].any() and covered[-END_UNITS:].mean() >= LEAST_END:
        return True
    n_covered = np.cumsum(covered)
    without_gaps = np.flatnonzero(n_covered >= WITHOUT_GAPS * np.arange(1, length + 1))
    return len(without_gaps) > 0 and bool(without_gaps[-1] + 1 >= LEAST_BEGINNING * length)


def _asking_words() -> set[tuple[int, ...]]:
    """Return the words that ask, as units."""
    codes, starts, classes = view(pa.array(load_asking(), pa.large_string()))
    units, _, unit_starts = find_units(codes, starts, classes, load_tables().fold)
    return {tuple(word.tolist()) for word in np.split(units, unit_starts[1:-1])}


def _mark_words(units: np.ndarray, words: set[tuple[int, ...]]) -> np.ndarray:
    """Return which units belong to one of the words: bool (n_units,)."""
    marks, listed = np.zeros(len(units), bool), units.tolist()
    for length in {len(word) for word in words}:
        for i in range(len(listed) - length + 1):
            if tuple(listed[i : i + length]) in words:
                marks[i : i + length] = True
    return marks
