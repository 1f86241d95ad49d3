"""The end of a run for schedulers: a command, a file of metrics, one line of JSON, on success and on failure.

Commands are split into words as a shell would and started without one: no value of the run becomes part of a command
line. What happened is in environment variables and, as JSON, on standard input.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from pipeline.errors import BicorpusError, UsageError
from pipeline.operate.freshness import SourceState
from pipeline.operate.openmetrics import write_metrics
from pipeline.planning.session import RunRecord
from pipeline.translation import message

LONGEST_S = 600
"""Seconds that a command may take."""
TERMINATED = 143
"""Exit code of a run that got SIGTERM, as a shell reports it."""


@dataclass
class Ending:
    """What to do when a run ends. finish, failure: command lines, empty for none; metrics: path of a file, or empty.

    records: of the attempts so far, the last one counts. fresh: returns the state of the sources, for the metrics.
    """

    finish: str = ""
    failure: str = ""
    metrics: str = ""
    say: Callable[[str], None] = lambda text: None
    records: list[RunRecord] = field(default_factory=list)
    fresh: Callable[[], Sequence[SourceState]] = lambda: ()

    def __post_init__(self) -> None:
        for option, line in (("--on-finish", self.finish), ("--on-failure", self.failure)):
            if line:
                words_of(option, line)
        if self.metrics and not os.path.isdir(os.path.dirname(os.path.abspath(self.metrics))):
            raise UsageError(f"--metrics {self.metrics}: no such folder; make it first, or name another file")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Do what is to be done at the end of the block, whether it raises or not; SIGTERM ends it like Ctrl-C.

        Raises: BicorpusError if the command of a run that succeeded fails.
        """
        with terminable():
            try:
                yield
            except BaseException as error:
                with suppress(OSError, BicorpusError):  # the error of the run is the one to report
                    self.end(exit_code(error), f"{type(error).__name__}: {error}")
                raise
        self.end(0, "")

    def end(self, code: int, error: str) -> None:
        """Write the metrics and run the command.

        Raises: BicorpusError if the command cannot be started, takes too long or fails.
        """
        record = self.records[-1] if self.records else None
        try:
            if self.metrics:
                sources: Sequence[SourceState] = ()
                with suppress(BicorpusError):  # inputs may be what is missing
                    sources = self.fresh()
                write_metrics(self.metrics, record, code, time.time(), sources)
        finally:
            line = self.failure if code else self.finish
            if line:
                run_command(
                    words_of("--on-failure" if code else "--on-finish", line), outcome(record, code, error)
                )


def outcome(record: RunRecord | None, code: int, error: str) -> dict[str, Any]:  # Any: plain JSON
    """The result of a run as plain JSON: its record, with `exit` and `error`."""
    return {**(asdict(record) if record else {"status": error or "done"}), "exit": code, "error": error}


def exit_code(error: BaseException) -> int:
    """The exit code that an error ends the process with."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return error.exit_code if isinstance(error, BicorpusError) else 1


def words_of(option: str, line: str) -> list[str]:
    """Split a command line into words.

    Raises: UsageError if it cannot be split, or there is no such program.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{option} {line!r}: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise UsageError(f"{option} {line!r}: no such program; name one by its path, without shell syntax")
    return words


def run_command(words: Sequence[str], result: dict[str, Any]) -> None:  # Any: plain JSON
    """Run a command with a result in BICORPUS_ variables and on standard input; its output goes to stderr.

    Raises: BicorpusError if it fails, or takes longer than LONGEST_S.
    """
    names = {"EXIT": "exit", "RUN": "id", "RELEASE": "release", "STATUS": "status", "CORPUS": "corpus"}
    values = {f"BICORPUS_{name}": str(result.get(key) or "") for name, key in names.items()}
    values["BICORPUS_EXIT"] = str(result["exit"])
    values = {name: value.replace("\0", "") for name, value in values.items()}
    try:
        done = subprocess.run(
            list(words), input=json.dumps(result, ensure_ascii=False), text=True, encoding="utf-8", stdout=2,
            env={**os.environ, **values}, timeout=LONGEST_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BicorpusError(f"{words[0]}: {error}; the run itself has ended") from error
    if done.returncode:
        raise BicorpusError(
            message(f"{words[0]} ended with exit code {done.returncode}; the run itself has ended")
        )


@contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM raise SystemExit in the block, so that leases are released and what was finished is recorded."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
