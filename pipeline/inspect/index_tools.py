"""What people do with the index of a store: look at it, ask it for the copies of a text, compact it, erase from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.annotate.addresses import Recipes
from pipeline.config.phases import upstream_of
from pipeline.config.run_file import GlobalStep, RunFile
from pipeline.dataset.shard import SHARDS, Columns, Shard, parse_entry, read_shard_rows
from pipeline.errors import UsageError
from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.inspect.opened import Finished
from pipeline.inspect.rederive import all_steps, measure_again
from pipeline.mapreduce.feeds import Annotations
from pipeline.mapreduce.index import (
    PART_ROWS,
    Holding,
    Index,
    Slice,
    find_keys,
    holdings,
    open_index,
    read_range,
    run_name,
    write_index_part,
)
from pipeline.mapreduce.pair_memory import forget, memory_folder
from pipeline.mapreduce.run import holding_of
from pipeline.mapreduce.shuffle import sort_keyed
from pipeline.recipe import canonical_json
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.schema import CANONICAL, ROW, ROW_BITS
from pipeline.stage import Global, Record
from pipeline.storage.lease import hold
from pipeline.storage.store import Store

MAX_CANDIDATES = 200
"""Documents that a query is compared with at most: those that share most keys with it."""


def indexed_step(run: RunFile) -> GlobalStep:
    """The global step of a run file that has an index.

    Raises: UsageError if there is none.
    """
    for step in run.globals:
        if step.definition.indexed:
            return step
    raise UsageError(f"{run.path}: no global step with an index; stages.dedup.candidates has one")


def index_of(run: RunFile, store: Store) -> Index:
    """The index that a run file's step made.

    Raises: UsageError if the store has none, or only one that was made with other parameters.
    """
    step = indexed_step(run)
    index = open_index(store, step, Recipes(run))
    assert index is not None
    if index.runs:
        return index
    if others := index.others():
        said = "; ".join(
            f"{folder}: {', '.join(parameter_differences(index.parameters, p))}"
            for folder, p in others.items()
        )
        raise UsageError(
            f"{store.url}: the index of {step.name} was made with other parameters ({said}); use the run file that it "
            "was made with, or `bicorpus run` with this one, which makes another"
        )
    raise UsageError(f"{store.url}: {step.name} has no index yet; run `bicorpus run` first")


def parameter_differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """How the parameters of another index differ, in words."""
    found = []
    for step in sorted({*mine, *theirs}):
        a, b = mine.get(step), theirs.get(step)
        if a is None or b is None:
            found.append(f"{step} is {'missing there' if b is None else 'only there'}")
            continue
        for name in sorted({*a, *b}):
            if a.get(name) != b.get(name):
                here, there = (canonical_json(value.get(name)) for value in (a, b))
                found.append(f"{step}.{name} is {there} there, {here} here")
    return found or ["files that its stages load"]


def describe_index(index: Index) -> dict[str, Any]:
    """What an index holds, as plain data."""
    runs = [
        {"run": name, "shards": len(entry["shards"]), **{k: entry[k] for k in ("parts", "rows", "bytes")}}
        for name, entry in index.runs.items()
    ]
    totals = {key: sum(run[key] for run in runs) for key in ("shards", "rows", "bytes")}
    erased = sum(len(rows) for rows in index.erased.values())
    return {"index": index.folder, **totals, "erased": erased, "parameters": index.parameters, "runs": runs}


@dataclass(frozen=True)
class CompactTask:
    """Merges one part of all runs."""

    store: Store
    slices: tuple[Slice, ...]
    part: int
    n_parts: int
    folder: str


def compact_part(task: CompactTask) -> tuple[int, int]:
    """Write one part of the merged run; returns its rows and bytes."""
    tables = read_range(task.store, task.slices, task.part, task.n_parts)
    table = sort_keyed(pa.concat_tables(tables))
    return table.num_rows, write_index_part(task.store, task.folder, task.part, table)


def compact_index(index: Index, engine: Engine, progress: Progress) -> dict[str, Any]:
    """Merge all runs of an index into one, without shards that the store no longer has as they were indexed.

    Parts of runs that were never finished go as well.
    """
    store = index.store
    with hold(store, index.lease):
        index.catalog.refresh()
        before = describe_index(index)
        current = current_shards(store)
        held = sorted({h for entry in index.runs.values() for h in holdings(entry)})
        live = [h for h in held if current.get(h.shard) == h.generation]
        old = list(index.runs)
        name = run_name(live)
        if live and (len(old) > 1 or len(live) < len(held)):
            slices, _ = index.cover({holding: i for i, holding in enumerate(live)})
            n_parts = max(1, math.ceil(before["rows"] / PART_ROWS))
            tasks = [CompactTask(store, slices, i, n_parts, f"{index.folder}/{name}") for i in range(n_parts)]
            with progress.phase("compact", n_parts, "parts") as phase:
                sizes = []
                for size in engine.map(compact_part, tasks):
                    sizes.append(size)
                    phase.step()
            n_rows, n_bytes = (sum(column) for column in zip(*sizes, strict=True))
            index.commit(name, live, n_parts, n_rows, n_bytes)
        if live:
            index.replace([run for run in old if run != name])
        index.sweep()
    return {"before": before, "after": describe_index(index), "shards_gone": len(held) - len(live)}


def current_shards(store: Store) -> dict[str, int]:
    """Generation of every shard of a store."""
    from pipeline.storage.catalog import Catalog

    entries = Catalog.load(store, SHARDS).entries
    return {shard.id: shard.generation for entry in entries.values() for shard in parse_entry(entry)}


def erase_documents(finished: Finished, doc_ids: Sequence[str]) -> dict[str, Any]:
    """Erase what an index and the memory of pairs hold of some documents.

    They remove no other document from then on and are removed for none. Raises: UsageError for an id that the build
    does not have, before anything is erased.
    """
    rows: dict[str, list[int]] = {}
    for doc_id in doc_ids:
        decision, row = finished.locate(doc_id)
        rows.setdefault(decision.shard.id, []).append(row)
    index, n_pairs = index_of(finished.run, finished.store), 0
    with hold(finished.store, index.lease):
        n_keys = index.erase(rows)
        for step in finished.run.globals:
            if isinstance(step.definition, Global) and step.definition.memory is not None:
                folder = memory_folder(step.definition, step.config)
                n_pairs += forget(finished.store, folder, rows)
    return {"documents": len(set(doc_ids)), "keys": n_keys, "pairs": n_pairs}


def find_near_duplicates(finished: Finished, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Near duplicates of some texts among the documents of a build, most similar first.

    The texts are measured as the build's documents were, their keys are looked up in the index, and what shares a key
    is compared from text. Returns: for each text its documents: doc_id, similarity, source, url.
    """
    run = finished.run
    step, index = indexed_step(run), index_of(run, finished.store)
    if run.keep_one is None or run.keep_one.of is None:
        raise UsageError(f"{run.path}: no keep_one.of; nothing says which step compares the candidates")
    asked = as_documents(texts)
    columns = measured(
        finished, asked, upstream_of(step.name, {s.name: s for s in run.annotate} | {step.name: step})
    )
    found = look_up(finished, step, index, columns)
    documents = pa.concat_tables([asked, *found], promote_options="default")
    columns = measured(finished, documents, upstream_of(run.keep_one.of, Recipes(run).steps))
    return [
        [
            {
                **{name: columns[name][place].as_py() for name in ("doc_id", "source", "url")},
                "similarity": pair["similarity"],
            }
            for pair in sorted(pairs or (), key=lambda p: (-p["similarity"], p["doc_id"]))
            if (place := int(pair["row"])) >= len(texts)
        ]
        for pairs in columns[f"{run.keep_one.of}.pairs"].to_pylist()[: len(texts)]
    ]


