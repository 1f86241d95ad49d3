"""Settings of rephrasing: forms, language, and what is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from classifiers.cot_llm.config import CHINESE, OWN
from classifiers.llm.instructions import LANGUAGES
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
class Config:
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

    model: str = ""
    prompts: str | None = None
    styles: tuple[str, ...] = ("faq", "table", "tutorial", "wiki")
    languages: Mapping[str, str] = field(default_factory=lambda: dict(CHINESE))
    language: str = "en"
    min_chars: int = 300
    max_chars: int = 8000
    max_tokens: int = 3072
    temperature: float = 0.0
    seed: int = 1
    repairs: int = 1
    repair_temperature: float = 0.7
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    ratios: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(RATIOS))
    max_copied: float = 0.6
    max_repeated: float = 0.3
    min_support: float = 0.4
    min_similarity: float = 0.3
    min_translation_similarity: float = 0.6
    min_numbers: float = 0.8
    max_toxicity: float = 0.9

    def __post_init__(self) -> None:
        if not self.styles or len(set(self.styles)) < len(self.styles):
            raise ConfigError(
                f"rephrase.styles is {list(self.styles)}; expected different ones of {', '.join(STYLES)}"
            )
        for where, names in (("styles", self.styles), ("ratios", self.ratios)):
            if unknown := [name for name in names if name not in STYLES]:
                raise ConfigError(
                    f"rephrase.{where}: unknown form {unknown[0]!r}; expected some of {', '.join(STYLES)}"
                )
        for name, language in {**self.languages, "language": self.language}.items():
            if language not in LANGUAGES:
                raise ConfigError(f"rephrase: {name} is {language!r}; expected {' or '.join(LANGUAGES)}")
        least = {
            "temperature": 0,
            "repair_temperature": 0,
            "repairs": 0,
            "min_chars": 0,
            "max_chars": 1,
            "max_tokens": 1,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"rephrase.{name} is {getattr(self, name)}; expected {low} or more")
        shares = (
            "max_copied",
            "max_repeated",
            "min_support",
            "min_similarity",
            "min_translation_similarity",
            "min_numbers",
            "max_toxicity",
        )
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"rephrase.{name} is {getattr(self, name)}; expected a number from 0 to 1")
        for style, bounds in self.ratios.items():
            if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1]:
                raise ConfigError(
                    f"rephrase.ratios.{style} is {list(bounds)}; expected the least and the most, such as [0.1, 2]"
                )
        for name in OWN:
            if name in self.extra:
                raise ConfigError(f"rephrase.extra.{name}: a setting of its own, or one of the answer's form")

    def language_of(self, label: str | None) -> str:
        """Language of a document with a label."""
        return self.languages.get((label or "").partition("_")[0], self.language)


def target_of(style: str, language: str) -> str:
    """Language of a text of a form, of a document in a language."""
    return {"en": "zh", "zh": "en"}[language] if style == TRANSLATION else language
