"""The commands `bicorpus index …`: what a store keeps so that new documents meet the old ones."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.options import json_option, quiet_option, run_argument, store_option
from pipeline.errors import UsageError
from pipeline.runtime.progress import Progress


@click.group()
def index() -> None:
    """The index of band keys: new documents meet the old ones in it. `bicorpus run` adds to it by itself.

    Example: bicorpus index query run.yaml --store ./store --text-file page.txt
    """


@index.command()
@run_argument
@store_option
@json_option
def show(run_path: str, store_url: str, as_json: bool) -> None:
    """Say what the index of RUN.yaml holds and with which parameters it was made."""
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import describe_index, index_of
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    found = describe_index(index_of(load_run(run_path, store=store), store))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    click.echo(
        f"{found['index']}: {found['rows']:,} keys of {found['shards']:,} shards, {found['bytes']:,} bytes"
    )
    for run in found["runs"]:
        click.echo(
            f"  {run['run']}  {run['rows']:>14,} keys  {run['shards']:>6,} shards  {run['parts']:>5,} parts"
        )
    if found["erased"]:
        click.echo(f"  {found['erased']:,} documents erased")
    for name, values in found["parameters"].items():
        click.echo(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in values.items()))


@index.command()
@run_argument
@store_option
@click.option(
    "--text-file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False), help="Repeatable."
)
@click.option("--text", "texts", multiple=True, help="A text itself; repeatable.")
@json_option
def query(
    run_path: str, store_url: str, paths: tuple[str, ...], texts: tuple[str, ...], as_json: bool
) -> None:
    """Find the near duplicates of texts among the documents of a finished build.

    Example: bicorpus index query run.yaml --store ./store --text-file page.txt
    """
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import find_near_duplicates
    from pipeline.inspect.opened import open_build
    from pipeline.storage.store import open_store

    named = [*paths, *(f"text {i + 1}" for i in range(len(texts)))]
    if not named:
        raise UsageError("nothing to look for; name a --text-file or give a --text")
    given = [*(read_text(path) for path in paths), *texts]
    store = open_store(store_url)
    found = find_near_duplicates(open_build(load_run(run_path, store=store), store), given)
    if as_json:
        click.echo(json.dumps(dict(zip(named, found, strict=True)), ensure_ascii=False))
        return
    for name, documents in zip(named, found, strict=True):
        click.echo(f"{name}: {len(documents):,} near duplicates")
        for document in documents:
            url = f"  {document['url']}" if document["url"] else ""
            click.echo(f"  {document['doc_id']}  {document['similarity']:.3f}  {document['source']}{url}")


def read_text(path: str) -> str:
    """The text of a file.

    Raises: UsageError if it is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 ({error}); convert it first, for example with iconv") from error


@index.command()
@run_argument
@store_option
@click.option("--workers", type=int, help="Processes to use at once.  [default: all cores]")
@quiet_option
@json_option
def compact(run_path: str, store_url: str, workers: int | None, quiet: bool, as_json: bool) -> None:
    """Merge the index's runs into one and leave out shards that the store no longer has.

    A run is added each time that new shards are; merge them when a build reads too many files.
    """
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import compact_index, index_of
    from pipeline.runtime.engines import open_engine
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    engine = open_engine("local", workers)
    try:
        found = compact_index(
            index_of(load_run(run_path, store=store), store), engine, Progress(quiet=quiet, as_json=as_json)
        )
    finally:
        engine.close()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    before, after = found["before"], found["after"]
    click.echo(
        f"{after['index']}: {len(before['runs'])} runs, {before['bytes']:,} bytes -> {len(after['runs'])} run, "
        f"{after['bytes']:,} bytes; {found['shards_gone']:,} shards gone"
    )


@index.command()
@run_argument
@store_option
@click.option("--doc-id", "doc_ids", multiple=True, required=True, help="A document; repeatable.")
@json_option
def erase(run_path: str, store_url: str, doc_ids: tuple[str, ...], as_json: bool) -> None:
    """Erase the keys of documents, and what is remembered of them, from the index.

    The next run compares them with nothing. Their text and annotations stay: this erases from the index alone.
    """
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import erase_documents
    from pipeline.inspect.opened import open_build
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    found = erase_documents(open_build(load_run(run_path, store=store), store), doc_ids)
    click.echo(
        json.dumps(found)
        if as_json
        else f"erased {found['documents']:,} documents: {found['keys']:,} keys, {found['pairs']:,} remembered pairs"
    )


COMMANDS = (index,)
