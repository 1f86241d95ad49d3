"""The last part of a run: verdicts, keepers, mixes and the files of a release, under a lease on its name."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import __version__
from pipeline.decide import Decision, Members, PopulationTask, count_population, decision_columns
from pipeline.errors import ExpectationError, LeaseError
from pipeline.exchange import read_exchange, write_exchange
from pipeline.lease import Lease, commit, hold
from pipeline.place import Placement, by_shard, place
from pipeline.recipe import digest, step_recipe
from pipeline.release import (
    FactsTask,
    FileReport,
    Layout,
    PartTask,
    ShardReport,
    WriteTask,
    collect_facts,
    exchange_key,
    layout,
    licenses_csv,
    put_table,
    put_text,
    to_json,
    write_part,
    write_shard,
)
from pipeline.rules import Cuts, drop_order
from pipeline.run_file import RunFile, plain_edits
from pipeline.schema import ROW_BITS
from pipeline.sidecars import Shard, SidecarRef
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.build import Build

Task = TypeVar("Task")
Result = TypeVar("Result")


def release_layout(run: RunFile) -> Layout:
    """What the files of a run's release look like."""
    return layout(run.release, _module(run.release.module), run.annotation_columns())


def release_columns(run: RunFile) -> set[str]:
    """Every annotation column that a run's decisions and release read."""
    return decision_columns(run, release_layout(run).sources())


