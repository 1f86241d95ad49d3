"""Choices of a multiple-choice question: whether a solution and its answer name the same one, and one that exists."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stages.cot.segment import Range

LABEL = re.compile(r"(?:^|[\s（(\[\-|])\(?([a-h])[)）\]]?\s?[.．、:：)）]", re.M)
LETTER = re.compile(r"\W*(?:\\?\(?(?:\\text|\\rm|\\mathrm)?\{?)?\s*([a-h])(?![a-z0-9'’])\W*")
CHOSEN = re.compile(
    r"(?:故选择?|应选择?|答案(?:是|为|选)|(?<![a-z])answer is|option)[：:]?\s?\(?(?:\$?\\(?:text|rm|mathrm)\{\s?)?([a-h])(?![a-z、,])"
)


def labels(text: str, start: int, end: int) -> set[str]:
    """Return the letters of the choices in a question, from `a` on without a gap; empty for fewer than two."""
    found = set(LABEL.findall(text, start, end))
    run: set[str] = set()
    for letter in "abcdefgh":
        if letter not in found:
            break
        run.add(letter)
    return run if len(run) > 1 else set()


def contradicts(text: str, question: Range, steps: Sequence[Range], answer: Range) -> bool:
    """Return whether the answer is a letter that is no choice, or another one than the solution names last."""
    letter = LETTER.fullmatch(text, *answer)
    if letter is None:
        return False
    choices = labels(text, *question)
    if not choices:
        return False
    if letter.group(1) not in choices:
        return True
    named = [match.group(1) for step in steps for match in CHOSEN.finditer(text, *step)]
    return bool(named) and named[-1] != letter.group(1)
