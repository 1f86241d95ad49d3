"""The commands `bicorpus index …` for the index of band keys, which finds near duplicates of new documents."""

from __future__ import annotations

import json

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import (
    dry_run_option,
    json_option,
    quiet_option,
    read_text,
    run_argument,
    store_option,
)
from pipeline.errors import UsageError
from pipeline.runtime.progress import Progress
from pipeline.translation import t


@click.group(cls=Group)
def index() -> None:
    """Commands for the index of band keys, in which `bicorpus run` finds near duplicates of new documents.

    `bicorpus run` adds documents to the index.

    Example: bicorpus index query run.yaml --store ./store --text-file page.txt
    """


@index.command()
@run_argument
@store_option
@json_option
def show(run_path: str, store_url: str, as_json: bool) -> None:
    """Print the size, runs and parameters of the index of RUN.yaml."""
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import describe_index, index_of
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    facts = describe_index(index_of(load_run(run_path, store=store), store))
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    say(f"{facts['index']}: {facts['rows']:,} keys of {facts['shards']:,} shards, {facts['bytes']:,} bytes")
    for run in facts["runs"]:
        say(
            f"  {run['run']}  {run['rows']:>14,} keys  {run['shards']:>6,} shards  {run['parts']:>5,} partitions"
        )
    if facts["erased"]:
        say(f"  {facts['erased']:,} documents erased")
    for name, values in facts["parameters"].items():
        say(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in values.items()))


@index.command()
@run_argument
@store_option
@click.option(
    "--text-file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False), help="Repeatable."
)
@click.option("--text", "texts", multiple=True, help="A text; repeatable.")
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
    from pipeline.inspect.query import similarity_text
    from pipeline.storage.store import open_store

    names = [*paths, *(f"text {i + 1}" for i in range(len(texts)))]
    if not names:
        raise UsageError("no text to search for; use --text-file or --text")
    all_texts = [*(read_text(path) for path in paths), *texts]
    store = open_store(store_url)
    duplicates = find_near_duplicates(open_build(load_run(run_path, store=store), store), all_texts)
    if as_json:
        click.echo(json.dumps(dict(zip(names, duplicates, strict=True)), ensure_ascii=False))
        return
    for name, documents in zip(names, duplicates, strict=True):
        say(f"{name}: {len(documents):,} near duplicates")
        for document in documents:
            url = f"  {document['url']}" if document["url"] else ""
            say(
                f"  {document['doc_id']}  {similarity_text(document['similarity'])}  {document['source']}{url}"
            )


@index.command()
@run_argument
@store_option
@click.option("--workers", type=int, help="Processes to use at once.  [default: all cores]")
@quiet_option
@dry_run_option
@json_option
def compact(
    run_path: str, store_url: str, workers: int | None, quiet: bool, is_dry: bool, as_json: bool
) -> None:
    """Merge the runs of the index into one, without shards that are no longer in the store.

    Every build with new shards adds a run; merge them when a build has to read too many files.
    """
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import compact_index, describe_index, index_of
    from pipeline.runtime.engines import open_engine
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    if is_dry:
        facts = describe_index(index_of(load_run(run_path, store=store), store))
        n_runs = len(facts["runs"])
        line = t(f"{facts['index']}: {n_runs} runs, {facts['bytes']:,} bytes would be merged into one")
        click.echo(json.dumps({"before": facts}, ensure_ascii=False) if as_json else line)
        return
    engine = open_engine("local", workers)
    try:
        result = compact_index(
            index_of(load_run(run_path, store=store), store), engine, Progress(quiet=quiet, as_json=as_json)
        )
    finally:
        engine.close()
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    before, after = result["before"], result["after"]
    say(
        f"{after['index']}: {len(before['runs'])} runs, {before['bytes']:,} bytes -> {len(after['runs'])} run, "
        f"{after['bytes']:,} bytes; {result['shards_gone']:,} shards removed"
    )


@index.command()
@run_argument
@store_option
@click.option("--doc-id", "doc_ids", multiple=True, required=True, help="Id of a document; repeatable.")
@dry_run_option
@json_option
def erase(run_path: str, store_url: str, doc_ids: tuple[str, ...], is_dry: bool, as_json: bool) -> None:
    """Erase the keys and remembered pairs of documents from the index.

    The next run does not compare them with other documents. Their text and annotations are kept.
    """
    from pipeline.config.load import load_run
    from pipeline.inspect.index_tools import erase_documents
    from pipeline.inspect.opened import open_build
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    erased = erase_documents(open_build(load_run(run_path, store=store), store), doc_ids, is_dry)
    if is_dry and not as_json:
        say(f"{erased['keys']:,} keys of {erased['documents']:,} documents would be erased, and their pairs")
        return
    click.echo(
        json.dumps(erased)
        if as_json
        else t(
            f"erased {erased['documents']:,} documents: {erased['keys']:,} keys, {erased['pairs']:,} remembered pairs"
        )
    )


COMMANDS = (index,)
