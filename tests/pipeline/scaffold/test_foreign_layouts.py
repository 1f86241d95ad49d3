"""Layouts of other tools that `init` recognises: Dolma's attributes, datatrove's metadata."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.scaffold.draft import write_draft
from pipeline.scaffold.find_files import Unread
from tests.helpers.build import build
from tests.helpers.inputs import EN, ZH, init, jsonl, parquet


def dolma(root: Path, names: tuple[str, ...] = ("quality", "pii")) -> None:
    """Two document files with attributes."""
    for i, text in enumerate((ZH, EN)):
        path = f"web/{i:04}.json.gz"
        rows = [
            {
                "id": f"{i}-{n}",
                "text": text,
                "source": "s",
                "created": "2024-05-06",
                "metadata": {"url": f"https://e.cn/{n}"},
            }
            for n in range(3)
        ]
        jsonl(root / "documents" / path, rows)
        for name in names:
            whole = [[0, len(text), 0.25 * i]]
            found = [
                {
                    "id": row["id"],
                    "attributes": {f"{name}__v1__score": whole, f"{name}__v1__spans": [[0, 2, 1.0]]},
                }
                for row in rows
            ]
            jsonl(root / "attributes" / name / path, found)


def test_dolma_documents_bring_their_attributes(tmp_path: Path) -> None:
    """Documents below `documents` are read with the attributes beside them; whole-text numbers become columns."""
    dolma(tmp_path / "in")
    draft, run = init(tmp_path, tmp_path / "in")
    (source,) = run.sources
    assert source.reader_name == "stages.readers.dolma"
    assert source.reader_config.attributes == ("pii", "quality")
    scores = {"scores.pii__v1__score", "scores.quality__v1__score"}
    assert scores <= source.columns.keys()
    assert draft.unread == ()  # attribute files are part of the source
    assert {s.name: s.languages() for s in draft.sources} == {source.name: {"Chinese": 3, "Latin script": 3}}
    record = build(Path(draft.path), tmp_path / "store")
    assert (record["ingested"], record["quarantined"]) == (6, {source.name: {}})
    (folder,) = (tmp_path / "store" / "annotations" / "scores").iterdir()
    values = [
        v for path in folder.glob("*.parquet") for v in pq.read_table(path)["quality__v1__score"].to_pylist()
    ]
    assert sorted(values) == [0.0, 0.0, 0.0, 0.25, 0.25, 0.25]


def test_documents_without_attributes_are_json_lines(tmp_path: Path) -> None:
    """The folder alone makes no Dolma: without attributes it is read as any JSON Lines."""
    dolma(tmp_path / "in", ())
    _, run = init(tmp_path, tmp_path / "in")
    assert run.sources[0].reader_name == "stages.readers.jsonl"
    assert run.sources[0].columns["url"] == "metadata.url"


def test_attributes_of_some_files_make_a_source_of_their_own(tmp_path: Path) -> None:
    """Files with other attributes are another source, since a run requires all attributes it is given."""
    dolma(tmp_path / "in")
    os.remove(tmp_path / "in" / "attributes" / "pii" / "web" / "0001.json.gz")
    draft, run = init(tmp_path, tmp_path / "in")
    assert sorted(s.reader_config.attributes for s in run.sources) == [("pii", "quality"), ("quality",)]
    assert build(Path(draft.path), tmp_path / "store")["ingested"] == 6


def test_attributes_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    """Where rows and documents have different ids, the documents are read alone."""
    dolma(tmp_path / "in", ("quality",))
    for i in range(2):
        path = tmp_path / "in" / "attributes" / "quality" / "web" / f"{i:04}.json.gz"
        jsonl(path, [{"id": "other", "attributes": {"a": 1}}] * 3)
    draft, run = init(tmp_path, tmp_path / "in")
    assert run.sources[0].reader_name == "stages.readers.jsonl"
    assert len(draft.unread) == 2 and all("rows are not those of" in item.reason for item in draft.unread)


def test_attributes_alone_say_where_their_documents_are(tmp_path: Path) -> None:
    """A folder of attributes is no input; the message names the folder of their documents."""
    dolma(tmp_path / "in", ("quality",))
    other = jsonl(tmp_path / "b.jsonl", [{"text": EN}])
    draft, run = init(tmp_path, tmp_path / "in" / "attributes", other)
    assert [source.name for source in run.sources] == ["b"]
    reasons = {item.reason for item in draft.unread if isinstance(item, Unread)}
    assert len(reasons) == 2 and all("name the folder of both" in reason for reason in reasons)


ROWS: list[dict[str, Any]] = [
    {
        "text": ZH + str(i) if i % 2 else EN + str(i),
        "id": f"<urn:uuid:{i}>",
        "metadata": {
            "url": f"https://例子.cn/{i}", "date": "2024-05-18T01:58:10Z", "dump": "CC-MAIN-2024-22",
            "language": "zh" if i % 2 else "en", "language_score": 0.5 + i / 100, "token_count": 100 + i,
        },
    }
    for i in range(20)
]  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_datatrove_metadata_become_columns(tmp_path: Path, kind: str) -> None:
    """Output of datatrove's writers is recognised: url, date, and its numbers and language as columns for rules."""
    path = tmp_path / "in" / f"000_00000.{kind}"
    path.parent.mkdir()
    {"jsonl": jsonl, "parquet": parquet}[kind](path, ROWS)
    draft, run = init(tmp_path, tmp_path / "in")
    (source,) = run.sources
    assert source.reader_name == f"stages.readers.{kind}"
    assert dict(source.columns) == {
        "text": "text", "source_id": "id", "url": "metadata.url", "date": "metadata.date",
        "snapshot": "metadata.dump", "metadata.language_score": "metadata.language_score",
        "metadata.token_count": "metadata.token_count",
        "metadata.language": "metadata.language:string",
    }  # fmt: skip
    write_draft([str(tmp_path / "in")], draft.path, force=True, expand=True)
    page = Path(draft.path).read_text("utf-8")
    assert (
        "# existing scores, for rules: metadata.language_score, metadata.token_count, metadata.language"
        in page
    )
    rules = """select:
  - {name: sure, metadata.language_score: {min: 0.6}, if_null: drop}
  - {name: zh, metadata.language: {in: [zh]}, if_null: drop}
"""
    start, end = page.index("select:"), page.index("mix:")  # the texts are near duplicates: keep all of them
    Path(draft.path).write_text(page[:start] + rules + page[end:], "utf-8")
    assert build(Path(draft.path), tmp_path / "store")["kept"] == 5  # 11, 13, 15, 17, 19


