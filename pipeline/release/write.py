"""Release: the second and last time that text is written.

Every shard is read once; its kept documents get their edits and go through exchange files to their parts (`files.py`).
The checksums are written last: a release without them is not complete, and nothing reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.annotate.wave import Columns, view_text
from pipeline.config.run_file import EDITED, Edits, RunFile
from pipeline.errors import ConfigError, StageError
from pipeline.ingest.ingest import peak_rss_bytes, read_shard_rows
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.names import check_keys, nearest
from pipeline.release.clusters import eligible_rows, members, part_of
from pipeline.release.files import FileReport, put_table
from pipeline.release.placement import Output
from pipeline.report import profile
from pipeline.report.script_shares import tally_languages
from pipeline.schema import CANONICAL, ROW, ROW_BITS
from pipeline.select.guards import count_copies, count_hosts
from pipeline.select.verdicts import Decision, Kept, final, outcome_names
from pipeline.stage import Derive
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Layout:
    """What the release module says of a release's files; loaded by name, so plain data here.

    columns: release column -> annotation column (None when the run has none); scores: names of the quality
    struct's fields -> annotation columns. edited: annotation column -> the same, measured once more for documents
    that lose repeated passages. modules: of derived sources, by their names. duplicate, orphan: rule names of copies,
    and of derived documents without parents. relabel: languages of converted documents -> those they are released with.
    """

    data: pa.Schema
    ledger: pa.Schema
    columns: Mapping[str, str | None]
    scores: Mapping[str, str | None]
    duplicate: str
    orphan: str
    no_language: str
    edited: Mapping[str, str]
    modules: Mapping[str, str]
    clusters: pa.Schema
    relabel: Mapping[str, str]

    def sources(self) -> set[str]:
        """Annotation columns that the release reads."""
        return {c for c in (*self.columns.values(), *self.scores.values()) if c}


def layout(run: RunFile, module: Any) -> Layout:  # Any: a release module
    """Resolve a run's release columns against what its steps write; defaults that no step writes are null.

    Raises: ConfigError for a release column that does not exist, or a named column that no step writes.
    """
    known = run.annotation_columns()
    check_keys(run.release.columns, module.COLUMNS, "release.columns")
    asked = dict(run.release.columns)
    scores = asked.pop("quality", None) or {}
    for column in (*asked.values(), *scores.values()):
        if column not in known:
            raise ConfigError(f"release.columns: no column {column!r}{nearest(str(column), known)}")
    named = {**module.COLUMNS, **asked}
    scores = scores or named["quality"]
    columns = {
        name: column if column in known else None for name, column in named.items() if name != "quality"
    }
    found = {name: column if column in known else None for name, column in sorted(scores.items())}
    edited = {
        f"{step.name.removesuffix(EDITED)}.{name}": f"{step.name}.{name}"
        for step in run.late
        for name in step.step.writes.names
    }
    return Layout(
        module.data_schema(list(found)), module.LEDGER, columns, found, module.DUPLICATE, module.ORPHAN,
        module.NO_LANGUAGE, edited, {derived.name: derived.module for derived in run.derived}, module.CLUSTERS,
        run.release.edits.convert.labels if run.release.edits.convert else {},
    )  # fmt: skip


@dataclass(frozen=True)
class FactsTask:
    """Collects what placing needs of one shard's kept documents, and the members of its clusters.

    by: columns that mixes go by. fits: repeats to be fitted, by mix. cluster_parts, clusters_key: partitions of the
    clusters, exchange file of the members. hosts_key: exchange file of the hosts, if a guard asks for them.
    """

    store: Store
    decision: Decision
    ordinal: int
    layout: Layout
    by: tuple[str, ...]
    key: str
    fits: tuple[tuple[str, Any], ...] = ()  # Any: the mix module's own class
    cluster_parts: int = 1
    clusters_key: str = ""
    hosts_key: str = ""


def _release_column(
    columns: Columns, layout: Layout, name: str, kind: pa.DataType, n_rows: int
) -> pa.ChunkedArray:
    source = layout.columns[name]
    if source is None:
        return pa.chunked_array([pa.nulls(n_rows, kind)])
    return current(columns, layout, source).cast(kind)


def current(columns: Columns, layout: Layout, name: str) -> pa.ChunkedArray:
    """An annotation of the documents as they are released: measured once more where passages go."""
    edited = layout.edited.get(name)
    return columns[name] if edited not in columns else pc.coalesce(columns[edited], columns[name])


def languages(columns: Columns, layout: Layout, n_rows: int) -> pa.ChunkedArray:
    """The label of each row as it is released, never null."""
    found = measured_languages(columns, layout, n_rows)
    if not layout.relabel:
        return found
    places = pc.index_in(found, pa.array(list(layout.relabel), pa.string()))
    return pc.coalesce(pa.array(list(layout.relabel.values()), pa.string()).take(places), found)


def measured_languages(columns: Columns, layout: Layout, n_rows: int) -> pa.ChunkedArray:
    """The label of each row as it was read, never null."""
    return _release_column(columns, layout, "language", pa.string(), n_rows).fill_null(layout.no_language)


def collect_facts(task: FactsTask) -> dict[str, Any]:  # Any: counts by name
    """Write the facts of a shard's kept documents and its members of clusters; return its part of the report."""
    hosts = {"host"} if task.hosts_key else set()
    columns, kept = decide_shard(task, task.layout.sources() | profile.READS | hosts)
    table, report = facts_table(task, columns, kept)
    write_exchange(task.store, task.key, table, np.zeros(len(table), np.int64), 1)
    language, n_tokens = languages(columns, task.layout, len(kept.keep)), _tokens(task, columns)
    report["profile"] = profile.profile_shard(task.layout, columns, language, n_tokens, kept)
    report["thresholds"] = profile.thresholds(task.decision, task.layout)
    asked = {"source": columns["source"]}
    if (sizes := task.layout.columns["cluster_size"]) is not None:
        asked["cluster_size"] = columns[sizes]
    report["copies"] = count_copies(asked, kept, language)
    if task.hosts_key:
        write_exchange(task.store, task.hosts_key, *count_hosts(columns["host"], kept, task.cluster_parts),
                       task.cluster_parts)  # fmt: skip
    if (name := task.layout.columns["cluster"]) is not None:
        named = columns[name], columns["doc_id"], columns["snapshot"], columns["source"]
        found = members(named, eligible_rows(kept.rule, task.decision.rules), kept.keep)
        parts = part_of(found["cluster"], task.cluster_parts)
        write_exchange(task.store, task.clusters_key, found, parts, task.cluster_parts)
    return report


