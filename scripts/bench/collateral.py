"""Measure the rules of a run file: the share of good documents kept, and of bad documents removed; prints Markdown.

Builds the files with the steps, rules and keepers of the run file, without token counts and mixes, which no rule reads,
and counts verdicts. Duplicates of a kept document count as kept, and so do documents from which repeated passages were
removed: this measures the rules, not deduplication.
Good documents are built alone, so that everything removed by a quantile is a good document. Bad rows are measured in a
second build together with the good ones, because buckets and quantiles are shares of a corpus.

Example: python -m scripts.bench.collateral configs/cci4.yaml docs-*.parquet --by source \
    --bad truth.parquet --bad-where label=bad --bad-by lang --bad-by extra.kind
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline import __version__
from pipeline.build.build import Build
from pipeline.config.load import load_run
from pipeline.errors import UsageError
from pipeline.inspect.opened import open_build
from pipeline.inspect.query import select_rows
from pipeline.planning.session import Session
from pipeline.runtime.engines import open_engine
from pipeline.runtime.progress import Progress
from pipeline.storage.store import open_store
from scripts.bench.bench_stages import machine, sources_of
from scripts.warm import with_sources

GROUP = "collateral.group"
"""Column with the group of a record, such as its original source."""

COPY = "duplicate"
COUNTERS = ("stages.tokens",)
BAD = "bad"
MAX_RULES = 6
"""Rules listed with their own count in a row; all others are summed."""


def sections(run_path: str) -> dict[str, Any]:
    """Replacement sections of a run file, without token counts and mixes; Any: YAML values."""
    page = yaml.safe_load(Path(run_path).read_text(encoding="utf-8"))
    steps = [e for e in page["annotate"] if (e if isinstance(e, str) else e["use"]) not in COUNTERS]
    return {"annotate": steps, "mix": {}, "tokens": {}}


def field_of(row: dict[str, Any], name: str) -> str:
    """Value of a column as text; `extra.kind` is the key `kind` of a JSON column `extra`. Any: values of Parquet."""
    column, _, key = name.partition(".")
    if column not in row:
        raise UsageError(f"no column {column!r}; there are {', '.join(row)}")
    value = row[column]
    return str(json.loads(value or "{}").get(key) if key else value)


def write_bad(path: str, wheres: tuple[str, ...], by: tuple[str, ...], target: Path) -> None:
    """Write the rows of a Parquet file that match every COLUMN=VALUE; columns text and group.

    Raises: UsageError if a column is missing or no row matches.
    """
    tests = [where.partition("=")[::2] for where in wheres]
    rows = [
        {"text": row["text"], "group": ", ".join(field_of(row, name) for name in by) or BAD}
        for row in pq.read_table(path).to_pylist()
        if all(field_of(row, column) == value for column, value in tests)
    ]
    if not rows:
        raise UsageError(f"{path}: no row matches {' and '.join(wheres)}")
    pq.write_table(pa.Table.from_pylist(rows), target)


def judge(run_path: str, store_path: str, workers: int) -> list[dict[str, Any]]:
    """Build a corpus; returns doc_id, source, group, rule and flags of each document.

    The rule is None for kept documents and for duplicates. Any: columns of the ledger.
    """
    run, store = load_run(run_path), open_store(store_path)
    engine = open_engine("local", workers, None)
    try:
        record = Build(Session(run, store, engine, Progress(quiet=False))).run()
    finally:
        engine.close()
    assert record.release  # every finished build has one
    copies = {COPY, *(r.name for r in run.select if any(c.startswith("owners.") for c in r.columns()))}
    ledger: dict[str, dict[str, Any]] = {}  # Any: columns of the ledger
    for path in sorted(Path(store_path, record.release, "ledger").glob("*.parquet")):
        for row in pq.read_table(path, columns=["doc_id", "source", "rule", "flags"]).to_pylist():
            row["rule"] = None if row["rule"] in copies else row["rule"]
            ledger[row["doc_id"]] = row
    for table in select_rows(open_build(run, store), [], {"doc_id", GROUP}, None, None):
        for row in table.to_pylist():
            ledger[row["doc_id"]]["group"] = row[GROUP]
    source_names = {source.name for source in run.sources}  # without derived documents
    return [row for row in ledger.values() if row["source"] in source_names]


def grouped(rows: list[dict[str, Any]], is_bad: bool) -> dict[str, list[dict[str, Any]]]:
    """Rows of the good sources or of the bad source, by group, sorted by group."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if (row["source"] == BAD) == is_bad:
            groups[row["group"]].append(row)
    return dict(sorted(groups.items()))


