"""Engines that run many tasks: on Ray, or in a process pool on this machine. Only this module and `cluster` import Ray.

A task is a picklable function and one picklable argument; both are small, because data is exchanged through the
store. Tasks are pure except for atomic writes of the same bytes, so a task that lost its worker is run again.

There are two pools of workers. A task whose attribute `pool` is `gpu` runs a model: it gets a worker with a GPU or a
share of one, and an ordinary worker where there is no GPU. Both pools work at the same time, and the task that follows
from a result starts as soon as its pool has a free worker, so no stage waits for the whole of another. Queues hold
addresses in the store, not data, so their length needs no bound.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pipeline import __version__
from pipeline.errors import BicorpusError, UsageError
from pipeline.runtime.cluster import (
    check_worker,
    end_process,
    host_and_port,
    join,
    missing_package,
    watch_head,
)
from pipeline.runtime.gpus import CPU, GPU, Gpus, device_for, visible_gpus
from pipeline.storage.credentials import FILE, load_credentials, write_credentials
from pipeline.storage.scratch import scratch
from pipeline.translation import message

Task = TypeVar("Task")
Result = TypeVar("Result")
MAX_ATTEMPTS = 5
"""Largest number of workers that a task may lose (killed, out of memory, node lost) before the run fails."""

MAX_FAILED_STARTS = 20
"""Consecutive workers that may die while starting: nodes may be added and lost, but a broken one must not loop."""


class Engine(Protocol):
    """Runs tasks. It is started by the first task, so that an empty plan starts nothing."""

    def map(
        self,
        fn: Callable[[Task], Result],
        tasks: Sequence[Task],
        follow: Callable[[Result], Task | None] | None = None,
    ) -> Iterator[Result]:
        """Yield results as tasks finish, in any order.

        Args: follow, from a result, the task that waits for it, or None; it precedes those that have not begun.
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
        return "ray", message(f"engine ray, at {address}")
    bound = RAY_BYTES * (workers or len(os.sched_getaffinity(0)))
    size = n_bytes()
    kind = "local" if size < bound else "ray"
    return (
        kind,
        message(
            f"engine {kind}: {size / 1e6:,.1f} MB of input (ray from {bound / 1e9:,.0f} GB; --engine sets it)"
        ),
    )


