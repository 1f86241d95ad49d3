"""The command that brings outside scores and verdicts into a store."""

from __future__ import annotations

import json

import click

from pipeline.cli_options import (
    json_option,
    quiet_option,
    store_option,
)
from pipeline.imports import KEY_COLUMNS
from pipeline.progress import Progress


@click.command("import")
@click.argument("name")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--on", type=click.Choice(KEY_COLUMNS), required=True,
    help="The column, of the files and of documents, that says what belongs together.",
)  # fmt: skip
@store_option
@click.option("--columns", help="Columns to import, comma-separated.  [default: all but the key]")
@click.option("--workers", type=int, help="Processes to use at once.  [default: all cores]")
@quiet_option
@json_option
def import_(
    name: str, files: tuple[str, ...], on: str, store_url: str, columns: str | None, workers: int | None,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Import outside scores or verdicts from Parquet, JSON lines or CSV as columns of every document.

    NAME is the prefix of the columns. A run file takes them up with `{import: NAME}` in `annotate`.

    Example: bicorpus import reviews verdicts/*.csv --on doc_id --store ./store
    """
    from pipeline.cluster import SerialEngine, open_engine
    from pipeline.importing import import_table, lines
    from pipeline.store import open_store

    chosen = columns.split(",") if columns else None
    engine = SerialEngine() if workers == 1 else open_engine("local", workers)
    try:
        progress = Progress(quiet=quiet, as_json=as_json)
        found = import_table(open_store(store_url), name, files, on, chosen, engine, progress)
    finally:
        engine.close()
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines(found)))


COMMANDS = (import_,)
