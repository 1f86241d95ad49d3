"""Settings of the four questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from classifiers.llm.instructions import LANGUAGES
from pipeline.errors import ConfigError

STEPS = ("segment", "summary", "chain", "question")
"""The questions, in the order in which they are asked."""
CHINESE = {"zho": "zh", "yue": "zh", "lzh": "zh", "wuu": "zh"}
ANSWER_TOKENS = {"segment": 1024, "summary": 256, "chain": 1536, "question": 192}
OWN = ("model", "messages", "response_format", "max_tokens", "temperature", "seed", "stream", "n")
"""Fields of a request that have settings of their own, or would change the form of an answer."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is asked, and what is accepted.

    model: its name, as the servers file has it. prompts: a YAML file of instructions; None for those of the package.
    languages: language of instructions and answers by the first part of a document's label. language: for other labels.
    min_chars: shorter documents are not asked about. max_chars: of a longer text only the beginning is, cut at a line.
    max_tokens: largest answer of each question. temperature, seed: 0 and any seed make most servers repeat themselves.
    repairs: how often a rejected answer is asked for anew, with the next seed. repair_temperature: least temperature of
        such a try.
    extra: further fields of the request, such as {chat_template_kwargs: {enable_thinking: false}} for Qwen3 on vLLM.
    paragraphs: whether a text of which no marker is right is divided at its paragraphs instead of rejected.
    min_segment_chars, max_segments: bounds of segments. min_steps, max_steps: bounds of a chain. max_summary_chars,
        max_step_chars, max_answer_chars, min_question_chars, max_question_chars: bounds of the fields, in characters.
    min_support: least share of the words and characters of a summary or step that its segment has as well, and of a
        question that document or chain have. 0.3 takes 95 % of the steps that people wrote and rejects half of those of
        another problem.
    max_toxicity: largest score of `classifiers.toxicity`.
    """

    model: str = ""
    prompts: str | None = None
    languages: Mapping[str, str] = field(default_factory=lambda: dict(CHINESE))
    language: str = "en"
    min_chars: int = 200
    max_chars: int = 12_000
    max_tokens: Mapping[str, int] = field(default_factory=lambda: dict(ANSWER_TOKENS))
    temperature: float = 0.0
    seed: int = 1
    repairs: int = 1
    repair_temperature: float = 0.7
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    paragraphs: bool = True
    min_segment_chars: int = 20
    max_segments: int = 12
    min_steps: int = 3
    max_steps: int = 16
    max_summary_chars: int = 800
    max_step_chars: int = 800
    max_answer_chars: int = 600
    min_question_chars: int = 8
    max_question_chars: int = 600
    min_support: float = 0.3
    max_toxicity: float = 0.9

    def __post_init__(self) -> None:
        for name, language in {**self.languages, "language": self.language}.items():
            if language not in LANGUAGES:
                raise ConfigError(f"cot_llm: {name} is {language!r}; expected {' or '.join(LANGUAGES)}")
        least = {
            "temperature": 0,
            "repair_temperature": 0,
            "repairs": 0,
            "min_chars": 0,
            "max_chars": 1,
            "max_segments": 1,
            "min_steps": 1,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"cot_llm.{name} is {getattr(self, name)}; expected {low} or more")
        for name in ("min_support", "max_toxicity"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"cot_llm.{name} is {getattr(self, name)}; expected a number from 0 to 1")
        for low_name, high_name in (("min_steps", "max_steps"), ("min_question_chars", "max_question_chars")):
            if getattr(self, low_name) > getattr(self, high_name):
                raise ConfigError(
                    f"cot_llm.{low_name} is above cot_llm.{high_name}; lower one, raise the other"
                )
        if unknown := sorted(self.max_tokens.keys() - set(STEPS)):
            raise ConfigError(f"cot_llm.max_tokens.{unknown[0]}: expected some of {', '.join(STEPS)}")
        for name in OWN:
            if name in self.extra:
                raise ConfigError(f"cot_llm.extra.{name}: a setting of its own, or one of the answer's form")

    def language_of(self, label: str | None) -> str:
        """Language of the instructions and answers about a document with a label."""
        return self.languages.get((label or "").partition("_")[0], self.language)

    def tokens_of(self, step: str) -> int:
        """Largest answer of a question."""
        return self.max_tokens.get(step, ANSWER_TOKENS[step])
