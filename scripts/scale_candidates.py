"""Measure deduplication at sizes for which there is no text: synthetic band keys go through the real global step.

A corpus is laid out before it is written: unique documents, clusters of exact copies, families of near duplicates and
groups that share template text, all of them spread over the shards. A document's match hash and band keys follow from
its place there; text there is none. `stages.candidates` runs over the shards and sidecars as in a build, with an index,
then a batch of new documents comes; last, clusters are made of the candidate pairs, with similarities that follow
from the layout too, and are held against it.

Example: python scripts/scale_candidates.py --documents 1e6 3e6 1e7 --workers 1 --folder /tmp/scale --json scale.json
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

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cluster import LocalEngine
from pipeline.exchange import Annotations, run_global
from pipeline.index import Index
from pipeline.progress import Progress
from pipeline.run_file import Step
from pipeline.schema import KNOWN, ROW, ROW_BITS
from pipeline.shards import ROW_GROUP_ROWS, peak_rss_bytes
from pipeline.sidecars import Shard, SidecarRef, read_sidecar, write_sidecar
from pipeline.store import Store, open_store
from stages import candidates, exact, minhash
from stages.clusters import clusters_of
from stages.kernels.hashing import mix

N_BANDS, BAND_ROWS = minhash.Config().n_bands, minhash.Config().band_rows
THRESHOLD = 0.8
UNIQUE, COPY, NEAR, TEMPLATE = range(4)
SHARES = {"copies": 0.2, "near": 0.15, "templates": 0.03}
"""Documents of clusters of exact copies, families of near duplicates and template groups; the rest is unique."""

SIZES = {"copies": (2, 2.5, 0.01), "near": (2, 3.0, 2e-5), "templates": (100, 2.5, 1e-3)}
"""Smallest group, exponent of the power law of sizes, and the largest group as a share of the corpus (near: never
below 64 documents)."""

TEMPLATE_KEYS = 2
"""Band keys that the documents of a template group share."""

RECIPE = "synthetic"


@dataclass(frozen=True)
class Layout:
    """Where documents lie: place p belongs to group g if starts[g] <= p < starts[g + 1]; before starts[0], none.

    kinds: of each group. odd: documents are spread over places by multiplication with it, modulo n_documents.
    """

    n_documents: int
    odd: int
    starts: np.ndarray
    kinds: np.ndarray


@functools.lru_cache(maxsize=2)
def lay_out(n_documents: int, seed: int) -> Layout:
    """Groups of all kinds for a corpus of some size."""
    rng = np.random.default_rng(seed)
    sizes, kinds = [], []
    for kind, (name, share) in enumerate(SHARES.items(), start=COPY):
        smallest, exponent, largest = SIZES[name]
        n_members = int(share * n_documents)
        most = max(int(largest * n_documents), 64, smallest)
        uniform = rng.random(n_members // smallest + 1)
        drawn = np.minimum(smallest * uniform ** (-1 / (exponent - 1)), most).astype(np.int64)
        drawn = drawn[: np.searchsorted(np.cumsum(drawn), n_members, "right")]
        sizes.append(drawn)
        kinds.append(np.full(len(drawn), kind, np.uint8))
    ends = np.cumsum(np.concatenate([[0], *sizes]))
    odd = int(n_documents * 0.6180339887) | 1
    while np.gcd(odd, n_documents) != 1:
        odd += 2
    return Layout(n_documents, odd, n_documents - ends[-1] + ends, np.concatenate(kinds))


@nb.njit(cache=True)
def uniform(value: int, salt: int) -> float:
    """A number in [0, 1) that follows from two integers."""
    return (mix(mix(np.uint64(value)) ^ np.uint64(salt)) >> np.uint64(11)) / (1 << 53)


@nb.njit(cache=True)
def likeness(place: int, member: int) -> float:
    """Similarity of a near duplicate to the text of its family, which the first member has."""
    return 1.0 if member == 0 else 0.8 + 0.2 * uniform(place, 1)


@nb.njit(cache=True)
def sign(
    documents: np.ndarray, n_documents: int, odd: int, starts: np.ndarray, kinds: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Match hashes, uint64 (n, 2), and band keys, uint64 (n, N_BANDS), of documents by number."""
    hashes = np.empty((len(documents), 2), np.uint64)
    keys = np.empty((len(documents), N_BANDS), np.uint64)
    salt = mix(np.uint64(seed))
    for i in range(len(documents)):
        place = documents[i] * odd % n_documents
        group = np.searchsorted(starts, place, "right") - 1
        kind = kinds[group] if group >= 0 else UNIQUE
        own = np.uint64(2 * place)
        shared = np.uint64(2 * group + 1) if group >= 0 else own
        text = shared if kind == COPY else own
        hashes[i, 0] = mix(mix(text) ^ salt)
        hashes[i, 1] = mix(hashes[i, 0])
        keep = likeness(place, place - starts[group]) ** BAND_ROWS if kind == NEAR else 0.0
        for band in range(N_BANDS):
            meets = kind == COPY or (kind == NEAR and uniform(place, 2 + band) < keep)
            meets = meets or (kind == TEMPLATE and band < TEMPLATE_KEYS)
            keys[i, band] = mix(mix((shared if meets else own) ^ salt) + np.uint64(band + 1))
    return hashes, keys


