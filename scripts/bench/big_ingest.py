"""Ingest one very large .jsonl.gz under a memory limit, to show that files of any size are streamed.

The file repeats the records of the bundled sample with changes that make every record different.

Example: python -m scripts.bench.big_ingest --gigabytes 5 --limit-gigabytes 4 --folder /tmp/big
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

MEMBER_BYTES = 64 << 20
"""Text per gzip member: members are compressed in parallel and concatenated."""

INGEST = """
import sys, time
from pipeline.build.build import Build
from pipeline.runtime.engines import LocalEngine
from pipeline.config.load import load_run
from pipeline.runtime.progress import Progress
from pipeline.planning.session import Session
from pipeline.storage.store import open_store
engine = LocalEngine(1)
build = Build(Session(load_run(sys.argv[1]), open_store(sys.argv[2]), engine, Progress()))
start = time.monotonic()
build.ingest()
engine.stop(kill=False)
seconds = time.monotonic() - start
text = sum(shard.text_bytes for shard in build.shards)
rows = sum(shard.n_rows for shard in build.shards)
peak = build.record.peak_rss / 1e6
print(f"{rows:,} documents, {text / 1e9:.2f} GB of text, {len(build.shards)} shards in {seconds:.0f} s, "
      f"{text / 1e6 / seconds:.1f} MB/s on one core, peak memory of the worker {peak:,.0f} MB")
"""


def sample_texts() -> list[str]:
    """Texts of the bundled sample's JSONL files."""
    from pipeline.storage.store import open_input
    from stages.readers import jsonl

    texts = []
    for path in sorted((Path(__file__).parents[2] / "sample").glob("docs_*")):
        with open_input(path) as stream:
            for record in jsonl.read(stream, path.name, jsonl.Config()):
                fields = record.fields or {}
                text = fields.get("content") or fields.get("text")
                if isinstance(text, str) and text.strip():
                    texts.append(text)
    return texts


def member(job: tuple[int, list[str]]) -> bytes:
    """One gzip member with MEMBER_BYTES of records; the number of the job makes each record different."""
    number, texts = job
    encode = msgspec.json.Encoder().encode
    lines, size, i = [], 0, 0
    while size < MEMBER_BYTES:
        text = texts[i % len(texts)]
        split = (number * 7919 + i * 104729) % max(len(text), 1)
        line = (
            encode({"id": f"{number}-{i}", "text": f"{text[split:]}\n{number} {i}\n{text[:split]}"}) + b"\n"
        )
        lines.append(line)
        size += len(line)
        i += 1
    compressor = zlib.compressobj(1, wbits=31)
    return compressor.compress(b"".join(lines)) + compressor.flush()


def make_file(path: Path, n_bytes: int) -> None:
    """Write a gzip file of at least n_bytes, compressed."""
    texts = sample_texts()

    def jobs() -> Iterator[tuple[int, list[str]]]:
        number = 0
        while True:
            yield number, texts
            number += 1

    source = jobs()
    with (
        path.open("wb") as stream,
        ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        while stream.tell() < n_bytes:
            for data in pool.map(member, [next(source) for _ in range(4)]):
                stream.write(data)


def main() -> int:
    """Create the file, ingest it under the memory limit, print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5.0, help="compressed size of the .jsonl.gz")
    parser.add_argument(
        "--limit-gigabytes", type=float, default=4.0, help="limit on the data segment of each process"
    )
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "big.jsonl.gz"
    if not path.exists():
        start = time.monotonic()
        make_file(path, int(arguments.gigabytes * 1e9))
        print(
            f"made {path}: {path.stat().st_size / 1e9:.2f} GB in {time.monotonic() - start:.0f} s", flush=True
        )
    run_path = arguments.folder / "run.yaml"
    run_path.write_text(
        "corpus: big\nsources: [{name: big, reader: stages.readers.jsonl, files: big.jsonl.gz}]\n"
    )
    limit = int(arguments.limit_gigabytes * (1 << 30))
    command = [sys.executable, "-c", INGEST, str(run_path), str(arguments.folder / "store")]
    limits = (limit, limit)
    return subprocess.run(
        command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limits)
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
