"""Formatting for Markdown reports: tables, shortened lists, percentages, sizes with units; plain text is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa


class Markup(str):
    """Markdown that is written unchanged, unlike plain text, which is escaped."""

    __slots__ = ()


def escaped(text: str) -> str:
    """Return plain text as one line of Markdown that displays it literally, without markup, HTML, links or borders."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    text = html.escape(text, quote=False)
    return re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", lambda m: f"\\{m[0]}", text)


def code(text: str) -> Markup:
    """Return plain text as a Markdown code span; bars are escaped, because they end a table cell even in code spans."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return Markup(f"{fence}{space}{text}{space}{fence}")


def markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the lines of a Markdown table, with escaped text, right-aligned numbers and thousands separators."""
    rows = [list(row) for row in rows]
    right = [all(is_number(row[i]) for row in rows) for i in range(len(heads))]

    def cell(value: Any) -> str:
        if isinstance(value, Markup):
            return value
        return f"{value:,}" if isinstance(value, int) else escaped(str(value))

    lines = [f"| {' | '.join(map(cell, heads))} |", f"|{'|'.join('---:' if r else '---' for r in right)}|"]
    return lines + [f"| {' | '.join(map(cell, row))} |" for row in rows]


def is_number(value: Any) -> bool:
    """Return whether a cell is a number, with or without a unit, or a dash."""
    return isinstance(value, int) or re.fullmatch(r"[\d.,]+( ?[%kMGTP]?B?)|—|", str(value)) is not None


def few(names: Sequence[str], shown: int = 4) -> str:
    """Return the first names of a list, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def share(part: int, whole: int) -> str:
    """Return part / whole in per cent; a dash when whole is 0."""
    return f"{part / whole:.1%}" if whole else "—"


def in_bytes(n: int) -> str:
    """Return a number of bytes with a unit, by powers of 1000."""
    size = float(n)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} PB"


def type_name(dtype: pa.DataType) -> str:
    """Return a readable name of an Arrow type; the fields of a struct by name."""
    if pa.types.is_struct(dtype):
        return "struct of " + ", ".join(field.name for field in dtype)
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return f"list of {type_name(dtype.value_type)}"
    return (
        str(dtype).removeprefix("large_").replace("float", "float32" if dtype == pa.float32() else "float", 1)
    )
