r"""Regular expressions compiled to a table: the next match of a pattern by one look-up a character.

Covers what patterns of pre-tokenisers are made of: literals, character classes with `&&`, `\p{...}`, `\s`,
alternation, groups, `(?i:...)` over ASCII letters, the greedy quantifiers and a look-ahead of one character. Anything
else is refused, and the text is left to the library. A backtracking matcher prefers the first alternative and the
longest repetition; the threads of a Pike machine are kept in that order, and those after a match are dropped, so that
a list of threads is a state of a deterministic automaton that finds the same match (Cox, Regular Expression Matching:
the Virtual Machine Approach, 2009). A look-ahead is decided by the class of the next character, which the table is
indexed by anyway."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from stages.kernels.bpe.characters import (
    N_CODES,
    SPACE,
    UNSTABLE,
    feature_runs,
    load_features,
    spelled_with,
    with_property,
)

MAX_STATES, MAX_CLASSES, MAX_REPEAT = 4_000, 200, 64
MATCH, SEEN_UNSTABLE, SEEN_FOREIGN, SHIFT = 1, 2, 4, 3
"""Bits of a table entry, above which is the row of the next state. MATCH: a match ends before this character.
SEEN_UNSTABLE: the character may not be in form NFC. SEEN_FOREIGN: the caller has named it as one to watch for."""

_MULTI_FOLDS = ("ss", "ff", "fi", "fl", "st")
"""Pairs of ASCII letters that equal one character if case is ignored, as `ss` does `ß`."""

_FOLDED = {0x17F: "s", 0x212A: "k"}
"""Long s and the sign of kelvin, which equal ASCII letters if case is ignored."""

_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}
_MARK = "\\^$.|?*+()[]{}"


class UnsupportedError(ValueError):
    """A pattern with something that the table cannot express."""


class Automaton(NamedTuple):
    """classes: uint8 (0x110000,), class of each code point. table: uint32 (n_states * n_classes,), see MATCH; the
    last class is the end of the text, row 0 the state without threads, row 1 the start. n_classes: the end counted."""

    classes: np.ndarray
    table: np.ndarray
    n_classes: int


class _Step(NamedTuple):
    """An instruction of the machine. kind: take (a character of the set), look (at one), split, match."""

    kind: str
    chars: int = -1
    negative: bool = False
    to: tuple[int, ...] = ()


@lru_cache(maxsize=32)
def compile_pattern(pattern: str, foreign: bytes = b"") -> Automaton:
    """Compile a regular expression in the syntax of Oniguruma.

    Args: foreign, bytes whose characters set SEEN_FOREIGN.
    Raises: UnsupportedError.
    """
    watched = spelled_with(foreign)
    reader = _Reader(pattern, np.flatnonzero(np.diff(watched)) + 1)
    tree = reader.alternatives()
    if reader.rest():
        raise UnsupportedError(f"unmatched ) in {pattern!r}")
    if _nullable(tree):
        raise UnsupportedError(f"{pattern!r} matches the empty text")
    steps = [_Step("match")]
    start = _emit(tree, 0, steps)
    unstable = (reader.features & UNSTABLE) != 0
    classes, members = _partition([*reader.sets, watched[reader.starts], unstable])
    classes = np.repeat(classes, np.diff(reader.starts, append=N_CODES))
    return _determinise(steps, start, classes, members)


class _Reader:
    """Reads a pattern into a tree of tuples: (set, i), (look, i, negative), (cat, parts), (alt, parts),
    (repeat, part, least, most).

    A set is an array over runs of code points that are the same to the pattern: those with the same features, without
    the characters that it names. starts: int64 (n_runs,). edges: further borders of runs.
    """

    def __init__(self, pattern: str, edges: np.ndarray) -> None:
        self.pattern, self.at = pattern, 0
        named = [ord(char) for char in pattern]
        named += [int(code, 16) for code in re.findall(r"\\u([0-9a-fA-F]{4})", pattern)]
        alone = np.array([*range(0x80), *_FOLDED, *named])
        starts = np.unique(np.concatenate([feature_runs(), edges, alone, alone + 1]))
        self.starts = starts[starts < N_CODES]
        self.features = load_features()[self.starts]
        self.sets: list[np.ndarray] = []
        self.fold = False

    def rest(self) -> str:
        return self.pattern[self.at :]

    def take(self, text: str) -> bool:
        """Step over a text if it comes next."""
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise UnsupportedError(f"{self.pattern!r} ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def alternatives(self) -> tuple:  # type: ignore[type-arg]  # trees are nested tuples
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else ("alt", parts)

    def sequence(self) -> tuple:  # type: ignore[type-arg]
        parts = []
        while self.rest() and self.rest()[0] not in "|)":
            parts.append(self.quantified(self.atom()))
        return ("cat", parts)

    def atom(self) -> tuple:  # type: ignore[type-arg]
        if self.take("("):
            return self.group()
        if self.take("["):
            return ("set", self.add(self.char_class()))
        char = self.next()
        if char == "\\":
            return ("set", self.add(self.escape()))
        if char in _MARK:
            raise UnsupportedError(f"{char!r} in {self.pattern!r}")
        return ("set", self.add(self.range(char, char)))

    def group(self) -> tuple:  # type: ignore[type-arg]
        fold, first = self.fold, self.at
        if self.take("?!") or self.take("?="):
            negative = self.pattern[self.at - 1] == "!"
            tree = self.alternatives()
            while tree[0] == "cat" and len(tree[1]) == 1:
                tree = tree[1][0]
            if tree[0] != "set":
                raise UnsupportedError(f"a look-ahead of more than a character in {self.pattern!r}")
            tree = ("look", tree[1], negative)
        else:
            if self.take("?i:"):
                self.fold = True
            elif not self.take("?:") and self.rest()[:1] == "?":
                raise UnsupportedError(f"(? in {self.pattern!r}")
            tree = self.alternatives()
            inside = self.pattern[first : self.at].lower()
            if self.fold and any(pair in inside for pair in _MULTI_FOLDS):
                raise UnsupportedError(f"(?i: with letters that fold together in {self.pattern!r}")
            self.fold = fold
        if not self.take(")"):
            raise UnsupportedError(f"missing ) in {self.pattern!r}")
        return tree

    def quantified(self, tree: tuple) -> tuple:  # type: ignore[type-arg]
        if self.take("?"):
            least, most = 0, 1
        elif self.take("*"):
            least, most = 0, -1
        elif self.take("+"):
            least, most = 1, -1
        elif self.take("{"):
            least, most = self.bounds()
        else:
            return tree
        if self.rest()[:1] in ("?", "+", "*", "{") and self.rest():
            raise UnsupportedError(f"a lazy, possessive or double quantifier in {self.pattern!r}")
        if tree[0] == "look" or _nullable(tree):
            raise UnsupportedError(f"a repeated part that may be empty in {self.pattern!r}")
        return ("repeat", tree, least, most)

    def bounds(self) -> tuple[int, int]:
        text, closed, _ = self.rest().partition("}")
        low, comma, high = text.partition(",")
        if not closed or not low.isdecimal() or (high and not high.isdecimal()):
            raise UnsupportedError(f"{{{text} in {self.pattern!r}")
        self.at += len(text) + 1
        least = int(low)
        most = least if not comma else int(high) if high else -1
        if max(least, most) > MAX_REPEAT or 0 <= most < max(least, 1):
            raise UnsupportedError(f"{{{text}}} in {self.pattern!r}")
        return least, most

    def escape(self) -> np.ndarray:
        """The set of an escape whose backslash has been read."""
        char = self.next()
        if char in "pP":
            name, closed, _ = self.rest().partition("}")
            chars = self.property(name) if closed and name[:1] == "{" else None
            if chars is None:
                raise UnsupportedError(f"\\{char}{name}}} in {self.pattern!r}")
            self.at += len(name) + 1
            self.refuse_fold()
            return ~chars if (char == "P") != (name[1:2] == "^") else chars
        if char in "sS":
            return ((self.features & SPACE) != 0) == (char == "s")
        literal = self.literal(char)
        return self.range(literal, literal)

    def property(self, name: str) -> np.ndarray | None:
        """The set of a property, after its bracket and a possible ^."""
        return with_property(name[1:].removeprefix("^"), self.features)

    def range(self, first: str, last: str) -> np.ndarray:
        """The set of the characters from `first` to `last`."""
        return (self.starts >= ord(first)) & (self.starts <= ord(last))

    def literal(self, char: str) -> str:
        """The character of an escape, after its backslash."""
        if char == "u":
            digits = self.rest()[:4]
            self.at += 4
            if len(digits) == 4 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
                return chr(int(digits, 16))
        elif char in _ESCAPES:
            return _ESCAPES[char]
        elif char.isascii() and not char.isalnum():
            return char
        raise UnsupportedError(f"\\{char} in {self.pattern!r}")

    def char_class(self) -> np.ndarray:
        """A class whose bracket has been read, and its closing bracket."""
        negative = self.take("^")
        if self.rest()[:1] in ("]", ":"):
            raise UnsupportedError(f"[{self.rest()[0]} in {self.pattern!r}")
        parts, chars = [], np.zeros(len(self.starts), bool)
        while not self.take("]"):
            if self.take("&&"):
                parts.append(chars)
                chars = np.zeros(len(self.starts), bool)
            elif self.take("["):
                chars = chars | self.char_class()
            else:
                chars = chars | self.class_item()
        for part in parts:
            chars = chars & part
        return ~chars if negative else chars

    def class_item(self) -> np.ndarray:
        """A set, a character or a range in a class."""
        char = self.next()
        if char == "\\":
            if self.rest()[:1] in tuple("pPsS"):
                return self.escape()
            char = self.literal(self.next())
        elif char == "-" and self.rest()[:1] != "]" and self.pattern[self.at - 2] not in "[^":
            raise UnsupportedError(f"a bare - in a class of {self.pattern!r}")
        if self.rest()[:1] != "-" or self.rest()[1:2] == "]":
            return self.folded(self.range(char, char))
        self.take("-")
        last = self.next()
        last = self.literal(self.next()) if last == "\\" and self.rest()[:1] not in tuple("pPsS") else last
        if last in "\\[" or last < char:
            raise UnsupportedError(f"a range up to {last!r} in {self.pattern!r}")
        return self.folded(self.range(char, last))

    def add(self, chars: np.ndarray) -> int:
        """Number of a set, of which equal ones are kept once."""
        chars = self.folded(chars)
        for i, known in enumerate(self.sets):
            if np.array_equal(known, chars):
                return i
        self.sets.append(chars)
        return len(self.sets) - 1

    def folded(self, chars: np.ndarray) -> np.ndarray:
        """A set, inside `(?i:` with the other case of its letters."""
        if not self.fold:
            return chars
        wide = chars & ~np.isin(self.starts, list(_FOLDED))
        if (wide & (self.starts >= 0x80)).any():
            self.refuse_fold()
        letters = {chr(code) for code in self.starts[wide].tolist()}
        both = {*map(str.upper, letters), *map(str.lower, letters)}
        codes = [ord(char) for char in both] + [code for code, char in _FOLDED.items() if char in both]
        return np.isin(self.starts, codes)

    def refuse_fold(self) -> None:
        if self.fold:
            raise UnsupportedError(f"(?i: with more than ASCII in {self.pattern!r}")


def _nullable(tree: tuple) -> bool:  # type: ignore[type-arg]
    """Whether a part may match the empty text."""
    if tree[0] == "cat":
        return all(map(_nullable, tree[1]))
    if tree[0] == "alt":
        return any(map(_nullable, tree[1]))
    return tree[0] == "look" or (tree[0] == "repeat" and tree[2] == 0)


def _emit(tree: tuple, then: int, steps: list[_Step]) -> int:  # type: ignore[type-arg]
    """Append the steps of a part that go on with step `then`; return the number of its first step."""

    def put(step: _Step) -> int:
        steps.append(step)
        return len(steps) - 1

    if tree[0] == "set":
        return put(_Step("take", tree[1], to=(then,)))
    if tree[0] == "look":
        return put(_Step("look", tree[1], tree[2], (then,)))
    if tree[0] == "cat":
        for part in reversed(tree[1]):
            then = _emit(part, then, steps)
        return then
    if tree[0] == "alt":
        return put(_Step("split", to=tuple(_emit(part, then, steps) for part in tree[1])))
    _, part, least, most = tree
    if most < 0:
        loop = put(_Step("split"))
        steps[loop] = _Step("split", to=(_emit(part, loop, steps), then))
        then = loop
    for _ in range(max(most - least, 0)):
        then = put(_Step("split", to=(_emit(part, then, steps), then)))
    # To leave out a copy and take a later one matches what the reverse does, which is tried first.
    for _ in range(least):
        then = _emit(part, then, steps)
    return then


def _partition(sets: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Classes of runs that are in the same sets.

    Returns: uint8 (n_runs,), class of each run; bool (n_classes, n_sets), whether a class is in each set.
    """
    members, classes = np.unique(np.stack(sets, axis=1), axis=0, return_inverse=True)
    if len(members) >= MAX_CLASSES:
        raise UnsupportedError(f"{len(members)} classes of characters")
    return classes.reshape(-1).astype(np.uint8), members


