"""Columns of a PDF page: text that a file draws line by line across its columns, in the order in which it is read.

Most programs write a column to its end before the next; their order is kept. A page is read anew only if its lines
leave an empty strip between them, fill the columns on both sides as prose does, and are drawn by turns on both sides.
Cells of tables are ragged, so that rows of a table stay rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

MIN_LINES = 6
"""Least lines of a column."""

MIN_GAP = 0.012
"""Least width of the strip between columns, as a share of the page's."""

MIN_FILLED = 0.75
"""Share of a column's width that its median line fills."""

MIN_CHARS = 12
"""Least characters of a column's median line."""

MAX_CROSSING = 0.25
"""Largest share of lines that cross the strip, such as titles and figures' captions."""

MIN_TURNS = 0.5
"""Least share of lines that are followed by one of another column, from which the file is taken to draw row by row."""


@dataclass
class Run:
    """Characters that are drawn one after another on a line. Positions in points, from the lower left."""

    text: str
    left: float
    bottom: float
    right: float
    top: float


def read_columns(runs: Sequence[Run], width: float) -> str | None:
    """Return the text of a page column by column, None if the order of drawing is that of reading.

    Args: runs, in the order of drawing, none of them across a gap as wide as MIN_GAP; width, of the page.
    """
    runs = [run for run in runs if run.text.strip()]
    edges = find_gaps(runs, width)
    if not edges:
        return None
    sides = [side_of(run, edges) for run in runs]
    inside = [side for side in sides if side >= 0]
    turns = sum(a != b for a, b in pairwise(inside))
    if turns < MIN_TURNS * len(inside):
        return None
    return "\n".join(line.text for line in _in_order(runs, sides))


def find_gaps(runs: Sequence[Run], width: float) -> list[tuple[float, float]]:
    """Empty strips between columns of prose, from left to right.

    Args: as read_columns.
    Returns: left and right edge of each strip, none if the page has one column.
    """
    found: list[tuple[float, float]] = []
    lines = [run for run in runs if len(run.text.strip()) >= MIN_CHARS]
    for right in sorted({run.left for run in lines}):
        before = [run.right for run in lines if run.right <= right]
        if not before or right - max(before) < MIN_GAP * width or (found and max(before) <= found[-1][1]):
            continue
        if sum(run.left < right < run.right for run in lines) <= MAX_CROSSING * len(lines):
            found.append((max(before), right))
    found = _widest(found, runs)
    return found if found and _are_columns(runs, found) else []


def _widest(gaps: list[tuple[float, float]], runs: Sequence[Run]) -> list[tuple[float, float]]:
    """Gaps that have as many lines on both sides as a column has."""
    kept: list[tuple[float, float]] = []
    for gap in gaps:
        start = kept[-1][1] if kept else min(run.left for run in runs)
        before = [run for run in runs if run.right <= gap[0] and run.left >= start]
        after = [run for run in runs if run.left >= gap[1]]
        if min(len(before), len(after)) >= MIN_LINES:
            kept.append(gap)
    return kept


def _are_columns(runs: Sequence[Run], gaps: Sequence[tuple[float, float]]) -> bool:
    """Whether the lines of each column fill it, as lines of prose do."""
    for side in range(len(gaps) + 1):
        own = [run for run in runs if side_of(run, gaps) == side]
        if len(own) < MIN_LINES:
            return False
        span = max(run.right for run in own) - min(run.left for run in own)
        lines = _joined(own)
        if median(right - left for left, right, _ in lines) < MIN_FILLED * span:
            return False
        if median(n_chars for _, _, n_chars in lines) < MIN_CHARS:
            return False
    return True


def _joined(runs: Sequence[Run]) -> list[tuple[float, float, int]]:
    """Lines of a column: left, right and characters, of runs at one height."""
    lines: list[tuple[float, float, int]] = []
    last: Run | None = None
    for run in runs:
        if last is not None and abs(run.bottom - last.bottom) < 0.5 * max(last.top - last.bottom, 1.0):
            left, right, n_chars = lines[-1]
            lines[-1] = (min(left, run.left), max(right, run.right), n_chars + len(run.text))
        else:
            lines.append((run.left, run.right, len(run.text)))
        last = run
    return lines


def side_of(run: Run, gaps: Sequence[tuple[float, float]]) -> int:
    """Number of the column of a run, -1 for one that reaches into a gap, such as a title or the number of a page."""
    for number, (left, right) in enumerate(gaps):
        if run.right <= left:
            return number
        if run.left < right:
            return -1
    return len(gaps)


def _in_order(runs: Sequence[Run], sides: Sequence[int]) -> list[Run]:
    """Runs in the order of reading: what crosses the columns ends the parts above it, each read column by column."""
    crossing = [run for run, side in zip(runs, sides, strict=True) if side < 0]
    floors = sorted({run.bottom for run in crossing}, reverse=True)

    def place(item: tuple[int, Run, int]) -> tuple[int, int, int, int]:
        number, run, side = item
        middle = (run.bottom + run.top) / 2
        above = sum(floor > middle for floor in floors)
        return (above, 1, number, 0) if side < 0 else (above, 0, side, number)

    items = zip(range(len(runs)), runs, sides, strict=True)
    return [run for _, run, _ in sorted(items, key=place)]
