"""Commands that add to a finished store without measuring its texts: import a table, cut another release."""

from __future__ import annotations

import json

import click

from pipeline.cli.options import (
    engine_options,
    json_option,
    print_record,
    quiet_option,
    run_argument,
    store_option,
)
from pipeline.dataset.imported_table import KEY_COLUMNS
from pipeline.runtime.progress import Progress


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
    from pipeline.ingest.import_tables import import_lines, import_table
    from pipeline.runtime.engines import SerialEngine, open_engine
    from pipeline.storage.store import open_store

    chosen = columns.split(",") if columns else None
    engine = SerialEngine() if workers == 1 else open_engine("local", workers)
    try:
        progress = Progress(quiet=quiet, as_json=as_json)
        found = import_table(open_store(store_url), name, files, on, chosen, engine, progress)
    finally:
        engine.close()
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(import_lines(found)))


@click.command()
@run_argument
@store_option
@click.option("--name", required=True, help="The name of the release.")
@click.option("--mix", help="The default mix.  [default: the run file's]")
@click.option("--force", is_flag=True, help="Replace a release of this name that was cut otherwise.")
@engine_options
@quiet_option
@json_option
def release(
    run_path: str, store_url: str, name: str, mix: str | None, force: bool, engine: str, workers: int | None,
    address: str | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Cut another release from a finished store; stop if anything would have to be measured first.

    Thresholds, rules, keepers, edits that were counted, ratios and release columns may differ from the last run.

    Example: bicorpus release strict.yaml --store ./store --name strict
    """
    from pipeline.build.recut import cut_release
    from pipeline.config.load import load_run
    from pipeline.runtime.engines import open_engine
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    overrides = {"release": {"name": name}} | ({"mix": {"default": mix}} if mix else {})
    run = load_run(run_path, overrides, store)
    workers_of = open_engine(engine, workers, address)
    try:
        record = cut_release(run, store, workers_of, Progress(quiet=quiet, as_json=as_json), force)
    finally:
        workers_of.close()
    print_record(record, store, as_json)


COMMANDS = (import_, release)
