"""Settings that every stage has which asks a language model about documents, checked in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from classifiers.llm.instructions import LANGUAGES
from pipeline.errors import ConfigError

CHINESE = {"zho": "zh", "yue": "zh", "lzh": "zh", "wuu": "zh"}
OWN = ("model", "messages", "response_format", "max_tokens", "temperature", "seed", "stream", "n")
"""Fields of a request that have settings of their own, or would change the form of an answer."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked of which model, without where its server is.

    STAGE: name of the stage, for errors; LEAST: setting -> its least value; SHARES: settings from 0 to 1. A stage sets
    them for its own settings.
    """

    STAGE: ClassVar[str]
    LEAST: ClassVar[Mapping[str, float]] = {}
    SHARES: ClassVar[tuple[str, ...]] = ()

    model: str = ""
    languages: Mapping[str, str] = field(default_factory=lambda: dict(CHINESE))
    language: str = "en"
    max_chars: int = 8000
    temperature: float = 0.0
    seed: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    def __post_init__(self) -> None:
        for name, language in {**self.languages, "language": self.language}.items():
            if language not in LANGUAGES:
                raise ConfigError(f"{self.STAGE}: {name} is {language!r}; expected {' or '.join(LANGUAGES)}")
        for name, low in ({"temperature": 0} | dict(self.LEAST)).items():
            if getattr(self, name) < low:
                raise ConfigError(f"{self.STAGE}.{name} is {getattr(self, name)}; expected {low} or more")
        for name in self.SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{self.STAGE}.{name} is {getattr(self, name)}; expected a number from 0 to 1"
                )
        for name in OWN:
            if name in self.extra:
                raise ConfigError(
                    f"{self.STAGE}.extra.{name}: a setting of its own, or one of the answer's form"
                )

    def language_of(self, label: str | None) -> str:
        """Language, `en` or `zh`, in which a document with a language label is asked about."""
        return self.languages.get((label or "").partition("_")[0], self.language)

    def parameters(self, max_tokens: int) -> dict[str, Any]:  # Any: JSON
        """Fields of a request beside its model and messages; max_tokens: largest answer."""
        own = {"temperature": self.temperature, "seed": self.seed, "max_tokens": max_tokens}
        return {**own, **self.extra}

    def check_order(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Check that the first setting of each pair is not above the second. Raises: ConfigError."""
        for low, high in pairs:
            if getattr(self, low) > getattr(self, high):
                raise ConfigError(
                    f"{self.STAGE}.{low} is above {self.STAGE}.{high}; lower one, raise the other"
                )


@dataclass(frozen=True, kw_only=True)
class AskingAnew(Asking):
    """Settings of a stage that checks answers and asks anew about those that it rejects."""

    prompts: str | None = None
    min_chars: int = 200
    repairs: int = 1
    repair_temperature: float = 0.7
    max_toxicity: float = 0.9
