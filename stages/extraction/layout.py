"""The text of an element as a reader sees it: paragraphs, lists with their own numbers, table rows, code.

White space collapses as in browsers, and a line break of the source between Han characters, kana or full-width
punctuation leaves no blank (CSS Text 3, section 4.1.3, with the quotation marks and dashes of its draft successor).
Blocks stand on lines of their own; cells of a table row are separated by two tabs.
"""

from __future__ import annotations

import re

from stages.extraction.list_marks import Numbering
from stages.extraction.page_tree import BLOCKS, Node, Page

BLANK = " \t\n\r\f"
"""White space that collapses; U+3000 and U+00A0 do not."""

BLANKS = re.compile(r"[ \t\n\r\f]+")

_WIDE = (
    r"\u2e80-\u303e\u3041-\u312f\u3190-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff"
    r"\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff9f\uffe0-\uffe6\U0001b000-\U0001b2ff\U00020000-\U0003fffd"
)
WIDE = re.compile(rf"[{_WIDE}]")
"""Characters of East Asian width F, W or H, without Hangul and emoji. Source: Unicode 15.1, EastAsianWidth.txt."""

MARKS = "\u2018\u2019\u201c\u201d\u2014\u2026\u00b7\u2015"
"""Punctuation of ambiguous width, which is Chinese or Japanese beside a wide character."""

BREAK = re.compile(
    rf"(?<=[{_WIDE}])[ \t\r\f]*\n[ \t\n\r\f]*(?=[{_WIDE}{MARKS}])|(?<=[{MARKS}])[ \t\r\f]*\n[ \t\n\r\f]*(?=[{_WIDE}])"
)

SPACED = {"p": 2, "h1": 2, "h2": 2, "h3": 2, "h4": 2, "h5": 2, "h6": 2, "blockquote": 2, "dl": 2, "table": 2}
"""Line breaks around elements; those that are neither here nor within a line have one."""

LISTS = frozenset(("ul", "ol", "menu", "dir"))

MAX_INDENT = 20
"""Most levels of indentation of a list, so that deep lists cost linear time."""

LONG_ITEM = 5.0
"""An item of an unordered list with at least this weight of prose is a section of a page, and has no bullet."""


class Row:
    """A table row that is being written: its cells, whether one has text, and whether one has several lines.

    empty, place, line: tabs of the empty cells before the first text, and where they are written once there is another
    text on its line; in a row with one text alone they are not.
    """

    __slots__ = ("begun", "cells", "empty", "line", "n_lines", "place", "tall")

    def __init__(self) -> None:
        self.begun = False
        self.empty = ""
        self.place = self.line = 0
        self.cells = 0
        self.n_lines = -1
        self.tall = False


