"""The extraction process: reads pages from stdin and writes their fields to stdout, each message after its length.

Some pages make any extractor hang or exhaust memory. This process is therefore separate and may die: the kernel
terminates it at its limits of time and memory, even if its parent has ended. `stages.extraction.extract` is the parent.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import IO, Any

import msgspec

from stages.extraction.main_text import parse, text_of
from stages.extraction.page_claims import claims
from stages.extraction.table_spans import AbsurdSpanError, check_spans

LENGTH = struct.Struct("<I")
"""Length of a message in bytes, written before it."""

MEMORY_EXIT = 86
"""Exit status of a process that ran out of memory and could report it."""

WALL_FACTOR = 20
"""Ratio of the limits of wall-clock time and processor time; a page must not fail because the machine is busy."""


SECONDS_BYTES = 1 << 20
"""Size of a page up to which the limit of time is as configured; that of a larger page grows with it."""


def seconds_of(seconds: float, n_bytes: int) -> float:
    """Return the limit of processor time for a page of `n_bytes` bytes."""
    return seconds * max(1.0, n_bytes / SECONDS_BYTES)


def extract(html: str) -> dict[str, Any]:  # Any: strings and lists of strings
    """Return a page's main text (`text`, see `main_text`) and its claims about itself (see `page_claims`).

    Raises: AbsurdSpanError if a table cell has an impossible span.
    """
    page = parse(html)
    check_spans(page)
    return claims(page) | {"text": text_of(page)}


def read_message(stream: IO[bytes]) -> bytes | None:
    """Read one message; None if the stream ends before the end of the message."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (n_bytes,) = LENGTH.unpack(head)
    body = stream.read(n_bytes)
    return body if len(body) == n_bytes else None


def write_message(stream: IO[bytes], body: bytes) -> None:
    """Write one message."""
    stream.write(LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def limit(memory_bytes: int) -> None:
    """Limit the memory of this process, and let timer signals terminate it in any code."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for ending in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGALRM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted run closes stdin, which ends this process


def set_timers(seconds: float) -> None:
    """Start both timers, or stop them with 0; wall-clock time is limited too, because a process may sleep."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * WALL_FACTOR)


def peak_bytes() -> int:
    """Return the peak memory of this program in bytes; `ru_maxrss` would count that of the process that started it."""
    with open("/proc/self/status", "rb") as status:
        peaks = [line.split()[1] for line in status if line.startswith(b"VmHWM:")]
    return int(peaks[0]) * 1024


def refused(reason: str, detail: str) -> dict[str, Any]:
    """Return the answer for a page without text."""
    return {"reason": reason, "detail": detail}


def page_fields(page: bytes) -> dict[str, Any]:  # Any: see `extract`
    """Return the fields of a page in UTF-8, or the reason why it has none."""
    try:
        return extract(page.decode("utf-8"))
    except AbsurdSpanError as error:
        return refused("table_too_large", str(error))


def serve(seconds: float, memory_bytes: int, answer_to: Callable[[bytes], dict[str, Any]]) -> None:
    """Write a ready message, then process pages until stdin ends.

    A response is a mapping of fields, see `answer_to`, or of `reason` and `detail` if there is no text.
    """
    pages, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not be mixed with responses
    limit(memory_bytes)
    write_message(answers, b"ready")
    while (page := read_message(pages)) is not None:
        set_timers(seconds_of(seconds, len(page)))
        try:
            answer = msgspec.msgpack.encode(answer_to(page))
        except MemoryError:
            os._exit(MEMORY_EXIT)
        except Exception as error:
            if peak_bytes() > memory_bytes / 2:  # the parser does not report failed allocations
                os._exit(MEMORY_EXIT)
            answer = msgspec.msgpack.encode(
                refused("extractor_failed", f"{type(error).__name__}: {error}"[:500])
            )
        set_timers(0)
        write_message(answers, answer)


if __name__ == "__main__":
    serve(float(sys.argv[1]), int(sys.argv[2]), page_fields)
