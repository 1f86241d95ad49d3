"""The answer of a solution without a marked one: boxed, named, concluding, computed last, or the last step.

Takes a text in match characters and its steps; returns ranges.
"""

from __future__ import annotations

import re

from stages.cot.layout import Layout
from stages.cot.patterns import Patterns
from stages.cot.segment import Range, sentences, trim
from stages.cot.template import Config

BOXED = re.compile(r"\\boxed\s*\{")
VALUE = re.compile(r"[=＝≈]\s*([^=＝≈\s&\\{}][^=＝≈\n&]{0,40}?)[\s.。,，;；]*$")
BEGIN, END = re.compile(r"\\begin\s*\{"), re.compile(r"\\end\s*\{")
PAIRS = ("「」", "《》", "“”", "【】")


def is_whole(text: str, start: int, end: int) -> bool:
    """Return whether a range has no part of a formula, an environment or a quotation without its other part."""
    piece = text[start:end]
    dollars = piece.replace("\\$", "").count("$")
    if dollars % 2 and not (dollars == 1 and re.search(r"\$\s?\d", piece)):
        return False
    if "\\" in piece or "{" in piece or "}" in piece:
        bare = piece.replace("\\{", "").replace("\\}", "")
        depth = 0
        for char in bare:
            depth += (char == "{") - (char == "}")
            if depth < 0:
                return False
        if depth or len(BEGIN.findall(piece)) != len(END.findall(piece)):
            return False
        if piece.count("\\left") - piece.count("\\leftarrow") != piece.count("\\right") - piece.count("\\rightarrow"):
            return False
        if piece.count("\\(") != piece.count("\\)") or piece.count("\\[") != piece.count("\\]"):
            return False
    return all(piece.count(pair[0]) == piece.count(pair[1]) for pair in PAIRS)


def answer_within(
    text: str, steps: list[Range], layout: Layout, patterns: Patterns, config: Config, strict: bool
) -> tuple[list[Range], Range | None, str]:
    """Find the answer in the steps.

    Args: strict, whether the last step is accepted only if it concludes.
    Returns: the steps without the answer (one that is part of a sentence remains in its step); the answer, or None; its
    kind: `boxed`, `answer` if words name it, else "".
    """
    for start, end in reversed(steps):
        for match in reversed(list(BOXED.finditer(text, start, end))):
            closed = _closing_brace(text, match.end(), end)
            if trim(text, match.end(), closed)[0] < closed:
                return steps, trim(text, match.end(), closed), "boxed"
    prose = [step for step in steps if not layout.code_at(step[0])]
    if not prose:
        return steps, None, ""
    start, end = prose[-1]
    last = sentences(text, start, end)[-1]
    named = list(patterns.settles.finditer(text, start, end))
    if named and named[-1].lastindex:
        found = trim(text, *named[-1].span(named[-1].lastindex))
        if is_whole(text, *found):
            return steps, found, "answer"
    if layout.code_at(steps[-1][0]) and len(steps) > config.min_steps:
        return steps[:-1], steps[-1], ""
    if prose[-1] != steps[-1]:
        return steps, last, ""
    if start < last[0] and patterns.concludes.match(text, last[0]) and is_whole(text, *last):
        return [*steps[:-1], trim(text, start, last[0])], last, ""
    concludes = patterns.concludes.match(text, start)
    if concludes and len(steps) > config.min_steps:
        return steps[:-1], (start, end), ""
    value = VALUE.search(text, *last)
    if value and (concludes or not strict) and is_whole(text, *value.span(1)):
        return steps, value.span(1), ""
    if len(steps) > config.min_steps and not strict:
        return steps[:-1], (start, end), ""
    if last[0] > start and not strict and is_whole(text, *last):
        return [*steps[:-1], trim(text, start, last[0])], last, ""
    return steps, last if not strict or concludes else None, ""


def _closing_brace(text: str, start: int, end: int) -> int:
    """Offset of the brace that closes the one before start; end if there is none."""
    depth = 1
    for i in range(start, end):
        depth += (text[i] == "{") - (text[i] == "}")
        if not depth:
            return i
    return end
