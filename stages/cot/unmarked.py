"""Divide a marked question from a solution that no mark begins.

The question ends where a folded part or a heading begins, or at the last sentence that asks.
"""

from __future__ import annotations

import re

from stages.cot.layout import NO_HEADING, Layout
from stages.cot.patterns import Patterns
from stages.cot.question import PARTS, SECTION_NUMBER
from stages.cot.segment import sentences

MAX_QUESTION_LINES = 40
FOLDS = re.compile(
    r"<d|<b|<su|</|\{%|:::|\?\?\?|`r "
)  # what opens or closes a folded part contains one of these


def divide(
    text: str,
    start: int,
    stop: int,
    layout: Layout,
    patterns: Patterns,
    headed: bool,
    folded: bool,
    is_query: bool = False,
) -> int | None:
    """Return the offset at which the solution of a question begins, or None.

    Args: start, stop: offsets of the question and of what follows question and solution; headed, whether a heading
    marks the question, so that a further heading ends it; folded, whether only a folded part may; is_query, whether a
    paragraph after the question is its answer.
    """
    if folded and not FOLDS.search(text, start, stop):
        return None
    asked: int | None = None  # the end of the last sentence that asks
    if headed and not folded:
        lines = (k for k, _, _ in layout.within(start, stop))
        inner = next(
            (
                k
                for k in lines
                if layout.starts[k] >= start
                and layout.level(k) < 7
                and not PARTS.match(text, *layout.range(k))
            ),
            None,
        )
        if inner is not None and not layout.code_at(layout.starts[inner]):
            return layout.ends[inner] if layout.ends[inner] < stop else None
    for n, (k, first, last) in enumerate(layout.within(start, stop)):
        if n > MAX_QUESTION_LINES:
            return None
        code = layout.code_at(first)
        if code:
            if folded:
                continue
            if asked is not None and first == code[0] and not _options_follow(layout, code[1], stop):
                return first
            asked = code[1] if asked is not None else None
            continue
        if layout.opens_fold(k) or (n and layout.closes(k)):
            if asked is not None:
                return last
            continue
        if folded:
            asked = last if patterns.demand(text[first:last]) else asked
            continue
        if layout.is_option(k):
            asked = last if asked is not None else None
            continue
        if n and layout.level(k) < NO_HEADING:
            words = SECTION_NUMBER.match(text, first, last)
            resumes = headed or patterns.resumes.match(text, words.end() if words else first, last)
            return last if asked is not None and layout.level(k) < 7 and resumes else None
        if asked is not None and layout.is_apart(k) and not patterns.demand(text[first:last]):
            begins = patterns.starts.match(text, first) or patterns.argues.search(text, first, last)
            return first if headed or is_query or begins else None
        if asked is None and not patterns.hints.search(text, first, last):
            continue
        for begin, end in sentences(text, first, last):
            if patterns.demand(text[begin:end]):
                asked = end
            elif asked is not None and begin > first and patterns.starts.match(text, begin):
                return begin
        if asked is not None and asked < last and layout.starts[k] == first and asked < first:
            if patterns.starts.match(text, first):
                return first
    return None


def _options_follow(layout: Layout, place: int, stop: int) -> bool:
    """Whether choices follow code."""
    k = layout.at(place)
    return k < len(layout) and layout.starts[k] < stop and layout.is_option(k)
