"""Release: the second and last time that text is written.

Every shard is read once; its kept documents get their edits and go through exchange files to their parts (`files.py`).
The checksums are written last: a release without them is not complete, and nothing reads it.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.annotate.views import view_text
from pipeline.config.release_columns import Layout, current, languages, measured_languages, release_column
from pipeline.config.run_file import Edits, Tokens
from pipeline.dataset.row_digest import row_digests, signed, text_digests, total
from pipeline.dataset.shard import Columns, read_shard_rows
from pipeline.errors import StageError
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.release.files import FileReport, put_table, token_writer
from pipeline.release.placement import Output
from pipeline.release.public import PUBLIC, public_ledger, public_lineage_column
from pipeline.release.urls import clean_urls
from pipeline.release.work_folder import WorkFolder
from pipeline.report.part_numbers import Tallies, tally_part
from pipeline.report.script_shares import tally_languages
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.schema import CANONICAL, ROW, TOKEN_IDS
from pipeline.select.verdicts import Decision, Kept, final, outcome_names
from pipeline.stage import Derive
from pipeline.storage.store import Store


@dataclass(frozen=True)
class WriteTask:
    """Writes one shard's ledger part and sends its kept documents to their parts.

    tokens: what the run file says of token files, if it asks for some.
    """

    store: Store
    decision: Decision
    ordinal: int
    layout: Layout
    edits: Edits
    outputs: tuple[Output, ...]
    default_mix: int
    work: WorkFolder
    folder: str
    profile: str = "internal"
    urls: str = "keep"
    tokens: Tokens | None = None


@dataclass(frozen=True)
class ShardReport:
    """Counts of what one shard contributed to a release.

    licenses: license -> documents and tokens. languages: label as it was read -> documents, characters and tokens.
    parts: derived documents in parts of their own, see `part_numbers`. ledger_sum: of the digests of the ledger's rows.
    rights: see count_rights.
    """

    ordinal: int
    ledger: FileReport
    licenses: dict[str, list[int]]
    text_bytes: int
    peak_rss: int
    languages: dict[str, list[int]]
    parts: Tallies
    ledger_sum: int = 0
    rights: dict[str, list[int]] = field(default_factory=dict)


def write_shard(task: WriteTask) -> ShardReport:
    """Write one shard's ledger part, and its kept documents into exchange files."""
    decision, shard = task.decision, task.decision.shard
    annotated = task.layout.sources() | task.edits.columns() | set(task.layout.edited.values())
    left_out = {"text"} if shard.source in task.layout.modules else {"text", "meta"}
    columns = decision.read(task.store, annotated | (set(CANONICAL.names) - left_out))
    kept = final(decision, task.store)
    placed = read_exchange(task.store, [task.work.positions(task.ordinal)], 0)
    rows = np.flatnonzero(kept.keep)
    texts = edited_texts(task, columns, kept.keep)
    table = data_table(task, columns, rows, texts)
    url = table.schema.get_field_index("url")
    table = table.set_column(url, table.schema.field("url"), clean_urls(table["url"], task.urls))
    text_sums, row_sums = text_digests(texts), row_digests(table.drop_columns(["text"]))
    local = np.full(shard.n_rows, -1, np.int64)
    local[rows] = np.arange(len(rows))
    parts = write_outputs(task, columns, table, placed, local, token_ids(task, texts), row_sums)
    ledger, ledger_sum = write_ledger(task, columns, kept, placed, (text_sums, row_sums))
    language = measured_languages(columns, task.layout, shard.n_rows).take(pa.array(rows))
    return ShardReport(
        task.ordinal,
        ledger,
        count_licenses(table),
        shard.text_bytes,
        peak_rss_bytes(),
        tally_languages(language, table),
        parts,
        ledger_sum,
        count_rights(table),
    )


