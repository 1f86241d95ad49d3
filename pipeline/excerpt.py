"""An excerpt of a long text: its beginning, middle and end, for a reader who is not to read all of it."""

from __future__ import annotations

CUT = "\n\n[…]\n\n"
"""In place of the parts of a long text that are left out."""


def excerpt(text: str, max_chars: int) -> str:
    """Return a text, or the beginning (60 %), middle (20 %) and end (20 %) of one that is longer, cut at line ends.

    max_chars: 0 for no limit.
    """
    if not max_chars or len(text) <= max_chars:
        return text
    head, part = max_chars * 6 // 10, max_chars * 2 // 10
    middle = (head + len(text) - part) // 2 - part // 2
    pieces = text[:head], text[middle : middle + part], text[-part:]
    return CUT.join((_cut_end(pieces[0]), _cut_end(_cut_start(pieces[1])), _cut_start(pieces[2])))


def _cut_end(text: str) -> str:
    """The text up to its last line end, if that is in its last third."""
    end = text.rfind("\n")
    return text[:end] if end > len(text) * 2 // 3 else text


def _cut_start(text: str) -> str:
    start = text.find("\n")
    return text[start + 1 :] if 0 <= start < len(text) // 3 else text
