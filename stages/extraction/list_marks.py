"""Marks of list items: bullets, and numbers as `start`, `type`, `reversed`, `value` and `list-style` give them.

Source: HTML standard, section 4.4.5 to 4.4.8; CSS Counter Styles 3, section 6.
"""

from __future__ import annotations

import re

from stages.extraction.page_tree import Node, Page

STYLE = re.compile(
    r"list-style(?:-type)?\s*:[^;]*?\b(none|disc|circle|square|decimal|(?:lower|upper)-(?:alpha|latin|roman)"
    r"|cjk-ideographic|simp-chinese-informal|trad-chinese-informal|cjk-decimal|decimal-leading-zero)\b",
    re.IGNORECASE,
)
TYPES = {"1": "decimal", "a": "lower-alpha", "A": "upper-alpha", "i": "lower-roman", "I": "upper-roman"}
"""Values of the attribute `type`; they differ in case."""

INTEGER = re.compile(r"[ \t\n\r\f]*([+-]?[0-9]{1,9})")

OWN = re.compile(
    r"\s*(?:[(（\[【]?\s*(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5}|[一二三四五六七八九十]{1,3})\s*[)）\]】.、．:：](?!\d)|[①-⑳⑴-⒛Ⅰ-Ⅻ]"
    r"|第[一二三四五六七八九十\d]{1,3}[条章节步])"
)
"""A number that is written in the text of an item."""

ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
         (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
HAN = "零一二三四五六七八九"


class Numbering:
    """The numbers of one list; `indents` is 0 for lists whose items are lines of code or sections
    of the page."""

    def __init__(self, page: Page, node: Node) -> None:
        self.ordered = node.tag == "ol"
        self.indents = 0 if node.code else 1
        self.page = page
        found = STYLE.search(node.markup) if "style=" in node.markup else None
        kind = TYPES.get(node.attribute("type"), "decimal") if self.ordered else "disc"
        self.style = "none" if node.code else found[1].lower() if found else kind
        self.step = -1 if self.ordered and "reversed" in node.markup else 1
        items = [part for part in node.parts if part.tag == "li"] if self.ordered else []
        first = INTEGER.match(node.attribute("start")) if self.ordered else None
        self.next = int(first[1]) if first else len(items) if self.step < 0 else 1
        self.own = len(items) > 1 and all(OWN.match(_start(page, item)) for item in items)

    def mark(self, item: Node, is_section: bool) -> str:
        """Return the mark of the next item, "" for none."""
        style = self.style
        if "style=" in item.markup and (found := STYLE.search(item.markup)):
            style = found[1].lower()
        if not self.ordered:
            self.indents = 0 if is_section else 1
            return "" if is_section or style == "none" else "•"
        style = TYPES.get(item.attribute("type"), style)
        if value := INTEGER.match(item.attribute("value")):
            self.next = int(value[1])
        number = self.next
        self.next += self.step
        if style == "none" or self.own:
            return ""
        return "•" if style in ("disc", "circle", "square") else written(number, style)


def _start(page: Page, node: Node) -> str:
    """The first text of an element that is not blank."""
    for item in page.items[node.start : min(node.end, node.start + 50)]:
        if isinstance(item, str) and not item.isspace():
            return item[:20]
    return ""


def written(number: int, style: str) -> str:
    """Return a number as a counter style writes it, with its stop."""
    if style.endswith(("alpha", "latin")) and number > 0:
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(97 + rest) + letters
        return (letters.upper() if style.startswith("upper") else letters) + "."
    if style.endswith("roman") and 0 < number < 4000:
        numerals = ""
        for value, numeral in ROMAN:
            times, number = divmod(number, value)
            numerals += numeral * times
        return (numerals.upper() if style.startswith("upper") else numerals) + "."
    if style in ("cjk-ideographic", "simp-chinese-informal", "trad-chinese-informal") and 0 < number < 100:
        tens, ones = divmod(number, 10)
        return (
            (HAN[tens] if tens > 1 else "")
            + ("十" if tens else "")
            + (HAN[ones] if ones or not tens else "")
            + "、"
        )
    return f"{number:02d}." if style == "decimal-leading-zero" else f"{number}."
