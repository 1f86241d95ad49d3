"""Whether a source contains everything that a claim states: numbers, units, dates, formulas and names.

Values are compared, not strings: `1,000`, `１０００`, `一千` and `one thousand` are one number, `$x \\times
2$` and `2x` one formula. What arithmetic in the claim derives from grounded numbers may be allowed. A fault
is certain: what a reader may take from the source in another form is not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from stages.checks import contexts, dates, entities, units
from stages.checks.arithmetic import find_equations
from stages.checks.fold import fold
from stages.checks.numbers import Number, find_numbers
from stages.checks.signs import Sign, adjacent, find_signs
from stages.checks.tokens import tokenize

_ITEM = re.compile(
    r"(?:^|\n)\s*(?:[-*]\s*)?(?:\*\*)?(?:第\s?[0-9一二三四五六七八九十]+\s?[步、]|步骤\s?[0-9一二三四五六七八九十]+|[Ss]tep\s+[0-9]+|[(]?[0-9]{1,2}[).、:](?![0-9])|[一二三四五六七八九十]{1,2}、)|"
    r"(?:\b[Ss]tep|步骤)\s*[0-9一二三四五六七八九十]+|第[一二三四五六七八九十]+[步个种类]|[①-⑳]"
)
_SMALL_WORDS = frozenset({"one", "zero"})
_SPOKEN = re.compile(
    r"\b(?:half|double|twice|thrice|triple|dozen|both|pair|couple|quarter)\b|[半倍双]", re.IGNORECASE
)
_SPOKEN_VALUES = {
    "half": (Fraction(1, 2), 2),
    "double": (2,),
    "twice": (2,),
    "thrice": (3,),
    "triple": (3,),
    "dozen": (12,),
    "both": (2,),
    "pair": (2,),
    "couple": (2,),
    "quarter": (Fraction(1, 4), 4),
    "半": (Fraction(1, 2), 2),
    "倍": (2,),
    "双": (2,),
}
_HAN_WORDS = re.compile(
    "一|十分|万一|千万|百般|四处|四周|五官|三角|四边|[三四五六七八]边形|二次|二元|二叉|二分|二维|三维|两者|两边|两侧|两端|二者|三者|"
    "[一二两三四五六七八九十]+(?:方面|旦|样|切|般|直|起|定|些|致|同|共|律|时)|百科|千方|万能|万物|第[一二三四五六七八九十]+|"
    "半|两[个种步]|九章|七上八下|不三不四|星期[一二三四五六]|周[一二三四五六]|[一二三四五六七八九]年级"
)
_ORDINAL = re.compile(r"\b(?:[0-9]+(?:st|nd|rd|th))\b")


class Fault(NamedTuple):
    """What a source does not contain.

    kind: number, unit, date, formula, entity, or arithmetic for a false equation. value: the text of the claim from
    start to end, code points.
    """

    kind: str
    value: str
    start: int
    end: int


class Source(NamedTuple):
    """What a source contains, read once for all claims about it."""

    text: str
    values: frozenset[Fraction]
    computed: frozenset[Fraction]
    quantities: frozenset[tuple[Fraction, str]]
    units: frozenset[str]
    bare: frozenset[Fraction]
    dates: tuple[dates.Date, ...]
    signs: frozenset[tuple[str, str, str]]
    beside_signs: dict[tuple[str, ...], set[str]]
    contexts: contexts.Contexts


@lru_cache(maxsize=64)
def read_source(text: str) -> Source:
    """Return what a source contains."""
    numbers = find_numbers(text)
    values: set[Fraction] = set()
    for number in numbers:
        values.update(number.values)
        values.update(number.parts)
    folded = fold(text)
    values.update(Fraction(int(digits)) for digits in re.findall("[0-9]{1,18}", folded))
    for match in _SPOKEN.finditer(folded):
        values.update(map(Fraction, _SPOKEN_VALUES[match.group().lower()]))
    computed = {
        Fraction(equation.right)
        for equation in find_equations(text)
        if equation.is_true and not equation.is_open
    }
    values |= computed
    quantities = units.find_quantities(text)
    in_units = {quantity.number.start for quantity in quantities}
    shown = {(value, quantity.unit.symbol) for quantity in quantities for value in quantity.number.values}
    bare = {
        value
        for number in numbers
        if number.start not in in_units
        for value in (*number.values, *number.parts)
    }
    found = find_signs(text)
    signs = {key for sign in found for key in (sign.key, sign.mirrored)} | adjacent(text)
    beside: dict[tuple[str, ...], set[str]] = {}
    for sign in found:
        beside.setdefault((*sign.outside, sign.left, sign.right), set()).add(sign.sign)
    return Source(
        folded.lower(), frozenset(values), frozenset(computed), frozenset(shown),
        frozenset(quantity.unit.symbol for quantity in quantities), frozenset(bare), tuple(dates.find_dates(text)),
        frozenset(signs), beside, contexts.read_contexts(text, numbers),
    )  # fmt: skip


def ungrounded(claim: str, source: str, language: str = "und", *, derived: bool = False) -> list[Fault]:
    """Return what of a claim its source does not contain, in the order of the claim.

    Args: claim and source, texts in one language, or in two of which one is a translation; language, the label of the
    claim, of which only the script matters; derived, whether a value that an equation of the claim computes from
    grounded ones counts as grounded.
    Returns: the faults; false equations of the claim are among them, in any case.
    """
    known = read_source(source)
    faults = [
        Fault("arithmetic", claim[equation.start : equation.end], equation.start, equation.end)
        for equation in find_equations(claim)
        if not equation.is_true
    ]
    allowed = set(known.values)
    if derived:
        allowed |= _derive(claim, allowed)
    date_spans, date_faults = _check_dates(claim, known)
    faults += date_faults
    names = entities.find_entities(claim)
    faults += [
        Fault("entity", claim[entity.start : entity.end], entity.start, entity.end)
        for entity in names
        if not entities.occurs(entity, known.text)
    ]
    skipped = [
        *date_spans,
        *((entity.start, entity.end) for entity in names if entity.kind in ("identifier", "title")),
    ]
    skipped += [
        (quantity.start, quantity.end)
        for quantity in units.find_quantities(claim)
        if _is_converted(quantity, known)
    ]
    hidden = _mask(claim, skipped)
    numbers = [number for number in claimed_numbers(claim) if not hidden[number.start]]
    stated = find_equations(claim)
    true = [(e.start, e.end) for e in stated if e.is_true and not e.is_open]
    false = [(e.start, e.end) for e in stated if not e.is_true]
    computed = _mask(claim, true)
    wrong = [
        number
        for number in numbers
        if not _is_known(number, allowed)
        or (
            not computed[number.start]
            and not (
                derived and known.computed.intersection(number.values)
            )  # a result, said of what it is about
            and contexts.contradicts(claim, number, known.contexts)
        )
    ]
    faults += [
        Fault("number", claim[number.start : number.end], number.start, number.end) for number in wrong
    ]
    faults += _check_units(claim, known, allowed, derived)
    faults += _check_signs(claim, known, allowed, _mask(claim, [*date_spans, *true, *false]))
    return sorted(_merged(faults), key=lambda fault: fault.start)


def _mask(text: str, spans: Iterable[tuple[int, int]]) -> bytearray:
    """Return 1 for each character of a text that is inside a span."""
    mask = bytearray(len(text) + 1)
    for start, end in spans:
        mask[start:end] = b"\1" * (end - start)
    return mask


def claimed_numbers(text: str) -> list[Number]:
    """Return the numbers that a text states: not those of list items, of fixed words, of ordinals, and no `one`."""
    folded = fold(text)
    spans = [match.span() for pattern in (_ITEM, _ORDINAL) for match in pattern.finditer(folded)]
    spans += [match.span() for match in _HAN_WORDS.finditer(folded)]
    hidden = _mask(text, spans)
    kept = []
    for number in find_numbers(text):
        written = folded[number.start : number.end].lower()
        if written in _SMALL_WORDS or all(hidden[number.start : number.end]):
            continue
        if number.form == "han" and (
            (len(written) == 1 and written in "一十百千万亿两零") or number.value < 2
        ):
            continue
        kept.append(number)
    return kept


def _is_known(number: Number, allowed: set[Fraction]) -> bool:
    if any(value in allowed for value in number.values):
        return True
    if number.form == "fraction" and number.parts:
        return all(part in allowed for part in number.parts)
    return False


def _derive(claim: str, allowed: set[Fraction]) -> set[Fraction]:
    """Return the values that the equations of a claim compute from allowed ones, step after step."""
    found: set[Fraction] = set()
    for equation in find_equations(claim):
        if not equation.is_true or equation.is_open:
            continue
        left, right = claim[equation.start : equation.end], None
        tokens = [token for token in tokenize(left) if token.value or token.kind == "number"]
        relation = next((token.start for token in tokenize(left) if token.sign in "=≈"), len(left))
        inputs = {token.value for token in tokens if token.start < relation}
        outputs = {token.value for token in tokens if token.start > relation}
        if inputs <= allowed | found | {Fraction(100), Fraction(1)}:
            found |= outputs
            right = outputs
        if right is None and outputs <= allowed | found:
            continue
    return found


def _check_dates(claim: str, known: Source) -> tuple[list[tuple[int, int]], list[Fault]]:
    spans, faults = [], []
    for date in dates.find_dates(claim):
        spans.append((date.start, date.end))
        if any(dates.agrees(date, other) for other in known.dates):
            continue
        given = [Fraction(part) for part in date.parts if part is not None and part]
        same = [other for other in known.dates if _shares(date, other)]
        loose = all(value in known.values for value in given) and not same
        if not loose:
            faults.append(Fault("date", claim[date.start : date.end], date.start, date.end))
    return spans, faults


def _shares(date: dates.Date, other: dates.Date) -> bool:
    """Whether two dates give the same parts, so that one of them contradicts the other."""
    return all(
        (mine is None) == (theirs is None) for mine, theirs in zip(date.parts, other.parts, strict=True)
    )


def _check_units(claim: str, known: Source, allowed: set[Fraction], derived: bool) -> list[Fault]:
    """A quantity is wrong if the source has its number with other units of measurement only, or never has its unit."""
    faults = []
    for quantity in units.find_quantities(claim):
        values, symbol = quantity.number.values, quantity.unit.symbol
        if any((value, symbol) in known.quantities for value in values) or _is_converted(quantity, known):
            continue
        never = symbol not in known.units
        others = any(
            value == other and symbol != name for value in values for other, name in known.quantities
        )
        bare = any(value in known.bare for value in values)
        if (never and not _says_unit(quantity, claim, known)) or (others and not bare and not derived):
            faults.append(Fault("unit", claim[quantity.start : quantity.end], quantity.start, quantity.end))
    return faults


def _is_converted(quantity: units.Quantity, known: Source) -> bool:
    size = quantity.number.value * quantity.unit.factor
    loaded = units.load_units()
    for value, symbol in known.quantities:
        other = loaded.get(symbol) or loaded.get(symbol + "_")
        if other and other.dimension == quantity.unit.dimension and value * other.factor == size:
            return True
    return False


def _says_unit(quantity: units.Quantity, claim: str, known: Source) -> bool:
    """Whether a source has a name of the unit apart from a number."""
    loaded = units.load_units().items()
    names = [
        name for name, unit in loaded if unit.symbol == quantity.unit.symbol and len(name) > name.isascii()
    ]
    for name in names:
        if name.isascii() and name[-1:].isalpha():
            if re.search(rf"(?<![a-z]){re.escape(name.lower())}(?![a-z])", known.text):
                return True
        elif name.lower() in known.text:
            return True
    return False


def _check_signs(claim: str, known: Source, allowed: set[Fraction], hidden: bytearray) -> list[Fault]:
    """Signs of formulas that the source does not have, apart from those of true equations and of dates."""
    return [
        Fault(
            "formula",
            claim[max(0, sign.start - 8) : sign.end + 8],
            max(0, sign.start - 8),
            min(len(claim), sign.end + 8),
        )
        for sign in find_signs(claim)
        if not hidden[sign.start] and not _is_known_sign(sign, known, allowed)
    ]


def _is_known_sign(sign: Sign, known: Source, allowed: set[Fraction]) -> bool:
    """Whether the source has a sign with its operands, and no other one in the same context."""
    there = known.beside_signs.get((*sign.outside, sign.left, sign.right), set())
    if there and sign.sign not in there:
        return False
    return sign.key in known.signs or _is_computed(sign, allowed)


def _is_computed(sign: Sign, allowed: set[Fraction]) -> bool:
    """Whether a calculation with two numbers has a grounded result, or is a range or a fraction of grounded numbers."""
    if not sign.are_numbers:
        return False
    left, right = Fraction(sign.left), Fraction(sign.right)
    if sign.sign in "<>≤≥≠":
        return {
            "<": left < right,
            ">": left > right,
            "≤": left <= right,
            "≥": left >= right,
            "≠": left != right,
        }[sign.sign]
    results = {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else None}
    return results[sign.sign] in allowed


def _merged(faults: list[Fault]) -> list[Fault]:
    """Drop faults inside others of the same kind."""
    kept: list[Fault] = []
    ends: dict[str, int] = {}
    for fault in sorted(faults, key=lambda fault: (fault.start, -fault.end)):
        if fault.end > ends.get(fault.kind, -1):
            kept.append(fault)
            ends[fault.kind] = fault.end
    return kept
