"""Judge a candidate: split it into steps, find its answer, check all bounds and score it.

Takes a text in match characters and a draft; returns a template, or a reject with the first check that failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from stages.cot.patterns import Patterns
from stages.cot.segment import Range, cut_steps, sentences, trim
from stages.cot.support import support
from stages.cot.template import KINDS, Config, Draft, Reject, Template

FINISH_CHARS = 8
BOXED = re.compile(r"\\boxed\s*\{")
VALUE = re.compile(r"[=＝≈]\s*([^=＝≈\s][^=＝≈\n]{0,40}?)[\s.。,，;；]*$")
EQUALS = re.compile(r"[=＝≈≡≤≥]")


def judge(
    text: str,
    draft: Draft,
    in_code: Callable[[int], bool],
    patterns: Patterns,
    config: Config,
    stop_words: frozenset[str],
) -> Template | Reject:
    """Return the template of a draft, or the reason why it is rejected.

    Args: text, in match characters; in_code, whether an offset is inside code, which is no step.
    """
    solution = _without_finish(text, *draft.solution, patterns)
    steps, cut = cut_steps(text, *solution, patterns, config.min_steps + (draft.answer is None))
    steps = [step for step in steps if not in_code(step[0])]
    answer, kinds = draft.answer, set(draft.kinds)
    if answer is None:
        steps, answer, how = answer_within(text, steps, patterns, config, draft.is_weak)
        kinds |= {how} - {""}
    reason = _flaw(text, draft, steps, answer, kinds, patterns, config)
    if not reason and answer:
        kinds |= evidence(text, steps, cut, patterns)
        marked = (
            draft.question_marked,
            kinds & {"marker", "tags"},
            kinds & {"answer", "boxed"},
            cut != "sentences",
        )
        structure = sum(map(bool, marked)) / len(marked)
        score = support(text, draft.question, steps, answer, structure, stop_words)
        if score >= config.min_support:
            return Template(draft.question, answer, steps, [kind for kind in KINDS if kind in kinds], score)
        reason = "low_support"
    return Reject(draft.question[0], max(draft.end, draft.solution[1], draft.question[1]), reason)


def _without_finish(text: str, start: int, end: int, patterns: Patterns) -> Range:
    """The range without the words or the sign that end a proof, which are no step."""
    for match in patterns.finishes.finditer(text, max(start, end - FINISH_CHARS), end):
        if not any(map(str.isalnum, text[match.end() : end])):
            return trim(text, start, match.start())
    return start, end


def _flaw(
    text: str,
    draft: Draft,
    steps: list[Range],
    answer: Range | None,
    kinds: set[str],
    patterns: Patterns,
    config: Config,
) -> str:
    """The first of REASONS that applies, except low_support; "" if none does."""
    n_asked = draft.question[1] - draft.question[0]
    last = [answer] if steps and answer and answer[0] >= steps[-1][1] and draft.answer is None else []
    n_reasoning = sum(bool(patterns.reasoning.search(text, *part)) for part in [*steps, *last])
    n_needed = max(2, config.min_reasoning_share * len(steps))
    if kinds & {"tags", "answer", "boxed"}:
        n_needed = 0 if draft.question_marked and "marker" in kinds else 1
    checks = {
        "no_question": n_asked <= 0,
        "question_length": not config.min_question_chars <= n_asked <= config.max_question_chars,
        "unclosed": "tags" in kinds and draft.solution[0] == draft.solution[1],
        "few_steps": len(steps) < config.min_steps,
        "many_steps": len(steps) > config.max_steps,
        "no_reasoning": n_reasoning < n_needed,
        "no_answer": answer is None,
        "answer_length": answer is not None and answer[1] - answer[0] > config.max_answer_chars,
    }
    return next((reason for reason, holds in checks.items() if holds), "")


def evidence(text: str, steps: Sequence[Range], cut: str, patterns: Patterns) -> set[str]:
    """Return the kinds of evidence in the steps themselves: numbered, equation-lines, discourse."""
    arguing = [match for step in steps for match in patterns.reasoning.finditer(text, *step)]
    n_computing = sum(bool(EQUALS.search(text, *step)) for step in steps)
    n_in_words = sum(not EQUALS.search(match.group()) for match in arguing)
    conditions = {
        "numbered": cut == "numbered",
        "equation-lines": n_computing > 1,
        "discourse": n_in_words > 1,
    }
    return {kind for kind, is_so in conditions.items() if is_so}


def answer_within(
    text: str, steps: list[Range], patterns: Patterns, config: Config, strict: bool
) -> tuple[list[Range], Range | None, str]:
    """Find the answer of a solution without a marked one: boxed, named, concluding, computed last, or the last step.

    Args: strict, whether the last step is accepted only if it concludes.
    Returns: the steps without the answer (one that is part of a sentence remains in its step); the answer, or None; its
    kind: `boxed`, `answer` if words name it, else "".
    """
    for start, end in reversed(steps):
        for match in reversed(list(BOXED.finditer(text, start, end))):
            closed = _closing_brace(text, match.end(), end)
            if trim(text, match.end(), closed)[0] < closed:
                return steps, trim(text, match.end(), closed), "boxed"
    if not steps:
        return steps, None, ""
    start, end = steps[-1]
    named = patterns.settles.search(text, start, end)
    if named and named.lastindex:
        return steps, trim(text, *named.span(named.lastindex)), "answer"
    last = sentences(text, start, end)[-1]
    if start < last[0] and patterns.concludes.match(text, last[0]):
        return [*steps[:-1], trim(text, start, last[0])], last, ""
    concludes = patterns.concludes.match(text, start)
    if concludes and len(steps) > config.min_steps:
        return steps[:-1], (start, end), ""
    value = VALUE.search(text, start, end)
    if value and (concludes or not strict):
        return steps, value.span(1), ""
    if not strict and len(steps) > config.min_steps and patterns.reasoning.search(text, start, end):
        return steps[:-1], (start, end), ""
    return steps, None, ""


def _closing_brace(text: str, start: int, end: int) -> int:
    """Offset of the brace that closes the one before start; end if there is none."""
    depth = 1
    for i in range(start, end):
        depth += (text[i] == "{") - (text[i] == "}")
        if not depth:
            return i
    return end
