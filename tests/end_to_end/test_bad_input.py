"""Bad input of every kind: the exit code, one line that names the problem, and no silent loss."""

from __future__ import annotations

import copy
import gzip
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.lease import hold
from pipeline.storage.store import open_store
from tests.helpers.build import (
    Ended,
    cli,
    command,
    digests,
    ledger,
    reference,
    small_page,
    tiny,
    to_line,
    write_run,
)

Page = dict[str, Any]


def run(folder: Path, page: Page, store: Path | None = None) -> Ended:
    """Run a run file whose inputs are below `folder`."""
    path = write_run(folder, page)
    return cli("run", path, "--store", store or folder / "store", "--engine", "local", "--json")


def quarantined(folder: Path, source: str = "docs") -> list[dict[str, Any]]:
    """Quarantined rows of a source."""
    paths = sorted((folder / "store/quarantine" / source).glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def one_line(ended: Ended, code: int) -> str:
    """The message of a command that failed with this code: one line, no traceback."""
    assert ended.code == code, ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("bicorpus: ")]
    assert len(lines) == 1 and "Traceback" not in ended.err
    return lines[0]


# The request itself


def test_missing_run_file(tmp_path: Path) -> None:
    """A run file that is not there: exit 2."""
    message = one_line(cli("run", tmp_path / "none.yaml", "--store", tmp_path / "store"), 2)
    assert "none.yaml: No such file or directory" in message


def test_missing_input(tmp_path: Path) -> None:
    """A pattern that matches nothing: exit 2, with the pattern."""
    page = tiny(tmp_path)
    page["sources"][0]["files"] = "nothing-*.jsonl"
    assert "nothing-*.jsonl: no such file" in one_line(run(tmp_path, page), 2)


def test_store_below_a_file(tmp_path: Path) -> None:
    """A store whose path leads through a file: exit 1 before any work, for `run` and for `plan`."""
    page = tiny(tmp_path)
    (tmp_path / "file").write_text("x")
    ended = run(tmp_path, page, tmp_path / "file" / "store")
    assert "found a file, expected a folder" in one_line(ended, 1)
    for name in ("plan", "status"):
        arguments = [tmp_path / "run.yaml"] if name == "plan" else []
        assert one_line(cli(name, *arguments, "--store", tmp_path / "file" / "store"), 1)


def unknown_section(page: Page) -> None:
    page["anotate"] = []


def unknown_source_key(page: Page) -> None:
    page["sources"][0]["licence"] = "CC0-1.0"


def unknown_config(page: Page) -> None:
    page["annotate"] = [{"use": "stages.minhash", "config": {"n_band": 4}}]


def unknown_column(page: Page) -> None:
    page["annotate"] = ["stages.tokens"]
    page["select"] = [{"name": "short", "tokens.n_token": {"min": 3}}]


def unknown_module(page: Page) -> None:
    page["annotate"] = ["stages.tokenz"]


def duplicate_steps(page: Page) -> None:
    page["annotate"] = ["stages.dedup.exact", "stages.dedup.exact"]


def duplicate_sources(page: Page) -> None:
    page["sources"] *= 2


def null_without_meaning(page: Page) -> None:
    page["global"] = ["stages.dedup.repeated_ids"]
    page["select"] = [{"name": "repeated", "repeats.n_same": {"max": 1}}]


def gated_without_meaning(page: Page) -> None:
    page["annotate"] = ["stages.dedup.exact", {"use": "stages.tokens", "gate": {"source": "docs"}}]
    page["select"] = [{"name": "short", "tokens.n_tokens": {"min": 3}}]


def bad_shares(page: Page) -> None:
    page["annotate"] = ["stages.tokens"]
    page["mix"] = {"mixes": {"m": {"by": "source", "share": {"docs": -0.5, "more": 1.5}}}}


def uncounted_tokens(page: Page) -> None:
    page["mix"] = {"mixes": {"m": {"by": "source", "share": {"docs": 1}}}}


def bad_amount(page: Page) -> None:
    page["ingest"] = {"shard_bytes": "4 gigs"}


def bad_release_name(page: Page) -> None:
    page["release"] = {"name": "../elsewhere"}


