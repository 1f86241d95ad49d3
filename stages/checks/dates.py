"""Dates and times of a text, as year, month, day, hour and minute, however they are written."""

from __future__ import annotations

import re
from typing import NamedTuple

from stages.checks.fold import fold
from stages.checks.numerals import han_value

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH = r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_HAN = "零一二三四五六七八九十廿"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![0-9])(?P<year>[12][0-9]{3})[-/.](?P<month>0?[1-9]|1[0-2])[-/.](?P<day>0?[1-9]|[12][0-9]|3[01])(?![0-9.])",
        rf"(?P<year>[12][0-9]{{3}}|[{_HAN}]{{4}})\s?年(?:\s?(?P<month>[0-9]{{1,2}}|[{_HAN}]{{1,2}})\s?月(?:份|\s?(?P<day>[0-9]{{1,2}}|[{_HAN}]{{1,3}})\s?[日号])?)?",
        rf"(?<![0-9{_HAN}])(?P<month>[0-9]{{1,2}}|[{_HAN}]{{1,2}})\s?月\s?(?P<day>[0-9]{{1,2}}|[{_HAN}]{{1,3}})\s?[日号]",
        rf"\b{_MONTH}\s+(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<year>[12][0-9]{{3}}))?\b(?!\s*[-+*/=])",
        rf"\b(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+{_MONTH}(?:,?\s+(?P<year>[12][0-9]{{3}}))?\b",
        rf"\b{_MONTH},?\s+(?P<year>[12][0-9]{{3}})\b",
        r"(?<![0-9/])(?P<month>0?[1-9]|1[0-2])/(?P<day>0?[1-9]|[12][0-9]|3[01])/(?P<year>[12][0-9]{3})(?![0-9/])",
        r"(?<![0-9:.])(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?::[0-5][0-9])?\s?(?P<half>[ap]\.?m\b)?(?![0-9:])",
        r"(?P<noon>上午|下午|晚上|凌晨|早上|中午)?(?<![0-9])(?P<hour>[01]?[0-9]|2[0-4])\s?[点时](?:(?P<minute>[0-5]?[0-9])\s?分)",
        r"\b(?P<hour>1[0-2]|[1-9])\s?(?P<half>[ap]\.?m\b)",
    )
)  # fmt: skip


class Date(NamedTuple):
    """A date or a time; None for parts that are not given."""

    year: int | None
    month: int | None
    day: int | None
    hour: int | None
    minute: int | None
    start: int
    end: int

    @property
    def parts(self) -> tuple[int | None, ...]:
        """Year, month, day, hour, minute."""
        return self[:5]


def find_dates(text: str) -> list[Date]:
    """Return the dates and times of a text in their order; offsets are code points.

    >>> [date.parts[:3] for date in find_dates("2026年11月30日, Nov 30, 2026, 2026-11-30")]
    [(2026, 11, 30), (2026, 11, 30), (2026, 11, 30)]
    """
    folded = fold(text)
    dates: list[Date] = []
    taken: list[tuple[int, int]] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(folded):
            if not any(match.start() < end and start < match.end() for start, end in taken):
                if date := _read(match):
                    dates.append(date)
                    taken.append(match.span())
    return sorted(dates, key=lambda date: date.start)


def _read(match: re.Match[str]) -> Date | None:
    found = match.groupdict()
    values = {name: _number(found.get(name)) for name in ("year", "month", "day", "hour", "minute")}
    if found.get("name"):
        values["month"] = MONTHS.index(found["name"][:3].lower()) + 1
    half = (found.get("half") or "").lower()[:1]
    if (
        values["hour"] is not None
        and (half == "p" or found.get("noon") in ("下午", "晚上"))
        and values["hour"] < 12
    ):
        values["hour"] += 12
    if (values["month"] or 1) > 12 or (values["day"] or 1) > 31:
        return None
    if values["hour"] is not None and values["minute"] is None:
        values["minute"] = 0
    return Date(**values, start=match.start(), end=match.end())


def _number(written: str | None) -> int | None:
    if written is None:
        return None
    value = int(written) if written.isascii() else han_value(written)
    return None if value is None else int(value)


def agrees(date: Date, other: Date) -> bool:
    """Whether another date gives all parts of a date, and the same."""
    return all(mine is None or mine == theirs for mine, theirs in zip(date.parts, other.parts, strict=True))
