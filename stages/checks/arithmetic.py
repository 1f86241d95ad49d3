r"""Equations between numbers, recomputed: which of a text are certainly false.

Finds `3+4=7`, `$\frac{12}{4}=3$`, `5×8=40（元）`, `20% of 50`, chains `a = b = c`, in text of any language. A side is an
expression only where its ends are: with a variable, a function or an open sum beside it, it is left undecided. A side
may be rounded to the digits it shows. Congruences, bases, assignments, comparisons of code and ratios are no equations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from stages.checks.evaluate import Undecidable, values_of
from stages.checks.tokens import (
    BREAK,
    CLOSE,
    DOTS,
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
from stages.checks.units import unit_of

MAX_SIDE_TOKENS = 120
NEAR = Fraction(1, 50)  # relative difference that `≈` may have
CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`", re.DOTALL)
_MARKED_CALC = re.compile(r"<<[^<>\n]{1,80}>>")
_SKIPPED_LINE = re.compile(
    r"\bmod\b|\\[bp]?mod|modulo|≡|\\equiv|进制|\bbase[ -]?\d|binary|\boctal|hexadecimal|\bGF\(|\bxor\b|异或|"
    r"[;{]\s*$|^\s*(?:#include|>>>|\$ |//|def |return |let |const |var |print)|console\.|\bprintf?\(|\|\s*-{3}"
)
_OPEN_WORDS = frozenset(
    "of twice thrice double triple half square cube root minus plus sum product than average mean mod log ln lg sin cos tan "
    "cot sec exp max min gcd lcm lim det deg per to from by over times divided multiplied remainder version ratio step "
    "score between and or each less more".split()
)
_OPEN_HAN = "的倍比多少和与积差商方根除第负余加减乘分每约数占剩至到"
_AFTER_HAN = "的倍分多余个万亿千百十点"
_COLLECTIVE = frozenset(
    "dozen dozens pair pairs couple score gross week weeks year years 打 双 对 周 年 星期 刻 箱 副".split()
)
_QUOTES = "\"'"


class Fault(NamedTuple):
    """A false equation: its offsets, and what its left side is really."""

    start: int
    end: int
    left: Fraction
    right: Fraction


class _Side(NamedTuple):
    """An expression beside a relation: the tokens of the calculation, what they show, and the units that were read."""

    tokens: tuple[Token, ...]
    start: int
    end: int
    units: tuple[str, ...]
    remainder: Fraction | None = None
    is_open_ended: bool = False


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
    left = _left_side(tokens, index)
    right = _right_side(tokens, index)
    if left is None or right is None:
        return
    n_operators = sum(token.kind in (OPERATOR, PERCENT) for token in (*left.tokens, *right.tokens))
    has_chain = n_operators or _continues(tokens, index)
    if not has_chain:
        return
    try:
        is_true = _is_true(left, right, tokens[index].sign, _is_rounded_before(tokens, index))
        values = next(iter(values_of(left.tokens))), next(iter(values_of(right.tokens)))
    except Undecidable:
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
        if token.sign in ("≈",):
            return True
        if token.kind == OTHER and token.sign in ",;。；，":
            return False
    return False


def _left_side(tokens: Sequence[Token], index: int) -> _Side | None:
    """Read the expression that ends before a relation; None if it does not begin where an expression can."""
    first = index - 1
    if first >= 0 and tokens[first].kind == BREAK:  # a chain that is continued on the next line
        first -= 1
    last = first
    depth = 0
    parts: list[Token] = []
    units: list[str] = []
    remainder_before = False
    while first >= 0 and len(parts) < MAX_SIDE_TOKENS:
        token = tokens[first]
        if token.kind == CLOSE:
            if not _may_precede(parts):
                break
            unit = _bracketed_unit(tokens, first)
            if unit and (not parts or parts[-1].kind == OPERATOR):
                units.append(unit[1])
                first = unit[0]
                continue
            depth += 1
        elif token.kind == OPEN:
            if not depth:
                break
            depth -= 1
        elif token.kind in (NUMBER, PERCENT):
            if not _may_precede(parts):
                break
        elif token.kind in (WORD, HAN) and (not parts or parts[-1].kind in (OPERATOR, CLOSE)):
            span = _unit_before(tokens, first)
            if span is None:
                break
            units.append(span[1])
            first = span[0]
            continue
        elif token.kind == OTHER and token.sign in "$¥€£￥":
            if parts and not _joins(tokens, first):
                break
            first -= 1
            continue
        elif token.kind != OPERATOR:
            break
        parts.append(token)
        first -= 1
    parts.reverse()
    while parts and (parts[0].kind == PERCENT or (parts[0].kind == OPERATOR and parts[0].sign not in "-+√")):
        return None
    if not parts or depth or remainder_before:
        return None
    if not _is_clean_before(tokens, first):
        return None
    return _Side(tuple(parts), parts[0].start, tokens[last].end, tuple(units))


def _may_precede(parts: Sequence[Token]) -> bool:
    """Whether a value may come before these tokens, which were read from right to left."""
    return (
        not parts
        or (parts[-1].kind == OPERATOR and parts[-1].sign != "√")
        or parts[-1].kind in (CLOSE, PERCENT)
    )


def _joins(tokens: Sequence[Token], index: int) -> bool:
    """Whether a currency sign is before a number that follows an operator."""
    before = tokens[index - 1] if index else None
    return before is None or before.kind in (OPERATOR, OPEN, RELATION, HAN, WORD) or before.sign in ",;:"


def _bracketed_unit(tokens: Sequence[Token], index: int) -> tuple[int, str] | None:
    """Return the token before a unit in brackets that ends at index, and the unit: 12（元）."""
    if index >= 2 and tokens[index - 1].kind in (HAN, WORD) and tokens[index - 2].kind == OPEN:
        return index - 3, tokens[index - 1].sign
    return None


def _unit_before(tokens: Sequence[Token], index: int) -> tuple[int, str] | None:
    """Return the token before a unit that ends at index, and the unit; None if no number is before it."""
    first = index
    while first > index - 3 and first >= 0 and tokens[first].kind in (WORD, HAN):
        first -= 1
    if first < 0 or tokens[first].kind not in (NUMBER, CLOSE):
        return None
    words = [token.sign for token in tokens[first + 1 : index + 1]]
    if any(
        word in _OPEN_WORDS or (len(word) == 1 and word.isascii() and not unit_of(word)) for word in words
    ):
        return None
    if any(word.startswith("\\") for word in words) or (len(words[-1]) > 8 and tokens[index].kind == HAN):
        return None
    if tokens[index].kind == HAN and (words[-1][0] in "的倍分" or len(words[-1]) > 4):
        return None
    return first, " ".join(words)


def _is_clean_before(tokens: Sequence[Token], index: int) -> bool:
    """Whether the token before an expression cannot be part of it."""
    if index < 0:
        return True
    token = tokens[index]
    glued = tokens[index + 1].glued
    if token.kind in (BREAK, RELATION):
        return token.sign in ("\n", "=", "≈", "⇒", "→", "⟹") or token.kind == BREAK
    if token.kind == WORD:
        return (
            len(token.sign) > 1
            and not glued
            and token.sign.lower() not in _OPEN_WORDS
            and token.sign[0] != "\\"
        )
    if token.kind == HAN:
        compound = index and tokens[index - 1].kind == NUMBER and token.glued and glued
        return token.sign[-1] not in _OPEN_HAN and not compound
    if token.kind == OTHER:
        if token.sign in ":：":
            return not (index and tokens[index - 1].kind in (NUMBER, CLOSE) and token.glued)
        if token.sign == "$":
            return not glued or index == 0 or tokens[index - 1].kind != NUMBER
        return token.sign in ",;，；。、∵∴？?．*#>【】《》“”" and not (
            token.sign == "," and glued and _is_digit(tokens, index - 1)
        )
    return token.kind == CLOSE and _is_marker(tokens, index) and not glued


def _is_digit(tokens: Sequence[Token], index: int) -> bool:
    return index >= 0 and tokens[index].kind == NUMBER


def _is_marker(tokens: Sequence[Token], index: int) -> bool:
    """Whether a closing bracket ends the number of an item at the beginning of a line."""
    before = tokens[max(0, index - 3) : index]
    if not before or before[-1].kind != NUMBER:
        return bool(before) and before[-1].kind in (HAN, WORD) and len(before[-1].sign) > 1
    rest = before[:-1]
    return len(rest) >= 1 and (rest[-1].kind in (OPEN, BREAK)) and (len(rest) < 2 or rest[-2].kind == BREAK)


def _right_side(tokens: Sequence[Token], index: int) -> _Side | None:
    """Read the expression that begins after a relation; None if it does not end where an expression can."""
    position = index + 1
    parts: list[Token] = []
    units: list[str] = []
    depth = 0
    end = start = position
    while position < len(tokens) and len(parts) < MAX_SIDE_TOKENS:
        token = tokens[position]
        if (
            token.kind == OTHER
            and token.sign in "$¥€£￥"
            and (not parts or parts[-1].kind in (OPERATOR, OPEN))
        ):
            position += 1
            continue
        if token.kind == OPEN and _expects_value(parts, token):
            if parts and position + 1 < len(tokens) and tokens[position + 1].kind in (HAN, WORD):
                break
            depth += 1
        elif token.kind == CLOSE and depth:
            depth -= 1
        elif token.kind == NUMBER and (not parts or parts[-1].kind in (OPERATOR, OPEN)):
            pass
        elif token.kind == PERCENT and parts and parts[-1].kind in (NUMBER, CLOSE):
            pass
        elif token.kind == OPERATOR and (parts or token.sign in "-+√"):
            if token.sign == "!" and not _is_factorial(tokens, position):
                break
        else:
            step = _unit_after(tokens, position, parts)
            if step is None:
                break
            units.append(step[1])
            position = step[0]
            continue
        parts.append(token)
        position += 1
        end = position
    if not parts or depth or (parts[-1].kind == OPERATOR and parts[-1].sign != "!"):
        return None
    verdict = _clean_after(tokens, position, parts)
    if verdict is None:
        return None
    remainder, open_ended, stop = verdict
    return _Side(
        tuple(parts), tokens[start].start, tokens[max(end, stop) - 1].end, tuple(units), remainder, open_ended
    )


def _expects_value(parts: Sequence[Token], token: Token) -> bool:
    if not parts or parts[-1].kind in (OPERATOR, OPEN):
        return True
    return token.glued and parts[-1].kind in (NUMBER, CLOSE) and token.sign == "("


def _is_factorial(tokens: Sequence[Token], index: int) -> bool:
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return tokens[index].glued and after is not None and after.kind in (OPERATOR, RELATION, CLOSE)


def _unit_after(tokens: Sequence[Token], position: int, parts: Sequence[Token]) -> tuple[int, str] | None:
    """Return the token after a unit inside a side and the unit: one after which the calculation continues."""
    if not parts or parts[-1].kind not in (NUMBER, CLOSE):
        return None
    stop = position
    while stop < len(tokens) and stop < position + 3 and tokens[stop].kind in (WORD, HAN):
        stop += 1
    if stop == position or stop == len(tokens) or tokens[stop].kind != OPERATOR:
        return None
    after = tokens[stop + 1] if stop + 1 < len(tokens) else None
    if after is None or not (after.kind in (NUMBER, OPEN) or after.sign in "$¥€£￥√"):
        return None
    words = [token.sign for token in tokens[position:stop]]
    if any(
        word.lower() in _OPEN_WORDS
        or word[0] == "\\"
        or (len(word) == 1 and word.isascii() and not unit_of(word))
        for word in words
    ):
        return None
    if tokens[position].kind == HAN and (words[0][0] in _AFTER_HAN.replace("个", "") or len(words[0]) > 4):
        return None
    return stop, " ".join(words)


def _clean_after(
    tokens: Sequence[Token], position: int, parts: Sequence[Token]
) -> tuple[Fraction | None, bool, int] | None:
    """Return the remainder after a quotient, whether digits go on, and where the side ends; None if it is unfinished."""
    after = tokens[position] if position < len(tokens) else None
    later = tokens[position + 1] if position + 1 < len(tokens) else None
    if after is None or after.kind == BREAK:
        return None, False, position
    if after.kind == DOTS:
        if later is not None and later.kind == NUMBER:
            return later.value, False, position + 2
        return None, True, position + 1
    if (
        after.kind in (HAN, WORD)
        and after.sign in ("余", "R", "r", "remainder")
        and later is not None
        and later.kind == NUMBER
    ):
        return later.value, False, position + 2
    if after.kind == HAN:
        clean = after.sign[0] not in _AFTER_HAN or (after.sign[0] == "个" and len(after.sign) < 12)
        clean = clean and not after.sign.startswith(("进制", "左右"))
        return (None, False, position) if clean else None
    if after.kind == WORD:
        word = after.sign.lower()
        clean = word[0] != "\\" and word not in _OPEN_WORDS - {
            "and",
            "or",
            "each",
            "more",
            "less",
            "from",
            "to",
            "per",
            "by",
        }
        clean = clean and (len(word) > 1 if not after.glued else len(word) > 2 or bool(unit_of(after.sign)))
        return (None, False, position) if clean or (unit_of(after.sign) and not after.glued) else None
    if after.kind == RELATION:
        return (None, False, position) if after.sign in "=≈<>≤≥≠⇒→⟹" else None
    if after.kind == OPEN:
        clean = later is not None and later.kind in (HAN, WORD) and len(later.sign) > (later.kind == WORD)
        return (None, False, position) if clean else None
    if after.kind == OTHER:
        if after.sign in ":：" and later is not None and later.kind == NUMBER and after.glued and later.glued:
            return None
        if after.sign == "," and later is not None and later.kind == NUMBER and later.glued and after.glued:
            return None
        return (None, False, position) if after.sign not in "_'\"^&|\\{°′″℃@#~′" else None
    if (
        after.kind == OPERATOR
        and after.sign == "*"
        and not (later is not None and later.kind in (NUMBER, OPEN, WORD))
    ):
        return None, False, position  # the end of an emphasis
    if after.kind == OPERATOR and after.sign == "!":
        return None, False, position
    return (None, False, position) if after.kind == CLOSE else None


def _is_true(left: _Side, right: _Side, sign: str, is_rounded: bool) -> bool:
    """Whether an equation is true under one of its readings."""
    if any(unit in _COLLECTIVE for unit in (*left.units, *right.units)):
        return True
    if _mixes_units(left) or _mixes_units(right):
        return True
    decimals = _shown_decimals(right)
    rounded_input = any(token.n_decimals for token in (*left.tokens, *right.tokens))
    lefts, rights = list(values_of(left.tokens)), list(values_of(right.tokens))
    if right.remainder is not None and rights[0].denominator == 1 and left.tokens[-1].kind == NUMBER:
        return _has_remainder(left, rights[0], right.remainder)
    for one in lefts:
        for other in rights:
            if _agree(one, other, decimals, sign == "≈" or is_rounded or right.is_open_ended):
                return True
    if rounded_input and len(right.tokens) > 1 and is_rounded:
        return True
    return _is_true_otherwise(left, right, lefts, rights)


def _mixes_units(side: _Side) -> bool:
    """Whether terms with different units are added."""
    known = {unit_of(unit) or unit for unit in side.units}
    return len(known) > 1 and any(token.sign in "+-" for token in side.tokens)


def _shown_decimals(side: _Side) -> int | None:
    """Decimals that a side shows, if it is one number (with a sign or a percent sign); None for a calculation."""
    numbers = [token for token in side.tokens if token.kind == NUMBER]
    if len(numbers) != 1 or any(token.sign not in "+-%‰" for token in side.tokens if token.kind != NUMBER):
        return None
    per = sum({"%": 2, "‰": 3}.get(token.sign, 0) for token in side.tokens)
    return numbers[0].n_decimals + per


def _agree(value: Fraction, shown: Fraction, decimals: int | None, is_near: bool) -> bool:
    if value == shown:
        return True
    if decimals is not None:
        for shift in (decimals, max(decimals - 2, 0)):  # a percentage may be read as a number
            scaled = value * 10**shift
            if shown * 10**shift in (math.floor(scaled), math.ceil(scaled)) and scaled.denominator != 1:
                return True
    if decimals is not None and decimals > 9 and abs(value - shown) <= abs(value) / 10**9:
        return True  # what a program prints
    if not is_near:
        return False
    if abs(value - shown) <= NEAR * abs(value):
        return True
    if shown.denominator == 1 and shown:
        zeros = len(str(abs(shown.numerator))) - len(str(abs(shown.numerator)).rstrip("0"))
        return abs(value - shown) < 10**zeros
    return False


def _has_remainder(left: _Side, quotient: Fraction, remainder: Fraction) -> bool:
    """Whether a division has this quotient and remainder: 17 ÷ 5 = 3 …… 2."""
    for index, token in enumerate(left.tokens):
        if token.sign == "/" and token.kind == OPERATOR:
            try:
                above, below = next(values_of(left.tokens[:index])), next(values_of(left.tokens[index + 1 :]))
            except Undecidable:
                continue
            if above == quotient * below + remainder:
                return True
    return False


def _is_true_otherwise(
    left: _Side, right: _Side, lefts: Sequence[Fraction], rights: Sequence[Fraction]
) -> bool:
    """Whether it is true of binary digits, of joined digits, of units that are converted, or without the first sign."""
    digits = [token.sign for token in (*left.tokens, *right.tokens) if token.kind == NUMBER]
    if all(set(sign) <= {"0", "1"} for sign in digits) and any(len(sign) > 1 for sign in digits):
        return True
    joined = "".join(token.sign for token in left.tokens if token.kind == NUMBER)
    if (
        all(token.sign == "+" for token in left.tokens if token.kind == OPERATOR)
        and joined == right.tokens[0].sign
    ):
        return True
    if left.tokens[0].sign == "-" and len(left.tokens) > 1:
        try:
            if next(values_of(left.tokens[1:])) in rights:  # a dash before the calculation
                return True
        except Undecidable:
            return False
    return _converts(left, right, lefts, rights)


def _converts(left: _Side, right: _Side, lefts: Sequence[Fraction], rights: Sequence[Fraction]) -> bool:
    """Whether both sides agree up to a factor by which one unit is converted to another, or may do so."""
    shown = {unit_of(unit) for unit in (*left.units, *right.units)} - {None}
    if len(shown) < 2:
        return False
    dimensions = {unit[1] for unit in shown if unit}
    factors = [unit[2] for unit in shown if unit]
    ratios = {one / other for one in factors for other in factors}
    return len(dimensions) < len(shown) and any(
        one == other * ratio for one in lefts for other in rights for ratio in ratios
    )
