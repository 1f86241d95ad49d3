"""Opens the finished build of a run file, for commands that inspect it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.inspect.opened import Finished


def finished_build(run_path: str, store_url: str) -> Finished:
    """Return the finished build of a run file.

    Raises: UsageError if the store does not contain it.
    """
    from pipeline.config.load import load_run
    from pipeline.inspect.opened import open_build
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    return open_build(load_run(run_path, store=store), store)
