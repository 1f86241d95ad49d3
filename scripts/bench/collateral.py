"""Measure what the rules of a run file cost on good documents, and what they take of bad ones; prints Markdown.

Builds the files with the steps, rules and keepers of the run file (token counts and mixes left out: no rule reads
them), then counts verdicts. A copy of a document that stays counts as kept, and so does one that loses its repeated
passages: the rules are measured, not deduplication.
Bad rows are measured in a second build that adds them to the good ones, because buckets and quantiles are shares of a
corpus; the good ones in a build of their own, where quantiles take all they take from good documents.

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
from pipeline.build import Build
from pipeline.cluster import open_engine
from pipeline.errors import UsageError
from pipeline.finished import Finished
from pipeline.load import load_run
from pipeline.progress import Progress
from pipeline.query import select
from pipeline.store import open_store
from scripts.bench.bench_stages import machine, sources_of
from scripts.warm import with_sources

GROUP = "collateral.group"
"""Column that carries the group of a record, such as the source it came from."""

COPY = "duplicate"
COUNTERS = ("stages.tokens",)
BAD = "bad"
MAX_RULES = 6
"""Rules with a count of their own in a row; all others share one."""


def sections(run_path: str) -> dict[str, Any]:
    """Sections of a run file that are replaced: no token counts, and so no mixes; Any: YAML values."""
    page = yaml.safe_load(Path(run_path).read_text(encoding="utf-8"))
    steps = [e for e in page["annotate"] if (e if isinstance(e, str) else e["use"]) not in COUNTERS]
    return {"annotate": steps, "mix": {}, "tokens": {}}


def field_of(row: dict[str, Any], name: str) -> str:
    """Value of a column as text; `extra.kind` reaches into a JSON object. Any: values of Parquet."""
    column, _, key = name.partition(".")
    if column not in row:
        raise UsageError(f"no column {column!r}; there are {', '.join(row)}")
    value = row[column]
    return str(json.loads(value or "{}").get(key) if key else value)


def write_bad(path: str, wheres: tuple[str, ...], by: tuple[str, ...], target: Path) -> None:
    """Write the rows of a Parquet file that match every COLUMN=VALUE, with text and group.

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
    """Build a corpus; returns source, group, rule (None for kept, or lost as a copy) and flags of each document."""
    run, store = load_run(run_path), open_store(store_path)
    engine = open_engine("local", workers, None)
    try:
        record = Build(run, store, engine, Progress(quiet=False)).run()
    finally:
        engine.close()
    assert record.release  # every finished build has one
    copies = {COPY, *(r.name for r in run.select if any(c.startswith("owners.") for c in r.columns()))}
    ledger: dict[str, dict[str, Any]] = {}  # Any: columns of the ledger
    for path in sorted(Path(store_path, record.release, "ledger").glob("*.parquet")):
        for row in pq.read_table(path, columns=["doc_id", "source", "rule", "flags"]).to_pylist():
            row["rule"] = None if row["rule"] in copies else row["rule"]
            ledger[row["doc_id"]] = row
    for table in select(Finished(run, store), [], {"doc_id", GROUP}, None, None):
        for row in table.to_pylist():
            ledger[row["doc_id"]]["group"] = row[GROUP]
    read = {source.name for source in run.sources}  # derived documents are none of the files
    return [row for row in ledger.values() if row["source"] in read]


def grouped(rows: list[dict[str, Any]], is_bad: bool) -> dict[str, list[dict[str, Any]]]:
    """Rows of the good or the bad source by group, in order."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if (row["source"] == BAD) == is_bad:
            groups[row["group"]].append(row)
    return dict(sorted(groups.items()))


def listed(names: list[str]) -> str:
    """Names with counts, the commonest first."""
    ranked = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[MAX_RULES:])
    parts = [f"{name} {count:,}" for name, count in ranked[:MAX_RULES]]
    return ", ".join([*parts, *([f"others {rest:,}"] if rest else [])])


def with_total(groups: dict[str, list[dict[str, Any]]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Groups with their rows, and all of them together at the end."""
    return [*groups.items(), ("all", [row for rows in groups.values() for row in rows])]


def cost_lines(groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The table of good documents."""
    lines = ["| source | documents | kept | the rest went by |", "|---|---:|---:|---|"]
    for name, rows in with_total(groups):
        lost = [row["rule"] for row in rows if row["rule"]]
        lines.append(f"| {name} | {len(rows):,} | {1 - len(lost) / len(rows):.3f} | {listed(lost)} |")
    return lines


def catch_lines(groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The table of bad documents; flagged: those that stay, with a flag."""
    lines = ["| bad rows | documents | removed | flagged | removed by |", "|---|---:|---:|---:|---|"]
    for name, rows in with_total(groups):
        lost = [row["rule"] for row in rows if row["rule"]]
        flagged = sum(not row["rule"] and bool(row["flags"]) for row in rows)
        shares = f"{len(lost) / len(rows):.2f} | {flagged / len(rows):.2f}"
        lines.append(f"| {name} | {len(rows):,} | {shares} | {listed(lost)} |")
    return lines


@click.command()
@click.argument("run_path", metavar="RUN.yaml", type=click.Path(exists=True, dir_okay=False))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", help="Field with the text, where its name is unusual.")
@click.option("--by", default="source", show_default=True, help="Field that groups good documents.")
@click.option(
    "--bad", type=click.Path(exists=True, dir_okay=False), help="Parquet file with bad rows, column text."
)
@click.option(
    "--bad-where", multiple=True, metavar="COLUMN=VALUE", help="Rows of it that are bad; repeatable."
)
@click.option(
    "--bad-by", multiple=True, metavar="COLUMN", help="What groups bad rows; extra.kind reaches into JSON."
)
@click.option(
    "--store", "store_path", type=click.Path(), help="Keep the store here, to measure other rules soon."
)
@click.option("--workers", default=1, show_default=True, help="Worker processes.")
def collateral(
    run_path: str, files: tuple[str, ...], text: str | None, by: str, bad: str | None, bad_where: tuple[str, ...],
    bad_by: tuple[str, ...], store_path: str | None, workers: int,
) -> None:  # fmt: skip
    """Build FILES with the steps and rules of RUN.yaml and print what the rules cost, as Markdown.

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
