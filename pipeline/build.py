"""One run: ingest what is new, annotate what is missing, run the global steps, decide, release.

Everything it does is idempotent: results are found by recipe, so a run that was stopped anywhere, or that finds
another run's results, computes only what is missing.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from pipeline import __version__
from pipeline.cluster import Engine
from pipeline.decide import BaseRows
from pipeline.deciding import Deciding
from pipeline.derive import DeriveTask, derive_shard, inputs
from pipeline.errors import InputError, LeaseError, QuarantineError
from pipeline.exchange import run_global
from pipeline.execute import WaveReport, WaveTask, annotate_shard
from pipeline.feed import Annotations
from pipeline.graph import GlobalResult, Phase, Recipes, phases
from pipeline.index import note_erased, open_index
from pipeline.lease import Lease, hold
from pipeline.plan import (
    INPUTS,
    SHARDS,
    State,
    describe,
    known_derivations,
    known_groups,
    parents_of,
    shards_of,
)
from pipeline.progress import Progress
from pipeline.run_file import RunFile, Step
from pipeline.shards import IngestReport, IngestTask, ingest_group, peak_rss_bytes
from pipeline.sidecars import Shard
from pipeline.store import Store

Task = TypeVar("Task")

FLUSH_S = 5.0
"""Seconds between catalog updates: what a killed run may have to do again."""


@dataclass
class Record:
    """What a run did, kept under runs/. cpu_s: CPU-seconds by stage; tasks: by phase kind."""

    id: str
    run: str
    corpus: str
    started: str
    version: str = __version__
    tasks: dict[str, int] = field(
        default_factory=lambda: {"ingest": 0, "derive": 0, "annotate": 0, "global": 0, "release": 0}
    )
    text_tasks: int = 0
    cpu_s: dict[str, float] = field(default_factory=dict)
    stage_bytes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_rss: int = 0
    quarantined: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    ingested: int = 0
    kept: int = 0
    release: str | None = None
    status: str = "running"


class Build:
    """One run over one store. Call `run`; the record says what it did."""

    def __init__(
        self,
        run: RunFile,
        store: Store,
        engine: Engine,
        progress: Progress,
        n_partitions: int | None = None,
        batch_rows: int | None = None,
    ) -> None:
        self.run_file, self.store, self.engine, self.progress = run, store, engine, progress
        self.n_partitions, self.batch_rows = n_partitions, batch_rows
        self.state = State(store)
        started = datetime.now(UTC)
        run_id = f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.record = Record(run_id, run.path, run.corpus, started.isoformat(timespec="seconds"))
        self.group_names: list[str] = []
        self.shards: list[Shard] = []
        self.parents: dict[str, str] = {}  # shards of derived documents -> the shards they were made of
        self.recipes = Recipes(run)
        note_erased(store, self.recipes)

    def run(self) -> Record:
        """Build everything up to and including the release; write the run record whatever happens.

        Raises: QuarantineError, when all is built, if more input was quarantined than the run file allows.
        """
        self.store.check()
        with self.recorded():
            self.ingest()
            self.derive()
            for phase in phases(self.run_file):
                with self.timed(phase.label):
                    self.wave(phase) if phase.kind == "wave" else self.global_step(phase.steps[0])
            self.remember_recipes()
            self.release()
            self.sweep()
        return self.record

    def release(self) -> None:
        """Decide and write the release, and note what it holds."""
        from pipeline.releasing import Releasing

        with self.timed("release"):
            self.record.release = Releasing(self).run()
            counts = json.loads(self.store.get(f"{self.record.release}/lineage.json"))["counts"]
            self.record.ingested, self.record.kept = counts["ingested"], counts["kept"]

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Write the run record at the end, whatever happens.

        Raises: QuarantineError, when all else is done, if more input was quarantined than the run file allows.
        """
        begin = time.monotonic()
        try:
            yield
            self.record.status = "done"
            if faults := self.quarantine_faults():
                raise QuarantineError("; ".join(faults))
        except BaseException as error:
            self.record.status = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.record.seconds["total"] = round(time.monotonic() - begin, 3)
            self.record.peak_rss = max(self.record.peak_rss, peak_rss_bytes())
            self.write_record()

    @contextmanager
    def timed(self, label: str) -> Iterator[None]:
        """Add the wall time of a phase to the record."""
        begin = time.monotonic()
        yield
        self.record.seconds[label] = round(self.record.seconds.get(label, 0) + time.monotonic() - begin, 3)

    def write_record(self) -> None:
        """Put the run record; a run that did nothing leaves none."""
        if any(self.record.tasks.values()) or self.record.status != "done":
            page = json.dumps(asdict(self.record), indent=1, sort_keys=True, ensure_ascii=False)
            self.store.put(f"runs/{self.record.id}.json", page.encode())

    # Ingest

    def ingest(self) -> None:
        """Ingest groups that the store does not have, and check the quarantined share."""
        run = self.run_file
        self.group_names, missing = known_groups(run, self.state)
        tasks = [
            IngestTask(self.store, group, run.ingest, tuple(self.state.known_digests(group).items()))
            for group in missing
        ]
        self.group_names += self.make_shards("ingest", ingest_group, tasks, "inputs")
        self.shards = shards_of(self.group_names, self.state)
        self.record.tasks["ingest"] += len(tasks)
        self.count_quarantined()

    def derive(self) -> None:
        """Make the documents of derived sources, once what they rest on is measured, and add their shards."""
        run = self.run_file
        if not run.derived:
            return
        first = phases(run)[0]
        with self.timed(first.label):
            self.wave(first)
        names, missing = known_derivations(run, self.state, self.recipes, self.shards)
        edits = run.release.edits.of_parents()
        tasks = [
            DeriveTask(
                self.store, derived, shard, name, edits, self.recipes.refs(inputs(derived, edits), shard),
                self.recipes.loose(inputs(derived, edits), shard),
            )
            for derived, shard, name in missing
        ]  # fmt: skip
        self.record.text_tasks += len(tasks)
        self.record.tasks["derive"] += len(tasks)
        self.add_derived([*names, *self.make_shards("derive", derive_shard, tasks, "shards")])

    def make_shards(
        self, label: str, fn: Callable[[Task], IngestReport], tasks: Sequence[Task], unit: str
    ) -> list[str]:
        """Run tasks that make groups of shards, commit these as they come, and return their names."""
        names: list[str] = []
        if not tasks:
            return names
        with self.timed(label), self.progress.phase(label, len(tasks), unit) as phase:
            waiting: list[IngestReport] = []
            last = time.monotonic()
            for report in self.engine.map(fn, tasks):
                names.append(report.name)
                waiting.append(report)
                self.record.peak_rss = max(self.record.peak_rss, report.peak_rss)
                phase.step(sum(shard.text_bytes for shard in report.shards))
                if time.monotonic() - last > FLUSH_S:
                    self.note_ingested(waiting)
                    waiting, last = [], time.monotonic()
            self.note_ingested(waiting)
        return names

    def add_derived(self, names: list[str]) -> None:
        """Take derived groups into the build."""
        self.group_names += names
        self.shards = shards_of(self.group_names, self.state)
        self.parents = parents_of(names, self.state)

    def note_ingested(self, reports: list[IngestReport]) -> None:
        """Commit groups to the manifest."""
        files = {
            f"{r.source}/{f['path']}": {k: f[k] for k in ("size", "stamp", "digest")}
            for r in reports
            for f in r.files
        }
        self.state.catalog(SHARDS).update({report.name: report.entry() for report in reports})
        self.state.catalog(INPUTS).update(files)

    def groups(self) -> dict[str, dict[str, Any]]:
        """Manifest entries of the groups that this run is made of, by name; some may hold no document at all."""
        entries = self.state.catalog(SHARDS).entries
        return {name: entries[name] for name in sorted(self.group_names)}

    def count_quarantined(self) -> None:
        """Add up quarantined records by source and reason.

        Raises: if there is no document at all, QuarantineError or, when there is no record either, InputError.
        """
        for entry in self.groups().values():
            reasons = self.record.quarantined.setdefault(entry["source"], {})
            for reason, count in entry["quarantined"].items():
                reasons[reason] = reasons.get(reason, 0) + count
        faults = self.quarantine_faults()
        for fault in faults:
            self.progress.say(f"warning: {fault}")
        if not self.shards:
            message = f"{self.run_file.path}: the sources give no document at all"
            raise QuarantineError(f"{message}: {'; '.join(faults)}") if faults else InputError(message)

    def quarantine_faults(self) -> list[str]:
        """One line for each source of which more records went to quarantine than the run file allows."""
        limit = self.run_file.ingest.max_quarantined_share
        n_read: dict[str, int] = {}
        for entry in self.groups().values():
            n_read[entry["source"]] = n_read.get(entry["source"], 0) + entry["read"]
        faults = []
        for source, reasons in sorted(self.record.quarantined.items()):
            n_bad = sum(reasons.values())
            if n_bad > limit * n_read[source]:
                found = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
                faults.append(
                    f"source {source}: {n_bad:,} of {n_read[source]:,} records went to quarantine ({found}); allowed "
                    f"are {limit:.1%} (ingest.max_quarantined_share). See quarantine/{source}/ in the store; `columns` "
                    "in the run file says which field is the text"
                )
        return faults

    # Annotation

    def wave(self, phase: Phase) -> None:
        """Run the pending stages of a wave, one task per shard."""
        tasks = list(self.wave_tasks(phase))
        if not tasks:
            return
        self.record.tasks["annotate"] += len(tasks)
        self.record.text_tasks += sum(any(step.reads_text for step in task.steps) for task in tasks)
        names = sorted({step.name for task in tasks for step in task.steps})
        label = ", ".join(names) if len(names) < 3 else f"annotate ({len(names)} stages)"
        with self.progress.phase(label, len(tasks)) as progress:
            waiting: list[WaveReport] = []
            last = time.monotonic()
            try:
                for report in self.engine.map(annotate_shard, tasks):
                    waiting.append(report)
                    progress.step(report.n_bytes)
                    if time.monotonic() - last > FLUSH_S:
                        self.note_annotated(waiting)
                        waiting, last = [], time.monotonic()
            finally:
                self.note_annotated(waiting)

    def wave_tasks(self, phase: Phase) -> Iterator[WaveTask]:
        """One task per shard that lacks something of this wave."""
        for shard in self.shards:
            steps = tuple(s for s in phase.steps if not self.state.done(self.recipes, s, shard))
            if not steps:
                continue
            own = {step.name for step in steps}
            reads = {c for step in steps for c in step.reads() if c.partition(".")[0] not in own}
            yield WaveTask(
                store=self.store, shard=shard, steps=steps, refs=self.recipes.refs(reads, shard),
                outputs={step.name: self.recipes.ref(step.name, shard) for step in steps},
                loose=self.recipes.loose(reads, shard), batch_rows=self.batch_rows,
            )  # fmt: skip

    def note_annotated(self, reports: list[WaveReport]) -> None:
        """Commit finished sidecars to their catalogs and add up what they cost."""
        entries: dict[str, dict[str, dict[str, Any]]] = {}
        for report in reports:
            for name, ref in report.outputs.items():
                folder = ref.key.rpartition("/")[0]
                entry = {"recipe": ref.recipe, "generation": report.shard.generation}
                entries.setdefault(folder, {})[report.shard.id] = entry
                self.record.stage_bytes[name] = self.record.stage_bytes.get(name, 0) + report.n_bytes
            for name, seconds in report.cpu_s.items():
                self.record.cpu_s[name] = round(self.record.cpu_s.get(name, 0.0) + seconds, 4)
            for name, doc_ids in report.failed.items():
                self.record.failed.setdefault(name, []).extend(doc_ids)
            self.record.peak_rss = max(self.record.peak_rss, report.peak_rss)
        for folder, found in entries.items():
            self.state.catalog(f"{folder}/catalog.json").update(found)

    def remember_recipes(self) -> None:
        """Record what each step is made of, so that the next plan can say what changed."""
        steps = (*self.run_file.annotate, *self.run_file.globals)
        self.state.catalog("annotations/recipes.json").update(
            {s.name: describe(s, self.recipes) for s in steps}
        )

    # Global steps

    def global_step(self, step: Step) -> None:
        """Run a global step unless its result is there."""
        recipe = self.recipes.global_recipe(step, self.shards)
        assert recipe is not None
        feeds = [self.feed(step, shard) for shard in self.shards]
        self.recipes.results[step.name] = self.find_or_run(
            step, recipe, feeds, f"global/{step.name}/{recipe[:8]}"
        )

    def feed(self, step: Step, shard: Shard) -> Annotations | BaseRows:
        """What a global step reads of a shard."""
        if "passes_base" in step.step.reads:
            return BaseRows(Deciding(self, step.reads()).plain(shard, step.base))
        return Annotations(
            shard, self.recipes.refs(step.reads(), shard), self.recipes.loose(step.reads(), shard),
            step.step.sparse,  # type: ignore[union-attr]  # a global step
        )  # fmt: skip

    def find_or_run(self, step: Step, recipe: str, feeds: list[Any], folder: str) -> GlobalResult:
        """A global result from the store, or computed now; one run at a time computes the same one."""
        found = self.state.global_result(step.name, recipe)
        if found is not None:
            return found
        with self.hold(f"global-{step.name}-{recipe[:8]}"):
            self.state.catalogs.pop(f"{folder}/catalog.json", None)
            found = self.state.global_result(step.name, recipe)
            if found is not None:
                return found
            self.record.tasks["global"] += 1
            self.record.text_tasks += len(feeds) * step.reads_text
            places = {shard.id: i for i, shard in enumerate(self.shards)}
            ordinals = [places[feed.shard.id] for feed in feeds]
            with ExitStack() as stack:
                index = open_index(self.store, step, self.recipes)
                if index is not None:
                    stack.enter_context(self.hold(index.lease))
                return run_global(
                    self.engine, self.store, step, recipe, feeds, folder, self.progress, self.n_partitions,
                    ordinals, index,
                )  # fmt: skip

    def sweep(self) -> None:
        """Delete exchange files that a run which was killed left behind, unless a run is using them."""
        for work in sorted({"/".join(key.split("/")[:2]) for key, _ in self.store.list("exchange")}):
            with suppress(LeaseError), hold(self.store, f"global-{work.partition('/')[2]}"):
                self.store.delete_prefix(work)

    def hold(self, name: str) -> Lease:
        """Take a lease, waiting while another run that does the same work holds it."""
        while True:
            try:
                return hold(self.store, name)
            except LeaseError as error:
                self.progress.say(f"waiting: {error}")
                time.sleep(2)
