"""A filing: fields and tables by section, as Markdown in English or Chinese and as JSON with both.

Values come from the files of one release. A field that these cannot answer is blank, unless a file of facts answers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.names import check_keys
from pipeline.report.markdown import escaped, markdown

LANGUAGES = ("en", "zh")
BLANK = {"en": "(to be filled in)", "zh": "（待填写）"}

Label = Mapping[str, str]
"""Text by language."""

SHOWN_ROWS = 1000
"""Rows of a table in Markdown; JSON has all."""


@dataclass
class Table:
    """A table: name of each column, and rows of text or numbers (Any)."""

    title: Label
    heads: list[Label]
    rows: list[list[Any]]


@dataclass
class Section:
    """A section: fields (key, label, value; None for blank), tables, and notes."""

    title: Label
    fields: list[tuple[str, Label, Any]] = field(default_factory=list)  # Any: text, numbers or lists of them
    tables: list[Table] = field(default_factory=list)
    notes: list[Label] = field(default_factory=list)


@dataclass
class Filing:
    """A filing of a release."""

    name: str
    title: Label
    basis: Label
    release: str
    recipe: str
    sections: list[Section]

    def plain(self) -> dict[str, Any]:  # Any: JSON
        """The filing as plain data with labels in both languages."""
        return {
            "filing": self.name, "title": dict(self.title), "basis": dict(self.basis), "release": self.release,
            "recipe": self.recipe,
            "sections": [
                {
                    "title": dict(s.title),
                    "fields": [{"key": k, "label": dict(label), "value": value} for k, label, value in s.fields],
                    "tables": [
                        {"title": dict(t.title), "columns": [dict(head) for head in t.heads], "rows": t.rows}
                        for t in s.tables
                    ],
                    "notes": [dict(note) for note in s.notes],
                }
                for s in self.sections
            ],
        }  # fmt: skip

    def keys(self) -> list[str]:
        """Keys of all fields."""
        return [key for section in self.sections for key, _, _ in section.fields]

    def markdown(self, language: str) -> str:
        """The filing as Markdown."""
        lines = [f"# {self.title[language]}", "", self.basis[language], ""]
        for section in self.sections:
            lines += [f"## {section.title[language]}", ""]
            for _, label, value in section.fields:
                lines.append(f"- **{label[language]}**: {shown(value, language)}")
            lines += [""] if section.fields else []
            for table in section.tables:
                lines += [f"### {table.title[language]}", ""]
                rows = [[cell(value, language) for value in row] for row in table.rows[:SHOWN_ROWS]]
                lines += [*markdown([head[language] for head in table.heads], rows), ""] if rows else [
                    BLANK[language], ""
                ]  # fmt: skip
                left = len(table.rows) - SHOWN_ROWS
                if left > 0:
                    more = {
                        "en": f"{left:,} more rows are in the JSON file.",
                        "zh": f"另有 {left:,} 行见 JSON 文件。",
                    }
                    lines += [more[language], ""]
            for note in section.notes:
                lines += [note[language], ""]
        return "\n".join(lines).rstrip() + "\n"


def shown(value: Any, language: str) -> str:
    """A value of a field as Markdown."""
    if value is None or value == "" or value == []:
        return BLANK[language]
    if isinstance(value, Mapping):
        return escaped(str(value[language]))
    if isinstance(value, list):
        return escaped(("、" if language == "zh" else ", ").join(str(item) for item in value))
    return escaped(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))


def cell(value: Any, language: str) -> Any:
    """A value of a table: text in the language, numbers unchanged, blank for None."""
    if isinstance(value, Mapping):
        return value[language]
    return BLANK[language] if value is None else value


def both(en: str, zh: str) -> Label:
    """A text in both languages."""
    return {"en": en, "zh": zh}


def read_facts(path: str | None) -> dict[str, Any]:  # Any: YAML
    """Facts that a release does not contain: field -> answer, and `sources`, source -> category.

    Raises: InputError if the file is no mapping.
    """
    if path is None:
        return {}
    try:
        facts = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {error}; expected facts in YAML") from error
    if not isinstance(facts, dict):
        raise InputError(f"{path}: expected a mapping of fields to answers")
    return facts


def with_facts(filing: Filing, facts: Mapping[str, Any], where: str) -> Filing:
    """Fill fields by the facts of a file.

    Raises: ConfigError for a field that the filing lacks.
    """
    answers = {key: value for key, value in facts.items() if key != "sources"}
    check_keys(answers, filing.keys(), where)
    for section in filing.sections:
        section.fields = [(key, label, answers.get(key, value)) for key, label, value in section.fields]
    return filing


def add_up(rows: Sequence[tuple[str, int, int]]) -> dict[str, list[int]]:
    """Sum (name, documents, tokens) by name."""
    total: dict[str, list[int]] = {}
    for name, documents, tokens in rows:
        known = total.setdefault(name, [0, 0])
        known[0] += documents
        known[1] += tokens
    return total
