"""Checks of what a model wrote about a document: length, language, personal data, toxicity and support.

A summary is compared with its segment, a step with the segment that it names, the answer and the question with all of
them. Every check has a reason; several may apply to one answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from classifiers import language as languages
from classifiers import toxicity
from classifiers.cot_llm.config import Config
from classifiers.llm.masking import PersonalData
from classifiers.llm.ways import Fault
from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from pipeline.spans import Span
from stages import pii
from stages.checks.entities import NAMES_PATH
from stages.checks.grounding import ungrounded
from stages.checks.leaks import leaks
from stages.checks.support import support, units
from stages.checks.units import UNITS_PATH
from stages.kernels.text.text import load_tables

PHRASES = package_file(__file__, "phrases.yaml")
DATA = (
    PHRASES, NAMES_PATH, UNITS_PATH, *pii.STAGE.data, *toxicity.STAGE.data, toxicity.MODEL_PATH,
    *languages.STAGE.data, languages.Config().model,
)  # fmt: skip
"""Files that a check depends on."""
LABELS = {"en": "eng_Latn", "zh": "zho_Hans"}
OF_LANGUAGE = {"en": ("eng", "zxx", "und", "mul"), "zh": ("zho", "yue", "lzh", "wuu", "zxx", "und", "mul")}
"""First parts of the labels that a field in a language may have. Formulas and code have none; terms make it mixed."""
LEAST_LETTERS = 40
"""Letters from which the language of a text is identified; shorter ones are judged by their script alone."""
HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
OTHER = re.compile(r"[\u3040-\u30ff\uac00-\ud7af\u0400-\u04ff\u0600-\u06ff\u0e00-\u0e7f]")
WORD = re.compile(r"(?<![\\A-Za-z_])[A-Za-zÀ-ɏ]{2,}(?![A-Za-z_])")
LEAST_GRAMS = 24
"""Three words or characters in a row, from so many on of which half are different in any text that is no loop."""
LEAST_SUMMARY = 80
"""Characters that the summary of a shorter segment may have."""
NO_PROSE = re.compile(r"`[^`\n]*`|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]|https?://\S+", re.DOTALL)
LEAST_HAN, MOST_HAN = 0.3, 0.2
"""Share of ideographs among ideographs and words: the least of a Chinese text, in which terms may be English, and the
most of an English one, which may quote."""


class Checks:
    """The checks with the settings of a config; loads the models of language and toxicity once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.personal = PersonalData()
        self._languages = languages.STAGE.load(languages.Config())
        self._toxicity = toxicity.STAGE.load(toxicity.Config())
        self._lock = threading.Lock()  # stages are called by one thread at a time

    def field(self, text: str, language: str, low: int, high: int, at: int | None = None) -> list[Fault]:
        """Faults of any field: its length in characters, language, personal data, toxicity, words about its source."""
        if not low <= len(text) <= high:
            return [Fault("length", f"{len(text):,} characters", at)]
        faults = [Fault("repetitive", "", at)] if is_repetitive(text) else []
        if not self.is_in(text, language):
            faults.append(Fault("language", text[:40], at))
        if spans := self.spans(text):
            faults.append(Fault("pii", spans[0][2], at))
        if self.toxicity(text, language) > self.config.max_toxicity:
            faults.append(Fault("toxic", "", at))
        if phrase := speaks_of_source(text, language):
            faults.append(Fault("speaks_of_source", phrase, at))
        return faults

    def summary(self, text: str, segment: str, language: str) -> list[Fault]:
        """Faults of the summary of a segment, which is no longer than the segment."""
        high = min(self.config.max_summary_chars, max(len(segment), LEAST_SUMMARY))
        faults = self.field(text, language, 1, high)
        return faults or self.grounded(text, segment, language)

    def chain(
        self,
        steps: Sequence[tuple[int, str]],
        answer: str,
        segments: Sequence[str],
        summaries: Sequence[str],
        language: str,
    ) -> list[Fault]:
        """Faults of a chain. steps: (number of the segment, text).

        What a step states is in its segment, or in a step before it, which may have calculated it.
        """
        if not steps and not answer:
            return [Fault("no_reasoning")]
        if len(steps) < self.config.min_steps:
            return [Fault("few_steps", str(len(steps)))]
        faults = _repeats([text for _, text in steps], summaries)
        before = ""
        for at, (number, text) in enumerate(steps):
            own = self.field(text, language, 1, self.config.max_step_chars, at)
            faults += own or self.grounded(text, f"{segments[number]}\n{before}", language, at)
            before += f"{text}\n"
        own = self.field(answer, language, 1, self.config.max_answer_chars)
        used = [segments[number] for number in sorted({number for number, _ in steps})]
        return faults + (own or self.grounded(answer, "\n".join([*used, before]), language))

    def question(
        self, text: str, steps: Sequence[str], answer: str, document: str, language: str
    ) -> list[Fault]:
        """Faults of the question that a chain answers: it asks, gives nothing away, and the document is about it."""
        faults = self.field(text, language, self.config.min_question_chars, self.config.max_question_chars)
        if not asks(text, language):
            faults.append(Fault("no_question"))
        if leak := leaks(text, answer):
            faults.append(Fault("leaks", leak))
        return faults or self.grounded(
            text, "\n".join([document, *steps]), language, unsupported="unanswerable"
        )

    def grounded(
        self, text: str, source: str, language: str, at: int | None = None, unsupported: str = "unsupported"
    ) -> list[Fault]:
        """What of a text its source does not state: numbers, units, dates, formulas and names; false equations; and
        whether it has little in common with it."""
        text, source = simplified(text), simplified(source)
        found = ungrounded(text, source, LABELS[language], derived=True)
        faults = [Fault(one.kind, one.value, at) for one in found]
        share = support(text, source, n=1)
        if share < self.config.min_support:
            faults.append(Fault(unsupported, f"{share:.2f}", at))
        return faults

    def support(self, steps: Sequence[tuple[int, str]], segments: Sequence[str]) -> float:
        """Mean support of the steps of a chain by their segments."""
        shares = [support(text, segments[number], n=1) for number, text in steps]
        return sum(shares) / len(shares)

    def is_in(self, text: str, language: str) -> bool:
        """Whether a text is in a language, as far as it has words."""
        prose = NO_PROSE.sub(" ", text)
        n_han, n_words, n_other = len(HAN.findall(prose)), len(WORD.findall(prose)), len(OTHER.findall(prose))
        if n_han + n_words + n_other == 0:
            return True
        share = n_han / (n_han + n_words + n_other)
        if share < LEAST_HAN if language == "zh" else share > MOST_HAN:
            return False
        if n_other > 0.2 * (n_han + n_words):
            return False
        if sum(char.isalpha() for char in prose) < LEAST_LETTERS:
            return True
        with self._lock:
            (label,) = self._languages(_table(prose))["label"].to_pylist()
        return (label or "und").partition("_")[0] in OF_LANGUAGE[language]

    def spans(self, text: str) -> list[Span]:
        """Personal data in a text."""
        with self._lock:
            return self.personal.find([text])[0]

    def toxicity(self, text: str, language: str) -> float:
        """The score of `classifiers.toxicity`; 0 for a text without letters."""
        batch = _table(text).append_column("language.label", pa.array([LABELS[language]]))
        with self._lock:
            (score,) = self._toxicity(batch)["score"].to_pylist()
        return float(score or 0.0)


