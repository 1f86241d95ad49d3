"""Bodies of HTTP responses, decoded piece by piece, so that only the bytes that are read are decompressed.

Recorders undo codings and keep the headers, or store codings that no header names. Each coding is tried on its own; one
that the bytes do not have was undone before, and bytes with the magic number of gzip or zstd are decompressed even
if the headers name no coding. A body that ends early gives its beginning, and the coding that was cut short.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator

import zstandard
from fastwarc.stream_io import BrotliReader

from stages.decoding.http_response import BINARY_BYTES, TEXT_BOMS
from stages.decoding.inflate import GZIP, MAX_WINDOW_BYTES, ZSTD

GZIP_NAMES, MAGIC = ("gzip", "x-gzip"), {"gzip": GZIP, "x-gzip": GZIP, "zstd": ZSTD}
NO_CODING = re.compile(
    r"identity|none|binary|[78]-?bit|utf-?8|iso-8859-\d+|windows-125\d|gb\d+|gbk|big5|text/.*|aws-chunked"
)
"""Values of Content-Encoding that are no coding: character sets and words that servers send by mistake."""

MAX_CODINGS = 4
CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]{0,4096})?\r?\n")
"""The line before a chunk, with extensions. Source: RFC 9112, section 7.1."""

STEP_BYTES = 1 << 14

Undone = tuple[bytes, bool] | None
"""The start of decoded bytes and whether nothing was cut short; None if the bytes do not have the coding."""


def start_of_body(
    body: bytes, transfer: list[str], content: list[str], max_bytes: int
) -> tuple[bytes, str | None]:
    """Return the first max_bytes bytes of a body, decoded, and the coding that ended early, or None.

    Args: transfer, content: values of the headers Transfer-Encoding and Content-Encoding.
    Raises: OSError if there are more than four codings, or the body is neither in a coding nor readable without it.
    """
    codings = [*_codings(content), *_codings(transfer)]
    if len(codings) > MAX_CODINGS:
        raise OSError(f"{len(codings)} codings; expected at most {MAX_CODINGS}")
    cut: str | None = None
    for coding in reversed(codings):
        undone = _undo(coding, body, max_bytes)
        if undone is not None:
            body, is_whole = undone
            cut = cut or (None if is_whole else coding)
    for _ in range(MAX_CODINGS):
        coding = next((name for name, magic in MAGIC.items() if body.startswith(magic)), "")
        undone = _undo(coding, body, max_bytes) if coding else None
        if undone is None:
            break
        body, is_whole = undone
        cut = cut or (None if is_whole else coding)
    return body[:max_bytes], cut


def _codings(values: list[str]) -> Iterator[str]:
    """Yield the codings that headers name, in the order in which they were applied."""
    for value in values:
        for coding in value.lower().split(","):
            if (coding := coding.strip()) and not NO_CODING.fullmatch(coding):
                yield coding


def _undo(coding: str, body: bytes, max_bytes: int) -> Undone:
    """Undo one coding.

    Raises: OSError if nothing can be decoded, and the bytes do not look like a body without the coding.
    """
    if coding == "chunked":
        return _joined(body)
    if coding in MAGIC and not body.startswith(MAGIC[coding]):
        return None
    try:
        if coding in GZIP_NAMES:
            return _inflated(body, 31, max_bytes)
        if coding == "deflate":
            has_header = body[:1] and body[0] & 15 == 8 and not int.from_bytes(body[:2]) % 31
            return _inflated(body, 15 if has_header else -15, max_bytes)
        if coding == "zstd":
            return _unzstd(body, max_bytes)
        if coding == "br":
            return _unbrotli(body, max_bytes)
        raise OSError(f"unknown coding {coding[:50]!r}")
    except OSError:
        if _is_readable(body):
            return None
        raise


def _is_readable(body: bytes) -> bool:
    """Whether bytes look like a page without any coding: markup, or text with a byte order mark."""
    head = body[:1024]
    return head.startswith(TEXT_BOMS) or (head.lstrip()[:1] == b"<" and not BINARY_BYTES.search(head))


def _joined(body: bytes) -> Undone:
    """Join the chunks of a body; None unless the first one is a chunk, since a body may begin with a number."""
    parts: list[bytes] = []
    at = 0
    while match := CHUNK_SIZE.match(body, at):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(parts), True
        end = match.end() + size
        follows = body[end : end + 2]
        if not follows.startswith((b"\r\n", b"\n")) and end < len(body):
            if not parts:
                return None
            parts.append(body[match.end() : end])
            return b"".join(parts), False
        parts.append(body[match.end() : end])
        at = end + (2 if follows.startswith(b"\r\n") else 1)
        if end >= len(body):
            return b"".join(parts), False
    return (b"".join(parts), False) if parts else None


EMPTY = "the compressed data end before the first byte"


def _inflated(body: bytes, wbits: int, max_bytes: int) -> Undone:
    """Decompress gzip members, or deflate with or without the zlib header, up to the damage.

    Raises: OSError if there is nothing before it.
    """
    parts, n_bytes, at = list[bytes](), 0, 0
    while True:
        member = zlib.decompressobj(wbits)
        while not member.eof and n_bytes < max_bytes and at < len(body):
            step = body[at : at + STEP_BYTES]
            try:
                part = member.decompress(step, max_bytes - n_bytes)
            except zlib.error as error:
                return _damaged(parts, f"{'deflate' if wbits < 31 else 'gzip'}: {error}", error)
            parts.append(part)
            n_bytes += len(part)
            at += len(step) - len(member.unconsumed_tail) - len(member.unused_data)
        if n_bytes >= max_bytes:
            return b"".join(parts), True
        if not member.eof:
            return _damaged(parts, EMPTY)
        if wbits != 31 or not body[at : at + 2] == GZIP:
            return b"".join(parts), True


def _unzstd(body: bytes, max_bytes: int) -> Undone:
    """Decompress zstd, fed slowly because the library cannot limit its output; see `inflate.unzstd`."""
    frame = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
    parts, n_bytes = list[bytes](), 0
    for at in range(0, len(body), 1024):
        try:
            part = frame.decompress(body[at : at + 1024])
        except zstandard.ZstdError as error:
            return _damaged(parts, f"zstd: {error}", error)
        parts.append(part)
        n_bytes += len(part)
        if frame.eof or n_bytes >= max_bytes:
            return b"".join(parts)[:max_bytes], True
    return _damaged(parts, EMPTY)


def _damaged(parts: list[bytes], reason: str, error: Exception | None = None) -> Undone:
    """Return what was decompressed before the damage.

    Raises: OSError with the reason if that is nothing.
    """
    data = b"".join(parts)
    if not data:
        raise OSError(reason) from error
    return data, False


def _unbrotli(body: bytes, max_bytes: int) -> Undone:
    stream, start = BrotliReader(io.BytesIO(body)), bytearray()
    try:
        while len(start) < max_bytes and (more := stream.read(min(1 << 16, max_bytes - len(start)))):
            start += more
    except OSError:
        if not start:
            raise
        return bytes(start), False
    if not start and body:
        raise OSError("brotli: nothing can be decoded")
    return bytes(start), True
