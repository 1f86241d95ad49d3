"""The command `bicorpus erase`, which takes documents out of a store for good."""

from __future__ import annotations

import json
from pathlib import Path

import click

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


@click.command()
@run_argument
@store_option
@click.option("--doc-id", "doc_ids", multiple=True, help="Id of a document; repeatable.")
@click.option("--source-id", "source_ids", multiple=True, help="A document's id in its source; repeatable.")
@click.option("--url", "urls", multiple=True, help="Documents of a URL; repeatable.")
@click.option(
    "--host", "hosts", multiple=True, help="Documents of a host and the hosts below it; repeatable."
)
@click.option(
    "--text-file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False),
    help="Copies of the text of a file; repeatable.",
)  # fmt: skip
@click.option(
    "--only-this-copy", is_flag=True, help="Erase no near copies, neither now nor in later ingests."
)
@click.option(
    "--delete-releases", is_flag=True, help="Delete the releases of the store that hold an erased document."
)
@click.option(
    "--search", "others", multiple=True, metavar="RELEASE",
    help="A release outside the store to search for the documents; repeatable.",
)  # fmt: skip
@click.option(
    "--receipt", "receipt_path", type=click.Path(dir_okay=False), help="Write the receipt to a file, too."
)
@click.option("--workers", type=int, help="Processes to use at once.  [default: all cores]")
@quiet_option
@json_option
@dry_run_option
def erase(
    run_path: str, store_url: str, doc_ids: tuple[str, ...], source_ids: tuple[str, ...], urls: tuple[str, ...],
    hosts: tuple[str, ...], paths: tuple[str, ...], only_this_copy: bool, delete_releases: bool,
    others: tuple[str, ...], receipt_path: str | None, workers: int | None, quiet: bool, as_json: bool, is_dry: bool,
) -> None:  # fmt: skip
    """Erase documents, and their near copies in every source and script, from a store and from what it ingests later.

    Shards, annotations, index and answers of language models lose them; no stage runs again. The next run writes its
    release without them. The receipt lists them, where releases hold them, and what remains outside.

    Example: bicorpus erase run.yaml --store ./store --url https://example.com/page --dry-run
    """
    from pipeline.config.load import load_run
    from pipeline.erasure.erase import erase as erase_documents
    from pipeline.erasure.find import Asked
    from pipeline.erasure.receipt import lines
    from pipeline.runtime.engines import SerialEngine, open_engine
    from pipeline.storage.store import open_store

    asked = Asked(doc_ids, source_ids, urls, hosts, tuple(read_text(path) for path in paths), only_this_copy)
    if not any((doc_ids, source_ids, urls, hosts, paths)):
        raise UsageError("nothing to erase; use --doc-id, --source-id, --url, --host or --text-file")
    if paths and only_this_copy:
        raise UsageError("--text-file names no copy; leave --only-this-copy out, or use --doc-id")
    store = open_store(store_url)
    engine = SerialEngine() if workers == 1 else open_engine("local", workers)
    try:
        receipt = erase_documents(
            load_run(run_path, store=store), store, asked, engine, Progress(quiet=quiet, as_json=as_json),
            dry_run=is_dry, delete_releases=delete_releases, others=others,
        )  # fmt: skip
    finally:
        engine.close()
    if receipt_path is not None:
        Path(receipt_path).write_text(
            json.dumps(receipt, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    click.echo(json.dumps(receipt, ensure_ascii=False) if as_json else "\n".join(lines(receipt)))


COMMANDS = (erase,)
