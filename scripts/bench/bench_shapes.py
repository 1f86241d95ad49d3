"""Peak memory and processor time of a worker on shapes of data that grow badly, at three sizes, with the exponents.

    python -m scripts.bench.bench_shapes                    # minutes; the sizes of --scale 1 end at those of the docs
    python -m scripts.bench.bench_shapes --only tiny --scale 0.1

Shapes: one long document through the measuring stages; a cluster of near copies through `cluster_texts`; one band key
that all documents share, through the steps of candidates; many tiny documents through ingest. Each size runs in a
process of its own. Memory is the peak of the process (`ru_maxrss`) less what it had before; the bar is 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

BAR_BYTES = 2 << 30
STAGES = ("stages.signals", "stages.dedup.exact", "stages.minhash", "stages.pii", "stages.web.boilerplate")


def peak() -> int:
    """Peak memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def prose(n_chars: int, seed: int) -> str:
    """Sentences of drawn ideographs and words."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0x4E00, 0x5E00, n_chars)
    codes[::24] = ord("。")
    codes[::240] = ord("\n")
    return "".join(map(chr, codes.tolist()))


def long_document(n_bytes: int) -> None:
    """One document of this many bytes through the stages of the quickstart."""
    from pipeline.recipe import load_step

    text = prose(n_bytes // 3, 1)
    table = pa.table({"text": pa.array([text], pa.large_string()), "language.label": ["zho_Hans"]})
    for name in STAGES:
        step = load_step(name, "STAGE", "bench")
        if set(step.reads) <= set(table.column_names):
            step.load(step.config())(table)


def alike(n: int) -> None:
    """A cluster of n texts of 600 characters with 3 of them replaced each: similar by .9."""
    from stages.dedup import cluster_texts

    body, draw = list(prose(600, 2)), random.Random(3)
    texts = []
    for _ in range(n):
        copy = body[:]
        for place in draw.sample(range(len(copy)), 3):
            copy[place] = chr(0x4E00 + draw.randrange(4000))
        texts.append("".join(copy))
    found = cluster_texts(pa.array(texts, pa.large_string()))
    kept = (found["keeper"].to_numpy() == np.arange(n)).sum()
    print(json.dumps({"kept": int(kept)}))


def one_key(n: int) -> None:
    """n different documents that share one band key: pairs with the leaders, groups and partners."""
    from stages.dedup import candidates

    draw = np.random.default_rng(4)
    keys = np.full(n, 7, np.uint64)
    content = draw.integers(1, 1 << 63, n).astype(np.uint64)
    table = pa.table([keys, np.arange(n, dtype=np.uint64), content], schema=candidates.KEYED)
    config = candidates.Config()
    candidates.finish(candidates.link_keys(table, config), config)


def tiny(n: int) -> None:
    """n documents of 12 characters through ingest."""
    from pipeline.config.run_file import Ingest, Source
    from pipeline.ingest.ingest import Group, IngestTask, ingest_group
    from pipeline.recipe import load_step
    from pipeline.storage.store import list_inputs, open_store

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.jsonl")
        with path.open("w", encoding="utf-8") as file:
            for i in range(n):
                file.write(f'{{"text":"tiny {i:07d}"}}\n')
        reader = load_step("stages.readers.jsonl", "READER", "bench")
        source = Source(
            name="s",
            reader_name="",
            reader=reader,
            reader_config=reader.config(),
            files=(str(path),),
            columns={},
        )
        task = IngestTask(
            open_store(str(Path(folder, "store"))), Group(source, tuple(list_inputs(str(path)))), Ingest()
        )
        ingest_group(task)


SHAPES: dict[str, tuple[Callable[[int], None], int, str]] = {
    "long": (long_document, 100_000_000, "bytes of one document"),
    "alike": (alike, 100_000, "near copies in one cluster"),
    "one_key": (one_key, 1_000_000, "documents with one band key"),
    "tiny": (tiny, 1_000_000, "documents of 12 characters"),
}
"""Name -> function of a size, largest size, what the size counts."""


def run_one(name: str, size: int) -> None:
    """Run one size in this process, after a small one that loads and compiles everything; print a line of JSON."""
    shape = SHAPES[name][0]
    shape(max(size // 1000, 200))
    before, begin = peak(), time.process_time()
    shape(size)
    print(json.dumps({"s": time.process_time() - begin, "bytes": peak() - before, "peak": peak()}))


def measured(name: str, size: int) -> dict[str, float]:
    """Run one size in a process of its own."""
    command = [sys.executable, "-m", "scripts.bench.bench_shapes", "--one", name, str(size)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        return {"s": math.nan, "bytes": math.nan, "peak": math.nan}
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    return {key: value for line in lines for key, value in line.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Memory and time on shapes of data that grow badly.")
    parser.add_argument("--only", choices=list(SHAPES), nargs="*", default=list(SHAPES))
    parser.add_argument("--scale", type=float, default=1.0, help="of the largest size")
    parser.add_argument("--one", nargs=2, metavar=("SHAPE", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one[0], int(options.one[1]))
        return
    print(
        "| shape | size | CPU s | MiB | exponent of time | of memory | |\n|---|---:|---:|---:|---:|---:|---|"
    )
    for name in options.only:
        _, largest, what = SHAPES[name]
        before: dict[str, float] | None = None
        for share in (0.25, 0.5, 1.0):
            size = int(largest * options.scale * share)
            found = measured(name, size)
            growth = ["", ""]
            if before is not None:
                growth = [
                    f"{math.log2(max(found[key], 1e-3) / max(before[key], 1e-3)):.2f}"
                    for key in ("s", "bytes")
                ]
            note = "above 2 GiB" if found["peak"] > BAR_BYTES else ""
            note += f" kept {int(found['kept']):,}" if "kept" in found else ""
            print(
                f"| {name}: {what} | {size:,} | {found['s']:.1f} | {found['bytes'] / 2**20:,.0f} | {growth[0]} | "
                f"{growth[1]} | {note.strip()} |",
                flush=True,
            )
            before = found


if __name__ == "__main__":
    main()
