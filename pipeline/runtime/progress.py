"""Progress on stderr: phase, finished tasks, speed and estimated time left, for people or as JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from pipeline.cells import wide
from pipeline.errors import UsageError
from pipeline.translation import message, t

WORDS = (
    message("ingest"), message("derive"), message("annotate"), message("global"), message("release"),
    message("judge rules"), message("decide"), message("quantiles"), message("ask"), message("compact"),
    message("fine-tune"), message("steps"),
    message("shards"), message("parts"), message("partitions"), message("documents"), message("tasks"),
    message("inputs"), message("running"), message("done"), message("failed"),
)  # fmt: skip
"""Names of phases, kinds and states of tasks, and units, as they are printed and recorded."""


class Progress:
    """On a terminal, one line per phase, which is redrawn; elsewhere, a line every 30 s and at the end of a phase."""

    def __init__(
        self,
        stream: TextIO | None = None,
        quiet: bool = False,
        as_json: bool = False,
        log: TextIO | None = None,
    ) -> None:
        self.stream = stream or sys.stderr
        self.quiet, self.as_json, self.log = quiet, as_json, log
        self.run = ""  # id of the run, once it has one
        self.live = self.stream.isatty() and not quiet and not as_json
        self.started = time.monotonic()

    @classmethod
    @contextmanager
    def to(cls, log_path: str | None, quiet: bool, as_json: bool) -> Iterator[Progress]:
        """Progress that is also added to a file, one JSON object a line with moment and run; None: to no file.

        Raises: UsageError if the file cannot be written.
        """
        if log_path is None:
            yield cls(quiet=quiet, as_json=as_json)
            return
        try:
            log = open(log_path, "a", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"--log {log_path}: {error.strerror}; name a file that can be written"
            ) from error
        with log:
            yield cls(quiet=quiet, as_json=as_json, log=log)

    @contextmanager
    def phase(self, name: str, n_tasks: int, unit: str = "shards") -> Iterator[ProgressPhase]:
        """Show the progress of a phase of `n_tasks` tasks; a phase without tasks prints nothing."""
        phase = ProgressPhase(self, name, n_tasks, unit)
        if not n_tasks:
            yield phase
            return
        phase.begin()
        try:
            yield phase
        except BaseException:
            phase.stop()
            raise
        phase.finish()

    def event(self, kind: str, **values: Any) -> None:  # Any: values go straight to JSON
        """Write one JSON line, only with `as_json`, and to the log."""
        line = {"event": kind, "run": self.run, "s": round(time.monotonic() - self.started, 3), **values}
        if self.as_json:
            print(json.dumps(line, ensure_ascii=False), file=self.stream, flush=True)
        if self.log is not None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            print(json.dumps({"time": now, **line}, ensure_ascii=False), file=self.log, flush=True)

    def say(self, text: str) -> None:
        """Write one line of text, unless `quiet` or `as_json`; to the log as an event of kind `said`."""
        if self.log is not None and text.strip("\r\n"):
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"time": now, "event": "said", "run": self.run, "text": plain_text(text)}
            print(json.dumps(line, ensure_ascii=False), file=self.log, flush=True)
        if not self.quiet and not self.as_json:
            print(t(text), file=self.stream, flush=True)


class ProgressPhase:
    """Progress of one phase; `step` is called as tasks finish."""

    def __init__(self, progress: Progress, name: str, n_tasks: int, unit: str) -> None:
        self.progress, self.name, self.n_tasks, self.unit = progress, name, n_tasks, unit
        self.done, self.bytes = 0, 0
        self.start = self.last = time.monotonic()

    def begin(self) -> None:
        """Report the start of the phase."""
        self.progress.event("start", phase=self.name, tasks=self.n_tasks)
        self.draw(force=True)

    def step(self, n_bytes: int = 0) -> None:
        """Count one finished task and the bytes of text that it processed."""
        self.done += 1
        self.bytes += n_bytes
        self.draw()

    def draw(self, force: bool = False) -> None:
        """Redraw the line, at most five times a second on a terminal and every 30 s elsewhere."""
        now = time.monotonic()
        if not force and now - self.last < (0.2 if self.progress.live else 30):
            return
        self.last = now
        if self.progress.live:
            print(f"\r\x1b[K{self.line(now)}", end="", file=self.progress.stream, flush=True)
        elif self.done:
            self.progress.say(self.line(now))
            self.progress.event("progress", phase=self.name, done=self.done, tasks=self.n_tasks)

    def line(self, now: float) -> str:
        """Return the line of the phase, such as `signals  12/40 shards  8.1 MB/s  0:42 left`."""
        seconds = max(now - self.start, 1e-9)
        name = t(self.name)
        fields = [f"{name}{' ' * (24 - wide(name))} {self.done}/{self.n_tasks} {t(self.unit)}"]
        if self.bytes:
            fields.append(f"{self.bytes / 1e6 / seconds:.1f} MB/s")
        if 0 < self.done < self.n_tasks:
            fields.append(t(f"{clock((self.n_tasks - self.done) * seconds / self.done)} left"))
        return "  ".join(fields)

    def stop(self) -> None:
        """End the line that is being redrawn, so that an error starts on a new line."""
        if self.progress.live:
            print(file=self.progress.stream, flush=True)

    def finish(self) -> None:
        """Report the end of the phase with its totals."""
        seconds = time.monotonic() - self.start
        text = f"{self.line(time.monotonic())}  " + t(f"in {seconds:.1f} s")
        self.progress.say(f"\r\x1b[K{text}" if self.progress.live else text)
        self.progress.event(
            "end", phase=self.name, tasks=self.done, bytes=self.bytes, seconds=round(seconds, 3)
        )


def plain_text(text: str) -> str:
    """Return a line without what moves the cursor of a terminal."""
    return text.replace("\r", "").replace("\x1b[K", "").strip()


def clock(seconds: float) -> str:
    """Format a duration in seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
