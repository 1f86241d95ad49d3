"""Measure the stages for repeated paragraphs and similar lines: time, bytes written, and characters to be removed.

Runs them in this process on the texts of FILES (Parquet with the columns text and lang_hint), after a warm-up run, and
prints Markdown tables: CPU-milliseconds per MB of text and annotation bytes per byte of text; CPU-seconds of the global
step; characters in repeated units and in the occurrences that would be removed if no document were dropped.

Example: python -m scripts.bench.bench_paragraphs docs.parquet
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.schema import ROW
from pipeline.stage import Global, Outcome, Stage
from stages.passages import owners, paragraphs, repeated_paragraphs, similar_lines

BATCH_ROWS = 256


def batches(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of BATCH_ROWS rows."""
    return (table.slice(i, BATCH_ROWS).combine_chunks() for i in range(0, table.num_rows, BATCH_ROWS))


def annotate(stage: Stage, config: Any, docs: pa.Table) -> tuple[pa.Table, float]:
    """Output columns of a stage under their full names, and its CPU-seconds. Any: the stage's own config class."""
    function = stage.load(config)
    function(next(batches(docs)))
    begun = time.process_time()
    table = pa.concat_tables([function(batch) for batch in batches(docs)])
    seconds = time.process_time() - begun
    return table.rename_columns([f"{stage.name}.{name}" for name in table.column_names]), seconds


def run(step: Global, table: pa.Table) -> tuple[Outcome, float, int]:
    """Run a global step in one partition; returns its outcome, CPU-seconds, and bytes of the map output."""
    config, begun = step.config(), time.process_time()
    mapped = step.map(table.select([*step.reads, ROW]), config)
    mapped = mapped.take(pa.array(np.lexsort((mapped[ROW].to_numpy(), mapped["key"].to_numpy()))))
    outcome = step.finish(step.reduce(mapped, config), config)
    return outcome, time.process_time() - begun, mapped.nbytes


def stored_bytes(table: pa.Table) -> int:
    """Size of a table as a Parquet file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.parquet")
        pq.write_table(table, path, compression="zstd")
        return os.path.getsize(path)


def lost(docs: pa.Table, passages: pa.Table) -> dict[str, list[float]]:
    """By language: number of characters, of characters in passages, and of characters in removed occurrences.

    Args: passages, columns `row`, `passages`, `n_chars` of documents with at least one passage.
    """
    rows = passages[ROW].to_numpy().astype(np.int64)
    columns = {
        "doc_id": docs["doc_id"].take(pa.array(rows)),
        "passages": passages["passages"],
        "n_chars": passages["n_chars"],
        "step": pa.repeat(pa.scalar(0, pa.int32()), len(rows)),
        "eligible": pa.repeat(True, len(rows)),
        "order": pa.array([[]] * len(rows), pa.list_(pa.float64())),
        ROW: passages[ROW],
    }
    outcome, _, _ = run(owners.GLOBAL, pa.table(columns))
    assert outcome.rows is not None
    removed, repeated = np.zeros(docs.num_rows), np.zeros(docs.num_rows)
    removed[outcome.rows[ROW].to_numpy().astype(np.int64)] = outcome.rows["n_removed"].to_numpy()
    repeated[rows] = np.round(passages["repeated_share"].to_numpy() * passages["n_chars"].to_numpy())
    lengths = pc.utf8_length(docs["text"]).to_numpy()
    languages = np.asarray(docs["lang_hint"].fill_null("other").cast(pa.string()).to_pylist(), dtype="U2")
    shown = np.where(np.isin(languages, ["zh", "en"]), languages, "other")  # zh-cn and zh-tw are zh
    return {
        name: [float(values[shown == name].sum()) for values in (lengths, repeated, removed)]
        for name in sorted(set(shown.tolist()))
    }


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def main(files: tuple[str, ...]) -> None:
    """Measure on FILES."""
    docs = pa.concat_tables([pq.read_table(file, columns=["text", "lang_hint"]) for file in files])
    ids = pa.array([f"{i:08}" for i in range(docs.num_rows)])
    docs = docs.set_column(0, "text", docs["text"].cast(pa.large_string())).append_column("doc_id", ids)
    docs = docs.append_column(ROW, pa.array(np.arange(docs.num_rows, dtype=np.uint64)))
    for name in ("parent_id", "provenance"):
        docs = docs.append_column(name, pa.nulls(docs.num_rows, pa.string()))
    n_bytes = pc.sum(pc.binary_length(docs["text"])).as_py()
    click.echo(f"{n_bytes / 1e6:,.1f} MB, {docs.num_rows:,} documents\n")
    click.echo("| stage | CPU-ms per MB | bytes per byte | global step, CPU-s | sent, bytes per byte |")
    click.echo("|---|---:|---:|---:|---:|")
    lost_by_kind = {}
    for unit in paragraphs.UNITS:
        columns, seconds = annotate(paragraphs.STAGE, paragraphs.Config(unit=unit), docs)
        table = docs
        for name in columns.column_names:
            table = table.append_column(name, columns[name])
        run(repeated_paragraphs.GLOBAL, table.slice(0, BATCH_ROWS))
        outcome, global_s, sent = run(repeated_paragraphs.GLOBAL, table)
        assert outcome.rows is not None
        size = stored_bytes(columns) / n_bytes
        figures = f"{seconds * 1e9 / n_bytes:.1f} | {size:.3f} | {global_s:.2f} | {sent / n_bytes:.3f}"
        click.echo(f"| `paragraphs`, {unit} | {figures} |")
        lost_by_kind[unit] = lost(docs, outcome.rows)
    columns, seconds = annotate(similar_lines.STAGE, similar_lines.Config(), docs)
    click.echo(
        f"| `similar_lines` | {seconds * 1e9 / n_bytes:.1f} | {stored_bytes(columns) / n_bytes:.4f} | - | - |"
    )
    renamed = columns.rename_columns(["passages", "n_chars", "repeated_share"]).append_column(ROW, docs[ROW])
    lost_by_kind["similar_line"] = lost(docs, renamed.filter(pc.is_valid(renamed["passages"])))
    click.echo(
        "\n| kind | language | million characters | % in repeated units | % that would go |\n|---|---|---:|---:|---:|"
    )
    for kind, by_language in lost_by_kind.items():
        for name, (n_chars, repeated, removed) in by_language.items():
            shares = f"{100 * repeated / n_chars:.1f} | {100 * removed / n_chars:.1f}"
            click.echo(f"| `{kind}` | {name} | {n_chars / 1e6:.1f} | {shares} |")


if __name__ == "__main__":
    main()
