"""Checkpointed tasks: each result is stored as soon as it is computed, so that an interrupted run can resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from pipeline.errors import DamagedError
from pipeline.storage.seal import sealed_json, unsealed_json
from pipeline.storage.store import Store

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Numbered(Generic[Task, Result]):
    """A task with its number and the key under which its result is stored."""

    fn: Callable[[Task], Result]
    number: int
    task: Task
    key: str
    store: Store


def run_numbered(task: Numbered[Task, Result]) -> tuple[int, Result]:
    """Run a task, store its result as JSON, and return its number and result."""
    result = task.fn(task.task)
    task.store.put(task.key, sealed_json(msgspec.json.encode(result), task.key))
    return task.number, result


def stored_result(store: Store, key: str, kind: type[Result]) -> Result:
    """Read the result of a task.

    Raises: DamagedError if it is damaged.
    """
    where = f"{store.url}/{key}"
    try:
        return msgspec.json.decode(unsealed_json(store.get(key), key, where), type=kind)
    except msgspec.MsgspecError as error:
        raise DamagedError(f"{where}: {error}", key) from error
