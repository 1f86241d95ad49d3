"""Settings of the four questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from classifiers.llm.asking import AskingAnew
from pipeline.errors import ConfigError

STEPS = ("segment", "summary", "chain", "question")
"""The questions, in the order in which they are asked."""
ANSWER_TOKENS = {"segment": 1024, "summary": 256, "chain": 1536, "question": 192}


@dataclass(frozen=True, kw_only=True)
class Config(AskingAnew):
    """What is asked, and what is accepted.

    model: its name, as the servers file has it; without one no document is asked about. prompts: a YAML file of
        instructions; None for those of the package.
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

    STAGE: ClassVar = "cot_llm"
    LEAST: ClassVar = dict.fromkeys(("repair_temperature", "repairs", "min_chars"), 0) | dict.fromkeys(
        ("max_chars", "max_segments", "min_steps"), 1
    )
    SHARES: ClassVar = ("min_support", "max_toxicity")

    max_chars: int = 12_000
    max_tokens: Mapping[str, int] = field(default_factory=lambda: dict(ANSWER_TOKENS))
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_order((("min_steps", "max_steps"), ("min_question_chars", "max_question_chars")))
        if unknown := sorted(self.max_tokens.keys() - set(STEPS)):
            raise ConfigError(f"cot_llm.max_tokens.{unknown[0]}: expected some of {', '.join(STEPS)}")

    def tokens_of(self, step: str) -> int:
        """Largest answer of a question."""
        return self.max_tokens.get(step, ANSWER_TOKENS[step])
