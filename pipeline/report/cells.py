"""Width of text in a terminal, where an ideograph takes two cells and a combining mark none."""

from __future__ import annotations

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


def visible(text: str) -> str:
    """Return a text on one line: runs of white space become a blank, control characters U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
