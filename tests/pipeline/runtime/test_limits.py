"""Reading under limits: memory, time and errors of a reader end its file; those of the storage end the run."""

from __future__ import annotations

import io
import os
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from pipeline.config.run_file import Ingest, Source
from pipeline.errors import ConfigError
from pipeline.ingest.apart import verdict
from pipeline.ingest.ingest import Group, IngestTask, ingest_group
from pipeline.runtime.engines import _retry
from pipeline.runtime.limits import limits_of
from pipeline.stage import Reader, Record
from pipeline.storage.store import list_inputs, open_store


@dataclass(frozen=True, kw_only=True)
class Config:
    """Small limits."""

    file_seconds: float = 0.3
    file_memory_bytes: int = 128 << 20


def read(stream: BinaryIO, path: str, config: Any) -> Iterator[Record]:
    """Do what the file's text says, after one document."""
    what = stream.read(100).decode()
    yield Record(0, {"text": f"a document before: {what}"})
    if what == "memory":
        yield Record(1, {"text": "x", "rest": [bytes(64 << 20) for _ in range(9)]})
    elif what == "time":
        while True:
            pass
    elif what == "error":
        raise IndexError("a mistake of the reader")
    elif what == "config":
        raise ConfigError("a setting")
    elif what == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)


READER = Reader(name="odd", version=1, config=Config, read=read, fields={"text": ("text",)})


def last(what: str) -> Record:
    """The last record of a file."""
    stream = io.BytesIO(what.encode())
    with limits_of(Config(), 10) as limits:
        return list(limits.each(READER, stream, "f", Config()))[-1]


@pytest.mark.parametrize(
    ("what", "reason"),
    [("memory", "reader_memory"), ("time", "reader_timeout"), ("error", "reader_failed"), ("fine", None)],
)
def test_limits_end_a_file_and_are_lifted(what: str, reason: str | None) -> None:
    """The last record has the reason; afterwards the process has the limits that it had."""
    before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)]
    handler = signal.getsignal(signal.SIGPROF)
    assert last(what).reason == reason
    assert before == [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)]
    assert signal.getsignal(signal.SIGPROF) is handler
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_errors_of_settings_and_storage_are_raised() -> None:
    """They are not the file's fault."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(ConfigError, match="a setting"):
        last("config")
    with pytest.raises(OSError, match="the disk is gone"), limits_of(Config(), 1) as limits:
        list(limits.each(READER, Broken(), "f", Config()))


def task(folder: Path, texts: dict[str, str]) -> IngestTask:
    """Ingest small files with these contents."""
    (folder / "in").mkdir()
    for name, text in texts.items():
        (folder / "in" / name).write_text(text)
    source = Source(
        name="s", reader_name="", reader=READER, reader_config=Config(), files=(f"{folder}/in/*",), columns={}
    )
    files = tuple(list_inputs(f"{folder}/in/*"))
    return IngestTask(open_store(str(folder / "store")), Group(source, files), Ingest())


def test_a_file_that_ends_its_process_costs_itself(tmp_path: Path) -> None:
    """After a loss the group is read apart: the file at fault is quarantined, and the others give their documents."""
    first = task(tmp_path, {"a": "fine", "b": "dies", "c": "error", "d": "fine"})
    again, attempt = _retry(first, 1, RuntimeError("the worker died"))
    assert attempt == 2
    assert again == replace(first, apart=True)
    report = ingest_group(again)
    assert report.quarantined == {"reader_crashed": 1, "reader_failed": 1}
    assert sum(shard.n_rows for shard in report.shards) == 2
    assert [[name, str(end).partition(":")[0]] for name, end, _ in report.ended] == [
        ["b", "reader_crashed"], ["c", "reader_failed"],
    ]  # fmt: skip
    assert report.tally.lost_bytes == len("dies") + len("error")


def test_the_end_of_a_process_has_a_reason() -> None:
    """By the signal that ended it."""
    reasons = {
        -signal.SIGXCPU: "reader_timeout",
        -signal.SIGKILL: "reader_memory",
        -signal.SIGABRT: "reader_crashed",
    }
    assert {status: verdict(status).reason for status in reasons} == reasons
