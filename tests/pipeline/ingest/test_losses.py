"""What a run loses: weighed by what it costs, said in any case; mapped columns without values; folders as columns."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.run_file import Ingest, Source
from pipeline.dataset.partitions import dataset_folder, partitions_of
from pipeline.ingest.ingest import PACK_BYTES, Group, find_groups
from stages.readers import jsonl
from tests.helpers.build import Ended, cli, texts, write_run
from tests.helpers.inputs import EN, ZH, init
from tests.helpers.records import documents, lines, parquet_bytes
from tests.helpers.warc import page, response

pytest_plugins = ("tests.helpers.stores",)


def rows(n: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Records of documents that differ."""
    return [{"id": str(i), "text": f"{ZH} 第 {i} 号。{EN}", **more} for i in range(start, start + n)]


def as_lines(records: list[dict[str, Any]]) -> bytes:
    """The records as JSON Lines."""
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode()


def run(
    folder: Path, files: dict[str, bytes], pattern: str = "*", reader: str = "jsonl", **source: Any
) -> Ended:
    """Build a release of files in a folder `in`."""
    for name, data in files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    entry = {"name": "s", "reader": f"stages.readers.{reader}", "files": f"in/{pattern}", **source}
    run_path = write_run(folder, {"corpus": "c", "sources": [entry], "release": {"name": "v1"}})
    return cli("run", run_path, "--store", folder / "store", "--engine", "local", "--workers", 1)


def released(folder: Path, column: str) -> list[Any]:
    """Values of a column of the release, in any order."""
    tables = [pq.read_table(path) for path in (folder / "store/releases/v1/data").rglob("*.parquet")]
    return pa.concat_tables(tables)[column].to_pylist()


# Losses


def test_an_array_beside_lines_is_read(tmp_path: Path) -> None:
    """Whatever the file is called, and every document of it (huggingface/datasets#4997)."""
    array = json.dumps(rows(60, 40), ensure_ascii=False).encode()
    done = run(tmp_path, {"a.jsonl": as_lines(rows(40)), "b.jsonl": array})
    assert done.code == 0
    assert len(texts(tmp_path / "store")) == 100
    assert "100 of 100 documents kept, 0 records in quarantine" in done.err


