"""Phases of a run: waves of stages and global steps, in the order of what they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipeline.config.run_file import GlobalStep, RunFile, StageStep, Step
from pipeline.errors import ConfigError
from pipeline.schema import split_column


@dataclass(frozen=True)
class Wave:
    """Stages that run together, over one read of each shard."""

    steps: tuple[StageStep, ...]
    kind: ClassVar[str] = "wave"

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
        """The step, as a wave has its steps."""
        return (self.step,)

    @property
    def label(self) -> str:
        """The name of the step."""
        return self.step.name


RunPhase = Wave | GlobalPhase


def phases(run: RunFile) -> list[RunPhase]:
    """Order all steps: a wave of every CPU stage that can run, then other kinds, then global steps, and again.

    Raises: ConfigError if steps read each other in a circle.
    """
    imported = {key.partition(".")[0] for source in run.sources for key in source.columns if "." in key}
    waiting: dict[str, Step] = {step.name: step for step in (*run.annotate, *run.globals)}
    done: set[str] = set(imported)
    order: list[RunPhase] = []
    while waiting:
        ready = _closure(waiting, done)
        runnable = [step for step in waiting.values() if read_steps(step) <= done]
        other = [step for step in runnable if isinstance(step, StageStep)]
        globals_ = [step for step in runnable if isinstance(step, GlobalStep)]
        phase: RunPhase
        if ready:
            phase = Wave(tuple(ready))
        elif other:
            phase = Wave((other[0],))
        elif globals_:
            phase = GlobalPhase(globals_[0])
        else:
            names = ", ".join(sorted(waiting))
            raise ConfigError(f"{run.path}: these steps read each other in a circle: {names}")
        order.append(phase)
        for step in phase.steps:
            done.add(step.name)
            del waiting[step.name]
    return order


def _closure(waiting: Mapping[str, Step], done: set[str]) -> list[StageStep]:
    """CPU stages that can run in one wave, in dependency order."""
    ready: list[StageStep] = []
    have = set(done)
    grew = True
    while grew:
        grew = False
        for step in waiting.values():
            if not isinstance(step, StageStep) or step.definition.kind != "cpu" or step in ready:
                continue
            if read_steps(step) <= have:
                ready.append(step)
                have.add(step.name)
                grew = True
    return ready


def upstream_of(name: str, steps: Mapping[str, Step]) -> list[str]:
    """A step and all steps that its columns rest on, sorted."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in steps and name not in found:
            found.add(name)
            waiting += read_steps(steps[name])
    return sorted(found)


def read_steps(step: Step) -> set[str]:
    """Names of the steps whose columns a step reads."""
    return {stage for stage, _ in map(split_column, step.reads()) if stage is not None}
