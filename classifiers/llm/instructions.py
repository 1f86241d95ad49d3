"""Instructions to a model as data: files with named questions, each with a version and its text by language.

segment:
  version: 1
  en: Divide the document into …
  zh: 把文档划分成…
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Instruction:
    """One question. version: of its text; texts: by language, with {names} in them."""

    name: str
    version: int
    texts: Mapping[str, str]

    def text(self, language: str, values: Mapping[str, object]) -> str:
        """The text in a language, with each {name} of `values` replaced; other braces are left as they are."""
        text = self.texts[language]
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text


@functools.lru_cache(maxsize=64)
def read_instructions(path: str, names: Sequence[str]) -> dict[str, Instruction]:
    """Read the instructions with these names from a file.

    Raises: ConfigError, naming the part at fault.
    """
    found = read_yaml(path)
    instructions = {}
    for name in names:
        entry = found.get(name)
        if not isinstance(entry, Mapping) or not isinstance(entry.get("version"), int):
            raise ConfigError(f"{path}: {name}: expected a version, a whole number, and a text by language")
        for language in LANGUAGES:
            if not isinstance(entry.get(language), str) or not entry[language].strip():
                raise ConfigError(f"{path}: {name}.{language}: expected text")
        texts = {language: entry[language].strip() for language in LANGUAGES}
        instructions[name] = Instruction(name, entry["version"], texts)
    return instructions


@functools.lru_cache(maxsize=64)
def read_yaml(path: str) -> dict[str, Any]:  # Any: parsed YAML
    """Read a file of instructions, which is a mapping. Raises: ConfigError if it is none."""
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, OverflowError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}; expected a file of instructions in YAML") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected a mapping of names to instructions")
    return found


def versions(instructions: Mapping[str, Instruction]) -> str:
    """Names and versions in one word, as `segment1.summary1`, for the record."""
    return ".".join(f"{name}{one.version}" for name, one in instructions.items())


def in_document(text: str) -> str:
    """A text between the tags that instructions speak of; a closing tag within it is broken."""
    broken = text.replace("</document", "< /document")
    return f"<document>\n{broken}\n</document>"
