"""Files of rows in any encoding, as UTF-8: the encoding is chosen once for a file, from its start.

Rows of one file share an encoding. Guessing it for each row would mix encodings within a file, because a short row
fits several.
"""

from __future__ import annotations

import codecs
import itertools
from collections import Counter
from collections.abc import Iterator

from pipeline.errors import ConfigError
from stages.decoding.encoding import BOMS, CODECS, GUESSED, SURE_BYTES, EncodingError, decode

START_BYTES = 1 << 18
"""Bytes at the start of a file from which its encoding is chosen."""

PLAIN = ("utf-8", "")
UNDECODABLE = "\udcff"
"""Stands for a byte that cannot be decoded; as UTF-8 with surrogateescape the byte 0xff, which UTF-8 never has."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNDECODABLE, error.end


codecs.register_error("stages.decoding.transcode", _mark)


def check_encoding(name: str, where: str) -> None:
    """Check that a setting names an encoding.

    Raises: ConfigError if Python has no codec of that name.
    """
    try:
        if name:
            codecs.lookup(name)
    except LookupError as error:
        raise ConfigError(
            f"{where} is {name!r}; expected an encoding such as gb18030, utf-16 or cp1252"
        ) from error


def file_encoding(start: bytes, is_whole: bool) -> str:
    """Return the encoding of a file of rows: `utf-8` also if nothing else fits.

    It is another one only if the byte order mark says so, or if the start fits it and no row of the start is beyond
    chance UTF-8: one damaged row must not turn the others into mojibake.

    Args: start, the first bytes of the file; is_whole, they are all of it.
    """
    for bom, name in BOMS:
        if start.startswith(bom):
            return name
    is_wide = start.count(0) * 20 > len(start)
    lines = start.split(b"\n")
    if not is_whole and len(lines) > 1:
        lines.pop()
    whole = start[: len(start) & ~1] if is_wide else b"\n".join(lines)
    try:
        whole.decode("utf-8")
    except UnicodeDecodeError as error:
        if not is_wide and len(whole) - error.start <= 3:  # cut inside a character
            return "utf-8"
    else:
        if not is_wide:
            return "utf-8"
    if any(_is_utf8(line) for line in lines):
        return "utf-8"
    name = _guess(whole) or ("" if is_wide else _agreed(lines))
    return name or "utf-8"


def _guess(data: bytes) -> str:
    """The encoding that bytes fit, other than UTF-8; empty if none does."""
    try:
        _, name = decode(data)
    except EncodingError:
        return ""
    return name if name in GUESSED or name.startswith("utf-16") else ""


N_PARTS, MIN_AGREED = 16, 0.7
"""Parts of a damaged start that are looked at on their own, and the share of them that must be in one encoding."""


def _agreed(lines: list[bytes]) -> str:
    """The encoding of most parts of lines of which some are damaged; empty if they do not agree."""
    foreign = [line for line in lines if not line.isascii()]
    step = max(len(foreign) // N_PARTS, 1)
    parts = [b"\n".join(foreign[i : i + step]) for i in range(0, len(foreign), step)]
    name, n = Counter(map(_guess, parts)).most_common(1)[0] if parts else ("", 0)
    return name if n >= MIN_AGREED * len(parts) and len(parts) >= N_PARTS // 2 else ""


def _is_utf8(line: bytes) -> bool:
    """Whether a line is valid UTF-8 and that is no chance."""
    try:
        return len(line) - len(line.decode("utf-8")) >= SURE_BYTES
    except UnicodeDecodeError:
        return False


def to_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield chunks of a file as UTF-8 without a byte order mark; each byte that cannot be decoded becomes 0xff.

    Bytes of a file that is UTF-8 already pass unchanged.
    """
    first = next(chunks, b"")
    marks = tuple(bom for bom, name in BOMS if name == (encoding or "utf-8"))
    first = next((first.removeprefix(bom) for bom in marks if first.startswith(bom)), first)
    if encoding in PLAIN:
        if first:
            yield first
        yield from chunks
        return
    codec = CODECS.get(encoding, (encoding,))[0]
    decoder = codecs.getincrementaldecoder(codec)("stages.decoding.transcode")
    for chunk in itertools.chain((first,), chunks):
        if text := decoder.decode(chunk):
            yield text.encode("utf-8", "surrogateescape")
    if text := decoder.decode(b"", True):
        yield text.encode("utf-8", "surrogateescape")


def read_start(chunks: Iterator[bytes], n_bytes: int = START_BYTES) -> tuple[bytes, bool]:
    """Return at least the first n_bytes bytes of a file, or all, and whether they are all."""
    start = bytearray()
    for chunk in chunks:
        start += chunk
        if len(start) >= n_bytes:
            return bytes(start), False
    return bytes(start), True