class Layout:
    """Writes the items of a page as text."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.out: list[str] = []
        self.last = ""  # the last character of the text
        self.breaks = 0  # line breaks before the next text
        self.n_lines = 0
        self.blank = 0  # white space before the next text: 1, or 2 with a line break
        self.tabs = 0
        self.mark = ""
        self.at_start = False  # of a cell or list item, where blocks make no line break
        self.lists: list[Numbering] = []
        self.rows: list[Row] = []
        self.preformatted = 0
        self.glosses = 0  # ruby annotations that are open, without brackets of their own

    def write(self, node: Node) -> str:
        """Return the text of an element, without what is `dropped`."""
        items = self.page.items
        at, end = node.start, node.end
        while at < end:
            item = items[at]
            at += 1
            if isinstance(item, str):
                self._text(item)
            elif isinstance(item, int):
                closed = items[-item]
                assert isinstance(closed, Node)
                self._close(closed)
            elif item.dropped or item.label.never or item.tag == "button":
                at = max(item.end, at)
            elif item.tag == "br":
                self._newline()
            elif item.end:
                self._open(item)
            elif item.tag == "hr":
                self._block(1)
        return "".join(self.out)

    def _text(self, text: str) -> None:
        if self.preformatted:
            self._code(text)
            return
        core = text.strip(BLANK)
        if not core:
            if text:
                self.blank = max(self.blank, 2 if "\n" in text else 1)
            return
        if text[0] in BLANK:
            self.blank = max(self.blank, 2 if "\n" in text[: text.index(core[0])] else 1)
        if "\n" in core:
            core = BREAK.sub("", core)
        core = BLANKS.sub(" ", core)
        self._lead(core[0])
        self.out.append(core)
        self.last = core[-1]
        if text[-1] in BLANK:
            self.blank = 2 if "\n" in text[text.rindex(core[-1]) :] else 1

    def _lead(self, first: str) -> None:
        """Write what belongs before a text: line breaks, the mark of a list item, tabs or a blank."""
        row = self.rows[-1] if self.rows else None
        if self.breaks or not self.out:
            self._start_line()
            if self.tabs and self.out and row is not None and not row.begun:
                row.empty, row.place, row.line = "\t\t" * self.tabs, len(self.out), self.n_lines
                self.out.append("")
        elif self.tabs:
            if row is not None and row.empty and row.line == self.n_lines:
                self.out[row.place] = row.empty
                row.empty = ""
            self.out.append("\t\t" * self.tabs)
        elif self.blank and self.last not in BLANK and not (self.blank == 2 and joined(self.last, first)):
            self.out.append(" ")
        self.breaks = self.blank = self.tabs = 0
        self.at_start = False
        if row is not None:
            row.begun = True
            if row.n_lines < 0:
                row.n_lines = self.n_lines

    def _start_line(self) -> None:
        if self.out:
            self.out.append("\n" * self.breaks)
            self.n_lines += 1
        indent = sum(numbering.indents for numbering in self.lists[-MAX_INDENT:])
        if self.mark:
            self.out.append("  " * indent + self.mark + " ")
            self.mark = ""
        elif indent and not self.preformatted:
            self.out.append("  " * (indent + 1))

    def _code(self, text: str) -> None:
        """Write preformatted text; line breaks at its end wait for more text."""
        body = text.rstrip("\r\n")
        if body:
            if self.breaks or self.tabs or not self.out:
                self.blank = 0
                self._lead(body[0])
            self.out.append(body)
            self.last = body[-1]
            self.blank = 0
            self.at_start = False
        if ends := text.count("\n", len(body)):
            self.breaks = self.breaks + ends if self.out else 0

    def _newline(self) -> None:
        self.breaks = min(self.breaks + 1, 2) if not self.preformatted else self.breaks + 1
        self.blank = 0

    def _block(self, n: int) -> None:
        if not self.at_start:
            self.breaks = max(self.breaks, n)
            self.blank = 0

    def _open(self, node: Node) -> None:
        tag = node.tag
        if tag not in BLOCKS:
            if tag == "rt" and self.last not in "(（":
                self.out.append("(")
                self.last = "("
                self.glosses += 1
            return
        if tag in ("td", "th"):
            self._open_cell(node)
            return
        if tag == "li":
            self._open_item(node)
            return
        if tag in LISTS:
            self._block(1 if self.lists else 2)
            self.lists.append(Numbering(self.page, node))
            return
        self._block(SPACED.get(tag, 1))
        if tag == "tr":
            row = Row()
            row.begun = self.tabs > 0 and self.rows[-1].begun  # a table within a cell, behind others
            self.rows.append(row)
        elif tag == "pre" or node.label.pre:
            self.preformatted += 1

    def _open_cell(self, node: Node) -> None:
        row = self.rows[-1] if self.rows else Row()
        if row.cells and row.tall:
            self.at_start = False
            self._block(1)
        elif row.cells:
            self.tabs += 1
            if row.begun:
                self.breaks = 0
        row.cells += 1
        row.n_lines = -1
        self.at_start = True
        self.blank = 0
        if node.label.code or node.code:
            self.preformatted += 1

    def _open_item(self, node: Node) -> None:
        self.at_start = False
        self._block(1)
        numbering = self.lists[-1] if self.lists else None
        if numbering is not None and not self.preformatted:
            self.mark = numbering.mark(node, node.full >= LONG_ITEM)
            self.at_start = bool(self.mark)

    def _close(self, node: Node) -> None:
        tag = node.tag
        if tag not in BLOCKS:
            if tag == "rt" and self.glosses:
                self.out.append(")")
                self.last = ")"
                self.glosses -= 1
            return
        if tag in ("td", "th"):
            self._close_cell(node)
            return
        if tag == "li":
            self.mark = ""
            self.at_start = False
            self._block(1)
            return
        if tag in LISTS:
            self.lists.pop()
            self._block(1 if self.lists else 2)
            return
        elif tag == "tr" and self.rows:
            begun = self.rows.pop().begun
            if self.rows:  # a table within a cell
                self.rows[-1].begun |= begun
            self.tabs = 0
            self.at_start = False
        elif tag == "pre" or node.label.pre:
            self.preformatted -= 1
            self.breaks = min(self.breaks, 1)
        self._block(SPACED.get(tag, 1))

    def _close_cell(self, node: Node) -> None:
        if node.label.code or node.code:
            self.preformatted -= 1
        row = self.rows[-1] if self.rows else Row()
        row.tall |= 0 <= row.n_lines < self.n_lines
        self.at_start = False


def joined(before: str, after: str) -> bool:
    """Whether a line break of the source between two characters leaves no blank."""
    wide = WIDE.match(before) is not None, WIDE.match(after) is not None
    return all(wide) or (wide[0] and after in MARKS) or (wide[1] and before in MARKS)
