"""The command `bicorpus browse`: a finished build in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.finished import finished_build
from pipeline.cli.group import say
from pipeline.cli.options import store_option

if TYPE_CHECKING:
    from pipeline.storage.store import Store


@click.command()
@click.argument("run_path", metavar="[RUN.yaml]", type=click.Path(), required=False)
@store_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to serve on.  [default: any that is free]"
)
@click.option("--open", "is_opened", is_flag=True, help="Open the address in a browser.")
def browse(run_path: str | None, store_url: str, port: int, is_opened: bool) -> None:
    """Explore a finished build in a browser: documents, decisions and thresholds.

    Serves on this machine only, and changes nothing. Without RUN.yaml, that of the last run of the store.

    Example: bicorpus browse run.yaml --store ./store
    """
    from pipeline.browse.frame import Frame
    from pipeline.browse.server import Explorer
    from pipeline.storage.store import open_store

    frame = Frame(finished_build(run_path or last_run_file(open_store(store_url)), store_url))
    with Explorer(frame, port) as server:
        click.echo(server.url)
        say("press Ctrl-C to stop")
        if is_opened:
            click.launch(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


def last_run_file(store: Store) -> str:
    """The run file of the last finished run of a store.

    Raises: UsageError if there is none, or its run file is not there.
    """
    from pathlib import Path

    from pipeline.errors import UsageError
    from pipeline.storage.run_records import read_record, record_keys

    for key in reversed(record_keys(store)):
        record = read_record(store, key)
        if record.get("status") == "done":
            path = str(record["run"])
            if Path(path).is_file():
                return path
            raise UsageError(f"{store.url}: its last run was of {path}, which is not here; name the run file")
    raise UsageError(f"{store.url}: no finished run; run `bicorpus run` first, or name the run file")


COMMANDS = (browse,)
