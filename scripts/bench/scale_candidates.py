"""Measure deduplication at sizes for which no text is available: synthetic band keys and the real global steps.

`stages.dedup.candidates` runs over the shards and sidecars of `scale_corpus` as in a build, with an index, then again
with a batch of new documents. Then the candidate pairs, with the similarities defined by the corpus instead of texts,
go through the rounds of `stages.dedup`, and their result through `stages.dedup.keepers` and `stages.cuts`; documents
without a keeper other than themselves are placed in two mixes, whose training orders are written. The clusters are
compared with the planted ones. Each phase runs in new processes, so that its peak memory is its own.

Example: python -m scripts.bench.scale_candidates --documents 1e6 3e6 1e7 --workers 1 --folder /tmp/scale
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, read_sidecar
from pipeline.mapreduce.feeds import Annotations, Feed
from pipeline.mapreduce.index import Index
from pipeline.mapreduce.requests import Requests
from pipeline.mapreduce.run import Job, run_global
from pipeline.runtime.engines import LocalEngine, SerialEngine, peak_rss_bytes
from pipeline.runtime.gpus import CPU
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW_BITS
from pipeline.stage import Global
from pipeline.storage.store import Store, open_store
from scripts.bench.scale_corpus import (
    RECIPE,
    TEMPLATE,
    ShardTask,
    lay_out,
    number,
    refs_of,
    write_documents,
)
from scripts.bench.scale_placement import place_kept
from scripts.bench.scale_steps import Pairs, PlantedFeed, pairs_step
from stages import cuts
from stages.dedup import candidates, keepers
from stages.kernels.text.hashing import string_keys


@dataclass(frozen=True)
class RecoveryTask:
    """Compares clusters with the layout. folder: result of the pairs' step; shards: of the corpus, in order."""

    store: Store
    shards: tuple[Shard, ...]
    folder: str
    shard_documents: int
    n_documents: int
    seed: int


def recovered(task: RecoveryTask) -> dict[str, int]:
    """Compare clusters with the layout.

    Returns: `clusters`, their number; `mixed`, clusters with documents of several groups; `planted`, documents of
    planted clusters (exact copies and near duplicates); `found`, those in the largest piece of their planted cluster;
    `clustered`, documents in some cluster.
    """
    layout = lay_out(task.n_documents, task.seed)
    names, groups, all_groups = [], [], []
    for ordinal, shard in enumerate(task.shards):
        ref = SidecarRef(f"{task.folder}/rows/{shard.id}.parquet", RECIPE)
        cluster = read_sidecar(task.store, ref, shard, ["cluster"])["cluster"].combine_chunks()
        documents = number(np.arange(shard.n_rows) + (ordinal << ROW_BITS), task.shard_documents)
        group = np.searchsorted(layout.starts, documents * layout.odd % layout.n_documents, "right") - 1
        is_member = np.asarray(cluster.is_valid())
        names.append(string_keys(cluster.drop_null()))
        groups.append(group[is_member])
        all_groups.append(group[group >= 0])
    name = np.unique(np.concatenate(names), return_inverse=True)[1]
    pieces, counts = np.unique(
        name * (len(layout.starts) + 1) + np.concatenate(groups) + 1, return_counts=True
    )
    of_name, of_group = np.divmod(pieces, len(layout.starts) + 1)
    largest = np.zeros(len(layout.starts) + 1, np.int64)
    np.maximum.at(largest, of_group, counts)
    sizes = np.bincount(np.concatenate(all_groups), minlength=len(layout.kinds))
    wanted = (layout.kinds != TEMPLATE) & (sizes > 1)
    return {
        "clusters": int(name.max(initial=-1)) + 1,
        "mixed": int(len(of_name) - len(np.unique(of_name))),
        "planted": int(sizes[wanted].sum()),
        "found": int(largest[1:][: len(wanted)][wanted].sum()),
        "clustered": len(name),
    }


