"""Every stage and global step of the repository, found by scanning, and the inputs to run one.

A step that reads columns of others gets them from the others, run first on the same documents.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from pipeline.recipe import absent
from pipeline.schema import CANONICAL, ROW
from pipeline.stage import Annotate, Global, Outcome, Stage
from tests.helpers.run_global import align, number_rows, run_global

PACKAGES = ("stages", "classifiers")


@functools.cache
def modules() -> tuple[str, ...]:
    """Dotted names of all modules below the scanned packages, readers apart."""
    names: list[str] = []
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
    return tuple(sorted(name for name in names if not name.startswith("stages.readers")))


@functools.cache
def found() -> dict[str, Stage | Global]:
    """Module -> its STAGE or GLOBAL; a module that cannot be imported fails a test of its own."""
    steps: dict[str, Stage | Global] = {}
    for name in modules():
        try:
            module = importlib.import_module(name)
        except Exception:
            continue
        step = getattr(module, "STAGE", None) or getattr(module, "GLOBAL", None)
        if isinstance(step, (Stage, Global)) and step not in steps.values():
            steps[name] = step
    return steps


@functools.cache
def stages() -> dict[str, Stage]:
    """Module -> stage that can be loaded here and whose output is the same everywhere, unlike torch's."""
    cpu = {name: step for name, step in found().items() if isinstance(step, Stage) and step.kind == "cpu"}
    return {name: step for name, step in cpu.items() if not absent(step)}


@functools.cache
def globals_() -> dict[str, Global]:
    """Module -> global step."""
    return {name: step for name, step in found().items() if isinstance(step, Global)}


@functools.cache
def loaded(name: str) -> Annotate:
    """The annotate function of the stage with this name, with its default config."""
    stage = producer(name)
    assert isinstance(stage, Stage)
    return stage.load(stage.config())


def producer(name: str) -> Stage | Global:
    """The step that writes columns `name.*`.

    Raises: LookupError if there is none.
    """
    for step in found().values():
        if step.name == name:
            return step
    raise LookupError(f"no stage or global step is named {name!r}")


class Corpus:
    """Canonical documents in shards, with the columns of all steps on them, computed on demand."""

    def __init__(self, shards: Sequence[pa.Table]) -> None:
        self.shards = number_rows(shards)
        self.written: dict[str, list[pa.Table]] = {}

    def inputs(self, step: Stage | Global) -> list[pa.Table]:
        """The columns that a step reads, a table for each shard; a global step also gets `row`."""
        names = [*step.reads, ROW] if isinstance(step, Global) else list(step.reads)
        columns = [self._column(name) for name in names]
        return [pa.table(list(values), names=names) for values in zip(*columns, strict=True)]

    def outcome(self, step: Global, n_partitions: int = 1) -> Outcome:
        """Run a global step with its default config."""
        return run_global(step, self.inputs(step), step.config(), n_partitions)

    def _column(self, name: str) -> list[pa.ChunkedArray | pa.Array]:
        prefix, dot, column = name.partition(".")
        if not dot:
            known = name == ROW or name in CANONICAL.names
            return [shard[name] if known else handed(name, shard.num_rows) for shard in self.shards]
        if prefix not in self.written:
            self.written[prefix] = self._run(producer(prefix))
        return [table[column] for table in self.written[prefix]]

    def _run(self, step: Stage | Global) -> list[pa.Table]:
        if isinstance(step, Stage):
            return [loaded(step.name)(table) for table in self.inputs(step)]
        joined = align(self.outcome(step), self.shards, step)
        names = [f"{step.name}.{column}" for column in step.writes.names]
        return [table.select(names).rename_columns(step.writes.names) for table in joined]


def handed(name: str, n_rows: int) -> pa.Array:
    """A plain column that the engine adds for a step: an order to compare by, or a boolean."""
    numbers = np.arange(n_rows) * 7 % 5
    if name == "order":
        return pa.array([[float(number)] for number in numbers], pa.list_(pa.float64()))
    if name == "step":
        return pa.repeat(pa.scalar(0, pa.int32()), n_rows)
    return pa.array(numbers != 3)


def cut(table: pa.Table, sizes: Iterable[int]) -> list[pa.Table]:
    """Cut a table into batches of these sizes and a rest; at least one batch."""
    parts, start = [], 0
    for size in sizes:
        if start < table.num_rows:
            parts.append(table.slice(start, size))
            start += size
    if start < table.num_rows or not parts:
        parts.append(table.slice(start))
    return parts


def values(table: pa.Table) -> str:
    """A table's schema and values in a form in which equal means equal, NaN included."""
    return f"{table.schema}\n{table.to_pylist()}"
