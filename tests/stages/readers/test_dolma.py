"""The Dolma reader: attributes are joined to their documents row by row, or refused with a reason."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, InputError
from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.stage import Record
from stages.readers import dolma, jsonl
from tests.helpers.build import build, cli, write_run
from tests.helpers.inputs import jsonl as write_jsonl
from tests.helpers.records import lines, reasons
from tests.helpers.records import read as read_bytes

FILE = "books/zh/0000.json.gz"
TEXTS = ("图书馆五点关门。", "The library closes at five.", "圖書館😀五點關門。")


def documents() -> list[dict[str, Any]]:
    """Three documents as Dolma has them."""
    return [
        {
            "id": f"d{i}", "text": text, "source": "books", "added": "2024-01-02T00:00:00.000Z",
            "created": "2001-05-06T00:00:00.000Z", "metadata": {"url": f"https://例子.cn/{i}", "year": 2001},
        }
        for i, text in enumerate(TEXTS)
    ]  # fmt: skip


def rows(**attributes: Any) -> list[dict[str, Any]]:
    """One row of attributes for each document: the values at the document's place."""
    return [
        {
            "id": f"d{i}",
            "source": "books",
            "attributes": {key: values[i] for key, values in attributes.items()},
        }
        for i in range(len(TEXTS))
    ]


def whole(*values: Any) -> list[list[list[Any]]]:
    """Spans of the whole texts, with these values."""
    return [[[0, len(text), value]] for text, value in zip(TEXTS, values, strict=True)]


def write(root: Path, **attributes: list[dict[str, Any]]) -> Path:
    """A folder of documents with these attribute files; returns the document file."""
    for name, found in attributes.items():
        write_jsonl(root / "attributes" / name / FILE, found)
    return write_jsonl(root / "documents" / FILE, documents())


def read(path: Path, *names: str) -> list[Record]:
    """Records of a document file with these attributes."""
    with open(path, "rb") as stream:
        return list(dolma.read(stream, FILE, dolma.Config(attributes=names)))


def fields(record: Record) -> dict[str, Any]:
    """Fields of a record that is whole."""
    assert record.fields is not None, record.detail
    return record.fields


def test_attributes_join_their_documents(tmp_path: Path) -> None:
    """Attributes of all files come with each document; numbers for the whole text are scores, in code points."""
    quality, pii = (
        rows(q__ft__hq=whole(0.5, 0.25, 0.125), plain=[1, 2.5, 3]),
        rows(pii__v1__phone=[[], [[4, 11, 1]], []]),
    )
    records = read(write(tmp_path, quality=quality, pii=pii), "quality", "pii")
    assert reasons(records) == [(0, None), (1, None), (2, None)]
    assert [fields(r)["scores"] for r in records] == [
        {"q__ft__hq": 0.5, "plain": 1},
        {"q__ft__hq": 0.25, "plain": 2.5},
        {"q__ft__hq": 0.125, "plain": 3},
    ]
    assert [fields(r)["attributes"]["pii__v1__phone"] for r in records] == [[], [[4, 11, 1]], []]
    assert [fields(r)["text"] for r in records] == list(TEXTS)


@pytest.mark.parametrize(
    "value", [True, "high", None, [], [[0, 3, 1.0]], [[0, 8, 1.0], [0, 8, 2.0]], [[0, 8, None]], {}]
)
def test_what_is_no_number_of_the_whole_text_is_no_score(tmp_path: Path, value: Any) -> None:
    """Labels, spans of parts of the text, several spans and nulls are kept as attributes."""
    (first, *_) = read(write(tmp_path, a=rows(key=[value, 1, 1])), "a")
    assert (fields(first)["scores"], fields(first)["attributes"]) == ({}, {"key": value})


def test_columns_of_a_document(tmp_path: Path) -> None:
    """Id, url and date have their columns without a mapping; scores become annotations by name."""
    records = read(write(tmp_path, quality=rows(hq=whole(0.5, 0.25, 0.125))), "quality")
    columns = {"ai2.quality": "scores.hq"}
    out = Rows(SourceInfo(name="s", input=FILE, columns=columns, fields=dolma.READER.fields))
    for record in records:
        out.add(record)
    docs, quarantined, scores = out.take()
    assert quarantined.num_rows == 0
    assert docs["source_id"].to_pylist() == ["d0", "d1", "d2"]
    assert docs["url"][1].as_py() == "https://例子.cn/1"
    assert docs["date"][0].as_py() == "2001-05-06T00:00:00.000Z"
    assert json.loads(docs["meta"][0].as_py())["metadata"]["year"] == 2001
    assert scores["ai2"]["quality"].to_pylist() == [0.5, 0.25, 0.125]