def write_outputs(
    task: WriteTask, columns: Columns, table: pa.Table, placed: pa.Table, local: np.ndarray,
    ids: pa.ChunkedArray | None, row_sums: np.ndarray,
) -> Tallies:  # fmt: skip
    """Write the documents of each output that gathers texts into an exchange file.

    Args: table, kept documents; placed, output and position by row of the shard; local, int64 (n_rows,), the row of
    `table` by row of the shard; ids, token ids of `table`; row_sums, uint64 (n_kept,), to which the digests of rows of
    parts are added.
    Returns: tallies of parts of derived documents.
    """
    parts: Tallies = {}
    for i, output in enumerate(task.outputs):
        if not output.gathered:
            continue
        mine = placed.filter(pa.array(placed["output"].to_numpy() == i))
        if not mine.num_rows:
            continue
        places = pa.array(local[mine[ROW].to_numpy()])
        chosen = table.take(places)
        if output.tokens and ids is not None:
            chosen = chosen.append_column(TOKEN_IDS, ids.take(places))
        if output.is_part:
            chosen, tallies = part_of(task, columns, chosen, pa.array(mine[ROW].to_numpy()))
            row_sums[local[mine[ROW].to_numpy()]] += row_digests(chosen)
            parts |= tallies
        chosen = chosen.append_column("position", mine["position"])
        key = task.work.rows(i, task.ordinal)
        write_exchange(task.store, key, chosen, mine["part"].to_numpy(), output.n_parts)
    return parts


def part_of(
    task: WriteTask, columns: Columns, documents: pa.Table, rows: pa.Array
) -> tuple[pa.Table, Tallies]:
    """Return derived documents in the form of their part, and the tally of the part. rows: of the shard."""
    shard = task.decision.shard
    linked = release_column(columns, task.layout, "parallel_id", pa.string(), shard.n_rows)
    parallel, meta = linked.take(rows), columns["meta"].take(rows)
    module = task.layout.modules[shard.source]
    tokens = documents["n_tokens"].fill_null(0).to_pylist()
    found = part_rows(module, documents.append_column("meta", meta).append_column("parallel_id", parallel))
    derive: Derive = importlib.import_module(module).DERIVE
    if derive.part and derive.counted:
        return found, tally_part(derive.part, derive.counted, found, tokens)
    return found, {}


def count_licenses(table: pa.Table) -> dict[str, list[int]]:
    """Documents and tokens by licence; empty for none."""
    licenses: dict[str, list[int]] = {}
    tokens = table["n_tokens"].fill_null(0).to_pylist()
    for license_, n_tokens in zip(table["license"].to_pylist(), tokens, strict=True):
        count = licenses.setdefault(license_ or "", [0, 0])
        count[0] += 1
        count[1] += n_tokens
    return licenses


def token_ids(task: WriteTask, texts: pa.Array) -> pa.ChunkedArray | None:
    """Token ids of the kept documents, once for all mixes; None if no mix has token files."""
    if task.tokens is None or not any(output.tokens for output in task.outputs):
        return None
    return token_writer(task.tokens.module).tokenise(texts, task.tokens.config)


def part_rows(module: str, documents: pa.Table) -> pa.Table:
    """Rows of a part of derived documents; see stage.Derive."""
    derive: Derive = importlib.import_module(module).DERIVE
    assert derive.rows is not None and derive.schema is not None
    names = ["doc_id", "parent_id", "language", "domain", "license", "meta", "parallel_id"]
    rows = derive.rows(documents.select(names))
    if rows.num_rows != documents.num_rows or not rows.schema.equals(derive.schema):
        raise StageError(
            f"{module}: {rows.num_rows:,} rows of {rows.schema.names} for {documents.num_rows:,} documents"
        )
    return rows


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
    for name in (
        "doc_id",
        "source",
        "source_id",
        "url",
        "date",
        "snapshot",
        "license",
        "provenance",
        "parent_id",
    ):
        filled[name] = columns[name].take(indices)
    for name in ("language_score", "domain", "quality_bucket", "perplexity", "cluster_size", "n_tokens"):
        filled[name] = release_column(columns, task.layout, name, schema.field(name).type, n_rows).take(
            indices
        )
    filled["language"] = languages(columns, task.layout, n_rows).take(indices)
    filled["cluster_size"] = filled["cluster_size"].fill_null(1)
    filled["lineage"] = pa.StructArray.from_arrays(
        [columns[name].take(indices).combine_chunks() for name in ("input", "input_row", "text_hash")],
        fields=list(schema.field("lineage").type),
    )
    if task.profile == PUBLIC:
        filled["lineage"] = public_lineage_column(filled["lineage"])
    names = [f.name for f in schema.field("quality").type]
    sources = [task.layout.scores[name] for name in names]
    scores = [
        pa.nulls(len(rows), pa.float32())
        if c is None
        else current(columns, task.layout, c).take(indices).combine_chunks().cast(pa.float32())
        for c in sources
    ]
    filled["quality"] = pa.StructArray.from_arrays(scores, fields=list(schema.field("quality").type))
    filled["rights"] = rights_column(task.layout, columns, indices)
    return pa.table([filled[name] for name in schema.names], schema=schema)


