"""Units of measurement after numbers, in any language, as one symbol each."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.data_files import read_yaml
from stages.checks.fold import fold
from stages.checks.numbers import Number, find_numbers

UNITS_PATH = str(Path(__file__).with_name("units.yaml"))


class Unit(NamedTuple):
    """A unit: its symbol, its dimension and its size in the base unit of the dimension."""

    symbol: str
    dimension: str
    factor: Fraction


class Quantity(NamedTuple):
    """A number with its unit."""

    number: Number
    unit: Unit
    start: int
    end: int


@cache
def load_units() -> dict[str, Unit]:
    """Return the units by each of their names; names of letters in lower case, symbols as they are written."""
    units: dict[str, Unit] = {}
    table = read_yaml(UNITS_PATH)
    for dimension, rows in table.items():
        for symbol, (factor, *names) in rows.items():
            unit = Unit(str(symbol).rstrip("_"), dimension, Fraction(factor))
            units[fold(unit.symbol)] = unit
            for name in names:
                units[fold(name)] = unit
                if name.isascii() and len(name) > 3:
                    units[name + "s"] = unit
    return units


@cache
def _pattern() -> re.Pattern[str]:
    names = sorted(load_units(), key=len, reverse=True)
    latin = [re.escape(name) for name in names if name.isascii() and name[-1].isalpha()]
    signs = [
        re.escape(name)
        for name in names
        if not (name.isascii() and name[-1].isalpha()) and name not in "$¥€£"
    ]
    return re.compile(
        rf"[\s-]?(?:\\(?:text|mathrm|rm)\s*\{{\s*)?(?:(?P<latin>{'|'.join(latin)})(?![A-Za-z])|(?P<sign>{'|'.join(signs)}))",
        re.IGNORECASE,
    )


def unit_of(name: str) -> Unit | None:
    """Return the unit with this name or symbol; None if it is none.

    >>> unit_of("公里").symbol, unit_of("Hours").symbol, unit_of("apples")
    ('km', 'h', None)
    """
    units = load_units()
    return units.get(name) or (units.get(name.lower()) if len(name) > 2 or name.lower() == "kg" else None)


def find_quantities(text: str) -> list[Quantity]:
    """Return the numbers of a text that have a unit, in their order; offsets are code points."""
    folded = fold(text)
    quantities = []
    for number in find_numbers(text):
        before = folded[number.start - 1 : number.start] if number.start else ""
        if (before and before in "¥€£") or (before == "$" and _is_price(folded, number)):
            quantities.append(Quantity(number, load_units()[before], number.start - 1, number.end))
            continue
        match = _pattern().match(folded, number.end)
        unit = unit_of(match["latin"] or match["sign"]) if match else None
        if match and unit and not _is_calendar(folded, number, match):
            quantities.append(Quantity(number, unit, number.start, match.end()))
    return quantities


def _is_price(text: str, number: Number) -> bool:
    """Whether a dollar sign before a number begins no formula: none closes it on the line after signs and
    symbols only.
    """
    line_end = text.find("\n", number.end)
    inside, closing, after = text[number.end : line_end if line_end >= 0 else len(text)].partition("$")
    if not closing or after[:1].isdigit():
        return "\\" not in inside
    return bool(re.search(r"(?<![\\A-Za-z])[A-Za-z]{3,}", inside))


def _is_calendar(text: str, number: Number, match: re.Match[str]) -> bool:
    """Whether a number and 年, 月 or 日 are a date, or 分 and 度 a word."""
    name = match["sign"] or ""
    return name in ("年", "月", "日") and (number.value > 31 or name != "年" or number.form == "han")
