"""The answer of a solution without a marked one: boxed, named, concluding, computed last, or the last step.

Takes a text in match characters and its steps; returns ranges.
"""

from __future__ import annotations

import re

from stages.cot.layout import Layout
from stages.cot.patterns import Patterns
from stages.cot.segment import Range, sentences, trim, unwrap
from stages.cot.template import Config

BOXED = re.compile(r"\\boxed\s*\{")
RELATION = re.compile(r"[=＝≈]|\\(?:approx|equiv|simeq)(?![a-z])|=>|[⇒→]")
TAIL = re.compile(r"(?:\s|[.。,，;；!！|]|\\[\])]|\\end\{[a-z*]+\}|\$|</?[a-z][^<>]*>|\\\\|\*\*)+$")
WORD = re.compile(r"(?<![a-z\\])[a-z]{3,}")
VALUE_WORDS = 3
REASON = re.compile(r"([^。.\n]{1,120}?)[,，;；]?\s*(?:because|(?<![a-z])since(?![a-z])|因为|由于)")
VALUE_CHARS = 80
SENTENCE_CHARS = 400  # at most, of one that goes over several lines
ABOUT = re.compile(r"≈|\\(?:approx|simeq)")
APART = re.compile(r"[\n，；。;]|, ")  # between a value and one that is not the same
UNFINISHED = re.compile(r"(?:[-+*/×÷·<>≤≥]|\\(?:[lg]eq?|cdot|times|pm|sim))\s*$")
CLAUSES = re.compile(r"[，。；！]|[\u4e00-\u9fff]{9}")  # words that are no value
BEGIN, END = re.compile(r"\\begin\s*\{"), re.compile(r"\\end\s*\{")
AMOUNT = re.compile(r"\$\d[\d,]*(?:\.\d+)?(?=[\s,.;:?!)'’/-]|\Z)")
MATHML = re.compile(
    r"<(/?)(?:m(?:ath|row|[inos]|text|frac|su[bp]|subsup|sqrt|root|style|table|t[rd]|over|under)|semantics|annotation)(?![a-z-])[^<>]*?(/?)>"
)
PAIRS = ("「」", "《》", "“”", "【】")


def is_whole(text: str, start: int, end: int) -> bool:
    """Return whether a range has no part of a formula, environment, quotation or code without its other part."""
    piece = text[start:end]
    if piece.count("```") % 2 or ("<" in piece and not _is_balanced(piece)):
        return False
    dollars = piece.replace("\\$", "")
    if dollars.count("$$") % 2:
        return False
    if dollars.count("$") % 2 and AMOUNT.sub("", dollars).count("$") % 2:
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
        if piece.count("\\left") - piece.count("\\leftarrow") != piece.count("\\right") - piece.count(
            "\\rightarrow"
        ):
            return False
        if piece.count("\\(") != piece.count("\\)") or piece.count("\\[") != piece.count("\\]"):
            return False
    return all(piece.count(pair[0]) == piece.count(pair[1]) for pair in PAIRS)


def _is_balanced(piece: str) -> bool:
    """Whether each element of a formula in MathML is closed, and none is closed that is not open."""
    depth = 0
    for closing, single in MATHML.findall(piece):
        depth += 0 if single else -1 if closing else 1
        if depth < 0:
            return False
    return depth == 0


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
    if len(steps) == 1 and (reason := REASON.match(text, *steps[0])):
        return steps, trim(text, *reason.span(1)), ""
    start, end = prose[-1]
    last = whole_sentence(text, start, end)
    named = list(patterns.settles.finditer(text, start, end))
    if named and named[-1].lastindex:
        found = trim(text, *named[-1].span(named[-1].lastindex))
        if is_whole(text, *found):
            return steps, found, "answer"
    least = max(config.min_steps, 2)
    if layout.code_at(steps[-1][0]) and len(steps) > config.min_steps:
        return (steps[:-1] if len(steps) > least else steps), steps[-1], ""
    if prose[-1] != steps[-1]:
        return steps, last, ""
    if start < last[0] and patterns.concludes.match(text, last[0]) and is_whole(text, *last):
        return [*steps[:-1], trim(text, start, last[0])], last, ""
    concludes = patterns.concludes.match(text, start)
    if concludes and len(steps) > least:
        return steps[:-1], (start, end), ""
    value = last_value(text, *last)
    if value and (concludes or not strict):
        return steps, value, ""
    if len(steps) > least and not strict:
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


def whole_sentence(text: str, start: int, end: int) -> Range:
    """Return the last sentence of a step, or more of it until no formula is cut.

    Lines of a hard-wrapped sentence are joined, unless the sentence becomes too long for it.
    """
    lines = sentences(text, start, end)
    found = start, end
    for pieces in (lines, unwrap(text, lines)):
        whole = (first for first, _ in reversed(pieces) if is_whole(text, first, end))
        begin = next((first for first in whole if any(map(str.isalnum, text[first:end]))), start)
        if found == (start, end) or end - begin <= SENTENCE_CHARS:
            found = begin, end
    return found


def last_value(text: str, start: int, end: int) -> Range | None:
    """Return what follows the last relation sign of a sentence, without the ends of formulas, or None."""
    relations = [match for match in RELATION.finditer(text, start, end)]
    if not relations:
        return None
    exact = len(relations) - 1
    while exact and ABOUT.fullmatch(relations[exact].group()):
        exact -= 1  # an approximation is given beside the value
    first = relations[exact].end()
    if APART.search(text, first, relations[-1].start()):
        first = relations[-1].end()
    tail = TAIL.search(text, first, end)
    first, last = trim(text, first, tail.start() if tail else end)
    while first < last and text[first] in "&$ ":
        first += 1
    if not 0 < last - first <= VALUE_CHARS or "\n" in text[first:last] or not is_whole(text, first, last):
        return None
    value = text[first:last]
    if value.count("(") != value.count(")") or value.count("`") % 2 or len(WORD.findall(value)) > VALUE_WORDS:
        return None
    if UNFINISHED.search(value) or CLAUSES.search(value):
        return None
    signs = [char for char in value if char.isalnum()]
    return (first, last) if len(signs) > 1 or any(map(str.isdecimal, signs)) else None


def whole_answer(text: str, steps: list[Range], answer: Range, config: Config) -> tuple[list[Range], Range]:
    """Return steps and answer, where an answer too long is shortened to its last sentence, with the rest as a step."""
    if answer[1] - answer[0] <= config.max_answer_chars or "```" in text[answer[0] : answer[1]]:
        return steps, answer
    last = whole_sentence(text, *answer)
    if last[0] == answer[0]:
        return steps, answer
    rest = trim(text, answer[0], last[0])
    return ([*steps, rest] if answer[0] >= steps[-1][1] else steps), last