def rights_column(layout: Layout, columns: Columns, indices: pa.Array) -> pa.Array:
    """The struct `rights` of the kept rows; null if the run does not look for licences."""
    dtype = layout.data.field("rights").type
    if not any(layout.rights.values()):
        return pa.nulls(len(indices), dtype)
    values = [
        pa.nulls(len(indices), member.type)
        if (name := layout.rights.get(member.name)) is None
        else columns[name].take(indices).combine_chunks().cast(member.type)
        for member in dtype
    ]
    return pa.StructArray.from_arrays(values, fields=list(dtype))


OBLIGATIONS = {"a": "attribution", "s": "share_alike", "n": "non_commercial", "d": "no_derivatives"}


def count_rights(table: pa.Table) -> dict[str, list[int]]:
    """Documents and tokens by class, obligations and expression; empty without rights.

    Returns: `class asnd expression` -> [documents, tokens]; the letters of attribution, share_alike, non_commercial and
    no_derivatives, `-` where they do not apply.
    """
    rights = table["rights"].combine_chunks()
    if not len(rights) or rights.null_count == len(rights):
        return {}
    tokens = table["n_tokens"].fill_null(0).to_pylist()
    flags = [rights.field(name).to_pylist() for name in OBLIGATIONS.values()]
    names = zip(
        rights.field("class").to_pylist(), rights.field("spdx").to_pylist(), tokens, *flags, strict=True
    )
    counts: dict[str, list[int]] = {}
    for class_, spdx, n_tokens, *holds in names:
        letters = "".join(letter if some else "-" for letter, some in zip(OBLIGATIONS, holds, strict=True))
        count = counts.setdefault(f"{class_ or 'none'} {letters} {spdx or ''}", [0, 0])
        count[0] += 1
        count[1] += n_tokens
    return counts


def write_ledger(
    task: WriteTask,
    columns: Columns,
    kept: Kept,
    placed: pa.Table,
    digests: tuple[np.ndarray, np.ndarray],
) -> tuple[FileReport, int]:
    """Write a shard's ledger part: a row for every document, kept or not; returns the sum of the rows' digests too.

    Args: digests, of the released texts and of the other columns of the kept documents: uint64 (n_kept,) each.
    """
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
        "doc_id": columns["doc_id"], "source": columns["source"],
        "source_id": columns["source_id"], "snapshot": columns["snapshot"],
        "shard": pa.repeat(decision.shard.id, n_rows), "row": pa.array(np.arange(n_rows), pa.int32()),
        "language": languages(columns, task.layout, n_rows), "keep": pa.array(kept.keep),
        "rule": pa.array(names[kept.rule], pa.string()), "flags": pa.array(flags, pa.list_(pa.string())),
        "keeper_id": kept.keeper_id, "similarity": kept.similarity, "copies": pa.array(copies),
        "duplicate": kept.duplicate,
    }  # fmt: skip
    for name in ("cluster", "cluster_size", "quality_bucket", "perplexity"):
        filled[name] = release_column(columns, task.layout, name, schema.field(name).type, n_rows)
    filled["cluster_size"] = filled["cluster_size"].fill_null(1)
    places = pa.array(np.cumsum(kept.keep) - 1, mask=~kept.keep)
    filled |= {
        name: signed(d).take(places) for name, d in zip(("text_digest", "row_digest"), digests, strict=True)
    }
    names_before = [name for name in schema.names if name != "digest"]
    table = pa.table(
        [filled[name] for name in names_before], schema=pa.schema([schema.field(n) for n in names_before])
    )
    if task.profile == PUBLIC:
        table = public_ledger(table)
    sums = row_digests(table)
    table = table.append_column(schema.field("digest"), signed(sums)).select(schema.names)
    return put_table(task.store, f"{task.folder}/ledger/part-{task.ordinal:05d}.parquet", table), total(sums)
