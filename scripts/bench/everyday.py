"""Measure `bicorpus dedup` and `bicorpus filter` on one Parquet file, beside a build, datatrove and text-dedup.

    python -m scripts.bench.everyday make docs.parquet --rows 200000 INPUT.parquet...
    python -m scripts.bench.everyday own docs.parquet
    python -m scripts.bench.everyday build docs.parquet
    python -m scripts.bench.everyday peers docs.parquet --rows 10000 --peers-python peers/bin/python

`make` cuts real documents at paragraphs into rows, so that a few MB give many rows, and adds near copies. `own` prints
seconds, CPU-seconds, rows a second and peak memory of the commands; `build` compares their decisions with those of
`bicorpus run`, row by row; `peers` runs the same job as each tool's documentation writes it, on the first rows, and
prints ratios of CPU-seconds. On a shared machine only ratios of CPU time of one run mean anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

LEAST_CHARS = 250
"""Paragraphs are joined until a row has so many characters."""

COPY_EVERY = 20
"""Every so many rows, a near copy without its last twentieth is added."""

DATATROVE_FILTER = """
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
LocalPipelineExecutor([
    ParquetReader(IN),
    GopherRepetitionFilter(exclusion_writer=ParquetWriter(OUT + "/repetition")),
    GopherQualityFilter(exclusion_writer=ParquetWriter(OUT + "/quality")),
    ParquetWriter(OUT + "/kept"),
], tasks=1).run()
"""

DATATROVE_DEDUP = """
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig
config = MinhashConfig(num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64, hash_fc="sha1"))
read = lambda: ParquetReader(IN)
LocalPipelineExecutor([read(), MinhashDedupSignature(OUT + "/signatures", config=config)], tasks=1).run()
LocalPipelineExecutor([MinhashDedupBuckets(OUT + "/signatures", OUT + "/buckets", config=config)], tasks=14).run()
LocalPipelineExecutor([MinhashDedupCluster(OUT + "/buckets", OUT + "/remove", config=config)], tasks=1).run()
LocalPipelineExecutor(
    [read(), MinhashDedupFilter(OUT + "/remove", exclusion_writer=ParquetWriter(OUT + "/removed")),
     ParquetWriter(OUT + "/kept")], tasks=1).run()
