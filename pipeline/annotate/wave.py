"""One wave over one shard: the text is read once, and every pending stage annotates each batch in turn.

Each stage receives exactly the columns that it declares. Its result is checked against the contract, a failing batch is
bisected to single rows, and the result is written as one sidecar per stage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.annotate.views import view_text
from pipeline.config.run_file import StageStep
from pipeline.dataset.shard import Columns, Shard, null_column, read_batches
from pipeline.dataset.sidecars import SidecarRef, read_columns, write_sidecar
from pipeline.errors import BicorpusError, StageError
from pipeline.recipe import digest
from pipeline.rules.rules import Condition
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.runtime.gpus import CPU, GPU
from pipeline.schema import CANONICAL, SPANS
from pipeline.service import Served
from pipeline.spans import check_spans
from pipeline.stage import Annotate
from pipeline.storage.store import Store
from pipeline.translation import message


@dataclass(frozen=True)
class WaveTask:
    """One shard and the stages to run on it, in dependency order.

    refs: sidecars to read, by step name; outputs: sidecars to write, by step name; loose: columns that may be absent
    (imported scores of other sources), with dtypes; batch_rows: largest batch, for tests; None for row groups.
    """

    store: Store
    shard: Shard
    steps: tuple[StageStep, ...]
    refs: Mapping[str, SidecarRef]
    outputs: Mapping[str, SidecarRef]
    loose: Mapping[str, pa.DataType] = field(default_factory=dict)
    batch_rows: int | None = None

    @property
    def pool(self) -> str:
        """The pool of workers that runs it: a stage of kind torch takes one with a GPU where there is one."""
        return GPU if any(step.definition.kind == "torch" for step in self.steps) else CPU


@dataclass
class WaveReport:
    """Summary of a wave task.

    outputs: sidecars written, by stage. cpu_s: CPU-seconds by stage, `read` and `write` included. failed: doc_ids by
    stage. n_open: rows that a later run has to ask again, by stage; a sidecar with some has a recipe of its own.
    gated_out: rows outside the gate, by stage. n_bytes: of text; peak_rss: bytes. wall_s: seconds in the
    worker, and devices: hardware, by stage of kind torch; began, ended: of the task, seconds since the epoch.
    written: bytes of the sidecar, by stage.
    """

    shard: Shard
    outputs: Mapping[str, SidecarRef]
    cpu_s: dict[str, float] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    n_open: dict[str, int] = field(default_factory=dict)
    last_error: dict[str, str] = field(default_factory=dict)
    gated_out: dict[str, int] = field(default_factory=dict)
    n_bytes: int = 0
    peak_rss: int = 0
    wall_s: dict[str, float] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    written: dict[str, int] = field(default_factory=dict)


_LOADED: dict[str, Annotate] = {}
"""Loaded stages of this process by module and config: the cache of models."""


def load_once(step: StageStep) -> Annotate:
    """The step's annotate function, loaded once per process."""
    key = digest([step.module, step.config])
    if key not in _LOADED:
        _LOADED[key] = step.definition.load(step.config)
    return _LOADED[key]


def keep_served(step: StageStep, served: Served) -> None:
    """Make a stage of kind service use this server in this process."""
    _LOADED[digest([step.module, step.config])] = served


def note_open(step: StageStep, table: pa.Table, report: WaveReport) -> None:
    """Count rows that a service left open, and give their sidecar a recipe of its own, from which others follow."""
    if step.definition.kind != "service":
        return
    served = load_once(step)
    n_open = served.n_open(table)  # type: ignore[attr-defined]  # see keep_served
    if n_open:
        ref = report.outputs[step.name]
        partial = replace(ref, recipe=digest([ref.recipe, "open", table.to_pylist()]))
        report.outputs = {**report.outputs, step.name: partial}
        report.n_open[step.name] = n_open


