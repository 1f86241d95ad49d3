"""Loaders of a whole folder: a mix and a folder of data are documents only, with the ids that came with them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.helpers.build import build, tiny, write_run


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with a mix of two sources, whose documents have ids of their own but for one."""
    folder = tmp_path_factory.mktemp("loading")
    rows = [{"id": f"own-{i}", "text": f"Document {i} of a small corpus, number {i * i}."} for i in range(40)]
    del rows[7]["id"]
    rows[9]["text"] = "short"
    page = tiny(
        folder, rows, annotate=["stages.tokens", "stages.dedup.exact"],
        select=[{"name": "short", "tokens.n_tokens": {"min": 5}}],
        mix={"mixes": {"twice": {"by": "source", "share": {"docs": 1}, "max_epochs": 2}}},
        release={"name": "v1"},
    )  # fmt: skip
    return folder / "store" / build(write_run(folder, page), folder / "store")["release"]


@pytest.mark.parametrize("folder", ["mixes/twice", "data"])
def test_a_loader_of_every_file_of_a_folder_gets_text(release: Path, folder: str) -> None:
    """All Parquet files below a mix have one schema with text; the order is in a folder of its own."""
    files = sorted((release / folder).rglob("*.parquet"))
    assert files and all("text" in pq.read_schema(file).names for file in files)
    assert len({pq.read_schema(file) for file in files}) == 1
    table = ds.dataset(release / folder, format="parquet").to_table()
    assert table["text"].null_count == 0
    assert table.num_rows == {"mixes/twice": 78, "data": 39}[folder]
    assert [path.name for path in sorted((release / "orders").iterdir())] == [
        "natural.parquet",
        "twice.parquet",
    ]


def test_polars_reads_a_mix_in_training_order(release: Path) -> None:
    """`scan_parquet` of the folder of a mix gives the documents of its order."""
    found = pl.scan_parquet(release / "mixes/twice").select("doc_id", "text").collect()
    assert found["doc_id"].to_list() == pq.read_table(release / "orders/twice.parquet")["doc_id"].to_pylist()


def test_ids_that_came_with_documents_are_in_data_mixes_and_ledger(release: Path) -> None:
    """`source_id` is null only where the record had none, also for documents that a rule drops."""
    data = ds.dataset(release / "data", format="parquet").to_table(columns=["doc_id", "source_id", "text"])
    for row in data.to_pylist():
        number = row["text"].split()[1]
        assert row["source_id"] == (None if number == "7" else f"own-{number}")
    ids = dict(zip(data["doc_id"].to_pylist(), data["source_id"].to_pylist(), strict=True))
    mix = ds.dataset(release / "mixes/twice", format="parquet").to_table(columns=["doc_id", "source_id"])
    assert all(ids[row["doc_id"]] == row["source_id"] for row in mix.to_pylist())
    ledger = ds.dataset(release / "ledger", format="parquet").to_table().to_pylist()
    assert {row["source_id"] for row in ledger} == {None, *(f"own-{i}" for i in range(40) if i != 7)}
    assert [row["source_id"] for row in ledger if not row["keep"]] == ["own-9"]
