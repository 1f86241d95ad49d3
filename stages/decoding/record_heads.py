"""Heads of archive records: the header lines of WARC and the one-line heads of ARC.

Lines may end in LF, CR LF or CR CR LF, names are in any case, and a value may go on in indented lines.
Sources: ISO 28500:2017, sections 4 and 5; the ARC file format, archive.org/web/researcher/ArcFileFormat.php.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

WARC_START, ARC_START = b"WARC/", b"filedesc:"

WARC_LINE = re.compile(rb"WARC/\d{1,3}\.\d{1,3}[ \t]*\r*\n")
ARC_LINE = re.compile(
    rb"[a-z][a-z0-9+.-]{1,20}:[^\r\n]{1,8000} \d{12,17} [^ \r\n]{1,200}(?: [^\r\n]{1,8000})? -?\d+\r?\n"
)
"""The first line of a record: of WARC its version, of ARC its whole head."""

HEAD_END = re.compile(rb"\n\r*\n")
MAX_HEAD_BYTES = 1 << 20
ARC_FIELDS = 5
"""Fields of a head of version 1: URL, IP address, date, content type, length."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a record.

    kind: of WARC-Type, in lower case; ARC records are `response`, their file head is `warcinfo`.
    headers: by names in lower case, the first of each; an ARC head has the names of WARC.
    n_bytes: of the head. length: the stated length of the block, None if there is no valid one.
    """

    kind: str
    headers: Mapping[str, str]
    n_bytes: int
    length: int | None


def warc_head(data: bytes) -> Head | None:
    """Parse the head that data begin with; None if its end is missing."""
    end = HEAD_END.search(data)
    if end is None:
        return None
    parts: dict[str, list[str]] = {}
    last = ""
    for line in decode_head(data[: end.start()]).replace("\r", "").split("\n")[1:]:
        if line[:1] in (" ", "\t"):
            if last:
                parts[last].append(line.strip())
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        last = name if colon and name not in parts else ""
        if last:
            parts[last] = [value.strip()]
    headers = {name: " ".join(values) for name, values in parts.items()}
    return Head(
        headers.get("warc-type", "").lower(), headers, end.end(), _length(headers.get("content-length"))
    )


def arc_head(data: bytes, n_fields: int) -> Head | None:
    """Parse the line that data begin with as the head of an ARC record with so many fields; None if it is none."""
    end = data.find(b"\n")
    if end < 0:
        return None
    words = decode_head(data[:end]).strip("\r").rsplit(" ", n_fields - 1)
    if len(words) != n_fields:
        return None
    url, date, content_type = words[0], words[2], words[3]
    headers = {"warc-target-uri": url, "content-type": content_type}
    if re.fullmatch(r"\d{14}", date):
        headers["warc-date"] = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"
    kind = "warcinfo" if url.startswith(ARC_START.decode()) else "response"
    return Head(kind, headers, end + 1, _length(words[-1]))


def lines_lost_cr(block: bytes, n_missing: int) -> bool:
    """Whether a block is short only because the CR LF of its HTTP headers became LF, as git and text modes do."""
    head = block[:MAX_HEAD_BYTES].partition(b"\n\n")[0]
    return block.startswith(b"HTTP/") and b"\r" not in head and n_missing <= head.count(b"\n") + 2


def arc_fields(block: bytes) -> int:
    """Return the number of fields that the file head of an ARC file declares, in its second line."""
    lines = block.split(b"\n")
    return max(len(lines[1].split()), ARC_FIELDS) if len(lines) > 1 and lines[1].strip() else ARC_FIELDS


def decode_head(data: bytes) -> str:
    """Decode header lines, UTF-8 or else Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _length(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"\d{1,18}", value) else None