class Releasing:
    """Decides over a build's annotations and writes its release, unless that very release is there."""

    def __init__(self, build: Build) -> None:
        self.build, self.run_file, self.store = build, build.run_file, build.store
        self.module: Any = _module(self.run_file.release.module)
        self.mixer: Any = _module(self.run_file.mix_module)
        self.layout = release_layout(self.run_file)
        self.columns = release_columns(self.run_file)
        self.recipe = self.release_recipe()
        self.folder = f"releases/{self.run_file.release.name}"
        self.work = f"{self.work_folder()}/{self.recipe[:8]}"
        self.done: set[str] = set()

    def run(self) -> str:
        """Write the release and return its folder."""
        if self.is_current():
            self.build.progress.say(f"release {self.run_file.release.name} is up to date")
            self.tidy()
            return self.folder
        with hold(self.store, f"release-{self.run_file.release.name}") as lease:
            self.resume()
            self.write(lease)
        return self.folder

    def tidy(self) -> None:
        """Delete what a run left that was stopped between its last file and its tidying up."""
        if next(self.store.list(self.work_folder()), None) is not None:
            with suppress(LeaseError), hold(self.store, f"release-{self.run_file.release.name}"):
                self.store.delete_prefix(self.work_folder())

    def resume(self) -> None:
        """Find what an interrupted run of this recipe finished; what another recipe's run left is worthless.

        It is deleted, because its notes speak of files of the release that are overwritten from here on.
        """
        keys = [key for key, _ in self.store.list(self.work_folder())]
        self.done = {key for key in keys if key.startswith(f"{self.work}/")}
        for folder in sorted({key[: len(self.work)] for key in keys} - {self.work}):
            self.store.delete_prefix(folder)

    def work_folder(self) -> str:
        """Where runs that write this release keep what they have finished; gone once it is complete."""
        return f"releases/_work/{self.run_file.release.name}"

    def head_key(self) -> str:
        """Where it is recorded which recipe a release's files follow."""
        return f"releases/_heads/{self.run_file.release.name}.json"

    def is_current(self) -> bool:
        """Whether the release lies there complete, with this recipe."""
        found = self.store.get_with_tag(self.head_key())
        current = found is not None and json.loads(found[0]).get("recipe") == self.recipe
        return current and self.store.exists(f"{self.folder}/checksums.sha256")

    def release_recipe(self) -> str:
        """Hash all that a release depends on."""
        run, recipes = self.run_file, self.build.recipes
        shards = [
            [s.id, s.generation, {name: ref.recipe for name, ref in recipes.refs(self.columns, s).items()}]
            for s in self.build.shards
        ]
        keep = None if run.keep_one is None else [run.keep_one.of, run.keep_one.prefer, self.keepers_static()]
        settings = [
            [rule.plain() for rule in run.select], keep, run.mix, plain_edits(run.release.edits), run.release.seed,
            run.release.part_bytes, dict(self.layout.columns), dict(self.layout.scores),
            [[source.name, source.rank, source.profile] for source in run.sources],
        ]  # fmt: skip
        return digest([__version__, shards, settings])

    def keepers_static(self) -> str:
        """Recipe of the keepers step, shards aside."""
        assert self.run_file.keep_one is not None
        step = self.run_file.keep_one.step
        return step_recipe(step.step, step.config, [])

    def mix_columns(self) -> tuple[str, ...]:
        """Columns that mixes go by."""
        return tuple(sorted({mix.by for mix in self.run_file.mix.mixes.values() if mix.by}))

    # Decisions

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

    # Writing

    def write(self, lease: Lease) -> None:
        """Write every file of the release, the checksums last."""
        decisions = self.decisions()
        by = self.mix_columns()
        facts_keys = [f"{self.work}/facts-{i:06d}.arrow" for i in range(len(decisions))]
        facts_tasks = [
            FactsTask(self.store, d, i, self.layout, by, facts_keys[i]) for i, d in enumerate(decisions)
        ]
        reports = self.resumable("decide", collect_facts, facts_tasks, "facts", dict[str, Any])
        facts = read_exchange(self.store, facts_keys, 0)
        placement = place(self.run_file, facts, self.mixer)
        tables = by_shard(placement, len(decisions), ROW_BITS)
        place_keys = [f"{self.work}/place-{i:06d}.arrow" for i in range(len(decisions))]
        for key, table in zip(place_keys, tables, strict=True):
            write_exchange(self.store, key, table, np.zeros(len(table), np.int64), 1)
        default = [output.mix for output in placement.outputs].index(self.run_file.mix.default)
        self.store.delete(f"{self.folder}/checksums.sha256")  # not before the new one is known to be possible
        tasks = [
            WriteTask(
                self.store, d, i, self.layout, self.run_file.release.edits, placement.outputs, default, place_keys[i],
                self.work, self.folder,
            )
            for i, d in enumerate(decisions)
        ]  # fmt: skip
        shards: list[ShardReport] = self.resumable(
            "write ledger, edit text", write_shard, tasks, "shard", ShardReport
        )
        files = [report.ledger for report in shards]
        files += self.resumable("write parts", write_part, self.part_tasks(placement), "part", FileReport)
        files += self.write_orders(placement)
        files += self.write_pages(reports, facts, placement, shards)
        lease.check()
        commit(
            self.store, self.head_key(), {"recipe": self.recipe, "release": self.run_file.release.name}, lease
        )
        self.remove_strays({file.key for file in files})
        lines = sorted(f"{file.sha256}  {file.key[len(self.folder) + 1 :]}\n" for file in files)
        self.store.put(f"{self.folder}/checksums.sha256", "".join(lines).encode())
        self.store.delete_prefix(self.work_folder())

    def resumable(
        self, label: str, fn: Callable[[Task], Result], tasks: Sequence[Task], name: str, kind: type[Result]
    ) -> list[Result]:
        """Run tasks, keep each result in the work folder, and skip those whose result is there already."""
        results: dict[int, Result] = {}
        missing = []
        for i, task in enumerate(tasks):
            key = f"{self.work}/{name}-{i:06d}.json"
            if key in self.done:
                results[i] = msgspec.json.decode(self.store.get(key), type=kind)
            else:
                missing.append(Numbered(fn, i, task, key, self.store))
        self.build.record.tasks["release"] += len(missing)
        with self.build.progress.phase(label, len(missing), "tasks") as phase:
            for i, result in self.build.engine.map(run_numbered, missing):
                results[i] = result
                phase.step(getattr(result, "text_bytes", 0))
                rss = getattr(result, "peak_rss", 0)
                self.build.record.peak_rss = max(self.build.record.peak_rss, rss)
        return [results[i] for i in range(len(tasks))]

    def part_tasks(self, placement: Placement) -> list[PartTask]:
        """One task per part of every output, over those shards that have rows in it."""
        table = placement.table
        ordinals = (table["row"].to_numpy() >> np.uint64(ROW_BITS)).astype(np.int64)
        output, part = table["output"].to_numpy(), table["part"].to_numpy()
        present = (
            np.unique(np.stack([output, part, ordinals]), axis=1) if len(table) else np.empty((3, 0), int)
        )
        maps: dict[tuple[int, int], list[str]] = {}
        for o, p, ordinal in present.T.tolist():
            if placement.outputs[o].materialise:
                maps.setdefault((o, p), []).append(exchange_key(self.work, o, ordinal))
        return [
            PartTask(
                self.store,
                tuple(keys),
                p,
                f"{self.folder}/{placement.outputs[o].folder}/part-{p:05d}.parquet",
            )
            for (o, p), keys in sorted(maps.items())
        ]

    def write_orders(self, placement: Placement) -> list[FileReport]:
        """Write the training order of each mix."""
        return [
            put_table(self.store, f"{self.folder}/mixes/{mix}/order.parquet", order.cast(self.module.ORDER))
            for mix, order in sorted(placement.orders.items())
        ]

    def write_pages(
        self,
        reports: Sequence[dict[str, Any]],
        facts: pa.Table,
        placement: Placement,
        shards: Sequence[ShardReport],
    ) -> list[FileReport]:
        """Write lineage, licences, README and the run file; check conservation first."""
        summary = self.summary(reports, facts, placement)
        check_conservation(summary["counts"], self.build.shards)
        sources = [(s.source, report) for s, report in zip(self.build.shards, shards, strict=True)]
        pages = {
            "lineage.json": to_json({**self.lineage(), **summary}),
            "licenses.csv": licenses_csv(sources),
            "README.md": self.module.readme(summary),
            "run.yaml": self.run_file.text,
        }
        return [put_text(self.store, f"{self.folder}/{name}", text) for name, text in pages.items()]

    def summary(
        self, reports: Sequence[dict[str, Any]], facts: pa.Table, placement: Placement
    ) -> dict[str, Any]:
        """The numbers of a release: conservation, funnel by language, mixes."""
        groups = self.build.groups().values()
        funnel: dict[str, dict[str, int]] = {}
        failed: dict[str, int] = {}
        for report in reports:
            for language, row in report["funnel"].items():
                total = funnel.setdefault(language, {})
                for outcome, count in row.items():
                    total[outcome] = total.get(outcome, 0) + count
            for rule, count in report["failed"].items():
                failed[rule] = failed.get(rule, 0) + count
        ingested = sum(sum(row.values()) for row in funnel.values())
        kept = sum(row.get("kept", 0) for row in funnel.values())
        counts = {
            "read": sum(group["read"] for group in groups),
            "quarantined": sum(sum(group["quarantined"].values()) for group in groups),
            "erased": 0, "ingested": ingested, "kept": kept, "dropped": ingested - kept,
            "kept_tokens": int(pc.sum(facts["n_tokens"]).as_py() or 0),
        }  # fmt: skip
        return {
            "name": self.run_file.release.name, "corpus": self.run_file.corpus, "version": __version__,
            "counts": counts, "funnel": funnel, "failed": failed, "mixes": placement.mixes,
            "default_mix": self.run_file.mix.default, "recipe": self.recipe,
            "rules": [self.run_file.select[i].name for i in drop_order(list(self.run_file.select))],
        }  # fmt: skip

    def lineage(self) -> dict[str, Any]:
        """What the release was made of: inputs by digest, shards, and the recipe of every step."""
        run, recipes = self.run_file, self.build.recipes
        inputs = {
            f"{group['source']}/{f['path']}": {"digest": f["digest"], "bytes": f["size"]}
            for group in self.build.groups().values()
            for f in group["files"]
        }
        steps = {
            s.name: {"module": s.module, "version": s.step.version, "recipe": recipes.static[s.name]}
            for s in (*run.annotate, *run.globals)
        }
        shards = {
            shard.id: {"rows": shard.n_rows, "text_bytes": shard.text_bytes} for shard in self.build.shards
        }
        quarantined: dict[str, dict[str, int]] = self.build.record.quarantined
        return {"inputs": inputs, "steps": steps, "shards": shards, "quarantined": quarantined}

    def remove_strays(self, keys: set[str]) -> None:
        """Delete files that an earlier release of the same name left."""
        for key, _ in list(self.store.list(self.folder)):
            if key not in keys:
                self.store.delete(key)


def check_conservation(counts: dict[str, int], shards: Sequence[Shard]) -> None:
    """Raise ExpectationError unless every record that was read is accounted for."""
    n_rows = sum(shard.n_rows for shard in shards)
    if counts["ingested"] != n_rows or counts["read"] != n_rows + counts["quarantined"] + counts["erased"]:
        raise ExpectationError(
            f"conservation fails: read {counts['read']:,}, quarantined {counts['quarantined']:,}, erased "
            f"{counts['erased']:,}, rows in shards {n_rows:,}, rows decided {counts['ingested']:,}; the store is "
            "inconsistent. Run `bicorpus verify`, then build again in a new store"
        )


@dataclass(frozen=True)
class Numbered(Generic[Task, Result]):
    """A task with its number and the key that its result is kept under."""

    fn: Callable[[Task], Result]
    number: int
    task: Task
    key: str
    store: Store


def run_numbered(task: Numbered[Task, Result]) -> tuple[int, Result]:
    """Run a task and keep its result, as JSON."""
    result = task.fn(task.task)
    task.store.put(task.key, msgspec.json.encode(result))
    return task.number, result


def _module(name: str) -> Any:  # Any: a module, loaded by name
    return importlib.import_module(name)
