"""What hostile files cost: input bytes, processor seconds, peak memory, and the reason under which each ends.

    python -m scripts.bench.bench_bombs --mib 64 [--only json --only "csv: commas"] [--sizes 16 32 64]

Each file is ingested by a process of its own, as a worker of a build does it, and the peak is that process's
`ru_maxrss`. With several sizes the exponent of the growth of time is given: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.bombs import BOMBS, write


@dataclass(frozen=True)
class Cost:
    """What one file cost. peak_bytes: of the process; outcome: documents and reasons, or how the process ended."""

    n_bytes: int
    seconds: float
    peak_bytes: int
    outcome: str


def ingest(reader: str, path: Path, store: Path) -> None:
    """Ingest one file and print what came of it as JSON."""
    from pipeline.config.run_file import Ingest, Source
    from pipeline.ingest.ingest import Group, IngestTask, ingest_group
    from pipeline.recipe import load_step
    from pipeline.storage.store import list_inputs, open_store

    name = f"stages.readers.{reader}"
    step = load_step(name, "READER", "bench")
    files = tuple(list_inputs(str(path)))
    source = Source(
        name="bombs",
        reader_name=name,
        reader=step,
        reader_config=step.config(),
        files=(str(path),),
        columns={},
    )
    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    report = ingest_group(IngestTask(open_store(str(store)), Group(source, files), Ingest()))
    seconds = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before
    reasons = [f"{reason} {count:,}" for reason, count in report.quarantined.most_common(3)]
    docs = sum(shard.n_rows for shard in report.shards)
    skipped = report.tally.skipped.total()
    outcome = ", ".join([f"{docs:,} documents", *reasons, *([f"{skipped:,} skipped"] if skipped else [])])
    print(json.dumps({"seconds": seconds, "outcome": outcome}))


def measure(name: str, n: int, limit_s: float) -> Cost:
    """Ingest one bomb in a process of its own."""
    bomb = BOMBS[name]
    with tempfile.TemporaryDirectory() as folder:
        me, path = [sys.executable, "-m", "scripts.bench.bench_bombs"], Path(folder, bomb.name)
        subprocess.run(
            [*me, "--write", name, str(n), folder], check=True
        )  # ru_maxrss includes that of the parent
        command = [*me, "--ingest", bomb.reader, str(path), f"{folder}/s"]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command, stdout=out, stderr=errors,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s) + 5)),
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            errors.seek(0)
            size = path.stat().st_size
            if process.returncode:
                last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2][:100]
                return Cost(
                    size,
                    usage.ru_utime + usage.ru_stime,
                    usage.ru_maxrss << 10,
                    f"exit {process.returncode} {last}",
                )
            found = json.loads(out.read())
            return Cost(size, found["seconds"], usage.ru_maxrss << 10, found["outcome"])


def exponent(costs: list[Cost]) -> float | None:
    """Growth of time between the first and the last size; None where it is too short to tell."""
    first, last = costs[0], costs[-1]
    if len(costs) < 2 or first.seconds < 0.05 or last.n_bytes <= first.n_bytes:
        return None
    return math.log(last.seconds / first.seconds) / math.log(last.n_bytes / first.n_bytes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64], help="MiB of the bombs that grow")
    parser.add_argument("--only", action="append", default=[], help="names that begin so")
    parser.add_argument(
        "--limit", type=float, default=400, help="processor seconds after which a process is ended"
    )
    parser.add_argument("--ingest", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        name, n, folder = options.write
        write(BOMBS[name], int(n), Path(folder))
        return
    if options.ingest:
        reader, path, store = options.ingest
        ingest(reader, Path(path), Path(store))
        return
    print("| bomb | bytes | s | MiB | exponent | result |\n|---|---:|---:|---:|---:|---|")
    for name, bomb in BOMBS.items():
        if options.only and not name.startswith(tuple(options.only)):
            continue
        sizes = options.sizes if bomb.grows else options.sizes[-1:]
        costs = [measure(name, n << 20, options.limit) for n in sizes]
        last, power = costs[-1], exponent(costs)
        print(
            f"| {name} | {last.n_bytes:,} | {last.seconds:.1f} | {last.peak_bytes >> 20:,} | "
            f"{'' if power is None else f'{power:.1f}'} | {last.outcome} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
