"""Builds whose disk fails at one write: one line instead of a traceback, and the next run writes the same release."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.bench.damage_disk import FAULTS, Disk
from tests.helpers.build import cli, digests, tiny, write_run

POINTS = (0.15, 0.5, 0.85)
"""Where the disk fails, as a share of the writes of the build: ingest, annotations and decisions, the release."""


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run file of a small build with an annotation and a release."""
    folder = tmp_path_factory.mktemp("inputs")
    return write_run(folder, tiny(folder, release={"name": "v1"}, annotate=["stages.dedup.exact"]))


@pytest.fixture(scope="module")
def whole(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    """Digests of the release of an undisturbed build, and its number of writes."""
    store = tmp_path_factory.mktemp("whole") / "store"
    with Disk(store) as disk:
        assert build(run_path, store)[0] == 0
    return digests(store), disk.n_writes


def build(run_path: Path, store: Path) -> tuple[int, str]:
    """Run a build in this process: exit code and messages."""
    ended = cli("run", run_path, "--store", store, "--engine", "local", "--workers", 1)
    return ended.code, ended.err


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_run_writes_the_same_release(
    fault: str, point: float, run_path: Path, whole: tuple[dict[str, str], int], tmp_path: Path
) -> None:
    """A disk that is full, read-only, broken or lost in the middle ends the build; the next one continues."""
    expected, n_writes = whole
    at = max(1, int(point * n_writes))
    store = tmp_path / "store"
    with Disk(store, fault, at) as disk:
        try:
            code, said = build(run_path, store)
        except SystemError:  # the machine died
            code, said = -1, ""
    assert disk.n_writes >= at
    assert "Traceback" not in said
    if code == 0:
        assert digests(store) == expected
    else:
        assert fault in ("killed", "lost") or len(said.strip().splitlines()[-1]) > 20
    disk.recover()
    code, said = build(run_path, store)
    assert code == 0, said
    assert digests(store) == expected


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, of 64 MiB; skipped where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full(run_path: Path, whole: tuple[dict[str, str], int], mounted: Path) -> None:
    """With a few free kilobytes the build ends in one line about space, and continues when there is room."""
    ballast, store = mounted / "ballast", mounted / "store"
    free = os.statvfs(mounted).f_bavail * os.statvfs(mounted).f_frsize
    ballast.write_bytes(bytes(free - (48 << 10)))
    code, said = build(run_path, store)
    assert code != 0 and "No space left on device" in said and "Traceback" not in said
    ballast.unlink()
    shutil.rmtree(store / "leases")  # the full disk did not take its release; it would expire in a minute
    assert build(run_path, store)[0] == 0
    assert digests(store) == whole[0]


def test_a_file_system_that_becomes_read_only(
    run_path: Path, whole: tuple[dict[str, str], int], mounted: Path
) -> None:
    """A finished store on a read-only file system: reading commands work, a build with more to do ends in one line."""
    store = mounted / "store"
    assert build(run_path, store)[0] == 0
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    assert cli("verify", store / "releases/v1").code == 0
    assert cli("scrub", store).code == 0
    code, said = build(run_path, store)
    assert code != 0 and "Read-only file system" in said and "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,rw", str(mounted)], check=True)
    assert build(run_path, store)[0] == 0
    assert digests(store) == whole[0]
