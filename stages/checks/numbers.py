"""All numbers of a text as exact values, however they are written.

Digits (full width, separators of thousands, decimals, powers of ten), scales (3万5千, 1.5 million), percentages,
fractions (3/4, three quarters, 四分之三, LaTeX), Chinese numerals and spelled English numbers. Where a number can be read
in several ways, all readings are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from stages.checks.fold import fold
from stages.checks.numerals import (
    ENGLISH,
    HAN_BIG,
    HAN_DIGITS,
    HAN_NUMERAL,
    HAN_SCALES,
    PARTS,
    SCALES,
    english_value,
    han_value,
)

DIGITS = r"(?:[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
MAX_DIGITS = 40  # a longer run of digits is no number: a key, a digest, a line of a table
VULGAR = {
    "½": (1, 2),
    "⅓": (1, 3),
    "⅔": (2, 3),
    "¼": (1, 4),
    "¾": (3, 4),
    "⅕": (1, 5),
    "⅛": (1, 8),
    "⅜": (3, 8),
}
_PREFIXED = "米克瓦卡帕赫伏焦"  # after 千 a unit: 5千米 is 5 km
_MULTIPLE = {"%": Fraction(1, 100), "‰": Fraction(1, 1000)}
_HAN = "".join([*HAN_DIGITS, *HAN_SCALES, *HAN_BIG, "廿卅"])
_MIXED = re.compile(
    rf"(?:{DIGITS})\s?(?:[百千]?[万亿]|百|千(?![{_PREFIXED}]))(?:(?:{DIGITS})[千百十万]?)*(?:[{_HAN}]+)?"
)
_NUMBER = re.compile(
    rf"""(?P<frac>\\[dtc]?frac\s*(?:\{{\s*(?P<n>-?(?:{DIGITS}))\s*\}}\s*\{{\s*(?P<d>{DIGITS})\s*\}}|(?P<n1>[0-9])(?P<d1>[0-9])))
    |(?P<digits>(?<![0-9A-Za-z_.])(?:{DIGITS})(?:[eE][+-]?[0-9]{{1,3}}(?![0-9A-Za-z]))?)
    |(?P<vulgar>[{"".join(VULGAR)}])
    |(?P<han_part>(?:百分之|千分之|[{_HAN}]+分之)(?:[{_HAN}]+(?:点[{_HAN}]+)?|(?:{DIGITS})))
    |(?P<han>[{_HAN}]+(?:点[{_HAN}]+)?)
    |(?P<english>{ENGLISH.pattern})""",
    re.VERBOSE | re.IGNORECASE,
)
_SCALE = re.compile(
    rf"\s?(?P<han>[百千]?[万亿]+|[百千](?![{_HAN}{_PREFIXED}]))|[\s-]?(?P<word>hundred|thousand|million|billion|trillion)\b"
    r"|(?P<letter>[kKMB])(?![A-Za-z0-9])",
)
_PERCENT = re.compile(r"\s?(?:\\?%|‰)|\s+per\s?cent\b|\s+percent\b|-percent\b|\s*个百分点")
_SLASH = re.compile(rf"\s?/\s?(?P<d>{DIGITS})(?![0-9A-Za-z/.])")
_ENGLISH_PART = re.compile(rf"[\s-](?P<part>{'|'.join(PARTS)})s?\b", re.IGNORECASE)
_LETTERS = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}


class Number(NamedTuple):
    """A number of a text: its readings, the likeliest first, its offsets, and how it is written.

    form: digits, fraction, han or english. parts: numbers inside it that a source also contains.
    """

    values: tuple[Fraction, ...]
    start: int
    end: int
    form: str
    parts: tuple[Fraction, ...] = ()

    @property
    def value(self) -> Fraction:
        """The likeliest reading."""
        return self.values[0]


def plain_value(digits: str) -> Fraction:
    """Return the value of a number in digits, with or without separators.

    >>> plain_value("1,250.50"), plain_value("2e3")
    (Fraction(2501, 2), Fraction(2000, 1))
    """
    return Fraction(re.sub(r"\{,\}|\\,|,", "", digits))


def find_numbers(text: str) -> list[Number]:
    """Return the numbers of a text in their order; offsets are code points of the text."""
    return list(_scan(fold(text)))


def all_values(text: str) -> set[Fraction]:
    """Return the values of all numbers of a text, all readings and the parts of fractions included."""
    values: set[Fraction] = set()
    for number in find_numbers(text):
        values.update(number.values)
        values.update(number.parts)
    return values


def _scan(text: str) -> Iterator[Number]:
    position = 0
    while match := _NUMBER.search(text, position):
        number = _read(text, match)
        position = max(match.end(), number.end if number else 0)
        if number:
            yield number


def _read(text: str, match: re.Match[str]) -> Number | None:
    kind = match.lastgroup if match.lastgroup in ("vulgar", "han_part", "han", "english") else None
    if match["frac"]:
        over, under = match["n"] or match["n1"], match["d"] or match["d1"]
        return _fraction(plain_value(over), plain_value(under), match.start(), match.end())
    if match["digits"]:
        return _read_digits(text, match)
    if kind == "vulgar":
        above, below = VULGAR[match["vulgar"]]
        return _fraction(Fraction(above), Fraction(below), match.start(), match.end())
    if match["han_part"]:
        return _read_han_part(match)
    if match["han"]:
        return _read_han(text, match)
    value = english_value(match["english"])
    if value is None:
        values = [
            english_value(word)
            for word in re.findall(r"[A-Za-z]+", match["english"])
            if word.lower() != "and"
        ]
        known = tuple(one for one in values if one is not None)
        return Number(known, match.start(), match.end(), "english", known) if known else None
    part = _ENGLISH_PART.match(text, match.end())
    if part and value < 100:
        return _fraction(value, Fraction(PARTS[part["part"].lower()]), match.start(), part.end())
    return _scaled(text, (value,), match.start(), match.end(), "english", ())


def _fraction(above: Fraction, below: Fraction, start: int, end: int) -> Number:
    values = (above / below,) if below else (above,)
    return Number(values, start, end, "fraction", (above, below))


def _read_digits(text: str, match: re.Match[str]) -> Number | None:
    digits, start, end = match["digits"], match.start(), match.end()
    if len(digits) > MAX_DIGITS:
        return None
    value = plain_value(digits)
    sign = -1 if _is_negative(text, start) else 1
    if mixed := _MIXED.match(text, start):
        readings = _mixed_value(mixed.group())
        if readings is not None and mixed.end() > end:
            return _scaled(
                text, (sign * readings, sign * value), start - (sign < 0), mixed.end(), "digits", (value,)
            )
    if (slash := _SLASH.match(text, end)) and "." not in digits:
        below = plain_value(slash["d"])
        if below:
            return _fraction(sign * value, below, start - (sign < 0), slash.end())
    parts = tuple(Fraction(int(part)) for part in re.findall("[0-9]+", digits)) if "," in digits else ()
    return _scaled(text, (sign * value,), start - (sign < 0), end, "digits", parts)


def _is_negative(text: str, start: int) -> bool:
    """Whether a sign before a number belongs to it: nothing is there from which it could be subtracted."""
    if start == 0 or text[start - 1] not in "-负":
        return False
    before = text[max(0, start - 9) : start - 1]
    if text[start - 1] == "负" or not before.strip(" ") or before[-1] == "\n":
        return True
    last = before.rstrip(" ")[-1]
    if before[-1] == " ":
        return not (last.isdigit() or last in ")]}%°'\"!-$")
    return not ((last.isascii() and last.isalnum()) or last in ")]}%°'\"!-–$")


def _mixed_value(text: str) -> Fraction | None:
    """Return the value of digits with Chinese scales: 3万5千, 1亿2000万, 3.5万; None where scales do not fall."""
    total, limit = Fraction(0), 10**13
    for digits, scale in re.findall(rf"({DIGITS})\s?((?:[百千]?[万亿]+|[千百十])?)", text):
        factor = 1
        for char in scale:
            factor *= HAN_SCALES.get(char) or HAN_BIG[char]
        if factor >= limit:
            return None
        if not scale and limit >= 100 and limit < 10**13 and len(digits) == 1:
            factor = limit // 10  # 3万5 is 35,000
        total, limit = total + plain_value(digits) * factor, factor
    rest = re.search(rf"[{_HAN}]+$", text)
    if rest and rest.group()[0] in HAN_DIGITS:
        value = han_value(rest.group())
        return total + value if value is not None else total
    return total


def _scaled(
    text: str, values: tuple[Fraction, ...], start: int, end: int, form: str, parts: tuple[Fraction, ...]
) -> Number:
    if scale := _SCALE.match(text, end):
        factor = 1
        if scale["han"]:
            for char in scale["han"]:
                factor *= HAN_SCALES.get(char) or HAN_BIG[char]
        else:
            factor = SCALES[scale["word"]] if scale["word"] else _LETTERS[scale["letter"]]
        scaled = tuple(value * factor for value in values)
        values, end = ((*values, *scaled) if scale["letter"] else (*scaled, *values)), scale.end()
    if percent := _PERCENT.match(text, end):
        per = _MULTIPLE["‰" if "‰" in percent.group() else "%"]
        return Number((*(value * per for value in values), *values), start, percent.end(), form, parts)
    return Number(values, start, end, form, parts)


def _read_han_part(match: re.Match[str]) -> Number | None:
    below_text, above_text = match["han_part"].split("分之", 1)
    below = {"百": Fraction(100), "千": Fraction(1000)}.get(below_text) or han_value(below_text)
    above = _han_decimal(above_text)
    if not below or above is None:
        return None
    number = _fraction(above, below, match.start(), match.end())
    return number._replace(values=(*number.values, above)) if below_text in "百千" else number


def _han_decimal(text: str) -> Fraction | None:
    if re.fullmatch(DIGITS, text):
        return plain_value(text)
    whole, point, rest = text.partition("点")
    value = han_value(whole)
    if not point or value is None or not rest or any(char not in HAN_DIGITS for char in rest):
        return value
    return value + Fraction(int("".join(str(HAN_DIGITS[char]) for char in rest)), 10 ** len(rest))


def _read_han(text: str, match: re.Match[str]) -> Number | None:
    written = match["han"]
    if not HAN_NUMERAL.match(written) or not set(written) - set("百千万亿"):
        return None  # 千米, 万一
    value = _han_decimal(written)
    whole = written.partition("点")[0]
    singles = tuple(Fraction(HAN_DIGITS[char]) for char in whole if char in HAN_DIGITS)
    if value is None:
        return Number(singles, match.start(), match.end(), "han", singles) if singles else None
    sign = -1 if match.start() and text[match.start() - 1] == "负" else 1
    start = match.start() - (sign < 0)
    readings = [sign * value]
    if "点" in written:
        readings.append(sign * (han_value(whole) or Fraction(0)))
    end = match.end()
    if written.endswith("千") and len(written) > 1 and text[end : end + 1] in _PREFIXED:
        readings.append(sign * (han_value(written[:-1]) or Fraction(0)))
    if text.startswith("成", end) and value < 10:
        readings.insert(0, value / 10)
    return Number(tuple(readings), start, end, "han", singles)
