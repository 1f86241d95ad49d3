"""Phases of a run: waves of stages and global steps, in the order of what they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config.run_file import RunFile, Step
from pipeline.errors import ConfigError
from pipeline.schema import split_column


@dataclass(frozen=True)
class Phase:
    """Steps that run together: a wave of stages over one read of each shard, or one global step."""

    kind: str  # "wave" | "global"
    steps: tuple[Step, ...]

    @property
    def label(self) -> str:
        """What people call it."""
        return ", ".join(step.name for step in self.steps)


def phases(run: RunFile) -> list[Phase]:
    """Order all steps: a wave of every CPU stage that can run, then other kinds, then global steps, and again.

    Raises: ConfigError if steps read each other in a circle.
    """
    imported = {key.partition(".")[0] for source in run.sources for key in source.columns if "." in key}
    waiting = {step.name: step for step in (*run.annotate, *run.globals)}
    done: set[str] = set(imported)
    order: list[Phase] = []
    while waiting:
        ready = _closure(waiting, done)
        other = [s for s in waiting.values() if not s.is_global and read_steps(s) <= done]
        globals_ = [s for s in waiting.values() if s.is_global and read_steps(s) <= done]
        if ready:
            phase = Phase("wave", tuple(ready))
        elif other:
            phase = Phase("wave", (other[0],))
        elif globals_:
            phase = Phase("global", (globals_[0],))
        else:
            names = ", ".join(sorted(waiting))
            raise ConfigError(f"{run.path}: these steps read each other in a circle: {names}")
        order.append(phase)
        for step in phase.steps:
            done.add(step.name)
            del waiting[step.name]
    return order


def _closure(waiting: Mapping[str, Step], done: set[str]) -> list[Step]:
    """CPU stages that can run in one wave, in dependency order."""
    ready: list[Step] = []
    have = set(done)
    grew = True
    while grew:
        grew = False
        for step in waiting.values():
            cpu = not step.is_global and step.step.kind == "cpu"  # type: ignore[union-attr]
            if cpu and step not in ready and read_steps(step) <= have:
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
