"""The way of one document through the four questions: segments, summaries, chain, question; each answer is checked.

A segment whose markers or summary are rejected is left out of the chain; a text without any right marker is divided at
its paragraphs. A chain or question that is rejected leaves the document without one. Every rejected answer is kept with
its reason.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from classifiers.cot_llm.checks import Checks, clean
from classifiers.cot_llm.config import Config
from classifiers.cot_llm.markers import SEGMENT_CHARS, Segment, divide, find_segments
from classifiers.cot_llm.requests import Requests
from classifiers.llm.masking import Masked
from classifiers.llm.requests import REFUSED, Answer, Request
from classifiers.llm.ways import Checked, Fault, OpenAnswerError, Rejected, Repairs, ask_checked

NOTHING = "no_segments"
"""Reason of an empty list of segments: the model found nothing that explains, argues, calculates or describes."""


@dataclass(frozen=True)
class Reject:
    """A rejected answer. step: the question; segment: what it was about, None for the whole document."""

    step: str
    segment: Segment | None
    fault: Fault
    text: str


@dataclass
class Draft:
    """What is known about one document. text: as it is sent; segments: ranges of it, with a summary each; steps:
    (number of the segment, text); reason: why there is no chain, "" for one that has everything."""

    text: str
    language: str
    segments: list[Segment] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    steps: list[tuple[int, str]] = field(default_factory=list)
    answer: str = ""
    question: str = ""
    support: float = 0.0
    rejects: list[Reject] = field(default_factory=list)
    reason: str = ""

    def part(self, number: int) -> str:
        """The text of a segment."""
        return self.text[self.segments[number].start : self.segments[number].end]


Step = Generator[list[Request], list[Answer], bool]
"""Asks one question and adds the answers to a draft; returns whether there is something to go on with."""


def shown(text: str, max_chars: int) -> str:
    """The beginning of a text of at most max_chars, cut at the end of a line where one is near."""
    if len(text) <= max_chars:
        return text
    end = text.rfind("\n", max_chars * 2 // 3, max_chars)
    return text[: end if end > 0 else max_chars]


class Developer:
    """The questions and checks of a config."""

    def __init__(self, config: Config, checks: Checks) -> None:
        self.config, self.checks, self.requests = config, checks, Requests(config)
        self.repairs = Repairs(config.repairs, config.repair_temperature)

    def way(self, masked: Masked, language: str) -> Generator[list[Request], list[Answer], Draft]:
        """Take a document through all questions; see ways.Way."""
        draft = Draft(shown(masked.text, self.config.max_chars), language)
        if len(draft.text.strip()) < max(self.config.min_chars, 1):
            draft.reason = "short"
            return draft
        try:
            for step in (self._segment, self._summarise, self._chain, self._question):
                if not (yield from step(draft)):
                    break
        except OpenAnswerError as error:
            draft.reason = error.reason
        return draft

    def _segment(self, draft: Draft) -> Step:
        def find(value: Any) -> tuple[list[Segment], list[Fault]]:  # Any: JSON that fits the schema
            markers = [(item["start"], item["end"]) for item in value["segments"]]
            return find_segments(draft.text, markers, self.config.min_segment_chars)

        def check(number: int, value: Any) -> list[Fault]:  # Any: JSON that fits the schema
            del number
            return find(value)[1] if value["segments"] else [Fault(NOTHING)]

        request = self.requests.segment(draft.text, draft.language)
        checked = yield from ask_checked([request], check, self.repairs, lambda value: len(find(value)[0]))
        self._note(draft, "segment", checked.rejected)
        if checked.values[0] is not None:
            draft.segments, _ = find(checked.values[0])
            return True
        if not self.config.paragraphs or checked.reason.startswith((NOTHING, REFUSED)):
            return self._without(draft, "segment", checked)
        size = SEGMENT_CHARS[draft.language]
        draft.segments = divide(draft.text, size, self.config.max_segments)
        return True

    def _summarise(self, draft: Draft) -> Step:
        parts = [draft.part(i) for i in range(len(draft.segments))]
        requests = [self.requests.summary(part, draft.language) for part in parts]

        def check(number: int, value: Any) -> list[Fault]:  # Any: JSON that fits the schema
            return self.checks.summary(clean(value["summary"]), parts[number], draft.language)

        checked = yield from ask_checked(requests, check, self.repairs)
        self._note(draft, "summary", checked.rejected, draft.segments)
        kept = [(s, clean(v["summary"])) for s, v in zip(draft.segments, checked.values, strict=True) if v]
        if not kept:
            return self._without(draft, "summary", checked)
        draft.segments, draft.summaries = [s for s, _ in kept], [text for _, text in kept]
        return True

    def _chain(self, draft: Draft) -> Step:
        parts = [draft.part(i) for i in range(len(draft.segments))]

        def check(number: int, value: Any) -> list[Fault]:  # Any: JSON that fits the schema
            del number
            return self.checks.chain(
                _steps(value), clean(value["answer"]), parts, draft.summaries, draft.language
            )

        checked = yield from ask_checked(
            [self.requests.chain(draft.summaries, draft.language)], check, self.repairs
        )
        self._note(draft, "chain", checked.rejected)
        (value,) = checked.values
        if value is None:
            return self._without(draft, "chain", checked)
        draft.steps, draft.answer = _steps(value), clean(value["answer"])
        draft.support = self.checks.support(draft.steps, parts)
        return True

    def _question(self, draft: Draft) -> Step:
        steps = [text for _, text in draft.steps]

        def check(number: int, value: Any) -> list[Fault]:  # Any: JSON that fits the schema
            del number
            return self.checks.question(
                clean(value["question"]), steps, draft.answer, draft.text, draft.language
            )

        checked = yield from ask_checked(
            [self.requests.question(steps, draft.answer, draft.language)], check, self.repairs
        )
        self._note(draft, "question", checked.rejected)
        (value,) = checked.values
        if value is None:
            return self._without(draft, "question", checked)
        draft.question = clean(value["question"])
        return True

    def _note(
        self, draft: Draft, step: str, rejected: list[Rejected], segments: list[Segment] | None = None
    ) -> None:
        draft.rejects += [
            Reject(step, segments[one.number] if segments else None, one.fault, one.text) for one in rejected
        ]

    def _without(self, draft: Draft, step: str, checked: Checked) -> bool:
        draft.reason = f"{step}: {checked.reason}"
        return False


def _steps(value: Any) -> list[tuple[int, str]]:  # Any: JSON that fits the schema
    """Steps of a chain: number of the segment from 0, text."""
    return [(step["note"] - 1, clean(step["text"])) for step in value["steps"]]
