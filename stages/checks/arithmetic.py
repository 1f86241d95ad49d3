r"""Equations between numbers, recomputed: which of a text are certainly false.

Finds `3+4=7`, `$\frac{12}{4}=3$`, `5×8=40（元）`, `20% of 50`, chains `a = b = c`, in text of any language. A side is an
expression only where its ends are: with a variable, a function or an open sum beside it, it is left undecided. A side
may be rounded to the digits it shows. Congruences, bases, assignments, comparisons of code and ratios are no equations.
"""

from __future__ import annotations

import math
import re
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from stages.checks.evaluate import UndecidableError, values_of
from stages.checks.sides import Side, left_side, right_side
from stages.checks.tokens import BREAK, HAN, NUMBER, OPERATOR, OTHER, PERCENT, RELATION, WORD, Token, tokenize
from stages.checks.units import unit_of

NEAR = Fraction(1, 50)  # relative difference that `≈` may have
CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`", re.DOTALL)
_MARKED_CALC = re.compile(r"<<[^<>\n]{1,80}>>")
_SKIPPED_LINE = re.compile(
    r"\bmod\b|\\[bp]?mod|modulo|≡|\\equiv|进制|\bbase[ -]?\d|binary|\boctal|hexadecimal|\bGF\(|\bxor\b|异或|"
    r"[;{]\s*$|^\s*(?:#include|>>>|\$ |//|def |return |let |const |var |print)|console\.|\bprintf?\(|\|\s*-{3}|"
    r"[A-Za-z]\s*[*@#&◆△☆※⊕]\s*[A-Za-z]\s*\$?\s*="
)
"""Lines whose signs may mean something else: other bases, congruences, code, operations that are defined there."""
_COLLECTIVE = frozenset("dozen dozens pair pairs couple score gross 打 双 对 刻 箱 副".split())
_CENTS = frozenset("cent cents penny pennies 分 角 美分".split())


class Fault(NamedTuple):
    """A false equation: its offsets, and what its left side is really."""

    start: int
    end: int
    left: Fraction
    right: Fraction


class Equation(NamedTuple):
    """A statement that was recomputed: its offsets, both values as written, and whether it is true under a reading."""

    start: int
    end: int
    left: Fraction
    right: Fraction
    is_true: bool
    n_operators: int


def false_equations(text: str) -> list[Fault]:
    """Return the equations of a text that are false under every reading; offsets are code points.

    >>> [text[f.start:f.end] for text in ["3+4=9, x+4=9, 10÷3=3.33"] for f in false_equations(text)]
    ['3+4=9']
    """
    return [
        Fault(equation.start, equation.end, equation.left, equation.right)
        for equation in find_equations(text)
        if not equation.is_true
    ]


def find_equations(text: str) -> list[Equation]:
    """Return the equations of a text whose sides both have a value, the true ones too, in their order."""
    text = _blank(text)
    tokens = tokenize(text)
    skipped = _skipped_lines(text)
    return [
        equation
        for index, token in enumerate(tokens)
        if token.kind == RELATION and token.sign in "=≈" and not _is_inside(token.start, skipped)
        for equation in _read_equation(tokens, index)
    ]


def _blank(text: str) -> str:
    """Return a text with code and calculator marks replaced by blanks, offsets unchanged."""
    for pattern in (CODE, _MARKED_CALC):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", "\x00", match.group()), text)
    return text


def _skipped_lines(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for line in text.splitlines(keepends=True):
        if _SKIPPED_LINE.search(line):
            spans.append((start, start + len(line)))
        start += len(line)
    return spans


def _is_inside(position: int, spans: Sequence[tuple[int, int]]) -> bool:
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        if spans[middle][1] <= position:
            low = middle + 1
        else:
            high = middle
    return low < len(spans) and spans[low][0] <= position


def _read_equation(tokens: Sequence[Token], index: int) -> Iterator[Equation]:
    left, right = left_side(tokens, index), right_side(tokens, index)
    if left is None or right is None or left.is_labelled or (left.is_number and left.units):
        return
    if tokens[index - 1].kind in (WORD, HAN) and not right.is_number and left.units[-1:] != right.units[-1:]:
        return  # (1+2) triangles = 3 x 3 matches
    both = (*left.tokens, *right.tokens)
    n_operators = sum(token.kind == OPERATOR for token in (*left.tokens[1:], *right.tokens[1:]))
    if (
        not n_operators
        and not _continues(tokens, index)
        and not (any(t.kind == PERCENT for t in both) and not right.units)
    ):
        return
    try:
        values = next(values_of(left.tokens)), next(values_of(right.tokens))
        is_true = _is_true(left, right, tokens[index].sign, _is_rounded_before(tokens, index))
    except UndecidableError:
        return
    yield Equation(left.start, right.end, *values, is_true, n_operators)


def _continues(tokens: Sequence[Token], index: int) -> bool:
    """Whether the side before a relation is the right side of another one that calculates."""
    seen_relation = False
    for token in reversed(tokens[max(0, index - 20) : index]):
        if token.kind == BREAK or (token.kind == OTHER and token.sign in ",;。；，"):
            return False
        if token.kind == RELATION and token.sign in "=≈":
            seen_relation = True
        elif token.kind == OPERATOR and seen_relation:
            return True
    return False


def _is_rounded_before(tokens: Sequence[Token], index: int) -> bool:
    """Whether an earlier relation of the same chain is an approximation."""
    for token in reversed(tokens[max(0, index - 40) : index]):
        if token.sign == "≈":
            return True
        if token.kind == OTHER and token.sign in ",;。；，":
            return False
    return False


def _is_true(left: Side, right: Side, sign: str, is_rounded: bool) -> bool:
    """Whether an equation is true under one of its readings, or may be under one that is not known."""
    tokens = (*left.tokens, *right.tokens)
    if any(unit in _COLLECTIVE for unit in (*left.units, *right.units)) or any(
        token.sign == "[" for token in tokens
    ):
        return True
    if _mixes_units(left) or _mixes_units(right):
        return True
    lefts, rights = list(values_of(left.tokens)), list(values_of(right.tokens))
    if right.remainder is not None and rights[0].denominator == 1:
        return _has_remainder(left, rights[0], right.remainder)
    decimals = _shown_decimals(right)
    is_near = sign == "≈" or is_rounded or right.is_open_ended
    if any(_agree(one, other, decimals, is_near) for one in lefts for other in rights):
        return True
    if is_rounded and len(right.tokens) > 1 and any(token.n_decimals for token in tokens):
        return True
    return _is_true_otherwise(left, right, lefts, rights)


def _mixes_units(side: Side) -> bool:
    """Whether terms with different units are added, or some terms have a unit and others have none."""
    if not any(token.sign in "+-" for token in side.tokens[1:]):
        return False
    known = {unit_of(unit) or unit for unit in side.units}
    n_numbers = sum(token.kind == NUMBER for token in side.tokens)
    return len(known) > 1 or (
        bool(known) and n_numbers > 1 and len(side.units) < n_numbers and len(side.units) > 1
    )


def _shown_decimals(side: Side) -> int | None:
    """Decimals that a side shows, negative for 1.4×10³, if it is one number with a sign or a percent sign; else None."""
    numbers = [token for token in side.tokens if token.kind == NUMBER]
    signs = "".join(token.sign for token in side.tokens if token.kind != NUMBER).lstrip("+-").strip("()")
    if len(numbers) == 3 and numbers[1].value == 10 and signs.replace("(", "") in ("*^", "*^-"):
        return numbers[0].n_decimals - int(numbers[2].value) * (-1 if signs.endswith("-") else 1)
    if len(numbers) != 1 or signs.strip("%‰"):
        return None
    return numbers[0].n_decimals + sum({"%": 2, "‰": 3}.get(token.sign, 0) for token in side.tokens)


def _agree(value: Fraction, shown: Fraction, decimals: int | None, is_near: bool) -> bool:
    if value == shown:
        return True
    if decimals is not None:
        for shift in {
            decimals,
            max(decimals - 2, 0) if decimals > 0 else decimals,
        }:  # a percentage read as a number
            scaled = value * Fraction(10) ** shift
            if (
                shown * Fraction(10) ** shift in (math.floor(scaled), math.ceil(scaled))
                and scaled.denominator != 1
            ):
                return True
        if decimals > 9 and abs(value - shown) <= abs(value) / 10**9:
            return True  # what a program prints
    if not is_near:
        return False
    if abs(value - shown) <= NEAR * abs(value):
        return True
    if shown.denominator == 1 and shown:
        zeros = len(str(abs(shown.numerator))) - len(str(abs(shown.numerator)).rstrip("0"))
        return abs(value - shown) < 10**zeros
    return False


def _has_remainder(left: Side, quotient: Fraction, remainder: Fraction) -> bool:
    """Whether a division has this quotient and remainder, 17 ÷ 5 = 3 …… 2, or none that can be recomputed."""
    divisions = 0
    for index, token in enumerate(left.tokens):
        if token.kind == OPERATOR and token.sign == "/":
            try:
                above, below = next(values_of(left.tokens[:index])), next(values_of(left.tokens[index + 1 :]))
            except UndecidableError:
                continue
            divisions += 1
            if above == quotient * below + remainder:
                return True
    return not divisions


def _is_true_otherwise(
    left: Side, right: Side, lefts: Sequence[Fraction], rights: Sequence[Fraction]
) -> bool:
    """Whether it is true of binary digits, of joined digits, after a dash or a list mark, or of converted units."""
    digits = [token.sign for token in (*left.tokens, *right.tokens) if token.kind == NUMBER]
    if all(set(sign) <= {"0", "1"} for sign in digits) and any(len(sign) > 1 for sign in digits):
        return True
    joined = "".join(token.sign for token in left.tokens if token.kind == NUMBER)
    if (
        all(token.sign == "+" for token in left.tokens if token.kind == OPERATOR)
        and joined == right.tokens[0].sign
    ):
        return True
    for other in _without_marks(left.tokens):
        try:
            if next(values_of(other)) in rights:
                return True
        except UndecidableError:
            continue
    return _converts(left, right, lefts, rights)


def _without_marks(tokens: Sequence[Token]) -> Iterator[tuple[Token, ...]]:
    """Yield a calculation without the dash or the number of an item before it, and with doubled dashes as plus."""
    first = tokens[0]
    if first.sign == "-" and len(tokens) > 1:
        yield tuple(tokens[1:])
    if first.n_decimals and first.kind == NUMBER:
        yield (first._replace(value=Fraction(int(first.sign.partition(".")[2]))), *tokens[1:])
    if any(token.sign == "-" and token.end - token.start == 2 for token in tokens):
        yield tuple(t._replace(sign="+") if t.sign == "-" and t.end - t.start == 2 else t for t in tokens)


def _converts(left: Side, right: Side, lefts: Sequence[Fraction], rights: Sequence[Fraction]) -> bool:
    """Whether both sides agree up to a factor by which one unit is converted to another, or may be."""
    pairs = [(one, other) for one in lefts for other in rights if one and other]
    if set(left.units) != set(right.units):
        if left.units and right.units and any(_is_power_of_ten(one / other, 1) for one, other in pairs):
            return True
        known = [unit for unit in right.units[-1:] if unit_of(unit) or unit in _CENTS]
        if known and any(_is_power_of_ten(one / other, 2) for one, other in pairs):
            return True
    units = {unit for unit in map(unit_of, {*left.units, *right.units}) if unit}
    if len({unit.dimension for unit in units}) == len(units):
        return False
    ratios = {one.factor / other.factor for one in units for other in units}
    return any(
        abs(one - other * ratio) * 20 <= abs(one) for one, other in pairs for ratio in ratios if ratio != 1
    )


def _is_power_of_ten(value: Fraction, least: int) -> bool:
    """Whether a value is 10, 100 … or the reciprocal of one, with at least so many zeros."""
    large, small = sorted((abs(value.numerator), value.denominator), reverse=True)
    return small == 1 and str(large).strip("0") == "1" and len(str(large)) > least