def _table(text: str) -> pa.Table:
    return pa.table({"text": pa.array([text], pa.large_string())})


def is_repetitive(text: str) -> bool:
    """Whether most of a text repeats what it has said, as models do that do not find an end."""
    sequence = units(text)
    grams = list(zip(sequence, sequence[1:], sequence[2:], strict=False))
    return len(grams) >= LEAST_GRAMS and 2 * len(set(grams)) < len(grams)


def speaks_of_source(text: str, language: str) -> str:
    """The words by which a text speaks of its source; "" if it does not."""
    match = _phrases("speaks_of_source", language).search(text.lower())
    return match[0] if match else ""


def asks(text: str, language: str) -> bool:
    """Whether a text asks or states a task."""
    return _phrases("asks", language).search(text.lower()) is not None


@cache
def _phrases(name: str, language: str) -> re.Pattern[str]:
    found: dict[str, Any] = read_yaml(PHRASES)  # Any: YAML
    return re.compile("|".join(found[name][language]))


def _repeats(steps: Sequence[str], summaries: Sequence[str]) -> list[Fault]:
    """Whether steps repeat each other, or most of them the summaries: then nothing is derived."""
    if len(set(steps)) < len(steps):
        return [Fault("repeats", next(text for i, text in enumerate(steps) if text in steps[:i]))]
    n_copied = sum(any(step in summary for summary in summaries) for step in steps)
    return [Fault("repeats_summaries", f"{n_copied} of {len(steps)}")] if 2 * n_copied > len(steps) else []


def simplified(text: str) -> str:
    """A text with Simplified for Traditional characters, as far as one stands for the other, and of the same length."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    is_han = (codes >= 0x3400) & (codes <= 0x9FFF)
    codes[is_han] = load_tables().fold[codes[is_han]]
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def clean(text: str) -> str:
    """A field on one line, without blanks around it."""
    return " ".join(text.split())
