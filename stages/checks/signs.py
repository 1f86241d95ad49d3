r"""Signs of formulas with what is beside them: `x + 3` is one, `\frac{a}{b}` another.

A claim that writes `x - 3` where its source has `x + 3` has a sign that the source does not have, whatever else the
formula contains, and whether or not its parts are found: that also applies to formulas in code and in prose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stages.checks.numerals import TENS, UNITS
from stages.checks.tokens import (
    BREAK,
    CLOSE,
    HAN,
    NUMBER,
    OPEN,
    OPERATOR,
    OTHER,
    PERCENT,
    RELATION,
    WORD,
    Token,
    tokenize,
)

CHECKED = frozenset("+-*/<>≤≥≠")
_MIRRORED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "+": "+", "*": "*", "≠": "≠"}
_SAME = {"<=": "≤", ">=": "≥", "!=": "≠"}
NUMBER_WORDS = {**UNITS, **TENS}
_HIDDEN = "$\\{}&"


class Sign(NamedTuple):
    """A sign between two operands; an operand is "" where there is none. are_numbers: whether the formula is only this.
    outside: what is before the left and behind the right one.
    """

    left: str
    sign: str
    right: str
    start: int
    end: int
    are_numbers: bool
    outside: tuple[str, str] = ("", "")

    @property
    def key(self) -> tuple[str, str, str]:
        """The sign and what is beside it."""
        return self.left, self.sign, self.right

    @property
    def mirrored(self) -> tuple[str, str, str]:
        """The same relation from the other side."""
        return self.right, _MIRRORED.get(self.sign, self.sign + "?"), self.left


def find_signs(text: str) -> list[Sign]:
    r"""Return the signs of a text in their order; offsets are code points.

    >>> [sign.key for sign in find_signs(r"$\frac{a}{b} + 2 \cdot x < 3$, well-known")]
    [('a', '/', 'b'), ('b', '+', '2'), ('2', '*', 'x'), ('x', '<', '3')]
    """
    return list(_signs(_unwrapped([token for token in tokenize(text) if token.sign not in _HIDDEN])))


def adjacent(text: str) -> set[tuple[str, str, str]]:
    """Return the products of a text that are written without a sign: 2x, 3(a+b)."""
    tokens = _unwrapped([token for token in tokenize(text) if token.sign not in _HIDDEN])
    return {
        (_operand(tokens, i, -1), "*", _operand(tokens, i + 1, 1))
        for i, (one, other) in enumerate(zip(tokens, tokens[1:], strict=False))
        if one.kind in (NUMBER, WORD, CLOSE) and other.kind in (NUMBER, WORD, OPEN)
    }


def _unwrapped(tokens: Sequence[Token]) -> list[Token]:
    """Drop brackets around one operand, and the outer ones of fractions."""
    kept: list[Token] = []
    for token in tokens:
        kept.append(token)
        while (
            len(kept) > 2
            and kept[-1].kind == CLOSE
            and kept[-3].kind == OPEN
            and kept[-2].kind in (NUMBER, WORD)
        ):
            before = kept[-4] if len(kept) > 3 else None
            if (
                before is not None
                and before.kind == WORD
                and kept[-3].glued
                and kept[-3].end - kept[-3].start == 1
            ):
                break  # f(x)
            kept[-3:] = [kept[-2]]
        while len(kept) > 4 and kept[-1].kind == CLOSE and kept[-5].kind == OPEN and kept[-3].sign == "/":
            if kept[-4].kind not in (NUMBER, WORD) or kept[-2].kind not in (NUMBER, WORD):
                break
            kept[-5:] = kept[-4:-1]
    return kept


def _signs(tokens: Sequence[Token]) -> Iterator[Sign]:
    for index, token in enumerate(tokens):
        sign = _SAME.get(token.sign, token.sign)
        if token.kind not in (OPERATOR, RELATION) or sign not in CHECKED:
            continue
        left, right = _before(tokens, index), _after(tokens, index)
        if right < 0 or _is_mark(tokens, index, tokens[left] if left >= 0 else None, tokens[right]):
            continue
        outer = (tokens[left - 1] if left else None), (tokens[right + 1] if right + 1 < len(tokens) else None)
        are_numbers = left >= 0 and tokens[left].kind == NUMBER and tokens[right].kind == NUMBER
        are_numbers = are_numbers and not any(
            t is not None and t.kind in (OPERATOR, OPEN, CLOSE) for t in outer
        )
        outside = (_edge(outer[0], -1), _edge(outer[1], 0))
        first = _operand(tokens, left, -1) if left >= 0 else ""
        yield Sign(first, sign, _operand(tokens, right, 1), token.start, token.end, are_numbers, outside)


def _edge(token: Token | None, place: int) -> str:
    """What a token shows beside a formula: a word, a sign, a Han character."""
    return "" if token is None else token.sign[place] if token.kind == HAN else _name(token)


def _operand(tokens: Sequence[Token], index: int, step: int) -> str:
    """The name of an operand; with what is inside its brackets next to the sign."""
    token = tokens[index]
    name = _name(token)
    inner = index + step
    if token.kind in (OPEN, CLOSE) and 0 <= inner < len(tokens):
        return name + _name(tokens[inner])
    if (
        step == 1
        and token.kind == WORD
        and index + 2 < len(tokens)
        and tokens[index + 1].kind == OPEN
        and tokens[index + 1].glued
    ):
        return f"{name}({_name(tokens[index + 2])}"
    return name


def _before(tokens: Sequence[Token], index: int) -> int:
    """Index of the operand before a sign, -1 if there is none; the number where a unit is between them."""
    place = index - 1
    while (
        place > 0
        and tokens[place].kind in (HAN, WORD, PERCENT)
        and _is_number(tokens[place - 1])
        and (tokens[place].kind != WORD or len(tokens[place].sign) > 1)
    ):
        place -= 1
    return place if place >= 0 and tokens[place].kind in (NUMBER, WORD, CLOSE) else -1


def _after(tokens: Sequence[Token], index: int) -> int:
    place = index + 1
    while place < len(tokens) and tokens[place].kind == OTHER and tokens[place].sign in "¥€£￥":
        place += 1
    return place if place < len(tokens) and tokens[place].kind in (NUMBER, WORD, OPEN) else -1


def _is_number(token: Token) -> bool:
    return token.kind == NUMBER or (token.kind == WORD and token.sign.lower() in NUMBER_WORDS)


def _is_mark(tokens: Sequence[Token], index: int, left: Token | None, right: Token) -> bool:
    """Whether a sign joins words, begins an item, emphasises, or marks a tag."""
    token = tokens[index]
    before = tokens[index - 1] if index else None
    if (
        token.sign in "-/"
        and right.kind == WORD
        and len(right.sign) > 1
        and (left is None or (left.kind == WORD and len(left.sign) > 1))
    ):
        return True
    if (
        left is not None
        and {left.kind, right.kind} == {NUMBER, WORD}
        and token.sign == "-"
        and len((left if left.kind == WORD else right).sign) > 2
    ):
        return True  # 3-digit
    if token.sign in "-*+" and (before is None or before.kind == BREAK) and not right.glued:
        return True
    if token.sign == "*" and left is None:
        return True
    return token.sign in "<>" and (
        left is None or (right.kind == WORD and right.glued and len(right.sign) > 1)
    )


def _name(token: Token) -> str:
    return (
        str(token.value)
        if token.kind == NUMBER
        else {"[": "(", "]": ")"}.get(token.sign, token.sign.lstrip("\\"))
    )
