"""Small builds for tests: inputs drawn from the sample, a run file, the command, and readers of a release.

The inputs are 362 documents of every container, some of them copies and near copies of others, in 13 files.
"""

from __future__ import annotations

import fcntl
import functools
import gzip
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pyarrow.parquet as pq
import yaml
import zstandard
from click.testing import CliRunner

from pipeline.runtime.engines import LocalEngine
from pipeline.storage.store import open_store
from tests.helpers.paths import ROOT, SAMPLE

MAX_BYTES = 4_000
"""Longer records are left out, so that a build takes seconds."""


def write_inputs(folder: Path) -> Path:
    """Draw a small corpus from the sample and write it below `folder`; returns `folder`."""
    zh = _lines(gzip.decompress((SAMPLE / "docs_zh-00.jsonl.gz").read_bytes()), "content", 120)
    en = _lines(_unzstd((SAMPLE / "docs_en-00.jsonl.zst").read_bytes()), "text", 80)
    for name in ("zh", "en", "web"):
        (folder / name).mkdir(parents=True)
    for i in range(6):
        data = "".join(to_line(row) for row in zh[i::6]).encode()
        (folder / "zh" / f"{i:02d}.jsonl.gz").write_bytes(gzip.compress(data, mtime=0))
    for i in range(4):
        data = "".join(to_line(row) for row in en[i::4]).encode()
        (folder / "en" / f"{i:02d}.jsonl.zst").write_bytes(zstandard.compress(data))
    (folder / "web" / "crawl.warc.wet.gz").write_bytes(_wet(62))
    books = pq.read_table(SAMPLE / "books_zh.parquet")
    short = books.filter([len(text) < 1_000 for text in books["text"].to_pylist()])
    pq.write_table(short.slice(0, 40), folder / "books.parquet")
    (folder / "copies.jsonl").write_text("".join(map(to_line, _copies(zh, en))), encoding="utf-8")
    return folder


