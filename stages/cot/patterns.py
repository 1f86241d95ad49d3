"""Patterns of worked solutions: marks that begin a question, a solution, an answer or a step, and other signs.

Read from `languages/*.cot.yaml`. All patterns apply to every document, because pages mix languages, and all are matched
against match characters, so that one pattern covers both scripts and both widths.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
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
    "computes", "argues", "plans", "asks", "demands", "hints", "concludes", "finishes", "settles", "evades", "defines",
    "resumes", "starts", "clauses", "remarks", "number",
)  # fmt: skip


@dataclass(frozen=True)
class Patterns:
    """All patterns of all languages; `languages/und.cot.yaml` describes each.

    heads: beginnings of words at which marks are searched for. marks: one group per role, named after it. marks_from:
    the same, by the first character of the heads. hints: what every match of `demands` contains. numbers: one pattern
    per style of numbering, with the number as its group.
    """

    heads: tuple[str, ...]
    marks: re.Pattern[str]
    marks_from: dict[str, re.Pattern[str]]
    computes: re.Pattern[str]
    argues: re.Pattern[str]
    plans: re.Pattern[str]
    asks: re.Pattern[str]
    demands: re.Pattern[str]
    hints: re.Pattern[str]
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

    def ask(self, text: str, start: int = 0, end: int = sys.maxsize) -> bool:
        """Return whether `asks` occurs in a range; a question mark is an instance of it, and found faster."""
        return (
            text.find("?", start, end) >= 0
            or text.find("？", start, end) >= 0
            or self.asks.search(text, start, end) is not None
        )

    def demand(self, text: str) -> re.Match[str] | None:
        """Return the first match of `demands`; most sentences have none, and one fast search for hints shows it."""
        return self.demands.search(text) if self.hints.search(text) else None


def pattern_paths() -> tuple[str, ...]:
    """Return the files with patterns of worked solutions, sorted."""
    return tuple(sorted(str(path) for path in Path(languages.__file__).parent.glob("*.cot.yaml")))


def load_patterns(paths: tuple[str, ...]) -> Patterns:
    """Read and compile pattern files.

    Raises: ConfigError if a role is unknown, a head is not in match characters or a pattern does not compile.
    """
    heads: dict[str, None] = {}
    marks: list[tuple[str, str, frozenset[str]]] = []  # role, pattern, first characters of its heads
    signs: dict[str, list[str]] = {sign: [] for sign in SIGNS}
    for path in paths:
        entries = read_yaml(path)
        for mark in entries["marks"]:
            _check_mark(path, mark["role"], mark["heads"])
            heads |= dict.fromkeys(mark["heads"])
            firsts = frozenset(head[0] for head in mark["heads"])
            marks.append((mark["role"], _compile(path, mark["pattern"]).pattern, firsts))
        for sign in SIGNS:
            signs[sign] += [_compile(path, text).pattern for text in entries[sign]]
    joined = {sign: re.compile("|".join(patterns)) for sign, patterns in signs.items() if sign != "number"}
    numbers = tuple(map(re.compile, signs["number"]))
    marks.sort(key=lambda mark: ROLES.index(mark[0]))
    return Patterns(
        heads=tuple(heads),
        marks=_join(marks),
        marks_from={
            first: _join([mark for mark in marks if first in mark[2]])
            for first in {head[0] for head in heads}
        },
        numbers=numbers,
        **joined,
    )


def _join(marks: Sequence[tuple[str, str, frozenset[str]]]) -> re.Pattern[str]:
    """One pattern with a group per role; marks, sorted by role."""
    groups = (
        f"(?P<{role}>{'|'.join(pattern for _, pattern, _ in same)})"
        for role, same in itertools.groupby(marks, key=lambda mark: mark[0])
    )
    return re.compile("|".join(groups))


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
