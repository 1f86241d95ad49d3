"""Tasks for the workers of an engine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def die_once(marker: str) -> str:
    """Kill this worker the first time; the second time, return."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker


def die(_: int) -> None:
    """Kill this worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def nap(seconds: float) -> int:
    """Sleep; returns the worker's number."""
    time.sleep(seconds)
    return os.getpid()
