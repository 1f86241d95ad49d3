"""Width of text in a terminal, where an ideograph takes two cells and a combining mark none."""

from __future__ import annotations

import re
import unicodedata

ZERO_WIDTH = ("Mn", "Me", "Cf")
"""Categories of characters that take no cell: marks over the character before, and invisible format characters."""


def wide(text: str) -> int:
    """Terminal cells that a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ZERO_WIDTH else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clip(text: str, cells: int) -> str:
    """Return the start of a text that fits in a number of cells, with an ellipsis for the rest."""
    if wide(text) <= cells:
        return text
    kept, used = [], 0
    for char in text:
        used += wide(char)
        if used > cells - 1:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def pad(text: str, cells: int) -> str:
    """Return a text with blanks up to a number of cells; a longer text is returned as it is."""
    return text + " " * (cells - wide(text))


def pad_left(text: str, cells: int) -> str:
    """Return a text with blanks before it, so that it ends at a number of cells; a longer text is returned as it is."""
    return " " * (cells - wide(text)) + text


def visible(text: str) -> str:
    """Return a text on one line: runs of white space become a blank, control characters U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


NOT_FIRST = "，。；：、？！）》」』】…％”’,.;:?!)]}%"
"""Marks that do not begin a line."""

NOT_LAST = "（《「『【“‘([{"
"""Marks that do not end a line."""

PIECE = re.compile(r"\s+|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u2018-\u201d]+|.", re.DOTALL)
"""Where a line may be broken: at blanks, and around each ideograph or full-width mark."""


def wrap(text: str, cells: int) -> list[str]:
    """Return the lines of a text, none wider than a number of cells unless a single word is.

    Chinese is broken between any two characters but for marks that do not begin or end a line.
    Source: Requirements for Chinese Text Layout (W3C), section 3.1.6, prohibition rules for line start and end.
    """
    units: list[str] = []
    for piece in PIECE.findall(text):
        begins = piece[0] in NOT_FIRST or (units and units[-1][-1] in NOT_LAST)
        if units and begins and not units[-1].isspace():
            units[-1] += piece
        else:
            units.append(piece)
    lines = [""]
    for unit in units:
        if unit.isspace():
            lines[-1] += unit if lines[-1] else ""
        elif wide(lines[-1] + unit) <= cells or not lines[-1].strip():
            lines[-1] += unit
        else:
            lines.append(unit)
    return [line.rstrip() for line in lines]
