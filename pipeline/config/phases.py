"""Phases of a run: waves of stages, and global steps, in order of dependency."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.config.run_file import GlobalStep, RunFile, StageStep, Step, derived_inputs
from pipeline.errors import ConfigError
from pipeline.schema import split_column


@dataclass(frozen=True)
class Wave:
    """Stages that run together, over one read of each shard."""

    steps: tuple[StageStep, ...]
    kind: ClassVar[str] = "wave"

    @property
    def asks(self) -> bool:
        """Whether its stage asks a server. What follows depends on rows that it may leave unanswered, so its shards are
        finished first."""
        return any(step.definition.kind == "service" for step in self.steps)

    @property
    def label(self) -> str:
        """The names of its stages."""
        return ", ".join(step.name for step in self.steps)


@dataclass(frozen=True)
class GlobalPhase:
    """One global step."""

    step: GlobalStep
    kind: ClassVar[str] = "global"

    @property
    def steps(self) -> tuple[GlobalStep]:
        """The step as a tuple, like Wave.steps."""
        return (self.step,)

    @property
    def label(self) -> str:
        """The name of the step."""
        return self.step.name


RunPhase = Wave | GlobalPhase


def phases(run: RunFile) -> list[RunPhase]:
    """Order all steps by dependency: repeatedly a wave of all CPU stages that can run, else another stage, else a
    global step.

    Raises: ConfigError if steps read each other in a circle.
    """
    imported = {key.partition(".")[0] for source in run.sources for key in source.columns if "." in key}
    pending: dict[str, Step] = {step.name: step for step in (*run.annotate, *run.globals)}
    done: set[str] = set(imported)
    order: list[RunPhase] = []
    while pending:
        ready = _closure(pending, done)
        runnable = [step for step in pending.values() if read_steps(step) <= done]
        any_stages = [step for step in runnable if isinstance(step, StageStep)]
        globals_ = [step for step in runnable if isinstance(step, GlobalStep)]
        phase: RunPhase
        if ready:
            phase = Wave(tuple(ready))
        elif any_stages:
            phase = Wave((any_stages[0],))
        elif globals_:
            phase = GlobalPhase(globals_[0])
        else:
            names = ", ".join(sorted(pending))
            raise ConfigError(f"{run.path}: these steps read each other in a circle: {names}")
        order.append(phase)
        for step in phase.steps:
            done.add(step.name)
            del pending[step.name]
    return order


def consecutive(order: Sequence[RunPhase]) -> list[list[RunPhase]]:
    """Group waves that no global step separates, so that a shard can take them one after another.

    A wave that asks a server is a group of its own: it runs elsewhere, and what follows depends on its answers.
    """
    groups: list[list[RunPhase]] = []
    for phase in order:
        last = groups[-1][-1] if groups else None
        if isinstance(phase, Wave) and isinstance(last, Wave) and not (phase.asks or last.asks):
            groups[-1].append(phase)
        else:
            groups.append([phase])
    return groups


def before_derived(run: RunFile) -> list[Wave]:
    """The waves after which documents are derived: the first one, and those up to the last that a derived source reads.

    They precede all global steps, in which derived documents take part. Later ones are not waited for, so that what
    derived sources do not read may still depend on a global step.
    """
    order = phases(run)
    leading = list(itertools.takewhile(lambda phase: isinstance(phase, Wave), order))
    edits = run.release.edits.of_parents()
    read = {column.partition(".")[0] for derived in run.derived for column in derived_inputs(derived, edits)}
    last = max(
        (i for i, phase in enumerate(leading) if read & {step.name for step in phase.steps}), default=0
    )
    return [phase for phase in leading[: last + 1] if isinstance(phase, Wave)]


def _closure(pending: Mapping[str, Step], done: set[str]) -> list[StageStep]:
    """CPU stages that can run in one wave, in order of dependency."""
    ready: list[StageStep] = []
    available = set(done)
    has_grown = True
    while has_grown:
        has_grown = False
        for step in pending.values():
            if not isinstance(step, StageStep) or step.definition.kind != "cpu" or step in ready:
                continue
            if read_steps(step) <= available:
                ready.append(step)
                available.add(step.name)
                has_grown = True
    return ready


def upstream_of(name: str, steps: Mapping[str, Step]) -> list[str]:
    """Names of a step and of all steps that it depends on, sorted."""
    names: set[str] = set()
    pending = [name]
    while pending:
        name = pending.pop()
        if name in steps and name not in names:
            names.add(name)
            pending += read_steps(steps[name])
    return sorted(names)


def read_steps(step: Step) -> set[str]:
    """Names of the steps whose columns a step reads."""
    return {stage for stage, _ in map(split_column, step.reads()) if stage is not None}
