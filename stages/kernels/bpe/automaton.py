r"""Regular expressions compiled to a table: the next match of a pattern by one look-up a character.

Covers what patterns of pre-tokenisers are made of: literals, character classes with `&&`, `\p{...}`, `\s`,
alternation, groups, `(?i:...)` over ASCII letters, the greedy quantifiers and a look-ahead of one character. Anything
else is refused, and the text is left to the library. A backtracking matcher prefers the first alternative and the
longest repetition; the threads of a Pike machine are kept in that order, and those after a match are dropped, so that
a list of threads is a state of a deterministic automaton that finds the same match (Cox, Regular Expression Matching:
the Virtual Machine Approach, 2009). A look-ahead is decided by the class of the next character, which the table is
indexed by anyway."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from stages.kernels.bpe.characters import (
    N_CODES,
    UNSTABLE,
    load_features,
    spelled_with,
    white_space,
    with_property,
)

MAX_STATES, MAX_CLASSES, MAX_REPEAT = 4_000, 200, 64
MATCH, SEEN_UNSTABLE, SEEN_FOREIGN, SHIFT = 1, 2, 4, 3
"""Bits of a table entry, above which is the row of the next state. MATCH: a match ends before this character.
SEEN_UNSTABLE: the character may not be in form NFC. SEEN_FOREIGN: the caller has named it as one to watch for."""

_MULTI_FOLDS = ("ss", "ff", "fi", "fl", "st")
"""Pairs of ASCII letters that equal one character if case is ignored, as `ss` does `ß`."""

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
    reader = _Reader(pattern)
    tree = reader.alternatives()
    if reader.rest():
        raise UnsupportedError(f"unmatched ) in {pattern!r}")
    if _nullable(tree):
        raise UnsupportedError(f"{pattern!r} matches the empty text")
    steps = [_Step("match")]
    start = _emit(tree, 0, steps)
    classes, members = _partition([*reader.sets, spelled_with(foreign)])
    return _determinise(steps, start, classes, members)


class _Reader:
    """Reads a pattern into a tree of tuples: (set, i), (look, i, negative), (cat, parts), (alt, parts),
    (repeat, part, least, most)."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0
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
        return ("set", self.add(_single(char)))

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
            chars = with_property(name[1:].removeprefix("^")) if closed and name[:1] == "{" else None
            if chars is None:
                raise UnsupportedError(f"\\{char}{name}}} in {self.pattern!r}")
            self.at += len(name) + 1
            self.refuse_fold()
            return ~chars if (char == "P") != (name[1:2] == "^") else chars
        if char in "sS":
            return white_space() if char == "s" else ~white_space()
        return _single(self.literal(char))

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
        parts, chars = [], np.zeros(N_CODES, bool)
        while not self.take("]"):
            if self.take("&&"):
                parts.append(chars)
                chars = np.zeros(N_CODES, bool)
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
            return self.folded(_single(char))
        self.take("-")
        last = self.next()
        last = self.literal(self.next()) if last == "\\" and self.rest()[:1] not in tuple("pPsS") else last
        if last in "\\[" or last < char:
            raise UnsupportedError(f"a range up to {last!r} in {self.pattern!r}")
        chars = np.zeros(N_CODES, bool)
        chars[ord(char) : ord(last) + 1] = True
        return self.folded(chars)

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
        wide = chars.copy()
        wide[[0x17F, 0x212A]] = False  # long s and the Kelvin sign, added below
        if wide[0x80:].any():
            self.refuse_fold()
        letters = [chr(code) for code in np.flatnonzero(wide[:0x80])]
        for other in {*map(str.upper, letters), *map(str.lower, letters)}:
            wide[ord(other)] = True
        wide[0x17F], wide[0x212A] = wide[ord("s")], wide[ord("k")]
        return wide

    def refuse_fold(self) -> None:
        if self.fold:
            raise UnsupportedError(f"(?i: with more than ASCII in {self.pattern!r}")


def _single(char: str) -> np.ndarray:
    chars = np.zeros(N_CODES, bool)
    chars[ord(char)] = True
    return chars


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
    """Classes of code points that no set tells apart, nor whether they are unstable.

    Returns: uint8 (0x110000,), class of each code point; bool (n_classes, n_sets + 1), whether a class is in each set
    and, in the last column, unstable.
    """
    unstable = (load_features() & UNSTABLE) != 0
    classes, n_classes = np.zeros(N_CODES, np.uint8), 1
    for chars in (*sets, unstable):
        codes = classes.astype(np.uint16) << 1 | chars
        present = np.zeros(2 * n_classes, bool)
        present[codes] = True
        n_classes = int(present.sum())
        if n_classes >= MAX_CLASSES:
            raise UnsupportedError(f"{n_classes} classes of characters")
        classes = (np.cumsum(present) - 1).astype(np.uint8)[codes]
    first = np.zeros(n_classes, np.int64)
    first[classes[::-1]] = np.arange(N_CODES)[::-1]
    members = np.stack([chars[first] for chars in (*sets, unstable)], axis=1)
    return classes, members


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
