"""Recipes and storage keys of every step's output, computed from the steps that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.config.phases import phases, read_steps
from pipeline.config.run_file import GlobalStep, Ingest, RunFile, Source, Step, ingest_recipe, plain_edits
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef
from pipeline.recipe import digest, step_recipe
from pipeline.schema import OWNERS, split_column


@dataclass(frozen=True)
class GlobalResult:
    """A finished global step: its full recipe, and a digest of each column's rows in each shard."""

    recipe: str
    digests: Mapping[str, Mapping[str, str]]


class Recipes:
    """Recipes and addresses of every step's output over one run file.

    A step's static recipe applies to all shards. If a step reads a global result, its full recipe on a shard also
    contains the digest of the rows that it reads there, so that a new shard elsewhere does not change it.
    """

    def __init__(self, run: RunFile, erased: Mapping[str, Mapping[str, list[int]]] | None = None) -> None:
        self.run = run
        owners = (run.owners,) if run.owners else ()
        steps: tuple[Step, ...] = (*run.annotate, *run.globals, *owners, *run.late)
        self.steps = {step.name: step for step in steps}
        self.owners: dict[str, SidecarRef] = {}  # by shard id, once they are chosen
        self.erased = erased or {}  # step -> shard id -> rows that its index leaves out
        self.results: dict[str, GlobalResult] = {}
        self.open: dict[
            tuple[str, str], str
        ] = {}  # step and shard id -> recipe of a sidecar with unanswered rows
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
            self.static[OWNERS] = step_recipe(run.owners.definition, run.owners.config, upstream)
        for step in run.late:
            self.static[step.name] = self._static(step)

    def _static(self, step: Step) -> str:
        upstream = [self.static.get(name, "imported") for name in sorted(read_steps(step))]
        gate = [condition.plain() for condition in step.gate]
        base = [rule.plain() for rule in step.base]
        extra: object = None
        if gate or step.view or base or step.name != step.definition.name:
            extra = [step.name, gate, plain_edits(step.view), *([base] if base else [])]
        return step_recipe(step.definition, step.config, upstream, extra)

    def is_global(self, name: str) -> bool:
        """Whether the run file has a global step of this name."""
        return isinstance(self.steps.get(name), GlobalStep)

    def folder(self, name: str) -> str:
        """`annotations/<stage>/v<n>-<recipe8>`, or `global/<step>/<recipe8>`, for which the result must be known."""
        step = self.steps[name]
        if isinstance(step, GlobalStep):
            return f"global/{name}/{self.results[name].recipe[:8]}"
        return f"annotations/{name}/v{step.definition.version}-{self.static[name][:8]}"

    def full(self, name: str, shard: Shard) -> str | None:
        """Full recipe of a stage on a shard; None while a global result that it reads is missing."""
        if (name, shard.id) in self.open:
            return self.open[name, shard.id]
        step = self.steps[name]
        digests: list[object] = []
        for column in sorted(step.reads()):
            stage, plain = split_column(column)
            if stage is None or stage in self.imported:
                continue
            if self.is_global(stage):
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
        """Sidecar of a step for a shard; the global results that it depends on must be known."""
        if name in self.imported:
            return imported_ref(name, self.run.source_of[shard.source], self.run.ingest, shard)
        if name == OWNERS:
            return self.owners[shard.id]
        if self.is_global(name):
            result = self.results[name]
            return SidecarRef(f"{self.folder(name)}/rows/{shard.id}.parquet", result.recipe)
        recipe = self.full(name, shard)
        assert recipe is not None, name
        return SidecarRef(f"{self.folder(name)}/{shard.id}.parquet", recipe)

    def refs(self, columns: Iterable[str], shard: Shard) -> dict[str, SidecarRef]:
        """Sidecars of a shard by step, of every step that writes one of `columns`.

        Imported scores that the source lacks are left out, and so are owners until they are chosen.
        """
        names = {stage for stage, _ in map(split_column, columns) if stage is not None}
        return {
            name: self.ref(name, shard)
            for name in sorted(names)
            if (name not in self.imported or shard.source in self.imported[name])
            and (name != OWNERS or shard.id in self.owners)
        }

    def loose(self, columns: Iterable[str], shard: Shard) -> dict[str, pa.DataType]:
        """Imported columns that the shard's source lacks, with their dtypes: they are read as null."""
        source = self.run.source_of.get(shard.source)
        own = source.columns if source is not None else ()
        scores, wanted = self.run.score_columns, set(columns)
        return {c: dtype for c, dtype in scores.items() if c in wanted and c not in own}

    def global_recipe(self, step: Step, shards: Iterable[Shard]) -> str | None:
        """Full recipe of a global step over these shards; None while a global result that it reads is missing."""
        inputs: list[object] = []
        globals_ = sorted(n for n in read_steps(step) if self.is_global(n))
        if any(name not in self.results for name in globals_):
            return None
        stages = sorted(n for n in read_steps(step) if n in self.steps and not self.is_global(n))
        erased = self.erased.get(step.name, {})
        for shard in shards:
            recipes = [self.full(name, shard) for name in stages]
            if None in recipes:
                return None
            standing = [self.run.standing(shard.source)] if step.base else []
            changed = [r for r in recipes if r not in self.static.values()]
            erased_rows = [erased[shard.id]] if shard.id in erased else []
            inputs.append([shard.id, shard.generation, changed, *standing, *erased_rows])
        return digest([self.static[step.name], [self.results[name].recipe for name in globals_], inputs])


def imported_ref(prefix: str, source: Source, ingest: Ingest, shard: Shard) -> SidecarRef:
    """Sidecar of scores that were imported with the records; its recipe is the recipe of the ingest."""
    recipe = ingest_recipe(source, ingest)
    return SidecarRef(f"annotations/{prefix}/v0-{recipe[:8]}/{shard.id}.parquet", recipe)
