"""What depends on what: the order of waves and global steps, and the recipe of every output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.config.run_file import RunFile, Step, plain_edits
from pipeline.dataset.sidecars import Shard, SidecarRef
from pipeline.errors import ConfigError
from pipeline.recipe import digest, step_recipe
from pipeline.schema import OWNERS, split_column


@dataclass(frozen=True)
class GlobalResult:
    """A finished global step: its full recipe, and a digest of each column's rows in each shard."""

    recipe: str
    digests: Mapping[str, Mapping[str, str]]


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
        other = [s for s in waiting.values() if not s.is_global and _needs(s) <= done]
        globals_ = [s for s in waiting.values() if s.is_global and _needs(s) <= done]
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
            if cpu and step not in ready and _needs(step) <= have:
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
            waiting += _needs(steps[name])
    return sorted(found)


def _needs(step: Step) -> set[str]:
    """Names of the steps whose columns a step reads."""
    return {stage for stage, _ in map(split_column, step.reads()) if stage is not None}


class Recipes:
    """Recipes and addresses of every step's output over one run file.

    A step's static recipe holds for all shards. Where a step reads a global result, its full recipe on a shard
    also takes the digest of the rows that it reads there, so that a new shard elsewhere changes nothing.
    """

    def __init__(self, run: RunFile, erased: Mapping[str, Mapping[str, list[int]]] | None = None) -> None:
        self.run = run
        owners = (run.owners,) if run.owners else ()
        self.steps = {step.name: step for step in (*run.annotate, *run.globals, *owners, *run.late)}
        self.owners: dict[str, SidecarRef] = {}  # by shard, once they are chosen
        self.erased = erased or {}  # by step: rows by shard that its index leaves out
        self.results: dict[str, GlobalResult] = {}
        self.static: dict[str, str] = {}
        self.imported: dict[str, set[str]] = {}
        for source in run.sources:
            for key in source.columns:
                if "." in key:
                    self.imported.setdefault(key.partition(".")[0], set()).add(source.name)
        for phase in phases(run):
            for step in phase.steps:
                self.static[step.name] = self._static(step)
        if run.owners and run.keep_one:
            upstream = [self.static[name] for name in (run.keep_one.of, *run.keep_one.passages) if name]
            self.static[OWNERS] = step_recipe(run.owners.step, run.owners.config, upstream)
        for step in run.late:
            self.static[step.name] = self._static(step)

    def _static(self, step: Step) -> str:
        upstream = [self.static.get(name, "imported") for name in sorted(_needs(step))]
        gate = [condition.plain() for condition in step.gate]
        base = [rule.plain() for rule in step.base]
        extra: object = None
        if gate or step.view or base or step.name != step.step.name:
            extra = [step.name, gate, plain_edits(step.view), *([base] if base else [])]
        return step_recipe(step.step, step.config, upstream, extra)

    def folder(self, name: str) -> str:
        """`annotations/<stage>/v<n>-<recipe8>` or `global/<step>/<recipe8>` (needs the global's result)."""
        step = self.steps[name]
        if step.is_global:
            return f"global/{name}/{self.results[name].recipe[:8]}"
        return f"annotations/{name}/v{step.step.version}-{self.static[name][:8]}"

    def full(self, name: str, shard: Shard) -> str | None:
        """Full recipe of a stage on a shard; None while a global result that it reads is not known."""
        step = self.steps[name]
        digests: list[object] = []
        for column in sorted(step.reads()):
            stage, plain = split_column(column)
            if stage is None or stage in self.imported:
                continue
            if self.steps[stage].is_global:
                result = self.results.get(stage)
                if result is None:
                    return None
                digests.append([column, result.digests[shard.id][plain]])
            else:
                upstream = self.full(stage, shard)
                if upstream is None:
                    return None
                if upstream != self.static[stage]:
                    digests.append([column, upstream])
        return digest([self.static[name], digests]) if digests else self.static[name]

    def ref(self, name: str, shard: Shard) -> SidecarRef:
        """Where a step's rows for a shard lie; global results they rest on must be known."""
        if name in self.imported:
            from pipeline.ingest.ingest import imported_ref

            source = next(s for s in self.run.sources if s.name == shard.source)
            return imported_ref(name, source, self.run.ingest, shard)
        if name == OWNERS:
            return self.owners[shard.id]
        if self.steps[name].is_global:
            result = self.results[name]
            return SidecarRef(f"{self.folder(name)}/rows/{shard.id}.parquet", result.recipe)
        recipe = self.full(name, shard)
        assert recipe is not None, name
        return SidecarRef(f"{self.folder(name)}/{shard.id}.parquet", recipe)

    def refs(self, columns: Iterable[str], shard: Shard) -> dict[str, SidecarRef]:
        """Refs of every step whose columns are named and which the shard has.

        Imported scores may be absent, and so are owners until they are chosen.
        """
        names = {stage for stage, _ in map(split_column, columns) if stage is not None}
        return {
            name: self.ref(name, shard)
            for name in sorted(names)
            if (name not in self.imported or shard.source in self.imported[name])
            and (name != OWNERS or shard.id in self.owners)
        }

    def loose(self, columns: Iterable[str], shard: Shard) -> dict[str, pa.DataType]:
        """Imported columns that the shard's source does not bring, with their types: they read as null."""
        brought = next((set(s.columns) for s in self.run.sources if s.name == shard.source), set())
        kinds = {}
        for source in self.run.sources:
            for column, fields in source.columns.items():
                if "." in column and column in columns and column not in brought:
                    kinds[column] = pa.string() if str(fields).endswith(":string") else pa.float64()
        return kinds

    def global_recipe(self, step: Step, shards: Iterable[Shard]) -> str | None:
        """Full recipe of a global step over these shards; None while a global that it reads is not known."""
        inputs: list[object] = []
        globals_ = sorted(n for n in _needs(step) if n in self.steps and self.steps[n].is_global)
        if any(name not in self.results for name in globals_):
            return None
        stages = sorted(n for n in _needs(step) if n in self.steps and not self.steps[n].is_global)
        erased = self.erased.get(step.name, {})
        for shard in shards:
            recipes = [self.full(name, shard) for name in stages]
            if None in recipes:
                return None
            standing = [self.run.standing(shard.source)] if step.base else []
            stale = [r for r in recipes if r not in self.static.values()]
            gone = [erased[shard.id]] if shard.id in erased else []
            inputs.append([shard.id, shard.generation, stale, *standing, *gone])
        return digest([self.static[step.name], [self.results[name].recipe for name in globals_], inputs])
