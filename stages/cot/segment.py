"""Split a worked solution into lines, sentences and steps.

Takes a text in match characters; returns half-open ranges of its code points, in order, without blanks at their ends.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stages.cot.patterns import Patterns

if TYPE_CHECKING:
    from stages.cot.layout import Layout

Range = tuple[int, int]

BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
LINE = re.compile(rf"\S(?:[^{BREAKS}]*\S)?")
COMMENT = re.compile(r"<!--.*-->$")
SENTENCE_END = re.compile(  # it begins with one set of characters, for which Python searches fast
    r"[。！？；．.!?;](?:(?<=[。！？；．])[”’」』）)\"]*|"
    r"(?<=[.!?;])(?:(?<!\d\s.)[\"')\]]*(?=\s|$)|(?<=\d\s.)(?=\s\D|$)))"
)
PAIRED = (("\\begin", "\\end"), ("\\[", "\\]"))  # of displayed formulas
MAY_NUMBER = re.compile(r"[-*_#> \t【\[]*[\d(（第步s①-⑳]")
HEADER_ROLES = ("solution", "proof", "explanation", "answer")
HEADING = re.compile(r"#{1,6}\s")
STARTS_LOWER = re.compile(r"[a-z(`\[]|\$(?!\$)|\\(?!begin|item|end|\[)")
ENDS_SENTENCE = re.compile(r"[.!?:;。！？：；．,，、=$\]}>|][\"'”’)）*_]*$")
DIGITS = {char: i for i, char in enumerate("零一二三四五六七八九十")}
WRAP_CHARS = 60  # least length of a hard-wrapped line
MIN_STEP_CHARS = 2


def trim(text: str, start: int, end: int) -> Range:
    """Return the range without blanks at both ends; it may be empty."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def lines(text: str, start: int, end: int) -> Iterator[Range]:
    """Yield non-empty lines without blanks at their ends; HTML comments are skipped."""
    for match in LINE.finditer(text, start, end):
        if not (text.startswith("<!--", match.start()) and COMMENT.match(text, *match.span())):
            yield match.span()


def sentences(text: str, start: int, end: int) -> list[Range]:
    """Return non-empty sentences; a line break ends a sentence too."""
    pieces = []
    for first, last in lines(text, start, end):
        cuts = [first, *(match.end() for match in SENTENCE_END.finditer(text, first, last)), last]
        pieces += [trim(text, a, b) for a, b in itertools.pairwise(cuts)]
    return [(first, last) for first, last in pieces if first < last]


def cut_steps(
    text: str, start: int, end: int, layout: Layout, patterns: Patterns, least: int
) -> tuple[list[Range], str]:
    """Split a solution into steps: at numbers, else at lines, else at sentences, and if there are fewer than `least`
    sentences at clauses. A piece of code is a step.

    Returns: the steps, and how they were split: `numbered`, `lines` or `sentences`.
    """
    blocks = [(max(a, start), min(b, end)) for a, b in layout.code if a < end and b > start]
    gaps = [trim(text, a, b) for a, b in itertools.pairwise([start, *itertools.chain(*blocks), end])][::2]
    prose = [(a, b) for a, b in gaps if a < b]
    starts = _numbered(text, prose, patterns)
    if starts:
        pieces, cut = _numbered_steps(text, prose, starts, patterns), "numbered"
    else:
        pieces = [
            line for a, b in prose for line in lines(text, a, b) if not _is_header(text, *line, patterns)
        ]
        pieces, cut = _merge_short(text, unwrap(text, pieces)), "lines"
        if len(pieces) + len(blocks) < 2:
            parts = [part for a, b in prose for part in sentences(text, a, b)]
            pieces, cut = _merge_short(text, unwrap(text, parts)), "sentences"
            if len(pieces) < least:
                pieces = [part for piece in pieces for part in _clauses(text, *piece, patterns)]
    return sorted([*pieces, *blocks]), cut


def _numbered_steps(text: str, prose: list[Range], starts: list[int], patterns: Patterns) -> list[Range]:
    """Split prose before its numbered steps; a concluding line after the last one is a step of its own."""
    steps: list[Range] = []
    for begin, end in prose:
        own = [first for first in starts if begin <= first < end]
        if not own:
            steps += [line for line in lines(text, begin, end) if not _is_header(text, *line, patterns)]
            continue
        after = list(lines(text, own[-1], end))[1:]
        concluding = [first for first, _ in after if patterns.concludes.match(text, first)]
        steps += _ranges(text, [*_preface(text, begin, own[0]), *own, *concluding[:1], end])
    return steps