@dataclass
class Phase:
    """Total cost of the tasks of one function; rss_bytes: highest peak of a process."""

    name: str
    tasks: int
    seconds: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    store_bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The result of a task and its cost."""

    result: Any  # Any: the result of any measured function
    cpu_s: float
    rss_bytes: int
    read_bytes: int
    written_bytes: int


def measured(fn: Callable[[Any], Any], task: Any) -> Measured:  # Any: measures tasks of any function
    """Call fn in a worker and record its cost."""
    start, before = time.process_time(), io_bytes()
    result = fn(task)
    read, written = (after - b for after, b in zip(io_bytes(), before, strict=True))
    return Measured(result, time.process_time() - start, peak_rss_bytes(), read, written)


def io_bytes() -> tuple[int, int]:
    """Bytes read and written by this process so far, including the page cache."""
    path = Path("/proc/self/io")
    if not path.exists():
        return 0, 0
    counts = dict(line.split(": ") for line in path.read_text().splitlines())
    return int(counts["rchar"]), int(counts["wchar"])


class MeasuringEngine:
    """A process pool that is restarted for each function, so that peak memory is per phase."""

    def __init__(self, workers: int, store: Store, verbose: bool) -> None:
        self.workers, self.store, self.verbose = workers, store, verbose
        self.phases: list[Phase] = []
        self.step = ""

    def map(
        self,
        fn: Callable[[Any], Any],
        tasks: Sequence[Any],
        follow: Callable[[Any], Any | None] | None = None,
    ) -> Iterator[Any]:  # Any: see Engine.map
        """See Engine.map; tasks that follow run in a phase of their own."""
        later = []
        phase = Phase(f"{self.step}{getattr(tasks[0], 'fn', fn).__name__ if tasks else ''}", len(tasks))
        engine = LocalEngine(self.workers) if self.workers else SerialEngine()
        start = time.monotonic()
        for report in engine.map(functools.partial(measured, fn), tasks):
            phase.cpu_s += report.cpu_s
            phase.rss_bytes = max(phase.rss_bytes, report.rss_bytes)
            phase.read_bytes += report.read_bytes
            phase.written_bytes += report.written_bytes
            if follow is not None and (task := follow(report.result)) is not None:
                later.append(task)
            yield report.result
        phase.seconds = time.monotonic() - start
        if isinstance(engine, LocalEngine):
            engine.stop(CPU, kill=False)
        for key, n_bytes in self.store.list():
            folder = key.partition("/")[0]
            phase.store_bytes[folder] = phase.store_bytes.get(folder, 0) + n_bytes
        self.phases.append(phase)
        if self.verbose:
            print(json.dumps(asdict(phase)), file=sys.stderr, flush=True)
        if later:
            yield from self.map(fn, later, follow)

    def close(self) -> None:
        """Do nothing: pools are closed after each phase."""


@dataclass
class Result:
    """Cost for one corpus size; batch: phases of the run with new documents; index_bytes: bytes of each index run;
    exchanged: name of a run of a step, reads and writes of exchange files."""

    documents: int
    batch_documents: int
    phases: list[Phase]
    batch: list[Phase]
    summary: dict[str, int]
    index_bytes: dict[str, int]
    exchanged: list[tuple[str, int, int]]

    def stored(self) -> dict[str, int]:
        """Highest size of each folder of the store before the batch, in bytes."""
        names = ("annotations", "exchange", "index", "global", "releases")
        return {name: max(phase.store_bytes.get(name, 0) for phase in self.phases) for name in names}


def measure(folder: Path, n_documents: int, options: argparse.Namespace) -> Result:
    """Write a corpus, run candidates without and then with the batch of new documents, and the steps that decide."""
    store = open_store(folder)
    n_batch = int(n_documents * options.batch_share)
    shards: list[Shard] = []
    firsts: list[int] = []
    for start, end in ((0, n_documents), (n_documents, n_documents + n_batch)):
        for first in range(start, end, options.shard_documents):
            firsts.append(first)
            n_rows = min(options.shard_documents, end - first)
            shards.append(Shard(f"synthetic-{len(shards):05d}", "synthetic", n_rows, 3500 * n_rows))
    n_old = sum(first < n_documents for first in firsts)
    engine = MeasuringEngine(options.workers, store, options.verbose)
    tasks = [
        ShardTask(store, shard, first, n_documents + n_batch, options.seed)
        for shard, first in zip(shards, firsts, strict=True)
    ]
    for _ in engine.map(write_documents, tasks):
        pass
    engine.phases.clear()
    progress = Progress(quiet=not options.verbose)
    planted = (options.shard_documents, n_documents + n_batch, options.seed)

    def run(
        step: GlobalStep, run_name: str, used: Sequence[Shard], make: Callable[[Shard], Feed], index: Any
    ) -> None:
        engine.step = f"{step.name}: "
        feeds = {ordinal: make(shard) for ordinal, shard in enumerate(used)}
        job = Job(store, step, RECIPE, f"global/{step.name}-{run_name}", feeds, options.partitions, index)
        requests = Requests()
        run_global(job, engine, progress, requests)
        exchanged.append((f"{step.name}-{run_name}", requests.reads, requests.writes))

    exchanged: list[tuple[str, int, int]] = []
    step = step_of(candidates.GLOBAL, candidates.__name__, candidates.Config())
    index = Index(store, "candidates", RECIPE, {"candidates": asdict(step.config)})
    batch: list[Phase] = []
    old, everything = shards[:n_old], shards
    run(step, "old", old, lambda shard: Annotations(shard, refs_of(shard)), index)
    phases = joined(engine.phases)
    if n_batch:
        engine.phases.clear()
        run(step, "all", everything, lambda shard: Annotations(shard, refs_of(shard)), index)
        batch = joined(engine.phases)
    engine.phases.clear()

    def planted_feed(shard: Shard) -> Feed:
        found = {name: f"global/{name}-old/rows/{shard.id}.parquet" for name in ("candidates", "dedup")}
        return PlantedFeed(shard, {name: SidecarRef(key, RECIPE) for name, key in found.items()})

    run(
        step_of(pairs_step(), "scripts.bench.scale_steps", Pairs.of(*planted)), "old", old, planted_feed, None
    )
    run(step_of(keepers.GLOBAL, keepers.__name__, keepers.Config()), "old", old, planted_feed, None)
    run(step_of(cuts.GLOBAL, cuts.__name__, cuts.Config()), "old", old, planted_feed, None)
    engine.step = "placement: "
    placed = place_kept(store, engine, old, options.partitions, "global/keepers-old")
    phases += joined(engine.phases)
    engine.phases.clear()
    (summary,) = engine.map(recovered, [RecoveryTask(store, tuple(old), "global/dedup-old", *planted)])
    summary |= placed
    index_bytes = {name: entry["bytes"] for name, entry in index.runs.items()}
    for name in ("candidates", "dedup", "keepers"):
        table = pq.read_table(store.open(f"global/{name}-old/summary.parquet"))
        summary |= {f"{name}.{column}": table[column][0].as_py() for column in table.column_names}
    return Result(n_documents, n_batch, phases, batch, summary, index_bytes, exchanged)


def step_of(
    definition: Global, module: str, config: Any
) -> GlobalStep:  # Any: each step has its own config class
    """A step as a run file would name it."""
    return GlobalStep(name=definition.name, module=module, definition=definition, config=config)


def joined(phases: Sequence[Phase]) -> list[Phase]:
    """Merge the phases of each function: maximum of peak memory and store size, sum of everything else."""
    merged: dict[str, Phase] = {}
    for phase in phases:
        total = merged.setdefault(phase.name, Phase(phase.name, 0))
        total.rss_bytes = max(total.rss_bytes, phase.rss_bytes)
        for name in ("tasks", "seconds", "cpu_s", "read_bytes", "written_bytes"):
            setattr(total, name, getattr(total, name) + getattr(phase, name))
        for name, n_bytes in phase.store_bytes.items():
            total.store_bytes[name] = max(total.store_bytes.get(name, 0), n_bytes)
    return list(merged.values())


def exponent(results: Sequence[Result], name: str, value: str) -> float:
    """Scaling exponent of a figure of a phase: slope of its logarithm over the logarithm of the number of documents."""
    points = [
        (r.documents, getattr(p, value))
        for r in results
        for p in r.phases
        if p.name == name and getattr(p, value)
    ]
    if len(points) < 2:
        return float("nan")
    x, y = np.log(np.array(points, float)).T
    return float(np.polyfit(x, y, 1)[0])


def report(results: Sequence[Result]) -> str:
    """The figures as Markdown tables."""
    names = [phase.name for phase in results[-1].phases]
    lines = [
        "| documents | phase | tasks | s | CPU-s | documents per CPU-s | peak RSS, MB | bytes read | bytes written |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for label, n_documents, phases in (
            ("", result.documents, result.phases), (" (batch)", result.batch_documents, result.batch)
        ):  # fmt: skip
            lines += [
                f"| {n_documents:,}{label} | {p.name} | {p.tasks} | {p.seconds:.1f} | {p.cpu_s:.1f} | "
                f"{n_documents / max(p.cpu_s, 1e-9):,.0f} | {p.rss_bytes / 1e6:,.0f} | {p.read_bytes / 1e6:,.0f} MB | "
                f"{p.written_bytes / 1e6:,.0f} MB |"
                for p in phases
            ]
    lines += ["", "| documents | sidecars | exchange | index | result | pairs | in pairs | summary | mixed |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        stored, n, summary = result.stored(), result.documents, result.summary
        lines.append(
            f"| {n:,} | {stored['annotations'] / (n + result.batch_documents):.0f} | {stored['exchange'] / n:.0f} | "
            f"{stored['index'] / n:.0f} | {stored['global'] / n:.0f} bytes a document | "
            f"{summary['candidates.pairs']:,} | {summary['candidates.documents']:,} | "
            f"{summary['found']:,} of {summary['planted']:,} | {summary['mixed']} |"
        )
    lines += ["", "| documents | step | reads | writes of exchange files |", "|---|---|---|---|"]
    lines += [
        f"| {result.documents:,} | {name} | {reads:,} | {writes:,} |"
        for result in results
        for name, reads, writes in result.exchanged
    ]
    if len(results) < 2:
        return "\n".join(lines)
    lines += ["", "| phase | exponent of CPU-s | exponent of peak RSS |", "|---|---|---|"]
    lines += [
        f"| {n} | {exponent(results, n, 'cpu_s'):.2f} | {exponent(results, n, 'rss_bytes'):.2f} |"
        for n in names
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure every size, one after another, in a folder that is emptied afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=float, nargs="+", default=[1e6, 3e6])
    parser.add_argument(
        "--batch-share", type=float, default=0.01, help="share of new documents added afterwards"
    )
    parser.add_argument("--shard-documents", type=int, default=75_000)
    parser.add_argument("--workers", type=int, default=1, help="0: run all tasks in this process")
    parser.add_argument("--partitions", type=int, help="default: as in a build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder of the store; about 1.6 KB per document"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--verbose", action="store_true", help="print each finished phase to stderr")
    options = parser.parse_args()
    results = []
    for n_documents in options.documents:
        folder = options.folder / f"{n_documents:.0f}"
        try:
            results.append(measure(folder, int(n_documents), options))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if options.json:
            record = {"machine": machine(), "sizes": [asdict(result) for result in results]}
            options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(report(results))
    return 0


def machine() -> dict[str, str | int]:
    """CPU, cores, memory and date of the measurement."""
    model = next((line for line in cpu_info() if line.startswith("model name")), platform.machine())
    return {"cpu": model.rpartition(":")[2].strip(), "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "date": time.strftime("%Y-%m-%d")}  # fmt: skip


def cpu_info() -> list[str]:
    """Lines of /proc/cpuinfo, empty if there is no such file."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