@nb.njit(cache=True)
def compare(
    left: np.ndarray, right: np.ndarray, n_documents: int, odd: int, starts: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Similarity of pairs of documents by number: float32 (n,)."""
    similarity = np.zeros(len(left), np.float32)
    for i in range(len(left)):
        a, b = left[i] * odd % n_documents, right[i] * odd % n_documents
        group = np.searchsorted(starts, a, "right") - 1
        if group < 0 or np.searchsorted(starts, b, "right") - 1 != group:
            continue
        if kinds[group] == COPY:
            similarity[i] = 1.0
        elif kinds[group] == NEAR:
            similarity[i] = likeness(a, a - starts[group]) * likeness(b, b - starts[group])
        else:
            similarity[i] = 0.3
    return similarity


@dataclass(frozen=True)
class ShardTask:
    """Writes one shard of a corpus and its sidecars. first: number of its first document."""

    store: Store
    shard: Shard
    first: int
    n_documents: int
    seed: int


def refs_of(shard: Shard) -> dict[str, SidecarRef]:
    """Where the sidecars of a shard lie."""
    return {
        name: SidecarRef(f"annotations/{name}/{shard.id}.parquet", RECIPE) for name in ("exact", "minhash")
    }


def write_documents(task: ShardTask) -> int:
    """Write a shard of documents without text, their match hashes and their band keys; returns bytes of sidecars."""
    layout, shard = lay_out(task.n_documents, task.seed), task.shard
    documents = np.arange(task.first, task.first + shard.n_rows)
    hashes, keys = sign(documents, layout.n_documents, layout.odd, layout.starts, layout.kinds, task.seed)
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"parent_id": pa.nulls(shard.n_rows, pa.string())}), sink, row_group_size=ROW_GROUP_ROWS
    )
    task.store.put(shard.key, sink.getvalue())
    match = pa.FixedSizeBinaryArray.from_buffers(exact.HASH, shard.n_rows, [None, pa.py_buffer(hashes)])
    offsets = pa.array(np.arange(0, keys.size + 1, N_BANDS), pa.int32())
    bands = pa.ListArray.from_arrays(offsets, pa.array(keys.reshape(-1)))
    refs = refs_of(shard)
    return write_sidecar(task.store, refs["exact"], pa.table({"match_hash": match}), shard) + write_sidecar(
        task.store, refs["minhash"], pa.table({"band_keys": bands}), shard
    )


@dataclass(frozen=True)
class ClusterTask:
    """Clusters of a corpus from its candidate pairs. folder: of candidates' result."""

    store: Store
    shards: tuple[Shard, ...]
    folder: str
    shard_documents: int
    n_documents: int
    seed: int


def cluster(task: ClusterTask) -> dict[str, int]:
    """Cluster the candidate pairs that are similar enough, as the end of dedup does, and count what was recovered."""
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
    n_pairs = len(left)
    del left, right, columns
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = clusters_of(
        pairs, similarity >= np.float32(THRESHOLD), rows.astype(np.uint64), names_of(rows), THRESHOLD
    )
    assert outcome.rows is not None
    found = recovered(outcome.rows, task, layout)
    return {"pairs": n_pairs, "documents_in_pairs": len(rows), "rss_before": held * 1024, **found}


def number(rows: np.ndarray, shard_documents: int) -> np.ndarray:
    """Numbers of documents by their row of the run."""
    return (rows >> ROW_BITS) * shard_documents + (rows & ((1 << ROW_BITS) - 1))


def names_of(rows: np.ndarray) -> pa.StringArray:
    """Document ids as long as real ones, 26 characters, distinct and in the order of rows."""
    digits = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", np.uint8)
    names = np.empty((len(rows), 26), np.uint8)
    for place in range(26):
        names[:, 25 - place] = digits[rows >> 5 * place & 31 if place < 12 else np.zeros(len(rows), np.int64)]
    offsets = np.arange(0, names.size + 1, 26, np.int32)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(names))