def listed(names: list[str]) -> str:
    """Names with counts, most frequent first."""
    ranked = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[MAX_RULES:])
    parts = [f"{name} {count:,}" for name, count in ranked[:MAX_RULES]]
    return ", ".join([*parts, *([f"others {rest:,}"] if rest else [])])


def with_total(groups: dict[str, list[dict[str, Any]]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Groups with their rows, followed by a group `all` with every row."""
    return [*groups.items(), ("all", [row for rows in groups.values() for row in rows])]


def cost_lines(groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Markdown table of good documents."""
    lines = ["| source | documents | kept | removed by |", "|---|---:|---:|---|"]
    for name, rows in with_total(groups):
        rules = [row["rule"] for row in rows if row["rule"]]
        lines.append(f"| {name} | {len(rows):,} | {1 - len(rules) / len(rows):.3f} | {listed(rules)} |")
    return lines


def catch_lines(groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Markdown table of bad documents; flagged: kept, with a flag."""
    lines = ["| bad rows | documents | removed | flagged | removed by |", "|---|---:|---:|---:|---|"]
    for name, rows in with_total(groups):
        rules = [row["rule"] for row in rows if row["rule"]]
        flagged = sum(not row["rule"] and bool(row["flags"]) for row in rows)
        shares = f"{len(rules) / len(rows):.2f} | {flagged / len(rows):.2f}"
        lines.append(f"| {name} | {len(rows):,} | {shares} | {listed(rules)} |")
    return lines


@click.command()
@click.argument("run_path", metavar="RUN.yaml", type=click.Path(exists=True, dir_okay=False))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", help="Field with the text, if it has an unusual name.")
@click.option("--by", default="source", show_default=True, help="Field that groups good documents.")
@click.option(
    "--bad", type=click.Path(exists=True, dir_okay=False), help="Parquet file with bad rows, column text."
)
@click.option(
    "--bad-where", multiple=True, metavar="COLUMN=VALUE", help="Condition on the bad rows; repeatable."
)
@click.option(
    "--bad-by", multiple=True, metavar="COLUMN", help="Column that groups bad rows; extra.kind: JSON key."
)
@click.option(
    "--store", "store_path", type=click.Path(), help="Keep the store here, to measure other rules faster."
)
@click.option("--workers", default=1, show_default=True, help="Worker processes.")
def collateral(
    run_path: str, files: tuple[str, ...], text: str | None, by: str, bad: str | None, bad_where: tuple[str, ...],
    bad_by: tuple[str, ...], store_path: str | None, workers: int,
) -> None:  # fmt: skip
    """Build FILES with the steps and rules of RUN.yaml and print the shares kept and removed, as Markdown.

    Example: python -m scripts.bench.collateral configs/cci4.yaml docs-*.parquet --by source
    """
    sources = sources_of(files, text)
    for source in sources:
        source["columns"] = {**source.get("columns", {}), GROUP: f"{by}:string"}
    with tempfile.TemporaryDirectory(prefix="bicorpus-collateral-") as folder:
        store_path = store_path or str(Path(folder, "store"))
        page = with_sources(run_path, folder, sources, **sections(run_path))
        rows = judge(page, store_path, workers)
        click.echo(
            f"{len(rows):,} documents; {workers} worker(s) of {machine()}; {datetime.now(UTC):%Y-%m-%d}, "
            f"bicorpus {__version__}, {Path(run_path).name}.\n"
        )
        click.echo("\n".join(cost_lines(grouped(rows, is_bad=False))))
        if bad:
            bad_path = Path(folder, "bad.parquet")
            write_bad(bad, bad_where, bad_by, bad_path)
            columns = {GROUP: "group:string"}
            reader = "stages.readers.parquet"
            sources.append({"name": BAD, "reader": reader, "files": str(bad_path), "columns": columns})
            page = with_sources(run_path, folder, sources, **sections(run_path))
            click.echo("\n" + "\n".join(catch_lines(grouped(judge(page, store_path, workers), is_bad=True))))


if __name__ == "__main__":
    collateral()
