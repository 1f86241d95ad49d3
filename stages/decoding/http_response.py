"""HTTP responses as archives store them, parsed leniently, and what kind of page their body is.

Line ends may be LF or CR LF; blank lines before the status line, odd protocols and lines without a colon
are passed over. The type of a body is that of its headers, as browsers read them (the last valid one of several), and
without a valid one that of its first bytes.
Sources: RFC 9112, section 2.2; fetch.spec.whatwg.org, "extract a MIME type"; mimesniff.spec.whatwg.org, section 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stages.decoding.record_heads import decode_head

STATUS_LINE = re.compile(
    rb"[\r\n]{0,16}(?:[A-Za-z]{3,12}/\d{1,3}(?:\.\d{1,3})?|HTTP|ICY)[ \t]+(\d{3})(?!\d)[^\r\n]*\r*\n?", re.I
)
HEAD_END = re.compile(rb"\n\r*\n|\n(?=<[!?a-zA-Z])")
"""The blank line after the headers; markup begins the body without one."""

MIME_TYPE = re.compile(r"[\w!#$%&'*+.^`|~-]{1,80}/[\w!#$%&'*+.^`|~-]{1,120}", re.ASCII)
COMMA = re.compile(r""",(?=(?:[^"]*"[^"]*")*[^"]*$)""")
"""A comma outside quotation marks."""

HTML, XHTML, TEXT = "text/html", "application/xhtml+xml", "text/plain"
UNKNOWN = ("unknown/unknown", "application/unknown", "*/*")
"""Types that browsers treat like none."""

SNIFF_BYTES = 1445
MAX_HEAD_BYTES = 1 << 16
"""Bytes of headers that are parsed; servers send a few kilobytes and refuse more than 8 to 64."""

MAX_INTERIM = 8
"""Interim responses that are passed over."""

MAX_TYPE_CHARS = 1000
"""Longest value of a Content-Type that is parsed."""

SNIFF_HTML = re.compile(
    rb"\s*(?>(?:<\?xml[^>]{0,200}>\s*|<!--.{0,2000}?-->\s*)*)<(?:!doctype html|html|head|body|script|iframe|h1|div|"
    rb"font|table|a|style|title|b|br|p|meta|link|main|article|section|center|span|ul|ol)(?=[\s/>])|\s*<!--",
    re.IGNORECASE | re.DOTALL,
)
"""The beginning of HTML: the tags that browsers look for and others that only HTML has; a comment counts as well."""

SNIFF_DATA = re.compile(
    rb"\s*(?:[{\[<]|/[*/]|%|#!|\"use strict|\(?function\b|var |const |let |import |@charset|@import|BEGIN:)"
)
"""The beginning of code and data, which browsers would show as text, and which are no prose."""

BINARY_BYTES = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
TEXT_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. headers: (name in lower case, value) in order; body: as stored, with its codings."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name]


def parse_response(block: bytes) -> Response | None:
    """Parse a block of an archive; None if it does not begin with a status line.

    Interim responses before the final one (100 Continue, 103 Early Hints) are passed over; RFC 9110, section 15.2.
    """
    line = STATUS_LINE.match(block)
    for _ in range(MAX_INTERIM):
        if line is None or line[1][:1] != b"1" or not (end := HEAD_END.search(block, max(line.end() - 1, 0))):
            break
        if (final := STATUS_LINE.match(block, end.end())) is None:
            break
        line = final
    if line is None:
        return None
    head_start = max(line.end() - 1, 0)  # the line break that ends the status line may begin the blank line
    end = HEAD_END.search(block, head_start)
    head, body = (block[line.end() : end.start()], block[end.end() :]) if end else (block[line.end() :], b"")
    return Response(int(line[1]), tuple(_headers(decode_head(head[:MAX_HEAD_BYTES]))), body)


def _headers(head: str) -> Iterator[tuple[str, str]]:
    name, value = "", ""
    for line in head.replace("\r", "").split("\n"):
        if line[:1] in (" ", "\t") and name:
            value = f"{value} {line.strip()}".strip()
            continue
        if name:
            yield name, value
        name, _, value = line.partition(":") if ":" in line[1:] else ("", "", "")
        name, value = name.strip().lower(), value.strip()
    if name:
        yield name, value


def media_type(values: list[str]) -> str:
    """Return the type that Content-Type headers state, in lower case: the last valid one; "" if there is none."""
    found = ""
    for value in values:
        for part in COMMA.split(value[:MAX_TYPE_CHARS]):
            match = MIME_TYPE.fullmatch(part.partition(";")[0].strip())
            if match and match[0].lower() not in UNKNOWN:
                found = match[0].lower()
    return found


def sniffed_type(body: bytes) -> str:
    """Return the type of a body without a stated one, from its first bytes: HTML, TEXT, or "" for anything else."""
    head = body[:SNIFF_BYTES]
    for bom in TEXT_BOMS:
        if head.startswith(bom):
            wide = bom != TEXT_BOMS[0]
            head = head[len(bom) :].replace(b"\0", b"") if wide else head[len(bom) :]
            return HTML if SNIFF_HTML.match(head) else TEXT
    if SNIFF_HTML.match(head):
        return HTML
    is_text = head.strip() and not BINARY_BYTES.search(head) and not SNIFF_DATA.match(head)
    return TEXT if is_text else ""
