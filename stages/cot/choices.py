"""Letters of the choices of a multiple-choice question, in match characters."""

from __future__ import annotations

import re

FIRST = re.compile(r"a[)）\]]?\s?[.．、:：)）]")  # found fast, and missing where there are no choices
LABEL = re.compile(r"(?:^|[\s（(\[\-|$])\(?([a-h])[)）\]]?\s?[.．、:：)）]", re.M)


def labels(text: str, start: int, end: int) -> set[str]:
    """Return the letters of the choices in a question, from `a` on without a gap; empty for fewer than two."""
    if not FIRST.search(text, start, end):
        return set()
    found = set(LABEL.findall(text, start, end))
    run: set[str] = set()
    for letter in "abcdefgh":
        if letter not in found:
            break
        run.add(letter)
    return run if len(run) > 1 else set()
