"""Duplicates of a job: which documents are copies of which, by the steps of a build, from signatures in memory.

The input is read twice: once for hashes and signatures (about 300 bytes a document), and once for the texts of the
documents that have candidates, whose sets of shingles are kept until pairs are verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.run_file import StageStep
from pipeline.errors import UsageError
from pipeline.jobs.inputs import Batch
from pipeline.jobs.steps import make_step, measure_batches
from pipeline.names import nearest
from pipeline.recipe import config_of, load_step
from pipeline.schema import ROW
from pipeline.stage import Global

EXACT, MINHASH = "stages.dedup.exact", "stages.minhash"
CANDIDATES, DEDUP, KEEPERS = "stages.dedup.candidates", "stages.dedup", "stages.dedup.keepers"

LONGEST, SHORTEST, FIRST, LAST = "longest", "shortest", "first", "last"
PREFERENCES = (LONGEST, SHORTEST, FIRST, LAST)
"""Which copy is kept: by length, then the first; or by position alone."""

SLICE_ROWS = 8192
PART_DOCS = 50_000
"""Documents whose band keys are sorted at once, about a kilobyte each."""

FACTS = pa.schema(
    {"kept": pa.bool_(), "keeper": pa.int64(), "cluster": pa.int64(), "cluster_size": pa.int32(),
     "similarity": pa.float32(), "kind": pa.string()}
)  # fmt: skip
"""One row a document. keeper: number of the document in favour of which it is removed, its own if it is kept. cluster:
number of a document of its cluster. similarity, kind (raw, exact, near): of a removed document and its keeper."""


@dataclass(frozen=True, kw_only=True)
class DedupSettings:
    """threshold: least Jaccard index of near duplicates. exact_only: compare match texts alone. prefer: of PREFERENCES.

    Raises: UsageError for an unknown preference.
    """

    threshold: float = 0.8
    exact_only: bool = False
    prefer: str = LONGEST

    def __post_init__(self) -> None:
        if self.prefer not in PREFERENCES:
            raise UsageError(f"prefer is {self.prefer!r}{nearest(self.prefer, PREFERENCES)}")


def find_copies(
    read: Callable[[], Iterator[Batch]], settings: DedupSettings, workers: int = 1
) -> tuple[pa.Table, list[dict[int, str]]]:
    """Find duplicates, and choose which are kept.

    Args: read, the batches of the input, the same whenever it is called.
    Returns: a table of FACTS, (n_docs,), in the order of documents; for each batch, the documents on which a stage
    raised, which are kept.
    """
    stages = [make_step(EXACT)] + ([] if settings.exact_only else [make_step(MINHASH)])
    table, failures = _signatures(read(), stages, workers)
    n_docs = table.num_rows
    found = _run(CANDIDATES, _slices(table), {}, n_docs, 1 + n_docs // PART_DOCS)
    table = _joined(table, "candidates", found).drop_columns(["minhash.band_keys"])
    dedup = {"threshold": settings.threshold}
    texts = iter([]) if settings.exact_only else read()
    found = _run(DEDUP, _with_texts(table, texts, settings.exact_only), dedup, n_docs)
    table = _joined(table, "dedup", found)
    order = _order(table, settings.prefer)
    members = table.select(["row", "exact.match_hash", "exact.raw_hash"])
    for name, column in (
        ("cluster", table["dedup.cluster"]), ("pairs", table["dedup.pairs"]),
        ("doc_id", _names(table["row"])), ("eligible", pa.repeat(True, n_docs)),
        ("fixed", pa.repeat(False, n_docs)), ("order", order),
    ):  # fmt: skip
        members = members.append_column(name, column)
    chosen = _run(KEEPERS, [members], {"threshold": settings.threshold}, n_docs)
    return _facts(table, chosen), failures


def _signatures(
    batches: Iterator[Batch], stages: Sequence[StageStep], workers: int
) -> tuple[pa.Table, list[dict[int, str]]]:
    """Hashes, band keys, scope and length of every document, without texts, and the failures of each batch."""
    tables, failures, start = list[pa.Table](), list[dict[int, str]](), 0
    for batch, measured in measure_batches(stages, batches, workers):
        documents, n_docs = batch.documents, batch.documents.num_rows
        table = documents.select(["parent_id", "source", "snapshot"])
        table = table.append_column("row", pa.array(np.arange(start, start + n_docs, dtype=np.uint64)))
        table = table.append_column("n_chars", pc.utf8_length(documents["text"]).cast(pa.int64()))
        for name in measured.columns.column_names:
            table = table.append_column(name, measured.columns[name])
        if "minhash.band_keys" not in table.column_names:
            empty = pa.array([[]] * n_docs, pa.list_(pa.uint64()))
            table = table.append_column("minhash.band_keys", empty)
        tables.append(table)
        failures.append(dict(measured.failed))
        start += n_docs
    if not tables:
        raise UsageError("the input has no documents")
    return pa.concat_tables(tables), failures


def _with_texts(table: pa.Table, batches: Iterator[Batch], exact_only: bool) -> Iterator[pa.Table]:
    """The documents with their texts, one batch after another; without texts for copies alone."""
    table = table.append_column("doc_id", _names(table["row"]))
    if exact_only:  # equal hashes decide, and no text is read
        yield table.append_column("text", pa.nulls(table.num_rows, pa.large_string()))
        return
    start = 0
    for batch in batches:
        n_docs = batch.documents.num_rows
        rows = table.slice(start, n_docs).append_column("text", batch.documents["text"])
        start += n_docs
        # rows without candidates are not compared, and their texts are not kept
        yield rows.filter(pc.is_valid(rows["candidates.groups"]))


def _run(
    module: str, shards: Iterable[pa.Table], settings: dict[str, Any], n_docs: int, n_parts: int = 1
) -> pa.Table:
    """Run a global step in memory.

    Args: shards, tables with its columns and `row`, read once for each part; n_parts, into which keys are divided, so
    that the rows of one part only are sorted at a time.
    Returns: the columns of the step, (n_docs,), null without a result.
    """
    step: Global = load_step(module, "GLOBAL", "dedup")
    config = config_of(step, settings, f"dedup: {step.name}")
    bounds = np.array([(i << 64) // n_parts for i in range(1, n_parts)], np.uint64)
    reduced = []
    for part in range(n_parts):
        mapped = []
        for shard in shards:
            rows = step.map(shard.select([*step.reads, ROW]), config)
            if n_parts > 1:
                inside = np.searchsorted(bounds, rows["key"].to_numpy(), side="right") == part
                rows = rows.filter(pa.array(inside))
            mapped.append(rows)
        table = pa.concat_tables(mapped)
        order = ["key", *([ROW] if ROW in table.column_names else [])]
        reduced.append(step.reduce(table.sort_by([(name, "ascending") for name in order]), config))
    found = step.finish(pa.concat_tables(reduced), config).rows
    assert found is not None  # the steps that are run here all write rows
    positions = np.full(n_docs, -1)
    positions[found[ROW].to_numpy().astype(np.int64)] = np.arange(found.num_rows)
    return found.select(step.writes.names).take(pa.array(positions, mask=positions < 0))


def _slices(table: pa.Table) -> list[pa.Table]:
    return [table.slice(start, SLICE_ROWS) for start in range(0, table.num_rows, SLICE_ROWS)]


def _joined(table: pa.Table, step: str, columns: pa.Table) -> pa.Table:
    for name in columns.column_names:
        table = table.append_column(f"{step}.{name}", columns[name])
    return table


def _names(rows: pa.ChunkedArray) -> pa.Array:
    """Names of documents that sort as their numbers do, so that ties go to the first."""
    return pc.utf8_lpad(rows.cast(pa.string()), width=20, padding="0").combine_chunks()


def _order(table: pa.Table, prefer: str) -> pa.ListArray:
    """The values that define the preference, larger is better: list<float64> (n_docs,)."""
    n_docs = table.num_rows
    values = {
        LONGEST: table["n_chars"].to_numpy(), SHORTEST: -table["n_chars"].to_numpy(),
        FIRST: -np.arange(n_docs), LAST: np.arange(n_docs),
    }  # fmt: skip
    offsets = pa.array(np.arange(n_docs + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values[prefer].astype(np.float64)))


def _facts(table: pa.Table, chosen: pa.Table) -> pa.Table:
    own = pa.chunked_array([table["row"].cast(pa.int64()).combine_chunks()])
    kept = pc.fill_null(chosen["is_keeper"], True)
    columns = {
        "kept": kept,
        "keeper": pc.coalesce(chosen["keeper_id"].cast(pa.int64()), own),
        "cluster": pc.coalesce(table["dedup.cluster"].cast(pa.int64()), own),
        "cluster_size": pc.fill_null(table["dedup.cluster_size"], 1),
        "similarity": chosen["similarity"],
        "kind": chosen["kind"],
    }
    return pa.table([columns[name] for name in FACTS.names], schema=FACTS)
