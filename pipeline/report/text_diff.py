"""Differences between two texts, side by side, for a terminal, an HTML page or a program."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from pipeline.cells import wide

MAX_CHARS = 20_000
"""Number of characters compared of each text, which bounds the time of `explain`."""

MAX_PIECES = 1_500
"""Number of words and characters of one changed passage that are compared one by one."""

CONTEXT = 10
"""Number of words and characters shown around a difference."""

MAX_SHOWN = 36
"""Number of characters shown of a difference."""

MARKS = {"\n": "↵", "\t": "⇥", "\u3000": "␣"}
"""White space that looks like a space."""

Place = dict[str, str]
"""One difference: `removed` and `kept`, an excerpt of each text with the differing part in brackets."""


def differences(removed: str, kept: str) -> list[Place]:
    """Places where two texts differ, in order, within the compared characters."""
    left, right, is_cut = _window(removed, kept)
    a, b = left.splitlines(keepends=True), right.splitlines(keepends=True)
    places: list[Place] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b).get_opcodes():
        if tag != "equal":
            before, after = _pieces("".join(a[max(i - 1, 0) : i])), _pieces("".join(a[j : j + 1]))
            places += _within(_pieces("".join(a[i:j])), _pieces("".join(b[k:m])), before, after)
    return places[:-1] if is_cut and len(places) > 1 else places  # the last one may be the cut


def _window(removed: str, kept: str) -> tuple[str, str, bool]:
    """The lines in which two texts differ, at most MAX_CHARS of each, and whether more are left out."""
    same = _common(removed, kept)
    start = max(removed.rfind("\n", 0, same) + 1, same - MAX_SHOWN * 2)
    left, right = removed[start:], kept[start:]
    ending = _common(left[::-1], right[::-1])
    ending = max(min(ending, len(left) - (same - start), len(right) - (same - start)) - MAX_SHOWN, 0)
    left, right = left[: len(left) - ending], right[: len(right) - ending]
    return left[:MAX_CHARS], right[:MAX_CHARS], max(len(left), len(right)) > MAX_CHARS


def _common(a: str, b: str) -> int:
    """Length of the common prefix of two texts in characters."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _pieces(text: str) -> list[str]:
    """Split a text into words, single ideographs, punctuation marks and runs of white space."""
    return re.findall(r"[^\W\u2e80-\ud7ff]+|\s+|.", text)


def _within(a: list[str], b: list[str], before: list[str], after: list[str]) -> Iterator[Place]:
    """Differences of two passages of lines, which may be long."""
    if len(a) > MAX_PIECES or len(b) > MAX_PIECES:
        yield {"removed": _shown(before, a, after), "kept": _shown(before, b, after)}
        return
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b).get_opcodes():
        if tag != "equal":
            yield {
                "removed": _shown(before + a[:i], a[i:j], a[j:] + after),
                "kept": _shown(before + b[:k], b[k:m], b[m:] + after),
            }


def _shown(before: Sequence[str], middle: Sequence[str], after: Sequence[str]) -> str:
    text = "".join(middle)
    if len(text) > MAX_SHOWN:
        text = f"{text[: MAX_SHOWN // 2]}…{text[-MAX_SHOWN // 2 :]}"
    text = "".join(MARKS.get(char, char) for char in text)
    left = "".join(before[-CONTEXT:])[-MAX_SHOWN:].replace("\n", " ")
    right = "".join(after[:CONTEXT])[:MAX_SHOWN].replace("\n", " ")
    line = f"{left}[{text}]{right}".strip()
    return "".join(char if char.isprintable() else "\ufffd" if char.strip() else " " for char in line)


def columns(places: Sequence[Place], width: int, titles: tuple[str, str] = ("removed", "kept")) -> list[str]:
    """Differences as lines of two columns, together `width` cells wide: an ideograph takes two."""
    cell = max((width - 3) // 2, 20)
    rows = [titles, *((place["removed"], place["kept"]) for place in places)]
    return [f"{fit(left, cell)} | {fit(right, cell).rstrip()}" for left, right in rows]


def fit(text: str, cells: int) -> str:
    """Truncate or pad a text to a number of terminal cells, keeping the difference in brackets visible."""
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