def _determinise(steps: Sequence[_Step], start: int, classes: np.ndarray, members: np.ndarray) -> Automaton:
    """Enumerate the ordered lists of threads that texts lead to."""
    n_classes = len(members) + 1
    states: dict[tuple[int, ...], int] = {(): 0, (start,): 1}
    rows: list[list[int]] = []
    queue: list[tuple[int, ...]] = [(), (start,)]
    for threads in queue:
        row = []
        for of in range(n_classes):
            inside = members[of] if of < n_classes - 1 else None
            after, matched = _advance(steps, threads, inside)
            if after not in states:
                if len(states) == MAX_STATES:
                    raise UnsupportedError(f"more than {MAX_STATES} states")
                states[after] = len(states)
                queue.append(after)
            seen = 0
            if inside is not None:
                seen = (SEEN_UNSTABLE if inside[-1] else 0) | (SEEN_FOREIGN if inside[-2] else 0)
            row.append((states[after] * n_classes) << SHIFT | seen | matched)
        rows.append(row)
    return Automaton(classes, np.array(rows, np.uint32).ravel(), n_classes)


def _advance(
    steps: Sequence[_Step], threads: tuple[int, ...], inside: np.ndarray | None
) -> tuple[tuple[int, ...], int]:
    """Threads after a character of one class (None: the end of the text), and MATCH if a match ends before it."""
    after: dict[int, None] = {}
    stack, visited = list(reversed(threads)), set()
    while stack:
        at = stack.pop()
        if at in visited:
            continue
        visited.add(at)
        step = steps[at]
        if step.kind == "match":
            return tuple(after), MATCH
        if step.kind == "split":
            stack.extend(reversed(step.to))
        elif step.kind == "look":
            if (inside is not None and bool(inside[step.chars])) != step.negative:
                stack.extend(step.to)
        elif inside is not None and inside[step.chars]:
            after.setdefault(step.to[0])
    return tuple(after), 0
