"""Measure the cost of finding repeated passages in given files: CPU time, memory, and bytes exchanged between tasks.

Builds the files in a temporary store with one worker, after compiling the kernels, with only `stages.passages.anchors`,
`stages.passages.substring` and the global steps between them. Times are taken in the worker around each task, without
process start-up; exchanged bytes are the size on disk of all files passed between tasks of global steps.

Example: python -m scripts.bench.bench_substring crawl/*.parquet
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.build.build import Build
from pipeline.config.load import load_run
from pipeline.planning.session import Session
from pipeline.runtime.engines import LocalEngine, peak_rss_bytes
from pipeline.runtime.progress import Progress
from pipeline.storage.store import open_store
from scripts.bench.bench_stages import machine, sources_of
from scripts.warm import warm

STEPS = ("shared_anchors", "equal_ranges", "repeated_windows")


def timed(fn: Callable[[Any], Any], task: Any) -> tuple[Any, float, int]:
    """Result of a task, its CPU seconds, and the peak memory of its process. Any: tasks and results of all steps."""
    before = time.process_time()
    result = fn(task)
    return result, time.process_time() - before, peak_rss_bytes()


def label(fn: Callable[[Any], Any], task: Any) -> str:
    """Name of the step of a task (of a wave, its last step), or of the function if there is none. Any: as timed."""
    if hasattr(task, "steps"):
        return str(task.steps[-1].name)
    return str(task.step.name) if hasattr(task, "step") else fn.__name__


class Measured:
    """A local engine of one worker that records the time, memory and output size of tasks.

    seconds: CPU seconds by (step, function). exchange: bytes of exchange files by step. peak_rss: bytes.
    """

    def __init__(self, store: Path) -> None:
        self.store, self.engine = store, LocalEngine(1)
        self.seconds: dict[tuple[str, str], float] = {}
        self.exchange: dict[str, int] = {}
        self.peak_rss = 0

    def map(
        self,
        fn: Callable[[Any], Any],
        tasks: Sequence[Any],
        follow: Callable[[Any], Any | None] | None = None,
    ) -> Iterator[Any]:
        """See Engine.map; tasks that follow run after all others. Any: tasks and results of all steps."""
        later = []
        for result, seconds, peak in self.engine.map(partial(timed, fn), tasks):
            step = label(fn, tasks[0])
            self.seconds[step, fn.__name__] = self.seconds.get((step, fn.__name__), 0) + seconds
            if step in STEPS:
                self.peak_rss = max(self.peak_rss, peak)
            if follow is not None and (task := follow(result)) is not None:
                later.append(task)
            yield result
        for task in tasks:
            if fn.__name__ in ("map_shard", "reduce_partition"):
                step = label(fn, task)
                written = (self.store / task.key).stat().st_size
                self.exchange[step] = self.exchange.get(step, 0) + written
        if later:
            yield from self.map(fn, later, follow)

    def close(self) -> None:
        """Stop the worker."""
        self.engine.close()


def run_page(files: tuple[str, ...], text: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """A run file with only these steps; Any: YAML values."""
    return {
        "corpus": "bench-substring",
        "sources": sources_of(files, text),
        "ingest": {"max_quarantined_share": 1},
        "annotate": [{"use": "stages.passages.anchors", "config": settings}, "stages.passages.substring"],
        "global": ["stages.passages.shared_anchors"],
    }


def shares(store: Path) -> dict[str, float]:
    """Share of characters in repeated passages, for mainly Chinese documents (`zh`) and for all others (`other`)."""
    totals: dict[str, list[int]] = {}
    for path in sorted(store.glob("annotations/substring/*/*.parquet")):
        rows = pq.read_table(path)
        texts = pq.read_table(store / "shards" / path.name, columns=["text"])["text"].to_pylist()
        for spans, text in zip(rows["passages"].to_pylist(), texts, strict=True):
            if text is None:
                continue
            wide = sum("\u3400" <= char <= "\u9fff" for char in text[:2000])
            total = totals.setdefault("zh" if 4 * wide > len(text[:2000]) else "other", [0, 0])
            total[0] += len(text)
            end = 0
            for passage in spans or ():
                total[1] += max(passage["end"] - max(passage["start"], end), 0)
                end = max(end, passage["end"])
    return {name: repeated / n_chars for name, (n_chars, repeated) in sorted(totals.items())}


def report(store: Path, engine: Measured) -> list[str]:
    """The results as lines of Markdown."""
    shards = [pq.read_table(path, columns=["text_bytes"]) for path in sorted(store.glob("shards/*.parquet"))]
    n_bytes = sum(sum(table["text_bytes"].to_pylist()) for table in shards)
    folders = {"anchors": "annotations", "substring": "annotations"} | dict.fromkeys(STEPS, "global")
    stored = {
        f"{name}, stored": sum(path.stat().st_size for path in store.glob(f"{kind}/{name}/*/**/*.parquet"))
        for name, kind in folders.items()
    }
    lines = [
        f"{n_bytes / 1e6:,.1f} MB of text, {sum(map(len, shards)):,} documents; one worker of {machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| step | task | CPU-s |",
        "|---|---|---:|",
    ]
    seconds = {
        key: value for key, value in engine.seconds.items() if key[0] in ("anchors", "substring", *STEPS)
    }
    lines += [f"| {step} | {task} | {value:.2f} |" for (step, task), value in seconds.items()]
    total = sum(seconds.values())
    lines += [f"| all | | {total:.2f}: {n_bytes / 1e6 / total:.1f} MB/s |", ""]
    exchange = {f"{name}, exchanged": written for name, written in engine.exchange.items()}
    exchange["all exchanged"] = sum(engine.exchange.values())
    for name, written in {**exchange, **stored}.items():
        lines.append(f"- {name}: {written:,} bytes, {written / n_bytes:.3f} per byte of text")
    lines.append(f"- peak memory of the worker in the global steps: {engine.peak_rss / 1e6:,.0f} MB")
    lines += [f"- characters in passages, {name}: {share:.2%}" for name, share in shares(store).items()]
    return lines


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", help="Field with the text, if it has an unusual name.")
@click.option("--preset", default="equalised", show_default=True, help="Preset of stages.passages.anchors.")
@click.option("--keep", type=click.Path(exists=False), help="Keep the store in this folder.")
def main(files: tuple[str, ...], text: str | None, preset: str, keep: str | None) -> None:
    """Measure the steps that find repeated passages on FILES."""
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="bicorpus-substring-") as folder:
        store = Path(keep or f"{folder}/store")
        path = Path(folder, "run.yaml")
        path.write_text(yaml.safe_dump(run_page(files, text, {"preset": preset})), encoding="utf-8")
        warm(str(path))
        engine = Measured(store)
        try:
            Build(Session(load_run(str(path)), open_store(str(store)), engine, Progress(quiet=True))).run()
        finally:
            engine.close()
        click.echo("\n".join(report(store, engine)))


if __name__ == "__main__":
    main()
