"""Run many tasks: on Ray, or in a process pool on this machine. The only file that imports Ray.

A task is a picklable function and one picklable argument; both are small, because data travels through the
store. Tasks are pure up to atomic writes of the same bytes, so a task that died with its worker runs again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.errors import BicorpusError, UsageError
from pipeline.storage.credentials import FILE, load_credentials, write_credentials
from pipeline.storage.scratch import scratch

Task = TypeVar("Task")
Result = TypeVar("Result")
MAX_ATTEMPTS = 5
"""How often a task may lose its worker (killed, out of memory, node gone) before the run stops."""

MAX_FAILED_STARTS = 20
"""Workers in a row that may die before their first answer: nodes may come and go, a broken one must not loop."""


class Engine(Protocol):
    """Where tasks run; started at the first task, so that an empty plan starts nothing."""

    def map(self, fn: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield results as tasks finish, in any order. An error of a task is raised here."""
        ...

    def close(self) -> None:
        """Stop workers; tasks under way are given up."""
        ...


def open_engine(kind: str, workers: int | None = None, address: str | None = None) -> Engine:
    """Return the engine `local` or `ray`.

    Args: workers, processes to use at once (default: all cores of the machine, or of the cluster); address, a
    running Ray cluster; none starts Ray on this machine.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}; expected at least 1")
    return LocalEngine(workers) if kind == "local" else RayEngine(workers, address)


class LocalEngine:
    """A process pool that replaces dead workers."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.pool: ProcessPoolExecutor | None = None

    def map(self, fn: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See Engine.map."""
        waiting = deque((task, 1) for task in tasks)
        running: dict[Future[Result], tuple[Task, int]] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                task, attempt = waiting.popleft()
                running[self.start().submit(fn, task)] = (task, attempt)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task, attempt = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool as error:
                    lost = [(task, attempt), *running.values()]
                    running.clear()
                    self.stop(kill=True)
                    waiting.extendleft(_again(*each, error) for each in lost)
                    break
                yield result

    def start(self) -> ProcessPoolExecutor:
        """The pool, started on first use."""
        if self.pool is None:
            context = multiprocessing.get_context("forkserver")
            self.pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_quiet_worker)
        return self.pool

    def stop(self, kill: bool) -> None:
        """Shut the pool down; kill does not wait for tasks under way."""
        if self.pool is None:
            return
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=not kill, cancel_futures=True)
        if kill:
            for process in processes:
                process.kill()
        self.pool = None

    def close(self) -> None:
        """See Engine.close."""
        self.stop(kill=True)


class SerialEngine:
    """Runs tasks one after another in this process: for commands that look at a finished build."""

    def map(self, fn: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See Engine.map."""
        return map(fn, tasks)

    def close(self) -> None:
        """Nothing to stop."""


def _quiet_worker() -> None:
    """Workers leave Ctrl-C to the driver, end with it, and keep libraries from starting threads of their own."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, name="end with driver", daemon=True).start()
    _one_thread()


def _end_with_driver() -> None:
    """Exit when the driver is gone: a killed one closes no queue, and its workers would wait for ever."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


def _one_thread() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(2)


def _again(task: Task, attempt: int, error: BaseException) -> tuple[Task, int]:
    if attempt >= MAX_ATTEMPTS:
        raise BicorpusError(
            f"{_label(task)}: lost its worker {attempt} times ({error or type(error).__name__}); it may need more "
            "memory: use fewer --workers or a smaller ingest.shard_bytes"
        ) from error
    return task, attempt + 1


def _label(task: object) -> str:
    """A task in a few words, for messages: its kind and what it works on."""
    for name in ("group.label", "shard.id", "key", "folder"):
        with contextlib.suppress(AttributeError):
            return f"{type(task).__name__} of {attrgetter(name)(task)}"
    return type(task).__name__


class RayEngine:
    """A pool of single-core Ray actors, so that models load once a worker and lost nodes lose only their tasks.

    Actors are never restarted by Ray: a dead one gives its task back to the queue and a new one is asked for,
    which joins when the cluster has a core for it.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self.workers, self.address = workers, address
        self.started_ray = False
        self.idle: list[Any] = []  # Any: Ray has no static type for an actor handle or a reference
        self.starting: dict[Any, Any] = {}
        self.failed_starts = 0
        self.private = contextlib.ExitStack()  # the folder of the file with credentials

    def map(self, fn: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See Engine.map."""
        if not tasks:
            return
        self.start()
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        waiting = deque((task, 1) for task in tasks)
        running: dict[Any, tuple[Any, Task, int]] = {}
        while waiting or running:
            while waiting and self.idle:
                actor = self.idle.pop()
                task, attempt = waiting.popleft()
                running[actor.run.remote(fn, task)] = (actor, task, attempt)
            done, _ = ray.wait([*running, *self.starting], num_returns=1, timeout=60.0)
            for reference in done:
                try:
                    result = ray.get(reference)
                except RayActorError as error:
                    self.lost(reference, running, waiting, error)
                    continue
                except RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, BicorpusError) else error) from error
                if reference in self.starting:
                    self.idle.append(self.starting.pop(reference))
                    self.failed_starts = 0
                    continue
                actor, _, _ = running.pop(reference)
                self.idle.append(actor)
                yield result

    def lost(
        self, reference: Any, running: dict[Any, Any], waiting: deque[Any], error: BaseException
    ) -> None:
        """Give a dead actor's task back and ask for another actor."""
        import ray

        if reference in self.starting:
            actor = self.starting.pop(reference)
            self.failed_starts += 1
            if self.failed_starts > MAX_FAILED_STARTS:
                raise BicorpusError(
                    f"{self.failed_starts} workers in a row died while starting ({error}); check that every node of "
                    "the cluster has this Python, bicorpus and its libraries"
                ) from error
        else:
            actor, task, attempt = running.pop(reference)
            waiting.appendleft(_again(task, attempt, error))
        ray.kill(actor)  # one that only lost touch would go on holding its core
        time.sleep(0.2)
        self.add_actor()

    def start(self) -> None:
        """Connect or start Ray and ask for the actors, once."""
        import ray

        if not ray.is_initialized():
            ray.init(**self.options())
            self.started_ray = True
        if not self.idle and not self.starting:
            for _ in range(self.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)):
                self.add_actor()

    def options(self) -> dict[str, Any]:
        """Arguments of ray.init: quiet, no dashboard, and an object store no larger than paths need."""
        variables = {"PYTHONPATH": _source_path(), **_passed_environment()}
        if path := write_credentials(self.private.enter_context(scratch())):
            variables[FILE] = str(path)
        environment = {"env_vars": variables}
        common = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
        if self.address:
            return {"address": self.address, **common}
        cpus = self.workers or len(os.sched_getaffinity(0))
        return {
            "address": "local",
            "num_cpus": cpus,
            "include_dashboard": False,
            "object_store_memory": 200 << 20,
            **common,
        }

    def add_actor(self) -> None:
        """Ask for one actor; it counts as idle once it has answered."""
        import ray

        actor: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker).remote()
        self.starting[actor.ready.remote()] = actor

    def close(self) -> None:
        """See Engine.close."""
        with self.private:
            self.stop()

    def stop(self) -> None:
        """End Ray where this engine started it, else its actors."""
        if not self.idle and not self.starting and not self.started_ray:
            return
        import ray

        if self.started_ray:
            ray.shutdown()
            return
        for actor in [*self.idle, *self.starting.values()]:
            with contextlib.suppress(Exception):  # the node may be gone already
                ray.kill(actor)


class _Worker:
    """The actor: runs one task at a time."""

    def __init__(self) -> None:
        load_credentials()
        _one_thread()

    def ready(self) -> bool:
        """Answer once the actor is up."""
        return True

    def run(self, fn: Callable[[Task], Result], task: Task) -> Result:
        """Run one task."""
        return fn(task)


def _source_path() -> str:
    """Import path of workers: where this package lies, before whatever was set."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])


def _passed_environment() -> dict[str, str]:
    """Settings of the driver that workers share. Ray logs them: nothing that is secret belongs here."""
    return {name: value for name, value in os.environ.items() if name == "NUMBA_CACHE_DIR"}


def peak_rss_bytes() -> int:
    """Largest memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
