"""Measure deduplication at sizes for which no text is available: synthetic band keys and the real global step.

`stages.dedup.candidates` runs over the shards and sidecars of `scale_corpus` as in a build, with an index, then again
with a batch of new documents. Finally the candidate pairs are clustered with the similarities defined by the corpus,
and the clusters are compared with the planted ones. Each phase runs in new processes, so that its peak memory is its
own.

Example: python -m scripts.bench.scale_candidates --documents 1e6 3e6 1e7 --workers 1 --folder /tmp/scale
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.run_file import GlobalStep
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, read_sidecar
from pipeline.mapreduce.feeds import Annotations
from pipeline.mapreduce.index import Index
from pipeline.mapreduce.run import Job, run_global
from pipeline.runtime.engines import LocalEngine, SerialEngine, peak_rss_bytes
from pipeline.runtime.gpus import CPU
from pipeline.runtime.progress import Progress
from pipeline.schema import KNOWN, ROW, ROW_BITS
from pipeline.storage.store import Store, open_store
from scripts.bench.scale_corpus import (
    RECIPE,
    TEMPLATE,
    Layout,
    ShardTask,
    compare,
    lay_out,
    names_of,
    number,
    refs_of,
    write_documents,
)
from stages.dedup import candidates
from stages.dedup.clusters import clusters_of

THRESHOLD = 0.8


@dataclass(frozen=True)
class ClusterTask:
    """Task to cluster a corpus from its candidate pairs. folder: result of candidates."""

    store: Store
    shards: tuple[Shard, ...]
    folder: str
    shard_documents: int
    n_documents: int
    seed: int


def cluster(task: ClusterTask) -> dict[str, int]:
    """Cluster the candidate pairs above THRESHOLD as dedup does; returns counts of recovered clusters."""
    layout = lay_out(task.n_documents, task.seed)
    plan = (layout.n_documents, layout.odd, layout.starts, layout.kinds)
    lefts, rights, named = [], [], []
    for ordinal, shard in enumerate(task.shards):
        ref = SidecarRef(f"{task.folder}/rows/{shard.id}.parquet", RECIPE)
        partners = read_sidecar(task.store, ref, shard, ["partners"])["partners"].combine_chunks()
        owner = pc.list_parent_indices(partners).to_numpy() + (ordinal << ROW_BITS)
        other = pc.list_flatten(partners).to_numpy().astype(np.int64)
        lefts.append(owner[other > owner])
        rights.append(other[other > owner])
        named.append(np.flatnonzero(partners.is_valid()) + (ordinal << ROW_BITS))
    left, right, rows = (np.concatenate(part) for part in (lefts, rights, named))
    del lefts, rights, named, partners, owner, other
    similarity = compare(number(left, task.shard_documents), number(right, task.shard_documents), *plan)
    columns = [left.astype(np.uint64), right.astype(np.uint64), similarity, similarity]
    pairs = pa.table(columns, [ROW, KNOWN, "jaccard", "containment"])
    verified = similarity >= np.float32(THRESHOLD)
    n_pairs, n_verified = len(left), int(np.count_nonzero(verified))
    del left, right, columns
    rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = clusters_of(pairs, verified, rows.astype(np.uint64), names_of(rows), THRESHOLD)
    assert outcome.rows is not None
    recovery = recovered(outcome.rows, task, layout)
    return {
        "pairs": n_pairs,
        "verified": n_verified,
        "documents_in_pairs": len(rows),
        "rss_before": rss_kib * 1024,
        **recovery,
    }


def recovered(clustered: pa.Table, task: ClusterTask, layout: Layout) -> dict[str, int]:
    """Compare clusters with the layout.

    Returns: `clusters`, their number; `mixed`, clusters with documents of several groups; `planted`, documents of
    planted clusters (exact copies and near duplicates); `found`, those in the largest piece of their planted cluster.
    """
    documents = number(clustered[ROW].to_numpy().astype(np.int64), task.shard_documents)
    group = np.searchsorted(layout.starts, documents * layout.odd % layout.n_documents, "right") - 1
    name = clustered["cluster"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    pieces, counts = np.unique(name * (len(layout.starts) + 1) + group, return_counts=True)
    of_name, of_group = np.divmod(pieces, len(layout.starts) + 1)
    largest = np.zeros(len(layout.starts), np.int64)
    np.maximum.at(largest, of_group, counts)
    written = np.arange(sum(shard.n_rows for shard in task.shards))
    groups = np.searchsorted(layout.starts, written * layout.odd % layout.n_documents, "right") - 1
    sizes = np.bincount(groups[groups >= 0], minlength=len(layout.kinds))
    wanted = (layout.kinds != TEMPLATE) & (sizes > 1)
    return {
        "clusters": int(name.max(initial=-1)) + 1,
        "mixed": int(len(of_name) - len(np.unique(of_name))),
        "planted": int(sizes[wanted].sum()),
        "found": int(largest[: len(wanted)][wanted].sum()),
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

    def map(
        self,
        fn: Callable[[Any], Any],
        tasks: Sequence[Any],
        follow: Callable[[Any], Any | None] | None = None,
    ) -> Iterator[Any]:  # Any: see Engine.map
        """See Engine.map; tasks that follow run in a phase of their own."""
        later = []
        phase = Phase(fn.__name__, len(tasks))
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
    """Cost for one corpus size; batch: phases of the run with new documents; index_bytes: bytes of each index run."""

    documents: int
    batch_documents: int
    phases: list[Phase]
    batch: list[Phase]
    summary: dict[str, int]
    index_bytes: dict[str, int]

    def stored(self) -> dict[str, int]:
        """Highest size of each folder of the store before the batch, in bytes."""
        names = ("annotations", "exchange", "index", "global")
        return {name: max(phase.store_bytes.get(name, 0) for phase in self.phases[:-1]) for name in names}


def measure(folder: Path, n_documents: int, options: argparse.Namespace) -> Result:
    """Write a corpus, run candidates without and then with the batch of new documents, and cluster."""
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
    step = GlobalStep(
        name="candidates",
        module=candidates.__name__,
        definition=candidates.GLOBAL,
        config=candidates.Config(),
    )
    index = Index(store, "candidates", RECIPE, {"candidates": asdict(step.config)})
    progress = Progress(quiet=not options.verbose)
    taken = []
    for run, used in (("old", shards[:n_old]), ("all", shards))[: 2 if n_batch else 1]:
        feeds = [Annotations(shard, refs_of(shard)) for shard in used]
        job = Job(store, step, RECIPE, f"global/{run}", dict(enumerate(feeds)), options.partitions, index)
        run_global(job, engine, progress)
        taken.append(joined(engine.phases))
        engine.phases.clear()
    task = ClusterTask(
        store,
        tuple(shards[:n_old]),
        "global/old",
        options.shard_documents,
        n_documents + n_batch,
        options.seed,
    )
    (summary,) = engine.map(cluster, [task])
    index_bytes = {name: entry["bytes"] for name, entry in index.runs.items()}
    phases = [*taken[0], *joined(engine.phases)]
    return Result(n_documents, n_batch, phases, taken[1] if n_batch else [], summary, index_bytes)


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
            f"{stored['index'] / n:.0f} | {stored['global'] / n:.0f} bytes a document | {summary['pairs']:,} | "
            f"{summary['documents_in_pairs']:,} | {summary['found']:,} of {summary['planted']:,} | {summary['mixed']} |"
        )
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
