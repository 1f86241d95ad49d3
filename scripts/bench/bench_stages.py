"""Measure the cost of the steps of a run file on given files: CPU-milliseconds per MB of text, and peak memory.

Builds the files with `bicorpus run --engine local` in a temporary store, after compiling the kernels, and prints the
run record and the funnel as Markdown tables. Loading a model is counted to its stage once per worker, so use 100 MB or
more.

Example: python -m scripts.bench.bench_stages crawl/*.jsonl.gz --workers 1
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline.report.card import funnel_table
from scripts.warm import warm, with_sources

ROOT = Path(__file__).resolve().parents[2]
READERS = {ending: f"stages.readers.{ending[1:]}" for ending in (".parquet", ".wet", ".warc", ".html")}


def sources_of(files: tuple[str, ...], text: str | None) -> list[dict[str, Any]]:
    """One source per reader; the reader is chosen by file extension. Any: YAML values."""
    by_reader: dict[str, list[str]] = {}
    for file in files:
        endings = reversed(Path(file).suffixes)  # .warc.wet.gz is WET
        reader = next((READERS[s] for s in endings if s in READERS), "stages.readers.jsonl")
        by_reader.setdefault(reader, []).append(str(Path(file).resolve()))
    columns = {"columns": {"text": text}} if text else {}
    return [
        {"name": reader.rpartition(".")[2], "reader": reader, "files": paths, **columns}
        for reader, paths in sorted(by_reader.items())
    ]


def machine() -> str:
    """Processor, number of cores and memory of this machine, and the Python version."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(": ", 1)[1] for line in info.splitlines() if line.startswith("model name")), "?")
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    cores, python = info.count("processor\t"), platform.python_version()
    return f"{model.strip()}, {cores} cores, {kib / 2**20:.0f} GiB, Python {python}"


def report(record: dict[str, Any], status: dict[str, Any], workers: int) -> list[str]:
    """Markdown lines from the run record and the status of the store; Any: JSON values."""
    n_bytes = sum(source["bytes"] for source in status["sources"].values())
    n_docs = sum(source["documents"] for source in status["sources"].values())
    mb = n_bytes / 1e6
    lines = [
        f"{mb:,.1f} MB of text, {n_docs:,} documents; {workers} worker(s) of {machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}, bicorpus {record['version']}.",
        "",
        "| stage | CPU-s | CPU-ms per MB | MB/s per core |",
        "|---|---:|---:|---:|",
    ]
    total = sum(record["cpu_s"].values())
    rows = sorted(record["cpu_s"].items(), key=lambda item: -item[1])
    for name, seconds in [*rows, ("all of the wave", total)]:
        speed = f"{mb / seconds:,.1f}" if seconds else "-"
        lines.append(f"| {name} | {seconds:.2f} | {1000 * seconds / mb:.1f} | {speed} |")
    lines += ["", "| phase | wall s |", "|---|---:|"]
    lines += [f"| {name} | {seconds:.1f} |" for name, seconds in record["seconds"].items()]
    return [*lines, "", f"Peak memory of one process: {record['peak_rss'] / 2**20:,.0f} MiB."]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--run",
    "run_path",
    default=str(ROOT / "configs/quickstart.yaml"),
    help="Run file with the steps to measure.",
)
@click.option("--text", help="Field with the text, if it has an unusual name.")
@click.option("--workers", default=1, show_default=True)
def main(files: tuple[str, ...], run_path: str, text: str | None, workers: int) -> None:
    """Measure the steps of a run file on FILES."""
    warm(run_path)
    with tempfile.TemporaryDirectory(prefix="bicorpus-bench-") as folder:
        ingest = {"max_quarantined_share": 1}
        path = with_sources(run_path, folder, sources_of(files, text), mix={}, tokens={}, ingest=ingest)
        command = [sys.executable, "-m", "pipeline"]
        run = ["run", path, "--engine", "local", "--workers", str(workers)]
        subprocess.run([*command, *run, "--store", f"{folder}/store"], cwd=ROOT, check=True)
        status = subprocess.run(
            [*command, "status", "--store", f"{folder}/store", "--json"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        (record_path,) = Path(folder, "store/runs").glob("*.json")
        record = json.loads(record_path.read_text())
        click.echo("\n".join(report(record, json.loads(status.stdout), workers)))
        lineage = json.loads(Path(folder, "store", record["release"], "lineage.json").read_text())
        click.echo("\n".join(["", *funnel_table(lineage["funnel"], lineage["rules"], lineage["failed"])]))


if __name__ == "__main__":
    main()