def test_without_attributes_it_is_jsonl(tmp_path: Path) -> None:
    """Without attributes documents are read as JSON Lines, from any path and any stream."""
    path = write(tmp_path)
    assert [r.fields for r in read(path)] == documents()
    data = b"\n".join([*lines(3), b"[]", b""])
    assert read_bytes(dolma.READER, data) == read_bytes(jsonl.READER, data)


def test_another_id_is_misaligned(tmp_path: Path) -> None:
    """Rows in another order quarantine the documents they do not belong to, with both ids."""
    quality = rows(hq=whole(0.5, 0.25, 0.125))
    quality[1], quality[2] = quality[2], quality[1]
    records = read(write(tmp_path, quality=quality), "quality")
    assert reasons(records) == [(0, None), (1, "attributes_misaligned"), (2, "attributes_misaligned")]
    assert "attributes/quality/books/zh/0000.json.gz: row 1 has id 'd2', the document 'd1'" in str(
        records[1].detail
    )
    assert json.loads(records[1].raw or b"") == {"id": "d1", "text": TEXTS[1]}


def test_a_short_attribute_file_is_misaligned(tmp_path: Path) -> None:
    """Documents beyond the end of an attribute file are broken, those before it are whole."""
    records = read(write(tmp_path, a=rows(x=[1, 2, 3]), b=rows(y=[1, 2, 3])[:1]), "a", "b")
    assert reasons(records) == [(0, None), (1, "attributes_misaligned"), (2, "attributes_misaligned")]
    assert str(records[1].detail) == f"attributes/b/{FILE} ends before it"


def test_a_long_attribute_file_is_misaligned(tmp_path: Path) -> None:
    """Rows left over are one broken record of no position, after all documents."""
    more = [*rows(x=[1, 2, 3]), {"id": "d3", "attributes": {}}]
    records = read(write(tmp_path, a=more, b=more), "a", "b")
    assert reasons(records) == [(0, None), (1, None), (2, None), (-1, "attributes_misaligned")]
    assert "row 3 has no document" in str(records[3].detail)


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (b'{"id": "d1", "attr', "invalid_json"),
        (b"[1]", "not_an_object"),
        (b'{"id": "d1"}', "no object `attributes`"),
        (b'{"id": "d1", "attributes": [1]}', "no object `attributes`"),
        (b'{"attributes": {}}', "id None, the document 'd1'"),
    ],
)
def test_a_broken_row_costs_its_document(tmp_path: Path, row: bytes, detail: str) -> None:
    """A row that cannot be read breaks its own document, and the next one is whole again."""
    path = write(tmp_path)
    good = [json.dumps(r).encode() for r in rows(x=[1, 2, 3])]
    file = tmp_path / "attributes/a" / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\n".join([good[0], row, good[2]]))
    records = read(path, "a")
    assert reasons(records) == [(0, None), (1, "attributes_misaligned"), (2, None)]
    assert detail in str(records[1].detail)


def test_a_broken_document_uses_up_its_attributes(tmp_path: Path) -> None:
    """Documents after a broken line keep their own attributes."""
    path = write(tmp_path, a=rows(x=[1, 2, 3]))
    good = [json.dumps(document).encode() for document in documents()]
    path.write_bytes(b"\n".join([good[0], b"{broken", good[2]]))
    records = read(path, "a")
    assert reasons(records) == [(0, None), (1, "invalid_json"), (2, None)]
    assert fields(records[2])["scores"] == {"x": 3}


def test_a_cut_document_file_does_not_blame_its_attributes(tmp_path: Path) -> None:
    """Documents before the damage are whole, the damage is named, rows after it are not."""
    path = write(tmp_path, a=rows(x=[1, 2, 3]))
    path.write_bytes(path.read_bytes()[:-40])
    records = read(path, "a")
    assert all(record.fields for record in records[:-1])
    assert reasons(records)[-1] == (-1, "truncated")


def test_a_missing_attribute_file_stops(tmp_path: Path) -> None:
    """A document file without its attributes is an error of the run, not of each document."""
    with pytest.raises(InputError, match=r"attributes/b/books/zh/0000.json.gz: No such file"):
        read(write(tmp_path, a=rows(x=[1, 2, 3])), "a", "b")


