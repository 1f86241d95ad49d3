"""The last part of a run: verdicts, keepers, mixes and the files of a release, under a lease on its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from pipeline import __version__
from pipeline.config.phases import Wave
from pipeline.config.release_columns import mix_columns, release_columns, release_layout
from pipeline.config.run_file import plain_edits
from pipeline.dataset.release_schema import ORDER
from pipeline.errors import LeaseError
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.planning.session import Session
from pipeline.recipe import digest
from pipeline.release.clusters import ClusterTask, count_parts, write_clusters
from pipeline.release.facts import FactsTask, collect_facts
from pipeline.release.files import (
    FileReport,
    PartTask,
    TokenReport,
    TokenTask,
    put_table,
    put_text,
    to_json,
    token_writer,
    write_part,
    write_tokens,
)
from pipeline.release.numbers import (
    check_conservation,
    licenses_csv,
    lineage,
    listed_files,
    report_numbers,
    summary,
    table_schemas,
)
from pipeline.release.placement import Placement, by_shard, fitted_mixes, place, to_fit
from pipeline.release.write import ShardReport, WriteTask, exchange_key, write_shard
from pipeline.report.near_threshold import around_threshold
from pipeline.report.page import lengths_of, page
from pipeline.report.release_pages import pages as release_pages
from pipeline.runtime.checkpoint import Numbered, Result, Task, run_numbered
from pipeline.schema import ROW_BITS
from pipeline.select.guards import (
    HostTask,
    check_guards,
    guards_of,
    hosts_above,
    hosts_keys,
    sum_counts,
    warnings_of,
)
from pipeline.select.selector import Selection, Selector
from pipeline.select.verdicts import Decision
from pipeline.storage.lease import Lease, commit, hold


class Releasing:
    """Decides over a build's annotations and writes its release, unless that very release is there."""

    def __init__(self, session: Session) -> None:
        self.session, self.run_file, self.store = session, session.run_file, session.store
        self.layout = release_layout(self.run_file)
        self.columns = release_columns(self.run_file)
        self.selector = Selector(session, self.columns)
        self.recipe = self.release_recipe()
        self.folder = f"releases/{self.run_file.release.name}"
        self.work = f"{self.work_folder()}/{self.recipe[:8]}"
        self.done: set[str] = set()
        self.copies: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.selection = Selection([])

    def run(self) -> str:
        """Write the release and return its folder."""
        if self.is_current():
            self.session.progress.say(f"release {self.run_file.release.name} is up to date")
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
        run, recipes = self.run_file, self.session.recipes
        shards = [
            [s.id, s.generation, {name: ref.recipe for name, ref in recipes.refs(self.columns, s).items()}]
            for s in self.session.shards
        ]
        keep = None
        if one := run.keep_one:
            keep = [one.of, one.passages, one.prefer, one.guards, self.selector.keepers_static()]
        settings = [
            [rule.plain() for rule in run.select], keep, run.mix, plain_edits(run.release.edits), run.release.seed,
            run.release.part_bytes, dict(self.layout.columns), dict(self.layout.scores), recipes.static,
            run.standings(), self.tokens_recipe(), *self.selector.references(),
        ]  # fmt: skip
        return digest([__version__, shards, settings])

    def tokens_recipe(self) -> object:
        """What the token files depend on, the tokenizer by its digest."""
        tokens = self.run_file.tokens
        return None if tokens is None else [tokens.mixes, token_writer(tokens.module).describe(tokens.config)]

    # Writing

    def write(self, lease: Lease) -> None:
        """Write every file of the release, the checksums last."""
        self.selection = self.selector.decide()
        decisions = self.measure_edited(self.selection)
        by, fits = mix_columns(self.run_file), to_fit(self.run_file)
        facts_keys = [f"{self.work}/facts-{i:06d}.arrow" for i in range(len(decisions))]
        cluster_keys = tuple(f"{self.work}/clusters-{i:06d}.arrow" for i in range(len(decisions)))
        n_parts = count_parts(sum(shard.n_rows for shard in self.session.shards))
        host_keys = hosts_keys(guards_of(self.run_file), self.work, len(decisions))
        facts_tasks = [
            FactsTask(
                self.store,
                d,
                i,
                self.layout,
                by,
                facts_keys[i],
                fits,
                n_parts,
                cluster_keys[i],
                host_keys[i],
            )
            for i, d in enumerate(decisions)
        ]
        reports = self.resumable("decide", collect_facts, facts_tasks, "facts", dict[str, Any])
        self.check_copies(reports, decisions, host_keys, n_parts)
        facts = read_exchange(self.store, facts_keys, 0)
        placement = place(self.run_file, facts, fitted_mixes(self.run_file, reports))
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
        files += self.resumable("write clusters", write_clusters, self.cluster_tasks(cluster_keys, n_parts), "clusters",
                                FileReport)  # fmt: skip
        files += self.resumable("write parts", write_part, self.part_tasks(placement), "part", FileReport)
        files += self.write_tokens(placement)
        files += self.write_orders(placement)
        files += self.write_pages(reports, facts, placement, shards, files)
        lease.check()
        commit(
            self.store, self.head_key(), {"recipe": self.recipe, "release": self.run_file.release.name}, lease
        )
        self.remove_strays({file.key for file in files})
        lines = sorted(f"{file.sha256}  {file.key[len(self.folder) + 1 :]}\n" for file in files)
        self.store.put(f"{self.folder}/checksums.sha256", "".join(lines).encode())
        self.store.delete_prefix(self.work_folder())
        self.selector.remove_other_verdicts(self.selection)

    def check_copies(
        self,
        reports: Sequence[dict[str, Any]],
        decisions: Sequence[Decision],
        hosts: tuple[str, ...],
        n_parts: int,
    ) -> None:
        """Add up what copies take out; stop if the guards say so, and say what people should look at."""
        guards = guards_of(self.run_file)
        self.copies = sum_counts([report["copies"] for report in reports])
        tasks = [HostTask(self.store, hosts, i, guards) for i in range(n_parts if any(hosts) else 0)]
        above = self.resumable("add up hosts", hosts_above, tasks, "hosts", dict[str, Any]) if tasks else []
        check_guards(
            guards, self.copies, above, decisions, self.store, self.layout.columns["cluster_size"] or ""
        )
        self.warnings = warnings_of(self.copies, guards)
        for warning in self.warnings:
            self.session.progress.say(f"warning: {warning}")

    def measure_edited(self, selection: Selection) -> list[Decision]:
        """Run the stages that see the released text again, on documents from which passages were removed."""
        late, recipes = self.run_file.late, self.session.recipes
        self.session.add_owners(selection.owners, selection.owners_result)
        if not late:
            return selection.decisions
        self.session.wave(Wave(late))
        return [
            replace(d, refs={**d.refs, **{step.name: recipes.ref(step.name, d.shard) for step in late}})
            for d in selection.decisions
        ]

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
        self.session.record.tasks["release"] += len(missing)
        with self.session.progress.phase(label, len(missing), "tasks") as phase:
            for i, result in self.session.engine.map(run_numbered, missing):
                results[i] = result
                phase.step(getattr(result, "text_bytes", 0))
                rss = getattr(result, "peak_rss", 0)
                self.session.record.peak_rss = max(self.session.record.peak_rss, rss)
        return [results[i] for i in range(len(tasks))]

    def gathered(self, placement: Placement) -> dict[tuple[int, int], tuple[str, ...]]:
        """Exchange files that hold rows of each (output, part), for outputs whose texts are gathered."""
        table = placement.table
        ordinals = (table["row"].to_numpy() >> np.uint64(ROW_BITS)).astype(np.int64)
        output, part = table["output"].to_numpy(), table["part"].to_numpy()
        present = (
            np.unique(np.stack([output, part, ordinals]), axis=1) if len(table) else np.empty((3, 0), int)
        )
        maps: dict[tuple[int, int], list[str]] = {}
        for o, p, ordinal in present.T.tolist():
            if placement.outputs[o].gathered:
                maps.setdefault((o, p), []).append(exchange_key(self.work, o, ordinal))
        return {place: tuple(keys) for place, keys in sorted(maps.items())}

    def part_tasks(self, placement: Placement) -> list[PartTask]:
        """One task per part of every output that is written with its text."""
        return [
            PartTask(self.store, keys, p, f"{self.folder}/{placement.outputs[o].folder}/part-{p:05d}.parquet")
            for (o, p), keys in self.gathered(placement).items()
            if placement.outputs[o].materialise
        ]

    def cluster_tasks(self, keys: tuple[str, ...], n_parts: int) -> list[ClusterTask]:
        """One task per partition of the clusters, if the run looks for copies."""
        schema, folder = self.layout.clusters, f"{self.folder}/clusters"
        if self.layout.columns["cluster"] is None or not keys:
            return []
        return [
            ClusterTask(self.store, keys, part, schema, f"{folder}/part-{part:05d}.parquet")
            for part in range(n_parts)
        ]

    def write_tokens(self, placement: Placement) -> list[FileReport]:
        """Write the token files of every mix that has some, and beside them what they are."""
        tokens = self.run_file.tokens
        if tokens is None:
            return []
        tasks = [
            TokenTask(
                self.store, keys, p, f"{self.folder}/tokens/{placement.outputs[o].mix}/part-{p:05d}", tokens.module,
                tokens.config,
            )
            for (o, p), keys in self.gathered(placement).items()
            if placement.outputs[o].tokens
        ]  # fmt: skip
        reports = self.resumable("write tokens", write_tokens, tasks, "tokens", TokenReport)
        files = [file for report in reports for file in report.files]
        for mix in sorted(set(tokens.mixes)):
            folder = f"{self.folder}/tokens/{mix}"
            parts = [
                {"part": r.prefix[len(folder) + 1 :], "documents": r.n_docs, "tokens": r.n_tokens}
                for r in reports
                if r.prefix.startswith(f"{folder}/")
            ]
            page = {**token_writer(tokens.module).describe(tokens.config), "mix": mix, "parts": parts}
            files.append(put_text(self.store, f"{folder}/tokens.json", to_json(page)))
        return files

    def write_orders(self, placement: Placement) -> list[FileReport]:
        """Write the training order of each mix."""
        return [
            put_table(self.store, f"{self.folder}/mixes/{mix}/order.parquet", order.cast(ORDER))
            for mix, order in sorted(placement.orders.items())
        ]

    def write_pages(
        self,
        reports: Sequence[dict[str, Any]],
        facts: pa.Table,
        placement: Placement,
        shards: Sequence[ShardReport],
        files: Sequence[FileReport],
    ) -> list[FileReport]:
        """Write lineage, licences, report and run file, then what describes all files; check conservation first."""
        numbers = summary(self.session, self.recipe, reports, facts, placement)
        numbers["counts"]["lost_passages"] = self.selection.lost_passages
        numbers |= {"duplicates": self.copies["kinds"], "warnings": self.warnings}
        check_conservation(numbers["counts"], self.session.shards)
        sources = [(s.source, report) for s, report in zip(self.session.shards, shards, strict=True)]
        report = {
            **report_numbers(self.session, numbers, reports, shards),
            "lengths": lengths_of(facts),
            "near_duplicates": around_threshold(self.session, self.layout, self.selection.decisions),
        }
        pages = {
            "lineage.json": to_json({**lineage(self.session), **numbers}),
            "report.html": page(report),
            "report.json": to_json(report),
            "licenses.csv": licenses_csv(sources),
            "run.yaml": self.run_file.text,
        }
        written = self.put_pages(pages)
        listed = listed_files(self.folder, [*files, *written])
        schemas = table_schemas(self.store, self.folder, files)
        return written + self.put_pages(release_pages(report, listed, schemas))

    def put_pages(self, pages: dict[str, str]) -> list[FileReport]:
        """Write text files of the release, by name."""
        return [put_text(self.store, f"{self.folder}/{name}", text) for name, text in pages.items()]

    def remove_strays(self, keys: set[str]) -> None:
        """Delete files that an earlier release of the same name left."""
        for key, _ in list(self.store.list(self.folder)):
            if key not in keys:
                self.store.delete(key)
