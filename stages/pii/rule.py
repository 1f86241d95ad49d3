"""A rule: one form of a kind of personal data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Rule(NamedTuple):
    """One form of a kind: the signs of the candidates it applies to, its pattern, and the check of a match."""

    kind: str
    sign: int
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool]


def always(match: re.Match[str]) -> bool:
    """Accept every match: the form is unambiguous."""
    return True


def form(kind: str, sign: int, pattern: str, holds: Callable[[re.Match[str]], bool] = always) -> Rule:
    """Build the rule of one form of a value behind the word that introduces it. pattern: group `v` is the value."""
    return Rule(kind, sign, re.compile(pattern), holds)


LEFT = r"(?<![0-9A-Za-z_])(?<![0-9][.,\-])(?<![0-9A-Za-z][/=&#?\-])(?<![¥￥$€£])"
"""The value is not part of a word, a longer number, or the path or query of a URL, and is not a price."""
JOINED = r"(?<=[0-9Xx][/,])"
"""Behind another number; `neighbours.is_free` decides whether that one is of the same sort."""
RIGHT = r"(?![0-9A-Za-z_@])(?![.,\-][0-9])"
NEXT = r"(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}|0\d{2,3}[ -]?\d{4}|\d{3}-\d{3}-\d{4}|\d{14})"
JOINED_RIGHT = rf"(?![0-9A-Za-z_@])(?![.\-][0-9])(?!,(?!{NEXT})[0-9])"
"""As RIGHT, but another number of its own may follow a comma."""
NO_UNIT = r"(?! ?[元圆%万萬亿億股吨人次])"
IS = r"(?: ?[是为為]| is(?= ))?"