def recovered(clustered: pa.Table, task: ClusterTask, layout: Layout) -> dict[str, int]:
    """Compare clusters with the layout.

    Returns: clusters; mixed, those with documents of two groups; and the documents of planted clusters, copies and
    near duplicates, `planted`, with those of them that are in the largest piece of their cluster, `found`.
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
    """What the tasks of one function took together; rss_bytes: peak of the largest process."""

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
    """A task's result and what it took."""

    result: Any  # Any: of whatever function was measured
    cpu_s: float
    rss_bytes: int
    read_bytes: int
    written_bytes: int


def measured(fn: Callable[[Any], Any], task: Any) -> Measured:  # Any: measures every kind of task
    """Call fn in a worker and note what it took."""
    start, before = time.process_time(), io_bytes()
    result = fn(task)
    read, written = (after - b for after, b in zip(io_bytes(), before, strict=True))
    return Measured(result, time.process_time() - start, peak_rss_bytes(), read, written)


def io_bytes() -> tuple[int, int]:
    """Bytes that this process has read and written, from files or the page cache."""
    path = Path("/proc/self/io")
    if not path.exists():
        return 0, 0
    counts = dict(line.split(": ") for line in path.read_text().splitlines())
    return int(counts["rchar"]), int(counts["wchar"])


