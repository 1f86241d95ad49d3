"""Options, arguments and output that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.planning.session import RunRecord
    from pipeline.storage.store import Store

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
store_option = click.option(
    "--store",
    "store_url",
    required=True,
    metavar="URL",
    help="Local folder or object store (s3://bucket/prefix).",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")
run_argument = click.argument("run_path", metavar="RUN.yaml", type=click.Path())


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click commands
    """Options that say where a run happens; none of them changes its result."""
    for option in (
        click.option("--engine", type=click.Choice(["ray", "local"]), default="ray", show_default=True,
                     help="Ray, or a process pool on this machine."),
        click.option("--workers", type=int, help="Processes to use at once.  [default: all cores]"),
        click.option("--address", help="A running Ray cluster; none starts Ray here."),
    ):  # fmt: skip
        command = option(command)
    return command


def print_record(record: RunRecord, store: Store, as_json: bool) -> None:
    """Say what a run or a release did: where the release is on stdout, what it cost on stderr."""
    if as_json:
        click.echo(json.dumps(asdict(record), ensure_ascii=False))
        return
    tasks = ", ".join(f"{count:,} {kind}" for kind, count in record.tasks.items())
    click.echo(f"{store.url}/{record.release}")
    click.echo(
        f"{record.kept:,} of {record.ingested:,} documents kept, {record.seconds['total']:.1f} s; tasks: {tasks}; "
        f"{record.text_tasks:,} of them read text before the release",
        err=True,
    )
