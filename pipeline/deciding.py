"""Deciding over a build: every shard's decision with its quantile cuts, and the keepers of all clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.decide import Decision, Members, PopulationTask, count_population
from pipeline.recipe import digest, step_recipe
from pipeline.rules import Cuts
from pipeline.sidecars import SidecarRef

if TYPE_CHECKING:
    from pipeline.build import Build


class Deciding:
    """Makes the decisions of a build; keepers are looked up or chosen, nothing else is computed or stored.

    columns: annotation columns that decisions and the release read.
    """

    def __init__(self, build: Build, columns: set[str]) -> None:
        self.build, self.run_file, self.store, self.columns = build, build.run_file, build.store, columns

    def decisions(self) -> list[Decision]:
        """What decides over each shard, cuts and keepers included."""
        decided = self.rules_only()
        if self.run_file.keep_one is None:
            return decided
        refs = self.keepers(decided)
        return [replace(d, keepers=refs[d.shard.id]) for d in decided]

    def rules_only(self) -> list[Decision]:
        """What the rules decide over each shard, quantile cuts included, keepers not."""
        run, recipes = self.run_file, self.build.recipes
        sources = {source.name: source for source in run.sources}
        plain = [
            Decision(
                shard=shard, rules=run.select, refs=recipes.refs(self.columns, shard),
                loose=recipes.loose(self.columns, shard), rank=sources[shard.source].rank,
                profile=sources[shard.source].profile, keep_one=run.keep_one,
            )
            for shard in self.build.shards
        ]  # fmt: skip
        cuts = self.cuts(plain)
        return [replace(d, cuts=cuts) for d in plain]

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

    def keepers_recipe(self, decisions: Sequence[Decision]) -> str:
        """Hash all that the choice of keepers depends on."""
        run = self.run_file
        assert run.keep_one is not None
        names = {c for rule in run.select for c in rule.columns()} | {
            column for column, _ in run.keep_one.prefer
        }
        names.add(f"{run.keep_one.of}.cluster")
        refs = self.build.recipes.refs
        shards = [
            [d.shard.id, d.rank, d.profile, {name: ref.recipe for name, ref in refs(names, d.shard).items()}]
            for d in decisions
        ]
        rules = [rule.plain() for rule in run.select if rule.action == "drop"]
        cuts = decisions[0].cuts.counts if decisions and decisions[0].cuts else {}
        cut_digest = digest(sorted([str(key), sorted(counts.items())] for key, counts in cuts.items()))
        return digest(
            [self.keepers_static(), run.keep_one.of, run.keep_one.prefer, rules, cut_digest, shards]
        )

    def keepers(self, decisions: Sequence[Decision]) -> dict[str, SidecarRef]:
        """Choose the keepers of all clusters; returns their sidecar per shard."""
        assert self.run_file.keep_one is not None
        recipe = self.keepers_recipe(decisions)
        folder = f"global/keepers/{recipe[:8]}"
        feeds = [Members(decision) for decision in decisions]
        self.build.find_or_run(self.run_file.keep_one.step, recipe, feeds, folder)
        return {d.shard.id: SidecarRef(f"{folder}/rows/{d.shard.id}.parquet", recipe) for d in decisions}

    def keepers_static(self) -> str:
        """Recipe of the keepers step, shards aside."""
        assert self.run_file.keep_one is not None
        step = self.run_file.keep_one.step
        return step_recipe(step.step, step.config, [])
