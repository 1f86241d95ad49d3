"""A rubric as questions to a model: instructions in Chinese or English, a JSON schema of the answer, Arrow columns.

A rubric is a YAML file in one of two forms: that of `bicorpus label` for people, which has the properties score, keep,
kind, flags and domain, or named properties, each a JSON schema with its question:

    version: 1
    title: {en: Is it instructive?, zh: 有没有教学价值？}
    intro: {en: ..., zh: ...}
    properties:
      educational: {type: integer, minimum: 0, maximum: 5, en: Educational value, zh: 教育价值}
      level: {type: string, en: Level, zh: 程度, choices: [{name: school, en: ..., zh: ...}, ...]}
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from classifiers.llm.requests import messages_of
from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from pipeline.recipe import package_file

LANGUAGES = ("en", "zh")
PEOPLE = str(Path(str(files("pipeline.labelling"))) / "rubric.yaml")
"""The rubric for people, read as a file: models and people answer the same questions."""
PROMPTS = package_file(__file__, "prompts.yaml")
RESERVED = ("reason",)
TYPES = {
    "integer": pa.int32(), "number": pa.float32(), "boolean": pa.bool_(), "string": pa.string(),
    "array": pa.list_(pa.string()),
}  # fmt: skip
SCHEMA_KEYS = (
    "type",
    "enum",
    "minimum",
    "maximum",
    "items",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
)

Text = Mapping[str, str]
"""The same text by language."""


@dataclass(frozen=True)
class Property:
    """One question. schema: JSON schema of its answer. choices: (name, meaning) of answers, where these are named."""

    name: str
    schema: Mapping[str, Any]  # Any: JSON
    text: Text
    choices: tuple[tuple[Any, Text], ...] = ()

    @property
    def dtype(self) -> pa.DataType:
        """Dtype of the column of its answers."""
        return TYPES[self.schema["type"]]

    def value(self, answer: Any) -> Any:  # Any: JSON, which the schema has checked
        """The value of the column: whole numbers as int, others rounded to three decimals, lists without repeats."""
        kind = self.schema["type"]
        if kind == "integer":
            return int(answer)
        if kind == "number":
            return round(float(answer), 3)
        return list(dict.fromkeys(answer)) if kind == "array" else answer


@dataclass(frozen=True)
class Questions:
    """All questions of a rubric about a document."""

    version: int
    title: Text
    intro: Text
    properties: tuple[Property, ...]

    @property
    def schema(self) -> dict[str, Any]:  # Any: JSON
        """JSON schema of the whole answer: an object of all properties and no other."""
        return {
            "type": "object",
            "properties": {p.name: dict(p.schema) for p in self.properties},
            "required": [p.name for p in self.properties],
            "additionalProperties": False,
        }

    def only(self, names: Sequence[str], where: str) -> Questions:
        """The questions with these names, in the order of the rubric; all for an empty list.

        Raises: ConfigError for a name that the rubric lacks.
        """
        known = [p.name for p in self.properties]
        for name in names:
            if name not in known:
                raise ConfigError(f"{where}: the rubric has no property {name!r}; it has {', '.join(known)}")
        return replace(self, properties=tuple(p for p in self.properties if not names or p.name in names))

    def messages(self, text: str, language: str) -> tuple[tuple[str, str], ...]:
        """The messages that ask about a text, in a language of LANGUAGES."""
        text = text.replace("</document", "< /document")
        return messages_of(self.instructions(language), f"<document>\n{text}\n</document>")

    def instructions(self, language: str) -> str:
        """The system message: the same for all documents, so that a server may reuse its state."""
        words = prompts()[language]
        parts = [words["task"], self.title[language], self.intro[language]]
        parts += [_question(p, language, words) for p in self.properties]
        parts += [words["answer"] + "\n" + _form(self.properties), words["document"]]
        return "\n\n".join(part for part in parts if part)


def _question(item: Property, language: str, words: Mapping[str, str]) -> str:
    kind, low, high = item.schema["type"], item.schema.get("minimum"), item.schema.get("maximum")
    form = words[kind]
    if item.choices:
        form = words["some_of"] if kind == "array" else words["one_of"]
    elif low is not None and high is not None:
        form = words["from_to"].format(low=low, high=high)
    lines = [f"- {name}: {text[language]}" for name, text in item.choices]
    return "\n".join([f"# {item.name}: {item.text[language]} ({form})", *lines])


def _form(properties: Sequence[Property]) -> str:
    """The form of the answer, for a server that does not know schemas: places, since weak models copy sample values."""
    places = {
        "integer": "<integer>", "number": "<number>", "boolean": "<true|false>", "string": '"<text>"',
        "array": '["<text>", …]',
    }  # fmt: skip
    return "{" + ", ".join(f'"{item.name}": {places[item.schema["type"]]}' for item in properties) + "}"


@functools.cache
def prompts() -> dict[str, Any]:  # Any: parsed YAML
    """The words around a rubric, by language."""
    return dict(read_yaml(PROMPTS))


@functools.lru_cache(maxsize=64)
def read_questions(path: str) -> Questions:
    """Read a rubric of either form.

    Raises: ConfigError, naming the part at fault.
    """
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, OverflowError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}; expected a rubric in YAML") from error
    try:
        if not isinstance(found, Mapping):
            raise ValueError("expected a mapping")
        items = found["properties"] if "properties" in found else _of_people(found)
        if not isinstance(items, Mapping) or not items:
            raise ValueError("properties: expected a mapping of at least one")
        properties = tuple(_property(str(name), item) for name, item in items.items())
        title, intro = (
            _text(found["title"], "title"),
            _text(found.get("intro", {"en": "", "zh": ""}), "intro"),
        )
        return Questions(int(found.get("version", 1)), title, intro, properties)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fault = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path}: {fault}; see docs/llm.md for the form") from error


def _of_people(rubric: Mapping[str, Any]) -> dict[str, Any]:  # Any: parsed YAML
    """The properties of a rubric of `bicorpus label`."""

    def choices(question: str, names: str = "choices") -> list[dict[str, Any]]:
        return [{"name": c["name"], "en": c["en"], "zh": c["zh"]} for c in rubric[question][names]]

    keep = {lang: f"{rubric['keep']['title'][lang]} {rubric['keep'][lang]}" for lang in LANGUAGES}
    return {
        "score": {"type": "integer", **rubric["score"]["title"], "choices": choices("score", "levels")},
        "keep": {"type": "boolean", **keep},
        "kind": {"type": "string", **rubric["kind"]["title"], "choices": choices("kind")},
        "flags": {"type": "array", **rubric["flags"]["title"], "choices": choices("flags")},
        "domain": {"type": "string", **rubric["domain"]["title"], "choices": choices("domain")},
    }


def _property(name: str, item: Mapping[str, Any]) -> Property:  # Any: parsed YAML
    """One property; raises ValueError that names it."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in RESERVED:
        raise ValueError(
            f"properties: {name!r} is no name of a column; use letters, digits and _, not reason"
        )
    where = f"properties.{name}"
    if not isinstance(item, Mapping) or item.get("type") not in TYPES:
        raise ValueError(f"{where}: expected a type, one of {', '.join(TYPES)}")
    if unknown := [key for key in item if key not in (*SCHEMA_KEYS, *LANGUAGES, "choices")]:
        raise ValueError(
            f"{where}: unknown key {unknown[0]!r}; expected some of {', '.join(SCHEMA_KEYS)}, choices"
        )
    schema = {key: item[key] for key in SCHEMA_KEYS if key in item}
    choices = tuple((c["name"], _text(c, f"{where}.choices")) for c in item.get("choices", ()))
    names = [choice for choice, _ in choices]
    if schema["type"] == "array":
        items = {"type": "string", **({"enum": names} if names else {})}
        schema = {"items": items, **({"maxItems": len(names)} if names else {}), **schema}
        if dict(schema["items"]).get("type") != "string":
            raise ValueError(f"{where}.items: expected texts, {{type: string}}")
    elif names:
        schema["enum"] = names
    kinds: dict[str, type | tuple[type, ...]] = {
        "integer": int,
        "number": (int, float),
        "string": str,
        "boolean": bool,
    }
    for value in schema.get("enum", ()):
        if not isinstance(value, kinds.get(schema["type"], object)):
            raise ValueError(f"{where}: {value!r} is no {schema['type']}")
    return Property(name, schema, _text(item, where), choices)


def _text(item: Mapping[str, Any], where: str) -> dict[str, str]:  # Any: parsed YAML
    for language in LANGUAGES:
        if not isinstance(item.get(language), str):
            raise ValueError(f"{where}.{language}: expected text")
    return {language: item[language] for language in LANGUAGES}
