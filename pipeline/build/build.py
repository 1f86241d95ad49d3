"""One run: ingest new inputs, compute missing annotations, run the global steps, decide, release.

All steps are idempotent: results are found by recipe, so a run that was stopped, or that finds results of another run,
computes only the missing ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, TypeVar

from pipeline.build.losses import check_columns, loss_fault, loss_lines
from pipeline.config.phases import GlobalPhase, Wave, before_derived, consecutive, phases
from pipeline.config.run_file import GlobalStep, derived_inputs
from pipeline.dataset.shard import INPUTS, SHARDS, Shard
from pipeline.dataset.tombstones import tag_of
from pipeline.erasure.erase import after_run, before_run
from pipeline.errors import DamagedError, InputError, LeaseError, QuarantineError
from pipeline.ingest.derive import DeriveTask, derive_shard
from pipeline.ingest.ingest import IngestReport, IngestTask, ingest_group
from pipeline.mapreduce.feeds import Annotations, Feed
from pipeline.planning.catalogs import used_catalogs
from pipeline.planning.plan import step_facts
from pipeline.planning.repair import Healer
from pipeline.planning.session import FLUSH_S, RunRecord, Session
from pipeline.planning.state import derived_groups, ingested_groups, shards_of
from pipeline.planning.usage import DRIVER, sizes_of
from pipeline.release.run import Releasing
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.runtime.progress import Progress
from pipeline.select.feeds import BaseRulesFeed
from pipeline.select.selector import Selector
from pipeline.storage.lease import hold
from pipeline.storage.run_records import write_record
from pipeline.storage.store import Store

Task = TypeVar("Task")


def run_build(open_session: Callable[[], Session], store: Store, progress: Progress) -> RunRecord:
    """Run a build; an object of the store that turns out to be damaged is computed again.

    Args: open_session, a session of the run: another one for each attempt, because it caches what the store has.
    Returns: the record of the last attempt, with the keys of what was damaged.
    Raises: StoreError if what is damaged cannot be made again; see Build.run.
    """
    healer = Healer(store, progress.say)
    while True:
        try:
            session = open_session()
            session.record.healed = healer.healed
            return Build(session).run()
        except DamagedError as error:
            healer.heal(error)


class Build:
    """The order of one run over one store. Call `run`; the session's record contains what it did."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self) -> RunRecord:
        """Build everything up to and including the release; the run record is written even after an error.

        Raises: QuarantineError, after everything is built, if more input was quarantined than the run file allows.
        """
        self.session.store.check()
        with self.recorded(), self.using_store():
            self.ingest()
            self.derive()
            for group in consecutive(phases(self.session.run_file)):
                with self.timed(", ".join(phase.label for phase in group)):
                    if isinstance(group[0], GlobalPhase):
                        self.global_step(group[0].step)
                    else:
                        self.session.wave(*(phase for phase in group if isinstance(phase, Wave)))
            self.remember_recipes()
            self.release()
            self.sweep()
        return self.session.record

    @contextmanager
    def using_store(self) -> Iterator[None]:
        """Keep erasures and `gc` away from the store; an erasure that was stopped before is finished first."""
        session = self.session
        session.lease = before_run(session.store, session.record.id, session.progress.say, session.waits)
        try:
            with session.kept_release():
                yield
        finally:
            after_run(session.store, session.lease)
            session.lease = None

    def release(self) -> None:
        """Decide, write the release, and record its counts."""
        store, record = self.session.store, self.session.record
        with self.timed("release"), self.session.meter.phase("release", self.session.shards):
            record.release = Releasing(self.session).run()
            counts = json.loads(store.get(f"{record.release}/lineage.json"))["counts"]
            record.ingested, record.kept = counts["ingested"], counts["kept"]

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Write the run record at the end, even after an error.

        Raises: QuarantineError, after everything else, if more input was quarantined than the run file allows.
        """
        begin = time.monotonic()
        try:
            yield
            self.session.record.status = "done"
            if faults := self.quarantine_faults():
                raise QuarantineError("; ".join(faults))
        except BaseException as error:
            self.session.record.status = f"{type(error).__name__}: {error}"
            self.session.meter.add(DRIVER, {"stopped": 1})
            raise
        finally:
            self.session.record.seconds["total"] = round(time.monotonic() - begin, 3)
            self.session.meter.settle()
            self.session.meter.add(DRIVER, sizes_of(self.session.shards))
            peaks = (self.session.record.peak_rss, self.session.meter.peak_bytes, peak_rss_bytes())
            self.session.record.peak_rss = max(peaks)
            self.session.record.add_rates()
            self.write_record()

    @contextmanager
    def timed(self, label: str) -> Iterator[None]:
        """Add the wall time of a phase to the record."""
        begin = time.monotonic()
        yield
        self.session.record.seconds[label] = round(
            self.session.record.seconds.get(label, 0) + time.monotonic() - begin, 3
        )

    def write_record(self) -> None:
        """Write the run record, unless the run did nothing."""
        if any(self.session.record.tasks.values()) or self.session.record.status != "done":
            if self.session.record.status == "done":
                self.session.record.catalogs = used_catalogs(self.session)
            write_record(self.session.store, asdict(self.session.record))

    # Ingest

    def ingest(self) -> None:
        """Ingest groups that the store lacks, and check the quarantined share."""
        run = self.session.run_file
        names, missing = ingested_groups(run, self.session.state)
        self.session.check_services(shards_of(names, self.session.state), bool(missing))
        tombstones = tag_of(self.session.store)
        tasks = [
            IngestTask(
                self.session.store,
                group,
                run.ingest,
                tuple(self.session.state.unchanged_digests(group).items()),
                tombstones=tombstones,
            )
            for group in missing
        ]
        self.session.add_groups([*names, *self.make_shards("ingest", ingest_group, tasks, "inputs")])
        self.session.record.tasks["ingest"] += len(tasks)
        self.count_quarantined()

    def derive(self) -> None:
        """Derive the documents of derived sources after the waves that they read, and add their shards."""
        session, run = self.session, self.session.run_file
        if not run.derived:
            return
        for wave in before_derived(run):
            with self.timed(wave.label):
                session.wave(wave)
        names, missing = derived_groups(run, session.state, session.recipes, session.shards)
        edits = run.release.edits.of_parents()
        columns = [derived_inputs(derived, edits) for derived, _, _ in missing]
        tasks = [
            DeriveTask(
                session.store, derived, shard, name, edits, session.recipes.refs(reads, shard),
                session.recipes.loose(reads, shard), tag_of(session.store),
            )
            for (derived, shard, name), reads in zip(missing, columns, strict=True)
        ]  # fmt: skip
        session.record.text_tasks += len(tasks)
        session.record.tasks["derive"] += len(tasks)
        session.add_derived([*names, *self.make_shards("derive", derive_shard, tasks, "shards")])

    def make_shards(
        self, label: str, fn: Callable[[Task], IngestReport], tasks: Sequence[Task], unit: str
    ) -> list[str]:
        """Run tasks that write groups of shards, commit the groups as they finish, and return their names."""
        names: list[str] = []
        if not tasks:
            return names
        with (
            self.timed(label),
            self.session.meter.phase(label),
            self.session.progress.phase(label, len(tasks), unit) as phase,
        ):
            reports: list[IngestReport] = []
            last_flush = time.monotonic()
            for report in self.session.engine.map(fn, tasks):
                names.append(report.name)
                reports.append(report)
                self.session.meter.add(label, sizes_of(report.shards))
                self.session.meter.add(label, {"input_bytes": sum(int(f["size"]) for f in report.files)})
                self.session.record.peak_rss = max(self.session.record.peak_rss, report.peak_rss)
                phase.step(sum(shard.text_bytes for shard in report.shards))
                if time.monotonic() - last_flush > FLUSH_S:
                    self.note_ingested(reports)
                    reports, last_flush = [], time.monotonic()
            self.note_ingested(reports)
        return names

    def note_ingested(self, reports: list[IngestReport]) -> None:
        """Commit groups and the digests of their input files to the catalogs."""
        files = {
            f"{r.source}/{f['path']}": {k: f[k] for k in ("size", "stamp", "digest")}
            for r in reports
            for f in r.files
        }
        self.session.check_lease()
        self.session.state.catalog(SHARDS).update({report.name: report.entry() for report in reports})
        self.session.state.catalog(INPUTS).update(files)

    def count_quarantined(self) -> None:
        """Count quarantined records by source and reason, and say what was lost and skipped.

        Raises: without any document, QuarantineError if records were quarantined, else InputError; ConfigError if a
        mapped column has no value in any record.
        """
        for entry in self.session.groups().values():
            reasons = self.session.record.quarantined.setdefault(entry["source"], {})
            for reason, count in entry["quarantined"].items():
                reasons[reason] = reasons.get(reason, 0) + count
        for source, entries in self.entries_by_source().items():
            for line in loss_lines(source, entries):
                self.session.progress.say(line)
        faults = self.quarantine_faults()
        for fault in faults:
            self.session.progress.say(f"warning: {fault}")
        if not self.session.shards:
            where = self.session.run_file.path
            if faults:
                raise QuarantineError(f"{where}: the sources contain no documents: {'; '.join(faults)}")
            raise InputError(f"{where}: the sources contain no documents")
        for warning in check_columns(self.session.run_file, self.session.groups().values()):
            self.session.progress.say(warning)

    def entries_by_source(self) -> dict[str, list[dict[str, Any]]]:  # Any: JSON
        """Entries of the catalog of shards by source, in the order of the run file."""
        entries: dict[str, list[dict[str, Any]]] = {}
        for entry in self.session.groups().values():
            entries.setdefault(entry["source"], []).append(entry)
        return entries

    def quarantine_faults(self) -> list[str]:
        """One message for each source that lost more than the run file allows."""
        limit = self.session.run_file.ingest.max_quarantined_share
        quarantined, entries = self.session.record.quarantined, self.entries_by_source()
        faults = (
            loss_fault(source, entries.get(source, ()), reasons, limit)
            for source, reasons in sorted(quarantined.items())
        )
        return [fault for fault in faults if fault]

    def remember_recipes(self) -> None:
        """Record facts of each step, so that the next plan can name those that changed."""
        steps = (*self.session.run_file.annotate, *self.session.run_file.globals)
        self.session.state.catalog("annotations/recipes.json").update(
            {s.name: step_facts(s, self.session.recipes) for s in steps}
        )

    # Global steps

    def global_step(self, step: GlobalStep) -> None:
        """Run a global step unless the store has its result."""
        recipe = self.session.recipes.global_recipe(step, self.session.shards)
        assert recipe is not None
        feeds: list[Feed] = [self.feed(step, shard) for shard in self.session.shards]
        folder = f"global/{step.name}/{recipe[:8]}"
        self.session.add_result(step, self.session.find_or_run(step, recipe, feeds, folder))

    def feed(self, step: GlobalStep, shard: Shard) -> Annotations | BaseRulesFeed:
        """The input of a global step from a shard."""
        if "passes_base" in step.definition.reads:
            return BaseRulesFeed(Selector(self.session, step.reads()).plain(shard, step.base))
        return Annotations(
            shard, self.session.recipes.refs(step.reads(), shard), self.session.recipes.loose(step.reads(), shard),
            step.definition.sparse,
        )  # fmt: skip

    def sweep(self) -> None:
        """Delete exchange files of killed runs, except those of a run in progress."""
        for work in sorted({"/".join(key.split("/")[:2]) for key, _ in self.session.store.list("exchange")}):
            with suppress(LeaseError), hold(self.session.store, f"global-{work.partition('/')[2]}"):
                self.session.store.delete_prefix(work)
