"""Raised numbers of a page as superscript characters: `10<sup>6</sup>` is 10⁶, where its text alone would be 106.

A raised number is an exponent behind a digit, 10, a single letter, a unit or a bracket with a formula; anywhere else it
is most often the mark of a footnote, and stays as it is. Operates on the serialised page, in linear time.
"""

from __future__ import annotations

import re

RAISED = re.compile(
    r"([0-9A-Za-z)\]\u7c73])((?:</(?:i|em|var|b|strong|span|font)>){0,3})<sup>(?:<(?:i|em|var)>)?\s?"
    r"([-+\u2212\u2013]?\d{1,3}|[-\u2212\u2013]?[nNxkmt])\s?(?:</(?:i|em|var)>)?</sup>(?!\s?<sup)"
)
"""The character before (the last is 米), the end tags between, and what is raised; several raised pieces in a row are
footnotes."""

SUPERSCRIPTS = str.maketrans("0123456789+-\u2212\u2013n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻ⁿ")

BASE = re.compile(r"(?<![0-9A-Za-z,.])(?:\d|10|(?<!/)[A-Za-z])$")
"""Behind these a number is an exponent."""

OF_LETTER = re.compile(r"(?<![0-9A-Za-z,.])(?:2|10|[A-Za-z])$")
"""Behind these a letter is an exponent; behind other numbers it is the mark of a footnote in a table."""

UNIT = re.compile(r"(?<![A-Za-z])(?:[kcdmnµμ]?m|ft|in|mi|yd|s|kg|mol|Hz|K|L)$|\u7c73$")
"""Behind these 2, 3 and negative numbers are exponents."""

FORMULA = re.compile(
    r"[(\[](?![^()\[\]]*[A-Za-z]{3})[^()\[\]<>]{0,20}[-+\u2212*/=^0-9][^()\[\]<>]{0,20}[)\]]$"
)
"""A bracket that contains a formula and no words."""

TAGS = re.compile(r"<[^<>]*>")

LOOK_BACK = 160
"""Characters of markup that are read before a raised number."""


def superscripts(source: str) -> str:
    """Return a serialised page with exponents as superscript characters; letters without one follow `^`."""
    return RAISED.sub(_raise, source) if "<sup>" in source else source


def _raise(match: re.Match[str]) -> str:
    before = match.string[max(match.end(1) - LOOK_BACK, 0) : match.end(1)]
    if match[2]:  # `2a<i>x</i>`: the element alone is raised to a power
        before = before[before.rfind(">") + 1 :]
    if not _is_exponent(TAGS.sub("", before), match[3]):
        return match[0]
    made = match[3].translate(SUPERSCRIPTS)
    return f"{match[1]}{match[2]}" + (f"^{match[3]}" if made[-1] in "Nxkmt" else made)


def _is_exponent(text: str, raised: str) -> bool:
    """Whether what is raised is an exponent. Args: text, what is before it."""
    if raised == "1":
        return False
    if text.endswith((")", "]")):
        return len(raised.lstrip("-+\u2212\u2013")) == 1 and FORMULA.search(text) is not None
    if raised[-1].isalpha():
        return OF_LETTER.search(text) is not None
    if UNIT.search(text) and (raised in ("2", "3") or not raised[0].isdigit()):
        return True
    return BASE.search(text) is not None
