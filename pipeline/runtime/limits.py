"""Limits of memory and time around the reading of one file, in the process that reads it.

The kernel refuses memory beyond the limit, so that a library's allocation fails where it is made; a timer interrupts
Python code, and a limit of processor time ends a worker that is inside a library. Setting both takes a few system calls
for a file. What a reader holds when it is interrupted is given up with the file.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pipeline.errors import BicorpusError
from pipeline.stage import Reader, Record

FILE_SECONDS, FILE_MEMORY_BYTES = 300.0, 1536 << 20
"""Defaults for readers whose config has no `file_seconds` and `file_memory_bytes`."""

SECONDS_BYTES = 64 << 20
"""Size of a file up to which its time is as configured; that of a larger one grows with it."""

GRACE = 2.0
"""Processor time at which the kernel ends a worker, as a multiple of that at which Python code is interrupted."""

MEMORY, TIME, FAILED, CRASHED = "reader_memory", "reader_timeout", "reader_failed", "reader_crashed"
FAULTS = (MEMORY, TIME, FAILED, CRASHED)
"""Reasons for which a whole file is lost, also what was read before: how far reading came may differ by machine."""


class _TimeUpError(BaseException):
    """Raised inside a reader; no `except Exception` of a library or reader takes it for damage."""


@dataclass
class Limits:
    """The limits for one file: a context in which memory and time are bounded.

    seconds: of processor time; memory_bytes: what the process may take in addition to what it has; ends: whether the
    kernel may end the process if it does not return from a library, as in a worker whose tasks are run again.
    """

    seconds: float
    memory_bytes: int
    ends: bool = False
    is_up: bool = False
    _is_reading: bool = False
    _before: list[Any] = field(default_factory=list)  # Any: limits and handlers of the kernel and of Python

    def __enter__(self) -> Limits:
        self._before = [
            resource.getrlimit(resource.RLIMIT_DATA),
            resource.getrlimit(resource.RLIMIT_CPU),
            None,
        ]
        (old, hard), most = self._before[0], _data_bytes() + self.memory_bytes
        if hard == resource.RLIM_INFINITY or most < hard:
            if old == resource.RLIM_INFINITY or most < old:
                resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
        if threading.current_thread() is threading.main_thread():
            self._before[2] = signal.signal(signal.SIGPROF, self._time_up)
            signal.setitimer(signal.ITIMER_PROF, self.seconds)
            if self.ends:
                self._limit_processor()
        return self

    def _limit_processor(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        most = int(usage.ru_utime + usage.ru_stime + GRACE * self.seconds) + 1
        old, hard = self._before[1]
        if (old == resource.RLIM_INFINITY or most < old) and (hard == resource.RLIM_INFINITY or most < hard):
            resource.setrlimit(resource.RLIMIT_CPU, (most, hard))

    def __exit__(self, *_: object) -> None:
        data, processor, handler = self._before
        resource.setrlimit(resource.RLIMIT_DATA, data)
        if handler is not None:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, handler)
            resource.setrlimit(resource.RLIMIT_CPU, processor)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Work without limits for a while, such as that of the caller of a generator; the time starts again."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _time_up(self, *_: object) -> None:
        self.is_up = True
        if self._is_reading:
            raise _TimeUpError

    def each(self, reader: Reader, stream: BinaryIO, path: str, config: Any) -> Iterator[Record]:
        """Yield the records of a file; the last one has a reason of FAULTS if the reader did not come to an end.

        Any: each reader has its own config class. Raises: BicorpusError, and errors of the storage.
        """
        watched = _Witness(stream)
        records = reader.read(watched, path, config)  # type: ignore[arg-type]  # a stream by its methods
        while True:
            try:
                self._is_reading = True
                record = next(records, None)
                if self.is_up:
                    raise _TimeUpError
            except MemoryError:
                record = fault(MEMORY, f"more than {self.memory_bytes:,} bytes (file_memory_bytes)")
            except _TimeUpError:
                record = fault(TIME, f"more than {self.seconds:,.0f} s of processor time (file_seconds)")
            except BicorpusError:
                raise
            except Exception as error:
                if watched.failure is not None:
                    raise
                record = fault(FAILED, _where(error))
            finally:
                self._is_reading = False
            if record is None:
                return
            yield record
            if record.position < 0 and record.reason in FAULTS:
                return


def first_records(
    reader: Reader, stream: BinaryIO, path: str, config: Any, n: int | None = None
) -> list[Record]:  # Any: each reader has its own config class
    """Return the first n records of a file, or all, read within its limits; see `Limits.each`."""
    with limits_of(config, 0) as limits:
        return list(itertools.islice(limits.each(reader, stream, path, config), n))


def limits_of(
    config: Any, n_bytes: int, ends: bool = False
) -> Limits:  # Any: each reader has its own config class
    """Return the limits that a reader's config sets for a file of n_bytes bytes on disk."""
    seconds = getattr(config, "file_seconds", FILE_SECONDS) * max(1.0, n_bytes / SECONDS_BYTES)
    return Limits(seconds, getattr(config, "file_memory_bytes", FILE_MEMORY_BYTES), ends)


def fault(reason: str, detail: str) -> Record:
    """Return the record of a file that is lost as a whole."""
    return Record(-1, None, reason, detail)


def _data_bytes() -> int:
    """Bytes of writable private memory of this process, which RLIMIT_DATA limits."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):  # no /proc: as much as it has ever used
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"[:500]


class _Witness:
    """A stream that remembers its own failure, which is that of the storage and not of the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Read as the stream does."""
        try:
            return self._stream.read(size)
        except Exception as error:
            self.failure = error
            raise

    def __getattr__(self, name: str) -> Any:  # Any: methods of a stream
        return getattr(self._stream, name)
