"""A timeline of CPU stages and a model's workers: a shard takes its stages as it comes, or stage after stage.

Example: python -m scripts.bench.bench_overlap texts.parquet --model models/edu
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pyarrow.parquet as pq
import yaml

from pipeline.annotate.wave import WaveReport
from pipeline.build.build import Build
from pipeline.config.load import load_run
from pipeline.planning.session import Session
from pipeline.runtime.engines import LocalEngine
from pipeline.runtime.gpus import Gpus
from pipeline.runtime.progress import Progress
from pipeline.storage.store import open_store

WIDTH = 72
CPU_STAGES = [
    "classifiers.language", "stages.signals", "classifiers.fluency", "classifiers.quality", "classifiers.toxicity",
    "classifiers.domain", "stages.minhash", "stages.pii", "stages.cot", "stages.tokens",
]  # fmt: skip


class Recording(LocalEngine):
    """One ordinary worker and one for the model; keeps the reports of annotation."""

    def __init__(self) -> None:
        super().__init__(1, Gpus(1))
        self.reports: list[WaveReport] = []

    def map(
        self, fn: Callable[[Any], Any], tasks: Sequence[Any], follow: Callable[[Any], Any] | None = None
    ) -> Iterator[Any]:  # Any: tasks and results of any phase
        """See Engine.map."""
        for result in super().map(fn, tasks, follow):
            if isinstance(result, WaveReport):
                self.reports.append(result)
            yield result


def run(run_path: Path, store: Path) -> list[WaveReport]:
    """Build once; returns the reports of annotation."""
    engine = Recording()
    try:
        opened = open_store(str(store))
        Build(Session(load_run(str(run_path), store=opened), opened, engine, Progress(quiet=True))).run()
    finally:
        engine.close()
    return engine.reports


def show(title: str, reports: list[WaveReport]) -> float:
    """Print a line for each worker, `#` where it works; returns the seconds from the first task to the last."""
    first, last = min(r.began for r in reports), max(r.ended for r in reports)
    click.echo(f"{title}: {last - first:.1f} s")
    for name, is_model in (("CPU stages", False), ("model", True)):
        own = [r for r in reports if bool(r.wall_s) == is_model]
        cells = ["."] * WIDTH
        for report in own:
            begin, end = ((t - first) / (last - first) * WIDTH for t in (report.began, report.ended))
            cells[int(begin) : max(int(end), int(begin) + 1)] = "#" * max(int(end) - int(begin), 1)
        busy = sum(r.ended - r.began for r in own)
        click.echo(f"  {name:<10} {''.join(cells[:WIDTH])} busy {busy:.1f} s, {len(own)} shards")
    return last - first


@click.command()
@click.argument("texts")
@click.option("--model", required=True, help="A model that classifiers.transformer loads.")
@click.option("--documents", default=300)
@click.option("--length", default=64, help="Tokens that the model reads.")
def main(texts: str, model: str, documents: int, length: int) -> None:
    """TEXTS: Parquet with a column text."""
    with tempfile.TemporaryDirectory() as folder:
        rows = pq.read_table(texts, columns=["text"]).slice(0, documents).to_pylist()
        Path(folder, "docs.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
        config = {"models": {"edu": str(Path(model).resolve())}, "length": {"edu": length}}
        page = {
            "corpus": "overlap",
            "sources": [{"name": "docs", "reader": "stages.readers.jsonl", "files": "docs.jsonl"}],
            "ingest": {"shard_bytes": sum(len(row["text"].encode()) for row in rows) // 12, "pack_bytes": 0},
            "annotate": [*CPU_STAGES, {"use": "classifiers.transformer", "config": config}],
        }
        run_path = Path(folder, "run.yaml")
        run_path.write_text(yaml.safe_dump(page), encoding="utf-8")
        run(run_path, Path(folder, "warm"))
        together = show("a shard after another", run(run_path, Path(folder, "together")))
        with mock.patch("pipeline.build.build.consecutive", lambda order: [[phase] for phase in order]):
            apart = show("a stage after another", run(run_path, Path(folder, "apart")))
        click.echo(f"ratio {apart / together:.2f}")


if __name__ == "__main__":
    main()
