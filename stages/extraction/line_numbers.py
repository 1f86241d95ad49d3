"""Numbers of lines beside code: columns of a table, lists, and texts of digits alone. They are never text.

Highlighters write them as a cell or list beside the code, as a cell in each row, or as an element at each line.
"""

from __future__ import annotations

import re
from bisect import bisect
from itertools import pairwise

from stages.extraction.page_tree import Node, Page

DIGITS = re.compile(r"[\d\s\u00a0]+")

CODE_TABLE = re.compile(r"highlight|code|hljs|rouge|syntax|crayon|blob|diff", re.IGNORECASE)
"""Words in the class of tables that contain one line of code in each row."""

MAX_ITEMS = 200_000
"""Texts and elements of one column that are examined."""

LEVELS = 4
"""Code is in an element at most this far above its line numbers."""


def drop_line_numbers(page: Page) -> None:
    """Mark the line numbers of a page as dropped, and cells with lines of code as code."""
    starts = [node.start for node in page.named.get("pre", ())]
    for tag in ("ul", "ol", "pre", "numbers") if starts else ():
        end = 0
        for node in page.named.get(tag, ()):
            if node.start < end:
                continue  # within another of its kind
            end = node.end
            if (
                not node.stops
                and not node.linked
                and _counts(page, node)
                and _beside_code(page, node, starts)
            ):
                node.dropped = True
    for table in page.named.get("table", ()):
        if CODE_TABLE.search(table.label.kind) or (starts and _within(page, table, "pre")):
            _drop_column(page, table)


def _counts(page: Page, node: Node) -> bool:
    """Whether the text of an element is consecutive numbers, at least one."""
    numbers: list[int] = []
    for item in page.items[node.start : min(node.end, node.start + MAX_ITEMS)]:
        if isinstance(item, str):
            if not DIGITS.fullmatch(item):
                return False
            numbers += (int(word) for word in item.split() if len(word) < 7)
    return len(numbers) > 0 and all(b == a + 1 for a, b in pairwise(numbers))


def _beside_code(page: Page, node: Node, starts: list[int]) -> bool:
    """Whether an element is within preformatted text, or beside other preformatted text; `starts` is where these
    begin."""
    around: Node | None = node
    for _ in range(LEVELS):
        around = page.parent(around) if around is not None else None
        if around is None or around.tag == "body":
            return False
        inside = bisect(starts, around.end - 1) - bisect(starts, around.start)
        own = bisect(starts, node.end - 1) - bisect(starts, node.start - 1)
        if around.tag == "pre" or inside > own:
            return True
    return False


def _within(page: Page, node: Node, tag: str) -> bool:
    around = page.parent(node)
    for _ in range(LEVELS):
        if around is None:
            return False
        if around.tag == tag:
            return True
        around = page.parent(around)
    return False


def _drop_column(page: Page, table: Node) -> None:
    """Drop the first cells of a table of code if they are consecutive numbers, and keep the blanks of the others."""
    rows = [row for body in (table, *table.parts) for row in body.parts if row.tag == "tr"]
    firsts = [next((cell for cell in row.parts if cell.tag in ("td", "th")), None) for row in rows]
    numbers = [
        ("x" if cell.end - cell.start > 50 else page.text(cell).strip()) if cell is not None else ""
        for cell in firsts
    ]
    if not rows or not all(number.isdigit() or not number for number in numbers):
        return
    counted = [int(number) for number in numbers if number and len(number) < 7]
    if counted and all(b == a + 1 for a, b in pairwise(counted)):
        for row, first in zip(rows, firsts, strict=True):
            for cell in row.parts:
                cell.dropped |= cell is first
                cell.code = True
