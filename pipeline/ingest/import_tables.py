"""The command `import`: store a table, join it to every shard of the store, and count documents and keys left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.wave import WaveTask, annotate_shard, load_once
from pipeline.config.run_file import StageStep
from pipeline.dataset.imported_table import (
    Lookup,
    describe_import,
    name_import,
    prepare,
    put_import,
    with_key,
)
from pipeline.dataset.shard import SHARDS, Shard, parse_entry
from pipeline.dataset.sidecars import SidecarRef
from pipeline.errors import UsageError
from pipeline.ingest.import_files import read_tables
from pipeline.names import is_plain_name
from pipeline.recipe import step_recipe
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store
from pipeline.translation import message, t

MODULE = "pipeline.dataset.imported_table"
EXAMPLES = 5
"""Largest number of keys without a document that are shown."""


@dataclass(frozen=True)
class AlignTask:
    """Join one shard to an imported table; if its sidecar exists already (is_done), only count matches."""

    store: Store
    shard: Shard
    step: StageStep
    ref: SidecarRef
    is_done: bool


@dataclass(frozen=True)
class AlignReport:
    """n_unmatched: documents without a row; rows: distinct rows of the table with a document, int64."""

    shard: Shard
    n_unmatched: int
    rows: np.ndarray


def align_shard(task: AlignTask) -> AlignReport:
    """Write the sidecar of a shard unless it exists, and return its matches."""
    if not task.is_done:
        outputs = {task.step.name: task.ref}
        annotate_shard(WaveTask(task.store, task.shard, (task.step,), {}, outputs))
    lookup = load_once(task.step)
    assert isinstance(lookup, Lookup)
    with task.store.open(task.shard.key) as stream:
        rows = lookup.rows(pq.read_table(stream, columns=[lookup.on])[lookup.on])
    matched = rows[rows >= 0]
    return AlignReport(task.shard, len(rows) - len(matched), np.unique(matched))


def import_table(
    store: Store, name: str, patterns: Sequence[str], on: str, columns: Sequence[str] | None,
    engine: Engine, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Import files under a name, which refers to the new table once every shard has its sidecar.

    Args: patterns, paths, globs or URLs; on, the key column; columns, None for all but the key.
    Returns: plain JSON: rows, columns with their dtypes, matched and unmatched documents, keys without a document.
    Raises: InputError if a file cannot be read or two rows of one key differ; UsageError if the name is malformed.
    """
    check_prefix(name)
    store.check()
    read = read_tables(patterns, on, columns)
    keyed = with_key(read, on)
    table = prepare(keyed)
    stage, config = put_import(store, name, table)
    step = StageStep(name=name, module=MODULE, definition=stage, config=config, nullable=True)
    matched = np.zeros(table.num_rows, bool)
    n_documents = n_unmatched = 0
    for report in align_shards(store, step, engine, progress):
        matched[report.rows] = True
        n_documents += report.shard.n_rows
        n_unmatched += report.n_unmatched
    dtypes = {field.name: str(field.type) for field in stage.writes}
    changed = name_import(store, name, config, {"rows": table.num_rows, "columns": dtypes})
    unknown_keys = table[on].filter(pa.array(~matched))
    return {
        "name": name, "on": on, "table": config.table, "changed": changed, "columns": dtypes, "read": read.num_rows,
        "without_key": read.num_rows - keyed.num_rows, "rows": table.num_rows, "documents": n_documents,
        "matched": n_documents - n_unmatched, "unmatched": n_unmatched, "unknown_keys": len(unknown_keys),
        "examples": unknown_keys.slice(0, EXAMPLES).to_pylist(),
    }  # fmt: skip


def check_prefix(name: str) -> None:
    """Raise UsageError unless a name can be the prefix of columns."""
    if not is_plain_name(name) or not name[0].isalpha():
        raise UsageError(
            f"the name {name!r} is the prefix of the columns; expected letters, digits and _, a letter first"
        )


def describe_files(
    name: str, patterns: Sequence[str], on: str, columns: Sequence[str] | None
) -> dict[str, Any]:
    """Return rows and columns of files, as they would be imported; the store is not read.

    Raises: as import_table.
    """
    check_prefix(name)
    table = prepare(with_key(read_tables(patterns, on, columns), on))
    dtypes = {field.name: str(field.type) for field in table.schema if field.name != on}
    return {"name": name, "on": on, "rows": table.num_rows, "columns": dtypes}


def align_shards(store: Store, step: StageStep, engine: Engine, progress: Progress) -> Iterator[AlignReport]:
    """Join every shard of the store to the table of a step; the catalog of its sidecars is updated at the end."""
    entries = Catalog.load(store, SHARDS).entries
    shards = sorted(shard for name in entries for shard in parse_entry(entries[name]))
    recipe = step_recipe(step.definition, step.config, [])
    folder = f"annotations/{step.name}/v{step.definition.version}-{recipe[:8]}"
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    expected = {shard.id: {"recipe": recipe, "generation": shard.generation} for shard in shards}
    tasks = [
        AlignTask(
            store, shard, step, SidecarRef(f"{folder}/{shard.id}.parquet", recipe),
            catalog.entries.get(shard.id) == expected[shard.id],
        )
        for shard in shards
    ]  # fmt: skip
    with progress.phase(message(f"align {step.name}"), len(tasks)) as phase:
        for report in engine.map(align_shard, tasks):
            phase.step()
            yield report
    if any(not task.is_done for task in tasks):
        catalog.update(expected)


def import_lines(result: dict[str, Any]) -> list[str]:
    """Return the result of import_table as lines for a terminal."""
    lines = [
        describe_import(result["name"], result) + ("" if result["changed"] else t(" (unchanged)")),
        t(
            f"{result['matched']:,} of {result['documents']:,} documents in the store have a row, "
            f"{result['unmatched']:,} have none (null)"
        ),
    ]
    if result["without_key"]:
        lines.append(t(f"{result['without_key']:,} rows without a {result['on']} were left out"))
    if result["unknown_keys"]:
        more = ", …" if result["unknown_keys"] > len(result["examples"]) else ""
        lines.append(
            t(
                f"{result['unknown_keys']:,} of the keys match no document: {', '.join(result['examples'])}{more}"
            )
        )
    return [*lines, t(f"use it in a run file with  annotate: [{{import: {result['name']}}}]")]
