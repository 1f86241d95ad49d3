"""Engines that run many tasks: on Ray, or in a process pool on this machine. The only module that imports Ray.

A task is a picklable function and one picklable argument; both are small, because data is exchanged through the
store. Tasks are pure except for atomic writes of the same bytes, so a task that lost its worker is run again.
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
"""Largest number of workers that a task may lose (killed, out of memory, node lost) before the run fails."""

MAX_FAILED_STARTS = 20
"""Consecutive workers that may die while starting: nodes may be added and lost, but a broken one must not loop."""


class Engine(Protocol):
    """Runs tasks. It is started by the first task, so that an empty plan starts nothing."""

    def map(self, fn: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield results as tasks finish, in any order.

        Raises: the error of the first task that fails; BicorpusError if a task lost too many workers.
        """
        ...

    def close(self) -> None:
        """Stop the workers; running tasks are aborted."""
        ...


RAY_BYTES = 2_000_000_000
"""Bytes of input per worker from which `auto` starts Ray on this machine.

Starting Ray and its actors takes some 45 s. A worker reads 1 to 2 MB of compressed input in a second, so that the start
is more than 2 to 4 % of a run of less."""


def choose_engine(
    kind: str, workers: int | None, address: str | None, n_bytes: Callable[[], int]
) -> tuple[str, str]:
    """Return the engine that `auto` stands for, and why; another kind is returned as it is, with no reason.

    Args: workers, None for all cores; address, of a running Ray cluster; n_bytes, returns the size of the input.
    """
    if kind != "auto":
        return kind, ""
    if address is not None:
        return "ray", f"engine ray, at {address}"
    bound = RAY_BYTES * (workers or len(os.sched_getaffinity(0)))
    size = n_bytes()
    kind = "local" if size < bound else "ray"
    return (
        kind,
        f"engine {kind}: {size / 1e6:,.1f} MB of input (ray from {bound / 1e9:,.0f} GB; --engine sets it)",
    )


def open_engine(kind: str, workers: int | None = None, address: str | None = None) -> Engine:
    """Return the engine `local` or `ray`.

    Args: workers, number of processes (default: all cores of the machine or cluster); address, of a running Ray
    cluster; None starts Ray on this machine.
    Raises: UsageError if workers is below 1.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}; expected at least 1")
    return LocalEngine(workers) if kind == "local" else RayEngine(workers, address)


class LocalEngine:
    """A process pool on this machine that replaces dead workers."""

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
                    waiting.extendleft(_retry(*each, error) for each in lost)
                    break
                yield result

    def start(self) -> ProcessPoolExecutor:
        """Return the pool, started on first use."""
        if self.pool is None:
            context = multiprocessing.get_context("forkserver")
            self.pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_quiet_worker)
        return self.pool

    def stop(self, kill: bool) -> None:
        """Shut the pool down; with `kill`, without waiting for running tasks."""
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
    """Runs tasks one after another in this process, for commands that read a finished build."""

    def map(self, fn: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """See Engine.map."""
        return map(fn, tasks)

    def close(self) -> None:
        """Do nothing: there is no worker to stop."""


def _quiet_worker() -> None:
    """Make a worker ignore Ctrl-C, exit with the driver and restrict the threads of libraries."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, name="end with driver", daemon=True).start()
    _one_thread()


def _end_with_driver() -> None:
    """Exit when the driver exits: a killed driver closes no queue, and its workers would wait for ever."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


def _one_thread() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(2)


def _retry(task: Task, attempt: int, error: BaseException) -> tuple[Task, int]:
    """Return the task with its next attempt.

    Raises: BicorpusError after MAX_ATTEMPTS.
    """
    if attempt >= MAX_ATTEMPTS:
        raise BicorpusError(
            f"{_label(task)}: lost its worker {attempt} times ({error or type(error).__name__}); it may need more "
            "memory: use fewer --workers or a smaller ingest.shard_bytes"
        ) from error
    return task, attempt + 1


def _label(task: object) -> str:
    """Return a short description of a task for messages: its type and the shard, group or key it works on."""
    for name in ("group.label", "shard.id", "key", "folder"):
        with contextlib.suppress(AttributeError):
            return f"{type(task).__name__} of {attrgetter(name)(task)}"
    return type(task).__name__


class RayEngine:
    """A pool of single-core Ray actors: each loads a model once, and a lost node costs only its running tasks.

    Ray never restarts actors. The task of a dead actor returns to the queue, and a new actor is requested, which
    starts when the cluster has a free core.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self.workers, self.address = workers, address
        self.started_ray = False
        self.idle: list[Any] = []  # Any: Ray has no static type for an actor handle or a reference
        self.starting: dict[Any, Any] = {}
        self.failed_starts = 0
        self.private = contextlib.ExitStack()  # removes the folder of the file with credentials

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
        """Return the task of a dead actor to the queue and request another actor.

        Raises: BicorpusError if the task lost MAX_ATTEMPTS workers, or MAX_FAILED_STARTS actors in a row died while
        starting.
        """
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
            waiting.appendleft(_retry(task, attempt, error))
        ray.kill(actor)  # an actor that only lost its connection would keep its core
        time.sleep(0.2)
        self.add_actor()

    def start(self) -> None:
        """Connect to Ray or start it, and request the actors, once."""
        import ray

        if not ray.is_initialized():
            ray.init(**self.options())
            self.started_ray = True
        if not self.idle and not self.starting:
            for _ in range(self.workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)):
                self.add_actor()

    def options(self) -> dict[str, Any]:
        """Return the arguments of ray.init: quiet, no dashboard, an object store of 200 MiB, enough for tasks."""
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
        """Request one actor; it is idle once its `ready` has returned."""
        import ray

        actor: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker).remote()
        self.starting[actor.ready.remote()] = actor

    def close(self) -> None:
        """See Engine.close."""
        with self.private:
            self.stop()

    def stop(self) -> None:
        """Shut Ray down if this engine started it; otherwise kill the engine's actors."""
        if not self.idle and not self.starting and not self.started_ray:
            return
        import ray

        if self.started_ray:
            ray.shutdown()
            return
        for actor in [*self.idle, *self.starting.values()]:
            with contextlib.suppress(Exception):  # the node may be lost already
                ray.kill(actor)


class _Worker:
    """The class of the actors; an actor runs one task at a time."""

    def __init__(self) -> None:
        load_credentials()
        _one_thread()

    def ready(self) -> bool:
        """Return True; the call returns once the actor has started."""
        return True

    def run(self, fn: Callable[[Task], Result], task: Task) -> Result:
        """Run one task and return its result."""
        return fn(task)


def _source_path() -> str:
    """Return the PYTHONPATH of workers: the folder of this package, then the driver's PYTHONPATH."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def _passed_environment() -> dict[str, str]:
    """Return the driver's environment variables that workers share. Ray logs them, so none may be secret."""
    return {name: value for name, value in os.environ.items() if name == "NUMBA_CACHE_DIR"}


def peak_rss_bytes() -> int:
    """Return the peak resident set size of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
