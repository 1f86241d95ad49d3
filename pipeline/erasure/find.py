"""Which documents an erasure removes: those that are asked for, their clusters, near copies anywhere in the store, and
what was derived from them."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shard import SHARDS, Shard, opened, parse_entry, read_batches, read_shard_rows
from pipeline.dataset.tombstones import MODULE, Tombstones, forms, plain_url
from pipeline.erasure.changes import ORPHAN, Leaving
from pipeline.errors import UsageError
from pipeline.inspect.opened import Finished
from pipeline.runtime.engines import Engine
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store
from pipeline.translation import message

ASKED, CLUSTER, NEAR = message("asked"), message("cluster"), message("near copy")


@dataclass(frozen=True)
class Asked:
    """What is to be erased: documents by id, by id of their source, by URL or host, or as a text."""

    doc_id: tuple[str, ...] = ()
    source_id: tuple[str, ...] = ()
    url: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    only_this_copy: bool = False

    def values(self) -> dict[str, set[str]]:
        """Return the values asked for by column, in the form that tombstones have."""
        return {
            "doc_id": set(self.doc_id), "source_id": set(self.source_id), "url": {plain_url(u) for u in self.url},
            "host": {host.lower().strip(".") for host in self.host},
        }  # fmt: skip


@dataclass(frozen=True)
class FindTask:
    """Finds rows of a shard by values of canonical columns."""

    store: Store
    shard: Shard
    values: Mapping[str, set[str]]


def find_rows(task: FindTask) -> tuple[Shard, dict[str, list[int]]]:
    """Return the shard, and its rows by the column and value that they were found by, joined by a blank."""
    wanted = {name: values for name, values in task.values.items() if values}
    found: dict[str, list[int]] = {}
    with opened(task.store, task.shard.key) as stream:
        table = pq.ParquetFile(stream).read(sorted(wanted))
    for name, values in wanted.items():
        known: dict[str, str | None] = {}
        for row, value in enumerate(table[name].to_pylist()):
            if value is None:
                continue
            if value not in known:
                known[value] = next((form for form in forms(name, value) if form in values), None)
            if (form := known[value]) is not None:
                found.setdefault(f"{name} {form}", []).append(row)
    return task.shard, found


@dataclass(frozen=True)
class SketchTask:
    """Makes tombstones of the texts of some rows. covered: key of tombstones; texts that they nearly contain need none
    of their own; empty to make one of each."""

    store: Store
    shard: Shard
    rows: tuple[int, ...]
    key: bytes
    covered: str = ""


def sketch_rows(task: SketchTask) -> pa.Table:
    """Return the tombstones of a task."""
    module = _module()
    is_read = np.zeros(task.shard.n_rows, bool)
    is_read[list(task.rows)] = True
    tables = [module.SCHEMA.empty_table()]
    for start, batch in read_shard_rows(task.store, task.shard, ["text"], is_read):
        texts = batch["text"].filter(pa.array(is_read[start : start + batch.num_rows]))
        if task.covered:
            shares = read_work(task.store, task.covered, task.key).matcher.shares(texts)
            texts = texts.filter(pa.array(shares < module.COVERED))
        tables.append(module.tombstones_of(texts, task.key))
    return pa.concat_tables(tables)


@dataclass(frozen=True)
class ScanTask:
    """Finds the documents of a shard that tombstones are of. work: key of the tombstones."""

    store: Store
    shard: Shard
    work: str
    key: bytes


@dataclass(frozen=True)
class Scanned:
    """The documents of a shard that tombstones are of: rows, ids, bytes of text, positions in the input."""

    shard: Shard
    documents: list[dict[str, Any]] = field(default_factory=list)  # Any: values of a row


SHOWN = ["doc_id", "text_bytes", "input", "input_row", "parent_id"]


def scan_shard(task: ScanTask) -> Scanned:
    """Return the documents of a task."""
    tombstones = read_work(task.store, task.work, task.key)
    scanned, start = Scanned(task.shard), 0
    for batch in read_batches(task.store, task.shard, sorted({*SHOWN, *tombstones.columns()})):
        rows = np.flatnonzero(tombstones.erased(batch))
        for row, document in zip(
            rows.tolist(), batch.select(SHOWN).take(pa.array(rows)).to_pylist(), strict=True
        ):
            scanned.documents.append({"row": start + row, **document})
        start += batch.num_rows
    return scanned


@dataclass(frozen=True)
class QuarantineTask:
    """Looks for erased texts in a file of quarantined records. work: key of the tombstones."""

    store: Store
    file: str
    work: str
    key: bytes


def scan_quarantine(task: QuarantineTask) -> tuple[str, int]:
    """Return the file and how many of its records contain an erased text."""
    tombstones, n_hidden = read_work(task.store, task.work, task.key), 0
    with opened(task.store, task.file) as stream:
        file = pq.ParquetFile(stream)
        for i in range(file.num_row_groups):
            table = file.read_row_group(i)
            n_hidden += tombstones.hidden(table)["raw"].null_count - table["raw"].null_count
    return task.file, n_hidden


@functools.lru_cache(maxsize=2)
def read_work(store: Store, work: str, key: bytes) -> Tombstones:
    """Read tombstones that are not in force yet."""
    with opened(store, work) as stream:
        return Tombstones(pq.read_table(stream), key)


def write_work(store: Store, work: str, table: pa.Table) -> None:
    """Write tombstones for `read_work`."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.put(work, sink.getvalue())


