"""Numbers of lines beside code: columns of a table, lists, and texts of digits alone. They are never text.

Highlighters write them as a cell or list beside the code, as a cell in each row, or as an element at each line.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Sequence
from itertools import pairwise

from stages.extraction.labels import LINE_NUMBER
from stages.extraction.page_tree import Node, Page

DIGITS = re.compile(r"[\d\s\u00a0:]+")

CODE = re.compile(r"highlight|code|hljs|rouge|syntax|crayon|blob|diff", re.IGNORECASE)
"""Words in the class of tables that contain one line of code in each row, and of elements beside a column."""

CODE_LIST = re.compile(
    r"hljs|prettyprint|linenums|enlighter|highlighter|geshi|code-?(?:box|block|snippet|wrap)|block-?code"
    r"|(?:^|\s)dp-(?:c|cpp|css|delphi|groovy|j|java|jscript|php|plain|py|rb|ruby|scala|sql|vb|xml|xhtml)(?:$|\s)",
    re.IGNORECASE,
)
"""Words in the class of lists, and of elements around one, that contain one line of code in each item."""

LINE_ITEM = re.compile(r"(?:^|\s)(?:li[12]|de[12])(?:$|\s)")
"""Classes of list items that are lines of code (GeSHi)."""

MAX_ITEMS = 200_000
"""Texts and elements of one column that are examined."""

LEVELS = 4
"""Code is in an element at most this far above its line numbers."""

COUNTING = 0.9
"""Least share of numbers that are one more than the one before; a page may have several texts that begin with 1."""

PROSE = 0.5
"""Most weight of prose of the average item of a list of code lines."""

BREAKS = frozenset(("br", "div", "li", "p", "tr"))
"""Elements that begin or end a line."""


def drop_line_numbers(page: Page) -> None:
    """Mark the line numbers of a page as dropped, and cells with lines of code as code."""
    blocks = page.named.get("pre", ())
    starts = [node.start for node in blocks]
    for tag in ("ul", "ol", "pre", "numbers"):
        end = 0
        for node in page.named.get(tag, ()):
            if node.start < end:
                continue  # within another of its kind
            if _are_numbers(page, node, starts):
                node.dropped = True
                end = node.end
    _drop_run(page)
    _drop_before(page, blocks)
    for table in page.named.get("table", ()):
        if CODE.search(table.label.kind) or (starts and _within(page, table, "pre")):
            _drop_column(page, table)
        elif any(cell.label.code for row in _rows(table)[:1] for cell in row.parts) or _has_code(table):
            _drop_column(page, table)
    for numbered in page.named.get("ol", ()):
        numbered.code = _are_lines(page, numbered)


def _are_numbers(page: Page, node: Node, starts: list[int]) -> bool:
    """Whether an element contains the numbers of lines alone; `starts` is where preformatted texts begin.

    An element whose class does not say so counts the lines of code within an element around both: beside code the
    output of a program may be numbers as well.
    """
    if not node.label.numbers and (not starts or node.tag == "pre"):
        return False  # see _drop_before
    return _counts(page, node) and (_beside_code(page, node, starts) or _beside(page, node))


def _drop_run(page: Page) -> None:
    """Drop elements that contain one number each, if their classes say that it is that of a line, and they count."""
    nodes = [node for node in page.named.get("numbers", ()) if LINE_NUMBER.search(node.label.kind)]
    texts = [page.text(node).strip(" \t\n\u00a0:.") if node.end - node.start < 10 else "" for node in nodes]
    found = [
        (node, int(text))
        for node, text in zip(nodes, texts, strict=True)
        if text.isdecimal() and len(text) < 7
    ]
    steps = sum(b[1] == a[1] + 1 for a, b in pairwise(found))
    if steps > 1 and steps >= COUNTING * (len(found) - 1):
        for node, _ in found:
            node.dropped = True


def _are_lines(page: Page, node: Node) -> bool:
    """Whether the items of a list are lines of code: none is a paragraph, or has several, and they are no prose."""
    if node.full > PROSE * len(node.parts):
        return False
    if not all(len(item.parts) < 2 and all(part.tag == "div" for part in item.parts) for item in node.parts):
        return False
    if len(node.parts) and all(LINE_ITEM.search(item.label.kind) for item in node.parts):
        return True
    around: Node | None = node
    for _ in range(3):
        if around is None or around.tag == "body":
            return False
        if around.tag == "pre" or CODE_LIST.search(around.label.kind):
            return True
        around = page.parent(around)
    return False


def _has_code(table: Node) -> bool:
    """Whether each row has two cells, and the second contains preformatted text alone."""
    rows = [row.parts for row in _rows(table)]
    return len(rows) > 2 and all(
        len(cells) == 2 and [part.tag for part in cells[1].parts] == ["pre"] and cells[0].tag == "td"
        for cells in rows
    )


def _beside(page: Page, node: Node) -> bool:
    """Whether an element contains several numbers and the one beside it is called code."""
    around = page.parent(node)
    return (
        around is not None
        and _n_numbers(page, node) > 1
        and any(part is not node and CODE.search(part.label.kind) for part in around.parts[:8])
    )


def _drop_before(page: Page, blocks: Sequence[Node]) -> None:
    """Drop the element that is right before code and counts its lines: a cell, block or other preformatted text."""
    places: dict[int, dict[int, int]] = {}  # of elements: of their parts by start
    end = 0
    for block in blocks:
        if block.start < end or block.dropped:
            continue
        end = block.end
        n_lines = _n_lines(page, block)
        node: Node | None = block
        for _ in range(LEVELS):
            around = page.parent(node) if node is not None else None
            if n_lines < 2 or node is None or around is None or around.tag == "body":
                break
            if around.start not in places:
                places[around.start] = {part.start: i for i, part in enumerate(around.parts)}
            at = places[around.start].get(node.start, 0)
            if at > 0:
                before = around.parts[at - 1]
                if before.end - before.start <= MAX_ITEMS and _is_next(page, before, node):
                    counted = _counts(page, before)
                    before.dropped |= counted and abs(_n_numbers(page, before) - n_lines) <= 1
                break
            node = around


def _is_next(page: Page, before: Node, node: Node) -> bool:
    """Whether there is no text between two elements."""
    between = page.items[before.end : node.start]
    return len(between) < 50 and not any(isinstance(item, str) and item.strip() for item in between)


def _n_lines(page: Page, node: Node) -> int:
    """The number of lines of preformatted text, about."""
    items = page.items[node.start : node.end]
    text = "".join(item for item in items if isinstance(item, str)).strip("\n")
    marks = sum(isinstance(item, Node) and item.tag in BREAKS for item in items)
    return max(text.count("\n") + 1 if text else 0, marks)


def _n_numbers(page: Page, node: Node) -> int:
    """How many numbers an element contains."""
    return sum(len(item.split()) for item in page.items[node.start : node.end] if isinstance(item, str))


def _counts(page: Page, node: Node) -> bool:
    """Whether the text of an element is consecutive numbers, at least one."""
    numbers: list[int] = []
    for item in page.items[node.start : min(node.end, node.start + MAX_ITEMS)]:
        if isinstance(item, str):
            if not DIGITS.fullmatch(item):
                return False
            numbers += (int(word) for word in item.replace(":", " ").split() if len(word) < 7)
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
    rows = _rows(table)
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


def _rows(table: Node) -> list[Node]:
    return [row for body in (table, *table.parts) for row in body.parts if row.tag == "tr"]
