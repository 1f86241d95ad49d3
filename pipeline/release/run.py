"""The last part of a run: decisions, mixes and the files of a release, under a lease on its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from pipeline import __version__
from pipeline.config.phases import Wave
from pipeline.config.release_columns import mix_columns, release_columns, release_layout, shares_column
from pipeline.config.run_file import plain_edits
from pipeline.dataset.release_schema import FORMAT, order_path
from pipeline.errors import LeaseError
from pipeline.mapreduce.exchange import Exchange
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.planning.session import Session
from pipeline.recipe import digest
from pipeline.release.clusters import ClusterTask, count_parts, write_clusters
from pipeline.release.expect import (
    HostFigures,
    HostFiguresTask,
    check_all,
    check_hosts,
    examples,
    has_change,
    refuse,
    totals_of,
)
from pipeline.release.facts import HELD, RIGHTS_GROUP, FactsTask, ShardFacts, collect_facts, has_groups
from pipeline.release.files import (
    FileReport,
    PartTask,
    TokenReport,
    TokenTask,
    put_text,
    sha256,
    to_json,
    token_writer,
    with_digest,
    write_part,
    write_tokens,
)
from pipeline.release.held_out import Links, earlier_holdout, held_out
from pipeline.release.kept import make_blocks
from pipeline.release.numbers import (
    check_conservation,
    licenses_csv,
    lineage,
    listed_files,
    obligations_csv,
    report_numbers,
    summary,
    table_schemas,
)
from pipeline.release.passes import Passes
from pipeline.release.placement import Placement, Placing, fitted_mixes, to_fit
from pipeline.release.public import PUBLIC, public_lineage, public_report, public_run_file
from pipeline.release.work_folder import WorkFolder
from pipeline.release.write import ShardReport, WriteTask, write_shard
from pipeline.report.audit_numbers import audit_key, from_bytes
from pipeline.report.bucket_numbers import bucket_numbers
from pipeline.report.near_threshold import around_threshold
from pipeline.report.page import lengths_of, page
from pipeline.report.profile import merge
from pipeline.report.release_numbers import check_numbers, plain_numbers, read_numbers
from pipeline.report.release_pages import pages as release_pages
from pipeline.report.rule_samples import rule_samples, sampled_shards
from pipeline.report.signal_numbers import signal_numbers
from pipeline.report.signals import measured_columns
from pipeline.runtime.checkpoint import Numbered, Result, Task, run_numbered, stored_result
from pipeline.select.guards import (
    HostTask,
    check_guards,
    guards_of,
    hosts_above,
    sum_counts,
    warnings_of,
)
from pipeline.select.selector import Selection, Selector
from pipeline.select.verdicts import Decision
from pipeline.storage.lease import Lease, commit, hold
from pipeline.storage.seal import parse_sealed
from pipeline.translation import in_language, message


class Releasing:
    """Decides over the annotations of a run and writes its release, unless it is up to date."""

    def __init__(self, session: Session) -> None:
        self.session, self.run_file, self.store = session, session.run_file, session.store
        self.layout = release_layout(self.run_file)
        self.columns = release_columns(self.run_file)
        self.selector = Selector(session, self.columns)
        self.decisions_recipe = self.release_recipe()
        self.audit = self.stored_audit()
        self.recipe = (
            self.decisions_recipe if self.audit is None else digest([self.decisions_recipe, self.audit])
        )
        self.final = f"releases/{self.run_file.release.name}"
        self.work = WorkFolder(self.store, self.run_file.release.name, self.recipe)
        self.folder = self.work.files
        self.copies: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.expectations: list[dict[str, Any]] = []  # Any: plain JSON
        self.selection = Selection([])

    def run(self) -> str:
        """Write the release and return its folder."""
        if self.is_current():
            self.session.progress.say(f"release {self.run_file.release.name} is up to date")
            self.tidy()
            return self.final
        with self.session.hold(f"release-{self.run_file.release.name}") as lease:
            if self.is_current():  # another run has written it in the meantime
                self.session.progress.say(
                    f"release {self.run_file.release.name} was written by the other run"
                )
                return self.final
            self.work.resume()
            self.write(lease)
        return self.final

    def tidy(self) -> None:
        """Delete what was left by a run that was stopped between its last file and the deletion of its work folder."""
        if not self.work.is_empty():
            with suppress(LeaseError), hold(self.store, f"release-{self.run_file.release.name}"):
                self.work.delete()

    def head_key(self) -> str:
        """Key of the record of the recipe that a release was written by."""
        return f"releases/_heads/{self.run_file.release.name}.json"

    def is_current(self) -> bool:
        """Whether the release lies there complete, with this recipe; `verify` and `scrub` also check its bytes."""
        found = self.store.get_with_tag(self.head_key())
        if found is None:
            return False
        head = parse_sealed(found[0], self.head_key(), f"{self.store.url}/{self.head_key()}")
        return head.get("recipe") == self.recipe and self.is_complete()

    def is_complete(self) -> bool:
        """Whether the release has the files of its checksums, and the lineage that was written."""
        sums = self.store.get_with_tag(f"{self.final}/checksums.sha256")
        if sums is None:
            return False
        lines = [line.partition("  ") for line in sums[0].decode(errors="replace").splitlines()]
        listed = {name: digest for digest, _, name in lines}
        present = {key[len(self.final) + 1 :] for key, _ in self.store.list(self.final)}
        missing = sorted({*listed, "lineage.json"} - present)
        if not missing:
            found = hashlib.sha256(self.store.get(f"{self.final}/lineage.json")).hexdigest()
            missing = [] if found == listed.get("lineage.json") else ["lineage.json"]
        if missing:
            name = self.run_file.release.name
            self.session.progress.say(
                f"release {name}: {len(missing):,} files are missing or damaged ({missing[0]}); it is written again"
            )
        return not missing

    def release_recipe(self) -> str:
        """Hash everything that a release depends on: 32 hex digits."""
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
            run.release.part_bytes, dict(self.layout.columns), dict(self.layout.scores), dict(self.layout.rights),
            recipes.static, run.standings(), self.tokens_recipe(), *self.selector.references(),
            *self.declared_good(), earlier_holdout(self.store, run.mix.holdout),
        ]  # fmt: skip
        release = run.release
        if (release.profile, release.urls) != ("internal", "keep"):
            settings.append([release.profile, release.urls])
        if run.expect:
            settings.append(["expect", *(expectation.plain() for expectation in run.expect)])
        if release.order != "hash":
            settings.append(["order", release.order])
        return digest([__version__, FORMAT, shards, settings])

    def stored_audit(self) -> dict[str, Any] | None:  # Any: JSON
        """The audit of the release of this name, for its report; `current`: drawn from the decisions of this run."""
        found = self.store.get_with_tag(audit_key(self.run_file.release.name))
        if found is None:
            return None
        numbers = from_bytes(found[0])
        return dict(msgspec.to_builtins(numbers)) | {"current": numbers.recipe == self.decisions_recipe}

    def declared_good(self) -> list[object]:
        """What the report depends on besides the decisions; empty without a source that is declared good."""
        good = self.run_file.good_sources()
        return [["good", *good]] if good else []

    def tokens_recipe(self) -> object:
        """Everything that the token files depend on, the tokenizer by its digest; None without token files."""
        tokens = self.run_file.tokens
        return None if tokens is None else [tokens.mixes, token_writer(tokens.module).describe(tokens.config)]

    # Writing

    def write(self, lease: Lease) -> None:
        """Write every file of the release, the checksums last."""
        self.selection = self.selector.decide()
        decisions = self.measure_edited(self.selection)
        facts = self.collect(decisions)
        placing = self.placing(facts)
        placement = self.place(placing, facts)
        self.check_expectations(decisions, facts, placement)
        shards = self.write_shards(decisions, placement)
        files = [report.ledger for report in shards]
        files += self.resumable(
            message("write clusters"),
            write_clusters,
            self.cluster_tasks(placing.passes),
            "clusters",
            FileReport,
        )
        texts = self.texts(placement, placing.passes)
        files += self.resumable(
            message("write parts"), write_part, self.part_tasks(placement, texts), "part", FileReport
        )
        files += self.write_tokens(placement, texts)
        orders = placing.write_orders(
            placement.orders, {mix: f"{self.folder}/{order_path(mix)}" for mix in placement.orders}
        )
        files += [file for _, (file, _) in sorted(orders.items())]
        digests = self.digests({mix: found for mix, (_, found) in orders.items()}, shards)
        files += self.write_pages(facts, placement, digests, shards, files)
        self.commit(lease, files)

    @property
    def n_partitions(self) -> int:
        """Partitions of the clusters and of the hosts."""
        return count_parts(sum(shard.n_rows for shard in self.session.shards))

    def collect(self, decisions: Sequence[Decision]) -> list[ShardFacts]:
        """Collect the facts of every shard.

        Raises: ExpectationError if more documents were removed as duplicates than the guards allow.
        """
        guards = guards_of(self.run_file)
        by, fits = mix_columns(self.run_file), to_fit(self.run_file)
        measured = measured_columns(self.run_file, self.layout)
        decisions = [self.with_columns(decision, measured.columns()) for decision in decisions]
        sampled = sampled_shards([decision.shard for decision in decisions])
        tasks = [
            FactsTask(
                store=self.store, decision=decision, ordinal=i, layout=self.layout, by=by, key=self.work.facts(i),
                fits=fits, cluster_parts=self.n_partitions, clusters_key=self.work.clusters(i),
                hosts_key="" if guards.host_share is None else self.work.hosts(i),
                host_tallies_key=self.work.host_tallies(i) if self.expects_hosts else "",
                shares=shares_column(self.run_file), holdout=self.run_file.mix.holdout,
                links_key=self.work.links(i) if self.run_file.mix.holdout else "",
                measured=measured, samples=self.run_file.release.seed if i in sampled else None,
            )
            for i, decision in enumerate(decisions)
        ]  # fmt: skip
        facts = self.resumable(message("collect facts"), collect_facts, tasks, "facts", ShardFacts)
        self.copies = sum_counts([report.copies for report in facts])
        host_tasks = []
        if guards.host_share is not None:
            keys = tuple(self.work.hosts(i) for i in range(len(decisions)))
            host_tasks = [HostTask(self.store, keys, i, guards) for i in range(self.n_partitions)]
        above = self.resumable(message("add up hosts"), hosts_above, host_tasks, "hosts", dict[str, Any])
        sizes = self.layout.columns["cluster_size"] or ""
        check_guards(guards, self.copies, above, decisions, self.store, sizes)
        self.warnings = warnings_of(self.copies, guards)
        for warning in self.warnings:
            self.session.progress.say(f"warning: {warning}")
        return facts

    @property
    def expects_hosts(self) -> bool:
        """Whether an expectation is about hosts."""
        return any(e.family == "hosts" for e in self.run_file.expect)

    def check_expectations(
        self,
        decisions: Sequence[Decision],
        facts: Sequence[ShardFacts],
        placement: Placement,
    ) -> None:
        """Check what the run file expects of the release, before anything of an earlier one is deleted.

        Raises: ExpectationError for what does not hold, with documents.
        """
        if not self.run_file.expect:
            return
        numbers = {
            **summary(self.session, self.recipe, facts, placement),
            "profile": merge(report.profile for report in facts),
            "spans": signal_numbers(report.signals for report in facts)["spans"],
        }
        hosts = []
        if self.expects_hosts:
            keys = tuple(self.work.host_tallies(i) for i in range(len(decisions)))
            of_hosts = tuple(e for e in self.run_file.expect if e.family == "hosts")
            total = totals_of(numbers)
            tasks = [HostFiguresTask(self.store, keys, i, of_hosts, total) for i in range(self.n_partitions)]
            hosts = self.resumable(message("check hosts"), check_hosts, tasks, "host-figures", HostFigures)
        faults, rows = check_all(self.run_file.expect, numbers, self.replaced(), hosts)
        self.expectations = [msgspec.to_builtins(row) for row in rows]
        for fault in (fault for fault in faults if fault.expectation.level == "warn"):
            text = fault.text
            self.session.progress.say(f"warning: {text}")
            if fault.change is None:
                self.warnings.append(fault.text)
        if errors := [fault for fault in faults if fault.expectation.level == "error"]:
            ids = [examples(fault, decisions, self.store, self.layout) for fault in errors]
            refuse(errors, ids, self.store.exists(f"{self.final}/checksums.sha256"))

    def replaced(self) -> dict[str, Any] | None:  # Any: JSON
        """Numbers of the finished release of this name, if an expectation compares with them."""
        key = f"{self.final}/report.json"
        if not any(map(has_change, self.run_file.expect)) or not self.is_finished(key):
            return None
        return dict(msgspec.to_builtins(read_numbers(self.store.get(key))))

    def is_finished(self, key: str) -> bool:
        """Whether there is a finished release of this name with this file."""
        return self.store.exists(f"{self.final}/checksums.sha256") and self.store.exists(key)

    def with_columns(self, decision: Decision, columns: set[str]) -> Decision:
        """A decision that can read further columns of its shard."""
        recipes, shard = self.session.recipes, decision.shard
        refs = recipes.refs(columns, shard)
        loose = recipes.loose(columns, shard)
        return replace(decision, refs={**refs, **decision.refs}, loose={**loose, **decision.loose})

    def placing(self, facts: Sequence[ShardFacts]) -> Placing:
        """What places the kept documents; finds those that are held out first."""
        holdout, n = self.run_file.mix.holdout, len(facts)
        if holdout:
            links = Links(lambda i: read_exchange(self.store, [self.work.links(i)], 0), n)
            for i, held in enumerate(held_out(self.store, links, holdout)):
                table = pa.table({HELD: held})
                write_exchange(self.store, self.work.held(i), table, np.zeros(len(held), np.int64), 1)
        session = self.session
        passes = Passes(self.store, session.engine, session.progress, self.work, self.count_tasks)
        n_kept = [sum(row.get("kept", 0) for row in report.funnel.values()) for report in facts]
        keys = [[key(i) for i in range(n)] for key in (self.work.facts, self.work.held)]
        blocks = make_blocks(self.store, n_kept, keys[0], keys[1] if holdout else [], session.n_partitions)
        group = RIGHTS_GROUP if has_groups(self.layout) else ""
        return Placing(self.run_file, passes, blocks, group, session.n_partitions)

    def count_tasks(self, n: int) -> None:
        """Note tasks in the record of the run."""
        self.session.record.tasks["release"] += n

    def place(self, placing: Placing, facts: Sequence[ShardFacts]) -> Placement:
        """Place every kept document, and write the positions of each shard's documents to its exchange file."""
        placement = placing.place(fitted_mixes(self.run_file, facts))
        for warning in placement.warnings:
            self.session.progress.say(f"warning: {warning}")
        self.warnings += placement.warnings
        return placement

    def write_shards(self, decisions: Sequence[Decision], placement: Placement) -> list[ShardReport]:
        """Write the ledger, and the edited text of kept documents into exchange files."""
        default = [output.mix for output in placement.outputs].index(self.run_file.mix.default)
        tasks = [
            WriteTask(
                store=self.store, decision=decision, ordinal=i, layout=self.layout, edits=self.run_file.release.edits,
                outputs=placement.outputs, default_mix=default, work=self.work, folder=self.folder,
                profile=self.run_file.release.profile, urls=self.run_file.release.urls, tokens=self.run_file.tokens,
            )
            for i, decision in enumerate(decisions)
        ]  # fmt: skip
        return self.resumable(message("write ledger, edit text"), write_shard, tasks, "shard", ShardReport)

    def commit(self, lease: Lease, files: Sequence[FileReport]) -> None:
        """Make the files the release, if no other run took its name meanwhile, and delete what is not part of it.

        Files are moved one by one, and the leases of the name and of the run are checked before each; a release without
        checksums is not complete.

        Raises: LeaseError if one of them is lost.
        """
        self.session.check_lease()
        lease.check()
        name = self.run_file.release.name
        commit(self.store, self.head_key(), {"recipe": self.recipe, "release": name}, lease)
        self.work.forget()
        self.store.delete(f"{self.final}/checksums.sha256")
        names = sorted(file.key[len(self.folder) + 1 :] for file in files)
        for path in names:
            self.session.check_lease()
            lease.check()
            self.store.move(f"{self.folder}/{path}", f"{self.final}/{path}")
        self.remove_strays({f"{self.final}/{path}" for path in names})
        lines = sorted(f"{file.sha256}  {file.key[len(self.folder) + 1 :]}\n" for file in files)
        self.session.check_lease()
        self.store.put(f"{self.final}/checksums.sha256", "".join(lines).encode())
        self.work.delete()
        self.selector.remove_other_verdicts(self.selection)

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
        """Run tasks and keep their results in the work folder; tasks whose result is there already are skipped."""
        results: dict[int, Result] = {}
        missing = []
        for i, task in enumerate(tasks):
            key = self.work.result(name, i)
            if key in self.work.done:
                results[i] = stored_result(self.store, key, kind)
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

    def texts(self, placement: Placement, passes: Passes) -> dict[int, Exchange]:
        """The exchange of each output whose texts are gathered."""
        return {
            o: passes.exchange(
                message("merge texts"), [self.work.rows(o, i) for i in placement.present[o]], output.n_parts,
                f"texts-{o:03d}",
            )
            for o, output in enumerate(placement.outputs)
            if output.gathered and output.n_parts
        }  # fmt: skip

    def part_tasks(self, placement: Placement, texts: Mapping[int, Exchange]) -> list[PartTask]:
        """One task per part of every output that is written with its text."""
        return [
            PartTask(self.store, exchange.sources(p), f"{self.folder}/{output.folder}/part-{p:05d}.parquet")
            for o, exchange in texts.items()
            if (output := placement.outputs[o]).materialise
            for p in range(output.n_parts)
        ]

    def cluster_tasks(self, passes: Passes) -> list[ClusterTask]:
        """One task per partition of the clusters, if the run looks for duplicates."""
        if self.layout.columns["cluster"] is None or not self.session.shards:
            return []
        keys = [self.work.clusters(i) for i in range(len(self.session.shards))]
        exchange = passes.exchange(message("merge texts"), keys, self.n_partitions, "clusters-merged")
        schema, folder = self.layout.clusters, f"{self.folder}/clusters"
        return [
            ClusterTask(
                self.store, exchange.sources(partition), schema, f"{folder}/part-{partition:05d}.parquet"
            )
            for partition in range(self.n_partitions)
        ]

    def write_tokens(self, placement: Placement, texts: Mapping[int, Exchange]) -> list[FileReport]:
        """Write the token files of the mixes that have some, and tokens.json beside them."""
        tokens = self.run_file.tokens
        if tokens is None:
            return []
        tasks = [
            TokenTask(
                self.store, exchange.sources(p), f"{self.folder}/tokens/{output.mix}/part-{p:05d}", tokens.module,
                tokens.config,
            )
            for o, exchange in texts.items()
            if (output := placement.outputs[o]).tokens
            for p in range(output.n_parts)
        ]  # fmt: skip
        reports = self.resumable(message("write tokens"), write_tokens, tasks, "tokens", TokenReport)
        files = [file for report in reports for file in report.files]
        for mix in sorted(set(tokens.mixes)):
            folder = f"{self.folder}/tokens/{mix}"
            own = [report for report in reports if report.prefix.startswith(f"{folder}/")]
            parts = [
                {"part": r.prefix[len(folder) + 1 :], "documents": r.n_docs, "tokens": r.n_tokens}
                for r in own
            ]
            writer = token_writer(tokens.module)
            facts, pages = writer.overview([report.summary for report in own], tokens.config)
            page = {**writer.describe(tokens.config), **facts, "mix": mix, "parts": parts}
            pages["tokens.json"] = to_json(page)
            files += [put_text(self.store, f"{folder}/{name}", text) for name, text in sorted(pages.items())]
        return files

    def write_pages(
        self,
        facts: Sequence[ShardFacts],
        placement: Placement,
        digests: dict[str, Any],
        shards: Sequence[ShardReport],
        files: Sequence[FileReport],
    ) -> list[FileReport]:
        """Check conservation, write lineage, licences, report and run file, then the pages that describe all files."""
        numbers = summary(self.session, self.recipe, facts, placement)
        numbers["counts"]["lost_passages"] = self.selection.lost_passages
        numbers |= {"duplicates": self.copies["kinds"], "warnings": self.warnings}
        check_conservation(numbers["counts"], self.session.shards)
        sources = [(s.source, report) for s, report in zip(self.session.shards, shards, strict=True)]
        numbers["digests"] = digests
        figures: dict[str, Any] = {  # Any: JSON
            **report_numbers(self.session, numbers, facts, shards),
            "expectations": self.expectations,
            "audit": self.audit,
            "rights_parts": {name: list(paths) for name, paths in sorted(placement.rights.items())},
            "lengths": lengths_of(placement.lengths),
            "near_duplicates": around_threshold(self.session, self.layout, self.selection.decisions),
            "buckets": bucket_numbers(self.session, self.layout, self.selection.decisions),
            "rule_samples": rule_samples(
                self.session, self.selection.decisions, {i: f.samples for i, f in enumerate(facts)}
            ),
        }
        made, run_text = {**lineage(self.session), **numbers}, self.run_file.text
        if self.run_file.release.profile == PUBLIC:
            made, figures, run_text = public_lineage(made), public_report(figures), public_run_file(run_text)
        report = check_numbers(figures)
        plain = to_json(plain_numbers(report))
        report = read_numbers(plain.encode())  # as who draws the pages again reads them
        with in_language("en"):  # the files of a release are the same wherever it is built
            html = page(report)
        pages = {
            "report.html": html,
            "report.json": plain,
            "licenses.csv": licenses_csv(sources),
            **({"obligations.csv": obligations_csv(figures["rights"])} if figures["rights"] else {}),
            "run.yaml": run_text,
        }
        made["digests"]["files"] = {file.key[len(self.folder) + 1 :]: file.sha256 for file in files} | {
            name: sha256(text.encode()) for name, text in pages.items()
        }
        pages["lineage.json"] = to_json(with_digest(made))
        written = self.put_pages(pages)
        listed = listed_files(self.folder, [*files, *written])
        schemas = table_schemas(self.store, self.folder, files)
        with in_language("en"):
            described = release_pages(report, listed, schemas)
        return written + self.put_pages(described)

    def digests(self, orders: dict[str, str], shards: Sequence[ShardReport]) -> dict[str, Any]:
        """Digests of the ledger and of the training orders, which `verify` compares with the files."""
        ledger = sum(report.ledger_sum for report in shards) % 2**64
        release = self.run_file.release
        order = {} if release.order == "hash" else {"order": release.order}
        return {"ledger": f"{ledger:016x}", "orders": orders, "seed": release.seed, **order}

    def put_pages(self, pages: dict[str, str]) -> list[FileReport]:
        """Write text files of the release, by name."""
        return [put_text(self.store, f"{self.folder}/{name}", text) for name, text in pages.items()]

    def remove_strays(self, keys: set[str]) -> None:
        """Delete files of an earlier release of the same name."""
        for key, _ in list(self.store.list(self.final)):
            if key not in keys:
                self.store.delete(key)
