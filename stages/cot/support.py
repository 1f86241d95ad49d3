"""How well a worked solution holds together: is its answer grounded, are its steps linked, is it built as one.

Reads one text in match characters and ranges of it; writes a number in [0, 1].
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stages.cot.segment import Range

UNIT = re.compile(
    r"\d[\d,]*(?:\.\d+)?|[a-z]{3,}|(?<![a-z])[a-z](?![a-z])|[\u3400-\u9fff\U00020000-\U0003ffff]"
)
GROUNDED, LINKED, BUILT = 0.4, 0.3, 0.3
"""Weights. The answer counts most: every number of a right answer is in what leads to it (a check by anchors that
98 % of generated chains passed in a public pipeline)."""


def units(text: str, spans: Iterable[Range], stop_words: frozenset[str]) -> tuple[set[str], set[str]]:
    """Numbers in one form, and content: Han characters, words of 3 letters or more, variables of one."""
    found = {unit for start, end in spans for unit in UNIT.findall(text, start, end)}
    numbers = {unit for unit in found if unit[0].isdecimal()}
    return {plain_number(unit) for unit in numbers}, found - numbers - stop_words


def plain_number(text: str) -> str:
    """One form for a number.

    >>> plain_number("1,250.50"), plain_number("3.0"), plain_number("007")
    ('1250.5', '3', '7')
    """
    whole, _, fraction = text.replace(",", "").partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")


def support(
    text: str,
    question: Range,
    steps: Sequence[Range],
    answer: Range,
    structure: float,
    stop_words: frozenset[str],
) -> float:
    """0.4 grounded + 0.3 linked + 0.3 structure, to three decimals.

    grounded: share of the answer's numbers, and of its content, that occur in question or steps, the mean of
    those that there are. linked: share of steps that share a number or two content units with the question or
    a step before. structure: share of the parts that the author marked.
    """
    asked = units(text, [question], stop_words)
    parts = [units(text, [step], stop_words) for step in steps]
    seen = (set(asked[0]), set(asked[1]))
    n_linked = 0
    for numbers, words in parts:
        n_linked += bool(numbers & seen[0]) or len(words & seen[1]) >= 2
        seen[0].update(numbers)
        seen[1].update(words)
    wanted = units(text, [answer], stop_words)
    shares = [len(want & have) / len(want) for want, have in zip(wanted, seen, strict=True) if want]
    grounded = sum(shares) / len(shares) if shares else 0.0
    return round(GROUNDED * grounded + LINKED * n_linked / len(steps) + BUILT * structure, 3)
