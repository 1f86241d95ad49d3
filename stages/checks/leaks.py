"""Whether a question gives its own answer away."""

from __future__ import annotations

import re

from stages.checks.choices import find_options
from stages.checks.fold import fold
from stages.checks.numbers import find_numbers
from stages.checks.support import units

MIN_UNITS = 5
"""Least units of an answer in words whose whole occurrence in the question is a leak."""

MIN_VALUE_DIGITS = 3
"""Least significant digits of a number that does not occur in a question by chance."""

_TOLD = re.compile(
    r"####|【?(?:答案|解析|解答|参考答案)】?\s*[:：为是]|(?:所以|因此|故)答案|故选|\b(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is|:|=)\s*\S|"
    r"\b(?:hint|solution)\s*:",
    re.IGNORECASE,
)


def leaks(question: str, answer: str) -> str | None:
    """Return how a question gives its answer away; None if it does not.

    `marked`: it has a mark of an answer. `contained`: all words of the answer, in their order. `result`: the number of
    the answer as the result of an equation or as a number of three or more digits. Options are no leak.

    >>> leaks("What is 3+4? The answer is 7.", "7"), leaks("Tom has 7 apples. How many?", "7")
    ('marked', None)
    """
    text = fold(question)
    if _TOLD.search(text):
        return "marked"
    if find_options(question):
        return None
    wanted, have = units(answer), units(question)
    if len(wanted) >= MIN_UNITS and f" {' '.join(wanted)} " in f" {' '.join(have)} ":
        return "contained"
    numbers = find_numbers(answer)
    if len(numbers) != 1:
        return None
    values = set(numbers[0].values[:1])
    for number in find_numbers(question):
        if number.value in values:
            before = text[max(0, number.start - 2) : number.start].rstrip()
            after = text[number.end : number.end + 8]
            if before.endswith(("=", "≈")) and not re.match(r"\s*[-+*/×÷]", after):
                return "result"
            digits = re.sub(r"[^0-9]", "", text[number.start : number.end]).strip("0")
            if len(digits) >= MIN_VALUE_DIGITS and len(set(digits)) > 1:
                return "result"
    return None
