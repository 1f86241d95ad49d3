"""The small build that other tests start from: its inputs, and the helpers that read what is left of it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.build import (
    MAX_BYTES,
    Ended,
    check_readable,
    cli,
    digests,
    group_members,
    kill,
    ledger,
    small_page,
    texts,
    tiny,
    write_inputs,
    write_run,
)  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs of the small build."""
    return write_inputs(tmp_path_factory.mktemp("inputs") / "in")


def test_inputs_are_the_same_every_time(inputs: Path, tmp_path: Path) -> None:
    """Two calls write the same 13 files, byte for byte."""
    again = write_inputs(tmp_path / "again")
    names = sorted(path.relative_to(inputs) for path in inputs.rglob("*") if path.is_file())
    assert len(names) == 13
    assert all((again / name).read_bytes() == (inputs / name).read_bytes() for name in names)


def test_inputs_are_short_documents_of_every_container(inputs: Path) -> None:
    """120 Chinese documents in six files, 40 books, and nothing longer than the limit."""
    lines = [
        line for path in inputs.glob("zh/*.gz") for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert len(lines) == 120 and max(map(len, lines)) < MAX_BYTES
    assert pq.read_table(inputs / "books.parquet").num_rows == 40


def test_copies_are_exact_or_lack_their_end(inputs: Path) -> None:
    """Of 60 copies two thirds are exact and the others lack their last twentieth; each id occurs four times."""
    rows = [json.loads(line) for line in (inputs / "copies.jsonl").read_text("utf-8").splitlines()]
    originals = {
        json.loads(line)["content"]
        for path in inputs.glob("zh/*.gz")
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    }
    chinese = [row["text"] for row in rows[::2]]
    assert len(rows) == 60
    assert sum(text in originals for text in chinese) == 20
    assert all(any(original.startswith(text) for original in originals) for text in chinese)
    assert set(Counter(row["id"] for row in rows).values()) == {4}


def test_sections_of_a_run_file_are_replaced_and_not_shared() -> None:
    """A change reaches the page that it was asked for and no later one."""
    page = small_page(mix={}, corpus="other")
    page["select"].clear()
    assert (page["mix"], page["corpus"]) == ({}, "other")
    assert small_page()["corpus"] == "small" and len(small_page()["select"]) == 2


def test_a_finished_build_is_read_back(tmp_path: Path) -> None:
    """Ledger, texts and digests are those of the release, and a changed byte changes a digest."""
    run, store = write_run(tmp_path, tiny(tmp_path, release={"name": "v1"})), tmp_path / "store"
    cli("run", run, "--store", store, "--engine", "local", "--workers", 1, "--quiet").ok()
    rows = ledger(store)
    assert len(rows) == 8 and set(texts(store)) == {row["doc_id"] for row in rows if row["keep"]}
    before = digests(store)
    path = store / "releases/v1/report.json"
    path.write_bytes(path.read_bytes() + b" ")
    after = digests(store)
    assert {name for name in before if before[name] != after[name]} == {"report.json"}


def test_failures_show_what_the_command_wrote() -> None:
    """`ok` fails with the output of a command that failed; a result is the last line of the output."""
    with pytest.raises(AssertionError, match=r"exit 2\s+out\s+err"):
        Ended(2, "out", "err").ok()
    assert Ended(0, 'progress\n{"n": 1}\n', "").ok().json == {"n": 1}
    assert cli("no-such-command").code == 2


@pytest.mark.parametrize("name", ["shards/a.parquet", "b.arrow", "c.json"])
def test_half_a_file_is_not_readable(name: str, tmp_path: Path) -> None:
    """Whole files are counted; a file that ends early raises."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    table = pa.table({"n": range(1000)})
    if name.endswith(".parquet"):
        pq.write_table(table, path)
    elif name.endswith(".arrow"):
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_text(json.dumps({"n": list(range(1000))}), "utf-8")
    assert check_readable(tmp_path) == 1
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        check_readable(tmp_path)


def test_kill_ends_a_command_and_its_children() -> None:
    """After `kill` no process of the group is left."""
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    code = f"{child}; print('ready', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    assert len(list(group_members(process.pid))) == 2
    kill(process, whole_group=True)
    assert list(group_members(process.pid)) == []
