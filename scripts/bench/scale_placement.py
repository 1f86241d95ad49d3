"""Placement of two mixes over documents without text: facts by row, the real passes.

`scale_candidates` ends with it, over the documents that its keepers leave; by itself it places all documents.

Example: python -m scripts.bench.scale_placement --documents 1e6 3e6 --folder /tmp/scale
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # sections of a run file

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.config.load import load_run
from pipeline.config.run_file import RunFile
from pipeline.dataset.release_schema import order_path
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, read_sidecar
from pipeline.mapreduce.shuffle import write_exchange
from pipeline.release.kept import make_blocks
from pipeline.release.passes import Passes
from pipeline.release.placement import Placing
from pipeline.release.work_folder import WorkFolder
from pipeline.runtime.engines import Engine, peak_rss_bytes
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW, ROW_BITS
from pipeline.storage.store import Store, open_store
from scripts.bench.scale_corpus import RECIPE
from scripts.bench.scale_steps import planted
from stages.kernels.text.hashing import mix_all

LANGUAGES = ("zho_Hans", "eng_Latn", "deu_Latn")
SCHEDULE = [
    {"until": 0.8, "share": {"zho_Hans": 0.5, "eng_Latn": 0.5}},
    {"until": 1.0, "share": {"zho_Hans": 0.7, "eng_Latn": 0.3}},
]
MIXES: dict[str, Any] = {
    "natural": {},
    "ratio": {"by": "language.label", "schedule": SCHEDULE, "max_epochs": 2, "materialise": False},
}


@dataclass(frozen=True)
class KeptTask:
    """Makes the facts of a shard. keepers: result of the step for it, None to keep all documents; key: of the exchange
    file."""

    store: Store
    shard: Shard
    ordinal: int
    keepers: SidecarRef | None
    key: str


def make_facts(task: KeptTask) -> tuple[int, int]:
    """Write the facts of the documents that no keeper replaces; returns the shard and how many there are."""
    rows = np.arange(task.shard.n_rows, dtype=np.uint64) + np.uint64(task.ordinal << ROW_BITS)
    if task.keepers is not None:
        kept = read_sidecar(task.store, task.keepers, task.shard, ["is_keeper"])["is_keeper"]
        rows = rows[np.asarray(pc.fill_null(kept, True).combine_chunks()).astype(bool)]
    chance = mix_all(rows ^ np.uint64(1 << 20))
    tokens = (64 + (chance >> np.uint64(8)) % np.uint64(1 << 10) ** (1 + chance % np.uint64(2))).astype(
        np.int64
    )
    tokens = np.minimum(tokens, 8192)
    names = pa.array(LANGUAGES).take(
        pa.array(np.minimum(chance % np.uint64(10) // np.uint64(4), 2).astype(np.int64))
    )
    table = pa.table(
        {
            ROW: rows, "doc_id": planted("doc_id", rows), "language": names, "n_tokens": tokens,
            "text_bytes": (tokens * 4).astype(np.int32), "module": pa.nulls(len(rows), pa.string()),
            "language.label": names,
        }
    )  # fmt: skip
    write_exchange(task.store, task.key, table, np.zeros(len(table), np.int64), 1)
    return task.ordinal, len(table)


def bench_run() -> RunFile:
    """A run file with two mixes, one of which has a schedule."""
    page = {
        "corpus": "scale",
        "sources": [{"name": "docs", "reader": "stages.readers.jsonl", "files": "docs.jsonl"}],
        "annotate": ["classifiers.language", "stages.tokens"],
        "mix": {"default": "natural", "max_discard": 1.0, "mixes": MIXES},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        path.write_text(yaml.safe_dump(page), encoding="utf-8")
        return load_run(path)


def place_kept(
    store: Store, engine: Engine, shards: Sequence[Shard], partitions: int | None, keepers: str | None
) -> dict[str, int]:
    """Place the documents that are kept and write the orders of both mixes; returns numbers to check.

    Args: keepers, folder of the result of that step, None to keep all.
    """
    work, run = WorkFolder(store, "scale", RECIPE), bench_run()
    refs = [
        None if keepers is None else SidecarRef(f"{keepers}/rows/{shard.id}.parquet", RECIPE)
        for shard in shards
    ]
    tasks = [KeptTask(store, shard, i, refs[i], work.facts(i)) for i, shard in enumerate(shards)]
    counted = dict(engine.map(make_facts, tasks))
    n_kept = [counted[i] for i in range(len(tasks))]
    blocks = make_blocks(store, n_kept, [task.key for task in tasks], [], partitions)
    passes = Passes(store, engine, Progress(quiet=True), work, lambda n: None)
    placing = Placing(run, passes, blocks, n_ranges=partitions)
    placement = placing.place(run.mix.mixes)
    keys = {mix: f"releases/scale/{order_path(mix)}" for mix in placement.orders}
    orders = placing.write_orders(placement.orders, keys)
    found = {f"placement.{mix}": file.n_rows for mix, (file, _) in orders.items()}
    return {"placement.kept": sum(n_kept), **found}


def main() -> None:
    """Place every number of documents in a folder that is emptied afterwards; print the cost of each pass."""
    from scripts.bench.scale_candidates import MeasuringEngine, joined

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=float, nargs="+", default=[1e6, 3e6])
    parser.add_argument("--shard-documents", type=int, default=75_000)
    parser.add_argument("--workers", type=int, default=1, help="0: run all tasks in this process")
    parser.add_argument("--partitions", type=int, help="blocks and ranges; default: as in a build")
    parser.add_argument("--folder", type=Path, required=True, help="of the store; about 0.5 KB per document")
    options = parser.parse_args()
    print(
        "| documents | pass | tasks | CPU-s | µs a document | peak RSS, MB | MB written |\n"
        "|---|---|---|---|---|---|---|"
    )
    for n_documents in map(int, options.documents):
        folder = options.folder / f"placement-{n_documents}"
        store = open_store(folder)
        sizes = [
            min(options.shard_documents, n_documents - first)
            for first in range(0, n_documents, options.shard_documents)
        ]
        shards = [Shard(f"synthetic-{i:05d}", "synthetic", n, 3500 * n) for i, n in enumerate(sizes)]
        engine = MeasuringEngine(options.workers, store, verbose=False)
        try:
            found = place_kept(store, engine, shards, options.partitions, None)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for phase in joined(engine.phases):
            print(
                f"| {n_documents:,} | {phase.name} | {phase.tasks} | {phase.cpu_s:.1f} | "
                f"{phase.cpu_s / n_documents * 1e6:.2f} | {phase.rss_bytes / 1e6:,.0f} | "
                f"{phase.written_bytes / 1e6:,.0f} |",
                flush=True,
            )
        stored = max(sum(phase.store_bytes.values()) for phase in engine.phases)
        print(
            f"{n_documents:,}: driver {peak_rss_bytes() / 1e6:,.0f} MB, disk {stored / 1e6:,.0f} MB, {found}",
            flush=True,
        )


if __name__ == "__main__":
    main()
