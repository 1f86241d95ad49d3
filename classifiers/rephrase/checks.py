"""Checks of a document that a model wrote from another one: form, length, language, copies, and what it invents."""

from __future__ import annotations

import re
import threading
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from classifiers import embedding
from classifiers.cot_llm.checks import LABELS, Checks, speaks_of_source
from classifiers.cot_llm.config import Config as FieldConfig
from classifiers.llm.requests import tokens_of
from classifiers.llm.ways import Fault
from classifiers.rephrase.config import RATIOS, TRANSLATION, Config
from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from stages.checks.grounding import ungrounded
from stages.checks.numbers import find_numbers
from stages.checks.support import grams, support

PHRASES = package_file(__file__, "phrases.yaml")
COPY_GRAM = 8
OF_ANY_LANGUAGE = ("number", "date", "unit", "arithmetic")
"""Kinds of faults of a translation; names and the words of formulas have other forms in the other language."""
_FENCE = re.compile(r"\A\s*```[a-z]*\n(.*)\n```\s*\Z", re.DOTALL)


class Measures(NamedTuple):
    """What is known of a text and its document: share of words in common, cosine, ratio of tokens."""

    support: float
    similarity: float
    ratio: float


class DocumentChecks:
    """The checks with the settings of a config; loads the models once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.fields = Checks(FieldConfig(max_toxicity=config.max_toxicity))
        self._embed = embedding.STAGE.load(embedding.Config())
        self._lock = threading.Lock()  # stages are called by one thread at a time

    def measure(self, text: str, source: str) -> Measures:
        """Compare a text with its document."""
        ratio = tokens_of(text) / max(tokens_of(source), 1)
        return Measures(support(text, source, n=1), round(self.similarity(text, source), 3), round(ratio, 3))

    def similarity(self, text: str, source: str) -> float:
        """Cosine of the vectors of two texts; 0 where one has none."""
        batch = pa.table({"text": pa.array([text, source], pa.large_string())})
        with self._lock:
            one, other = self._embed(batch)["vector"].to_pylist()
        if one is None or other is None:
            return 0.0
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    def faults(self, text: str, source: str, style: str, language: str) -> list[Fault]:
        """Faults of a text of a form, in a language, about a document; cheap ones first, of which one suffices."""
        for check in (self._talk, self._form, self._size, self._field):
            if found := check(text, source, style, language):
                return found
        return [*self._copies(text, source, style), *self._grounded(text, source, style, language)]

    def _talk(self, text: str, source: str, style: str, language: str) -> list[Fault]:
        del source, style
        for reason in ("refusal", "talk"):
            if match := _phrases(reason).search(text[:400].lower()) or _phrases(reason).search(
                text[-300:].lower()
            ):
                return [Fault(reason, match.group()[:60])]
        phrase = speaks_of_source(text[:400], language)
        return [Fault("speaks_of_source", phrase)] if phrase else []

    def _form(self, text: str, source: str, style: str, language: str) -> list[Fault]:
        del source, language
        wanted = _read_phrases()["form"].get(style)
        if wanted is None:
            return []
        n = len(re.findall(wanted["pattern"], text.lower(), re.MULTILINE))
        return [] if n >= wanted["least"] else [Fault("form", f"{n} of {wanted['least']}")]

    def _size(self, text: str, source: str, style: str, language: str) -> list[Fault]:
        del language
        low, high = self.config.ratios.get(style, RATIOS[style])
        ratio = tokens_of(text) / max(tokens_of(source), 1)
        return [] if low <= ratio <= high else [Fault("length", f"{ratio:.2f} of the document")]

    def _field(self, text: str, source: str, style: str, language: str) -> list[Fault]:
        del source, style
        if not self.fields.is_in(text, language):
            return [Fault("language", text[:40])]
        if spans := self.fields.spans(text):
            return [Fault("pii", spans[0][2])]
        if self.fields.toxicity(text, language) > self.config.max_toxicity:
            return [Fault("toxic")]
        return []

    def _copies(self, text: str, source: str, style: str) -> list[Fault]:
        repeated = repeated_share(text) - repeated_share(source)  # code and tables repeat themselves
        if repeated > self.config.max_repeated:
            return [Fault("repeats", f"{repeated:.2f}")]
        if style in (TRANSLATION, "table"):
            return []
        copied = copied_share(text, source)
        return [Fault("copy", f"{copied:.2f}")] if copied > self.config.max_copied else []

    def _grounded(self, text: str, source: str, style: str, language: str) -> list[Fault]:
        found = ungrounded(text, source, LABELS[language], derived=True)
        measures = self.measure(text, source)
        faults = [
            Fault(one.kind, one.value) for one in found if style != TRANSLATION or one.kind in OF_ANY_LANGUAGE
        ]
        if style == TRANSLATION:
            kept = kept_numbers(text, source)
            if kept < self.config.min_numbers:
                faults.append(Fault("lost_numbers", f"{kept:.2f}"))
        elif measures.support < self.config.min_support:
            faults.append(Fault("unsupported", f"{measures.support:.2f}"))
        low = self.config.min_translation_similarity if style == TRANSLATION else self.config.min_similarity
        if measures.similarity < low:
            faults.append(Fault("off_subject", f"{measures.similarity:.2f}"))
        return faults


def clean(text: str) -> str:
    """A text without thoughts, without a block of Markdown around it, and without blanks at its ends."""
    text = re.sub(r"<think>.*?</think>|^.*?</think>", "", text, flags=re.DOTALL)
    match = _FENCE.match(text)
    return (match[1] if match else text).strip()


def copied_share(text: str, source: str) -> float:
    """Share of a text's 8-grams of words and characters that its source has as well; 0 for a shorter text.

    >>> copied_share("one two three four five six seven eight", "zero one two three four five six seven eight nine")
    1.0
    """
    wanted = {gram for gram in grams(text, COPY_GRAM) if len(gram) == COPY_GRAM}
    return len(wanted & grams(source, COPY_GRAM)) / len(wanted) if wanted else 0.0


def repeated_share(text: str) -> float:
    """Share of lines, or of 8-grams if larger, that occurred before in a text."""
    lines = [line.strip() for line in text.splitlines() if len(line.strip()) > 8]
    shares = [1 - len(set(lines)) / len(lines)] if lines else [0.0]
    units = text.split() if len(text.split()) * 8 > len(text) else list(text)
    sequence = [tuple(units[i : i + COPY_GRAM]) for i in range(len(units) - COPY_GRAM + 1)]
    if sequence:
        counts = Counter(sequence)
        shares.append(sum(n - 1 for n in counts.values()) / len(sequence))
    return max(shares)


def kept_numbers(text: str, source: str) -> float:
    """Share of the different numbers in digits of a source that a text has in any form; 1 if there are none."""
    wanted = [number for number in find_numbers(source) if number.form == "digits"]
    have = {value for number in find_numbers(text) for value in (*number.values, *number.parts)}
    values = {number.value: any(value in have for value in number.values) for number in wanted}
    return sum(values.values()) / len(values) if values else 1.0


@cache
def _read_phrases() -> dict[str, Any]:  # Any: YAML
    return dict(read_yaml(PHRASES))


@cache
def _phrases(name: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in _read_phrases()[name]))
