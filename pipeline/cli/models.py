"""Commands for models of hubs: fetch them for a run."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import dry_run_option, json_option


@click.group(cls=Group)
def models() -> None:
    """Models that stages load: fetch them before a run, which reads them from disk alone.

    Example: bicorpus models fetch run.yaml
    """


@models.command()
@click.argument("names", metavar="MODEL|RUN.yaml...", nargs=-1, required=True)
@click.option(
    "--to", type=click.Path(file_okay=False), help="Folder for one model.  [default: the hub's cache]"
)
@click.option(
    "--from", "hub", type=click.Choice(["huggingface", "modelscope"]), default="huggingface", show_default=True,
    help="The hub; HF_ENDPOINT names a mirror.",
)  # fmt: skip
@dry_run_option
@json_option
def fetch(names: tuple[str, ...], to: str | None, hub: str, is_dry: bool, as_json: bool) -> None:
    """Download models by name (org/name@commit), or those that a run file names; print digests.

    Only safetensors, settings and tokenizers are fetched, never code. A download that was cut off is resumed. Without a
    commit the newest is taken and printed, to be written into the run file.

    Example: bicorpus models fetch HuggingFaceFW/fineweb-edu-classifier --to models/edu
    """
    from pipeline.errors import UsageError

    wanted = [
        reference for name in names for reference in (_named_in(name) if _is_run_file(name) else [name])
    ]
    if to is not None and len(wanted) != 1:
        raise UsageError(f"--to {to}: for one model, not {len(wanted)}")
    library: Any = importlib.import_module("classifiers.neural.fetch")  # not imported by this package
    if is_dry and hub != "huggingface":
        raise UsageError(f"--dry-run: lists files of Hugging Face and its mirrors alone, not of {hub}")
    for reference in dict.fromkeys(wanted):
        if is_dry:
            listed = library.list_model(reference)
            if as_json:
                click.echo(json.dumps(asdict(listed)))
                continue
            n_bytes = sum(facts["bytes"] or 0 for facts in listed.files.values())
            for name, facts in listed.files.items():
                say(f"{facts['bytes'] or 0:>13,}  {name}")
            say(f"{listed.reference}: {len(listed.files)} files, {n_bytes:,} bytes would be fetched")
            continue
        fetched = library.fetch_model(reference, to, hub)
        if as_json:
            click.echo(json.dumps(asdict(fetched)))
            continue
        for name, facts in fetched.files.items():
            say(f"{facts['sha256']}  {facts['bytes']:>13,}  {name}")
        say(f"{fetched.reference}  in {fetched.folder}  digest {fetched.digest}")


def _is_run_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and Path(name).is_file()


def _named_in(path: str) -> list[str]:
    """Models of a hub that the stages of a run file name.

    Raises: UsageError if there are none.
    """
    from pipeline.config.document import read_document
    from pipeline.errors import UsageError
    from pipeline.model_files import named_model, named_references
    from pipeline.recipe import load_step

    _, sections = read_document(path)
    found: list[str] = []
    for i, entry in enumerate((sections or {}).get("annotate") or []):
        if not isinstance(entry, dict) or "use" not in entry:
            continue
        step = load_step(entry["use"], "STAGE", f"{path}: annotate[{i}]")
        for key in step.models:
            references = named_references((entry.get("config") or {}).get(key))
            found += [reference for reference in references.values() if named_model(reference)]
    if not found:
        raise UsageError(f"{path}: no stage names a model of a hub, as org/name@<40 hex digits>")
    return found


COMMANDS = (models,)
