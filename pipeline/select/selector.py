"""The decisions of a run: for each shard its rules with quantile thresholds, keepers and owners of passages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.annotate.addresses import GlobalResult
from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef
from pipeline.errors import UsageError
from pipeline.mapreduce.feeds import Feed
from pipeline.planning.session import Session
from pipeline.recipe import digest, step_recipe
from pipeline.rules.rules import Cuts, Rule
from pipeline.schema import OWNERS
from pipeline.select.feeds import KeeperFeed, OwnerFeed
from pipeline.select.verdicts import (
    Decision,
    PopulationTask,
    VerdictTask,
    count_population,
    early_ref,
    final_ref,
    store_verdict,
)


@dataclass(frozen=True)
class Selection:
    """The decisions over all shards of a run, in their order.

    owners, owners_result: sidecars of the owners of passages by shard id, and the global result they belong to.
    lost_passages: passages that no kept document contains, because late rules dropped all documents with them.
    """

    decisions: list[Decision]
    owners: Mapping[str, SidecarRef] = field(default_factory=dict)
    owners_result: GlobalResult | None = None
    lost_passages: int = 0


Choose = Callable[[GlobalStep, str, list[Any], str], GlobalResult]
"""Finds or computes a global result: (step, recipe, feeds, folder) -> result."""


@dataclass(frozen=True)
class ChosenOwners:
    """The owners of passages, by shard id, and the result they belong to. n_lost: see Selection.lost_passages."""

    refs: dict[str, SidecarRef]
    result: GlobalResult
    folder: str
    n_lost: int = 0


class _NotChosenError(Exception):
    """The store lacks keepers or owners, and they must not be computed."""


class Selector:
    """Makes the decisions of a run: finds or computes keepers and owners, and stores verdicts; computes nothing else.

    columns: annotation columns that decisions and the release read.
    """

    def __init__(self, session: Session, columns: set[str]) -> None:
        self.session, self.run_file, self.store = session, session.run_file, session.store
        self.columns = columns
        self.earlier, self.against = earlier_ledgers(session)

    def decide(self, store: bool = True) -> Selection:
        """Decide over every shard: quantile thresholds, keepers and owners are computed if the store lacks them.

        Args: store, whether to write the verdicts to the store, from which all later steps read them.
        """
        return self._select(self.session.find_or_run, store)

    def find(self, folders: set[str] | None = None) -> Selection | None:
        """The decisions, from stored keepers and owners; None if the store lacks these.

        Args: folders, to which the folders of the results that were looked up are added.
        """

        def look_up(step: GlobalStep, recipe: str, feeds: list[Feed], folder: str) -> GlobalResult:
            if folders is not None:
                folders.add(folder)
            result = self.session.state.global_result(step.name, recipe)
            if result is None:
                raise _NotChosenError(folder)
            return result

        try:
            return self._select(look_up, False)
        except _NotChosenError:
            return None

    def _select(self, choose: Choose, store: bool) -> Selection:
        """Decide over parents first, because derived documents are kept only with their parents.

        No cluster and no passage contains both parents and derived documents.
        """
        decided: dict[str, Decision] = {}
        owners: dict[str, SidecarRef] = {}
        digests: dict[str, Mapping[str, str]] = {}
        recipe, n_lost = "", 0
        parents, release = self.session.parents, self.run_file.release.name
        by_rules = self.rules_only()
        rules = self.rules_digest(by_rules)
        by_rules = [replace(d, early=early_ref(d, release, rules)) for d in by_rules]
        if store:
            self.store_verdicts("judge rules", by_rules, early=True)
        for derived in (False, True):
            wave: Sequence[Decision] = [d for d in by_rules if (d.shard.id in parents) == derived]
            if derived:
                wave = [replace(d, parent=decided[parents[d.shard.id]]) for d in wave]
            wave, chosen = self.with_duplicates(wave, choose)
            if chosen is not None:
                owners |= chosen.refs
                digests |= chosen.result.digests
                recipe, n_lost = chosen.result.recipe, n_lost + chosen.n_lost
            wave = [replace(d, verdict=final_ref(d, release, rules)) for d in wave]
            if store:
                self.store_verdicts("decide", wave, early=False)
            decided |= {d.shard.id: d for d in wave}
        result = GlobalResult(recipe, digests) if owners else None
        return Selection([decided[d.shard.id] for d in by_rules], owners, result, n_lost)

    def with_duplicates(
        self, decisions: Sequence[Decision], choose: Choose
    ) -> tuple[Sequence[Decision], ChosenOwners | None]:
        """Add keepers and owners to the decisions of rules and parents."""
        keep_one = self.run_file.keep_one
        if keep_one is None or not decisions:
            return decisions, None
        if keep_one.of:
            keepers = self.keepers(decisions, choose)
            decisions = [replace(d, keepers=keepers[d.shard.id]) for d in decisions]
        if not keep_one.passages:
            return decisions, None
        owners, n_lost = self.owners(decisions, choose), 0
        decisions = [replace(d, judged=owners.refs[d.shard.id]) for d in decisions]
        if any(rule.is_late and rule.action == "drop" for rule in self.run_file.select):
            n_passages = self.count_passages(owners)
            owners = self.owners(decisions, choose)  # again, among the documents that pass the late rules
            n_lost = n_passages - self.count_passages(owners)
        decisions = [replace(d, refs={**d.refs, OWNERS: owners.refs[d.shard.id]}) for d in decisions]
        return decisions, replace(owners, n_lost=n_lost)

    def rules_only(self) -> list[Decision]:
        """Decisions of the rules over each shard, with quantile thresholds, without keepers."""
        decisions = [self.plain(shard, self.run_file.select) for shard in self.session.shards]
        cuts = self.cuts(decisions)
        return [replace(d, cuts=cuts) for d in decisions]

    def rules_digest(self, decisions: Sequence[Decision]) -> str:
        """Digest of the rules, their quantile thresholds, references and the earlier release."""
        rules = [rule.plain() for rule in self.run_file.select]
        return digest([rules, _cuts_digest(decisions), *self.references()])

    def store_verdicts(self, label: str, decisions: Sequence[Decision], early: bool) -> None:
        """Compute and store the results of the rules, or the final verdicts, that the store lacks."""
        present = {key for key, _ in self.store.list(f"verdicts/{self.run_file.release.name}")}
        refs = [d.early if early else d.verdict for d in decisions]
        tasks = [
            VerdictTask(self.store, d, early)
            for d, ref in zip(decisions, refs, strict=True)
            if ref is not None and ref.key not in present
        ]
        if tasks:
            with self.session.progress.phase(label, len(tasks)) as phase:
                for _ in self.session.engine.map(store_verdict, tasks):
                    phase.step()

    def remove_other_verdicts(self, selection: Selection) -> None:
        """Delete stored verdicts under this release's name that its decisions do not use."""
        refs = [ref for d in selection.decisions for ref in (d.early, d.verdict) if ref is not None]
        used = {ref.key for ref in refs}
        for key, _ in list(self.store.list(f"verdicts/{self.run_file.release.name}")):
            if key not in used:
                self.store.delete(key)

    def plain(self, shard: Shard, rules: Sequence[Rule]) -> Decision:
        """The decision over a shard by rules alone, without thresholds, keepers and owners."""
        run, recipes = self.run_file, self.session.recipes
        rank, profile = run.standing(shard.source)
        columns = self.columns | {column for rule in rules for column in rule.columns()}
        refs = {name: ref for name, ref in recipes.refs(columns, shard).items() if name != OWNERS}
        return Decision(
            shard=shard, rules=tuple(rules), refs=refs, loose=recipes.loose(columns, shard),
            rank=rank, profile=profile, keep_one=run.keep_one, reference=run.is_reference(shard.source),
            earlier=self.earlier.get(shard.id),
        )  # fmt: skip

    def cuts(self, decisions: Sequence[Decision]) -> Cuts | None:
        """Value counts of the population for quantile thresholds; None if no rule has a quantile."""
        conditions = [c for rule in self.run_file.select for c in (*rule.conditions, *rule.where)]
        if not any(condition.quantile for condition in conditions):
            return None
        cuts = Cuts()
        with self.session.progress.phase("quantiles", len(decisions)) as phase:
            for counts in self.session.engine.map(
                count_population, [PopulationTask(self.store, d) for d in decisions]
            ):
                for count in counts:
                    cuts.add(*count)
                phase.step()
        return cuts

    def choice_recipe(self, decisions: Sequence[Decision]) -> str:
        """Hash everything that the choice of keepers and owners depends on, except the steps themselves."""
        run = self.run_file
        assert run.keep_one is not None
        names = {c for rule in run.select for c in rule.columns()} | run.keep_one.columns()
        reads_owners = any(name.startswith(f"{OWNERS}.") for name in names)
        shards = []
        for d in decisions:
            refs = {n: r.recipe for n, r in self.session.recipes.refs(names, d.shard).items() if n != OWNERS}
            if reads_owners and d.judged is not None:
                refs[OWNERS] = d.judged.recipe
            shards.append([d.shard.id, d.rank, d.profile, refs])
        chosen = [[ref.recipe for ref in _chosen(d)] for d in decisions]
        parents = [[ref.recipe for ref in _chosen(d.parent)] if d.parent else None for d in decisions]
        rules = [rule.plain() for rule in run.select if rule.action == "drop"]
        keep_one = run.keep_one
        return digest(
            [
                keep_one.of,
                keep_one.prefer,
                rules,
                _cuts_digest(decisions),
                shards,
                chosen,
                parents,
                *self.references(),
            ]
        )

    def references(self) -> list[object]:
        """Parts of recipes for references and earlier releases; empty if there are none."""
        sources = sorted(source.name for source in self.run_file.sources if source.reference)
        return [sources, self.against] if sources or self.against else []

    def keepers(self, decisions: Sequence[Decision], choose: Choose) -> dict[str, SidecarRef]:
        """Choose the keepers of all clusters; returns their sidecar by shard id."""
        assert self.run_file.keep_one is not None and self.run_file.keep_one.keepers is not None
        recipe = digest([self.keepers_static(), self.choice_recipe(decisions)])
        columns = {name: f"{self.run_file.keep_one.of}.{name}" for name in ("cluster", "pairs")}
        columns |= {name: name for name in self.run_file.keep_one.hashes}
        step = self.run_file.keep_one.keepers
        folder = _folder(step, recipe)
        choose(step, recipe, [KeeperFeed(d, columns) for d in decisions], folder)
        return _row_refs(decisions, folder, recipe)

    def owners(self, decisions: Sequence[Decision], choose: Choose) -> ChosenOwners:
        """Choose the owners of all passages among the documents that are kept so far."""
        assert self.run_file.keep_one is not None and self.run_file.owners is not None
        steps, step = self.run_file.keep_one.passages, self.run_file.owners
        recipe = digest([self.session.recipes.static[OWNERS], self.choice_recipe(decisions)])
        folder = _folder(step, recipe)
        result = choose(step, recipe, [OwnerFeed(d, steps) for d in decisions], folder)
        return ChosenOwners(_row_refs(decisions, folder, recipe), result, folder)

    def count_passages(self, owners: ChosenOwners) -> int:
        """Number of passages in documents that are kept so far."""
        with self.store.open(f"{owners.folder}/summary.parquet") as stream:
            return int(pc.sum(pq.read_table(stream)["passages"]).as_py() or 0)

    def keepers_static(self) -> str:
        """Recipe of the keepers step without shards; empty without such a step."""
        step = self.run_file.keep_one.keepers if self.run_file.keep_one else None
        return step_recipe(step.definition, step.config, []) if step else ""