def reader_as_stage(page: Page) -> None:
    page["annotate"] = ["stages.readers.jsonl"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown_section, "unknown key 'anotate'; did you mean 'annotate'?"),
        (unknown_source_key, "sources[0]: unknown key 'licence'; did you mean 'license'?"),
        (unknown_config, "unknown key 'n_band'; did you mean 'n_bands'?"),
        (unknown_column, "no column 'tokens.n_token'; did you mean 'tokens.n_tokens'?"),
        (unknown_module, "no module 'stages.tokenz'"),
        (duplicate_steps, "exact"),
        (duplicate_sources, "two entries named 'docs'"),
        (null_without_meaning, "repeats.n_same, which may be null; add `if_null: keep` or `if_null: drop`"),
        (gated_without_meaning, "tokens.n_tokens, which may be null"),
        (bad_shares, "m.share.docs: found -0.5; expected a number from 0"),
        (uncounted_tokens, "mix.mixes.m shares out tokens, which no stage counts"),
        (bad_amount, "ingest.shard_bytes: found '4 gigs'"),
        (bad_release_name, "release.name: '../elsewhere'"),
        (reader_as_stage, "stages.readers.jsonl has no STAGE"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_run_file(change: Callable[[Page], None], message: str, tmp_path: Path) -> None:
    """A run file that cannot work: exit 2, the place and the nearest name, and no store is made."""
    page = tiny(tmp_path)
    change(page)
    assert message in one_line(run(tmp_path, page), 2)
    assert not (tmp_path / "store").exists()


def test_circular_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages that read each other: exit 2, with both names."""
    code = """
import pyarrow as pa
from dataclasses import dataclass
from pipeline.stage import Stage, bind
SCHEMA = pa.schema({"x": pa.int32()})
@dataclass(frozen=True)
class Config: ...
STAGE = Stage(name="%s", version=1, config=Config, reads=("%s.x",), writes=SCHEMA, load=bind(print))
"""
    (tmp_path / "circle_a.py").write_text(code % ("circle_a", "circle_b"))
    (tmp_path / "circle_b.py").write_text(code % ("circle_b", "circle_a"))
    monkeypatch.syspath_prepend(tmp_path)
    page = tiny(tmp_path, annotate=["circle_a", "circle_b"])
    assert "read each other in a circle: circle_a, circle_b" in one_line(run(tmp_path, page), 2)


def test_impossible_ratio(tmp_path: Path) -> None:
    """A ratio that would leave out more than allowed: exit 2 from `plan` and `run`, with the numbers."""
    done, page = reference(), copy.deepcopy(small_page())
    page["mix"]["max_discard"] = 0.01
    run_path, store = done.variant(page), done.copy(tmp_path)
    for name in ("plan", "run"):
        message = one_line(
            cli(name, run_path, "--store", store, *(["--engine", "local"] if name == "run" else [])), 2
        )
        assert "mix half" in message and "max_discard" in message and "%" in message


def test_held_release(tmp_path: Path) -> None:
    """A release that another run is writing: the second run says once for whom it waits, then writes its own."""
    page = tiny(tmp_path)
    lease = hold(open_store(tmp_path / "store"), "release-tiny")
    threading.Timer(6.0, lease.release).start()
    run_path = write_run(tmp_path, page)
    done = cli("run", run_path, "--store", tmp_path / "store", "--engine", "local").ok()
    assert done.err.count("waiting: leases/release-tiny.json: held by ") == 1
    assert run(tmp_path, page).code == 0


# Input files and records


def test_empty_input(tmp_path: Path) -> None:
    """A corpus without a single document: exit 2, nothing to build."""
    page = tiny(tmp_path)
    (tmp_path / "docs.jsonl").write_bytes(b"")
    assert "the sources contain no documents" in one_line(run(tmp_path, page), 2)


def test_an_empty_file_among_others(tmp_path: Path) -> None:
    """An empty file beside others is no error."""
    page = tiny(tmp_path)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    page["sources"][0]["files"] = ["docs.jsonl", "empty.jsonl"]
    assert run(tmp_path, page).ok().json["status"] == "done"


def broken_rows() -> list[tuple[str, bytes]]:
    """(reason, line) of records that are no documents."""
    text = "一行文本 and a line of text"
    return [
        ("invalid_utf8", b'{"text": "caf\xe9 au lait"}\n'),
        ("nul_bytes", to_line({"text": f"{text}\0{text}"}).encode()),
        ("too_long", to_line({"text": "长" * 2_000}).encode()),
        ("no_text", to_line({"id": "no text field"}).encode()),
        ("text_not_string", to_line({"text": 7}).encode()),
        ("empty_text", to_line({"text": " \n　"}).encode()),
        ("invalid_json", b'{"text": "cut off\n'),
        ("not_an_object", b"[1, 2]\n"),
        ("invalid_unicode", b'{"text": "half a pair: \\ud83d"}\n'),
    ]


def test_broken_records_are_quarantined_with_a_reason(tmp_path: Path) -> None:
    """Every kind of broken record is quarantined with its reason, row and bytes; the others become documents."""
    page = tiny(tmp_path, ingest={"max_doc_bytes": 4_000, "max_quarantined_share": 0.95})
    rows = broken_rows()
    with (tmp_path / "docs.jsonl").open("ab") as stream:
        stream.writelines(line for _, line in rows)
    record = run(tmp_path, page).ok().json
    found = quarantined(tmp_path)
    assert [row["reason"] for row in found] == [reason for reason, _ in rows]
    assert [row["input_row"] for row in found] == list(range(8, 8 + len(rows)))
    assert all(row["raw"] for row in found) and all(row["detail"] for row in found)
    assert record["quarantined"]["docs"] == {reason: 1 for reason, _ in rows}
    lineage = json.loads((tmp_path / "store/releases/tiny/lineage.json").read_text(encoding="utf-8"))
    assert (lineage["counts"]["read"], lineage["counts"]["quarantined"]) == (8 + len(rows), len(rows))
    assert len(ledger(tmp_path / "store", "tiny")) == 8
    cli("verify", tmp_path / "store/releases/tiny").ok()


def test_truncated_gzip(tmp_path: Path) -> None:
    """Of a gzip file that was cut off, the whole records are used and the rest is one quarantined row."""
    rows = [{"id": str(i), "text": f"{os.urandom(40).hex()} 第 {i} 篇"} for i in range(400)]
    page = tiny(tmp_path, ingest={"max_quarantined_share": 0.5})
    data = gzip.compress("".join(map(to_line, rows)).encode())
    (tmp_path / "docs.jsonl").write_bytes(data[: len(data) * 2 // 3])
    run(tmp_path, page).ok()
    (row,) = quarantined(tmp_path)
    assert (row["reason"], row["input_row"]) == ("truncated", -1)
    assert 200 < len(ledger(tmp_path / "store", "tiny")) < 400


def test_parquet_with_another_schema(tmp_path: Path) -> None:
    """A Parquet file without a text column: exit 3, naming the reason and the setting that maps columns."""
    page = tiny(tmp_path)
    pq.write_table(pa.table({"headline": ["标题"] * 5, "views": range(5)}), tmp_path / "docs.parquet")
    page["sources"][0] |= {"reader": "stages.readers.parquet", "files": "docs.parquet"}
    message = one_line(run(tmp_path, page), 3)
    assert "no_text 5" in message and "`columns`" in message
    page["sources"][0]["columns"] = {"text": "headline"}
    assert run(tmp_path, page).code == 0


def test_file_of_another_format(tmp_path: Path) -> None:
    """A file that is no Parquet at all: exit 3, with the reason."""
    page = tiny(tmp_path)
    page["sources"][0]["reader"] = "stages.readers.parquet"
    assert "unreadable_parquet 1" in one_line(run(tmp_path, page), 3)


def test_too_much_quarantine(tmp_path: Path) -> None:
    """Above ingest.max_quarantined_share all is built, then exit 3 with share and reasons, until it is raised."""
    page = tiny(tmp_path)
    with (tmp_path / "docs.jsonl").open("ab") as stream:
        stream.writelines(line for _, line in broken_rows()[:1])
    message = one_line(run(tmp_path, page), 3)
    assert "1 of 9 records were quarantined (invalid_utf8 1); allowed are 5.0%" in message
    record = run(tmp_path, page | {"ingest": {"max_quarantined_share": 0.2}}).ok().json
    assert record["tasks"]["ingest"] == 0


def test_repeated_source_ids(tmp_path: Path) -> None:
    """Ids that a source repeats are counted per row and summed up per source, and can be flagged."""
    rows = [{"id": str(i % 6), "text": f"第 {i} 篇, number {i}"} for i in range(8)]
    select = [{"name": "same_id", "repeats.n_same": {"max": 1}, "if_null": "keep", "action": "flag"}]
    page = tiny(tmp_path, rows, select=select) | {"global": ["stages.dedup.repeated_ids"]}
    run(tmp_path, page).ok()
    (summary,) = (tmp_path / "store/global/repeats").glob("*/summary.parquet")
    (row,) = pq.read_table(summary).to_pylist()
    assert (row["source"], row["repeated_ids"], row["rows"]) == ("docs", 2, 4)
    assert sum(row["flags"] == ["same_id"] for row in ledger(tmp_path / "store", "tiny")) == 4


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """An input whose content changed is ingested again, and nothing of the old one is in the release."""
    page = tiny(tmp_path)
    run(tmp_path, page).ok()
    tiny(tmp_path, [{"text": "只有一篇。 One document only."}])
    assert run(tmp_path, page).ok().json["tasks"]["ingest"] == 1
    assert len(ledger(tmp_path / "store", "tiny")) == 1


# The store


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs mounted at a folder; skips where mounting is not allowed."""
    folder.mkdir()
    found = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if found.returncode:
        pytest.skip(f"mounting is not allowed here: {found.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_read_only_store(tmp_path: Path) -> None:
    """A store on a read-only file system: exit 1 before any work, with what to do."""
    page = tiny(tmp_path)
    with mounted(tmp_path / "disk", "ro") as disk:
        assert "mount it writable or name another --store" in one_line(run(tmp_path, page, disk / "store"), 1)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ends the run with exit 1 and advice; once there is room, the run continues to the same bytes."""
    monkeypatch.undo()
    done = reference()
    with mounted(tmp_path / "disk", "size=1m") as disk:
        options = ("--store", disk / "store", "--engine", "local", "--workers", 1, "--quiet")
        assert "free disk space or name another --store" in one_line(
            command("run", done.run_path, *options), 1
        )
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        command("run", done.run_path, *options).ok()
        assert digests(disk / "store") == done.digests