def facts_of(task: FactsTask) -> tuple[pa.Table, dict[str, Any]]:
    """What placing needs of each kept document, and the shard's part of the funnel."""
    return facts_table(task, *decide_shard(task, {"text_bytes"}))


def decide_shard(task: FactsTask, extra: set[str]) -> tuple[Columns, Kept]:
    """The verdict on a shard, with the columns of its facts and `extra`."""
    known = task.layout.columns
    extra = extra | {c for c in (known["language"], known["n_tokens"], known["cluster"], *task.by) if c}
    columns = task.decision.read(task.store, extra | set(task.layout.edited.values()))
    return columns, final(task.decision, task.store)


def facts_table(task: FactsTask, columns: Columns, kept: Kept) -> tuple[pa.Table, dict[str, Any]]:
    """See `facts_of`."""
    decision, n_rows = task.decision, task.decision.shard.n_rows
    language = languages(columns, task.layout, n_rows)
    table = pa.table(
        {
            ROW: np.arange(n_rows, dtype=np.uint64) + np.uint64(task.ordinal << ROW_BITS),
            "doc_id": columns["doc_id"],
            "language": language,
            "n_tokens": _tokens(task, columns),
            "text_bytes": columns["text_bytes"],
            "module": pa.repeat(
                pa.scalar(task.layout.modules.get(decision.shard.source), pa.string()), n_rows
            ),
            **{name: columns[name] for name in task.by},
        }
    ).filter(pa.array(kept.keep))
    return table, funnel_of(task, kept, language) | {"fits": counts_to_fit(task, columns, kept)}


def counts_to_fit(task: FactsTask, columns: Columns, kept: Kept) -> dict[str, Any]:
    """Counts of what rules remove, for each mix whose repeats follow from it.

    One document stands for each cluster, the one that names it, as if copies were dropped before any rule; documents
    made of others do not count.
    """
    decision, name = task.decision, task.layout.columns["cluster"]
    if not task.fits or decision.shard.source in task.layout.modules:
        return {}
    counted = np.ones(len(kept.keep), bool)
    if name is not None:
        leads = pc.equal(columns[name].cast(pa.string()), columns["doc_id"])
        counted = np.asarray(pc.fill_null(leads, True).combine_chunks()).astype(bool)
    removed = ~eligible_rows(kept.rule, decision.rules)[counted]
    chosen = pa.array(counted)
    return {mix: fit.count(columns[fit.column].filter(chosen), removed) for mix, fit in task.fits}


