"""Commands about run files before any work: what a preset stands for, and whether a run file fits its data."""

from __future__ import annotations

import json
import sys

import click

from pipeline.cli.options import json_option, run_argument


@click.command()
@click.argument("name", metavar="PRESET", required=False)
@json_option
def rules(name: str | None, as_json: bool) -> None:
    """Spell out PRESET: a set that a run file names with `use`, or rules that `select` names with `preset`.

    Without PRESET, list the names of both.

    Example: bicorpus rules recommended
    """
    from pipeline.config.spelling import preset_plain, preset_text, presets_by_kind

    if name is None:
        kinds = presets_by_kind()
        lines = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items()]
        click.echo(json.dumps(kinds) if as_json else "\n".join(lines))
        return
    click.echo(json.dumps(preset_plain(name), ensure_ascii=False) if as_json else preset_text(name))


@click.command()
@run_argument
@json_option
def check(run_path: str, as_json: bool) -> None:
    """Read RUN.yaml against its data before any work: files, fields, and one record of each source.

    Exits with code 2 if a source cannot be read, or has no field that the run file names.

    Example: bicorpus check run.yaml
    """
    from dataclasses import asdict

    from pipeline.inspect.check_run import check_lines, check_run

    found = check_run(run_path)
    if as_json:
        click.echo(json.dumps([asdict(source) for source in found], ensure_ascii=False, default=str))
    else:
        click.echo("\n".join(line for source in found for line in check_lines(source)))
    sys.exit(2 if any(source.faults for source in found) else 0)


COMMANDS = (rules, check)
