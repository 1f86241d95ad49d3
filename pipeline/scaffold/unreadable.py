"""What a file is that no reader reads, and what to do about it; by its first bytes, since names lie."""

from __future__ import annotations

import re
import zipfile
from typing import Any

from pipeline.translation import message

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (
        0,
        b"SQLite format 3\0",
        message("an SQLite database; export a table as CSV: sqlite3 -csv -header FILE 'select * from T'"),
    ),
    (8, b"DUCK", message("a DuckDB database; export a table: COPY T TO 't.parquet'")),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        message("an old Office file (.xls, .doc); save it as CSV in UTF-8 or as text"),
    ),
    (0, b"{\\rtf", message("a Rich Text file; save it as text")),
    (0, b"Rar!\x1a\x07", message("a RAR archive; unpack it, or pack it again as zip or tar")),
    (0, b"7z\xbc\xaf\x27\x1c", message("a 7-Zip archive; unpack it, or pack it again as zip or tar")),
    (0, b"Obj\x01", message("an Avro file; write it as Parquet or JSON Lines")),
    (0, b"ORC", message("an ORC file; write it as Parquet")),
    (0, b"\x89HDF\r\n\x1a\n", message("an HDF5 file; write its texts as Parquet or JSON Lines")),
    (0, b"\x93NUMPY", message("a NumPy array; write its texts as Parquet or JSON Lines")),
    (
        0,
        b"\x80\x04\x95",
        message("a pickle, which can run any code when it is read; write its texts as Parquet"),
    ),
    (
        0,
        b"\x80\x05\x95",
        message("a pickle, which can run any code when it is read; write its texts as Parquet"),
    ),
    (0, b"\x89PNG\r\n\x1a\n", message("a picture")),
    (0, b"\xff\xd8\xff", message("a picture")),
    (0, b"GIF8", message("a picture")),
    (0, b"II*\0", message("a picture; recognise its text with another tool if it is a scanned page")),
    (0, b"MM\0*", message("a picture; recognise its text with another tool if it is a scanned page")),
    (0, b"RIFF", "sound, a picture or a video"),
    (0, b"OggS", "sound"),
    (0, b"ID3", "sound"),
    (0, b"fLaC", "sound"),
    (4, b"ftyp", message("a video or sound")),
    (0, b"\x1aE\xdf\xa3", message("a video")),
    (0, b"\x7fELF", message("a program")),
    (0, b"MZ\x90", message("a program")),
    (0, b"%!PS", message("a PostScript file; convert it to PDF, for example with ps2pdf")),
    (0, b"AT&TFORM", message("a DjVu file; convert it to text, for example with djvutxt")),
    (60, b"BOOKMOBI", message("a Kindle book; convert it to text or HTML")),
)
"""Offset, bytes there, and what the file is. Source: the specifications of the formats, as in file(1)."""

PACKED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^xl/"), message("an Excel workbook; save each sheet as CSV in UTF-8")),
    (
        re.compile(r"^word/"),
        message("a Word document; save it as text, or convert it, for example with pandoc"),
    ),
    (re.compile(r"^ppt/"), message("a PowerPoint file; save it as text")),
    (
        re.compile(r"^META-INF/container\.xml$"),
        message("an EPUB book; convert it to text, for example with pandoc"),
    ),
    (
        re.compile(r"^content\.xml$"),
        message("an OpenDocument file; save its sheets as CSV in UTF-8, or its text as text"),
    ),
    (re.compile(r"\.npy$"), message("NumPy arrays; write their texts as Parquet or JSON Lines")),
    (re.compile(r"(^|/)data\.pkl$"), message("weights of a model")),
    (re.compile(r"\.class$"), message("a Java program")),
)
"""Names of members of zip files that are documents of other programs."""


def describe_unreadable(start: bytes) -> str | None:
    """Return what a file is that no reader reads, with what to do, from its first bytes; None if nothing is known."""
    for offset, mark, what in SIGNATURES:
        if start[offset : offset + len(mark)] == mark:
            return what
    return None


def describe_zip(stream: Any) -> str | None:  # Any: the stream of open_input
    """Return what program a zip file belongs to, with what to do; None if it is an archive or cannot be read."""
    try:
        names = zipfile.ZipFile(stream).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    return next((what for pattern, what in PACKED if any(pattern.search(name) for name in names)), None)