def _tokens(task: FactsTask, columns: Columns) -> pa.ChunkedArray:
    return _release_column(columns, task.layout, "n_tokens", pa.int64(), task.decision.shard.n_rows)


def funnel_of(task: FactsTask, kept: Kept, language: pa.ChunkedArray) -> dict[str, Any]:
    """Documents by language and outcome, and how many fail each rule whatever dropped them."""
    rules = task.decision.rules
    outcomes = outcome_names(rules, task.layout.duplicate, task.layout.orphan, "kept")[kept.rule]
    funnel: dict[str, dict[str, int]] = {}
    for label, outcome in zip(language.to_pylist(), outcomes.tolist(), strict=True):
        row = funnel.setdefault(label, {})
        row[outcome] = row.get(outcome, 0) + 1
    failed = dict.fromkeys((rule.name for rule in rules), 0)
    for rule, rows in zip(rules, kept.failed, strict=True):
        failed[rule.name] += int(rows.sum())
    return {"funnel": funnel, "failed": failed}


@dataclass(frozen=True)
class WriteTask:
    """Writes one shard's ledger part and sends its kept documents to their parts."""

    store: Store
    decision: Decision
    ordinal: int
    layout: Layout
    edits: Edits
    outputs: tuple[Output, ...]
    default_mix: int
    place_key: str
    work: str
    folder: str


@dataclass(frozen=True)
class ShardReport:
    """What a shard gave to a release.

    licenses: license -> documents and tokens. languages: label as it was read -> documents, characters and tokens.
    """

    ordinal: int
    ledger: FileReport
    licenses: dict[str, list[int]]
    text_bytes: int
    peak_rss: int
    languages: dict[str, list[int]]


def write_shard(task: WriteTask) -> ShardReport:
    """Write one shard's ledger part, and its kept documents into exchange files."""
    decision, shard = task.decision, task.decision.shard
    annotated = task.layout.sources() | task.edits.columns() | set(task.layout.edited.values())
    left_out = {"text"} if shard.source in task.layout.modules else {"text", "meta"}
    columns = decision.read(task.store, annotated | (set(CANONICAL.names) - left_out))
    kept = final(decision, task.store)
    placed = read_exchange(task.store, [task.place_key], 0)
    ledger = write_ledger(task, columns, kept, placed)
    rows = np.flatnonzero(kept.keep)
    texts = edited_texts(task, columns, kept.keep)
    table = data_table(task, columns, rows, texts)
    local = np.full(shard.n_rows, -1, np.int64)
    local[rows] = np.arange(len(rows))
    for i, output in enumerate(task.outputs):
        if not output.gathered:
            continue
        mine = placed.filter(pa.array(placed["output"].to_numpy() == i))
        if not mine.num_rows:
            continue
        chosen = table.take(pa.array(local[mine[ROW].to_numpy()]))
        if output.module:
            meta = columns["meta"].take(pa.array(mine[ROW].to_numpy()))
            chosen = part_rows(output.module, chosen.append_column("meta", meta))
        chosen = chosen.append_column("position", mine["position"])
        write_exchange(
            task.store,
            exchange_key(task.work, i, task.ordinal),
            chosen,
            mine["part"].to_numpy(),
            output.n_parts,
        )
    licenses: dict[str, list[int]] = {}
    tokens = table["n_tokens"].fill_null(0).to_pylist()
    for license_, n_tokens in zip(table["license"].to_pylist(), tokens, strict=True):
        count = licenses.setdefault(license_ or "", [0, 0])
        count[0] += 1
        count[1] += n_tokens
    language = measured_languages(columns, task.layout, shard.n_rows).take(pa.array(rows))
    counts = tally_languages(language, table)
    return ShardReport(task.ordinal, ledger, licenses, shard.text_bytes, peak_rss_bytes(), counts)


def part_rows(module: str, documents: pa.Table) -> pa.Table:
    """Rows of a part of derived documents; see stage.Derive."""
    derive: Derive = importlib.import_module(module).DERIVE
    assert derive.rows is not None and derive.schema is not None
    names = ["doc_id", "parent_id", "language", "domain", "license", "meta"]
    rows = derive.rows(documents.select(names))
    if rows.num_rows != documents.num_rows or not rows.schema.equals(derive.schema):
        raise StageError(
            f"{module}: {rows.num_rows:,} rows of {rows.schema.names} for {documents.num_rows:,} documents"
        )
    return rows