class MeasuringEngine:
    """A process pool that is new for each function, so that every phase has peaks of its own."""

    def __init__(self, workers: int, store: Store) -> None:
        self.workers, self.store = workers, store
        self.phases: list[Phase] = []

    def map(self, fn: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:  # Any: see Engine.map
        """See Engine.map."""
        phase = Phase(fn.__name__, len(tasks))
        engine, start = LocalEngine(self.workers), time.monotonic()
        for report in engine.map(functools.partial(measured, fn), tasks):
            phase.cpu_s += report.cpu_s
            phase.rss_bytes = max(phase.rss_bytes, report.rss_bytes)
            phase.read_bytes += report.read_bytes
            phase.written_bytes += report.written_bytes
            yield report.result
        phase.seconds = time.monotonic() - start
        engine.stop(kill=False)
        for key, n_bytes in self.store.list():
            folder = key.partition("/")[0]
            phase.store_bytes[folder] = phase.store_bytes.get(folder, 0) + n_bytes
        self.phases.append(phase)

    def close(self) -> None:
        """Nothing stays open."""


@dataclass
class Result:
    """What a corpus of one size took; batch: phases of the run with the new documents; index_bytes: of each run."""

    documents: int
    batch_documents: int
    phases: list[Phase]
    batch: list[Phase]
    summary: dict[str, int]
    index_bytes: dict[str, int]

    def stored(self) -> dict[str, int]:
        """Most bytes that lay below each folder of the store before the batch."""
        names = ("annotations", "exchange", "index", "global")
        return {name: max(phase.store_bytes.get(name, 0) for phase in self.phases[:-1]) for name in names}


def measure(folder: Path, n_documents: int, options: argparse.Namespace) -> Result:
    """Make a corpus, run candidates over all but its last documents, then over all, and cluster."""
    store = open_store(folder)
    n_batch = int(n_documents * options.batch_share)
    shards, firsts = [], []
    for start, end in ((0, n_documents), (n_documents, n_documents + n_batch)):
        for first in range(start, end, options.shard_documents):
            firsts.append(first)
            n_rows = min(options.shard_documents, end - first)
            shards.append(Shard(f"synthetic-{len(shards):05d}", "synthetic", n_rows, 3500 * n_rows))
    n_old = sum(first < n_documents for first in firsts)
    engine = MeasuringEngine(options.workers, store)
    tasks = [
        ShardTask(store, shard, first, n_documents + n_batch, options.seed)
        for shard, first in zip(shards, firsts, strict=True)
    ]
    for _ in engine.map(write_documents, tasks):
        pass
    step = Step(
        name="candidates", module=candidates.__name__, step=candidates.GLOBAL, config=candidates.Config()
    )
    index = Index(store, "candidates", RECIPE, {"candidates": asdict(step.config)})
    progress = Progress(quiet=not options.verbose)
    taken = []
    for run, used in (("old", shards[:n_old]), ("all", shards))[: 2 if n_batch else 1]:
        feeds = [Annotations(shard, refs_of(shard)) for shard in used]
        run_global(
            engine, store, step, RECIPE, feeds, f"global/{run}", progress, options.partitions, index=index
        )
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
    """Phases of one function as one: the largest peak and the largest store, the sum of all else."""
    found: dict[str, Phase] = {}
    for phase in phases:
        one = found.setdefault(phase.name, Phase(phase.name, 0))
        one.rss_bytes = max(one.rss_bytes, phase.rss_bytes)
        for name in ("tasks", "seconds", "cpu_s", "read_bytes", "written_bytes"):
            setattr(one, name, getattr(one, name) + getattr(phase, name))
        for name, n_bytes in phase.store_bytes.items():
            one.store_bytes[name] = max(one.store_bytes.get(name, 0), n_bytes)
    return list(found.values())


def exponent(results: Sequence[Result], name: str, value: str) -> float:
    """Slope of the logarithm of a phase's figure over that of the number of documents."""
    points = [
        (r.documents, getattr(p, value))
        for r in results
        for p in r.phases
        if p.name == name and getattr(p, value)
    ]
    if len(points) < 2:
        return float("nan")
    return float(np.polyfit(*np.log(np.array(points, float)).T, 1)[0])


def report(results: Sequence[Result]) -> str:
    """The figures as Markdown."""
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
    lines += ["", "| documents | sidecars | exchange | index | result | pairs | in pairs | found | mixed |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        stored, n, found = result.stored(), result.documents, result.summary
        lines.append(
            f"| {n:,} | {stored['annotations'] / (n + result.batch_documents):.0f} | {stored['exchange'] / n:.0f} | "
            f"{stored['index'] / n:.0f} | {stored['global'] / n:.0f} bytes a document | {found['pairs']:,} | "
            f"{found['documents_in_pairs']:,} | {found['found']:,} of {found['planted']:,} | {found['mixed']} |"
        )
    lines += ["", "| phase | exponent of CPU-s | exponent of peak RSS |", "|---|---|---|"]
    lines += [
        f"| {n} | {exponent(results, n, 'cpu_s'):.2f} | {exponent(results, n, 'rss_bytes'):.2f} |"
        for n in names
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure every size, one after another, in a folder that is empty again afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=float, nargs="+", default=[1e6, 3e6])
    parser.add_argument("--batch-share", type=float, default=0.01, help="new documents that come afterwards")
    parser.add_argument("--shard-documents", type=int, default=75_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--partitions", type=int, help="default: as in a build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True, help="for the store: about 1.6 KB a document")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    results = []
    for n_documents in options.documents:
        folder = options.folder / f"{n_documents:.0f}"
        try:
            results.append(measure(folder, int(n_documents), options))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if options.json:
            page = {"machine": machine(), "sizes": [asdict(result) for result in results]}
            options.json.write_text(json.dumps(page, indent=1) + "\n")
    print(report(results))
    return 0


def machine() -> dict[str, str | int]:
    """What the figures were measured on, and when."""
    model = next((line for line in cpu_info() if line.startswith("model name")), platform.machine())
    return {"cpu": model.rpartition(":")[2].strip(), "cores": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "date": time.strftime("%Y-%m-%d")}  # fmt: skip


def cpu_info() -> list[str]:
    """Lines of /proc/cpuinfo, none where there is no such file."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
