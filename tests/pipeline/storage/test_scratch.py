"""Scratch folders are removed with their owner, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.storage.scratch import LOCK, scratch, sweep
from tests.helpers.paths import ROOT

HOLD = (
    "from pipeline.storage.scratch import scratch\n"
    "with scratch() as folder:\n    print(folder, flush=True)\n    input()\n"
)


def age(folder: Path) -> None:
    """Make a scratch folder look an hour old."""
    lock = folder.parent / LOCK
    past = lock.stat().st_mtime - 3600
    os.utime(lock, (past, past))


def test_what_a_killed_process_left_is_swept_and_a_live_one_s_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is removed once its owner was killed, and not before, even when it is old."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        (folder / "text").write_text("secret")
        age(folder)
        sweep()
        assert folder.exists()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        begin = time.monotonic()
        while folder.exists() and time.monotonic() - begin < 10:  # the lock may outlive its owner by a moment
            sweep()
        with scratch() as other:
            assert not folder.exists()
            assert os.listdir(other) == []
    assert list(tmp_path.iterdir()) == []
