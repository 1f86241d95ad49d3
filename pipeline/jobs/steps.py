"""Stages over batches of documents in memory, in the order of dependency, in this process or in several."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.annotate.wave import WaveReport, run_stage
from pipeline.config.run_file import StageStep
from pipeline.dataset.shard import Columns, Shard
from pipeline.errors import ConfigError, StageError
from pipeline.jobs.inputs import Batch
from pipeline.names import brief, check_keys, nearest
from pipeline.recipe import config_of, full_name, load_step, reading_named, step_modules
from pipeline.runtime.engines import LocalEngine
from pipeline.schema import CANONICAL, split_column
from pipeline.stage import Global, Stage, as_step, each, stage_of_function

WORKER_BYTES = 64 << 20
"""Bytes of input from which another process pays for its start and its models."""

Named = str | Mapping[str, Any] | Stage | each | Callable[..., Any]
"""A stage by its name or module, with settings as in a run file, as it is, or a plain function of a document."""


@dataclass(frozen=True)
class Measured:
    """Columns `stage.column` of a batch, (n_docs,), and the documents on which a stage raised: row -> error.

    The columns of the stage, and of those that read it, are null for these.
    """

    columns: pa.Table
    failed: Mapping[int, str] = field(default_factory=dict)


def make_step(named: Named, where: str = "stages") -> StageStep:
    """Return a stage as a step of a run.

    Raises: ConfigError if there is no such stage, it compares documents, or it asks a server.
    """
    entry: Mapping[str, Any] = named if isinstance(named, Mapping) else {}
    if entry:
        check_keys(entry, ("use", "config", "as"), where)
        named = entry.get("use", "")
    module = ""
    if isinstance(named, str):
        module = full_name(named, ("STAGE", "GLOBAL"))
        definition = load_step(module, "STAGE", where, "GLOBAL")
    elif callable(named) and not isinstance(named, Stage) and not hasattr(named, "measure"):
        definition = stage_of_function(named)
    else:
        definition = as_step(named)
    name = str(entry.get("as") or getattr(definition, "name", ""))
    if isinstance(definition, Global) or bool(getattr(definition, "needs", None)):
        raise ConfigError(f"{where}: {name} compares documents; use `dedup`, or a run file for other steps")
    if not isinstance(definition, Stage):
        raise ConfigError(
            f"{where}: {brief(named)} is no stage; expected a name, a module, a Stage or a function"
        )
    if definition.kind == "service":
        raise ConfigError(
            f"{where}: {name} asks a server; name it in a run file, and the server with --servers"
        )
    config = config_of(definition, entry.get("config"), f"{where}: {name}.config")
    definition = reading_named(definition, config)
    assert isinstance(definition, Stage)
    # the recipe of this process: functions of a notebook have no module
    module = module or f"{definition.load!r}"
    return StageStep(name=name, module=module, definition=definition, config=config)


def order_steps(steps: Sequence[StageStep], available: Iterable[str] = ()) -> list[StageStep]:
    """Return stages in the order of dependency.

    Args: available, columns of other stages that the documents have already.
    Raises: ConfigError for a column that none of them writes and that may not be null, with the stage to add.
    """
    names = [step.name for step in steps]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"stages: {repeated!r} is named twice; name each stage once")
    given = {*CANONICAL.names, *available}
    ordered, pending = list[StageStep](), list(steps)
    while pending:
        step = next((s for s in pending if not _waits_for(s, pending, given)), None)
        if step is None:
            raise ConfigError(f"stages: {', '.join(s.name for s in pending)} read each other in a circle")
        _check_reads(step, given)
        ordered.append(step)
        pending.remove(step)
        given |= {f"{step.name}.{column}" for column in step.definition.writes.names}
    return ordered


def _waits_for(step: StageStep, pending: Sequence[StageStep], given: set[str]) -> bool:
    others = {other.name for other in pending if other is not step}
    return any(split_column(name)[0] in others for name in step.definition.reads if name not in given)


def _check_reads(step: StageStep, given: set[str]) -> None:
    for column in step.definition.reads:
        if column in given or column in step.definition.optional.names:
            continue
        writer = split_column(column)[0]
        known = [name for attribute, name in step_modules() if attribute == "STAGE"]
        add = (
            f"add {writer!r} to the stages"
            if writer in known
            else f"no stage writes it{nearest(str(writer), known)}"
        )
        raise ConfigError(
            f"{step.name} reads {column}, which is not there; {add}, or pass a column of that name"
        )


def with_needed(names: Iterable[str], given: Iterable[str] = ()) -> list[str]:
    """Return names of stages with those that they read, also where null is allowed, in a stable order.

    Args: given, columns of stages that the documents have already.
    """
    there = set(given)
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        step = make_step(name)
        for column in step.definition.reads:
            if (other := split_column(column)[0]) and other != name and column not in there:
                visit(other)
        ordered.append(name)

    for name in names:
        visit(name)
    return ordered


def measure(steps: Sequence[StageStep], documents: pa.Table) -> Measured:
    """Run stages over documents.

    Args: documents, CANONICAL, and columns of other stages that are there already, (n_docs,).
    Raises: StageError if a stage breaks its contract.
    """
    report = WaveReport(Shard("the input", "", documents.num_rows, 0), {})
    columns: Columns = {name: documents[name] for name in documents.column_names}
    results: dict[str, pa.ChunkedArray] = {}
    for step in steps:
        for optional in step.definition.optional:
            if optional.name not in columns:
                nulls = pa.nulls(documents.num_rows, optional.type)
                columns = columns | {optional.name: pa.chunked_array([nulls])}
        table = run_stage(step, columns, report.shard, report)
        results |= {f"{step.name}.{name}": table[name] for name in table.column_names}
        columns = columns | results
    return Measured(pa.table(results), _failures(report, documents))


def _failures(report: WaveReport, documents: pa.Table) -> dict[int, str]:
    if not report.failed:
        return {}
    rows = {doc_id: row for row, doc_id in enumerate(documents["doc_id"].to_pylist())}
    return {
        rows[doc_id]: f"{name} raised {report.last_error[name]}"
        for name, doc_ids in report.failed.items()
        for doc_id in doc_ids
    }


def choose_workers(workers: int | None, n_bytes: int) -> int:
    """Return the number of processes for n_bytes of input: as given, else one for WORKER_BYTES, at most all cores."""
    if workers is not None:
        return workers
    return min(len(os.sched_getaffinity(0)), 1 + n_bytes // WORKER_BYTES)


def measure_batches(
    steps: Sequence[StageStep], batches: Iterable[Batch], workers: int = 1
) -> Iterator[tuple[Batch, Measured]]:
    """Run stages over batches, in order.

    Args: workers, processes; the first batch is measured in this one, which compiles what is not compiled yet.
    Raises: StageError if a process dies.
    """
    iterator = iter(batches)
    for batch in iterator:
        yield batch, measure(steps, batch.documents)
        if workers > 1:
            break
    engine = LocalEngine(workers)
    waiting: deque[tuple[Batch, Future[Measured]]] = deque()
    try:
        for batch in iterator:
            waiting.append((batch, engine.start().submit(measure, tuple(steps), batch.documents)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BrokenProcessPool as error:
        raise StageError(
            "a process that measured documents was ended from outside; it may need more memory: use --workers 1"
        ) from error
    finally:
        engine.close()
