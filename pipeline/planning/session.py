"""A session: one run file, one store and an engine, with methods that compute and record missing results.

Results of global steps and owners of passages are added to the recipes here, and nowhere else.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline import __version__
from pipeline.annotate.addresses import GlobalResult
from pipeline.annotate.wave import WaveReport, WaveTask, annotate_shard, keep_served
from pipeline.config.phases import Wave
from pipeline.config.run_file import GlobalStep, RunFile
from pipeline.dataset.shard import SHARDS, Shard
from pipeline.dataset.sidecars import SidecarRef
from pipeline.errors import LeaseError
from pipeline.mapreduce.feeds import Feed
from pipeline.mapreduce.index import open_index, recipes_of
from pipeline.mapreduce.requests import Requests
from pipeline.mapreduce.run import Job, run_global
from pipeline.planning.prices import NO_PRICES, Prices, Usage
from pipeline.planning.services import serve, service_steps, usage_line
from pipeline.planning.state import State, parents_of, shards_of
from pipeline.planning.usage import UsageMeter
from pipeline.runtime.engines import Engine
from pipeline.runtime.metered import MeteredEngine
from pipeline.runtime.progress import Progress
from pipeline.runtime.threads import ThreadEngine
from pipeline.schema import OWNERS
from pipeline.service import Services
from pipeline.storage.lease import Lease, hold
from pipeline.storage.store import Store

FLUSH_S = 5.0
"""Seconds between catalog updates: the work that a killed run may lose."""

WAVES = "annotate"
"""Name of what all waves of stages cost besides the stages: reading shards and sidecars."""


@dataclass
class RunRecord:
    """The record of a run, stored under runs/.

    tasks: by kind of phase. cpu_s: CPU-seconds and stage_bytes: bytes of text, by stage; mb_per_s: megabytes of text
    per CPU-second, see add_rates; seconds: wall time by phase.
    wall_s: seconds of workers, and devices: hardware, by stage that runs a model.
    quarantined: records by source and reason; failed: doc_ids by stage. services: requests, tokens and cost by model;
    open: rows by stage that a later run has to ask again. catalogs: keys of those that a finished run used. exchange:
    reads and writes of exchange files by global step. healed: keys of objects that were damaged and made again.
    usage: costs by phase, see planning.usage.
    """

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
    mb_per_s: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    wall_s: dict[str, float] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    peak_rss: int = 0
    quarantined: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    services: dict[str, dict[str, int | float]] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)
    exchange: dict[str, dict[str, int]] = field(default_factory=dict)
    healed: list[str] = field(default_factory=list)
    catalogs: list[str] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    ingested: int = 0
    kept: int = 0
    release: str | None = None
    status: str = "running"

    def add_rates(self) -> None:
        """Compute the rate of each stage that annotated text in this run, the slowest first."""
        rates = {
            name: round(self.stage_bytes[name] / 1e6 / seconds, 2)
            for name, seconds in self.cpu_s.items()
            if seconds > 0 and self.stage_bytes.get(name)
        }
        self.mb_per_s = dict(sorted(rates.items(), key=lambda rate: (rate[1], rate[0])))


class Session:
    """One run file over one store, with an engine. Shards are added once the input groups are known."""

    def __init__(
        self,
        run: RunFile,
        store: Store,
        engine: Engine,
        progress: Progress,
        n_partitions: int | None = None,
        batch_rows: int | None = None,
        services: Services | None = None,
        waits: bool = True,
        prices: Prices = NO_PRICES,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.run_file, self.store, self.progress = run, store, progress
        self.n_partitions, self.batch_rows = n_partitions, batch_rows
        self.services, self.waits = services or Services(), waits
        self.state = State(store)
        started = datetime.now(UTC)
        run_id = f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
        self.record = RunRecord(run_id, run.path, run.corpus, started.isoformat(timespec="seconds"))
        progress.run = run_id
        self.meter = UsageMeter(self.record.usage, prices, limits)
        self.lease: Lease | None = None  # of this run, while it uses the store
        self.engine = self.metered(engine)
        self.group_names: list[str] = []
        self.shards: list[Shard] = []
        self.parents: dict[str, str] = {}  # shard id of derived documents -> shard id of their parents
        self.recipes = recipes_of(run, store)
        self.kept: dict[str, Lease] = {}  # leases that are held until the end of the run

    def metered(self, engine: Engine) -> MeteredEngine:
        """The engine, with the cost of its tasks noted; limits and the lease of the run are checked after each."""

        def check() -> None:
            self.meter.check()
            self.check_lease()

        return MeteredEngine(engine, self.meter.note, check)

    # Shards

    def add_groups(self, names: Sequence[str]) -> None:
        """Add ingested groups and their shards."""
        self.group_names += names
        self.shards = shards_of(self.group_names, self.state)

    def add_derived(self, names: list[str]) -> None:
        """Add derived groups, their shards and the shards of their parents."""
        self.add_groups(names)
        self.parents = parents_of(names, self.state)

    def groups(self) -> dict[str, dict[str, Any]]:
        """Catalog entries of the groups of this run, by name; a group may have no documents."""
        entries = self.state.catalog(SHARDS).entries
        return {name: entries[name] for name in sorted(self.group_names)}

    # Annotation

    def wave(self, *phases: Wave) -> None:
        """Run the pending stages of consecutive waves, one task per shard and wave.

        A shard takes the waves one after another and waits for no other shard: while one is on a GPU, others are
        annotated by CPU stages.
        """
        tasks = [task for phase in phases for task in self.wave_tasks(phase)]
        if not tasks:
            return
        chains: dict[str, deque[WaveTask]] = {}
        for task in tasks:
            chains.setdefault(task.shard.id, deque()).append(task)

        def follow(report: WaveReport) -> WaveTask | None:
            chain = chains[report.shard.id]
            return chain.popleft() if chain else None

        self.record.tasks["annotate"] += len(tasks)
        self.record.text_tasks += sum(any(step.reads_text for step in task.steps) for task in tasks)
        names = sorted({step.name for task in tasks for step in task.steps})
        label = ", ".join(names) if len(names) < 3 else f"annotate ({len(names)} stages)"
        shards = [task.shard for task in tasks]
        with self.meter.phase(WAVES, shards), self.progress.phase(label, len(tasks)) as progress:
            reports: list[WaveReport] = []
            last_flush = time.monotonic()
            try:
                firsts = [chain.popleft() for chain in chains.values()]
                for report in self.engine_of(phases[0]).map(annotate_shard, firsts, follow):
                    reports.append(report)
                    progress.step(report.n_bytes)
                    if time.monotonic() - last_flush > FLUSH_S:
                        self.note_annotated(reports)
                        reports, last_flush = [], time.monotonic()
            finally:
                self.note_annotated(reports)
                self.record.services = self.services.usage() or self.record.services

    def engine_of(self, phase: Wave) -> Engine:
        """The engine of a wave: threads of this process for a stage that asks a server, so that limits, budget and key
        are in one process."""
        if not phase.asks:
            return self.engine
        for step in phase.steps:
            served = serve(step, self.services)
            served.check()
            keep_served(step, served)
        return self.metered(ThreadEngine(self.stop_asking, self.tell_usage))

    def tell_usage(self) -> None:
        """Say what servers were asked so far, and record it."""
        self.record.services = self.services.usage()
        for model, usage in self.record.services.items():
            self.progress.say(usage_line(model, usage))
            self.progress.event("asked", model=model, **usage)

    def stop_asking(self) -> None:
        """Close the clients of a wave that ends early, so that nothing waits for a server."""
        self.record.services = self.services.usage()
        self.services.close()

    def check_services(self, shards: Sequence[Shard], has_new: bool) -> None:
        """Check before any work that the servers of pending stages can be asked.

        Args: shards, those ingested; has_new, whether others will be.
        Raises: ConfigError if a server, package or key is missing.
        """
        for step in service_steps(self.run_file):
            known = [shard for shard in shards if self.recipes.full(step.name, shard) is not None]
            if has_new or any(not self.state.done(self.recipes, step, shard) for shard in known):
                serve(step, self.services).check()

    def take_open(self, phase: Wave) -> None:
        """Accept sidecars with unanswered rows as they are: a release was made with them."""
        for step in phase.steps if phase.asks else ():
            for shard in self.shards:
                entries = self.state.catalog(f"{self.recipes.folder(step.name)}/catalog.json").entries
                entry = entries.get(shard.id, {})
                if "open" in entry and entry["base"] == self.recipes.full(step.name, shard):
                    self.recipes.open[step.name, shard.id] = entry["recipe"]

    def wave_tasks(self, phase: Wave) -> Iterator[WaveTask]:
        """One task per shard that lacks annotations of this wave."""
        for shard in self.shards:
            steps = tuple(s for s in phase.steps if not self.state.done(self.recipes, s, shard))
            if not steps:
                continue
            pending = {step.name for step in steps}
            reads = {c for step in steps for c in step.reads() if c.partition(".")[0] not in pending}
            yield WaveTask(
                store=self.store, shard=shard, steps=steps, refs=self.recipes.refs(reads, shard),
                outputs={step.name: self.recipes.ref(step.name, shard) for step in steps},
                loose=self.recipes.loose(reads, shard), batch_rows=self.batch_rows,
            )  # fmt: skip

    def note_annotated(self, reports: list[WaveReport]) -> None:
        """Commit finished sidecars to their catalogs and add up their cost."""
        if reports:
            self.check_lease()
        entries: dict[str, dict[str, dict[str, Any]]] = {}
        for report in reports:
            for name, ref in report.outputs.items():
                folder = ref.key.rpartition("/")[0]
                entry: dict[str, Any] = {"recipe": ref.recipe, "generation": report.shard.generation}
                if n_open := report.n_open.get(name):
                    entry |= {"open": n_open, "base": self.recipes.full(name, report.shard)}
                    self.recipes.open[name, report.shard.id] = ref.recipe
                    self.record.open[name] = self.record.open.get(name, 0) + n_open
                entries.setdefault(folder, {})[report.shard.id] = entry
                self.record.stage_bytes[name] = self.record.stage_bytes.get(name, 0) + report.n_bytes
                self.meter.assign(name, report.shard, report.written[name], report.cpu_s.get(name, 0.0))
            for name, seconds in report.cpu_s.items():
                self.record.cpu_s[name] = round(self.record.cpu_s.get(name, 0.0) + seconds, 4)
            for name, seconds in report.wall_s.items():
                self.record.wall_s[name] = round(self.record.wall_s.get(name, 0.0) + seconds, 4)
            self.record.devices |= report.devices
            for name, doc_ids in report.failed.items():
                self.record.failed.setdefault(name, []).extend(doc_ids)
            self.record.peak_rss = max(self.record.peak_rss, report.peak_rss)
        for folder, new_entries in entries.items():
            self.state.catalog(f"{folder}/catalog.json").update(new_entries)

    # Global steps

    def find_or_run(self, step: GlobalStep, recipe: str, feeds: list[Feed], folder: str) -> GlobalResult:
        """Return a global result from the store, or compute it; only one process at a time computes the same one."""
        result = self.state.global_result(step.name, recipe)
        if result is not None:
            return result
        with self.hold(f"global-{step.name}-{recipe[:8]}"):
            self.state.catalogs.pop(f"{folder}/catalog.json", None)
            result = self.state.global_result(step.name, recipe)
            if result is not None:
                return result
            self.record.tasks["global"] += 1
            self.record.text_tasks += len(feeds) * step.reads_text
            positions = {shard.id: i for i, shard in enumerate(self.shards)}
            by_ordinal = {positions[feed.shard.id]: feed for feed in feeds}
            with ExitStack() as stack:
                index = open_index(self.store, step, self.recipes)
                if index is not None:
                    stack.enter_context(self.hold(index.lease))
                stack.enter_context(self.meter.phase(step.name, [feed.shard for feed in feeds]))
                job = Job(self.store, step, recipe, folder, by_ordinal, self.n_partitions, index)
                requests = Requests()
                result = run_global(job, self.engine, self.progress, requests)
            self.record.exchange[step.name] = {"reads": requests.reads, "writes": requests.writes}
            return result

    def add_result(self, step: GlobalStep, result: GlobalResult) -> None:
        """Record the result of a global step, on which recipes of steps that read it depend."""
        self.recipes.results[step.name] = result

    def add_owners(self, refs: Mapping[str, SidecarRef], result: GlobalResult | None) -> None:
        """Record the owners of passages, by shard id; edits and late stages read them."""
        if result is not None:
            self.recipes.results[OWNERS] = result
            self.recipes.owners.update(refs)

    @contextmanager
    def kept_release(self) -> Iterator[None]:
        """Hold the name of the release from the start, if this session does not wait for others.

        Raises: LeaseError if another run has it.
        """
        name = f"release-{self.run_file.release.name}"
        with nullcontext() if self.waits else hold(self.store, name) as lease:
            if lease is not None:
                self.kept[name] = lease
            yield

    def check_lease(self) -> None:
        """Check, before something is written that depends on what this run read, that the store was not changed.

        Raises: LeaseError if this run was stopped for longer than its lease: an erasure or `gc` may have taken the
        store.
        """
        if self.lease is not None:
            self.lease.check()

    def hold(self, name: str) -> AbstractContextManager[Lease]:
        """Take a lease; wait while another process has it, and say so once for each holder.

        Raises: LeaseError if another process has it and this session does not wait.
        """
        if name in self.kept:
            return nullcontext(self.kept[name])
        said = ""
        while True:
            try:
                return hold(self.store, name)
            except LeaseError as error:
                if not self.waits:
                    raise
                holder = str(error).partition("; wait")[0]
                if holder != said:
                    self.progress.say(f"waiting: {error}")
                    self.progress.event("waiting", reason=str(error))
                    said = holder
                time.sleep(2)
