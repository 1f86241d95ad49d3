"""Judge a candidate: split it into steps, find its answer, check all bounds and score it.

Takes a text in match characters and a draft; returns a template, or a reject with the first check that failed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from stages.checks.arithmetic import false_equations
from stages.checks.choices import choice_faults
from stages.cot.answer import answer_within, is_whole, whole_answer
from stages.cot.argument import BRIEF_CHARS, LISTED, Argument
from stages.cot.choices import labels
from stages.cot.detect import Written
from stages.cot.layout import Layout
from stages.cot.patterns import Patterns
from stages.cot.question import CLOZE, has_blank
from stages.cot.segment import Range, cut_steps, trim
from stages.cot.support import support
from stages.cot.template import KINDS, Config, Draft, Reject, Template

FINISH_CHARS = 24
TAIL_CHARS = 12  # more than the longest word of GOES_ON; an answer ends without blanks
EQUALS = re.compile(r"[=＝≈≡≤≥]")
CHOICE = re.compile(
    r"(?:选择?|答案?[：:]?)?\s?[$（(]?\s?([a-h])\s?[$）)]?\s?[.。．,，;；、:：\n](?!\s?[a-z]\s?[,，、])"
)  # at the begin
OMITS = re.compile(
    r"(?:details?|proof|rest|verification|argument)[^.\n]{0,30}(?:omitted|left )|(?<![a-z])omitted\.|"
    r"left as an exercise|(?:细节|证明|其余)[^。\n]{0,8}(?:略|留给|留作)"
)  # what a proof leaves out
CLAUSE = re.compile(r"[，；;。]|, |: |\\(?:Rightarrow|implies)\s|=>")
CODE_ANSWER_CHARS = 6000
GOES_ON = re.compile(
    r"(?:[,，:：=＝、]|(?<![a-z])(?:gives?|yields?|get|giving|is|are|as|that|thus|hence|the)|[得为是有即])\s*$"
)
DOLLARS = re.compile(r"(?<!\\)\$+|\n")
SIGN = re.compile(r"\W*[√×✓✗✔✘]\W*")
INCLUDES = re.compile(r"--8<--|literalinclude|\{\{#include")  # code that occurs in another file
OPERATION = re.compile(
    r"[-+＋*/×÷^−–·∙√²³%‰]|\\(?:times|cdot|div|ast|over|plus|[dtc]?frac|sqrt|bullet|%)|\d\s?[x乘除加减]|乘以|除以|加上|减去"
    r"|plus|minus|times|divided|percent"
)
NUMBERS = re.compile(
    r"[\d½⅓⅔¼¾⅕⅛][^\n]*?[=＝≈]\s*(?:[\s$({\[+\-−~&|￥¥€£]|\\[a-zA-Z]+)*[\d½⅓⅔¼¾⅕⅛√]"
)  # a number, and one behind a relation sign
LETTER_CHARS = 24  # longest answer that names a choice
REMARKS = 6  # steps, at most, after the first of those that comment on a solution


def judge(
    text: str,
    source: Written,
    draft: Draft,
    layout: Layout,
    patterns: Patterns,
    config: Config,
    stop_words: frozenset[str],
) -> Template | Reject:
    """Return the template of a draft, or the reason why it is rejected.

    Args: text, in match characters; source, the same text as written.
    """
    flaw = _flaw_of_question(text, draft, patterns, config)
    if flaw:
        return _reject(draft, flaw)
    solution = _without_finish(text, *draft.solution, patterns)
    chosen = CHOICE.match(text, *solution) if draft.answer is None else None
    if chosen and chosen.group(1) in labels(text, *draft.question.range):
        draft.answer, solution = chosen.span(1), trim(text, chosen.end(), solution[1])
        draft.named = True
        draft.kinds.add("answer")
    steps, cut = cut_steps(
        text, *solution, layout, patterns, max(config.min_steps, 2) + (draft.answer is None)
    )
    steps = [step for step in steps if not _is_empty(text, *step, layout)]
    if draft.answer is None:
        steps = _without_remarks(text, draft, steps, layout, patterns)
    answer, kinds = draft.answer, set(draft.kinds)
    if answer is None:
        strict = draft.role in ("answer", "unmarked") and not draft.question.is_marked
        steps, answer, how = answer_within(text, steps, layout, patterns, config, strict)
        kinds |= {how} - {""}
    if answer and not draft.named and answer is not draft.answer:
        steps, answer = whole_answer(text, steps, answer, config)
    if answer and [answer] == steps and not layout.code_at(answer[0]):
        answer = _last_clause(text, *answer)
    if draft.role == "proof" and answer and not draft.named and not is_whole(text, *answer):
        whole = [step for step in steps if is_whole(text, *step) and not layout.code_at(step[0])]
        answer = whole[-1] if whole else answer
    reason = _flaw(text, draft, steps, answer, kinds, layout, patterns, config)
    if not reason and answer:
        kinds |= evidence(text, steps, cut, layout, patterns)
        marked = (
            draft.question.is_marked,
            kinds & {"marker", "tags"},
            kinds & {"answer", "boxed"},
            cut != "sentences",
        )
        structure = sum(map(bool, marked)) / len(marked)
        prose = [step for step in steps if not layout.code_at(step[0])] or steps
        score = support(text, draft.question.range, prose, answer, structure, stop_words)
        if score < config.min_support:
            reason = "low_support"
        else:
            reason = wrong_fact(source, draft.question.range, steps, answer, layout)
        if not reason:
            return Template(
                draft.question.range, answer, steps, [kind for kind in KINDS if kind in kinds], score
            )
    return _reject(draft, reason)


def _last_clause(text: str, start: int, end: int) -> Range:
    """The last clause of the only step of a solution; the step if it has one clause or a part would not be whole."""
    cuts = [match.end() for match in CLAUSE.finditer(text, start, end - 1)]
    for cut in reversed(cuts):
        if any(map(str.isalnum, text[cut:end])) and is_whole(text, cut, end):
            return trim(text, cut, end)
    return start, end


def _reject(draft: Draft, reason: str) -> Reject:
    return Reject(draft.question.start, max(draft.end, draft.solution[1], draft.question.end), reason)


def _without_finish(text: str, start: int, end: int, patterns: Patterns) -> Range:
    """The range without the words or the sign that end a proof, which are no step."""
    for match in patterns.finishes.finditer(text, max(start, end - FINISH_CHARS), end):
        before = text[start : match.start()].rstrip(" \u3000")
        if "\u4e00" <= text[match.start()] <= "\u9fff":  # it may be the verb of the sentence before it
            stands_alone = not before or before[-1] in "\n。．.;；"
        else:
            stands_alone = not before or text[match.start() - 1] in " \n\u3000。．.;；,，$"
        if stands_alone and not any(map(str.isalnum, text[match.end() : end])):
            return trim(text, start, match.start())
    return start, end


def _is_empty(text: str, start: int, end: int, layout: Layout) -> bool:
    """Whether a step has no words of the solution: code of another file, the title of an admonition."""
    if layout.code_at(start):
        return bool(INCLUDES.search(text, start, end))
    return "\n" not in text[start:end] and layout.is_admonition(layout.at(start))


def _without_remarks(
    text: str, draft: Draft, steps: list[Range], layout: Layout, patterns: Patterns
) -> list[Range]:
    """The steps without remarks on the finished solution at the end, such as its cost, unless these are asked for."""
    first = len(steps)
    for k in range(len(steps) - 1, max(0, len(steps) - 1 - REMARKS), -1):
        if layout.code_at(steps[k][0]):
            break
        first = k if patterns.remarks.match(text, *steps[k]) else first
    if first == len(steps):
        return steps
    has_code = any(layout.code_at(start) for start, _ in steps)
    asked = not has_code and patterns.remarks.search(text, *draft.question.range)
    return steps if asked else steps[:first]


def _flaw_of_question(text: str, draft: Draft, patterns: Patterns, config: Config) -> str:
    """The first of REASONS that applies to a question and the extent of its solution; "" if none does."""
    start, end = draft.question.range
    n_asked = end - start
    if n_asked <= 0:
        return "no_question"
    if not config.min_question_chars <= n_asked <= config.max_question_chars:
        return "question_length"
    if not _states_task(text, draft, patterns):
        return "no_task"
    if "tags" in draft.kinds and draft.solution[0] == draft.solution[1]:
        return "unclosed"
    return "solution_length" if draft.is_cut else ""


def _flaw(
    text: str,
    draft: Draft,
    steps: list[Range],
    answer: Range | None,
    kinds: set[str],
    layout: Layout,
    patterns: Patterns,
    config: Config,
) -> str:
    """The first of REASONS that applies to steps and answer, except low_support; "" if none does."""
    start, end = draft.question.range
    is_set = (
        draft.question.is_exercise and draft.role in ("solution", "explanation") and draft.answer is not None
    )
    explains = "answer" in kinds and sum(b - a for a, b in steps) >= BRIEF_CHARS
    explains = explains and (is_set or bool(labels(text, start, end)))
    if len(steps) < config.min_steps or (
        len(steps) == 1 and not explains and not _is_chain(text, draft, steps[0], patterns)
    ):
        return "few_steps"
    if len(steps) > config.max_steps:
        return "many_steps"
    argument = Argument(text, draft, steps, answer, kinds, layout, patterns, config.min_reasoning_share)
    if not argument.holds():
        return "no_reasoning"
    if answer is None:
        return "no_answer"
    if len(steps) == 1 and steps[0] == answer and not kinds & {"answer"}:
        return "few_steps"
    if draft.is_weak and _lists_questions(text, steps, layout, patterns):
        return "lists_questions"
    if patterns.evades.match(text[slice(*answer)]) or (
        patterns.evades.match(text[slice(*steps[0])])
        and (
            len(steps) <= config.min_steps
            or (draft.role == "proof" and steps[0][1] - steps[0][0] < BRIEF_CHARS)
        )
    ):
        return "evasive"
    if draft.role == "proof" and OMITS.search(text, steps[0][0], steps[-1][1]):
        return "evasive"
    if _begins_in_formula(text, draft.question.range, steps):
        return "cut_formula"
    is_code = layout.code_at(answer[0]) is not None
    if not any(map(str.isalnum, text[slice(*answer)])) and not SIGN.fullmatch(text, *answer):
        return "cut_formula"
    if not is_code and GOES_ON.search(text, max(answer[0], answer[1] - TAIL_CHARS), answer[1]):
        return "cut_formula"
    if not is_code and not (is_whole(text, *answer) and is_whole(text, start, end)):
        return "cut_formula"
    if answer[1] - answer[0] > (CODE_ANSWER_CHARS if is_code else config.max_answer_chars):
        return "answer_length"
    return ""


def _begins_in_formula(text: str, question: Range, steps: Sequence[Range]) -> bool:
    """Whether a displayed formula that opens between the begin of a question and its first step is open there."""
    between = text[question[0] : steps[0][0]]
    if "$$" not in between or "```" in between:
        return False
    inline = display = False
    for signs in DOLLARS.findall(between):
        n = len(signs) if signs != "\n" else 0
        inline = inline and n > 0  # none goes on in the next line
        while n > (1 if display else 0):
            if n > 1 and not inline:
                display, n = not display, n - 2
            else:  # of two signs in a formula the first ends it, and the second begins another
                inline, n = not inline, n - 1
    return display


def wrong_fact(
    source: Written, question: Range, steps: Sequence[Range], answer: Range, layout: Layout
) -> str:
    """Return `wrong_arithmetic` or `wrong_choice` if a recomputed solution is certainly wrong, else "".

    Args: source, the text as written, of which the ranges are.
    """
    prose = "\n".join(source.part(a, b) for a, b in [*steps, answer] if not layout.code_at(a))
    if false_equations("\n".join(line for line in prose.split("\n") if _may_compute(line))):
        return "wrong_arithmetic"
    if len(answer_text := source.part(*answer)) <= LETTER_CHARS and choice_faults(
        source.part(*question), answer_text, prose
    ):
        return "wrong_choice"
    return ""


def _may_compute(line: str) -> bool:
    """Whether a line may hold a false equation: numbers around a relation, with an operation or another relation."""
    n_relations = sum(map(line.count, "=＝≈"))
    if not n_relations or not NUMBERS.search(line):
        return False
    return n_relations > 1 or OPERATION.search(line) is not None


def _lists_questions(text: str, steps: list[Range], layout: Layout, patterns: Patterns) -> bool:
    """Whether many of the steps ask, as in a list of exercises."""
    n_asking = sum(bool(patterns.demand(text[a:b])) for a, b in steps if not layout.code_at(a))
    return n_asking > LISTED and 3 * n_asking > len(steps)


def _is_chain(text: str, draft: Draft, step: Range, patterns: Patterns) -> bool:
    """Whether the only step of a marked exercise is a chain of equations or gives a reason."""
    if not (draft.question.is_marked or draft.question.is_numbered or draft.role == "section"):
        return False
    return len(EQUALS.findall(text, *step)) > 1 or bool(patterns.argues.search(text, *step))


def _states_task(text: str, draft: Draft, patterns: Patterns) -> bool:
    """Whether the question asks or states a task, or a claim is proved; what is set out as an exercise need not ask."""
    question = draft.question
    if question.is_claim or draft.role == "proof":
        return True
    if question.is_marked and draft.role == "solution" and (question.is_numbered or question.is_headed):
        asked = text[slice(*question.range)]
        if question.is_headed and not question.is_numbered and not question.is_exercise:
            return bool(patterns.demand(asked) or has_blank(asked) or labels(asked, 0, len(asked)))
        return not patterns.defines.match(asked) or bool(patterns.ask(asked) or has_blank(asked))
    if not question.is_marked:
        return True
    return bool(
        patterns.ask(text[slice(*question.range)])
        or has_blank(text, *question.range)
        or CLOZE.search(text[max(question.start, question.end - 16) : question.end])
        or labels(text, *question.range)
    )


def evidence(text: str, steps: Sequence[Range], cut: str, layout: Layout, patterns: Patterns) -> set[str]:
    """Return the kinds of evidence in the steps themselves: numbered, equation-lines, discourse, code."""
    prose = [step for step in steps if not layout.code_at(step[0])]
    n_computing = sum(bool(EQUALS.search(text, *step)) for step in prose)
    in_words = itertools.chain.from_iterable(patterns.argues.finditer(text, *step) for step in prose)
    n_in_words = len(list(itertools.islice(in_words, 2)))
    conditions = {
        "numbered": cut == "numbered",
        "equation-lines": n_computing > 1,
        "discourse": n_in_words > 1,
        "code": len(prose) < len(steps),
    }
    return {kind for kind, is_so in conditions.items() if is_so}
