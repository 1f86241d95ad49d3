"""Local scratch folders that do not outlive their process: text must not rest where nobody looks for it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "bicorpus-"
LOCK = ".lock"
NEW_S = 60.0
"""A younger folder may not have taken its lock yet, and is left alone."""


@contextmanager
def scratch() -> Iterator[str]:
    """A new local folder, gone at the end; what killed processes left is swept on the way.

    The folder's lock is held by the process, so that a folder whose lock is free has no owner any more, whatever
    process ids mean in this container.
    """
    sweep()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, open(Path(folder, LOCK), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (inside := Path(folder, "files")).mkdir()
        yield str(inside)


def sweep() -> None:
    """Delete scratch folders of this user whose owner is dead."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        try:
            stat = path.stat()
            if stat.st_uid != os.getuid() or time.time() - stat.st_mtime < NEW_S:
                continue
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
        except OSError:  # it is held, or another process was first
            continue