"""

TEXT_DEDUP = """
import sys
from pathlib import Path
from text_dedup import minhash
from text_dedup.config.base import load_config_from_toml
Path(OUT, "config.toml").write_text(f'''
[input]
input_type = "local_files"
file_type = "parquet"
read_arguments = {{ path = "parquet", data_files = "{IN}", split = "train" }}
[algorithm]
algorithm_name = "minhash"
text_column = "text"
num_perm = 256
threshold = 0.8
check_false_positive = true
num_proc = 1
[output]
output_dir = "{OUT}/kept"
clean_cache = true
[debug]
enable_profiling = false
''')
minhash.main(load_config_from_toml(Path(OUT, "config.toml")))
"""


@dataclass(frozen=True)
class Cost:
    """What a process cost. peak: MB of its largest process."""

    seconds: float
    cpu_s: float
    peak: float


def run(command: Sequence[str], folder: str | None = None) -> Cost:
    """Run a command, quietly, in a folder; its CPU time and memory include its own processes.

    Raises: ClickException with the end of its output if it fails.
    """
    with tempfile.TemporaryFile("w+") as log:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        log.seek(0)
        if status:
            raise click.ClickException(f"{' '.join(command[:4])}: {log.read()[-1500:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@click.group()
def main() -> None:
    """Measure the everyday commands on one Parquet file."""


@main.command()
@click.argument("target")
@click.argument("files", nargs=-1, required=True)
@click.option("--rows", default=200_000, show_default=True)
def make(target: str, files: tuple[str, ...], rows: int) -> None:
    """Write TARGET: `rows` rows of the texts of FILES, with numbers and a nested column."""
    texts = list(_rows(files, rows))
    table = pa.table(
        {
            "n": pa.array(range(len(texts)), pa.int32()),
            "text": pa.array(texts, pa.string()),
            "meta": [{"source": "made", "tags": ["a", "b"]}] * len(texts),
        }
    )
    pq.write_table(table, target, compression="zstd", row_group_size=20_000)
    click.echo(
        f"{len(texts):,} rows, {pc.sum(pc.binary_length(table['text'])).as_py() / 1e6:,.1f} MB of text"
    )


def _rows(files: tuple[str, ...], n_rows: int) -> Iterator[str]:
    n_made = 0
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
            for text in batch["text"].to_pylist():
                for row in _pieces(text or ""):
                    yield row
                    n_made += 1
                    if n_made % COPY_EVERY == 0:
                        yield row[: -len(row) // 20]
                        n_made += 1
                    if n_made >= n_rows:
                        return


def _pieces(text: str) -> Iterator[str]:
    waiting: list[str] = []
    for paragraph in text.split("\n"):
        waiting.append(paragraph)
        if sum(map(len, waiting)) >= LEAST_CHARS:
            yield "\n".join(waiting)
            waiting = []
    if "".join(waiting).strip():
        yield "\n".join(waiting)


def _own(job: str, path: str, target: str, *options: str) -> Cost:
    return run(
        [sys.executable, "-m", "pipeline", job, path, "--to", target, "--workers", "1", "--quiet", *options]
    )


@main.command()
@click.argument("path")
def own(path: str) -> None:
    """Measure `dedup` and `filter` with one process each."""
    n_rows = pq.ParquetFile(path).metadata.num_rows
    n_bytes = pc.sum(pc.binary_length(pq.read_table(path, columns=["text"])["text"])).as_py()
    with tempfile.TemporaryDirectory() as folder:
        jobs = {"dedup": (), "filter": ("--use", "recommended")}
        for job, options in jobs.items():
            cost = _own(job, path, f"{folder}/{job}.parquet", *options)
            kept = pq.ParquetFile(f"{folder}/{job}.parquet").metadata.num_rows
            click.echo(
                f"{job}: {kept:,} of {n_rows:,} rows kept, {n_rows / cost.cpu_s:,.0f} rows and "
                f"{n_bytes / 1e6 / cost.cpu_s:.1f} MB a CPU-second, {cost.cpu_s:.0f} CPU-s in {cost.seconds:.0f} s, "
                f"{cost.peak:,.0f} MB"
            )


@main.command()
@click.argument("path")
def build(path: str) -> None:
    """Compare the decisions of `filter`, then `dedup`, with those of a build of the same rules, row by row."""
    with tempfile.TemporaryDirectory() as folder:
        page = {
            "corpus": "everyday",
            "sources": [{"name": "input", "reader": "parquet", "files": os.path.abspath(path)}],
            "annotate": ["language", "signals", "parts", "quality", "exact", "minhash"],
            "global": ["candidates", "dedup"],
            "select": [{"preset": "recommended"}],
            "keep_one": {"of": "dedup", "prefer": [{"signals.n_chars": "high"}, {"input_row": "low"}]},
            "release": {"name": "v1"},
        }
        Path(folder, "run.yaml").write_text(yaml.safe_dump(page), "utf-8")
        run([sys.executable, "-m", "pipeline", "run", f"{folder}/run.yaml", "--store", f"{folder}/store",
                     "--engine", "local", "--workers", "1", "--quiet"])  # fmt: skip
        filtered = _own("filter", path, f"{folder}/kept.parquet", "--use", "recommended")
        unique = _own("dedup", f"{folder}/kept.parquet", f"{folder}/unique.parquet")
        shards = pa.concat_tables(
            pq.read_table(shard, columns=["doc_id", "input_row"])
            for shard in Path(folder, "store/shards").glob("*.parquet")
        )
        decided = pa.concat_tables(
            pq.read_table(part, columns=["doc_id", "keep"])
            for part in Path(folder, "store/releases/v1/ledger").iterdir()
        )
        joined = decided.filter(decided["keep"]).join(shards, "doc_id")
        expected = set(joined["input_row"].to_pylist())
        found = set(pq.read_table(f"{folder}/unique.parquet", columns=["n"])["n"].to_pylist())
    click.echo(
        f"a build keeps {len(expected):,} rows, filter and dedup {len(found):,}; {len(expected ^ found):,} differ; "
        f"CPU-seconds: filter {filtered.cpu_s:.0f}, dedup {unique.cpu_s:.0f}"
    )


@main.command()
@click.argument("path")
@click.option("--rows", default=10_000, show_default=True)
@click.option("--peers-python", help="Interpreter with text-dedup (3.12 or later).")
def peers(path: str, rows: int, peers_python: str | None) -> None:
    """Run the same jobs with other tools on the first rows."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        cut = f"{folder}/in/docs.parquet"
        table = next(pq.ParquetFile(path).iter_batches(rows))
        ids = pa.array(list(map(str, table["n"].to_pylist())))
        pq.write_table(pa.table({"id": ids, "n": table["n"], "text": table["text"]}), cut)
        ours = {
            "filter": _own("filter", cut, f"{folder}/f.parquet", "--use", "gopher"),
            "dedup": _own("dedup", cut, f"{folder}/d.parquet"),
        }
        scripts = [
            ("filter", "datatrove", DATATROVE_FILTER, sys.executable),
            ("dedup", "datatrove", DATATROVE_DEDUP, sys.executable),
        ]
        scripts += [("dedup", "text-dedup", TEXT_DEDUP, peers_python)] if peers_python else []
        for job, cost in ours.items():
            click.echo(
                f"{job}: bicorpus 1 line, {cost.cpu_s:.1f} CPU-s, {cost.seconds:.1f} s, {cost.peak:,.0f} MB"
            )
        for number, (job, tool, script, python) in enumerate(scripts):
            out = Path(folder, f"out{number}")
            out.mkdir()
            source = cut if tool == "text-dedup" else str(Path(cut).parent)
            code = f"IN, OUT = {source!r}, {str(out)!r}\n{script}"
            cost = run([str(python), "-c", code], str(out))
            n_lines = len([line for line in script.splitlines() if line.strip()])
            click.echo(
                f"{job}: {tool} {n_lines} lines, {cost.cpu_s:.1f} CPU-s, {cost.seconds:.1f} s, {cost.peak:,.0f} MB: "
                f"{cost.cpu_s / ours[job].cpu_s:.1f} times the CPU time"
            )


if __name__ == "__main__":
    main()
