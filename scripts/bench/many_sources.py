"""CPU time of a run over many sources, each one file of one document, or over as many files of one source.

Runs `load`, the build and `plan` in this process, so that the CPU time of all of them is counted; wall time is printed
too, but most of it is flushing small files. The cost of a source or file is the difference of two sizes divided by
the difference of their numbers, so that loading models does not count.

Example: python -m scripts.bench.many_sources docs_zh_en-00.parquet 50 500 2000
"""

from __future__ import annotations

import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import click
import pyarrow.parquet as pq
import yaml

from pipeline.build.build import Build
from pipeline.config.load import load_run
from pipeline.planning.plan import make_plan
from pipeline.planning.session import Session
from pipeline.planning.state import State
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.storage.store import open_store

STEPS = ["classifiers.language", "stages.signals", "stages.dedup.exact"]
MAX_CHARS = 3000
"""Most characters of a document."""


def write_sources(folder: Path, texts: list[str], one: bool) -> Path:
    """Write a file for each text, and a run file with a source for each file, or one for all; return its path."""
    for i, text in enumerate(texts):
        (folder / f"f{i:05d}.jsonl").write_text(
            json.dumps({"text": text}, ensure_ascii=False) + "\n", "utf-8"
        )
    names = {"s": "f*.jsonl"} if one else {f"s{i:05d}": f"f{i:05d}.jsonl" for i in range(len(texts))}
    sources = [
        {"name": name, "reader": "stages.readers.jsonl", "files": files} for name, files in names.items()
    ]
    rules = [{"name": "too_short", "signals.n_chars": {"min": 20}}]
    page = {"corpus": "many", "sources": sources, "annotate": STEPS, "select": rules}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(page), "utf-8")
    return path


def measure(texts: list[str], one: bool = False) -> dict[str, float]:
    """CPU seconds of loading the run file, of the build, and of a plan after it; wall seconds of the build."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_sources(Path(folder), texts, one)
        store = open_store(f"{folder}/store")
        times, wall = [time.process_time()], time.monotonic()
        run = load_run(str(path), store=store)
        times.append(time.process_time())
        Build(Session(run, store, SerialEngine(), Progress(quiet=True), None, None)).run()
        times.append(time.process_time())
        wall = time.monotonic() - wall
        make_plan(load_run(str(path), store=store), State(store))
        times.append(time.process_time())
    spent = [b - a for a, b in pairwise(times)]
    return {**dict(zip(("load", "build", "plan"), spent, strict=True)), "wall": wall}


@click.command()
@click.argument("documents", type=click.Path(exists=True))
@click.argument("sizes", type=int, nargs=-1, required=True)
@click.option("--one", is_flag=True, help="All files are of one source.")
def main(documents: str, sizes: tuple[int, ...], one: bool) -> None:
    """Measure runs with SIZES sources, or files of one, made of texts of DOCUMENTS (Parquet with `text`)."""
    texts = [text[:MAX_CHARS] for text in pq.read_table(documents, columns=["text"])["text"].to_pylist()]
    measure(texts[:2])  # loads models and kernels
    known: tuple[int, float] | None = None
    unit = "file" if one else "source"
    for size in sorted(sizes):
        if size > len(texts):
            raise click.UsageError(f"{documents} has {len(texts):,} documents; expected at least {size:,}")
        times = measure(texts[:size], one)
        line = ", ".join(f"{name} {seconds:.2f}" for name, seconds in times.items())
        cpu = times["load"] + times["build"] + times["plan"]
        rate = "" if known is None else f", {1000 * (cpu - known[1]) / (size - known[0]):.1f} CPU-ms a {unit}"
        click.echo(f"{size} {unit}s: seconds {line}{rate}")
        known = size, cpu


if __name__ == "__main__":
    main()
