"""Two texts beside each other where they differ, for a terminal, a page or a program."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence

MAX_CHARS = 20_000
"""Characters of each text that are looked at: explaining a document never takes long."""

MAX_PIECES = 1_500
"""Words and characters of one changed passage that are compared one by one."""

CONTEXT = 10
"""Words and characters shown around a difference."""

MAX_SHOWN = 36
"""Characters of a difference that are shown."""

Place = dict[str, str]
"""One difference: `removed` and `kept`, a little of each text with what differs in brackets."""


def differences(removed: str, kept: str) -> list[Place]:
    """Every place where two texts differ, in order, as far as they are looked at."""
    left, right = removed[:MAX_CHARS], kept[:MAX_CHARS]
    a, b = left.splitlines(keepends=True), right.splitlines(keepends=True)
    places: list[Place] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            before, after = _pieces("".join(a[max(i - 1, 0) : i])), _pieces("".join(a[j : j + 1]))
            places += _within(_pieces("".join(a[i:j])), _pieces("".join(b[k:m])), before, after)
    return places


def _pieces(text: str) -> list[str]:
    """Words, single ideographs, marks and runs of blanks."""
    return re.findall(r"[^\W\u2e80-\ud7ff]+|\s+|.", text)


def _within(a: list[str], b: list[str], before: list[str], after: list[str]) -> Iterator[Place]:
    """Differences of two passages of lines, which may be long."""
    if len(a) > MAX_PIECES or len(b) > MAX_PIECES:
        yield {"removed": _shown(before, a, after), "kept": _shown(before, b, after)}
        return
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield {
                "removed": _shown(before + a[:i], a[i:j], a[j:] + after),
                "kept": _shown(before + b[:k], b[k:m], b[m:] + after),
            }


def _shown(before: Sequence[str], middle: Sequence[str], after: Sequence[str]) -> str:
    text = "".join(middle)
    if len(text) > MAX_SHOWN:
        text = f"{text[: MAX_SHOWN // 2]}…{text[-MAX_SHOWN // 2 :]}"
    left = "".join(before[-CONTEXT:])[-MAX_SHOWN:]
    right = "".join(after[:CONTEXT])[:MAX_SHOWN]
    return " ".join(f"{left}[{text}]{right}".split())


def columns(places: Sequence[Place], width: int, titles: tuple[str, str] = ("removed", "kept")) -> list[str]:
    """Differences as lines of two columns, together `width` cells wide: an ideograph takes two."""
    cell = max((width - 3) // 2, 20)
    rows = [titles, *((place["removed"], place["kept"]) for place in places)]
    return [f"{fit(left, cell)} | {fit(right, cell).rstrip()}" for left, right in rows]


def fit(text: str, cells: int) -> str:
    """Cut or pad a text to a number of terminal cells; the difference in brackets stays in sight."""
    start = text.find("[")
    while wide(text) > cells and start > 4:
        text = "…" + text[2:] if text.startswith("…") else "…" + text[1:]
        start = text.find("[")
    kept, used = "", 0
    for char in text:
        size = wide(char)
        if used + size > cells - (1 if wide(text) > cells else 0):
            kept, used = kept + "…", used + 1
            break
        kept, used = kept + char, used + size
    return kept + " " * (cells - used)


def wide(text: str) -> int:
    """Terminal cells that a text takes."""
    sizes = (
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
    return sum(sizes)