def _module() -> Any:  # Any: a module of stages, which the engine loads by name
    return importlib.import_module(MODULE)


def all_shards(store: Store) -> list[Shard]:
    """Return every shard of a store, of any run file."""
    entries = Catalog.load(store, SHARDS).entries.values()
    return sorted(shard for entry in entries for shard in parse_entry(entry))


def cluster_rows(finished: Finished, rows: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Return the rows of all members of the clusters of some documents, by shard id. rows: by shard id."""
    column = finished.releasing.layout.columns["cluster"]
    if column is None:
        return {}
    named: set[str] = set()
    values = {}
    for decision in finished.decisions():
        values[decision.shard.id] = decision.read(finished.store, {column})[column].to_pylist()
        named |= {values[decision.shard.id][row] for row in rows.get(decision.shard.id, ())}
    named.discard(None)  # documents without near duplicates
    return {
        shard: {row for row, cluster in enumerate(clusters) if cluster in named}
        for shard, clusters in values.items()
        if not named.isdisjoint(clusters)
    }


def with_derived(
    store: Store, leaving: Sequence[Leaving], groups: Mapping[str, dict[str, Any]]
) -> list[Leaving]:
    """Add the documents that were derived from those that leave, parents first. Any: JSON of the catalog."""
    found = {one.shard.id: one for one in leaving}
    parents = {
        shard.id: (shard, entry["parent"]) for entry in groups.values() if "parent" in entry
        for shard in parse_entry(entry)
    }  # fmt: skip
    ordered = [one for one in leaving if one.shard.id not in parents]
    for shard, parent in sorted(parents.values()):
        gone = set(found[parent].doc_ids.values()) if parent in found else set()
        one = found.get(shard.id, Leaving(shard, {}, {}, {}))
        doc_ids, sizes, why = dict(one.doc_ids), dict(one.text_bytes), dict(one.why)
        if gone:
            with opened(store, shard.key) as stream:
                table = pq.ParquetFile(stream).read(["doc_id", "text_bytes", "parent_id"])
            for row, document in enumerate(table.to_pylist()):
                if document["parent_id"] in gone:
                    doc_ids[row], sizes[row], why[row] = document["doc_id"], document["text_bytes"], ORPHAN
        changed_parent = parent in found
        if doc_ids or changed_parent:
            found[shard.id] = Leaving(shard, doc_ids, sizes, why)
            ordered.append(found[shard.id])
    return ordered


def require(asked: Asked, found: Iterable[str]) -> None:
    """Check that documents were found by each id.

    Raises: UsageError for ids that no document has.
    """
    present = set(found)
    missing = [d for d in asked.doc_id if f"doc_id {d}" not in present]
    missing += [s for s in asked.source_id if f"source_id {s}" not in present]
    if missing:
        raise UsageError(f"no document {missing[0]!r} in this store; `bicorpus show` lists some")


def run_all(engine: Engine, fn: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """Run tasks and return their results. Any: of any phase."""
    return list(engine.map(fn, tasks)) if tasks else []
