"""A build killed at any point: nothing half-written is ever readable, and the next run ends with the same bytes."""

from __future__ import annotations

import copy
import functools
import random
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline.errors import BicorpusError
from tests.helpers.build import (
    build,
    check_readable,
    cli,
    digests,
    group_members,
    kill,
    reference,
    small_page,
    start,
)  # fmt: skip

POINTS = random.Random(5)


def started(store: Path) -> subprocess.Popen[str]:
    """The reference build in a process group of its own."""
    return start(
        "run", reference().run_path, "--store", store, "--engine", "local", "--workers", 2, "--quiet"
    )


@functools.cache
def build_seconds() -> float:
    """How long a build takes that nothing interrupts."""
    with tempfile.TemporaryDirectory() as folder:
        process, begin = started(Path(folder, "store")), time.monotonic()
        assert process.wait(300) == 0
        process.communicate()
    return time.monotonic() - begin


def interrupt(store: Path, share: float, whole_group: bool) -> None:
    """Start the reference build and kill it after a share of the time that it would take."""
    seconds = share * build_seconds()
    process = started(store)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    kill(process, whole_group)


@pytest.mark.parametrize(
    ("share", "whole_group"),
    [
        (POINTS.uniform(0.2, 0.45), True),
        (POINTS.uniform(0.45, 0.7), False),
        (POINTS.uniform(0.7, 0.95), True),
    ],
)
def test_killed_anywhere(share: float, whole_group: bool, tmp_path: Path) -> None:
    """Killed with or without its workers, a build leaves whole files only, and a second run finishes it."""
    done, store = reference(), tmp_path / "store"
    interrupt(store, share, whole_group)
    if store.exists():
        check_readable(store)
        if (store / "releases/v1/checksums.sha256").exists():
            cli("verify", store / "releases/v1").ok()
    build(done.run_path, store)
    assert digests(store) == done.digests
    assert not list((store / "releases").glob("_work/*/*/*"))


def test_killed_again_and_again(tmp_path: Path) -> None:
    """A build that is killed three times still makes progress, since finished work is found again."""
    done = reference()
    for share in (0.6, 0.6, 0.6):
        interrupt(tmp_path, share, True)
    record = build(done.run_path, tmp_path)
    assert sum(record["tasks"].values()) < sum(done.record["tasks"].values())
    assert digests(tmp_path) == done.digests


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C ends with exit 130 and one line of advice; no worker is left; the same command finishes the build."""
    done = reference()
    process = started(tmp_path)
    while not list((tmp_path / "shards").glob("*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    for member in list(group_members(process.pid)):  # a terminal sends it to every process of the group
        with suppress(psutil.NoSuchProcess):  # it ended between
            member.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted; finished work is kept" in err and "Traceback" not in err
    deadline = time.monotonic() + 20
    while list(group_members(process.pid)):
        assert time.monotonic() < deadline, "workers outlive Ctrl-C"
        time.sleep(0.05)
    build(done.run_path, tmp_path)
    assert digests(tmp_path) == done.digests


def test_two_interrupted_releases_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs stopped before the commit leave the release as it is; the last one's contains no file of the others."""
    done, page = reference(), copy.deepcopy(small_page())
    page["select"][0]["tokens.n_tokens"]["min"] = 200
    other, store = done.variant(page), done.copy(tmp_path)
    page["select"][0]["tokens.n_tokens"]["min"] = 300
    third = done.variant(page)

    def stop(*arguments: object) -> None:
        raise BicorpusError("stopped before the commit")

    for path in (other, third, other):
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.release.run.commit", stop)
            options = ("--store", store, "--engine", "local", "--workers", 1)
            assert "stopped before the commit" in cli("run", path, *options).err
        assert digests(store) == done.digests
        cli("verify", store / "releases/v1").ok()
    build(other, store)
    assert digests(store) != done.digests and not list((store / "releases").glob("_new/*/*"))
    cli("verify", store / "releases/v1").ok()
    build(done.run_path, store)
    assert digests(store) == done.digests
    cli("verify", store / "releases/v1").ok()


def test_refused_mix_leaves_the_release_before_it(tmp_path: Path) -> None:
    """A ratio that cannot be met ends with exit 2 and leaves the finished release of that name as it is."""
    done, page = reference(), copy.deepcopy(small_page())
    page["mix"]["max_discard"] = 0.0
    path, store = done.variant(page), done.copy(tmp_path)
    assert cli("plan", path, "--store", store).code == 2
    refused = cli("run", path, "--store", store, "--engine", "local", "--workers", 1)
    assert refused.code == 2 and "mix" in refused.err
    cli("verify", store / "releases/v1").ok()
    assert digests(store) == done.digests