def annotate_shard(task: WaveTask) -> WaveReport:
    """Run the stages of a wave over a shard and write their sidecars.

    Raises: StageError if a stage breaks its contract, or fails on more documents than max_failed_share allows.
    """
    report = WaveReport(task.shard, task.outputs)
    clock = _Clock(report.cpu_s)
    pending = {step.name for step in task.steps}
    reads = set().union(*(step.reads() for step in task.steps))
    text = {"text"} if any(step.reads_text for step in task.steps) else set()
    canonical = sorted((reads & set(CANONICAL.names)) | {"doc_id"} | text)
    stored = {
        c
        for c in reads - task.loose.keys()
        if "." in c and c.partition(".")[0] not in pending and c.partition(".")[0] in task.refs
    }
    sidecars = read_columns(task.store, task.shard, task.refs, stored)
    results: dict[str, list[pa.Table]] = {step.name: [] for step in task.steps}
    start = 0
    clock.lap("read")
    for batch in _slices(read_batches(task.store, task.shard, canonical), task.batch_rows):
        columns: Columns = {name: batch[name] for name in canonical}
        columns |= {name: column.slice(start, batch.num_rows) for name, column in sidecars.items()}
        columns |= {
            c: null_column(task.loose[c], batch.num_rows)
            for c in reads
            if c in task.loose and c not in columns
        }
        clock.lap("read")
        for step in task.steps:
            began = time.monotonic()
            table = run_stage(step, columns, task.shard, report)
            if step.definition.kind == "torch":
                report.wall_s[step.name] = report.wall_s.get(step.name, 0.0) + time.monotonic() - began
                report.devices[step.name] = getattr(load_once(step), "device", "CPU")
            results[step.name].append(table)
            columns |= {f"{step.name}.{name}": table[name] for name in table.column_names}
            clock.lap(step.name)
        start += batch.num_rows
    for step in task.steps:
        failed = report.failed.get(step.name, [])
        if len(failed) > step.max_failed_share * task.shard.n_rows:
            raise StageError(_failure_message(step, task.shard, failed, report))
        table = (
            pa.concat_tables(results[step.name])
            if results[step.name]
            else step.definition.writes.empty_table()
        )
        note_open(step, table, report)
        report.written[step.name] = write_sidecar(task.store, report.outputs[step.name], table, task.shard)
    clock.lap("write")
    report.n_bytes = task.shard.text_bytes
    report.peak_rss = peak_rss_bytes()
    report.ended = time.time()
    return report


def _slices(batches: Iterator[pa.Table], batch_rows: int | None) -> Iterator[pa.Table]:
    for batch in batches:
        n_rows = batch_rows or max(batch.num_rows, 1)
        yield from (batch.slice(start, n_rows) for start in range(0, batch.num_rows, n_rows))


class _Clock:
    """Adds up CPU seconds by name."""

    def __init__(self, totals: dict[str, float]) -> None:
        self.totals, self.last = totals, time.process_time()

    def lap(self, name: str) -> None:
        """Add the CPU time since the last lap to `name`."""
        now = time.process_time()
        self.totals[name] = self.totals.get(name, 0.0) + now - self.last
        self.last = now


def run_stage(step: StageStep, columns: Columns, shard: Shard, report: WaveReport) -> pa.Table:
    """Annotate one batch: apply the view and the gate, run the stage and check its result.

    Args: columns, by name, all that step.reads() names and `doc_id`; report, to which failures are added.
    Returns: the columns of the stage's `writes`, (n_rows,); rows outside the gate are null.
    Raises: StageError if the stage breaks its contract, with the doc_id of the row if there is one.
    """
    table = pa.table({name: columns[name] for name in step.definition.reads})
    if step.view is not None and "text" in step.definition.reads:
        edited = view_text(step.view, columns)
        table = table.set_column(table.column_names.index("text"), "text", edited)
    inside = gate_rows(step.gate, columns) if step.gate else None
    if inside is not None:
        report.gated_out[step.name] = report.gated_out.get(step.name, 0) + len(inside) - int(inside.sum())
        table = table.filter(pa.array(inside))
    doc_ids = columns["doc_id"] if inside is None else columns["doc_id"].filter(pa.array(inside))
    try:
        result, bad = bisect(step, table)
    except StageError as error:
        if error.row is None:
            raise
        raise StageError(f"{error} ({doc_ids[error.row].as_py()} of {shard.id})") from error
    if bad:
        report.failed.setdefault(step.name, []).extend(doc_ids[row].as_py() for row in bad)
        report.last_error[step.name] = bad[max(bad)]
    for name in result.column_names:
        if result.schema.field(name).type == SPANS and step.view is None:
            check_spans(result[name], table["text"], f"{step.name}.{name} of {shard.id}")
    return result if inside is None else scatter(result, inside)


