"""Numbers at the start of each line of preformatted text, as an element of each line. They are never text.

Editors, exporters and highlighters write them in front of the code, often with no class at all, so they are found by
structure: each line begins with an element that contains a number alone, and the numbers count. Cut from the serialised
page, since elements that only colour a text are no nodes of a page.
"""

from __future__ import annotations

import re
from itertools import pairwise

from stages.extraction.labels import CLASS, LINE_NUMBER, NUMBERS

BLOCK = re.compile(r"<pre(?=[ >])[^<>]*>")
ADJACENT = re.compile(r"\s*<pre(?=[ >])")

LINE = re.compile(r"\n|(?=<br>|<(?:div|li|p|tr|pre)[ >])|(?<=<br>)|</(?:div|li|p|tr|pre)>")
"""Where a line of preformatted text ends."""

NUMBER = re.compile(
    r"(?:<[^<>]*>|\s)*?"
    r"(<(span|a|font|i|b|em|strong|small|code|tt|var|div)(?=[ >])([^<>]*)>"
    r"[\s\u00a0]{0,9}(\d{1,6})[\s\u00a0]{0,9}[:.|]?[\s\u00a0]{0,9}</\2>)"
)
"""An element with a number alone, behind other tags."""

TEXT = re.compile(r"<[^<>]*>")
STYLE = re.compile(r'\sstyle="([^"]*)"')

LITERAL = re.compile(
    r"(?:^|[\s_-])(?:m[bfhio]?|il|lit|nu\d|number|literal|numeric|constant|pl-c1)(?:$|\s)", re.IGNORECASE
)
"""Classes that highlighters give to numbers of the code itself."""

COLUMN = re.compile(r"<code(?=[ >])[^<>]*>((?:</?span[^<>]*>|[\d\s])*)</code>(?=(?:\s|<[^<>]*>)*?<code)")
"""Numbers before the code, in an element of the same preformatted text."""

LEAST = 3
"""Lines that must count, if the class of their numbers does not say what they are."""

NUMBERED = 0.9
"""Least share of lines that begin with a number; others are the rest of a line that was folded."""


def cut_inline_numbers(source: str) -> str:
    """Cut the numbers of lines within preformatted text from a serialised page."""
    parts: list[str] = []
    done = 0
    while found := BLOCK.search(source, done):
        end = source.find("</pre>", found.end())
        while end >= 0 and (more := ADJACENT.match(source, end + 6)):  # one element for each line
            end = source.find("</pre>", more.end())
        if end < 0:
            break
        parts += (source[done : found.end()], _without_numbers(source[found.end() : end]))
        done = end
    return "".join(parts) + source[done:] if parts else source


def _without_numbers(code: str) -> str:
    """Cut the numbers of the lines of one text."""
    if "<" not in code:
        return code
    if (column := COLUMN.match(code.lstrip())) and _count(
        [int(word) for word in TEXT.sub("", column[1]).split()]
    ):
        code = code.lstrip()[column.end() :]
    ends = [0, *(end.end() for end in LINE.finditer(code)), len(code)]
    found: list[re.Match[str]] = []
    n_lines, least = 0, LEAST
    for start, end in pairwise(ends):
        number = NUMBER.match(code, start, end)
        if number:
            found.append(number)
        elif n_lines > 20 and len(found) < NUMBERED * n_lines - 2:
            return code
        n_lines += number is not None or _has_text(code[start:end])
        if not found and n_lines > 1:
            return code
    if not found:
        return code
    name = _class(found[0][3])
    if not LINE_NUMBER.search(name) and LITERAL.search(name):
        return code
    if NUMBERS.search(name):
        least = 1
    if len(found) < least or len(found) < NUMBERED * n_lines or not _count([int(n[4]) for n in found]):
        return code
    kinds = {_kind(number[3]) for number in found}
    if len(kinds) > 1 or _elsewhere(code, found):
        return code
    rests = [code[number.end(1) : end] for number, end in zip(found, _ends_of(found, ends), strict=True)]
    rests = [text for rest in rests if (text := TEXT.sub("", rest)).strip()]
    if not rests:
        return code  # a column of numbers, or a list of them
    blank = all(rest[0] in " \u00a0" for rest in rests) or all(rest.startswith("&nbsp;") for rest in rests)
    parts, done = [], 0
    for number in found:
        parts.append(code[done : number.start(1)])
        done = number.end(1)
        if blank and (gap := re.compile(r"(?:<[^<>]*>)*?(&nbsp;|[ \u00a0])").match(code, done)):
            parts.append(code[done : gap.start(1)])
            done = gap.end(1)
    return "".join(parts) + code[done:]


def _ends_of(found: list[re.Match[str]], ends: list[int]) -> list[int]:
    """Where the line of each number ends."""
    result, at = [], 0
    for number in found:
        while ends[at] < number.end():
            at += 1
        result.append(ends[at])
    return result


def _count(numbers: list[int]) -> bool:
    return len(numbers) > 0 and all(b == a + 1 for a, b in pairwise(numbers))


def _has_text(line: str) -> bool:
    return not TEXT.sub("", line).isspace() and TEXT.sub("", line) != ""


def _class(markup: str) -> str:
    return found[1] if (found := CLASS.search(markup)) else ""


def _kind(markup: str) -> tuple[str, str]:
    """What the numbers of one text have in common: class and style."""
    return _class(markup), found[1] if (found := STYLE.search(markup)) else ""


def _elsewhere(code: str, found: list[re.Match[str]]) -> bool:
    """Whether a line has a second element of the same kind that contains a number alone: rows of data."""
    tag, kind = found[0][2], _kind(found[0][3])
    same = re.compile(rf"<{tag}(?=[ >])([^<>]*)>[\s\u00a0]*\d+[\s\u00a0]*</{tag}>").findall(code)
    return sum(_kind(markup) == kind for markup in same) > len(found)
