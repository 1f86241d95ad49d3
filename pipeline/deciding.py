"""Deciding over a build: every shard's decision with its quantile cuts, keepers and owners of passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.decide import Copies, Decision, PopulationTask, count_population
from pipeline.errors import UsageError
from pipeline.feed import Feed
from pipeline.graph import GlobalResult
from pipeline.passages import Passages
from pipeline.recipe import digest, step_recipe
from pipeline.rules import Cuts, Rule
from pipeline.run_file import Step
from pipeline.schema import OWNERS
from pipeline.sidecars import Shard, SidecarRef

if TYPE_CHECKING:
    from pipeline.build import Build


class Deciding:
    """Makes the decisions of a build; keepers and owners are looked up or chosen, nothing else is computed or stored.

    columns: annotation columns that decisions and the release read. lost_passages: of the last decisions, passages
    that late rules left no document to stand in.
    """

    def __init__(self, build: Build, columns: set[str]) -> None:
        self.build, self.run_file, self.store, self.columns = build, build.run_file, build.store, columns
        self.look_up_only = False
        self.lost_passages = 0
        self.earlier, self.against = earlier_ledgers(build)

    def decisions(self) -> list[Decision]:
        """What decides over each shard; cuts, keepers and owners included.

        Documents that others were derived from are decided first, because those stay only with their parents. No
        cluster and no passage holds documents of both kinds.
        """
        done: dict[str, Decision] = {}
        self.lost_passages = 0
        parents = self.build.parents
        plain = self.rules_only()
        for derived in (False, True):
            wave = [d for d in plain if (d.shard.id in parents) == derived]
            if derived:
                wave = [replace(d, parent=done[parents[d.shard.id]]) for d in wave]
            done |= {d.shard.id: d for d in self.with_copies(wave)}
        return [done[d.shard.id] for d in plain]

    def found(self) -> list[Decision]:
        """The decisions, if all that they need is in the store.

        Raises: LookupError if keepers or owners are still to be chosen.
        """
        self.look_up_only = True
        try:
            return self.decisions()
        finally:
            self.look_up_only = False

    def with_copies(self, decisions: Sequence[Decision]) -> Sequence[Decision]:
        """Add keepers and owners to what rules and parents decide."""
        keep_one = self.run_file.keep_one
        if keep_one is None or not decisions:
            return decisions
        if keep_one.of:
            keepers = self.keepers(decisions)
            decisions = [replace(d, keepers=keepers[d.shard.id]) for d in decisions]
        if keep_one.passages:
            judged = self.owners(decisions)
            decisions = [replace(d, judged=judged[d.shard.id]) for d in decisions]
            if any(rule.is_late and rule.action == "drop" for rule in self.run_file.select):
                owners = self.owners(decisions)  # once more, among what the late rules leave
                self.lost_passages += self.count_passages(judged) - self.count_passages(owners)
            else:
                owners = judged
            decisions = [replace(d, refs={**d.refs, OWNERS: owners[d.shard.id]}) for d in decisions]
        return decisions

    def rules_only(self) -> list[Decision]:
        """What the rules decide over each shard, quantile cuts included, keepers not."""
        plain = [self.plain(shard, self.run_file.select) for shard in self.build.shards]
        cuts = self.cuts(plain)
        return [replace(d, cuts=cuts) for d in plain]

    def plain(self, shard: Shard, rules: Sequence[Rule]) -> Decision:
        """Rules over a shard, without what has to be worked out first."""
        run, recipes = self.run_file, self.build.recipes
        rank, profile = run.standing(shard.source)
        columns = self.columns | {column for rule in rules for column in rule.columns()}
        return Decision(
            shard=shard, rules=tuple(rules), refs=recipes.refs(columns, shard), loose=recipes.loose(columns, shard),
            rank=rank, profile=profile, keep_one=run.keep_one, reference=run.is_reference(shard.source),
            earlier=self.earlier.get(shard.id),
        )  # fmt: skip

    def cuts(self, decisions: Sequence[Decision]) -> Cuts | None:
        """Quantile cuts over the population, if any rule asks for one."""
        conditions = [c for rule in self.run_file.select for c in (*rule.conditions, *rule.where)]
        if not any(condition.quantile for condition in conditions):
            return None
        cuts = Cuts()
        with self.build.progress.phase("quantiles", len(decisions)) as phase:
            for counts in self.build.engine.map(
                count_population, [PopulationTask(self.store, d) for d in decisions]
            ):
                for count in counts:
                    cuts.add(*count)
                phase.step()
        return cuts

    def copies_recipe(self, decisions: Sequence[Decision]) -> str:
        """Hash all that the choice of keepers and owners depends on, the steps themselves aside."""
        run = self.run_file
        assert run.keep_one is not None
        names = {c for rule in run.select for c in rule.columns()} | run.keep_one.columns()
        refs = self.build.recipes.refs
        chosen = [[ref.recipe for ref in _chosen(d)] for d in decisions]
        parents = [[ref.recipe for ref in _chosen(d.parent)] if d.parent else None for d in decisions]
        shards = [
            [d.shard.id, d.rank, d.profile, {name: ref.recipe for name, ref in refs(names, d.shard).items()}]
            for d in decisions
        ]
        rules = [rule.plain() for rule in run.select if rule.action == "drop"]
        cuts = decisions[0].cuts.counts if decisions and decisions[0].cuts else {}
        cut_digest = digest(sorted([str(key), sorted(counts.items())] for key, counts in cuts.items()))
        return digest(
            [
                run.keep_one.of,
                run.keep_one.prefer,
                rules,
                cut_digest,
                shards,
                chosen,
                parents,
                *self.references(),
            ]
        )

    def references(self) -> list[object]:
        """What recipes take of references and earlier releases; nothing where there are none."""
        sources = sorted(source.name for source in self.run_file.sources if source.reference)
        return [sources, self.against] if sources or self.against else []

    def keepers(self, decisions: Sequence[Decision]) -> dict[str, SidecarRef]:
        """Choose the keepers of all clusters; returns their sidecar per shard."""
        assert self.run_file.keep_one is not None and self.run_file.keep_one.step is not None
        recipe = digest([self.keepers_static(), self.copies_recipe(decisions)])
        columns = {f"dedup.{name}": f"{self.run_file.keep_one.of}.{name}" for name in ("cluster", "pairs")}
        columns |= {name: name for name in self.run_file.keep_one.hashes}
        refs, _ = self.choose(self.run_file.keep_one.step, recipe, [Copies(d, columns) for d in decisions])
        return refs

    def owners(self, decisions: Sequence[Decision]) -> dict[str, SidecarRef]:
        """Choose the owners of all passages among the documents that stay; returns their sidecar per shard.

        The last choice is what edits and late stages go by.
        """
        assert self.run_file.keep_one is not None and self.run_file.owners is not None
        recipes, steps = self.build.recipes, self.run_file.keep_one.passages
        recipe = digest([recipes.static[OWNERS], self.copies_recipe(decisions)])
        refs, result = self.choose(self.run_file.owners, recipe, [Passages(d, steps) for d in decisions])
        known = recipes.results.get(OWNERS)
        recipes.results[OWNERS] = GlobalResult(recipe, {**(known.digests if known else {}), **result.digests})
        recipes.owners |= refs
        return refs

    def count_passages(self, owners: Mapping[str, SidecarRef]) -> int:
        """Passages that some document which may stay holds."""
        folder = next(iter(owners.values())).key.rpartition("/rows/")[0]
        with self.store.open(f"{folder}/summary.parquet") as stream:
            return int(pc.sum(pq.read_table(stream)["passages"]).as_py() or 0)

    def choose(
        self, step: Step, recipe: str, feeds: Sequence[Feed]
    ) -> tuple[dict[str, SidecarRef], GlobalResult]:
        """Run a global step over decisions, or find its result."""
        folder = f"global/{step.name}/{recipe[:8]}"
        if self.look_up_only and self.build.state.global_result(step.name, recipe) is None:
            raise LookupError(f"{folder} is not there")
        result = self.build.find_or_run(step, recipe, list(feeds), folder)
        shards = [feed.shard for feed in feeds]
        return {s.id: SidecarRef(f"{folder}/rows/{s.id}.parquet", recipe) for s in shards}, result

    def keepers_static(self) -> str:
        """Recipe of the keepers step, shards aside; empty where none are chosen."""
        step = self.run_file.keep_one.step if self.run_file.keep_one else None
        return step_recipe(step.step, step.config, []) if step else ""


def earlier_ledgers(build: Build) -> tuple[dict[str, str], list[str]]:
    """The ledger of each shard in the release that `keep_one.against` names, and what a recipe takes of it.

    Raises: UsageError if the store has no such release, or the run file lacks documents that it holds.
    """
    keep_one = build.run_file.keep_one
    if keep_one is None or keep_one.against is None:
        return {}, []
    name, store, where = keep_one.against.release, build.store, f"{build.run_file.path}: keep_one.against"
    if not store.exists(f"releases/{name}/checksums.sha256"):
        raise UsageError(f"{where}: {store.url} has no finished release {name!r}; name one that it has")
    lineage = build.state.page(f"releases/{name}/lineage.json")
    missing = sorted(set(lineage["shards"]) - {shard.id for shard in build.shards})
    if missing:
        source = missing[0].rsplit("-", 2)[0]
        raise UsageError(
            f"{where}: release {name} was cut from {len(missing):,} shards that this run does not read ({missing[0]}); "
            f"list source {source} with the same files here: what is ingested is not read again"
        )
    ledgers = {
        shard: f"releases/{name}/ledger/part-{i:05d}.parquet"
        for i, shard in enumerate(sorted(lineage["shards"]))
    }
    return ledgers, [name, lineage["recipe"], keep_one.against.mode]


def _chosen(decision: Decision) -> list[SidecarRef]:
    """What was chosen so far for a decision's shard."""
    found = (decision.keepers, decision.judged, decision.refs.get(OWNERS))
    return [ref for ref in found if ref is not None]
