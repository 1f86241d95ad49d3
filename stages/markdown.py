"""Markdown for people: tables, lists cut short, shares and sizes with units; text of documents is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa


class Markup(str):
    """Markdown that is written as it is, unlike plain text, which is escaped."""

    __slots__ = ()


def escaped(text: str) -> str:
    """Plain text as Markdown of one line that shows it literally: no markup, HTML, link or table border."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    text = html.escape(text, quote=False)
    return re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", lambda m: f"\\{m[0]}", text)


def code(text: str) -> Markup:
    """Plain text as a Markdown code span; a bar is escaped, since it would end a table cell in a code span as well."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return Markup(f"{fence}{space}{text}{space}{fence}")


def markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A Markdown table; whole numbers get thousands separators and are aligned right; text is escaped."""
    rows = [list(row) for row in rows]
    right = [all(is_number(row[i]) for row in rows) for i in range(len(heads))]

    def cell(value: Any) -> str:
        if isinstance(value, Markup):
            return value
        return f"{value:,}" if isinstance(value, int) else escaped(str(value))

    lines = [f"| {' | '.join(map(cell, heads))} |", f"|{'|'.join('---:' if r else '---' for r in right)}|"]
    return lines + [f"| {' | '.join(map(cell, row))} |" for row in rows]


def is_number(value: Any) -> bool:
    """Whether a cell holds a number, with a unit or not, or stands empty."""
    return isinstance(value, int) or re.fullmatch(r"[\d.,]+( ?[%kMGTP]?B?)|—|", str(value)) is not None


def few(names: Sequence[str], shown: int = 4) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def share(part: int, whole: int) -> str:
    """A share in per cent; a dash when there is nothing to have a share of."""
    return f"{part / whole:.1%}" if whole else "—"


def in_bytes(n: int) -> str:
    """A number of bytes with a unit, by powers of 1000."""
    size = float(n)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} PB"


def type_name(kind: pa.DataType) -> str:
    """A type as people write it; the fields of a struct by name."""
    if pa.types.is_struct(kind):
        return "struct of " + ", ".join(field.name for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {type_name(kind.value_type)}"
    return (
        str(kind).removeprefix("large_").replace("float", "float32" if kind == pa.float32() else "float", 1)
    )
