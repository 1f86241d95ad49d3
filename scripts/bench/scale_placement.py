"""Placement of two mixes over the documents that `scale_candidates` keeps: facts in place of texts, the real passes."""

from __future__ import annotations

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
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW, ROW_BITS
from pipeline.storage.store import Store
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
    """Makes the facts of a shard. keepers: result of the step, by shard; key: of the exchange file."""

    store: Store
    shard: Shard
    ordinal: int
    keepers: SidecarRef
    key: str


def make_facts(task: KeptTask) -> tuple[int, int]:
    """Write the facts of the documents that no keeper replaces; returns the shard and how many there are."""
    rows = np.arange(task.shard.n_rows, dtype=np.uint64) + np.uint64(task.ordinal << ROW_BITS)
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
    store: Store, engine: Engine, shards: Sequence[Shard], partitions: int | None
) -> dict[str, int]:
    """Place the documents that are kept and write the orders of both mixes; returns numbers to check."""
    work, run = WorkFolder(store, "scale", RECIPE), bench_run()
    tasks = [
        KeptTask(
            store, shard, i, SidecarRef(f"global/keepers-old/rows/{shard.id}.parquet", RECIPE), work.facts(i)
        )
        for i, shard in enumerate(shards)
    ]
    counted = dict(engine.map(make_facts, tasks))
    n_kept = [counted[i] for i in range(len(tasks))]
    blocks = make_blocks(store, n_kept, [task.key for task in tasks], [], partitions)
    passes = Passes(store, engine, Progress(quiet=True), work, lambda n: None)
    placing = Placing(run, passes, blocks, partitions)
    placement = placing.place(run.mix.mixes)
    keys = {mix: f"releases/scale/{order_path(mix)}" for mix in placement.orders}
    orders = placing.write_orders(placement.orders, keys)
    found = {f"placement.{mix}": file.n_rows for mix, (file, _) in orders.items()}
    return {"placement.kept": sum(n_kept), **found}
