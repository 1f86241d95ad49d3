"""Cells of tables that claim to span more than any table can: made to hurt code that obeys; the page is refused.

Browsers clamp a span of columns to 1000 and one of rows to 65534 (HTML standard, section 4.9.12.1), and sloppy pages
say 9999 or 100% where they mean all: such pages are read. More than 2^31 - 1 says nobody who writes a table, nor any
program that counts the columns of its own in 32 bits.
"""

from __future__ import annotations

import re

from resiliparse.parse.html import HTMLTree

MAX_SPAN = (1 << 31) - 1
"""Largest span that an honest page may claim, whatever is made of it: the largest signed 32-bit integer."""

SPANS = {"td, th": ("colspan", "rowspan"), "col, colgroup": ("span",)}
"""Elements of tables and their attributes that are spans."""

NUMBER = re.compile(r"[\t\n\f\r ]*\+?0*([0-9]+)")
"""A number as browsers read it: what follows the digits does not count. Source: HTML standard, section 2.3.4.2."""


class AbsurdSpanError(Exception):
    """A page has a cell that spans more than MAX_SPAN; its message says which."""


def check_spans(tree: HTMLTree) -> None:
    """Refuse a page with a cell that spans more than MAX_SPAN columns or rows.

    Raises: AbsurdSpanError.
    """
    if tree.document is None:
        return
    for elements, names in SPANS.items():
        for cell in tree.document.query_selector_all(elements):
            for name in names:
                found = NUMBER.match(cell.getattr(name, "") or "")
                if found and (len(found[1]) > 10 or int(found[1]) > MAX_SPAN):
                    raise AbsurdSpanError(
                        f'<{cell.tag} {name}="{found[1][:40]}">; expected at most {MAX_SPAN:,} columns or rows'
                    )
