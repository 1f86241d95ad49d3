"""Words of dialogues as patterns, from `stages/languages/turns.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from pipeline.data_files import read_yaml
from stages.languages import TURNS_PATH

NEVER = re.compile(r"(?!)")

Words = tuple[str, ...]
"""Words to be found in the text of `searchable`: those of Latin letters between blanks, others anywhere."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What asks for something, what gives it anywhere in a turn, and what gives it at its beginning."""

    first: Words
    next: Words
    begins: re.Pattern[str]


@dataclass(frozen=True, kw_only=True)
class TurnWords:
    """The lists of turns.yaml, in lower case; `replies` and `begins` match the beginning, `asks` the end of a turn."""

    roles: frozenset[str]
    chat_roles: frozenset[str]
    numbered: frozenset[str]
    saying: tuple[str, ...]
    unspoken: frozenset[str]
    openers: Words
    closers: Words
    replies: re.Pattern[str]
    asks: re.Pattern[str]
    pairs: tuple[Pair, ...]


@cache
def turn_words() -> TurnWords:
    """Load the words."""
    lists = read_yaml(TURNS_PATH)
    ends = "".join(map(re.escape, ("?", "？", *lists["asking_ends"])))
    return TurnWords(
        roles=frozenset(lists["roles"]),
        chat_roles=frozenset(lists["chat_roles"]),
        numbered=frozenset(lists["numbered"]),
        saying=tuple(lists["saying"]),
        unspoken=frozenset(lists["unspoken"]),
        openers=_any_of(lists["openers"]),
        closers=_any_of(lists["closers"]),
        replies=_at_beginning(lists["replies"]),
        asks=re.compile(rf"[{ends}]\W*$"),
        pairs=tuple(
            Pair(
                first=_any_of(pair["first"]),
                next=_any_of(pair["next"]),
                begins=_at_beginning(pair.get("begins", ())),
            )
            for pair in lists["pairs"]
        ),
    )


def searchable(text: str) -> str:
    """The text, and its words between blanks."""
    return f"{text} {' '.join(_WORD.findall(text))} "


def has_any(text: str, words: Words) -> bool:
    """Whether a searchable text has one of the words."""
    return any(word in text for word in words)


_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


def _any_of(words: Iterable[str]) -> Words:
    return tuple(f" {word} " if _is_latin(word) else word for word in words)


def _at_beginning(words: Iterable[str]) -> re.Pattern[str]:
    alternatives = "|".join(rf"{re.escape(w)}\b" if _is_latin(w) else re.escape(w) for w in words)
    return re.compile(rf"\W*(?:{alternatives})") if alternatives else NEVER


def _is_latin(word: str) -> bool:
    return word.isascii() and word[0].isalpha()
