"""The dialect of a file of delimited rows: delimiter, quotation mark, escapes and header, from its first rows.

Quotation is judged by how fields end: a field that opens with a quotation mark and closes with one before a delimiter
is quoted. Where most fields that open so do not close, as in tab-separated sentences, the mark is text.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

DELIMITERS = (",", "\t", ";", "|")
"""Delimiters that are detected, in the order of preference."""

MAX_ROWS = 200
"""Rows that are looked at."""

MAX_NAME_CHARS, MAX_NAME_WORDS = 64, 6
"""Longest name of a column, in characters and words."""

SEP_LINE = re.compile(r"sep=(.)\r?(?:\n|$)", re.IGNORECASE)
"""First line that Excel writes and reads to name the delimiter."""

NO_NAME = re.compile(
    r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?%?|\d{4}-\d\d.*|https?://.*|.*[。！？!?；;]|.*[\r\n].*", re.DOTALL
)
"""Cells that are no names of columns: numbers, days, addresses, sentences."""


@dataclass(frozen=True)
class Dialect:
    """How rows are written. quote, escape: one character or "" for none; skip_lines: lines before the header."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    has_header: bool = True
    skip_lines: int = 0

    def options(self) -> dict[str, Any]:  # Any: as the library has them
        """Return the settings of `csv.reader`."""
        quoting = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return {
            "delimiter": self.delimiter, "quotechar": self.quote or None, "escapechar": self.escape or None,
            "doublequote": True, "quoting": quoting,
        }  # fmt: skip


def find_dialect(
    start: str, is_whole: bool, known: Dialect | None = None, fixed: frozenset[str] = frozenset()
) -> Dialect:
    """Return the dialect that most rows of the start fit.

    Args: start, text from the start of a file; is_whole, it is all of the file; known, fixed: the dialect whose
    fields of these names are settings, and are not detected.
    """
    dialect = known or Dialect()
    if "skip_lines" not in fixed and (match := SEP_LINE.match(start)):
        dialect = replace(
            dialect, skip_lines=1, delimiter=match[1] if "delimiter" not in fixed else dialect.delimiter
        )
        fixed |= {"delimiter"}
    for _ in range(dialect.skip_lines):
        start = start.partition("\n")[2]
    choices = [dialect.delimiter] if "delimiter" in fixed else list(DELIMITERS)
    tried = [_with_quotes(start, replace(dialect, delimiter=mark), fixed) for mark in choices]
    rows = [rows_of(start, one, is_whole) for one in tried]
    best = max(range(len(tried)), key=lambda i: (_has_names(rows[i]), *_fit(list(map(len, rows[i]))), -i))
    if "has_header" in fixed:
        return tried[best]
    return replace(tried[best], has_header=is_header(rows[best][0] if rows[best] else []))


def rows_of(start: str, dialect: Dialect, is_whole: bool = True) -> list[list[str]]:
    """Return the first rows of a text, without blank ones and, of a text that goes on, without its last."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(start.splitlines(keepends=True), **dialect.options()):
            if row:
                rows.append(row)
            if len(rows) > MAX_ROWS:
                break
    except csv.Error:
        pass
    return rows if is_whole or len(rows) < 2 else rows[:-1]


def is_header(row: list[str]) -> bool:
    """Whether the cells of a row are names of columns: short, and no numbers, days, addresses or sentences."""
    cells = [cell.strip() for cell in row]
    return any(cells) and not any(
        len(cell) > MAX_NAME_CHARS or len(cell.split()) > MAX_NAME_WORDS or NO_NAME.fullmatch(cell)
        for cell in cells
    )


def _with_quotes(start: str, dialect: Dialect, fixed: frozenset[str]) -> Dialect:
    """Choose quotation and escapes by how fields of the start open and close."""
    escapes = [dialect.escape] if "escape" in fixed else ["", "\\"]
    best, least = dialect, None
    for escape in escapes:
        n_closed, n_open = _count_quoted(start, dialect.delimiter, escape)
        if least is None or n_open < least:
            quote = '"' if n_closed >= n_open else ""
            best, least = (
                replace(dialect, quote=quote if "quote" not in fixed else dialect.quote, escape=escape),
                n_open,
            )
    if not best.quote and "escape" not in fixed:
        best = replace(best, escape="")
    return best


def _count_quoted(start: str, delimiter: str, escape: str) -> tuple[int, int]:
    """Count the fields that open with a quotation mark and close before a delimiter, and those that do not."""
    mark = re.escape(delimiter)
    inner = r'[^"\\]*+(?:(?:""|\\.)[^"\\]*+)*+' if escape else r'[^"]*+(?:""[^"]*+)*+'
    pattern = rf'(?:\A|(?<=[{mark}\n]))"({inner}"(?=[{mark}\r\n]|\Z))?'
    found = [match[1] is not None for match in re.finditer(pattern, start, re.DOTALL)]
    if found and not found[-1] and start.endswith("\n") is False:
        found.pop()  # the start ends inside it
    return sum(found), len(found) - sum(found)


def _has_names(rows: list[list[str]]) -> bool:
    """Whether the first row is a header of several columns, and another row has as many cells."""
    return len(rows) > 1 and len(rows[0]) > 1 and is_header(rows[0]) and len(rows[0]) in map(len, rows[1:])


def _fit(widths: list[int]) -> tuple[float, int]:
    """How well rows fit: the share with the width of the first, and that width.

    Rows of one cell do not count: they are lines of a cell whose quotation is damaged, as long as the first has more.
    """
    several = [width for width in widths if width > 1]
    if not several:
        return 0.0, min(len(widths), 1)
    width = widths[0] if widths[0] > 1 else Counter(several).most_common(1)[0][0]
    return round(several.count(width) / len(several if widths[0] > 1 else widths), 1), width
