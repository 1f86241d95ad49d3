"""Settings of rephrasing: forms, language, and what is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from classifiers.llm.asking import AskingAnew
from pipeline.errors import ConfigError

TRANSLATION = "translation"
STYLES = ("faq", "table", "tutorial", "wiki", TRANSLATION)
"""The forms, in the order of their numbers: a document of a form has the same id regardless of which others
are asked for.
"""
RATIOS: Mapping[str, tuple[float, float]] = {
    "faq": (0.1, 2.0), "table": (0.05, 2.0), "tutorial": (0.1, 2.0), "wiki": (0.1, 2.0), TRANSLATION: (0.5, 2.0),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config(AskingAnew):
    """What is asked, and what is accepted.

    model: its name, as the servers file has it. prompts: a YAML file of instructions; None for those of the package.
    styles: the forms in which each document is written anew, of STYLES.
    languages: language of a document by the first part of its label; translation leads to the other one. language: for
        other labels.
    min_chars: shorter documents are not asked about. max_chars: of a longer text only the beginning is, cut at a line.
    max_tokens: largest answer. temperature, seed: 0 and any seed make most servers repeat themselves.
    repairs: how often a rejected answer is asked for anew, with the next seed. repair_temperature: least temperature of
        such a try.
    extra: further fields of the request.
    ratios: form -> least and most tokens of its text for one of the document's, estimated from characters.
    max_copied: largest share of the text's 8-grams that the document has as well; not for tables, nor translations.
    max_repeated: largest share of its lines and 8-grams that are repeated, above that of the document.
    min_support: least share of its words and characters that the document has as well; not for translations.
    min_similarity, min_translation_similarity: least cosine of the vectors of `classifiers.embedding` of text and
        document. 0.6 takes 95 % of the translations of people and 5 % of those of other documents of a glossary.
    min_numbers: least share of the document's numbers that a translation has.
    max_toxicity: largest score of `classifiers.toxicity`.
    """

    STAGE: ClassVar = "rephrase"
    LEAST: ClassVar = dict.fromkeys(("repair_temperature", "repairs", "min_chars"), 0) | dict.fromkeys(
        ("max_chars", "max_tokens"), 1
    )
    SHARES: ClassVar = (
        "max_copied", "max_repeated", "min_support", "min_similarity", "min_translation_similarity",
        "min_numbers", "max_toxicity",
    )  # fmt: skip

    styles: tuple[str, ...] = ("faq", "table", "tutorial", "wiki")
    min_chars: int = 300
    max_tokens: int = 3072
    ratios: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(RATIOS))
    max_copied: float = 0.6
    max_repeated: float = 0.3
    min_support: float = 0.4
    min_similarity: float = 0.3
    min_translation_similarity: float = 0.6
    min_numbers: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.styles or len(set(self.styles)) < len(self.styles):
            raise ConfigError(
                f"rephrase.styles is {list(self.styles)}; expected different ones of {', '.join(STYLES)}"
            )
        for where, names in (("styles", self.styles), ("ratios", self.ratios)):
            if unknown := [name for name in names if name not in STYLES]:
                raise ConfigError(
                    f"rephrase.{where}: unknown form {unknown[0]!r}; expected some of {', '.join(STYLES)}"
                )
        for style, bounds in self.ratios.items():
            if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1]:
                raise ConfigError(
                    f"rephrase.ratios.{style} is {list(bounds)}; expected the least and the most, such as [0.1, 2]"
                )


def target_of(style: str, language: str) -> str:
    """Language of a text of a form, of a document in a language."""
    return {"en": "zh", "zh": "en"}[language] if style == TRANSLATION else language