def exchange_key(work: str, output: int, ordinal: int) -> str:
    """Exchange file of one shard for one output."""
    return f"{work}/map-{output:03d}-{ordinal:06d}.arrow"


def edited_texts(task: WriteTask, columns: Columns, keep: np.ndarray) -> pa.Array:
    """The released text of a shard's kept rows, in row order."""
    chunks = []
    for start, batch in read_shard_rows(task.store, task.decision.shard, ["text"], keep):
        part = {name: column.slice(start, batch.num_rows) for name, column in columns.items()}
        text = view_text(task.edits, {**part, "text": batch["text"]})
        chunks.append(text.filter(pa.array(keep[start : start + batch.num_rows])))
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_string())


def data_table(task: WriteTask, columns: Columns, rows: np.ndarray, texts: pa.Array) -> pa.Table:
    """Data rows of a shard's kept documents, in the release's one schema."""
    schema, indices, n_rows = task.layout.data, pa.array(rows), task.decision.shard.n_rows
    filled: dict[str, pa.ChunkedArray | pa.Array] = {"text": texts}
    for name in ("doc_id", "source", "url", "date", "snapshot", "license", "provenance", "parent_id"):
        filled[name] = columns[name].take(indices)
    for name in ("language_score", "domain", "quality_bucket", "perplexity", "cluster_size", "n_tokens"):
        filled[name] = _release_column(columns, task.layout, name, schema.field(name).type, n_rows).take(
            indices
        )
    filled["language"] = languages(columns, task.layout, n_rows).take(indices)
    filled["cluster_size"] = filled["cluster_size"].fill_null(1)
    filled["lineage"] = pa.StructArray.from_arrays(
        [columns[name].take(indices).combine_chunks() for name in ("input", "input_row", "text_hash")],
        fields=list(schema.field("lineage").type),
    )
    names = [f.name for f in schema.field("quality").type]
    sources = [task.layout.scores[name] for name in names]
    scores = [
        pa.nulls(len(rows), pa.float32())
        if c is None
        else current(columns, task.layout, c).take(indices).combine_chunks().cast(pa.float32())
        for c in sources
    ]
    filled["quality"] = pa.StructArray.from_arrays(scores, fields=list(schema.field("quality").type))
    return pa.table([filled[name] for name in schema.names], schema=schema)


def write_ledger(task: WriteTask, columns: Columns, kept: Kept, placed: pa.Table) -> FileReport:
    """Write a shard's ledger part: a row for every document, kept or not."""
    decision, n_rows = task.decision, task.decision.shard.n_rows
    names = outcome_names(decision.rules, task.layout.duplicate, task.layout.orphan, None)
    flags: list[list[str]] = [[] for _ in range(n_rows)]
    for rule, failed in zip(decision.rules, kept.failed, strict=True):
        if rule.action != "drop":
            for row in np.flatnonzero(failed):
                flags[row].append(rule.name)
    copies = np.zeros(n_rows, np.int32)
    np.add.at(copies, placed[ROW].to_numpy()[placed["output"].to_numpy() == task.default_mix], 1)
    schema = task.layout.ledger
    filled = {
        "doc_id": columns["doc_id"], "source": columns["source"], "snapshot": columns["snapshot"],
        "shard": pa.repeat(decision.shard.id, n_rows), "row": pa.array(np.arange(n_rows), pa.int32()),
        "language": languages(columns, task.layout, n_rows), "keep": pa.array(kept.keep),
        "rule": pa.array(names[kept.rule], pa.string()), "flags": pa.array(flags, pa.list_(pa.string())),
        "keeper_id": kept.keeper_id, "similarity": kept.similarity, "copies": pa.array(copies),
        "duplicate": kept.duplicate,
    }  # fmt: skip
    for name in ("cluster", "cluster_size", "quality_bucket", "perplexity"):
        filled[name] = _release_column(columns, task.layout, name, schema.field(name).type, n_rows)
    filled["cluster_size"] = filled["cluster_size"].fill_null(1)
    table = pa.table([filled[name] for name in schema.names], schema=schema)
    return put_table(task.store, f"{task.folder}/ledger/part-{task.ordinal:05d}.parquet", table)