def _clauses(text: str, start: int, end: int, patterns: Patterns) -> list[Range]:
    """Split a sentence before clauses that draw a further conclusion."""
    return _ranges(
        text, [start, *(match.end() for match in patterns.clauses.finditer(text, start, end)), end]
    )


def _is_header(text: str, start: int, end: int, patterns: Patterns) -> bool:
    """Whether a line is a heading, or consists of a solution mark alone."""
    mark = patterns.marks.match(text, start)
    is_mark = (
        mark is not None
        and mark.lastgroup in HEADER_ROLES
        and not any(map(str.isalnum, text[mark.end() : end]))
    )
    return is_mark or bool(HEADING.match(text, start, end))


def _preface(text: str, start: int, first: int) -> list[int]:
    begin, end = trim(text, start, first)
    return [begin] if sum(map(str.isalnum, text[begin:end])) >= MIN_STEP_CHARS else []


def _numbered(text: str, prose: list[Range], patterns: Patterns) -> list[int]:
    """Offsets of steps numbered 1, 2, ..., in the style of numbering with most steps; empty if there are none."""
    places = [(first, end) for begin, end in prose for first, _ in sentences(text, begin, end)]
    starts = [(first, end) for first, end in places if MAY_NUMBER.match(text, first)]
    best: list[int] = []
    for pattern in patterns.numbers:
        run: list[int] = []
        for begin, end in starts:
            first = begin
            while first < end and text[first] in "*_-#> \t【[":
                first += 1
            match = pattern.match(text, first, end)
            if match and to_number(next(filter(None, match.groups()))) == len(run) + 1:
                run.append(begin)
        best = max(best, run, key=len)
    return best if len(best) > 1 else []


def to_number(text: str) -> int:
    """Return the value of 1 to 99 in ASCII or Chinese digits, or of a circled digit; -1 for anything else.

    >>> to_number("十二"), to_number("③"), to_number("7")
    (12, 3, 7)
    """
    if text.isdecimal():
        return int(text)
    if "①" <= text <= "⑳":
        return ord(text) - ord("①") + 1
    tens, ten, ones = text.rpartition("十")
    if any(char not in DIGITS for char in text) or len(tens) > 1 or len(ones) > 1:
        return -1
    return (DIGITS.get(tens, 1) * 10 if ten else 0) + (DIGITS[ones] if ones else 0)


def _ranges(text: str, cuts: Iterable[int]) -> list[Range]:
    ranges = [trim(text, a, b) for a, b in itertools.pairwise(cuts)]
    return [(first, last) for first, last in ranges if first < last]


def unwrap(text: str, ranges: Iterable[Range]) -> list[Range]:
    """Join hard-wrapped lines of a sentence, and lines of a displayed formula."""
    joined: list[Range] = []
    for first, last in ranges:
        if joined and _goes_on(text, *joined[-1], first):
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _goes_on(text: str, begin: int, end: int, first: int) -> bool:
    """Whether the line that begins at first continues the step before it."""
    if (
        text.count("$", begin, end) % 2
        and text.count("\n", end, first) < 2
        and text.find("$", first, first + WRAP_CHARS) >= 0
    ):
        return True  # the end of a sentence or of a line inside a formula
    if text.count("$$", begin, end) % 2 or (text[end - 1] in ":：" and text.startswith("$", first)):
        return True
    for opening, closing in PAIRED:
        if text.count(opening, begin, end) > text.count(closing, begin, end):
            return True
    broken = end - begin >= WRAP_CHARS and not ENDS_SENTENCE.search(text[max(begin, end - 4) : end])
    return broken and bool(STARTS_LOWER.match(text, first)) and text.count("\n", end, first) < 2


def _merge_short(text: str, ranges: list[Range]) -> list[Range]:
    """Join pieces with fewer than two letters or digits to the piece before."""
    merged: list[Range] = []
    for first, last in ranges:
        if merged and sum(map(str.isalnum, text[first:last])) < MIN_STEP_CHARS:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged
