"""The first hour with bicorpus as commands and seconds: jobs on 10 MB, and a build of JSON Lines of any size.

Takes Parquet files of documents with a column `text`, most of them Chinese. For the build they are repeated with one
Han character in eight replaced by another of the same documents, so that copies of a document are no near copies, in
a field named `content`. Every command is run as a user runs it, in a new process, the jobs once before, which compiles
kernels. Prints a Markdown table.

Example: python -m scripts.bench.first_hour documents.parquet --bytes 2_000_000_000 --folder /tmp/first-hour
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.report.markdown import code, markdown

JOB_BYTES = 10_000_000
"""Text of the small jobs."""

FILTER = """from bicorpus import each


def keep(text: str) -> bool:
    return text.rstrip().endswith(("。", ".", "！", "!", "？", "?"))


STAGE = each(keep)
"""

NOTEBOOK = """import polars as pl
import bicorpus

frame = pl.read_parquet("docs.parquet")
print(bicorpus.annotate(frame, ["language", "quality"]).select("language.label", "quality.value").head(3))
"""

READ = """import bicorpus

print(bicorpus.read_release("store/releases/data", to="polars").head(3))
"""


def chinese(texts: list[str]) -> list[str]:
    """Texts of which a good part of the start is Han."""
    return [text for text in texts if sum("\u4e00" <= c <= "\u9fff" for c in text[:2000]) > 300]


def first_bytes(texts: list[str], n_bytes: int) -> list[str]:
    """The first texts that have a number of bytes together."""
    sizes = np.cumsum([len(text.encode()) for text in texts])
    return texts[: int(np.searchsorted(sizes, n_bytes)) + 1]


def repeated(texts: list[str], n_bytes: int) -> Iterator[str]:
    """Texts of a number of bytes: the given ones, then again and again with one Han character in eight replaced."""
    random = np.random.default_rng(7)
    points = [np.frombuffer(text.encode("utf-32-le"), np.uint32) for text in texts]
    pool = np.concatenate([point[(point >= 0x4E00) & (point <= 0x9FFF)] for point in points[:4000]])
    size = 0
    for copy in range(1 << 30):
        for point in points:
            text = point.copy()
            han = np.flatnonzero((text >= 0x4E00) & (text <= 0x9FFF))
            chosen = han[random.random(len(han)) < 0.125] if copy else han[:0]
            text[chosen] = random.choice(pool, len(chosen))
            made = text.tobytes().decode("utf-32-le")
            size += len(made.encode())
            yield made
            if size > n_bytes:
                return


def write_inputs(folder: Path, texts: list[str], n_bytes: int, n_files: int = 8) -> None:
    """Write the inputs of the jobs, and those of the build into data/."""
    (folder / "data").mkdir(parents=True)
    mixed, zh = first_bytes(texts, JOB_BYTES), chinese(texts)
    pq.write_table(pa.table({"text": mixed}), folder / "docs.parquet")
    (folder / "one.txt").write_text(zh[0])
    with open(folder / "docs.csv", "w", encoding="gb18030", newline="", errors="replace") as file:
        rows = enumerate(first_bytes(zh, JOB_BYTES))
        csv.writer(file).writerows([["标题", "正文"], *([f"第{i}篇", text] for i, text in rows)])
    for name, source in (("own.py", FILTER), ("notebook.py", NOTEBOOK), ("read.py", READ)):
        (folder / name).write_text(source)
    made = repeated(zh, n_bytes)
    for part in range(n_files):
        with open(folder / "data" / f"part-{part:02}.jsonl", "w", encoding="utf-8") as file:
            for i, text in enumerate(made):
                row = {
                    "content": text,
                    "url": f"https://site{i % 997}.example/{part}/{i}",
                    "date": "2024-03-01",
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                if file.tell() > n_bytes / n_files:
                    break


def seconds(command: list[str], folder: Path) -> float:
    """Run a command to its end, in seconds of wall time; its output goes to a log beside the inputs.

    Raises: SystemExit with the end of its output if it fails.
    """
    with open(folder / "log.txt", "w") as log:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False)
        taken = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{(folder / 'log.txt').read_text()[-2000:]}")
    return taken


JOBS = (
    ("score a text", "bicorpus score one.txt"),
    ("score 10 MB of Parquet", "bicorpus score docs.parquet --to scores.parquet"),
    ("deduplicate it", "bicorpus dedup docs.parquet --to dedup.parquet"),
    ("filter 10 MB of CSV in GB18030", "bicorpus filter docs.csv --use recommended --to kept.csv"),
    ("filter by a function of one's own", "bicorpus filter docs.parquet --use own.py --to own.parquet"),
    ("label languages", "bicorpus lid docs.parquet --to lid.parquet"),
    ("mask personal data", "bicorpus mask docs.parquet --to masked.parquet"),
    ("run two stages on a Polars frame", "python notebook.py"),
)
BUILD = (
    ("write a run file", "bicorpus init data --out run.yaml"),
    ("check it against the data", "bicorpus check run.yaml"),
    ("build", "bicorpus run run.yaml --store store"),
    ("look at dropped documents", "bicorpus show run.yaml --store store --dropped"),
    ("ask why one went or stayed", "bicorpus explain run.yaml --store store --input part-03.jsonl:17"),
    ("verify the release", "bicorpus verify store/releases/data"),
    ("read the release in Polars", "python read.py"),
    ("add a rule and run again", "bicorpus run run.yaml --store store"),
)
"""What is done, and the command."""


def run(command: str, folder: Path) -> float:
    """Run a command with the programs of this Python, in seconds."""
    program, *rest = command.split()
    return seconds([str(Path(sys.executable).with_name(program)), *rest], folder)


def add_rule(folder: Path) -> None:
    """Add a rule to the run file, as a user does who wants longer texts."""
    with open(folder / "run.yaml", "a") as file:
        file.write("select:\n  - {preset: recommended}\n  - {name: too_short, signals.n_chars: {min: 200}}\n")


@click.command(help=__doc__)
@click.argument("documents", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--bytes", "n_bytes", default=2_000_000_000, help="Text of the build.")
@click.option("--folder", default="first-hour", type=click.Path(path_type=Path), help="To be made; is left.")
def main(documents: tuple[Path, ...], n_bytes: int, folder: Path) -> None:
    """Write the inputs, run the commands and print the table."""
    if folder.exists():
        raise click.UsageError(f"{folder} exists; name another --folder")
    texts = [text for path in documents for text in pq.read_table(path)["text"].to_pylist() if text]
    write_inputs(folder, texts, n_bytes)
    compiling = sum(run(command, folder) for _, command in JOBS)
    rows = []
    for what, command in (*JOBS, *BUILD):
        if what == BUILD[-1][0]:
            add_rule(folder)
        rows.append([what, code(command), f"{run(command, folder):.1f}"])
        print(f"{what}: {rows[-1][-1]} s", file=sys.stderr)
    print(f"{os.cpu_count()} cores, {n_bytes / 1e9:.2f} GB; all jobs for the first time: {compiling:.1f} s\n")
    print("\n".join(markdown(["", "command", "seconds"], rows)))


if __name__ == "__main__":
    main()
