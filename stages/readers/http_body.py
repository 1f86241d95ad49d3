"""Bodies of HTTP responses, their codings undone piece by piece, so that a body costs no more than is read of it.

FastWARC's own `auto_decode` undoes a body as a whole before the first byte is read: 16 MB of gzip would be 16 GB.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator

from fastwarc.stream_io import BrotliReader, ChunkedReader, GzipReader, WarcReader, ZstdReader

READERS: dict[str, Callable[[WarcReader | io.BytesIO], WarcReader]] = {
    "gzip": GzipReader,
    "x-gzip": GzipReader,
    "deflate": lambda inner: GzipReader(inner, zlib=True),
    "br": BrotliReader,
    "zstd": ZstdReader,
    "chunked": ChunkedReader,
}
"""Coding -> how it is undone. Source: RFC 9110, section 8.4.1, RFC 9112, section 7; zstd: RFC 8878."""

MAX_CODINGS = 4


def start_of_body(body: bytes, transfer: list[str], content: list[str], max_bytes: int) -> bytes:
    """Return the first bytes of a body, decoded as its headers say.

    Args: transfer, content: values of the headers Transfer-Encoding and Content-Encoding.
    Raises: OSError if a coding is not known, there are more than four, or the body is not in them.
    """
    codings = [*_codings(content), *_codings(transfer)]
    if len(codings) > MAX_CODINGS:
        raise OSError(f"{len(codings)} codings; expected at most {MAX_CODINGS}")
    if codings == ["deflate"] and body[:1] and (body[0] & 15 != 8 or int.from_bytes(body[:2]) % 31):
        return _raw_deflate(body, max_bytes)
    stream: WarcReader | io.BytesIO = io.BytesIO(body)
    for coding in reversed(codings):
        if coding not in READERS:
            raise OSError(f"unknown coding {coding[:50]!r}")
        stream = READERS[coding](stream)
    return _start(stream, max_bytes)


def _codings(values: list[str]) -> Iterator[str]:
    """Yield the codings that headers name, in the order in which they were applied."""
    for value in values:
        for coding in value.lower().split(","):
            if (coding := coding.strip()) not in ("", "identity"):
                yield coding


def _start(stream: WarcReader | io.BytesIO, max_bytes: int) -> bytes:
    start = bytearray()
    while len(start) < max_bytes and (more := stream.read(min(1 << 16, max_bytes - len(start)))):
        start += more
    return bytes(start)


def _raw_deflate(body: bytes, max_bytes: int) -> bytes:
    """Undo deflate without the zlib header that the standard wants and some servers leave out."""
    try:
        return zlib.decompressobj(-15).decompress(body, max_bytes)
    except zlib.error as error:
        raise OSError(f"deflate: {error}") from error
