"""Data types of worked solutions: templates of spans, drafts, and rejects with their reasons."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import ConfigError
from stages.cot.segment import Range

if TYPE_CHECKING:
    from stages.cot.question import Question

REASONS = (
    "no_question",
    "question_length",
    "no_task",
    "unclosed",
    "solution_length",
    "few_steps",
    "many_steps",
    "no_reasoning",
    "no_answer",
    "lists_questions",
    "evasive",
    "cut_formula",
    "answer_length",
    "low_support",
    "wrong_arithmetic",
    "wrong_choice",
)
"""Reasons for rejecting a candidate, in the order of the checks."""

KINDS = ("marker", "tags", "numbered", "equation-lines", "discourse", "code", "boxed", "answer")
"""Evidence: a solution mark, tags, numbered steps, two or more lines with computations, two or more sentences of
reasoning in words, a step of code, a boxed answer, a marked answer."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Bounds in characters and counts; candidates outside them are rejected.

    min_reasoning_share: least share of steps with reasoning or computation. min_support: least support.
    max_candidates: most candidates examined in a document, so that a hostile document cannot stall a run.

    Raises: ConfigError if a bound is out of range, or a minimum is above its maximum.
    """

    min_steps: int = 1  # least steps of a solution
    max_steps: int = 64  # most steps of a solution
    min_question_chars: int = 6  # least characters of a question
    max_question_chars: int = 3000  # most characters of a question
    max_solution_chars: int = 8000  # most characters of all steps
    max_answer_chars: int = 500  # most characters of an answer
    min_reasoning_share: float = 0.3
    min_support: float = 0.4
    max_candidates: int = 1000

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if name.endswith(("_share", "_support")) and not 0 <= value <= 1:
                raise ConfigError(f"cot.{name} is {value}; expected a number from 0 to 1")
            if not name.endswith(("_share", "_support")) and value < 1:
                raise ConfigError(f"cot.{name} is {value}; expected 1 or more")
        for name in ("steps", "question_chars"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ConfigError(
                    f"cot.min_{name} is {low}, above cot.max_{name}, {high}; lower one, raise the other"
                )


class Template(NamedTuple):
    """A worked solution, as ranges of code points; the answer may be inside the last step."""

    question: Range
    answer: Range
    steps: list[Range]
    kinds: list[str]
    support: float


class Reject(NamedTuple):
    """A rejected candidate, with its reason (one of REASONS)."""

    start: int
    end: int
    reason: str


@dataclass
class Draft:
    """A candidate during parsing: question and solution, the answer if one is marked, and the evidence.

    role: of the mark that begins the solution; `unmarked` if there is none, `section` if the question has
    none either. end: offset at which parsing continues if
    it becomes a template; floor: if it is rejected. named: the answer has a mark after the solution. is_headed: the
    solution has a heading. is_cut: it is longer than the limit.
    """

    question: Question
    solution: Range
    role: str
    floor: int
    answer: Range | None = None
    end: int = 0
    named: bool = False
    is_headed: bool = False
    is_cut: bool = False
    kinds: set[str] = field(default_factory=set)

    @property
    def is_weak(self) -> bool:
        """Whether the mark that begins the solution, if there is one, begins many other texts too."""
        return self.role in ("explanation", "answer", "unmarked", "section", "step")
