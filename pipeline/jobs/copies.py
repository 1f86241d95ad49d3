"""Duplicates of a job: which documents are copies of which, by the steps of a build, from signatures in memory.

The input is read once. Hashes and signatures are held (about 300 bytes a document); texts are kept, compressed, in a
temporary file, from which those of documents with candidates are read again to verify pairs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.run_file import StageStep
from pipeline.errors import UsageError
from pipeline.jobs.inputs import Batch
from pipeline.jobs.steps import Measured, make_step
from pipeline.names import nearest
from pipeline.recipe import config_of, load_step
from pipeline.schema import ROW
from pipeline.stage import Global
from pipeline.storage.scratch import scratch

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


class Signed:
    """The documents of a job as duplicates are found: their signatures, and their texts in a temporary file.

    A context, which removes the file. Documents are added batch by batch, then `facts` is called once.
    """

    def __init__(self, settings: DedupSettings) -> None:
        self.settings, self.n_docs = settings, 0
        self._tables: list[pa.Table] = []
        self._texts = _Texts()

    @property
    def steps(self) -> tuple[StageStep, ...]:
        """The stages whose columns `add` takes."""
        return (make_step(EXACT), *(() if self.settings.exact_only else (make_step(MINHASH),)))

    def __enter__(self) -> Self:
        if not self.settings.exact_only:  # equal hashes decide without texts
            self._texts.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._texts.__exit__(*error)

    def add(self, batch: Batch, measured: Measured) -> None:
        """Keep the hashes, band keys, scope and length of the documents of a batch, and their texts apart."""
        documents, n_docs = batch.documents, batch.documents.num_rows
        if not n_docs:
            return
        rows = np.arange(self.n_docs, self.n_docs + n_docs, dtype=np.uint64)
        table = documents.select(["parent_id", "provenance", "source", "snapshot"])
        table = table.append_column("row", pa.array(rows))
        table = table.append_column("n_chars", pc.utf8_length(documents["text"]).cast(pa.int64()))
        for name in measured.columns.column_names:
            table = table.append_column(name, measured.columns[name])
        if self.settings.exact_only:
            empty = pa.array([[]] * n_docs, pa.list_(pa.uint64()))
            table = table.append_column("minhash.band_keys", empty)
        else:
            self._texts.add(documents["text"])
        self._tables.append(table)
        self.n_docs += n_docs

    def facts(self) -> pa.Table:
        """Find duplicates, and choose which are kept.

        Returns: a table of FACTS, (n_docs,), in the order in which documents were added.
        Raises: UsageError without documents.
        """
        if not self._tables:
            raise UsageError("the input has no documents")
        table, n_docs, threshold = pa.concat_tables(self._tables), self.n_docs, self.settings.threshold
        sizes = [part.num_rows for part in self._tables]
        self._tables = []
        found = _run(CANDIDATES, _slices(table), {}, n_docs, 1 + n_docs // PART_DOCS)
        table = _joined(table, "candidates", found).drop_columns(["minhash.band_keys"])
        found = _run(DEDUP, self._with_texts(table, sizes), {"threshold": threshold}, n_docs)
        table = _joined(table, "dedup", found)
        members = table.select(["row", "exact.match_hash", "exact.raw_hash"])
        for name, column in (
            ("cluster", table["dedup.cluster"]), ("pairs", table["dedup.pairs"]),
            ("doc_id", _names(table["row"])), ("eligible", pa.repeat(True, n_docs)),
            ("fixed", pa.repeat(False, n_docs)), ("order", _order(table, self.settings.prefer)),
        ):  # fmt: skip
            members = members.append_column(name, column)
        return _facts(table, _run(KEEPERS, [members], {"threshold": threshold}, n_docs))

    def _with_texts(self, table: pa.Table, sizes: list[int]) -> Iterator[pa.Table]:
        """The documents that have candidates with their texts, batch by batch; without texts for copies alone.

        Args: sizes, documents of each batch.
        """
        table = table.append_column("doc_id", _names(table["row"]))
        nothing = pa.nulls(table.num_rows, pa.large_string())
        if self.settings.exact_only:
            yield table.append_column("text", nothing)
            return
        yield table.append_column("text", nothing).slice(0, 0)
        start = 0
        for number, n_docs in enumerate(sizes):
            rows = table.slice(start, n_docs)
            start += n_docs
            # the others are not compared, and their texts are not read
            if pc.any(chosen := pc.is_valid(rows["candidates.groups"])).as_py():
                yield rows.append_column("text", self._texts.read(number)).filter(chosen)


class _Texts:
    """Texts of batches in a temporary file, compressed, of which any batch can be read: a context."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._reader: pa.ipc.RecordBatchFileReader | None = None

    def __enter__(self) -> Self:
        self._path = os.path.join(self._open.enter_context(scratch()), "texts.arrow")
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
        schema = pa.schema({"text": pa.large_string()})
        self._writer = self._open.enter_context(pa.ipc.new_file(self._path, schema, options=options))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, texts: pa.ChunkedArray) -> None:
        """Write a batch, (n_docs,)."""
        assert self._writer is not None  # it is written before it is read
        self._writer.write_batch(pa.record_batch([texts.combine_chunks()], names=["text"]))

    def read(self, number: int) -> pa.Array:
        """Read a batch by its number; nothing can be added afterwards."""
        if self._reader is None:
            assert self._writer is not None
            self._writer.close()
            self._reader = pa.ipc.open_file(self._open.enter_context(pa.memory_map(self._path)))
        return self._reader.get_batch(number)["text"]


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
