"""What limits and checks cost ordinary files: processor time of ingest here over that of another checkout.

    python -m scripts.bench.bench_limits FILE... --against /path/to/checkout [--rounds 5]

Both ingest the same files by turns, each time in a process of its own, and the figure is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

INGEST = """
import resource, sys
from pipeline.config.run_file import Ingest, Source
from pipeline.ingest.ingest import Group, IngestTask, ingest_group
from pipeline.recipe import load_step
from pipeline.storage.store import list_inputs, open_store
path, folder = sys.argv[1:]
ending = path.removesuffix(".gz").rpartition(".")[2]
name = {"txt": "lines", "md": "textfile"}.get(ending, ending)
reader = load_step(f"stages.readers.{name}", "READER", "bench")
source = Source(name="s", reader_name="", reader=reader, reader_config=reader.config(), files=(path,), columns={})
def used():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
before = used()
report = ingest_group(IngestTask(open_store(folder), Group(source, tuple(list_inputs(path))), Ingest()))
print(used() - before, sum(shard.n_rows for shard in report.shards))
"""


def seconds(checkout: Path, path: Path) -> tuple[float, str]:
    """Processor time of one ingest by a checkout, and the number of documents."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        command = [sys.executable, "-c", INGEST, str(path), folder]
        found = subprocess.run(
            command, env=environment, cwd=checkout, check=True, capture_output=True, text=True
        )
    used, n_docs = found.stdout.split()
    return float(used), n_docs


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    here = Path(__file__).parents[2]
    for path in options.files:
        times: dict[Path, list[float]] = {here: [], options.against: []}
        docs = set[str]()
        for _ in range(options.rounds):
            for checkout, found in times.items():
                used, n_docs = seconds(checkout, path.resolve())
                found.append(used)
                docs.add(n_docs)
        new, old = (statistics.median(found) for found in times.values())
        counts = ", ".join(sorted(docs))
        print(f"{path.name}: {new:.2f} s, was {old:.2f} s: {new / old:.3f}; documents {counts}", flush=True)


if __name__ == "__main__":
    main()
