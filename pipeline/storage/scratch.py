"""Local scratch folders that are removed with their process, so that no text is left behind unnoticed."""

from __future__ import annotations

import fcntl
import math
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
"""Age in seconds below which a folder is not swept, because it may not have taken its lock yet."""


_SWEPT = [-math.inf]
"""When this process swept last; a task for each of thousands of small files would list the folder as often."""


@contextmanager
def scratch() -> Iterator[str]:
    """Create a local folder that is removed at the end, after sweeping the folders of killed processes.

    The process holds a lock on its folder, so a folder whose lock is free has no owner. Process ids would not do:
    they differ between containers.
    """
    if time.monotonic() - _SWEPT[0] > NEW_S:
        _SWEPT[0] = time.monotonic()
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
        except OSError:  # the lock is held, or another process was first
            continue
