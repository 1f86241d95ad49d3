"""An engine of threads in this process, for stages that wait for a server: what they share is limits, not cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

N_SHARDS = 4
"""Shards at once, so that the server has work while the last requests of one shard are answered."""
TICK_S = 10.0
"""Seconds between calls of `tick`."""


class ThreadEngine:
    """Runs tasks in threads. abort: called when the run ends early, so that they stop waiting; tick: now and then."""

    def __init__(
        self, abort: Callable[[], None], tick: Callable[[], None], n_threads: int = N_SHARDS
    ) -> None:
        self.abort, self.tick, self.n_threads = abort, tick, n_threads

    def map(
        self,
        fn: Callable[[Task], Result],
        tasks: Sequence[Task],
        follow: Callable[[Result], Task | None] | None = None,
    ) -> Iterator[Result]:
        """See Engine.map."""
        with ThreadPoolExecutor(self.n_threads, thread_name_prefix="shard") as pool:
            running = {pool.submit(fn, task) for task in tasks}
            try:
                while running:
                    done, running = wait(running, TICK_S, FIRST_COMPLETED)
                    self.tick()
                    for result in [future.result() for future in done]:
                        if follow is not None and (task := follow(result)) is not None:
                            running.add(pool.submit(fn, task))
                        yield result
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.abort()
                raise

    def close(self) -> None:
        """See Engine.close: there is no worker that outlives `map`."""