def _folder(step: GlobalStep, recipe: str) -> str:
    return f"global/{step.name}/{recipe[:8]}"


def _row_refs(decisions: Sequence[Decision], folder: str, recipe: str) -> dict[str, SidecarRef]:
    """The row sidecars of a global result, by shard id."""
    return {d.shard.id: SidecarRef(f"{folder}/rows/{d.shard.id}.parquet", recipe) for d in decisions}


def _cuts_digest(decisions: Sequence[Decision]) -> str:
    """Digest of the value counts behind quantile thresholds, which all decisions share."""
    counts = decisions[0].cuts.counts if decisions and decisions[0].cuts else {}
    return digest(sorted([str(key), sorted(values.items())] for key, values in counts.items()))


def earlier_ledgers(session: Session) -> tuple[dict[str, str], list[str]]:
    """The ledger of each shard in the release that `keep_one.against` names, and the values that enter recipes.

    Raises: UsageError if the store has no such release, or this run does not read all of its shards.
    """
    keep_one = session.run_file.keep_one
    if keep_one is None or keep_one.against is None:
        return {}, []
    name, store = keep_one.against.release, session.store
    where = f"{session.run_file.path}: keep_one.against"
    if not store.exists(f"releases/{name}/checksums.sha256"):
        raise UsageError(f"{where}: {store.url} has no finished release {name!r}; name one that it has")
    lineage = session.state.page(f"releases/{name}/lineage.json")
    groups, present = set(session.group_names), {shard.id for shard in session.shards}
    missing = sorted(  # but for shards of which all documents were erased
        shard for shard in set(lineage["shards"]) - present if shard.rpartition("-")[0] not in groups
    )
    if missing:
        source = missing[0].rsplit("-", 2)[0]
        raise UsageError(
            f"{where}: release {name} contains {len(missing):,} shards that this run does not read ({missing[0]}); "
            f"list source {source} with the same files here; files that are ingested are not read again"
        )
    ledgers = {
        shard: f"releases/{name}/ledger/part-{i:05d}.parquet"
        for i, shard in enumerate(sorted(lineage["shards"]))
    }
    return ledgers, [name, lineage["recipe"], keep_one.against.mode]


def _chosen(decision: Decision) -> list[SidecarRef]:
    """The sidecars of keepers and owners chosen so far for a decision's shard."""
    refs = (decision.keepers, decision.judged, decision.refs.get(OWNERS))
    return [ref for ref in refs if ref is not None]
