"""Kill the quickstart build at random points and check that the next run publishes the same bytes.

    python -m scripts.bench.crash_test [--runs 10] [--seed 0] [--run configs/quickstart.yaml]

Kills alternate between the whole process group and the driver alone, whose workers must then exit by themselves.
Prints a table; exits 1 if any release differs from that of an uninterrupted build.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from tests.helpers.build import check_readable, command, digests, kill, start

ROOT = Path(__file__).parents[2]


@click.command()
@click.option("--runs", default=10, show_default=True, help="Number of builds to kill.")
@click.option("--seed", default=0, show_default=True, help="Seed of the random points.")
@click.option("--run", "run_path", default=str(ROOT / "configs/quickstart.yaml"), help="The run file.")
def main(runs: int, seed: int, run_path: str) -> None:
    """Kill builds at random points."""
    points = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="bicorpus-crash-") as folder:
        begin = time.monotonic()
        record = build(run_path, Path(folder, "whole"))
        seconds = time.monotonic() - begin
        release = record["release"].removeprefix("releases/")
        expected = digests(Path(folder, "whole"), release)
        total = sum(record["tasks"].values())
        print(
            f"{run_path}: {seconds:.1f} s and {total:,} tasks without interruption, {len(expected):,} files"
        )
        print(f"{'run':>3} {'killed at':>9} {'killed':<12} {'files left':>10} {'tasks saved':>11}  release")
        same = [
            one(
                run_path,
                Path(folder, str(i)),
                i,
                points.uniform(0.05, 0.98) * seconds,
                release,
                expected,
                total,
            )
            for i in range(runs)
        ]
    print(f"{sum(same)} of {runs} releases have the same bytes")
    sys.exit(0 if all(same) else 1)


def build(run_path: str, store: Path) -> dict[str, Any]:
    """Run a build to completion; returns its record. Any: JSON values."""
    return dict(command("run", run_path, "--store", store, "--engine", "local", "--json").ok().json)


def one(
    run_path: str, store: Path, i: int, seconds: float, release: str, expected: dict[str, str], total: int
) -> bool:
    """Kill a build after some seconds, run it again and print a table row; returns whether the bytes are the same."""
    process = start("run", run_path, "--store", store, "--engine", "local", "--quiet")
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    kill(process, whole_group=i % 2 == 0)
    n_files = check_readable(store) if store.exists() else 0
    saved = total - sum(build(run_path, store)["tasks"].values())
    same = digests(store, release) == expected
    who = "all" if i % 2 == 0 else "driver only"
    print(
        f"{i + 1:>3} {seconds:>8.1f}s {who:<12} {n_files:>10,} {saved:>11,}  {'same' if same else 'DIFFERENT'}",
        flush=True,
    )
    return same


if __name__ == "__main__":
    main()