def gate_rows(gate: tuple[Condition, ...], columns: Columns) -> np.ndarray:
    """Which rows pass all conditions of a gate: bool (n_rows,). A null value does not pass."""
    inside = np.ones(len(columns["doc_id"]), bool)
    for condition in gate:
        passed = pc.fill_null(condition.passes(columns), False)
        inside &= np.asarray(passed.combine_chunks()).astype(bool)
    return inside


def scatter(table: pa.Table, inside: np.ndarray) -> pa.Table:
    """Put rows back at their positions; the others are null. inside: bool (n_rows,), true for the rows of the table."""
    index = np.where(inside, np.cumsum(inside) - 1, 0)
    indices = pa.array(index, mask=~inside)
    if table.num_rows == 0:
        return pa.table([pa.nulls(len(inside), f.type) for f in table.schema], schema=table.schema)
    return table.take(indices)


def bisect(step: StageStep, table: pa.Table, start: int = 0) -> tuple[pa.Table, dict[int, str]]:
    """Annotate a table; if the stage raises, halve the table until each row at fault is alone, and write null for it.

    Args: start, row of the batch at which the table begins.
    Returns: the annotations, and the error by row at fault.
    Raises: StageError if the stage breaks its contract; its `row` is relative to the batch.
    """
    try:
        return annotate_checked(step, table), {}
    except BicorpusError as error:
        if isinstance(error, StageError) and error.row is not None:
            error.row += start
        raise
    except Exception as error:  # a stage may raise anything; the rows at fault are reported
        if table.num_rows == 0:
            raise StageError(f"{step.name}: raised on an empty batch: {error!r}") from error
        if table.num_rows == 1:
            writes = step.definition.writes
            return pa.table([pa.nulls(1, f.type) for f in writes], schema=writes), {start: repr(error)}
    half = table.num_rows // 2
    first_half, bad_first = bisect(step, table.slice(0, half), start)
    second_half, bad_second = bisect(step, table.slice(half), start + half)
    return pa.concat_tables([first_half, second_half]), bad_first | bad_second


def annotate_checked(step: StageStep, table: pa.Table) -> pa.Table:
    """Annotate a table and check the result.

    Raises: StageError unless it has the declared schema and a row for each document.
    """
    result = load_once(step)(table)
    if not result.schema.equals(step.definition.writes):
        raise StageError(
            f"{step.name}: wrote {_flat(result.schema)}; it declares {_flat(step.definition.writes)}"
        )
    if result.num_rows != table.num_rows:
        raise StageError(f"{step.name}: wrote {result.num_rows:,} rows for {table.num_rows:,} documents")
    return result


def _flat(schema: pa.Schema) -> str:
    return ", ".join(f"{f.name}: {f.type}" for f in schema)


def _failure_message(step: StageStep, shard: Shard, failed: list[str], report: WaveReport) -> str:
    names = ", ".join(failed[:5]) + (message(f" and {len(failed) - 5:,} more") if len(failed) > 5 else "")
    return message(
        f"{step.name} raised on {len(failed):,} of {shard.n_rows:,} documents of {shard.id}: {names}; the last error "
        f"was {report.last_error[step.name]}. Look at one with `bicorpus explain`, or set max_failed_share on the "
        "stage to write nulls for them"
    )
