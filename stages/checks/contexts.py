"""What is beside a number: a number that a source has, but never there, contradicts it.

`Tom has 5 apples` is not grounded in `Tom has 8 apples and Ann has 5`: beside `has` and `apples` the source has 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from stages.checks.fold import fold
from stages.checks.numbers import Number

Contexts = Mapping[tuple[str, ...], frozenset[Fraction]]
"""Words beside a number -> values of the numbers there."""

_UNIT = re.compile(r"[A-Za-z\u00c0-\u024f]+|[\u3400-\u9fff]|[-+*/×÷=<>≤≥≈^]|\\[a-z]+")
_WINDOW = 40


def _beside(text: str, number: Number) -> list[tuple[str, ...]]:
    """Return the contexts of a number: the words on both sides, the two before, the two after."""
    before = [unit.lower() for unit in _UNIT.findall(text[max(0, number.start - _WINDOW) : number.start])][
        -2:
    ]
    after = [unit.lower() for unit in _UNIT.findall(text[number.end : number.end + _WINDOW])][:2]
    contexts: list[tuple[str, ...]] = []
    if before and after:
        contexts.append(("both", before[-1], after[0]))
    if len(before) == 2:
        contexts.append(("before", *before))
    if len(after) == 2:
        contexts.append(("after", *after))
    return contexts


def read_contexts(text: str, numbers: Iterable[Number]) -> Contexts:
    """Return the values of all numbers of a text by what is beside them."""
    folded = fold(text)
    found: dict[tuple[str, ...], set[Fraction]] = {}
    for number in numbers:
        for context in _beside(folded, number):
            found.setdefault(context, set()).update(number.values)
    return {context: frozenset(values) for context, values in found.items()}


def contradicts(text: str, number: Number, known: Contexts) -> bool:
    """Whether a source has other numbers in the contexts of a number, on both sides, and never this one in any of them."""
    contexts = [context for context in _beside(fold(text), number) if context in known]
    values = {value for context in contexts for value in known[context]}
    if values & set(number.values) or not any(context[0] == "both" for context in contexts):
        return False
    return len(contexts) > 1
