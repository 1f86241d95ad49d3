"""PDF files for tests: pages of lines, of a picture, or empty, written by hand."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

LINE_HEIGHT = 14


Piece = tuple[int, int, str]
"""Text at a place: points from the left, number of the line from the top."""


def pdf_bytes(pages: Sequence[Sequence[str | Piece] | str], title: str = "") -> bytes:
    """A PDF file of these pages: lines or pieces of ASCII, or "picture" or "" for a page without text."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    pixels = zlib.compress(b"\x80" * 100)
    head = (
        b"<< /Type /XObject /Subtype /Image /Width 10 /Height 10 /ColorSpace /DeviceGray /BitsPerComponent 8"
    )
    objects.append(
        head + b" /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(pixels), pixels)
    )
    kids = []
    for page in pages:
        content = b""
        if page == "picture":
            content = b"q 600 0 0 800 0 0 cm /Im Do Q"
        elif not isinstance(page, str):
            pieces = [(50, i, line) if isinstance(line, str) else line for i, line in enumerate(page)]
            shown = [f"BT /F 12 Tf {x} {750 - LINE_HEIGHT * i} Td ({line}) Tj ET" for x, i, line in pieces]
            content = "\n".join(shown).encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        kids.append(len(objects) + 1)
        resources = b"<< /Font << /F 3 0 R >> /XObject << /Im 4 0 R >> >>"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R /Resources %s >>"
            % (len(objects), resources)
        )
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (
        len(kids),
        b" ".join(b"%d 0 R" % kid for kid in kids),
    )
    objects.append(b"<< /Title (%s) /CreationDate (D:20240518101500Z) >>" % title.encode())
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    """The file of these objects, numbered from 1: the first is the catalogue, the last what the file claims."""
    data, offsets = bytearray(b"%PDF-1.4\n"), []
    for i, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (i, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    data += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        size - 1,
        start,
    )
    return bytes(data)
