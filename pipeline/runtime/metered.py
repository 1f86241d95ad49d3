"""An engine that measures what each task costs: requests, bytes, CPU time and memory of its worker."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.runtime.engines import Engine, peak_rss_bytes
from pipeline.storage.meter import Counts, counts

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """What a task cost: see Counts; cpu_s: CPU-seconds; peak_bytes: of resident memory."""

    counts: Counts
    cpu_s: float
    peak_bytes: int


def reset_peak() -> None:
    """Let the peak of resident memory of this process start again, where Linux allows it."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_bytes() -> int:
    """Return the peak resident memory of this process since `reset_peak`.

    Where there is no /proc, it is that of its whole life, of the program that started it included.
    """
    with contextlib.suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return peak_rss_bytes()


@dataclass(frozen=True)
class Measured(Generic[Task, Result]):
    """A function that also returns what it cost. driver: process in which it measures nothing of its own."""

    fn: Callable[[Task], Result]
    driver: int

    @property
    def __name__(self) -> str:
        return self.fn.__name__

    def __call__(self, task: Task) -> tuple[Result, Cost | None]:
        """Run a task; the cost is None in the driver, which measures itself."""
        if os.getpid() == self.driver:
            return self.fn(task), None
        reset_peak()
        before, began = counts(), time.process_time()
        result = self.fn(task)
        cost = Cost(counts() - before, time.process_time() - began, peak_bytes())
        return result, cost


class MeteredEngine:
    """Runs tasks on another engine. note: called with the cost of each task; check: after each, may raise to stop."""

    def __init__(self, engine: Engine, note: Callable[[Cost], None], check: Callable[[], None]) -> None:
        self.engine, self.note, self.check = engine, note, check

    def map(
        self,
        fn: Callable[[Task], Result],
        tasks: Sequence[Task],
        follow: Callable[[Result], Task | None] | None = None,
    ) -> Iterator[Result]:
        """See Engine.map."""

        def following(measured: tuple[Result, Cost | None]) -> Task | None:
            return follow(measured[0]) if follow is not None else None

        for result, cost in self.engine.map(Measured(fn, os.getpid()), tasks, following):
            if cost is not None:
                self.note(cost)
            yield result
            self.check()  # after the result was taken, so that it is not lost

    def close(self) -> None:
        """See Engine.close."""
        self.engine.close()
