"""Whether the steps of a candidate argue or compute, and so explain its answer.

A ladder of checks, from forms whose marks are proof enough to text that must show reasons or equations; the first check
that decides counts. A plan in words suffices where question and solution are marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from stages.cot.choices import labels
from stages.cot.layout import Layout
from stages.cot.patterns import Patterns
from stages.cot.question import has_blank
from stages.cot.sections import AMOUNT, HAS_VALUE, TERM
from stages.cot.segment import Range
from stages.cot.template import Draft

LISTED = 2  # questions among the steps, from which on they may be exercises
TURN_SHARE = 0.4  # least share of the sentences of a turn of a chat that argue or compute
CHAIN = 3  # equations that one step counts for
BRIEF_CHARS = 20  # of words beside the code of an exercise
PROOF_CHARS = 80  # of the proof of a claim, from which on it need not have words that argue
EXPLAINS_CHARS = 60  # of what explains a choice


@dataclass(frozen=True)
class Argument:
    """The steps of a candidate and what is counted in them. kinds: sorts of its answer; least_share: of the steps that
    must argue or compute where nothing is marked."""

    text: str
    draft: Draft
    steps: Sequence[Range]
    answer: Range | None
    kinds: set[str]
    layout: Layout
    patterns: Patterns
    least_share: float

    @cached_property
    def parts(self) -> list[Range]:
        """Steps in words, and an answer behind them that no word introduces."""
        answer = self.answer
        is_last = self.steps and answer and answer[0] >= self.steps[-1][1] and not self.draft.named
        ranges = [*self.steps, *([answer] if is_last and answer else [])]
        return [part for part in ranges if not self.layout.code_at(part[0])]

    @cached_property
    def asked(self) -> str:
        """The question."""
        return self.text[self.draft.question.start : self.draft.question.end]

    @cached_property
    def has_code(self) -> bool:
        """Whether a step or the answer is code."""
        ranges = [*self.steps, *([self.answer] if self.answer else [])]
        return any(self.layout.code_at(start) for start, _ in ranges)

    @cached_property
    def n_chars(self) -> int:
        """Characters of the parts."""
        return sum(end - start for start, end in self.parts)

    @cached_property
    def n_arguing(self) -> int:
        """Parts with a word that argues."""
        return sum(bool(self.patterns.argues.search(self.text, *part)) for part in self.parts)

    @cached_property
    def n_reasoning(self) -> int:
        """Parts that argue or compute."""
        argues, computes = self.patterns.argues, self.patterns.computes
        return sum(
            bool(argues.search(self.text, *part) or computes.search(self.text, *part)) for part in self.parts
        )

    @cached_property
    def n_listed(self) -> int:
        """Parts that begin with the number of a list."""
        numbers = self.patterns.numbers
        return sum(any(number.match(self.text, *part) for number in numbers) for part in self.parts)

    @cached_property
    def n_plans(self) -> int:
        """Words that plan, once each in a part."""
        return sum(len(set(self.patterns.plans.findall(self.text, *part))) for part in self.parts)

    @cached_property
    def n_computing(self) -> int:
        """Parts that compute."""
        return sum(bool(self.patterns.computes.search(self.text, *part)) for part in self.parts)

    def n_sums(self, most: int) -> int:
        """Equations, at most so many of a part."""
        return sum(min(len(self.patterns.computes.findall(self.text, *part)), most) for part in self.parts)

    @cached_property
    def states_task(self) -> bool:
        """Whether the question demands, leaves a blank or has choices."""
        asked = self.asked
        return bool(has_blank(asked) or labels(asked, 0, len(asked)) or self.patterns.demand(asked))

    @cached_property
    def is_answered(self) -> bool:
        """Whether the answer is marked as one or boxed."""
        return bool(self.kinds & {"answer", "boxed"})

    @cached_property
    def is_strong(self) -> bool:
        """Whether marks of the question leave little doubt that it is one."""
        question, draft = self.draft.question, self.draft
        return question.is_marked and (not draft.is_weak or draft.is_headed or question.is_numbered)

    def holds(self) -> bool:
        """Whether enough steps argue or compute."""
        for check in CHECKS:
            verdict = check(self)
            if verdict is not None:
                return verdict
        return self.n_reasoning >= max(2, self.least_share * len(self.parts))


def of_ticked_choices(found: Argument) -> bool | None:
    """Steps that are choices to tick belong to the question."""
    layout = found.layout
    n_choices = sum(layout.is_checkbox(layout.at(start)) for start, _ in found.steps)
    return False if 2 * n_choices >= len(found.steps) else None


def of_section(found: Argument) -> bool | None:
    """A section that is a solution by its heading; see stages.cot.sections."""
    return True if found.draft.role == "section" else None


def of_answered_exercise(found: Argument) -> bool | None:
    """【答案】 and 【解析】 of an exercise."""
    draft = found.draft
    is_one = draft.question.is_exercise and draft.role == "solution" and draft.answer is not None
    asks = is_one and found.patterns.ask(found.asked)
    return True if asks and found.n_chars >= BRIEF_CHARS else None


def of_proof(found: Argument) -> bool | None:
    """A long proof of a claim."""
    is_long = len(found.parts) > 1 and found.n_chars >= PROOF_CHARS
    return True if found.draft.role == "proof" and found.draft.question.is_claim and is_long else None


def asks_for_explanation(found: Argument) -> bool | None:
    """An exercise that asks for an explanation of a term and for no amount is none."""
    draft, asked = found.draft, found.asked
    is_plain = draft.role == "answer" and draft.question.is_exercise and not found.has_code
    if is_plain and not labels(asked, 0, len(asked)) and TERM.search(asked) and not AMOUNT.search(asked):
        return False
    return None


def of_code(found: Argument) -> bool | None:
    """Code of an exercise with words that plan or explain it."""
    if (
        found.has_code
        and (found.n_listed < LISTED or found.draft.question.is_exercise)
        and explains_code(found)
    ):
        return True
    return None


def explains_code(found: Argument) -> bool:
    """Whether the solution of a marked exercise is code with words that plan or explain it."""
    question, draft, patterns = found.draft.question, found.draft, found.patterns
    if draft.role == "proof" or (draft.role == "unmarked" and not question.is_headed):
        return False
    is_set = question.is_exercise or question.is_numbered or question.is_headed or question.is_query
    is_set = is_set or draft.role == "solution"
    least = BRIEF_CHARS if question.is_exercise else EXPLAINS_CHARS
    if not (question.is_marked and is_set and found.n_chars >= least):
        return False
    if not (question.is_exercise or patterns.ask(found.text[slice(*question.range)])):
        return False
    n_signs = 0
    for sign in (patterns.plans, patterns.argues, patterns.computes):
        for part in found.parts:
            n_signs += len(set(sign.findall(found.text, *part)))
            if n_signs >= LISTED:
                return True
    return False


def of_explanation(found: Argument) -> bool | None:
    """An explanation without a number, whose question states no task, needs two reasons."""
    if found.draft.role == "explanation" and not found.draft.question.is_numbered:
        if not found.states_task and found.n_arguing < 2:
            return False
    return None


def of_open_text(found: Argument) -> bool | None:
    """Without a task that is set out, two reasons, a marked answer or two equations are needed."""
    question, role = found.draft.question, found.draft.role
    is_plain = question.is_exercise or found.states_task
    if is_plain and found.n_listed <= 1:
        return None
    if question.is_exercise or role in ("open", "proof") or found.n_arguing >= 2 or found.is_answered:
        return None
    n_sums = found.n_sums(1 if role == "answer" else CHAIN)
    return False if n_sums < 2 or not (is_plain or question.is_numbered) else None


def of_turn(found: Argument) -> bool | None:
    """A turn of a chat or the reply to a query reasons, concludes or computes in many of its sentences."""
    question = found.draft.question
    if not (question.is_turn or question.is_query) or found.draft.role == "open" or found.is_answered:
        return None
    if question.is_query and _plans_value(found) and found.n_listed < LISTED:
        return True
    concludes = found.patterns.concludes
    if question.is_query and any(concludes.match(found.text, start) for start, _ in found.parts[1:]):
        return None
    if found.n_computing >= (2 if question.is_turn else 1):
        return None
    n_either = found.n_arguing + found.n_computing
    is_little = found.n_arguing < 2 or found.n_listed > 1 or n_either < TURN_SHARE * len(found.parts)
    return False if is_little else None


def _plans_value(found: Argument) -> bool:
    """Whether the reply to a query about a value gives a reason and a plan."""
    asked = found.asked
    is_about_value = not TERM.search(asked) and bool(HAS_VALUE.search(asked) or "`" in asked)
    return (
        found.n_arguing > 0 and is_about_value and found.n_plans >= LISTED and found.n_chars >= EXPLAINS_CHARS
    )


def of_marked_answer(found: Argument) -> bool | None:
    """A marked question with a marked answer or two reasons."""
    is_marked = found.draft.role in ("solution", "proof", "open") and found.is_answered
    return True if found.is_strong and (is_marked or found.n_arguing >= 2) else None


def of_short_reply(found: Argument) -> bool | None:
    """A reply without an answer and without a reason needs two steps that compute, on lines of their own."""
    draft = found.draft
    if draft.role == "answer" and draft.answer is None and found.n_arguing == 0:
        if found.n_reasoning < 2 or "\n" not in found.text[slice(*draft.solution)]:
            return False
    return None


def of_choices(found: Argument) -> bool | None:
    """The answer of a question with choices needs one reason, or some words."""
    if "answer" in found.kinds and labels(found.text, *found.draft.question.range):
        return found.n_reasoning > 0 or found.n_chars >= EXPLAINS_CHARS
    return None


def of_marked_question(found: Argument) -> bool | None:
    """A marked question: reasons, equations and plans count together."""
    if not found.is_strong:
        return None
    n_computing = max(found.n_sums(CHAIN), found.n_reasoning)
    if found.n_arguing + n_computing >= 2 or (found.n_arguing and found.draft.question.is_headed):
        return True
    return found.n_arguing + found.n_reasoning + found.n_plans >= 3 and bool(found.parts)


def of_boxed_answer(found: Argument) -> bool | None:
    """A boxed or tagged answer needs one reason."""
    is_marked = found.draft.question.is_marked and "answer" in found.kinds
    return found.n_reasoning >= 1 if found.kinds & {"boxed", "tags"} or is_marked else None


def of_unmarked_text(found: Argument) -> bool | None:
    """Text without marks computes."""
    return False if found.draft.role == "unmarked" and not found.n_computing else None


def of_weak_mark(found: Argument) -> bool | None:
    """A weakly marked question with a reason: reasons and plans count together."""
    if found.draft.question.is_marked and found.n_arguing and len(found.parts) > 2:
        return found.n_reasoning + found.n_plans >= 3
    return None


CHECKS: tuple[Callable[[Argument], bool | None], ...] = (
    of_ticked_choices, of_section, of_answered_exercise, of_proof, asks_for_explanation, of_code, of_explanation,
    of_open_text, of_turn,
    of_marked_answer, of_short_reply, of_choices, of_marked_question, of_boxed_answer, of_unmarked_text, of_weak_mark,
)  # fmt: skip
"""In order; each returns its verdict, or None to leave it to the next."""