def as_documents(texts: Sequence[str]) -> pa.Table:
    """Texts as canonical documents of a source that no run file can name.

    Raises: UsageError for a text that would not become a document.
    """
    rows = Rows(SourceInfo(name="-query", input="", fields={"text": ("text",)}))
    for i, text in enumerate(texts):
        rows.add(Record(i, {"text": text}))
    documents, quarantined, _ = rows.take()
    if quarantined.num_rows:
        bad = quarantined.to_pylist()[0]
        raise UsageError(
            f"text {bad['input_row'] + 1} is no document: {bad['reason']} {bad['detail'] or ''}".strip()
        )
    return documents


def measured(finished: Finished, documents: pa.Table, names: Sequence[str]) -> Columns:
    """Columns of some steps over documents in memory."""
    steps = [step for step in all_steps(finished.run) if step.name in names]
    return measure_again(finished, documents, {}, steps)


def look_up(finished: Finished, step: GlobalStep, index: Index, columns: Columns) -> list[pa.Table]:
    """Documents of the build that share a key with some of those in `columns`."""
    shards = finished.session.shards
    n_rows = len(columns["doc_id"])
    table = pa.table({name: columns[name] for name in step.definition.reads})
    keyed = step.definition.map(
        table.append_column(ROW, pa.array(np.arange(n_rows, dtype=np.uint64))), step.config
    )
    recipes, reads = finished.session.recipes, step.reads()
    feeds = [
        Annotations(s, recipes.refs(reads, s), recipes.loose(reads, s), step.definition.sparse)
        for s in shards
    ]
    wanted: dict[Holding, int] = {holding_of(feed): i for i, feed in enumerate(feeds)}
    slices, _ = index.cover(wanted)
    keys = np.unique(keyed["key"].to_numpy())
    hits = pa.concat_tables([find_keys(finished.store, run, keys).select(["key", ROW]) for run in slices])
    hits = hits.rename_columns(["key", "found"]).join(keyed.select(["key", ROW]), "key", join_type="inner")
    shared = hits.group_by([ROW, "found"]).aggregate([([], "count_all")])
    shared = shared.sort_by([(ROW, "ascending"), ("count_all", "descending"), ("found", "ascending")])
    rank = np.arange(shared.num_rows) - np.searchsorted(shared[ROW].to_numpy(), shared[ROW].to_numpy())
    chosen = np.unique(shared["found"].to_numpy()[rank < MAX_CANDIDATES])
    numbers = (chosen >> np.uint64(ROW_BITS)).astype(np.int64)
    rows = (chosen & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    return [documents_at(finished.store, shards[n], rows[numbers == n]) for n in np.unique(numbers).tolist()]


def documents_at(store: Store, shard: Shard, rows: np.ndarray) -> pa.Table:
    """Canonical documents at some rows of a shard."""
    wanted = np.zeros(shard.n_rows, bool)
    wanted[rows] = True
    return pa.concat_tables(
        batch.filter(pa.array(wanted[start : start + batch.num_rows]))
        for start, batch in read_shard_rows(store, shard, CANONICAL.names, wanted)
    )