def open_engine(
    kind: str, workers: int | None = None, address: str | None = None, gpus: Gpus | None = None
) -> Engine:
    """Return the engine `local` or `ray`.

    Args: workers, number of processes (default: all cores of the machine or cluster); address, of a running Ray
    cluster; None starts Ray on this machine; gpus, for models, None for all that there are.
    Raises: UsageError if workers is below 1.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}; expected at least 1")
    return LocalEngine(workers, gpus) if kind == "local" else RayEngine(workers, address, gpus)


class Waiting(Generic[Task]):
    """Tasks that have not begun, with the number of the attempt, by pool."""

    def __init__(self, tasks: Sequence[Task], has_gpus: bool) -> None:
        self.has_gpus = has_gpus
        self.queues: dict[str, deque[tuple[Task, int]]] = {CPU: deque(), GPU: deque()}
        for task in tasks:
            self.queues[self.pool_of(task)].append((task, 1))

    def __bool__(self) -> bool:
        return any(self.queues.values())

    def pool_of(self, task: Task) -> str:
        """The pool that runs a task."""
        return GPU if self.has_gpus and getattr(task, "pool", CPU) == GPU else CPU

    def first(self, task: Task, attempt: int = 1) -> None:
        """Put a task before the others of its pool."""
        self.queues[self.pool_of(task)].appendleft((task, attempt))


class LocalEngine:
    """Process pools on this machine that replace dead workers."""

    def __init__(self, workers: int | None = None, gpus: Gpus | None = None) -> None:
        self.workers, self.gpus = workers or len(os.sched_getaffinity(0)), gpus or Gpus()
        self.sizes = {CPU: self.workers, GPU: self.gpus.workers(len(visible_gpus()))}
        self.pools: dict[str, ProcessPoolExecutor] = {}

    def map(
        self, fn: Callable[[Task], Result], tasks: Sequence[Task],
        follow: Callable[[Result], Task | None] | None = None,
    ) -> Iterator[Result]:  # fmt: skip
        """See Engine.map."""
        waiting = Waiting(tasks, self.sizes[GPU] > 0)
        running: dict[Future[Result], tuple[Task, int]] = {}
        while waiting or running:
            for pool, queue in waiting.queues.items():
                n_running = sum(waiting.pool_of(task) == pool for task, _ in running.values())
                for _ in range(min(self.sizes[pool] - n_running, len(queue))):
                    task, attempt = queue.popleft()
                    running[self.start(pool).submit(fn, task)] = (task, attempt)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                if future not in running:  # lost with its pool, and queued again
                    continue
                task, attempt = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool as error:
                    pool = waiting.pool_of(task)
                    lost = [f for f, (other, _) in running.items() if waiting.pool_of(other) == pool]
                    self.stop(pool, kill=True)
                    for each in [(task, attempt), *(running.pop(f) for f in lost)]:
                        waiting.first(*_retry(*each, error))
                    continue
                if follow is not None and (following := follow(result)) is not None:
                    waiting.first(following)
                yield result

    def start(self, pool: str = CPU) -> ProcessPoolExecutor:
        """Return a pool, started on first use."""
        if pool not in self.pools:
            context = multiprocessing.get_context("forkserver")
            number = context.Value("i", 0) if pool == GPU else None
            self.pools[pool] = ProcessPoolExecutor(
                self.sizes[pool], context, initializer=_quiet_worker, initargs=(number, self.gpus)
            )
        return self.pools[pool]

    def stop(self, pool: str, kill: bool) -> None:
        """Shut a pool down; with `kill`, without waiting for running tasks."""
        executor = self.pools.pop(pool, None)
        if executor is None:
            return
        processes = list((executor._processes or {}).values())
        executor.shutdown(wait=not kill, cancel_futures=True)
        if kill:
            for process in processes:
                process.kill()

    def close(self) -> None:
        """See Engine.close."""
        for pool in (CPU, GPU):
            self.stop(pool, kill=True)


class SerialEngine:
    """Runs tasks one after another in this process, for commands that read a finished build."""

    def map(
        self, fn: Callable[[Task], Result], tasks: Sequence[Task],
        follow: Callable[[Result], Task | None] | None = None,
    ) -> Iterator[Result]:  # fmt: skip
        """See Engine.map."""
        for task in tasks:
            next_task: Task | None = task
            while next_task is not None:
                result = fn(next_task)
                next_task = follow(result) if follow else None
                yield result

    def close(self) -> None:
        """Do nothing: there is no worker to stop."""


def _quiet_worker(number: Any = None, gpus: Gpus | None = None) -> None:
    """Make a worker ignore Ctrl-C, exit with the driver, restrict the threads of libraries, and see one GPU or none.

    Args: number, a shared counter of the workers with a GPU (Any: multiprocessing's proxies have no types), None for
    workers without one.
    """
    import signal

    os.environ["CUDA_VISIBLE_DEVICES"] = _take_gpu(number, gpus) if number is not None and gpus else ""

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, name="end with driver", daemon=True).start()
    _one_thread()


def _take_gpu(number: Any, gpus: Gpus) -> str:
    with number.get_lock():
        number.value += 1
        return device_for(number.value - 1, gpus)


def _end_with_driver() -> None:
    """Exit when the driver exits: a killed driver closes no queue, and its workers would wait for ever."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


def _one_thread() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(2)


def _retry(task: Task, attempt: int, error: BaseException) -> tuple[Task, int]:
    """Return the task, or what it becomes after a loss, with its next attempt.

    Raises: BicorpusError after MAX_ATTEMPTS.
    """
    if attempt >= MAX_ATTEMPTS:
        raise BicorpusError(
            f"{_label(task)}: lost its worker {attempt} times ({error or type(error).__name__}); it may need more "
            "memory: use fewer --workers or a smaller ingest.shard_bytes"
        ) from error
    after_loss = getattr(task, "after_loss", None)
    return (after_loss() if after_loss else task), attempt + 1


def _label(task: object) -> str:
    """Return a short description of a task for messages: its type and the shard, group or key it works on."""
    for name in ("group.label", "shard.id", "key", "folder"):
        with contextlib.suppress(AttributeError):
            return f"{type(task).__name__} of {attrgetter(name)(task)}"
    return type(task).__name__


def task_name(fn: Callable[..., object], task: object) -> str:
    """Return the name of a task in Ray's dashboard: function, and the shard, group or key it works on."""
    inner, done = getattr(task, "task", task), getattr(task, "fn", fn)
    return f"{done.__name__} {_label(inner).partition(' of ')[2]}".strip()


class RayEngine:
    """Pools of Ray actors: each loads a model once, and a lost node costs only its running tasks.

    Ordinary actors have one core. Those that run models have a GPU or a share of one and reserve no core: the ordinary
    ones take all, and a model is kept busy by its GPU. Ray never restarts actors. The task of a dead actor returns to
    the queue, and a new actor is requested, which starts when the cluster has room for it.
    """

    def __init__(
        self, workers: int | None = None, address: str | None = None, gpus: Gpus | None = None
    ) -> None:
        self.workers, self.address, self.gpus = workers, address, gpus or Gpus()
        self.started_ray = False
        self.n_gpu_workers = 0
        self.idle: dict[str, list[Any]] = {
            CPU: [],
            GPU: [],
        }  # Any: Ray has no static type for an actor handle
        self.starting: dict[Any, tuple[Any, str]] = {}
        self.failed_starts = 0
        self.is_over = threading.Event()
        self.private = contextlib.ExitStack()  # removes the folder of the file with credentials

    def map(
        self, fn: Callable[[Task], Result], tasks: Sequence[Task],
        follow: Callable[[Result], Task | None] | None = None,
    ) -> Iterator[Result]:  # fmt: skip
        """See Engine.map."""
        if not tasks:
            return
        self.start()
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        waiting = Waiting(tasks, self.n_gpu_workers > 0)
        running: dict[Any, tuple[Any, Task, int]] = {}
        while waiting or running:
            for pool, queue in waiting.queues.items():
                if queue and pool == GPU:
                    self.start_gpu_workers(
                        sum(waiting.pool_of(task) == GPU for _, task, _ in running.values())
                    )
                while queue and self.idle[pool]:
                    actor = self.idle[pool].pop()
                    task, attempt = queue.popleft()
                    call = actor.run.options(name=task_name(fn, task))
                    running[call.remote(fn, task)] = (actor, task, attempt)
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
                    check_worker(*result)
                    actor, pool = self.starting.pop(reference)
                    self.idle[pool].append(actor)
                    self.failed_starts = 0
                    continue
                actor, task, _ = running.pop(reference)
                self.idle[waiting.pool_of(task)].append(actor)
                if follow is not None and (following := follow(result)) is not None:
                    waiting.first(following)
                yield result

    def lost(
        self, reference: Any, running: dict[Any, Any], waiting: Waiting[Any], error: BaseException
    ) -> None:
        """Return the task of a dead actor to the queue and request another actor.

        Raises: BicorpusError if the task lost MAX_ATTEMPTS workers, or MAX_FAILED_STARTS actors in a row died while
        starting.
        """
        import ray

        if reference in self.starting:
            actor, pool = self.starting.pop(reference)
            self.failed_starts += 1
            if package := missing_package(error):
                raise BicorpusError(
                    f"a worker has no package {package}; install bicorpus {__version__} with all it needs on every node"
                ) from error
            if self.failed_starts > MAX_FAILED_STARTS:
                raise BicorpusError(
                    f"{self.failed_starts} workers in a row died while starting ({error}); check that every node of "
                    "the cluster has this Python, bicorpus and its libraries"
                ) from error
        else:
            actor, task, attempt = running.pop(reference)
            pool = waiting.pool_of(task)
            waiting.first(*_retry(task, attempt, error))
        ray.kill(actor)  # an actor that only lost its connection would keep its core
        time.sleep(0.2)
        self.add_actor(pool)

    def start(self) -> None:
        """Connect to Ray or start it, and request the ordinary actors, once."""
        import ray

        if not ray.is_initialized():
            options = self.options()
            if self.address:
                join(options)
                gcs = host_and_port(ray.get_runtime_context().gcs_address)
                if gcs is not None:
                    watch_head(gcs, self.is_over, end_process)
            else:
                ray.init(**options)
            self.started_ray = True
        resources = ray.cluster_resources()
        self.n_gpu_workers = self.gpus.workers(int(resources.get("GPU", 0)))
        if not any(self.idle.values()) and not self.starting:
            for _ in range(self.workers or max(int(resources.get("CPU", 1)), 1)):
                self.add_actor(CPU)

    def start_gpu_workers(self, n_running: int) -> None:
        """Request the actors with a GPU when the first task for one is waiting. n_running: those with a task."""
        n_starting = sum(pool == GPU for _, pool in self.starting.values())
        if not n_running and not n_starting and not self.idle[GPU]:
            for _ in range(self.n_gpu_workers):
                self.add_actor(GPU)

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
        gpus = {} if self.gpus.n is None else {"num_gpus": self.gpus.n}
        return {
            "address": "local",
            "num_cpus": cpus,
            **gpus,
            "include_dashboard": False,
            "object_store_memory": 200 << 20,
            **common,
        }

    def add_actor(self, pool: str) -> None:
        """Request one actor; it is idle once its `ready` has returned."""
        import ray

        needs = {"num_cpus": 1} if pool == CPU else {"num_cpus": 0, "num_gpus": self.gpus.share}
        actor: Any = ray.remote(**needs, max_restarts=0, max_task_retries=0)(_Worker).remote()
        self.starting[actor.ready.remote()] = (actor, pool)

    def close(self) -> None:
        """See Engine.close."""
        self.is_over.set()
        with self.private:
            self.stop()

    def stop(self) -> None:
        """Shut Ray down if this engine started it; otherwise kill the engine's actors."""
        actors = [*self.idle[CPU], *self.idle[GPU], *(actor for actor, _ in self.starting.values())]
        if not actors and not self.started_ray:
            return
        import ray

        if self.started_ray:
            ray.shutdown()
            return
        for actor in actors:
            with contextlib.suppress(Exception):  # the node may be lost already
                ray.kill(actor)


class _Worker:
    """The class of the actors; an actor runs one task at a time."""

    def __init__(self) -> None:
        load_credentials()
        _one_thread()

    def ready(self) -> tuple[str, str]:
        """Return the version of bicorpus and the name of the node; the call returns once the actor has started."""
        return __version__, socket.gethostname()

    def run(self, fn: Callable[[Task], Result], task: Task) -> Result:
        """Run one task and return its result."""
        return fn(task)


def _source_path() -> str:
    """Return the PYTHONPATH of workers: the folder of this package, then the driver's PYTHONPATH."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def _passed_environment() -> dict[str, str]:
    """Return the driver's environment variables that workers share. Ray logs them, so none may be secret."""
    shared = ("NUMBA_CACHE_DIR", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME")
    return {name: value for name, value in os.environ.items() if name in shared}


def peak_rss_bytes() -> int:
    """Return the peak resident set size of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