def test_attributes_need_a_folder_of_documents(tmp_path: Path) -> None:
    """A stream of no file, or a file outside a folder `documents`, has no place for attributes."""
    path = write_jsonl(tmp_path / "elsewhere" / FILE, documents())
    with pytest.raises(InputError, match="below a folder named documents"):
        read(path, "a")
    with pytest.raises(InputError, match="below a folder named documents"):
        list(dolma.read(io.BytesIO(b"{}"), FILE, dolma.Config(attributes=("a",))))


def test_the_last_folder_of_documents_counts(tmp_path: Path) -> None:
    """A home folder that happens to be named `documents` is not the place of the attributes."""
    path = write(tmp_path / "documents" / "dolma", a=rows(x=[1, 2, 3]))
    assert [fields(record)["scores"]["x"] for record in read(path, "a")] == [1, 2, 3]


@pytest.mark.parametrize("name", ["", "../a", "/a", "a//b", "."])
def test_attribute_names_stay_in_their_folder(name: str) -> None:
    """A name that would leave the attributes is refused."""
    with pytest.raises(ConfigError, match="expected names of folders"):
        dolma.Config(attributes=(name,))


def test_no_bytes_of_attributes_make_it_raise(tmp_path: Path) -> None:
    """Random damage of an attribute file breaks documents and never loses one."""
    path = write(tmp_path, a=rows(x=[1, 2, 3]))
    file = tmp_path / "attributes/a" / FILE
    data, noise = file.read_bytes(), random.Random(5)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(noise.randrange(1, 4)):
            damaged[noise.randrange(len(damaged))] = noise.randrange(256)
        file.write_bytes(damaged[: noise.randrange(len(damaged) + 1)])
        records = read(path, "a")
        assert [record.position for record in records if record.position >= 0] == [0, 1, 2]
        assert {record.reason for record in records} <= {None, "attributes_misaligned"}


def test_a_changed_attribute_file_is_read_again(tmp_path: Path) -> None:
    """When only attributes change, their documents get the new values, and nothing else is read again."""
    paths = [f"books/{i:02}.jsonl" for i in range(3)]
    for i, path in enumerate(paths):
        found = [document | {"id": f"{i}-{document['id']}"} for document in documents()]
        write_jsonl(tmp_path / "documents" / path, found)
        write_scores(tmp_path, path, i, [0.5, 0.25, 0.125])
    source = {
        "name": "dolma", "reader": "stages.readers.dolma", "files": "documents/**/*.jsonl",
        "config": {"attributes": ["quality"]}, "columns": {"ai2.quality": "scores.hq"},
    }  # fmt: skip
    page = {"corpus": "c", "sources": [source], "ingest": {"pack_bytes": 0}}  # each file a group of its own
    page["select"] = [{"name": "bad", "ai2.quality": {"min": 0.2}, "if_null": "drop"}]
    run_path, store = write_run(tmp_path, page), tmp_path / "store"
    assert build(run_path, store)["kept"] == 6
    shards = {path.name for path in (store / "shards").glob("*.parquet")}
    assert len(shards) == 3
    write_scores(tmp_path, paths[1], 1, [0.9, 0.1, 0.1])
    (tmp_path / "attributes" / "other").mkdir()
    record = build(run_path, store)
    assert (record["tasks"]["ingest"], record["kept"]) == (1, 5)
    assert len({path.name for path in (store / "shards").glob("*.parquet")} - shards) == 1
    assert build(run_path, store)["tasks"]["ingest"] == 0
    (tmp_path / "attributes" / "quality" / paths[2]).touch()  # the same bytes at another time
    record = build(run_path, store)
    assert (record["tasks"]["ingest"], record["tasks"]["release"]) == (1, 0)


def write_scores(root: Path, path: str, i: int, values: list[float]) -> None:
    """The attribute file of one document file: a score for each document."""
    found = [row | {"id": f"{i}-{row['id']}"} for row in rows(hq=whole(*values))]
    write_jsonl(root / "attributes" / "quality" / path, found)


def test_a_missing_attribute_file_stops_before_any_work(tmp_path: Path) -> None:
    """A run and its plan name the attribute file that is not there, and nothing is ingested."""
    write(tmp_path)
    source = {
        "name": "dolma", "reader": "stages.readers.dolma", "files": "documents/**/*.gz",
        "config": {"attributes": ["quality"]},
    }  # fmt: skip
    run_path = write_run(tmp_path, {"corpus": "c", "sources": [source]})
    for command in ("plan", "run"):
        ended = cli(command, run_path, "--store", tmp_path / "store")
        assert ended.code == 2
        assert f"attributes/quality/{FILE}: no such file" in ended.err
    assert not list((tmp_path / "store").rglob("*.parquet"))
