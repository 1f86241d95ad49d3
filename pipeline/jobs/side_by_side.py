"""Measurements of documents side by side, for a terminal: a line for each measurement, a column for each document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any  # values of any column

from pipeline.cells import clip, pad, wide
from pipeline.jobs.forms import plain_values

MAX_CELLS = 24
"""Widest column of a document; longer values and names are cut off."""

GAP = "  "


def side_by_side(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return lines of at most `width` cells; documents that do not fit beside each other follow below.

    Args: rows, of a table of scores, with `input` and `row`. Lists, and what no document has, are left out; spans are
    counted.
    """
    shown = [_shown(row) for row in rows]
    names = list(dict.fromkeys(name for values in shown for name in values))
    first = max((wide(name) for name in names), default=0) + len(GAP)
    heads = [f"{row['input']}:{row['row']}" for row in rows]
    if len(rows) == 1:
        return [heads[0], *(f"  {pad(name, first)}{value}" for name, value in shown[0].items())]
    lines: list[str] = []
    start = 0
    while start < len(rows):
        columns: list[list[str]] = []
        room = width - first
        while start + len(columns) < len(rows):
            number = start + len(columns)
            column = [heads[number], *(str(shown[number].get(name, "")) for name in names)]
            size = min(max(map(wide, column)), MAX_CELLS) + len(GAP)
            if columns and size > room:
                break
            room -= size
            columns.append(_column(column, size - len(GAP)))
        labels = ["", *names]
        lines += [
            GAP.join([pad(label, first - len(GAP)), *cells]).rstrip()
            for label, *cells in zip(labels, *columns, strict=True)
        ]
        start += len(columns)
        lines += [""] if start < len(rows) else []
    return lines


def _column(cells: Sequence[str], size: int) -> list[str]:
    """Cells of one width; a name is cut off at its beginning, since paths of one folder have the same beginning."""
    head = cells[0]
    while wide(head) > size:
        head = "…" + head[2:]
    return [pad(head, size), *(pad(clip(cell, size), size) for cell in cells[1:])]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    values = plain_values(row)
    shown = {
        name: value
        for name, value in values.items()
        if name not in ("input", "row") and value is not None and not isinstance(value, (dict, list))
    }
    counted = {
        name: value for name, value in values.items() if name.endswith(".spans") and isinstance(value, list)
    }
    return shown | {name: len(value) for name, value in counted.items()}