NOISE = b"\n".join(lines(800))
ENDINGS: dict[str, tuple[str, Callable[[], dict[str, bytes]]]] = {
    "gzip that ends half way": ("jsonl", lambda: {"b.jsonl.gz": gzip.compress(NOISE)[:20_000]}),
    "bytes behind gzip": ("jsonl", lambda: {"b.jsonl.gz": gzip.compress(NOISE[:5000]) + NOISE}),
    "no WARC behind a record": ("warc", lambda: {"b.warc": response(page("x")) + NOISE}),
    "a Parquet file without a footer": ("parquet", lambda: {"b.parquet": parquet_bytes(documents(900))[:-9]}),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_file_that_ends_early_counts_as_the_bytes_behind_it(name: str, tmp_path: Path) -> None:
    """One broken record of many is below the limit; half of the bytes are not (huggingface/datatrove#78)."""
    reader, make = ENDINGS[name]
    good = {
        "jsonl": {"a.jsonl": as_lines(rows(40))},
        "warc": {"a.warc": b"".join(response(page(f"{EN} {i}"), i) for i in range(40))},
        "parquet": {"a.parquet": parquet_bytes(documents(100))},
    }[reader]
    done = run(tmp_path, good | make(), reader=reader)
    assert done.code == 3
    (line,) = [line for line in done.err.splitlines() if "ends early" in line]
    assert line.startswith("warning: source s: b.") and "bytes of the file are lost" in line


def test_a_small_loss_is_said_and_stops_nothing(tmp_path: Path) -> None:
    """A few bytes behind a complete member: the line is printed, also by a run that finds all done; exit code 0."""
    files = {"a.jsonl.gz": gzip.compress(as_lines(rows(40))) + b"\n"}
    first = run(tmp_path, files)
    again = run(tmp_path, files)
    for done in (first, again):
        assert done.code == 0
        assert "a.jsonl.gz ends early (corrupt_stream: blank bytes behind the last gzip member" in done.err


def test_a_wrapped_array_is_weighed_by_its_bytes(tmp_path: Path) -> None:
    """`{"data": […]}` has no text: one record of 41, but most of the bytes."""
    wrapped = json.dumps({"data": rows(60)}).encode()
    done = run(tmp_path, {"a.jsonl": as_lines(rows(40)), "b.json": wrapped})
    assert done.code == 3
    assert "bytes of records were quarantined (no_text 1)" in done.err
    assert "no document in b.json (no_text 1)" in done.err


def test_skipped_records_are_counted(tmp_path: Path) -> None:
    """Records of an archive that are no pages are in no quarantine, but on the terminal."""
    data = (
        response(page(EN))
        + response(b"\x89PNG", 1, kind="image/png")
        + response("", 2, status="404 Not Found")
    )
    done = run(tmp_path, {"a.warc": data, "b.warc": response("", 3, status="301 Moved")}, reader="warc")
    assert done.code == 0
    assert "source s: 3 records are no documents and were skipped" in done.err
    assert "status 404 1" in done.err and "content type image/png 1" in done.err
    assert "no document in b.warc (status 301 1)" in done.err


# Columns


@pytest.mark.parametrize(
    ("column", "named", "answer"),
    [
        ("edu.score", "metadata.edu_scores", "did you mean 'metadata.edu_score'?"),
        ("url", "page_url", "did you mean 'page_uri'?"),
        ("snapshot", "dump", "expected one of"),
        ("edu.score", "as_text", "no value of it is a number"),
    ],
)
def test_a_column_that_no_record_answers_ends_the_run(
    column: str, named: str, answer: str, tmp_path: Path
) -> None:
    """A misspelt field would be null in every row, and `if_null` would decide."""
    records = rows(20, metadata={"edu_score": 3.5}, page_uri="http://a.example/", as_text="3.5")
    done = run(tmp_path, {"a.jsonl": as_lines(records)}, columns={column: named})
    assert done.code == 2
    assert f"sources.s.columns.{column} is {named}" in done.err and answer in done.err


def test_a_column_that_is_always_null_is_said(tmp_path: Path) -> None:
    """The field exists: the run goes on."""
    done = run(tmp_path, {"a.jsonl": as_lines(rows(20, lic=None))}, columns={"license": "lic"})
    assert done.code == 0
    assert "columns.license is lic; the field is null or empty in every record" in done.err


def test_a_column_that_one_record_answers_is_enough(tmp_path: Path) -> None:
    """In any file of the source; `text` may name several fields, of which the first with text counts."""
    files = {
        "a.jsonl": as_lines(rows(20)),
        "b.jsonl": as_lines([{"text": " ", "body": EN, "u": "http://a.example/"}]),
    }
    done = run(tmp_path, files, columns={"url": "u", "text": ["text", "body"]})
    assert done.code == 0
    assert EN in texts(tmp_path / "store").values()


# Folders as columns


@pytest.mark.parametrize("pattern", ["**/*", "dump=A/**/*"])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_folders_are_columns(kind: str, pattern: str, tmp_path: Path) -> None:
    """Partitions answer mapped and usual columns, below the fixed folder of the pattern and right above it
    (pola-rs/polars#12903, apache/arrow#41779)."""
    files = {}
    for i, (dump, language) in enumerate([("A", "zh"), ("A", "en"), ("B", "zh")]):
        records = rows(10, 10 * i)
        data = as_lines(records) if kind == "jsonl" else parquet_bytes(pa.Table.from_pylist(records))
        files[f"dump={dump}/lang={language}/part-0.{kind}"] = data
    done = run(tmp_path, files, pattern, kind, columns={"provenance": "lang"})
    assert done.code == 0
    assert "columns from the names of folders: dump, lang" in done.err
    assert set(released(tmp_path, "snapshot")) == ({"A", "B"} if pattern == "**/*" else {"A"})
    assert set(released(tmp_path, "provenance")) == {"zh", "en"}


def test_names_of_partitions() -> None:
    """Values are percent-encoded, nulls have a name, and folders above the root count next to it only."""
    assert partitions_of("/d/a=1/x/b=%E4%B8%AD/c=__HIVE_DEFAULT_PARTITION__/f", "f") == {"b": "中"}
    assert partitions_of("/d/a=1/b=2/f", "b=2/f") == {"a": "1", "b": "2"}
    assert partitions_of("s3://bucket/set/year=2024/f.parquet", "f.parquet") == {"year": "2024"}
    assert partitions_of("/d/x=/=y/2=3/f", "f") == {}
    assert dataset_folder("/d/set/a=1/b=2") == "/d/set"


def test_init_proposes_one_source_for_a_partitioned_data_set(tmp_path: Path) -> None:
    """Four folders are one data set; its partitions become columns."""
    for dump in ("CC-MAIN-2024-10", "CC-MAIN-2024-18"):
        for language in ("zh", "en"):
            path = tmp_path / "set" / f"dump={dump}" / f"language={language}" / "part-0.jsonl"
            path.parent.mkdir(parents=True)
            path.write_bytes(as_lines(rows(5)))
    draft, run_file = init(tmp_path)
    (source,) = draft.sources
    assert source.patterns == ("set/**/part-*.jsonl",)
    assert source.columns()["snapshot"] == "dump"
    assert dict(run_file.sources[0].columns)["snapshot"] == "dump"


# Packs


def groups(folder: Path, sizes: dict[str, int], **ingest: Any) -> list[Group]:
    """Groups of files of these sizes."""
    for name, size in sizes.items():
        with open(folder / name, "wb") as file:
            file.truncate(size)
    source = Source(
        name="s", reader_name="r", reader=jsonl.READER, reader_config=None, files=(f"{folder}/*",), columns={}
    )
    return find_groups(source, Ingest(**ingest))


def test_small_files_share_a_shard_by_their_bytes(tmp_path: Path) -> None:
    """Thousands of small files make few groups, some of 200 kB more, each within a bound."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "small").mkdir()
    tiny = groups(tmp_path / "tiny", {f"{i:05}": 700 for i in range(5000)})
    small = groups(tmp_path / "small", {f"{i:05}": 200_000 for i in range(400)})
    assert len(tiny) <= 4
    assert 4 <= len(small) <= 25
    assert max(group.n_bytes for group in small) < 9 * PACK_BYTES
    assert [f.relative for g in small for f in g.files] == sorted(f.relative for g in small for f in g.files)


def test_a_new_small_file_changes_its_pack_only(tmp_path: Path) -> None:
    """Borders follow from the hash and the size of single files."""
    sizes = {f"{i:05}": 900_000 for i in range(60)}
    before = {tuple(file.relative for file in group.files) for group in groups(tmp_path, sizes)}
    after = {tuple(file.relative for file in group.files) for group in groups(tmp_path, {"00030x": 900_000})}
    assert len(before) > 4
    assert len(before - after) == 1
