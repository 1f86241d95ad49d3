"""Derived sources: documents computed from the documents of finished shards, one derived shard per parent shard.

The name of a derived shard is a hash of its parent shard and of everything else that its content depends on, so a new
parent shard adds one derived shard. Derived documents are canonical: stages, rules, mixes and the ledger treat them
like any other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.annotate.addresses import Recipes
from pipeline.annotate.views import edit_spans
from pipeline.config.run_file import Derived, Edits, RunFile, derived_inputs, plain_edits
from pipeline.dataset.shard import Columns, Shard, null_column, parquet_writer, read_batches
from pipeline.dataset.sidecars import SidecarRef, read_columns
from pipeline.dataset.tombstones import load_tombstones
from pipeline.errors import StageError
from pipeline.ingest.canonical import doc_ids, text_hash
from pipeline.ingest.ingest import IngestReport, text_bytes
from pipeline.recipe import digest, file_digest
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.schema import CANONICAL
from pipeline.stage import DERIVED
from pipeline.storage.scratch import scratch
from pipeline.storage.store import Store

INHERITED = ("url", "host", "date", "snapshot", "license", "provenance")
"""Columns that a derived document inherits from its parent."""


@dataclass(frozen=True)
class DeriveTask:
    """Derive the documents of one source from one shard.

    name: of the derived group, see group_of. edits: of the parents' text. refs: stage -> sidecar of
    the shard. loose: columns that are null for this shard -> their dtypes. tombstones: see IngestTask.
    """

    store: Store
    derived: Derived
    shard: Shard
    name: str
    edits: Edits
    refs: Mapping[str, SidecarRef]
    loose: Mapping[str, pa.DataType] = field(default_factory=dict)
    tombstones: str = ""


def group_of(run: RunFile, derived: Derived, shard: Shard, recipes: Recipes) -> str:
    """Return the name `<source>-<inputs16>`: a hash of the parent shard, the derivation and its upstream recipes."""
    edits = run.release.edits.of_parents()
    steps = sorted({column.partition(".")[0] for column in derived_inputs(derived, edits) if "." in column})
    upstream = [recipes.full(name, shard) if name in recipes.steps else "imported" for name in steps]
    inputs_of_name = [
        derived.name,
        derived.definition.name,
        derived.definition.version,
        derived.config,
        upstream,
        plain_edits(edits),
    ]
    inputs_of_name += (
        [[file_digest(path) for path in derived.definition.data(derived.config)]]
        if derived.definition.data
        else []
    )
    first_generation = (
        1  # documents that are erased from the parents do not rename what was derived from the others
    )
    return f"{derived.name}-{digest([shard.id, first_generation, inputs_of_name])[:16]}"


def derivations(run: RunFile, shards: Iterable[Shard]) -> list[tuple[Derived, Shard]]:
    """Return every pair of a derived source and a shard of one of its parents."""
    shards = list(shards)
    return [
        (derived, shard) for derived in run.derived for shard in shards if shard.source in derived.parents
    ]


def derive_shard(task: DeriveTask) -> IngestReport:
    """Derive the documents of one parent shard and write them as a shard, unless there are none.

    Raises: StageError if the module breaks its contract.
    """
    report = IngestReport(task.name, task.derived.name, [], parent=task.shard.id)
    reads = derived_inputs(task.derived, task.edits)
    canonical = sorted((reads & set(CANONICAL.names)) | {"doc_id", "text", *INHERITED})
    available = reads - task.loose.keys()
    stored = [column for column in available if "." in column and column.partition(".")[0] in task.refs]
    sidecars = read_columns(task.store, task.shard, task.refs, stored)
    tables = []
    start = 0
    for batch in read_batches(task.store, task.shard, canonical):
        columns: Columns = {name: batch[name] for name in canonical}
        columns |= {name: column.slice(start, batch.num_rows) for name, column in sidecars.items()}
        columns |= {name: null_column(dtype, batch.num_rows) for name, dtype in task.loose.items()}
        tables.append(derive_batch(task.derived, task.edits, columns))
        start += batch.num_rows
    documents = pa.concat_tables(tables) if tables else CANONICAL.empty_table()
    report.n_read = documents.num_rows
    if (tombstones := load_tombstones(task.store, task.tombstones) if task.tombstones else None) is not None:
        documents = documents.filter(pa.array(~tombstones.erased(documents)))
        report.n_erased = report.n_read - documents.num_rows
    if documents.num_rows:
        shard = Shard(
            f"{task.name}-00000", task.derived.name, documents.num_rows, text_bytes(documents),
            task.shard.generation + report.n_erased,
        )  # fmt: skip
        with scratch() as folder:
            path = os.path.join(folder, "shard.parquet")
            with parquet_writer(path, CANONICAL) as writer:
                writer.write_table(documents, row_group_size=1024)
            task.store.put_file(shard.key, path)
        report.shards.append(shard)
    report.peak_rss = peak_rss_bytes()
    return report


def derive_batch(derived: Derived, edits: Edits, columns: Columns) -> pa.Table:
    """Return the documents derived from one batch of parents as canonical rows.

    Raises: StageError if the module breaks its contract.
    """
    reads = {name: columns[name] for name in derived.definition.reads}
    table = pa.table({**reads, "edits": edit_spans(edits, columns)})
    derivatives = derived.definition.derive(table, derived.config, edits.replace)
    if not derivatives.schema.equals(DERIVED):
        raise StageError(
            f"{derived.module}: returned columns {derivatives.schema.names}; expected {DERIVED.names} "
            "with the dtypes of pipeline.stage.DERIVED"
        )
    parents = derivatives["parent"].combine_chunks()
    texts = derivatives["text"].to_pylist()
    if not all(texts):
        raise StageError(f"{derived.module}: returned a document without text; leave such documents out")
    parent_ids = columns["doc_id"].take(parents).to_pylist()
    numbers = derivatives["number"].to_pylist()
    ids = [doc_ids(derived.name, name, [n])[0].as_py() for name, n in zip(parent_ids, numbers, strict=True)]
    documents = {name: columns[name].take(parents) for name in INHERITED} | {
        "doc_id": pa.array(ids, pa.string()),
        "text": derivatives["text"],
        "source_id": pa.nulls(len(ids), pa.string()),
        "source": pa.repeat(pa.scalar(derived.name, pa.string()), len(ids)),
        "parent_id": pa.array(parent_ids, pa.string()),
        "meta": derivatives["meta"],
        "text_hash": pa.array([text_hash(text) for text in texts], pa.string()),
        "text_bytes": pa.array([len(text.encode()) for text in texts], pa.int32()),
        "input": pa.array(parent_ids, pa.string()),
        "input_row": derivatives["number"],
    }
    if derived.definition.provenance is not None:
        documents["provenance"] = pa.repeat(pa.scalar(derived.definition.provenance, pa.string()), len(ids))
    return pa.table([documents[name] for name in CANONICAL.names], schema=CANONICAL)
