"""Bodies of HTTP responses, decoded incrementally, so that only the bytes that are read are decompressed.

FastWARC's own `auto_decode` decodes the whole body before the first byte is read: 16 MB of gzip may become 16 GB.
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
"""Coding -> its decoder. Source: RFC 9110, section 8.4.1, RFC 9112, section 7; zstd: RFC 8878."""

MAX_CODINGS = 4


def start_of_body(body: bytes, transfer: list[str], content: list[str], max_bytes: int) -> bytes:
    """Return the first max_bytes bytes of a body, decoded according to its headers.

    Args: transfer, content: values of the headers Transfer-Encoding and Content-Encoding.
    Raises: OSError if a coding is unknown, there are more than four, or the body is not encoded in them.
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
    """Decode deflate without the zlib header, which the standard requires and some servers omit."""
    try:
        return zlib.decompressobj(-15).decompress(body, max_bytes)
    except zlib.error as error:
        raise OSError(f"deflate: {error}") from error
