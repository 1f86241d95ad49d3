"""When a release was built, and how long its runs took: from the records that runs leave in the store."""

from __future__ import annotations

from typing import Any

from pipeline.storage.run_records import read_record, record_keys
from pipeline.storage.store import Store

MAX_RUNS = 20
"""Largest number of runs, the last ones, that are counted."""


def run_times(store: Store, release: str) -> dict[str, Any] | None:  # Any: plain JSON
    """Times of the runs that worked on a release; None if the store has no record of one.

    Returns: `date` of the last, `runs`, `stages` (CPU-seconds and bytes of text added up), `phases` (wall seconds).
    """
    records = [read_record(store, key) for key in record_keys(store)]
    records = [r for r in records if r.get("release") in (f"releases/{release}", release)][-MAX_RUNS:]
    if not records:
        return None
    stages: dict[str, dict[str, Any]] = {}
    phases: dict[str, float] = {}
    for record in records:
        for field, column in (("cpu_s", "cpu_s"), ("stage_bytes", "bytes"), ("wall_s", "wall_s")):
            for name, value in record.get(field, {}).items():
                row = stages.setdefault(
                    name, {"stage": name, "cpu_s": 0, "bytes": 0, "wall_s": 0, "device": ""}
                )
                row[column] = round(row[column] + value, 3)
        for name, device in record.get("devices", {}).items():
            stages[name]["device"] = device
        for name, seconds in record.get("seconds", {}).items():
            phases[name] = round(phases.get(name, 0) + seconds, 3)
    runs = [
        {"id": r["id"], "started": r["started"], "status": r["status"], "seconds": r["seconds"].get("total", 0),
         "peak_rss": r["peak_rss"], "version": r["version"]}
        for r in records
    ]  # fmt: skip
    return {
        "date": records[-1]["started"], "runs": runs, "phases": sorted(phases.items(), key=lambda p: (-p[1], p[0])),
        "stages": sorted(stages.values(), key=lambda row: (-row["cpu_s"], row["stage"])),
    }  # fmt: skip
