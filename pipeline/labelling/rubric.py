"""The rubric of a labelling sheet: questions and choices in English and Chinese, and the answers that they allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError

DEFAULT = Path(__file__).parent / "rubric.yaml"
AUDIT = Path(__file__).parent / "audit.yaml"
"""What the readers of an audit are asked."""

LANGUAGES = ("en", "zh")
QUESTIONS = ("score", "keep", "kind", "flags", "domain")

Rubric = dict[str, Any]
"""Any: parsed YAML of the form of rubric.yaml."""


def read_rubric(path: str | Path = DEFAULT) -> Rubric:
    """Read a rubric.

    Raises: InputError, naming the part at fault, if the file is none.
    """
    try:
        rubric = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {error}; expected a rubric in YAML") from error
    try:
        for part in ("title", "intro", "keep"):
            _texts(rubric[part])
        for question in QUESTIONS:
            _texts(rubric[question]["title"])
        for level in rubric["score"]["levels"]:
            _texts(level)
        scores = [level["name"] for level in rubric["score"]["levels"]]
        if not scores or not all(isinstance(score, int) and 0 <= score <= 9 for score in scores):
            raise ValueError(f"score.levels have the names {scores}; expected whole numbers from 0 to 9")
        for question in ("kind", "flags", "domain"):
            names = [choice["name"] for choice in rubric[question]["choices"]]
            if len(set(names)) < len(names) or not all(
                isinstance(n, str) and n and "|" not in n for n in names
            ):
                raise ValueError(f"{question}.choices: expected different names without `|`")
            for choice in rubric[question]["choices"]:
                _texts(choice)
        keys = [choice["key"] for choice in rubric["flags"]["choices"]]
        if len(set(keys)) < len(keys) or not all(
            isinstance(k, str) and len(k) == 1 and k.isupper() for k in keys
        ):
            raise ValueError(f"flags.choices have the keys {keys}; expected different capital letters")
    except (KeyError, TypeError, ValueError) as error:
        found = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: {found}; compare pipeline/labelling/rubric.yaml") from error
    return dict(rubric)


def _texts(part: dict[str, Any]) -> None:
    for language in LANGUAGES:
        if not isinstance(part[language], str):
            raise ValueError(f"{language} is {part[language]!r}; expected text")


def names_of(rubric: Rubric, question: str) -> list[str]:
    """Names of the choices of a question."""
    return [choice["name"] for choice in rubric[question]["choices"]]
