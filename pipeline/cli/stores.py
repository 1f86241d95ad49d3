"""Commands that add to a finished store without measuring its texts: import a table, write another release."""

from __future__ import annotations

import json

import click

from pipeline.cli.options import (
    dry_run_option,
    engine_options,
    json_option,
    print_plan,
    print_record,
    quiet_option,
    run_argument,
    split_names,
    start_engine,
    store_option,
)
from pipeline.runtime.progress import Progress

KEY_COLUMNS = ("doc_id", "url", "text_hash")
"""Canonical columns that a table can be joined by."""


@click.command("import")
@click.argument("name")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--on", type=click.Choice(KEY_COLUMNS), required=True,
    help="The column, in the files and of documents, to join by.",
)  # fmt: skip
@store_option
@click.option("--columns", help="Columns to import, comma-separated.  [default: all but the key]")
@click.option("--workers", type=int, help="Number of processes.  [default: all cores]")
@quiet_option
@json_option
@dry_run_option
def import_(
    name: str, files: tuple[str, ...], on: str, store_url: str, columns: str | None, workers: int | None,
    quiet: bool, as_json: bool, is_dry: bool,
) -> None:  # fmt: skip
    """Import external scores or verdicts from Parquet, JSON Lines or CSV as columns of every document.

    NAME is the prefix of the columns. A run file uses them with `{import: NAME}` in `annotate`.

    Example: bicorpus import reviews verdicts/*.csv --on doc_id --store ./store
    """
    from pipeline.dataset.imported_table import describe_import
    from pipeline.ingest.import_tables import describe_files, import_lines, import_table
    from pipeline.runtime.engines import SerialEngine, open_engine
    from pipeline.storage.store import open_store

    names = split_names(columns) or None
    if is_dry:
        facts = describe_files(name, files, on, names)
        click.echo(json.dumps(facts, ensure_ascii=False) if as_json else describe_import(name, facts))
        return
    engine = SerialEngine() if workers == 1 else open_engine("local", workers)
    try:
        progress = Progress(quiet=quiet, as_json=as_json)
        result = import_table(open_store(store_url), name, files, on, names, engine, progress)
    finally:
        engine.close()
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else "\n".join(import_lines(result)))


@click.command()
@run_argument
@store_option
@click.option("--name", required=True, help="Name of the release.")
@click.option("--mix", help="Default mix.  [default: that of the run file]")
@click.option("--force", is_flag=True, help="Replace a release of this name with another recipe.")
@engine_options
@quiet_option
@json_option
@dry_run_option
def release(
    run_path: str, store_url: str, name: str, mix: str | None, force: bool, engine: str, workers: int | None,
    address: str | None, gpus: int | None, gpu_share: float, quiet: bool, as_json: bool, is_dry: bool,
) -> None:  # fmt: skip
    """Write another release of a finished store; fail if that would need new measurements.

    Thresholds, rules, keepers, counted edits, ratios and release columns may differ from the last run.

    Example: bicorpus release strict.yaml --store ./store --name strict
    """
    from pipeline.build.recut import cut_release
    from pipeline.config.load import load_run
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    progress = Progress(quiet=quiet, as_json=as_json)
    overrides = {"release": {"name": name}} | ({"mix": {"default": mix}} if mix else {})
    if is_dry:
        print_plan(run_path, store_url, None, as_json, overrides)
        return
    run = load_run(run_path, overrides, store)
    opened_engine = start_engine(run, engine, workers, address, progress, gpus, gpu_share)
    try:
        record = cut_release(run, store, opened_engine, progress, force)
    finally:
        opened_engine.close()
    print_record(record, store, as_json)


@click.command()
@click.argument("store_url", metavar="STORE")
@click.option(
    "--repair", is_flag=True, help="Forget what is damaged and can be made again, so that the next run does."
)
@click.option(
    "--run", "run_path", metavar="RUN.yaml", type=click.Path(),
    help="A run file with the inputs: what is made from them can be made again.  [default: that of the last run]",
)  # fmt: skip
@quiet_option
@json_option
def scrub(store_url: str, repair: bool, run_path: str | None, quiet: bool, as_json: bool) -> None:
    """Check every byte of a store: digests, files that catalogs name, checksums of releases.

    Exits with 5 if anything is damaged, unless --repair sees to all of it.

    Example: bicorpus scrub ./store --repair
    """
    from dataclasses import asdict

    from pipeline.errors import ExpectationError
    from pipeline.inspect.scrub import last_run, scrub
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    report = scrub(store, Progress(quiet=quiet, as_json=as_json), repair, last_run(store, run_path))
    click.echo(json.dumps(asdict(report), ensure_ascii=False) if as_json else "\n".join(report.lines()))
    if not report.is_sound:
        raise ExpectationError(f"{store.url}: the store is damaged; see above")


COMMANDS = (import_, release, scrub)
