"""Shards, rows and bytes of text that pending inputs are going to have, from those that the store has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.run_file import RunFile
from pipeline.ingest.ingest import Group

PLAIN = (1 / 1_200, 0.9)
"""Rows and bytes of text for each byte of a file of which neither the store nor the sources tell more; of a compressed
one, three times as many."""
SIZED = ("rows", "text_bytes")
COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".parquet")


def new_sizes(
    groups: Sequence[Group],
    run: RunFile,
    entries: Mapping[str, Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
) -> dict[str, int]:
    """Sizes of groups that are to be ingested, as those of the same source had, else of the same reader and suffix,
    else those that recorded runs ingested.

    Args: entries, of the catalog of shards; records, of runs. Any: JSON.
    """
    known = ingested_by(run, entries)
    before = [0.0, 0.0, 0.0]
    for record in records:
        used = record.get("usage", {}).get("ingest", {})
        before = [a + used.get(name, 0) for a, name in zip(before, ("input_bytes", *SIZED), strict=True)]
    total = [0.0, 0.0, 0.0]
    for group in groups:
        suffix = suffix_of(group.files[0].relative)
        nearest_first = [(group.source.name, suffix), (group.source.reader.name, suffix)]
        sums = next((known[key] for key in nearest_first if known.get(key, [0])[0]), before)
        factor = 3 if suffix in COMPRESSED else 1
        ratios = [n / sums[0] for n in sums[1:]] if sums[0] else [ratio * factor for ratio in PLAIN]
        rows, text_bytes = (group.n_bytes * ratio for ratio in ratios)
        shards = max(1, math.ceil(text_bytes / run.ingest.shard_bytes))
        total = [a + b for a, b in zip(total, (shards, rows, text_bytes), strict=True)]
    return {name: round(n) for name, n in zip(("shards", *SIZED), total, strict=True)}


def ingested_by(run: RunFile, entries: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """Bytes on disk, rows and bytes of text of stored groups, by source and by reader, and suffix; Any: JSON."""
    readers = {source.name: source.reader.name for source in run.sources}
    known: dict[tuple[str, str], list[float]] = {}
    for entry in entries.values():
        if entry.get("parent") or not entry["files"]:
            continue
        source, suffix, shards = entry["source"], suffix_of(entry["files"][0]["path"]), entry["shards"]
        found = (sum(f["size"] for f in entry["files"]), sum(s[1] for s in shards), sum(s[2] for s in shards))
        for key in {(source, suffix), (readers.get(source, ""), suffix)}:
            known[key] = [a + b for a, b in zip(known.get(key, [0, 0, 0]), found, strict=True)]
    return known


def suffix_of(path: str) -> str:
    """The last suffix of a file's name."""
    return Path(path).suffix


def derived_sizes(n_pending: int, entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Sizes of documents that are to be derived from some shards, as those derived before; Any: JSON."""
    groups = [entry["shards"] for entry in entries if entry.get("parent")]
    if not groups or not n_pending:
        return {"shards": n_pending if not groups else 0, "rows": 0, "text_bytes": 0}
    sums = [
        sum(len(g) for g in groups),
        sum(s[1] for g in groups for s in g),
        sum(s[2] for g in groups for s in g),
    ]
    shards, rows, text = (round(n / len(groups) * n_pending) for n in sums)
    return {"shards": shards, "rows": rows, "text_bytes": text}