def test_metadata_of_another_shape_stay_in_meta(tmp_path: Path) -> None:
    """An object of that name beside no id, or numbers under names that are none of a column, make no columns."""
    jsonl(tmp_path / "a.jsonl", [{"text": EN, "metadata": {"score": 0.5}}])
    _, run = init(tmp_path)
    assert not any("." in column for column in run.sources[0].columns)
    jsonl(tmp_path / "a.jsonl", [{"text": EN, "id": "1", "metadata": {"a score": 0.5, "n": True}}])
    os.remove(tmp_path / "run.yaml")
    _, run = init(tmp_path)
    assert not any("." in column for column in run.sources[0].columns)


def test_data_sets_of_hugging_face_are_read_by_split(tmp_path: Path) -> None:
    """Train is read with the licence of the card; splits for testing and files about the set are named, with why."""
    (tmp_path / "in" / "set" / "data").mkdir(parents=True)
    for split in ("train", "test", "validation"):
        parquet(tmp_path / "in" / "set" / "data" / f"{split}-00000-of-00001.parquet", [{"text": EN, "id": 1}])
        folder = tmp_path / "in" / "saved" / split
        folder.mkdir(parents=True)
        with pa.ipc.new_stream(
            folder / "data-00000-of-00001.arrow", pa.schema({"text": pa.string()})
        ) as writer:
            writer.write_table(pa.table({"text": [EN]}))
        (folder / "state.json").write_text("{}")
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "in" / "saved" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (tmp_path / "in" / "set" / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A set\n")
    draft, run = init(tmp_path, tmp_path / "in")
    assert {(s.reader_name.rpartition(".")[2], s.license) for s in run.sources} == {
        ("parquet", "cc-by-4.0"), ("arrow", None),
    }  # fmt: skip
    assert all("train" in pattern for source in run.sources for pattern in source.files)
    reasons = [item.reason for item in draft.unread]
    assert sum("for testing" in reason for reason in reasons) == 4
    assert sum("describes a data set of Hugging Face" in reason for reason in reasons) == 7
    _, named = init(tmp_path / "in", tmp_path / "in" / "set" / "data" / "test-00000-of-00001.parquet")
    assert len(named.sources) == 1
