"""Passes of a placement: tasks over blocks of documents or ranges of an order, which exchange rows through files.

Every task writes its report last, so that a run that was stopped goes on with the tasks that it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from pipeline.mapreduce.exchange import Exchange, merge_block, merge_levels
from pipeline.mapreduce.groups import read_tables, write_tables
from pipeline.release.work_folder import WorkFolder
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Report:
    """What the driver gets of a task: small tables by name, and facts as JSON."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    facts: Any = None


class PassTask(Protocol):
    """A task of a pass. store: where its report is written."""

    @property
    def store(self) -> Store:
        """Where the report is written."""
        ...


Task = TypeVar("Task", bound=PassTask)


@dataclass(frozen=True)
class _Numbered(Generic[Task]):
    fn: Callable[[Task], Report]
    number: int
    task: Task
    key: str


def _run(numbered: _Numbered[Any]) -> tuple[int, Report]:
    report = numbered.fn(numbered.task)
    write_tables(numbered.task.store, numbered.key, report.tables, report.facts)
    return numbered.number, report


class Passes:
    """Runs passes. count: called with the number of tasks of each."""

    def __init__(
        self, store: Store, engine: Engine, progress: Progress, work: WorkFolder, count: Callable[[int], None]
    ) -> None:
        self.store, self.engine, self.progress, self.work, self.count = store, engine, progress, work, count

    def run(
        self, label: str, fn: Callable[[Task], Report], tasks: Sequence[Task], name: str
    ) -> Iterator[tuple[int, Report]]:
        """Run a pass; yields number and report of each task as they end.

        Args: name, of the reports, distinct for every pass.
        """
        missing = []
        for i, task in enumerate(tasks):
            key = self.work.file(f"{name}-done", i)
            if key in self.work.done:
                yield i, Report(*read_tables(self.store, key))
            else:
                missing.append(_Numbered(fn, i, task, key))
        self.count(len(missing))
        with self.phase(label, len(missing)) as step:
            for i, report in self.engine.map(_run, missing) if missing else ():
                step()
                yield i, report

    @contextmanager
    def phase(self, label: str, n_tasks: int) -> Iterator[Callable[[], None]]:
        """Show the progress of a pass of several tasks."""
        if n_tasks < 2:
            yield lambda: None
            return
        with self.progress.phase(label, n_tasks, "tasks") as phase:
            yield phase.step

    def all(self, label: str, fn: Callable[[Task], Report], tasks: Sequence[Task], name: str) -> list[Report]:
        """Run a pass whose reports are small; returns them in the order of the tasks."""
        reports = dict(self.run(label, fn, tasks, name))
        return [reports[i] for i in range(len(tasks))]

    def exchange(self, label: str, keys: Sequence[str], n_partitions: int, name: str) -> Exchange:
        """An exchange of files, merged in levels if there are very many."""
        exchange = Exchange.of(keys, n_partitions)
        for merged, tasks in merge_levels(self.store, exchange, f"{self.work.folder}/{name}"):
            missing = [task for task in tasks if task.key not in self.work.done]
            self.count(len(missing))
            with self.phase(label, len(missing)) as step:
                for _ in self.engine.map(merge_block, missing) if missing else ():
                    step()
            exchange = merged
        return exchange
