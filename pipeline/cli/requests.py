"""The commands `bicorpus requests …` for the cache of answers of language models."""

from __future__ import annotations

import json

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import dry_run_option, json_option, run_argument, store_option
from pipeline.errors import UsageError


@click.group(cls=Group)
def requests() -> None:
    """Commands for the answers of language models that a store keeps.

    Example: bicorpus requests erase run.yaml --store ./store --doc-id 4GZX2M
    """


@requests.command()
@run_argument
@store_option
@click.option("--doc-id", "doc_ids", multiple=True, help="Erase the answers about a document; repeatable.")
@click.option("--text", "texts", multiple=True, help="Erase the answers that contain a text; repeatable.")
@dry_run_option
@json_option
def erase(
    run_path: str,
    store_url: str,
    doc_ids: tuple[str, ...],
    texts: tuple[str, ...],
    is_dry: bool,
    as_json: bool,
) -> None:
    """Erase answers from the cache, of all models.

    They are not asked for again: their requests count as refused. Annotations and releases that were made of them are
    kept. No run may use the store meanwhile.

    Example: bicorpus requests erase run.yaml --store ./store --text 13800138000
    """
    from pipeline.config.load import load_run
    from pipeline.planning.erasing import erase_about, erase_text
    from pipeline.storage.store import open_store

    if not doc_ids and not texts:
        raise UsageError("nothing to erase; use --doc-id or --text")
    store = open_store(store_url)
    found = [erase_about(load_run(run_path, store=store), store, doc_ids, is_dry)] if doc_ids else []
    found += [erase_text(store, text, is_dry) for text in texts]
    erased = {folder: sum(one.get(folder, 0) for one in found) for one in found for folder in one}
    if as_json:
        click.echo(json.dumps({"would_erase" if is_dry else "erased": erased}))
        return
    for folder, n in erased.items():
        say(f"{folder}: {n:,} answers would be erased" if is_dry else f"{folder}: {n:,} answers erased")


COMMANDS = (requests,)
