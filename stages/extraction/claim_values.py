"""Normalised values of page claims: dates as ISO 8601, licences as SPDX identifiers."""

from __future__ import annotations

import datetime
import re
from urllib.parse import unquote

ISO = re.compile(
    r"\s*((?:19|20)\d\d)\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?:\s*日)?"
    r"(?:[T\s]\s*(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?)?",
    re.IGNORECASE,
)
COMPACT = re.compile(r"\s*((?:19|20)\d\d)(\d\d)(\d\d)(?:T?(\d\d)(\d\d)(\d\d)?(Z|[+-]\d\d:?\d\d)?)?(?!\d)")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAY_FIRST = re.compile(
    r"\s*(?:[a-z]{3,9},?\s+)?(\d{1,2})\s+([a-z]{3})[a-z]*\.?,?\s+((?:19|20)\d\d)", re.IGNORECASE
)
MONTH_FIRST = re.compile(
    r"\s*(?:[a-z]{3,9},?\s+)?([a-z]{3})[a-z]*\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+((?:19|20)\d\d)",
    re.IGNORECASE,
)

URL_DATE = re.compile(
    r"/((?:19|20)\d\d)[-/]?(0[1-9]|1[0-2])[-/]?(0[1-9]|[12]\d|3[01])(?=[/_.t-]|$)|/t((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])_"
)
"""A full date as a folder of the path, or in file names of Chinese government sites (`t20190220_1234.html`)."""

CC = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/(zero|mark|(?:by|nc|nd|sa|sampling\+?)(?:-(?:nc|nd|sa))*)/(\d\.\d)(?:/(?!deed|legalcode|rdf)([a-z]{2,3}|scotland))?(?=[/?#.]|$)",
    re.IGNORECASE,
)
"""URL of a licence deed: code, version, jurisdiction (until version 3.0). Source: creativecommons.org."""

OTHER = (
    (re.compile(r"gnu\.org/(?:licenses|copyleft)/(?:old-licenses/)?fdl-(\d\.\d)", re.I), "GFDL-{}"),
    (re.compile(r"apache\.org/licenses/LICENSE-(\d\.\d)", re.I), "Apache-{}"),
    (re.compile(r"opensource\.org/licenses?/mit\b", re.I), "MIT"),
    (re.compile(r"nationalarchives\.gov\.uk/doc/open-government-licence/version/(\d)", re.I), "OGL-UK-{}.0"),
    (
        re.compile(r"wiki/Wikipedia:Text_of_(?:the_)?Creative_Commons_Attribution-ShareAlike_(\d\.\d)", re.I),
        "CC-BY-SA-{}",
    ),
    (re.compile(r"unlicense\.org", re.I), "Unlicense"),
)


def iso_date(text: str) -> str | None:
    """Return a date as `2019-02-20` or `2019-02-20T02:26:00+08:00`, in the precision given; None if it is invalid.

    Days that do not exist, and those before 1990 or after 2099, are invalid.
    """
    text = text[:100]
    if match := ISO.match(text) or COMPACT.match(text):
        year, month, day, hour, minute, second, zone = match.groups()
    elif match := DAY_FIRST.match(text):
        day, month, year = match.groups()
        hour = None
    elif match := MONTH_FIRST.match(text):
        month, day, year = match.groups()
        hour = None
    else:
        return None
    if not month.isdigit():
        if month.lower() not in MONTHS:
            return None
        month = str(MONTHS.index(month.lower()) + 1)
    try:
        date = datetime.date(int(year), int(month), int(day))
        if not 1990 <= date.year < 2100:
            return None
        if hour is None:
            return date.isoformat()
        time = datetime.time(int(hour), int(minute), int(second or 0)).isoformat()
    except ValueError:
        return None
    zone = "" if zone is None else "Z" if zone[0].isalpha() else f"{zone[:3]}:{zone[-2:]}"
    return f"{date.isoformat()}T{time}{zone}"


def url_date(url: str) -> str | None:
    """Return the date in the path of a URL, or None."""
    path = url.partition("?")[0]
    if match := URL_DATE.search(path):
        return iso_date("-".join(group for group in match.groups() if group))
    return None


def license_id(url: str) -> str | None:
    """Return the SPDX identifier for the URL of a licence (`CC-BY-SA-3.0-CN`, `CC0-1.0`, `GFDL-1.3`), or None."""
    url = unquote(url[:500])
    if found := CC.search(url):
        code, version, jurisdiction = found.groups()
        name = {"zero": "CC0", "mark": "CC-PDM"}.get(code.lower(), f"CC-{code.upper()}")
        return f"{name}-{version}" + (
            f"-{jurisdiction.upper()}" if jurisdiction and name not in ("CC0", "CC-PDM") else ""
        )
    for pattern, form in OTHER:
        if match := pattern.search(url):
            return form.format(*match.groups())
    return None
