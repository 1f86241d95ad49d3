"""Measure what `verify` and `diff` need for a ledger: memory and processor time of one process, by number of documents.

Releases of synthetic documents: half kept, a third dropped by five rules, the others duplicates of a kept document;
in the second release one in a hundred has another outcome. Only the ledger and what it is compared with is written.
`verify` reads it and checks ids, digests and keepers; `diff` compares the outcomes of both releases. Each runs in a
new process.

Example: python -m scripts.bench.bench_ledger --documents 1e6 1e7 --folder /tmp/ledger
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any  # JSON

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.release_schema import DUPLICATE, LEDGER
from pipeline.dataset.row_digest import row_digests, signed, total
from pipeline.inspect.diff import KEPT, changed_outcomes, joined, kept_by_language, outcomes
from pipeline.inspect.release_files import read_checksums
from pipeline.inspect.verify_ledger import check_keepers, read_ledger
from pipeline.inspect.verify_report import VerifyReport
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.storage.store import open_store
from stages.kernels.text.hashing import mix_all

SHARD = 75_000
RULES = np.array(["too_short", "spam", "gibberish", "low_value", "not_fluent"])
LANGUAGES = np.array(["zho_Hans", "eng_Latn", "zho_Hant", "deu_Latn"])


def names_of(rows: np.ndarray) -> pa.Array:
    """Ids of documents, of 26 characters. rows: uint64."""
    return pa.array([f"doc-{value:022x}" for value in rows.tolist()], pa.string())


def ledger_table(first: int, n_rows: int, is_second: bool) -> pa.Table:
    """Rows of one shard; the second release drops one in a hundred of the documents that the first one keeps."""
    rows = np.arange(first, first + n_rows, dtype=np.uint64)
    chance = mix_all(rows)
    keep, is_copy = rows % 2 == 0, rows % 6 == 3
    if is_second:
        keep &= chance % np.uint64(100) != 0
    reason = np.where(is_copy, DUPLICATE, RULES[(chance % np.uint64(5)).astype(int)])
    ids, keepers = names_of(rows), names_of(np.where(is_copy, rows - 3, rows))
    columns = {
        "doc_id": ids, "source": pa.array(["crawl"] * n_rows), "shard": pa.array([shard_name(first)] * n_rows),
        "row": pa.array(np.arange(n_rows, dtype=np.int32)), "keep": pa.array(keep),
        "language": pa.array(LANGUAGES[(chance % np.uint64(4)).astype(int)]),
        "rule": pc.if_else(keep, None, pa.array(reason, pa.string())),
        "cluster": keepers, "keeper_id": pc.if_else(is_copy & ~keep, keepers, None),
        "duplicate": pc.if_else(is_copy & ~keep, "near", None), "copies": pa.array(keep.astype(np.int32)),
        "text_digest": signed(chance), "row_digest": signed(mix_all(chance)),
    }  # fmt: skip
    filled = [columns.get(field.name, pa.nulls(n_rows, field.type)).cast(field.type) for field in LEDGER]
    digests = row_digests(pa.table(filled, schema=LEDGER).drop_columns(["digest"]))
    return pa.table([*filled[:-1], signed(digests)], schema=LEDGER)


def shard_name(first: int) -> str:
    """Name of the shard that begins with a document; shards are in order of their names."""
    return f"shard-{first:012d}"


def write_release(folder: Path, n_documents: int, is_second: bool) -> dict[str, Any]:
    """Write the ledger of a release; returns what the lineage says of it."""
    (folder / "ledger/all").mkdir(parents=True)
    funnel: dict[str, dict[str, int]] = {}
    shards, names, digest = {}, [], 0
    for first in range(0, n_documents, SHARD):
        table = ledger_table(first, min(SHARD, n_documents - first), is_second)
        names.append(f"ledger/all/part-{first // SHARD:05d}.parquet")
        pq.write_table(table, folder / names[-1])
        shards[shard_name(first)] = {"rows": len(table)}
        digest = (digest + total(table["digest"].to_numpy().view(np.uint64))) % 2**64
        for row in table.group_by(["language", "rule"]).aggregate([([], "count_all")]).to_pylist():
            counts = funnel.setdefault(row["language"], {})
            counts[row["rule"] or KEPT] = counts.get(row["rule"] or KEPT, 0) + row["count_all"]
    (folder / "checksums.sha256").write_text("".join(f"{'0' * 64}  {name}\n" for name in names))
    return {"shards": shards, "funnel": funnel, "late_rules": [], "digests": {"ledger": f"{digest:016x}"}}


def verify(folder: Path, lineage: dict[str, Any]) -> str:
    """Check the ledger of the first release; returns what was found."""
    release, report = open_store(str(folder / "old")), VerifyReport()
    ledger = read_ledger(release, list(read_checksums(release)), lineage, report)
    check_keepers(release, ledger, lineage, report)
    return f"{len(ledger):,} rows, {sum(map(len, report.faults.values()))} faults"


def diff(folder: Path, lineage: dict[str, Any]) -> str:
    """Compare the outcomes of both releases; returns what was found."""
    del lineage
    old, new = (open_store(str(folder / name)) for name in ("old", "new"))
    both = joined(outcomes(old), outcomes(new))
    changes, kept = changed_outcomes(both, old, new), kept_by_language(both)
    changed = sum(change["documents"] for change in changes)
    return f"{changed:,} changed, kept {sum(n for n, _ in kept.values()):,} and {sum(n for _, n in kept.values()):,}"


def measured(
    task: Callable[[Path, dict[str, Any]], str], folder: Path, lineage: dict[str, Any]
) -> tuple[str, float, int]:
    """What a task found, its CPU-seconds, and the peak memory of its process in bytes."""
    start = time.process_time()
    found = task(folder, lineage)
    return found, time.process_time() - start, peak_rss_bytes()


def main() -> int:
    """Measure each size, in a folder that is emptied afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=float, nargs="+", default=[1e6])
    parser.add_argument("--folder", type=Path, required=True, help="about 80 bytes a document")
    options = parser.parse_args()
    print("| documents | command | CPU-s | peak, MB | found |", "|---|---|---|---|---|", sep="\n")
    for size in options.documents:
        folder = options.folder / f"{size:.0f}"
        try:
            lineage = write_release(folder / "old", int(size), False)
            write_release(folder / "new", int(size), True)
            for task in (verify, diff):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found, seconds, peak = pool.apply(measured, (task, folder, lineage))
                print(
                    f"| {int(size):,} | {task.__name__} | {seconds:.1f} | {peak / 1e6:,.0f} | {found} |",
                    flush=True,
                )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
