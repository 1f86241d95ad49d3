"""Text of HTML pages and PDF files, extracted in a separate process: none can hang a reader or exhaust its memory.

Each reading process has one extraction process for each set of limits. It is started at the first page, reused for all
pages, restarted when it dies, and ends with its reader. A page at which it dies is tried once more in a new process, in
case the cause was the state left by earlier pages.

Reasons of pages without text: extractor_timeout, extractor_memory, extractor_crashed, extractor_failed,
table_too_large.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

import msgspec

from pipeline.errors import StageError
from stages.extraction.extract_worker import MEMORY_EXIT, WALL_FACTOR, read_message, seconds_of, write_message

MEMORY_WORDS = ("memory allocation of", "MemoryError", "bad_alloc", "out of memory")
"""Messages on stderr of a process that could not allocate memory: Rust, Python, C++, others."""


PAGE_WORKER, PDF_WORKER = "stages.extraction.extract_worker", "stages.extraction.pdf_worker"


class ExtractionError(Exception):
    """No text could be extracted from a page; args: reason, detail."""


class _DiedError(Exception):
    """The process ended; args: reason, detail."""


class Extractor:
    """An extraction process, restarted when it dies. Threads may share it; a lock serialises them.

    worker: the module that it runs.
    """

    def __init__(self, page_seconds: float, page_memory_bytes: int, worker: str = PAGE_WORKER) -> None:
        self._limits, self._worker = (page_seconds, page_memory_bytes), worker
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._lock = threading.Lock()

    def extract(self, page: str | bytes) -> dict[str, Any]:  # Any: see the worker
        """Return the fields of a page or file, see `extract_worker.extract` and `pdf_worker.extract`.

        Raises: ExtractionError if the process died on the page or refused it; StageError if no process
        can be started.
        """
        page = page.encode("utf-8") if isinstance(page, str) else page
        with self._lock:
            was_running = self._process is not None
            try:
                try:
                    answer = self._ask(page)
                except _DiedError:
                    if not was_running:
                        raise
                    answer = self._ask(page)
            except _DiedError as error:
                raise ExtractionError(*error.args) from error
        fields = msgspec.msgpack.decode(answer)
        if "reason" in fields:
            raise ExtractionError(fields["reason"], fields["detail"])
        return fields

    def close(self) -> None:
        """Kill the process; the next page starts another."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _ask(self, page: bytes) -> bytes:
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None  # for mypy: both are pipes
        try:
            write_message(process.stdin, page)
            answer = read_message(process.stdout)
        except BrokenPipeError:
            answer = None
        except BaseException:
            self.close()  # interrupted between request and response: the next response would belong to this page
            raise
        if answer is None:
            raise self._verdict(*self._reap(), seconds_of(self._limits[0], len(page)))
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a process; it ends with this one, because its stdin is closed."""
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._worker, *map(str, self._limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert self._process.stdout is not None  # for mypy: it is a pipe
        if read_message(self._process.stdout) is None:  # not caused by a page, so no page is quarantined
            _, last_output = self._reap()
            raise StageError(
                f"the extraction process cannot start: {last_output.rpartition(chr(10))[2]}; expected "
                f"{sys.executable} to import {self._worker}"
            )
        return self._process

    def _reap(self) -> tuple[int, str]:
        """Wait for the process to end; return its status (negative: a signal) and the end of its stderr."""
        process, log = self._process, self._log
        self._process = self._log = None
        assert process is not None and log is not None
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except BrokenPipeError:  # unwritten data; the descriptor is closed nevertheless
                pass
        status = process.wait()
        with log:
            log.seek(max(log.seek(0, os.SEEK_END) - 2000, 0))
            return status, log.read().decode("utf-8", "replace").strip()

    def _verdict(self, status: int, stderr: str, seconds: float) -> _DiedError:
        """Return the reason why the process ended."""
        memory_bytes = self._limits[1]
        if status == -signal.SIGPROF:
            return _DiedError("extractor_timeout", f"more than {seconds:g} s of processor time")
        if status == -signal.SIGALRM:
            return _DiedError("extractor_timeout", f"more than {seconds * WALL_FACTOR:g} s")
        if status == MEMORY_EXIT or any(words in stderr for words in MEMORY_WORDS):
            return _DiedError("extractor_memory", f"more than {memory_bytes:,} bytes")
        last = stderr.rpartition("\n")[2][:300]
        cause = signal.Signals(-status).name if -status in set(signal.Signals) else f"exit status {status}"
        return _DiedError("extractor_crashed", f"{cause}: {last}" if last else cause)


def shared_extractor(page_seconds: float, page_memory_bytes: int, worker: str = PAGE_WORKER) -> Extractor:
    """Return this process's extractor for the given limits; a forked process has its own."""
    return _shared(os.getpid(), page_seconds, page_memory_bytes, worker)


@functools.cache
def _shared(_pid: int, page_seconds: float, page_memory_bytes: int, worker: str) -> Extractor:
    return Extractor(page_seconds, page_memory_bytes, worker)
