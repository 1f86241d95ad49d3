r"""Formulas of a text in one form: `\frac{a}{b}` as `a/b`, `2 \cdot x` as `2x`, numbers by value.

A formula is a run of operands and signs with at least one operator or relation. Two formulas are the same if their signs
are, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stages.checks.tokens import CLOSE, DOTS, NUMBER, OPEN, OPERATOR, PERCENT, RELATION, WORD, Token, tokenize

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc log ln lg exp max min gcd lcm lim sqrt mod dp sum arg det dim".split()
)
MIRRORED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_MEMBERS = (NUMBER, OPERATOR, RELATION, OPEN, CLOSE, PERCENT, DOTS)
_GLUE = "_'|"
_BRACKETS = {"[": "(", "]": ")"}
_SKIPPED = "$\\{}"


class Formula(NamedTuple):
    """A formula: its signs in one form, its offsets, and whether it has no variable."""

    signs: tuple[str, ...]
    start: int
    end: int
    is_numeric: bool
    tokens: tuple[Token, ...]

    @property
    def sides(self) -> list[tuple[str, ...]]:
        """The signs between relations."""
        sides: list[list[str]] = [[]]
        for sign in self.signs:
            if is_relation(sign):
                sides.append([])
            else:
                sides[-1].append(sign)
        return [tuple(side) for side in sides if side]

    @property
    def relations(self) -> list[str]:
        """Its relations, in their order."""
        return [sign for sign in self.signs if is_relation(sign)]


def is_relation(sign: str) -> bool:
    """Whether a sign of a formula relates two sides."""
    return sign[0] in "=≈<>≤≥≠≡≅∝∈⇒→⟹←↔"


def find_formulas(text: str) -> list[Formula]:
    r"""Return the formulas of a text in their order; offsets are code points.

    >>> [" ".join(formula.signs) for formula in find_formulas(r"so $\frac{a}{b} + 2 \cdot x = 1{,}000$, a car")]
    ['a / b + 2 x = 1000']
    """
    formulas: list[Formula] = []
    run: list[Token] = []
    for token in tokenize(text):
        if (
            token.kind not in _MEMBERS
            and not _is_operand(token)
            and token.sign not in _GLUE + _SKIPPED
            and not (
                token.sign == "," and sum(t.kind == OPEN for t in run) > sum(t.kind == CLOSE for t in run)
            )
        ):
            _close_run(run, formulas)
            run = []
        elif run and _is_value(token) and _ends_value(run) and not token.glued and token.kind != OPEN:
            if token.kind == NUMBER or run[-1].kind == NUMBER or len(token.sign) > 1 or not _in_formula(run):
                _close_run(run, formulas)
                run = []
            run.append(token)
        else:
            run.append(token)
    _close_run(run, formulas)
    return formulas


def _is_operand(token: Token) -> bool:
    if token.kind != WORD:
        return False
    return (
        len(token.sign) == 1
        or token.sign[0] == "\\"
        or token.sign.lower() in FUNCTIONS
        or (len(token.sign) == 2 and token.glued)
    )


def _is_value(token: Token) -> bool:
    return token.kind in (NUMBER, WORD)


def _ends_value(run: Sequence[Token]) -> bool:
    return run[-1].kind in (NUMBER, WORD, CLOSE, PERCENT)


def _in_formula(run: Sequence[Token]) -> bool:
    return any(token.kind in (OPERATOR, RELATION) for token in run)


def _close_run(run: list[Token], formulas: list[Formula]) -> None:
    members = [token for token in run if token.sign not in _SKIPPED]
    while members and (
        members[0].kind in (CLOSE, DOTS, PERCENT)
        or members[0].sign in _GLUE + "*/^!="
        or members[0].kind == RELATION
    ):
        members.pop(0)
    while members and (
        members[-1].kind in (OPEN, DOTS)
        or members[-1].kind == RELATION
        or (members[-1].kind == OPERATOR and members[-1].sign != "!")
        or members[-1].sign in _GLUE
    ):
        members.pop()
    members = _balance(members)
    n_values = sum(_is_value(token) for token in members)
    if n_values < 2 or not any(token.kind in (OPERATOR, RELATION) for token in members):
        return
    if all(token.kind != RELATION and (token.kind != OPERATOR or token.sign in "-/") for token in members):
        if not any(token.kind == NUMBER for token in members) or _is_compound(members):
            return  # a hyphen or an alternative: e-mail, and/or, 2020-01-02
    is_numeric = all(token.kind != WORD for token in members)
    formulas.append(Formula(_normal(members), members[0].start, members[-1].end, is_numeric, tuple(members)))


def _is_compound(members: Sequence[Token]) -> bool:
    """Whether signs that join are between digits without a blank: a date, a range, a fraction."""
    return all(token.glued for token in members[1:]) or sum(token.kind == NUMBER for token in members) < 2


def _balance(members: list[Token]) -> list[Token]:
    """Drop brackets that have no partner."""
    kept: list[Token] = []
    opened: list[int] = []
    for token in members:
        if token.kind == CLOSE:
            if not opened:
                continue
            opened.pop()
        elif token.kind == OPEN:
            opened.append(len(kept))
        kept.append(token)
    for index in reversed(opened):
        del kept[index]
    return kept


def _normal(members: Sequence[Token]) -> tuple[str, ...]:
    signs: list[str] = []
    kinds: list[str] = []
    for token in members:
        sign = (
            str(token.value) if token.kind == NUMBER else _BRACKETS.get(token.sign, token.sign.lstrip("\\"))
        )
        signs.append(sign)
        kinds.append(token.kind)
    signs, kinds = _unwrap(signs, kinds)
    kept: list[str] = []
    for index, sign in enumerate(signs):
        is_product = kinds[index] == OPERATOR and sign == "*" and 0 < index < len(signs) - 1
        if is_product and not (kinds[index - 1] == NUMBER and kinds[index + 1] == NUMBER):
            continue
        kept.append(sign)
    return tuple(kept)


def _unwrap(signs: list[str], kinds: list[str]) -> tuple[list[str], list[str]]:
    """Drop brackets around one operand: (a)/(b) is a/b, but f(x) is kept."""
    drop: set[int] = set()
    opened: list[int] = []
    pairs: list[tuple[int, int]] = []
    for index, kind in enumerate(kinds):
        if kind == OPEN:
            opened.append(index)
        elif kind == CLOSE and opened:
            pairs.append((opened.pop(), index))
    for first, last in pairs:
        inside = [i for i in range(first + 1, last) if i not in drop]
        before = kinds[first - 1] if first else OPERATOR
        is_outer = len(inside) > 1 and first == 0 and last == len(kinds) - 1
        is_fraction = (
            before != WORD
            and _is_fraction(inside, signs, kinds)
            and (
                (first == 0 or signs[first - 1] in "=+-(≈<>≤≥")
                and (last + 1 == len(signs) or signs[last + 1] in "=+-)≈<>≤≥,")
            )
        )
        if (len(inside) == 1 and before not in (WORD, NUMBER)) or is_outer or is_fraction:
            drop.update((first, last))
    kept = [index for index in range(len(signs)) if index not in drop]
    return [signs[i] for i in kept], [kinds[i] for i in kept]


def _is_fraction(inside: Sequence[int], signs: Sequence[str], kinds: Sequence[str]) -> bool:
    return all(kinds[i] != RELATION and signs[i] not in "+-" for i in inside) and any(
        signs[i] == "/" for i in inside
    )
