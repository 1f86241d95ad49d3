"""How fresh each source is, and what taking in its new files would cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.cells import pad, wide
from pipeline.config.run_file import RunFile
from pipeline.dataset.shard import INPUTS, SHARDS
from pipeline.ingest.ingest import source_files
from pipeline.planning.state import State
from pipeline.storage.base import MissingError
from pipeline.storage.store import Store
from pipeline.translation import t


@dataclass(frozen=True)
class SourceState:
    """Input files of a source against the store. new, changed: since they were ingested; removed: in the release, and
    not among the inputs any more. newest: when the newest file was changed, seconds since 1970, None without files."""

    source: str
    files: int
    bytes: int
    new: int
    changed: int
    removed: int
    newest: float | None

    def plain(self, now: float) -> dict[str, Any]:  # Any: plain JSON
        """Return the state as plain JSON, with the age of the newest file in seconds."""
        return {
            "source": self.source, "files": self.files, "bytes": self.bytes, "new": self.new, "changed": self.changed,
            "removed": self.removed, "newest": None if self.newest is None else moment(self.newest),
            "age_s": round(now - self.newest) if self.newest is not None else None,
        }  # fmt: skip


def moment(seconds: float) -> str:
    """A moment in ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def source_states(run: RunFile, state: State) -> list[SourceState]:
    """The state of every source that reads files, in the order of the run file."""
    known, released = state.catalog(INPUTS).entries, released_inputs(state.store, run.release.name)
    states = []
    for source in run.sources:
        files = source_files(source)
        entries = [known.get(f"{source.name}/{file.relative}") for file in files]
        pairs = list(zip(files, entries, strict=True))
        present = {f"{source.name}/{file.relative}" for file in files}
        states.append(
            SourceState(
                source.name, len(files), sum(file.size for file in files), sum(e is None for e in entries),
                sum(e is not None and (e["size"], e["stamp"]) != (f.size, f.stamp) for f, e in pairs),
                sum(key.startswith(f"{source.name}/") and key not in present for key in released),
                max((file.modified for file in files), default=None),
            )
        )  # fmt: skip
    return states


def released_inputs(store: Store, name: str) -> set[str]:
    """Inputs of a release, `source/path`; none if there is no such release."""
    try:
        return set(json.loads(store.get(f"releases/{name}/lineage.json"))["inputs"])
    except (MissingError, ValueError, KeyError):
        return set()


def new_core_s(
    run: RunFile, state: State, ingest: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]]
) -> float | None:  # Any: JSON
    """Estimate CPU-seconds of all stages over new inputs; None if a stage, or the source, has no earlier figures.

    Bytes of text follow from bytes on disk as in the source's ingested files. Args: ingest, of a plan; records, of
    earlier runs, the oldest first.
    """
    text, disk = (
        dict.fromkeys((s.name for s in run.sources), 0),
        dict.fromkeys((s.name for s in run.sources), 0),
    )
    for entry in state.catalog(SHARDS).entries.values():
        if entry["source"] in text:
            text[entry["source"]] += sum(shard[2] for shard in entry["shards"])
            disk[entry["source"]] += sum(file["size"] for file in entry["files"])
    expected = 0.0
    for group in ingest:
        source = str(group["group"]).partition(": ")[0]
        if not disk.get(source):
            return None
        expected += group["bytes"] * text[source] / disk[source]
    rate = 0.0
    for step in run.annotate:
        measured = [r for r in records if r["stage_bytes"].get(step.name)]
        if not measured:
            return None
        rate += measured[-1]["cpu_s"].get(step.name, 0.0) / measured[-1]["stage_bytes"][step.name]
    return round(rate * expected, 1)


def state_lines(states: Sequence[SourceState]) -> list[str]:
    """The states for a terminal, one line each."""
    width = max((wide(state.source) for state in states), default=0)
    lines = []
    for state in states:
        changes = [(state.new, t("new")), (state.changed, t("changed")), (state.removed, t("removed"))]
        listed = ", ".join(f"{n:,} {name}" for n, name in changes if n) or t("as ingested")
        newest = t("no files") if state.newest is None else moment(state.newest)
        lines.append(
            t(f"source   {pad(state.source, width)} {state.files:,} files, {listed}; newest {newest}")
        )
    return lines


def stale(states: Sequence[SourceState], now: float, max_age_s: float) -> list[str]:
    """Names of sources without a file younger than an age."""
    return [s.source for s in states if s.newest is None or now - s.newest > max_age_s]
