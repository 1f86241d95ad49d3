"""Fixtures: an empty store of each kind, and Python in a process of its own to share it with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pipeline.storage.store import Store, open_store
from tests.helpers.paths import ROOT
from tests.helpers.s3server import BUCKET, serve


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """The AWS_* variables of an S3 server that runs for the session."""
    with serve() as environment:
        yield environment


@pytest.fixture
def s3(s3_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty prefix of a bucket on a running S3 server."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}{tmp_path}/店 铺"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    return open_store(tmp_path / "store" if request.param == "folder" else request.getfixturevalue("s3"))


class Start(Protocol):
    """What the fixture `start` gives."""

    def __call__(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        """Run Python code with arguments in a process of its own, its input and output piped."""
        ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes, and kill those still running at the end."""
    processes: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()
