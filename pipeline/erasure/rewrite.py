"""Rows removed from every file of a store: shards, sidecars, index, memory. Nothing is measured again.

Every step may be run twice: a file that has the form of afterwards already is left alone. What a file was damaged
before is left to the next run, which makes it again without the erased documents.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shard import SHARDS, opened, parquet_writer
from pipeline.dataset.sidecars import FOOTER, SidecarRef, write_sidecar
from pipeline.dataset.tombstones import list_tombstones, load_tombstones, tag_of
from pipeline.erasure.changes import Change, Changes
from pipeline.errors import DamagedError
from pipeline.mapreduce.index import Holding, holdings, read_index_part, renumber, run_name, write_index_part
from pipeline.mapreduce.pair_memory import read_pairs, write_pairs
from pipeline.recipe import digest, table_digest
from pipeline.runtime.engines import Engine
from pipeline.schema import QUARANTINE, ROW, ROW_BITS
from pipeline.storage.catalog import Catalog
from pipeline.storage.scratch import scratch
from pipeline.storage.store import Store


def apply(store: Store, changes: Changes, engine: Engine, check: Callable[[], None]) -> dict[str, int]:
    """Apply the changes of an erasure to a store; returns how many files and entries of each kind were changed.

    Args: check, called before each step; it raises if the store is not held any more.
    """
    check()
    list_tombstones(store, changes.name, changes.header, changes.facts)
    by_shard = changes.by_shard()
    sidecars = sidecars_of(store, by_shard)
    tasks = [
        RewriteTask(
            store, change, tuple(sidecars.get(shard, ())),
            {folder: entries[shard] for folder, entries in changes.recipes.items() if shard in entries},
        )
        for shard, change in by_shard.items()
    ]  # fmt: skip
    counts = {"shards": len(tasks), "sidecars": 0, "keys": 0, "pairs": 0}
    for n_sidecars in engine.map(rewrite_shard, tasks) if tasks else ():
        check()
        counts["sidecars"] += n_sidecars
    for key in sorted(key for key, _ in store.list("annotations") if key.endswith("/catalog.json")):
        check()
        update_annotations(store, key, changes)
    for folder in index_folders(store):
        check()
        counts["keys"] += rewrite_runs(store, folder, by_shard, engine)
        counts["pairs"] += rewrite_memory(store, folder, by_shard, engine)
    for key in sorted(key for key, _ in store.list("index") if key.endswith("/erased.json")):
        check()
        renumber_erased(store, key, by_shard)
    check()
    delete_results(store, by_shard)
    hide_quarantined(store, changes.quarantine)
    check()
    update_shards(store, changes)
    return counts


# Shards and sidecars


@dataclass(frozen=True)
class RewriteTask:
    """Rewrites a shard and its sidecars. recipes: folder of sidecars -> recipe before and after."""

    store: Store
    change: Change
    sidecars: tuple[str, ...]
    recipes: Mapping[str, tuple[str, str]]


def sidecars_of(store: Store, by_shard: Mapping[str, Change]) -> dict[str, list[str]]:
    """Return the keys of all sidecars of some shards, by shard id."""
    found: dict[str, list[str]] = {}
    for key, _ in store.list("annotations"):
        shard = key.rpartition("/")[2].removesuffix(".parquet")
        if shard in by_shard:
            found.setdefault(shard, []).append(key)
    return found


def rewrite_shard(task: RewriteTask) -> int:
    """Remove the rows of a change from a shard and its sidecars; returns the number of sidecars."""
    store, change = task.store, task.change
    for key in task.sidecars:
        if not change.after.n_rows:
            store.delete(key)
            continue
        with suppress(DamagedError):
            rewrite_sidecar(store, key, change, task.recipes.get(key.rpartition("/")[0]))
    if not change.after.n_rows:
        store.delete(change.shard.key)
    elif change.rows:
        with suppress(DamagedError):
            filter_file(store, change.shard.key, change)
    return len(task.sidecars)


def rewrite_sidecar(store: Store, key: str, change: Change, recipes: tuple[str, str] | None) -> None:
    """Remove the rows of a change from a sidecar. recipes: before and after, if the recipe changes too."""
    with opened(store, key) as stream:
        table = pq.ParquetFile(stream).read()
    footer = json.loads((table.schema.metadata or {}).get(FOOTER, b"{}"))
    if (footer.get("generation"), footer.get("rows")) != (change.shard.generation, change.shard.n_rows):
        return
    recipe = footer["recipe"]
    if recipes is not None and recipe == recipes[0]:
        recipe = recipes[1]
    write_sidecar(store, SidecarRef(key, recipe), table.filter(pa.array(change.left())), change.after)


def filter_file(store: Store, key: str, change: Change) -> None:
    """Remove the rows of a change from the file of a shard, one row group after another."""
    left, start = change.left(), 0
    with scratch() as folder:
        path = os.path.join(folder, "shard.parquet")
        with opened(store, key) as stream:
            file = pq.ParquetFile(stream)
            if file.metadata.num_rows != change.shard.n_rows:
                return
            with parquet_writer(path, file.schema_arrow) as writer:
                for i in range(file.num_row_groups):
                    group = file.read_row_group(i)
                    kept = group.filter(pa.array(left[start : start + group.num_rows]))
                    start += group.num_rows
                    if kept.num_rows:
                        writer.write_table(kept, row_group_size=kept.num_rows)
        store.put_file(key, path)


def update_annotations(store: Store, key: str, changes: Changes) -> None:
    """Change the entries of a catalog of sidecars."""
    catalog, recipes = Catalog.load(store, key), changes.recipes.get(key.rpartition("/")[0], {})
    entries, gone = {}, []
    for shard, change in changes.by_shard().items():
        entry = catalog.entries.get(shard)
        if entry is None or entry.get("generation") != change.shard.generation:
            continue
        if not change.after.n_rows:
            gone.append(shard)
            continue
        before, after = recipes.get(shard, ("", ""))
        recipe = after if entry["recipe"] == before else entry["recipe"]
        entries[shard] = {**entry, "generation": change.after.generation, "recipe": recipe}
    catalog.update(entries, remove=gone)


def update_shards(store: Store, changes: Changes) -> None:
    """Change the entries of the catalog of shards, and what they count as read and erased."""
    catalog = Catalog.load(store, SHARDS)
    entries: dict[str, dict[str, Any]] = {}  # Any: JSON
    for change in changes.shards:
        entry = entries.get(change.group) or catalog.entries.get(change.group)
        if entry is None:  # deleted since, with all its shards
            continue
        before, after = change.shard, change.after
        rows = []
        for row in entry["shards"]:
            if row[0] != before.id or row[3] != before.generation:
                rows.append(row)
            elif after.n_rows:
                rows.append([after.id, after.n_rows, after.text_bytes, after.generation])
        if rows == entry["shards"]:
            continue
        n_erased = entry.get("erased", 0) + len(change.rows) - change.n_orphans
        entry = {**entry, "shards": rows, "read": entry["read"] - change.n_orphans}
        entries[change.group] = entry | ({"erased": n_erased} if n_erased else {})
    catalog.update(entries)


# Index and memory


def index_folders(store: Store) -> list[str]:
    """Return the folders of all indexes and memories."""
    keys = (key for key, _ in store.list("index"))
    return sorted({"/".join(key.split("/")[:3]) for key in keys if key.endswith("/catalog.json")})


@dataclass(frozen=True)
class PartTask:
    """Rewrites one part of a run of an index. moved: by ordinal of the shard, the new number of each row; ordinals:
    new ordinal of each shard, -1 for shards that are empty now."""

    store: Store
    folder: str
    target: str
    part: int
    moved: Mapping[int, np.ndarray]
    ordinals: np.ndarray


def rewrite_part(task: PartTask) -> tuple[int, int, int]:
    """Write a part without the rows that leave; returns its rows, its bytes and how many rows left."""
    table = read_index_part(task.store, task.folder, task.part)
    numbers = table[ROW].to_numpy()
    shards, rows = (numbers >> np.uint64(ROW_BITS)).astype(np.int64), numbers & np.uint64((1 << ROW_BITS) - 1)
    new = rows.astype(np.int64)
    for ordinal, moved in task.moved.items():
        mine = shards == ordinal
        new[mine] = moved[new[mine]]
    numbers = (shards.astype(np.uint64) << np.uint64(ROW_BITS)) | np.maximum(new, 0).astype(np.uint64)
    changed = table.set_column(table.schema.get_field_index(ROW), ROW, pa.array(numbers)).filter(
        pa.array(new >= 0)
    )
    changed = renumber(changed, task.ordinals)
    n_bytes = write_index_part(task.store, task.target, task.part, changed)
    return changed.num_rows, n_bytes, table.num_rows - changed.num_rows


def rewrite_runs(store: Store, folder: str, by_shard: Mapping[str, Change], engine: Engine) -> int:
    """Rewrite the runs of an index that contain changed shards; returns how many keys left."""
    catalog, n_left = Catalog.load(store, f"{folder}/catalog.json"), 0
    for name, entry in list(catalog.entries.items()):
        if "parts" not in entry:  # a memory
            continue
        before = holdings(entry)
        touched = {
            i: by_shard[h.shard] for i, h in enumerate(before)
            if h.shard in by_shard and by_shard[h.shard].shard.generation == h.generation
        }  # fmt: skip
        if not touched:
            continue
        after = [
            Holding(h.shard, touched[i].after.generation, h.recipe) if i in touched else h
            for i, h in enumerate(before)
        ]
        is_left = np.array([i not in touched or touched[i].after.n_rows > 0 for i in range(len(before))])
        ordinals = np.where(is_left, np.cumsum(is_left) - 1, -1)
        after = [holding for holding, left in zip(after, is_left, strict=True) if left]
        target = run_name(after)
        moved = {i: change.moved() for i, change in touched.items()}
        tasks = [
            PartTask(store, f"{folder}/{name}", f"{folder}/{target}", part, moved, ordinals)
            for part in range(entry["parts"])
        ]
        try:
            sizes = list(engine.map(rewrite_part, tasks)) if after else []
        except DamagedError:  # a run maps these shards again
            after, sizes = [], []
        n_left += sum(size[2] for size in sizes)
        new = {
            "shards": [[h.shard, h.generation, h.recipe] for h in after], "parts": entry["parts"],
            "rows": sum(size[0] for size in sizes), "bytes": sum(size[1] for size in sizes),
        }  # fmt: skip
        catalog.update({target: new} if after else {}, remove=[name])
        store.delete_prefix(f"{folder}/{name}")
    return n_left


@dataclass(frozen=True)
class PairsTask:
    """Rewrites the file of a memory. shard: id and generation that the file is of."""

    store: Store
    folder: str
    name: str
    by_shard: Mapping[str, Change]


def rewrite_pairs(task: PairsTask) -> tuple[str, str, dict[str, Any] | None, int]:  # Any: JSON
    """Write a file without the pairs of documents that leave.

    Returns: its name before and after, the entry of the catalog (None if nothing changes), how many pairs left.
    """
    stem = task.name.removesuffix(".parquet")
    shard, generation = stem.rpartition("-")[0], int(stem.rpartition("-")[2])
    own = current(task.by_shard, shard, generation)
    try:
        table, listed = read_pairs(task.store, f"{task.folder}/{task.name}")
    except DamagedError:  # the next run compares its documents again
        return task.name, task.name, None, 0
    others = [current(task.by_shard, *entry) for entry in listed]
    if own is None and not any(others):
        return task.name, task.name, None, 0
    row = table["row"].to_numpy().astype(np.int64)
    other, number = table["other"].to_numpy().astype(np.int64), table["shard"].to_numpy()
    if own is not None:
        row = own.moved()[row] if len(row) else row
    for i, change in enumerate(others):
        if change is not None:
            other[number == i] = change.moved()[other[number == i]]
    left = (row >= 0) & (other >= 0)
    columns = {"row": np.maximum(row, 0).astype(np.uint32), "other": np.maximum(other, 0).astype(np.uint32)}
    plain = table.replace_schema_metadata()
    for name, values in columns.items():
        plain = plain.set_column(plain.schema.get_field_index(name), name, pa.array(values))
    plain = plain.filter(pa.array(left))
    listed = [
        entry if change is None else (entry[0], change.after.generation)
        for entry, change in zip(listed, others, strict=True)
    ]
    target = task.name if own is None else f"{shard}-{own.after.generation}.parquet"
    write_pairs(task.store, f"{task.folder}/{target}", plain, listed)
    entry = {"digest": digest([table_digest(plain), listed]), "pairs": plain.num_rows}
    return task.name, target, entry, table.num_rows - plain.num_rows


def current(by_shard: Mapping[str, Change], shard: str, generation: int) -> Change | None:
    """Return the change of a shard, if it is of this generation."""
    change = by_shard.get(shard)
    return change if change is not None and change.shard.generation == generation else None


def rewrite_memory(store: Store, folder: str, by_shard: Mapping[str, Change], engine: Engine) -> int:
    """Rewrite the files of a memory; returns how many pairs left."""
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    names = [name for name, entry in catalog.entries.items() if "pairs" in entry]
    tasks = [PairsTask(store, folder, name, by_shard) for name in sorted(names)]
    n_left = 0
    for name, target, entry, n_gone in engine.map(rewrite_pairs, tasks) if tasks else ():
        if entry is not None:
            catalog.update({target: entry}, remove=[name] if name != target else [])
            if name != target:
                store.delete(f"{folder}/{name}")
            n_left += n_gone
    return n_left


def renumber_erased(store: Store, key: str, by_shard: Mapping[str, Change]) -> None:
    """Renumber the rows of documents that `index erase` took out of an index."""
    catalog = Catalog.load(store, key)
    entries, gone = {}, []
    for shard, entry in catalog.entries.items():
        change = current(
            by_shard,
            shard,
            entry.get("generation", by_shard[shard].shard.generation if shard in by_shard else 0),
        )
        if change is None:
            continue
        moved = change.moved()
        rows = [int(moved[row]) for row in entry["rows"] if moved[row] >= 0]
        entries[shard] = {"rows": rows, "generation": change.after.generation}
        if not rows:
            gone.append(shard)
    if entries:
        catalog.update({s: e for s, e in entries.items() if s not in gone}, remove=gone)


# What is computed again, or deleted


def delete_results(store: Store, by_shard: Mapping[str, Change]) -> None:
    """Delete results over all documents, verdicts and files between tasks: the next run makes them of what is left."""
    folders = {"/".join(key.split("/")[:3]) for key, _ in store.list("global")}
    for folder in sorted(folders):
        if not by_shard.keys().isdisjoint(Catalog.load(store, f"{folder}/catalog.json").entries):
            store.delete_prefix(folder)
    for key, _ in list(store.list("verdicts")):
        if key.rpartition("/")[2].removesuffix(".parquet").rpartition("-")[0] in by_shard:
            store.delete(key)
    for root, depth in (("exchange", 2), ("releases/_work", 3), ("releases/_new", 3)):
        for folder in sorted({"/".join(key.split("/")[:depth]) for key, _ in store.list(root)}):
            store.delete_prefix(folder)


def hide_quarantined(store: Store, keys: Sequence[str]) -> None:
    """Remove the bytes of quarantined records that contain an erased text."""
    tombstones = load_tombstones(store, tag_of(store))
    if tombstones is None:
        return
    for key in keys:
        with suppress(DamagedError), scratch() as folder:
            path = os.path.join(folder, "quarantine.parquet")
            with opened(store, key) as stream, parquet_writer(path, QUARANTINE) as writer:
                file = pq.ParquetFile(stream)
                for i in range(file.num_row_groups):
                    writer.write_table(tombstones.hidden(file.read_row_group(i)))
            store.put_file(key, path)
