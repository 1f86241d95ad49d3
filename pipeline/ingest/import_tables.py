"""The command `import`: put a table into the store, align it with every shard there, and count what did not match."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.wave import WaveTask, annotate_shard, load_once
from pipeline.config.run_file import StageStep
from pipeline.dataset.imported_table import Lookup, describe, name_import, prepare, put_import, with_key
from pipeline.dataset.shard import SHARDS, Shard, parse_entry
from pipeline.dataset.sidecars import SidecarRef
from pipeline.errors import UsageError
from pipeline.ingest.import_files import read_tables
from pipeline.recipe import step_recipe
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

MODULE = "pipeline.dataset.imported_table"
EXAMPLES = 5
"""Keys without a document that are shown."""


@dataclass(frozen=True)
class AlignTask:
    """One shard to align with an imported table, or only to count in because its sidecar is there."""

    store: Store
    shard: Shard
    step: StageStep
    ref: SidecarRef
    is_done: bool


@dataclass(frozen=True)
class AlignReport:
    """n_unmatched: documents without a row; rows: rows of the table that some document matched, int64, each once."""

    shard: Shard
    n_unmatched: int
    rows: np.ndarray


def align_shard(task: AlignTask) -> AlignReport:
    """Write a shard's sidecar unless it is there, and say what matched."""
    if not task.is_done:
        outputs = {task.step.name: task.ref}
        annotate_shard(WaveTask(task.store, task.shard, (task.step,), {}, outputs))
    lookup = load_once(task.step)
    assert isinstance(lookup, Lookup)
    with task.store.open(task.shard.key) as stream:
        rows = lookup.rows(pq.read_table(stream, columns=[lookup.on])[lookup.on])
    found = rows[rows >= 0]
    return AlignReport(task.shard, len(rows) - len(found), np.unique(found))


def import_table(
    store: Store, name: str, patterns: Sequence[str], on: str, columns: Sequence[str] | None,
    engine: Engine, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Import files under a name; the name moves to the new table when every shard has its sidecar.

    Returns: plain JSON: rows, columns with their types, matched and unmatched documents, keys without a document.
    Raises: InputError for files that cannot be read or that contradict each other; UsageError for a name.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise UsageError(
            f"the name {name!r} may hold letters, digits and _ only; it is the prefix of the columns"
        )
    store.check()
    read = read_tables(patterns, on, columns)
    keyed = with_key(read, on)
    table = prepare(keyed)
    stage, config = put_import(store, name, table)
    step = StageStep(name=name, module=MODULE, definition=stage, config=config, nullable=True)
    matched = np.zeros(table.num_rows, bool)
    n_documents = n_unmatched = 0
    for report in align(store, step, engine, progress):
        matched[report.rows] = True
        n_documents += report.shard.n_rows
        n_unmatched += report.n_unmatched
    kinds = {field.name: str(field.type) for field in stage.writes}
    changed = name_import(store, name, config, {"rows": table.num_rows, "columns": kinds})
    unknown = table[on].filter(pa.array(~matched))
    return {
        "name": name, "on": on, "table": config.table, "changed": changed, "columns": kinds, "read": read.num_rows,
        "without_key": read.num_rows - keyed.num_rows, "rows": table.num_rows, "documents": n_documents,
        "matched": n_documents - n_unmatched, "unmatched": n_unmatched, "unknown_keys": len(unknown),
        "examples": unknown.slice(0, EXAMPLES).to_pylist(),
    }  # fmt: skip


def align(store: Store, step: StageStep, engine: Engine, progress: Progress) -> Iterator[AlignReport]:
    """Align every shard of the store; what is finished is in the catalog of the sidecars when this ends."""
    entries = Catalog.load(store, SHARDS).entries
    shards = sorted(shard for name in entries for shard in parse_entry(entries[name]))
    recipe = step_recipe(step.definition, step.config, [])
    folder = f"annotations/{step.name}/v{step.definition.version}-{recipe[:8]}"
    catalog = Catalog.load(store, f"{folder}/catalog.json")
    wanted = {shard.id: {"recipe": recipe, "generation": shard.generation} for shard in shards}
    tasks = [
        AlignTask(
            store, shard, step, SidecarRef(f"{folder}/{shard.id}.parquet", recipe),
            catalog.entries.get(shard.id) == wanted[shard.id],
        )
        for shard in shards
    ]  # fmt: skip
    with progress.phase(f"align {step.name}", len(tasks)) as phase:
        for report in engine.map(align_shard, tasks):
            phase.step()
            yield report
    if any(not task.is_done for task in tasks):
        catalog.update(wanted)


def lines(found: dict[str, Any]) -> list[str]:
    """The result for a terminal."""
    result = [
        describe(found["name"], found) + ("" if found["changed"] else " (as it was)"),
        f"{found['matched']:,} of {found['documents']:,} documents in the store have a row, {found['unmatched']:,} "
        "have none (null)",
    ]
    if found["without_key"]:
        result.append(f"{found['without_key']:,} rows without a {found['on']} were left out")
    if found["unknown_keys"]:
        more = ", …" if found["unknown_keys"] > len(found["examples"]) else ""
        result.append(
            f"{found['unknown_keys']:,} of the keys match no document: {', '.join(found['examples'])}{more}"
        )
    return [*result, f"a run file takes it up with  annotate: [{{import: {found['name']}}}]"]
