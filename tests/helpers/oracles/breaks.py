"""Breaks of texts in plain Python: the oracle of `kernels.passages.breaks`."""

from __future__ import annotations

import re
from collections.abc import Callable

from stages.kernels.passages.breaks import CLAUSE, INSIDE_WORD, SENTENCE_OR_LINE, UNSEEN, WORD
from stages.kernels.text.lines import CLOSER, SENTENCE, SENTENCE_BEFORE_BLANK
from stages.kernels.text.tables import DIGIT, HAN, LATIN, MARK, NEWLINE, OTHER, PUNCT, SPACE, load_tables
from stages.languages import load_roles

CLASSES, ROLES = load_tables().classes, load_roles()
CLAUSE_MARKS = ",:;、，：；､"
SMALL = re.compile("[a-zß-ÿά-ώа-џ]")


def kind(char: str) -> int:
    """The class of a character."""
    return int(CLASSES[ord(char)])


def plays(char: str, *roles: int) -> bool:
    """Whether a character has one of these roles."""
    return ord(char) < 0x10000 and any(ROLES[ord(char)] & role for role in roles)


def blank(char: str) -> bool:
    """Whether a character is a blank or a line break."""
    return kind(char) in (SPACE, NEWLINE)


def split_blanks(text: str) -> tuple[str, str]:
    """A text without the blanks at its end, and these blanks."""
    n = len(text)
    while n and blank(text[n - 1]):
        n -= 1
    return text[:n], text[n:]


def ends_in_sentence(before: str, after: str) -> bool:
    """Whether a text ends a sentence, before `after`, which includes the blanks between."""
    core = before
    while len(core) > 1 and plays(core[-1], CLOSER):
        core = core[:-1]
    mark, rest = core[-1], before[len(core) :] + after
    if kind(mark) != PUNCT:
        return False
    if plays(mark, SENTENCE):
        return True
    if not plays(mark, SENTENCE_BEFORE_BLANK):
        return False
    while rest and plays(rest[0], SENTENCE, SENTENCE_BEFORE_BLANK, CLOSER):
        rest = rest[1:]
    between_wide = len(core) > 1 and kind(core[-2]) >= HAN and rest and kind(rest[0]) >= HAN
    if rest and not blank(rest[0]) and not between_wide:
        return False
    if mark != ".":
        return True
    stem = core[:-1]
    if stem and kind(stem[-1]) == DIGIT:
        while stem and kind(stem[-1]) == DIGIT:
            stem = stem[:-1]
        while stem and kind(stem[-1]) == SPACE:
            stem = stem[:-1]
        return bool(stem) and kind(stem[-1]) != NEWLINE
    word = ""
    while stem and kind(stem[-1]) in (LATIN, MARK):
        word, stem = stem[-1] + word, stem[:-1]
    return not word or (len(word) > 1 and (len(word) > 3 or bool(SMALL.match(word))))


def strength(text: str, p: int) -> int:
    """The strength of the break at p, which is a visible character or the end of the text."""
    before, blanks = split_blanks(text[:p])
    if p == len(text) or not before:
        return SENTENCE_OR_LINE
    last, first = before[-1], text[p]
    n_lines = sum(kind(c) == NEWLINE for c in blanks)
    in_sentence = kind(last) < HAN and (kind(last) >= DIGIT or last in CLAUSE_MARKS)
    goes_on = in_sentence and bool(SMALL.match(first))
    if n_lines > 1 or (n_lines == 1 and not goes_on):
        return SENTENCE_OR_LINE
    if not blanks:
        if kind(first) in (MARK, OTHER) or kind(last) == OTHER:
            return INSIDE_WORD
        if kind(first) == PUNCT and (
            plays(first, SENTENCE, SENTENCE_BEFORE_BLANK, CLOSER) or first in CLAUSE_MARKS
        ):
            return UNSEEN
    if ends_in_sentence(before, blanks + text[p:]) and not SMALL.match(first):
        return SENTENCE_OR_LINE
    if last in CLAUSE_MARKS and (blanks or kind(first) >= HAN or last not in ",:;"):
        return CLAUSE
    if blanks:
        return WORD
    wide = (kind(last) >= HAN, kind(first) >= HAN)
    if all(wide):
        return UNSEEN
    if kind(last) >= DIGIT and kind(first) >= DIGIT:
        if not any(wide):
            return INSIDE_WORD
        return UNSEEN if DIGIT in (kind(last), kind(first)) else WORD
    return WORD if any(wide) else UNSEEN


def moved(text: str, start: int, end: int, half: int, weigh: Callable[[str], int]) -> tuple[int, int]:
    """Where a range may be cut: the strongest break near each end, see `kernels.passages.breaks.move_inwards`."""

    def nearest(places: list[tuple[int, int]], weights: list[int], none: int) -> int:
        best, place, weight = INSIDE_WORD, none, 0
        for (here, p), passed in zip(places, [0, *weights], strict=True):
            weight += passed
            if weight >= half and best > INSIDE_WORD:
                break
            if (p == len(text) or not blank(text[p])) and strength(text, p) > best:
                best, place = strength(text, p), here
            if best == SENTENCE_OR_LINE:
                break
        return place

    after = end
    while after < len(text) and blank(text[after]):
        after += 1
    forward = [(p, p) for p in range(start, end + 1)]
    backward = [(end, after), *((p, p) for p in range(end - 1, start - 1, -1))]
    weights = [weigh(char) for char in text[start:end]]
    return nearest(forward, weights, end), nearest(backward, weights[::-1], start)
