"""Values of an expression under all its readings, as exact rationals.

An expression is written in many ways: `1/2*3` may be 1.5 or 1/6, `5 ^ 3` a power or an exclusive or, `100 + 20%` 100.2 or 120.
An expression has a value for each way of reading; a statement is false only if it is under all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from stages.checks.tokens import CLOSE, NUMBER, OPEN, OPERATOR, PERCENT, Token

MAX_POWER = 64
MAX_FACTORIAL = 20
MAX_BITS = 4096
MAX_DEPTH = 40


class Reading(NamedTuple):
    """How to read signs. percent: hundredth, number or share of what it is added to; caret: power or xor; slash: `tight`
    binds the products after it into the denominator, `fraction` a fraction without blanks; mixed: a fraction after a whole
    number is added to it, or is a factor.
    """

    percent: str = "hundredth"
    caret: str = "power"
    slash: str = "left"
    mixed: str = "added"


READINGS = (
    Reading(),
    Reading(percent="number"),
    Reading(percent="share"),
    Reading(caret="xor"),
    Reading(slash="tight"),
    Reading(slash="fraction"),
    Reading(mixed="factor"),
)


class UndecidableError(Exception):
    """An expression without a value: malformed, irrational, too large, or a division by zero."""


class _Parser:
    """A recursive descent over tokens."""

    def __init__(self, tokens: Sequence[Token], reading: Reading) -> None:
        self.tokens, self.reading, self.position, self.depth = tokens, reading, 0, 0

    def parse(self) -> Fraction:
        value = self.sum()
        if self.position < len(self.tokens):
            raise UndecidableError
        return value

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def take(self, signs: str) -> str | None:
        token = self.peek()
        if token and token.kind == OPERATOR and token.sign in signs:
            self.position += 1
            return token.sign
        return None

    def sum(self) -> Fraction:
        value = self.product()
        while sign := self.take("+-"):
            start = self.position
            other = self.product()
            if self.reading.percent == "share" and self.is_percent(start):
                other = value * other / 100
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def is_percent(self, start: int) -> bool:
        """Whether the tokens since start are one number and a percent sign."""
        return self.position == start + 2 and self.tokens[start + 1].kind == PERCENT

    def product(self) -> Fraction:
        value = self.power()
        while True:
            if sign := self.take("*/"):
                other = self.power()
                if sign == "/" and self.reading.slash == "tight":
                    while self.take("*"):
                        other *= self.power()
                value = _bounded(value * other if sign == "*" else _divide(value, other))
            elif (token := self.peek()) and token.kind == OPEN:  # 2(3+4)
                value = _bounded(value * self.power())
            else:
                return value

    def power(self) -> Fraction:
        if sign := self.take("+-"):
            value = self.power()
            return -value if sign == "-" else value
        value = self.atom()
        if self.take("^"):
            return _raise(value, self.power(), self.reading.caret)
        return value

    def atom(self) -> Fraction:
        self.depth += 1
        token = self.peek()
        if token is None or self.depth > MAX_DEPTH:
            raise UndecidableError
        self.position += 1
        if token.kind == NUMBER:
            value = self.with_fraction(token.value)
        elif token.kind == OPEN:
            value = self.sum()
            end = self.peek()
            if end is None or end.kind != CLOSE:
                raise UndecidableError
            self.position += 1
        elif token.kind == OPERATOR and token.sign == "√":
            value = _root(self.atom())
        else:
            raise UndecidableError
        self.depth -= 1
        return self.suffix(value)

    def with_fraction(self, value: Fraction) -> Fraction:
        """A number with the fraction after it: 2½ in LaTeX, or 1/5 without blanks where a fraction binds first."""
        after = self.tokens[self.position : self.position + 2]
        if (
            self.reading.mixed == "added"
            and value.denominator == 1
            and after
            and _is_latex_fraction(after[0])
        ):
            return value + self.atom()
        if (
            self.reading.slash == "fraction"
            and len(after) == 2
            and after[0].sign == "/"
            and after[1].kind == NUMBER
        ):
            if after[0].glued and after[1].glued:
                self.position += 2
                return _divide(value, after[1].value)
        return value

    def suffix(self, value: Fraction) -> Fraction:
        while token := self.peek():
            if token.kind == PERCENT:
                per = 1000 if token.sign == "‰" else 100
                value = value / per if self.reading.percent == "hundredth" else value
            elif token.kind == OPERATOR and token.sign == "!":
                if value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
                    raise UndecidableError
                value = Fraction(math.factorial(int(value)))
            else:
                break
            self.position += 1
        return value


def _is_latex_fraction(token: Token) -> bool:
    """Whether a bracket is that of a fraction command, directly after a number."""
    return token.kind == OPEN and token.end - token.start > 1 and token.glued


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise UndecidableError
    return value


def _divide(value: Fraction, other: Fraction) -> Fraction:
    if not other:
        raise UndecidableError
    return value / other


def _raise(value: Fraction, exponent: Fraction, caret: str) -> Fraction:
    if exponent.denominator != 1:
        raise UndecidableError
    if caret == "xor":
        if value.denominator != 1 or value < 0 or exponent < 0:
            raise UndecidableError
        return Fraction(int(value) ^ int(exponent))
    if abs(exponent) > MAX_POWER or (not value and exponent <= 0):
        raise UndecidableError
    return _bounded(value ** int(exponent))


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise UndecidableError
    above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if above * above != value.numerator or below * below != value.denominator:
        raise UndecidableError
    return Fraction(above, below)


def values_of(tokens: Sequence[Token]) -> Iterator[Fraction]:
    """Yield the value of an expression under each of its readings, the plain one first.

    Args: tokens: numbers, operators, percent signs and brackets.
    Raises: UndecidableError, if it has no value under the plain reading.
    """
    yield _Parser(tokens, READINGS[0]).parse()
    signs = {token.sign for token in tokens}
    needed = {
        "number": signs & {"%", "‰"},
        "share": signs & {"%"},
        "xor": signs & {"^"},
        "tight": signs & {"/"},
        "fraction": signs & {"/"},
        "factor": any(map(_is_latex_fraction, tokens)),
    }
    for reading in READINGS[1:]:
        if any(needed.get(name) for name in reading):
            try:
                yield _Parser(tokens, reading).parse()
            except UndecidableError:
                continue
