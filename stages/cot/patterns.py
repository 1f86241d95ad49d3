"""Patterns of worked solutions: marks that begin a question, a solution, an answer or a step, and other signs.

Read from `languages/*.cot.yaml`. All patterns apply to every document, because pages mix languages, and all are matched
against match characters, so that one pattern covers both scripts and both widths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from stages import languages
from stages.kernels.text.tables import load_tables

ROLES = (
    "question", "claim", "solution", "proof", "explanation", "answer", "step", "open", "close", "result", "hint", "end",
)  # fmt: skip
SIGNS = (
    "computes", "argues", "plans", "asks", "demands", "concludes", "finishes", "settles", "evades", "defines",
    "resumes", "starts", "clauses", "remarks", "number",
)  # fmt: skip


@dataclass(frozen=True)
class Patterns:
    """All patterns of all languages; `languages/und.cot.yaml` describes each.

    heads: beginnings of words at which marks are searched for. marks: one group per role, named after it. numbers: one
    pattern per style of numbering, with the number as its group.
    """

    heads: tuple[str, ...]
    marks: re.Pattern[str]
    computes: re.Pattern[str]
    argues: re.Pattern[str]
    plans: re.Pattern[str]
    asks: re.Pattern[str]
    demands: re.Pattern[str]
    concludes: re.Pattern[str]
    finishes: re.Pattern[str]
    settles: re.Pattern[str]
    evades: re.Pattern[str]
    defines: re.Pattern[str]
    resumes: re.Pattern[str]
    starts: re.Pattern[str]
    clauses: re.Pattern[str]
    remarks: re.Pattern[str]
    numbers: tuple[re.Pattern[str], ...]


def pattern_paths() -> tuple[str, ...]:
    """Return the files with patterns of worked solutions, sorted."""
    return tuple(sorted(str(path) for path in Path(languages.__file__).parent.glob("*.cot.yaml")))


def load_patterns(paths: tuple[str, ...]) -> Patterns:
    """Read and compile pattern files.

    Raises: ConfigError if a role is unknown, a head is not in match characters or a pattern does not compile.
    """
    heads: dict[str, None] = {}
    marks: dict[str, list[str]] = {role: [] for role in ROLES}
    signs: dict[str, list[str]] = {sign: [] for sign in SIGNS}
    for path in paths:
        entries = read_yaml(path)
        for mark in entries["marks"]:
            _check_mark(path, mark["role"], mark["heads"])
            heads |= dict.fromkeys(mark["heads"])
            marks[mark["role"]].append(_compile(path, mark["pattern"]).pattern)
        for sign in SIGNS:
            signs[sign] += [_compile(path, text).pattern for text in entries[sign]]
    groups = (f"(?P<{role}>{'|'.join(patterns)})" for role, patterns in marks.items() if patterns)
    joined = {sign: re.compile("|".join(patterns)) for sign, patterns in signs.items() if sign != "number"}
    numbers = tuple(map(re.compile, signs["number"]))
    return Patterns(heads=tuple(heads), marks=re.compile("|".join(groups)), numbers=numbers, **joined)


def _check_mark(path: str, role: str, heads: list[str]) -> None:
    if role not in ROLES:
        raise ConfigError(f"{path}: role {role!r}; expected one of {', '.join(ROLES)}")
    fold = load_tables().fold
    for head in heads:
        if any(fold[ord(char)] not in (0, ord(char)) for char in head):
            raise ConfigError(f"{path}: head {head!r}; expected match characters: lower case, Simplified")


def _compile(path: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text.replace("\n", ""))
    except re.error as error:
        raise ConfigError(f"{path}: pattern {text!r}: {error}; expected a regular expression") from error
