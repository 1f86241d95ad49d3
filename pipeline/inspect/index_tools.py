"""Tools for the index of a store: describe it, look up near duplicates of a text, compact it, erase documents."""

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
from pipeline.storage.exclusion import hold_shared
from pipeline.storage.store import Store

MAX_CANDIDATES = 200
"""Maximum number of candidates per query: those that share the most keys with it."""


def indexed_step(run: RunFile) -> GlobalStep:
    """The global step of a run file that has an index.

    Raises: UsageError if there is none.
    """
    for step in run.globals:
        if step.definition.indexed:
            return step
    raise UsageError(f"{run.path}: no global step with an index; stages.dedup.candidates has one")


def index_of(run: RunFile, store: Store) -> Index:
    """The index of a run file's indexed step.

    Raises: UsageError if the store has none, or only indexes with other parameters.
    """
    step = indexed_step(run)
    index = open_index(store, step, Recipes(run))
    assert index is not None
    if index.runs:
        return index
    if others := index.others():
        description = "; ".join(
            f"{folder}: {', '.join(parameter_differences(index.parameters, p))}"
            for folder, p in others.items()
        )
        raise UsageError(
            f"{store.url}: the index of {step.name} has other parameters ({description}); use the run file that it was "
            "built with, or `bicorpus run` with this one, which builds another"
        )
    raise UsageError(f"{store.url}: {step.name} has no index yet; run `bicorpus run` first")


def parameter_differences(parameters: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """A phrase for each parameter that differs in another index."""
    lines = []
    for step in sorted({*parameters, *other}):
        a, b = parameters.get(step), other.get(step)
        if a is None or b is None:
            lines.append(f"{step} is {'missing there' if b is None else 'only there'}")
            continue
        for name in sorted({*a, *b}):
            if a.get(name) != b.get(name):
                value_here, value_there = (canonical_json(config.get(name)) for config in (a, b))
                lines.append(f"{step}.{name} is {value_there} there, {value_here} here")
    return lines or ["files that its stages load"]


def describe_index(index: Index) -> dict[str, Any]:
    """Runs, sizes and parameters of an index, as plain data."""
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
    """Write one part of the merged run; returns its number of rows and its bytes."""
    tables = read_range(task.store, task.slices, task.part, task.n_parts)
    table = sort_keyed(pa.concat_tables(tables))
    return table.num_rows, write_index_part(task.store, task.folder, task.part, table)


def compact_index(index: Index, engine: Engine, progress: Progress) -> dict[str, Any]:
    """Merge all runs of an index into one, without shards that the store no longer has in their indexed generation.

    Parts of unfinished runs are deleted too.

    Raises: LeaseError if a run uses the index, or an erasure or `gc` the store.
    """
    store = index.store
    with hold_shared(store, index.lease):
        index.catalog.refresh()
        before = describe_index(index)
        current = current_shards(store)
        indexed = sorted({holding for entry in index.runs.values() for holding in holdings(entry)})
        current_holdings = [
            holding for holding in indexed if current.get(holding.shard) == holding.generation
        ]
        run_names = list(index.runs)
        name = run_name(current_holdings)
        if current_holdings and (len(run_names) > 1 or len(current_holdings) < len(indexed)):
            slices, _ = index.cover({holding: i for i, holding in enumerate(current_holdings)})
            n_parts = max(1, math.ceil(before["rows"] / PART_ROWS))
            tasks = [CompactTask(store, slices, i, n_parts, f"{index.folder}/{name}") for i in range(n_parts)]
            with progress.phase("compact", n_parts, "parts") as phase:
                sizes = []
                for size in engine.map(compact_part, tasks):
                    sizes.append(size)
                    phase.step()
            n_rows, n_bytes = (sum(column) for column in zip(*sizes, strict=True))
            index.commit(name, current_holdings, n_parts, n_rows, n_bytes)
        if current_holdings:
            index.replace([run for run in run_names if run != name])
        index.sweep()
    return {
        "before": before,
        "after": describe_index(index),
        "shards_gone": len(indexed) - len(current_holdings),
    }


def current_shards(store: Store) -> dict[str, int]:
    """Generation of every shard of a store, by id."""
    from pipeline.storage.catalog import Catalog

    entries = Catalog.load(store, SHARDS).entries
    return {shard.id: shard.generation for entry in entries.values() for shard in parse_entry(entry)}


def erase_documents(finished: Finished, doc_ids: Sequence[str], is_dry: bool = False) -> dict[str, Any]:
    """Erase documents from the index and from the pair memory, or only count their keys.

    From then on they are not removed as duplicates, and no other document is removed in favour of them.

    Raises: UsageError for an id that the build does not have, before anything is erased; LeaseError if a run uses the
    index, or an erasure or `gc` the store.
    """
    rows: dict[str, list[int]] = {}
    for doc_id in doc_ids:
        decision, row = finished.locate(doc_id)
        rows.setdefault(decision.shard.id, []).append(row)
    index, n_pairs = index_of(finished.run, finished.store), 0
    if is_dry:
        return {"documents": len(set(doc_ids)), "keys": index.count(rows)}
    with hold_shared(finished.store, index.lease):
        n_keys = index.erase(rows)
        for step in finished.run.globals:
            if isinstance(step.definition, Global) and step.definition.memory is not None:
                folder = memory_folder(step.definition, step.config)
                n_pairs += forget(finished.store, folder, rows)
    return {"documents": len(set(doc_ids)), "keys": n_keys, "pairs": n_pairs}


def find_near_duplicates(finished: Finished, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Near duplicates of some texts among the documents of a build, most similar first.

    The texts are annotated like the documents of the build, their keys are looked up in the index, and documents that
    share a key are compared from text.

    Returns: for each text its near duplicates: doc_id, similarity, source, url.
    Raises: UsageError without an index, or without `keep_one.of`.
    """
    run = finished.run
    step, index = indexed_step(run), index_of(run, finished.store)
    if run.keep_one is None or run.keep_one.of is None:
        raise UsageError(f"{run.path}: no keep_one.of; name the global step that compares candidates")
    queries = as_documents(texts)
    columns = measured(
        finished, queries, upstream_of(step.name, {s.name: s for s in run.annotate} | {step.name: step})
    )
    candidates = look_up(finished, step, index, columns)
    documents = pa.concat_tables([queries, *candidates], promote_options="default")
    columns = measured(finished, documents, upstream_of(run.keep_one.of, Recipes(run).steps))
    return [
        [
            {
                **{name: columns[name][row].as_py() for name in ("doc_id", "source", "url")},
                "similarity": pair["similarity"],
            }
            for pair in sorted(pairs or (), key=lambda p: (-p["similarity"], p["doc_id"]))
            if (row := int(pair["row"])) >= len(texts)
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
    """Run some steps over documents in memory; returns columns by name."""
    steps = [step for step in all_steps(finished.run) if step.name in names]
    return measure_again(finished, documents, {}, steps)


def look_up(finished: Finished, step: GlobalStep, index: Index, columns: Columns) -> list[pa.Table]:
    """Documents of the build that share a key with documents in `columns`: canonical tables, one per shard."""
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
    ordinals: dict[Holding, int] = {holding_of(feed): i for i, feed in enumerate(feeds)}
    slices, _ = index.cover(ordinals)
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
    """Canonical documents at some rows of a shard. rows: int64 (n,)."""
    is_read = np.zeros(shard.n_rows, bool)
    is_read[rows] = True
    return pa.concat_tables(
        batch.filter(pa.array(is_read[start : start + batch.num_rows]))
        for start, batch in read_shard_rows(store, shard, CANONICAL.names, is_read)
    )
