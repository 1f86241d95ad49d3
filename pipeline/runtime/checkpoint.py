"""Tasks whose results outlive the run: each is written as it comes, so that a stopped run goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from pipeline.storage.store import Store

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Numbered(Generic[Task, Result]):
    """A task with its number and the key that its result is kept under."""

    fn: Callable[[Task], Result]
    number: int
    task: Task
    key: str
    store: Store


def run_numbered(task: Numbered[Task, Result]) -> tuple[int, Result]:
    """Run a task and keep its result, as JSON."""
    result = task.fn(task.task)
    task.store.put(task.key, msgspec.json.encode(result))
    return task.number, result
