"""Refuse pages with table cells of impossible spans, which are made to exhaust the memory of parsers.

Browsers clamp column spans to 1000 and row spans to 65534 (HTML standard, section 4.9.12.1), and careless pages use
9999 or 100% for all columns; such pages are accepted. Spans above 2^31 - 1 are written neither by authors nor by
programs that count columns in 32 bits.
"""

from __future__ import annotations

import re

from stages.extraction.page_tree import Page

MAX_SPAN = (1 << 31) - 1
"""Largest span that is accepted: the largest signed 32-bit integer."""

SPANS = {"td": ("colspan", "rowspan"), "th": ("colspan", "rowspan"), "col": ("span",), "colgroup": ("span",)}
"""Table elements -> their span attributes."""

NUMBER = re.compile(r"[\t\n\f\r ]*\+?0*([0-9]+)")
"""A number as parsed by browsers, which ignore what follows the digits. Source: HTML standard, section 2.3.4.2."""


class AbsurdSpanError(Exception):
    """A cell of a page spans more than MAX_SPAN; the message names it."""


def check_spans(page: Page) -> None:
    """Check the spans of all table cells of a page.

    Raises: AbsurdSpanError if a cell spans more than MAX_SPAN columns or rows.
    """
    for tag, names in SPANS.items():
        for cell in page.named.get(tag, ()):
            if "span" not in cell.markup:
                continue
            for name in names:
                match = NUMBER.match(cell.attributes().get(name, ""))
                if match and (len(match[1]) > 10 or int(match[1]) > MAX_SPAN):
                    raise AbsurdSpanError(
                        f'<{tag} {name}="{match[1][:40]}">; expected at most {MAX_SPAN:,} columns or rows'
                    )
