"""Commands about bicorpus itself: completion for the shell, and what is wrong with this machine."""

from __future__ import annotations

import json
import os
import sys

import click

from pipeline.cells import pad, wide, wrap
from pipeline.cli.options import json_option
from pipeline.translation import message, t

SHELLS = ("bash", "zsh", "fish")

WIDTH = 78
"""Cells of a line of `doctor`."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and file names in a SHELL.

    bash: add `eval "$(bicorpus completion bash)"` to ~/.bashrc; zsh: the same with zsh in ~/.zshrc; fish: write it to
    ~/.config/fish/completions/bicorpus.fish.

    Example: bicorpus completion bash
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "bicorpus", "_BICORPUS_COMPLETE").source())


@click.command()
@click.option("--store", "store_url", metavar="URL", help="Also look at the disk of this store.")
@json_option
def doctor(store_url: str | None, as_json: bool) -> None:
    """Report machine, versions, caches, language, Ray and disk space, with known problems and what to do.

    Exits with 1 if something keeps bicorpus from working; what is only slow or incomplete is a note.

    Example: bicorpus doctor
    """
    from dataclasses import asdict

    from pipeline.checking.machine import examine

    folders = {message("this folder"): os.getcwd()}
    if store_url is not None and "://" not in store_url:
        folders[message("store")] = store_url
    findings = examine(os.environ, folders)
    n_notes = sum(bool(finding.problem) for finding in findings)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
        sys.exit(int(any(finding.fails for finding in findings)))
    width = max(wide(t(finding.name)) for finding in findings)
    for i, finding in enumerate(findings):
        if not i or finding.group != findings[i - 1].group:
            click.echo(click.style(t(finding.group), bold=True))
        indent = " " * (width + 4)
        first, *rest = wrap(t(finding.value), WIDTH - len(indent))
        click.echo(f"  {pad(t(finding.name), width)}  {first}")
        if finding.problem:
            color = "red" if finding.fails else "yellow"
            note = wrap(f"{t(finding.problem)}{t('; ')}{t(finding.advice)}", WIDTH - len(indent) - 2)
            rest += [click.style(("! " if not j else "  ") + line, fg=color) for j, line in enumerate(note)]
        for line in rest:
            click.echo(indent + line)
    click.echo(t(f"{n_notes:,} notes") if n_notes else t("no known problem"))
    sys.exit(int(any(finding.fails for finding in findings)))


COMMANDS = (completion, doctor)
