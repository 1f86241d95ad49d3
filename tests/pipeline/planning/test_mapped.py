"""`plan` names mapped fields that the first file of a source does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.build import cli, tiny, write_run
from tests.helpers.inputs import jsonl

ROWS = [{"body": "Some text that is long enough.", "metadata": {"edu_score": 3.0}, "id": i} for i in range(9)]


def planned(folder: Path, columns: dict[str, Any], files: str = "in/*") -> str:
    """What `plan` prints for a source with these columns."""
    page = tiny(folder)
    reader = "parquet" if files.endswith("parquet") else "jsonl"
    page["sources"] = [
        {"name": "mapped", "reader": f"stages.readers.{reader}", "files": files, "columns": columns}
    ]
    return cli("plan", write_run(folder, page), "--store", folder / "store").ok().out


@pytest.mark.parametrize(
    ("columns", "warning"),
    [
        (
            {"text": "bodi"},
            "sources.mapped.columns.text: no 'bodi' in the first 9 records of a.jsonl; did you mean 'body'?",
        ),
        (
            {"text": "body", "edu.score": "metadata.edu_scores"},
            "columns.edu.score: no 'metadata.edu_scores' in the first 9",
        ),
        ({"text": "body", "snapshot": "dump"}, "columns.snapshot: no 'dump' in the first 9 records"),
        ({"text": ["content", "boby"]}, "columns.text: no 'content' or 'boby' in the first 9"),
        ({"text": "body", "kind.label": "tag:string"}, "columns.kind.label: no 'tag' in the first 9"),
        ({"text": "body", "edu.score": "metadata.edu_score"}, None),
        ({"text": ["content", "body"]}, None),
    ],
)
def test_a_mapped_field_that_no_record_has_is_named(
    tmp_path: Path, columns: dict[str, Any], warning: str | None
) -> None:
    """One line with the source, the column, the field, and the nearest field of the file."""
    jsonl(tmp_path / "in" / "a.jsonl", ROWS)
    out = planned(tmp_path, columns)
    lines = [line for line in out.splitlines() if line.startswith("warning")]
    assert len(lines) == (warning is not None)
    assert warning is None or warning in lines[0]


def test_columns_of_parquet_and_partitions_in_the_path(tmp_path: Path) -> None:
    """A Parquet file is read likewise; a field that is a folder `name=value` is there."""
    (tmp_path / "in" / "dump=2024-10").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["Some text."] * 3}), tmp_path / "in" / "dump=2024-10" / "a.parquet")
    assert "warning" not in planned(tmp_path, {"snapshot": "dump"}, "in/**/*.parquet")
    assert "no 'dumb' in the first 3 records" in planned(tmp_path, {"snapshot": "dumb"}, "in/**/*.parquet")