def _copies(zh: list[dict[str, Any]], en: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """60 copies: exact ones, ones without their last twentieth, and ones with ids that repeat."""
    rows = []
    for i in range(30):
        for row, text in ((zh[3 * i], zh[3 * i]["content"]), (en[2 * i], en[2 * i]["text"])):
            text = text if i % 3 else text[: -len(text) // 20 or None]
            rows.append({"id": f"copy-{i // 2}", "text": text, "license": row["license"]})
    return rows


def to_line(row: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def _lines(data: bytes, field: str, n_rows: int) -> list[dict[str, Any]]:
    rows = []
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get(field), str) and 200 < len(line) < MAX_BYTES:
            rows.append(row)
    assert len(rows) >= n_rows
    return rows[:n_rows]


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data).read()


def _wet(n_records: int) -> bytes:
    """The first short records of the sample's WET file, each a gzip member of its own."""
    data = (SAMPLE / "web_mixed-00.warc.wet.gz").read_bytes()
    members: list[bytes] = []
    while data and len(members) <= n_records:
        inflate = zlib.decompressobj(wbits=31)
        record = inflate.decompress(data)
        member, data = data[: len(data) - len(inflate.unused_data)], inflate.unused_data
        if len(record) < MAX_BYTES:
            members.append(member)
    return b"".join(members)


def small_page(**changes: Any) -> dict[str, Any]:  # Any: sections of a run file
    """A run file over `write_inputs` with stages, global steps, keepers and a ratio; sections can be replaced."""
    page: dict[str, Any] = {
        "corpus": "small",
        "sources": [
            {"name": "zh", "reader": "stages.readers.jsonl", "files": "zh/*.jsonl.gz"},
            {"name": "en", "reader": "stages.readers.jsonl", "files": "en/*.jsonl.zst"},
            {"name": "books", "reader": "stages.readers.parquet", "files": "books.parquet"},
            {"name": "web", "reader": "stages.readers.wet", "files": "web/*.warc.wet.gz", "rank": 1},
            {"name": "copies", "reader": "stages.readers.jsonl", "files": "copies.jsonl", "rank": 2},
        ],
        "ingest": {"shard_bytes": "40kB", "pack_bytes": 0},
        "annotate": [
            "stages.dedup.exact",
            {"use": "stages.minhash", "config": {"seed": 1}},
            "stages.web.boilerplate",
            {"use": "stages.tokens", "view": "release"},
        ],
        "global": ["stages.dedup.repeated_ids", "stages.dedup.candidates", "stages.dedup"],
        "select": [
            {"name": "too_short", "tokens.n_tokens": {"min": 60}},
            {"name": "long", "tokens.n_tokens": {"max": 1000}, "action": "flag"},
        ],
        "keep_one": {"of": "dedup", "prefer": [{"rank": "low"}, {"tokens.n_tokens": "high"}]},
        "mix": {
            "default": "half",
            "mixes": {
                "half": {
                    "by": "source",
                    "groups": {"zh": ["zh", "books"], "en": ["en"]},
                    "share": {"zh": 0.5, "en": 0.5},
                    "max_epochs": 2,
                }
            },
        },
        "release": {"name": "v1", "edits": {"boilerplate": "all"}, "part_bytes": "100kB"},
    }
    return page | changes


def write_run(folder: Path, page: dict[str, Any], name: str = "run.yaml") -> Path:
    """Write a run file beside its inputs."""
    path = folder / name
    path.write_text(yaml.safe_dump(page, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def tiny(folder: Path, rows: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A run file of one source without any stage, and its input of a few documents."""
    folder.mkdir(parents=True, exist_ok=True)
    if rows is None:
        rows = [
            {"id": str(i), "text": f"Document {i} of a small corpus. 小语料库的第 {i} 篇。"} for i in range(8)
        ]
    (folder / "docs.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")
    page = {
        "corpus": "tiny",
        "sources": [{"name": "docs", "reader": "stages.readers.jsonl", "files": "docs.jsonl"}],
    }
    return page | changes


# Commands


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # Any: what the command printed
        """The result of a command with --json."""
        return json.loads(self.out.strip().splitlines()[-1])

    def ok(self) -> Ended:
        """Fail the test unless the command succeeded."""
        assert self.code == 0, f"exit {self.code}\n{self.out}\n{self.err}"
        return self


def map_here(
    _: LocalEngine, fn: Callable[[Any], Any], tasks: Sequence[Any], follow: Callable[[Any], Any] | None = None
) -> Iterator[Any]:
    """Run tasks one after another in this process, pickled like on the way to a worker and back, errors included.

    Any: tasks and results of any phase.
    """
    waiting = list(reversed(tasks))
    while waiting:
        call, argument = pickle.loads(pickle.dumps((fn, waiting.pop())))
        try:
            result = call(argument)
        except Exception as error:
            raise pickle.loads(pickle.dumps(error)) from error
        if follow is not None and (following := follow(result)) is not None:
            waiting.append(following)
        yield pickle.loads(pickle.dumps(result))


@contextmanager
def in_process() -> Iterator[None]:
    """Run the tasks of local engines in this process, which saves the seconds that a worker takes to start.

    Like a new worker, it has no stage loaded yet: a file that a config names may have changed.
    """
    here = mock.patch.object(LocalEngine, "map", lambda *arguments: map_here(*arguments))
    with here, mock.patch("pipeline.annotate.wave._LOADED", {}):
        yield


def cli(*arguments: object) -> Ended:
    """Run `bicorpus` in this process, and the tasks of local engines as well; `command` starts processes."""
    from pipeline.cli import main

    with in_process() if "--engine" in arguments else nullcontext():
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start `bicorpus` in a process group of its own, its output piped.

    Ctrl-C reaches it even where the tests run in the background of a script, which has its children ignore it.
    """
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    search = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(ROOT)]).lstrip(os.pathsep)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": search} | environment, stdout=pipe, stderr=pipe, text=True,
        start_new_session=True, preexec_fn=_heed_ctrl_c,
    )  # fmt: skip


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command(*arguments: object, **environment: str) -> Ended:
    """Run `bicorpus` in a process of its own."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err)


def build(run_path: Path, store: object, *options: object) -> dict[str, Any]:
    """Run a build in this process; returns its record."""
    return dict(cli("run", run_path, "--store", store, "--engine", "local", "--json", *options).ok().json)


@dataclass(frozen=True)
class Reference:
    """A finished build of `small_page`, which tests compare with or copy."""

    inputs: Path
    run_path: Path
    store: Path
    record: dict[str, Any]
    digests: dict[str, str]

    def copy(self, folder: Path) -> Path:
        """A copy of the store to change."""
        return Path(shutil.copytree(self.store, folder / "store"))

    def variant(self, page: dict[str, Any]) -> Path:
        """Another run file over the same inputs."""
        name = hashlib.sha256(yaml.safe_dump(page).encode()).hexdigest()[:8]
        return write_run(self.inputs, page, f"{name}-{os.getpid()}.yaml")


SHARED = "BICORPUS_TEST_FOLDER"
"""Environment variable with a folder that all workers of one test run share; tests/conftest.py makes and removes it."""


@functools.cache
def reference() -> Reference:
    """Build the small corpus once for all tests and workers: two local workers, in a process of its own."""
    folder = Path(os.environ[SHARED])
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "reference.pickle"
        if not made.exists():
            made.write_bytes(pickle.dumps(_build_reference(Path(tempfile.mkdtemp(dir=folder)))))
        found: Reference = pickle.loads(made.read_bytes())
        return found


def _build_reference(folder: Path) -> Reference:
    run_path = write_run(write_inputs(folder / "inputs"), small_page())
    store = folder / "store"
    record = (
        command("run", run_path, "--store", store, "--engine", "local", "--workers", 2, "--json").ok().json
    )
    return Reference(run_path.parent, run_path, store, record, digests(store))


# What is left


def digests(store: object, release: str = "v1") -> dict[str, str]:
    """SHA-256 of every file of a release by its name, for any kind of store."""
    opened = open_store(f"{store}/releases/{release}")
    return {key: hashlib.sha256(opened.get(key)).hexdigest() for key, _ in opened.list("")}


def ledger(store: object, release: str = "v1") -> list[dict[str, Any]]:
    """Rows of a release's ledger."""
    folder = Path(str(store), "releases", release, "ledger")
    return [row for path in sorted(folder.iterdir()) for row in pq.read_table(path).to_pylist()]


def texts(store: object, release: str = "v1") -> dict[str, str]:
    """doc_id -> text of a release's data."""
    folder = Path(str(store), "releases", release, "data")
    tables = [
        pq.read_table(path, columns=["doc_id", "text"]) for path in sorted(folder.glob("*/part-*.parquet"))
    ]
    return {row["doc_id"]: row["text"] for table in tables for row in table.to_pylist()}


def group_members(group: int) -> Iterator[psutil.Process]:
    """Processes of a process group that are not dead."""
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                yield process
        except ProcessLookupError:
            continue


def kill(process: subprocess.Popen[str], whole_group: bool) -> None:
    """Kill a started command with SIGKILL, with its workers or alone, and wait until no process of it is left."""
    if whole_group and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while left := list(group_members(process.pid)):
        assert time.monotonic() < deadline, f"still running 20 s after the driver was killed: {left}"
        time.sleep(0.05)


def check_readable(store: Path) -> int:
    """Read every file of a store to its end, since none may be half-written; returns the number of files."""
    import pyarrow as pa

    opened, n_files = open_store(store), 0
    for key, _ in opened.list(""):
        path, n_files = store / key, n_files + 1
        if key.endswith(".parquet"):
            pq.read_table(path)
        elif key.endswith(".arrow"):
            with pa.ipc.open_file(path) as file:
                file.read_all()
        elif key.endswith(".json"):
            data = path.read_bytes()
            json.loads(_unzstd(data) if data.startswith(b"\x28\xb5\x2f\xfd") else data)
    return n_files
