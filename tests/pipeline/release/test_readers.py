"""A release is read by the programs that people use, page by page, and is written the same whatever came before."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.release.parquet import (
    CHUNKS,
    LEAST_ROWS,
    MOST_ROWS,
    row_groups,
    streamed_groups,
    write_release_file,
)
from pipeline.release.parts import Open, cut_marked, mark_spacing
from tests.helpers.build import reference, texts

DATA = "releases/v1/data"


def written(table: pa.Table) -> pa.Buffer:
    """The file of a table."""
    sink = pa.BufferOutputStream()
    write_release_file(sink, table)
    return sink.getvalue()


def rows(n_rows: int, without: int = -1) -> pa.Table:
    """Documents with ids and random texts, one left out."""
    kept = [i for i in range(n_rows) if i != without]
    random = np.random.default_rng(3)
    words = [random.bytes(800).hex() for _ in range(n_rows)]
    columns = {
        "doc_id": [f"{i:026d}" for i in kept],
        "text": pa.array([words[i] for i in kept], pa.large_string()),
        "language": ["zho_Hans" if i % 3 else "eng_Latn" for i in kept],
    }
    return pa.table(columns)


def group_bytes(data: pa.Buffer) -> set[bytes]:
    """The bytes of each row group of a file."""
    meta, raw = pq.read_metadata(pa.BufferReader(data)), data.to_pybytes()
    groups = set()
    for i in range(meta.num_row_groups):
        columns = [meta.row_group(i).column(j) for j in range(meta.num_columns)]
        starts = [c.dictionary_page_offset or c.data_page_offset for c in columns]
        ends = [start + c.total_compressed_size for start, c in zip(starts, columns, strict=True)]
        groups.add(raw[min(starts) : max(ends)])
    return groups


def test_a_row_less_changes_its_row_group_alone() -> None:
    """Row groups end at rows chosen by their id: all others have the bytes that they had; the text has an index."""
    whole, shorter = written(rows(6_000)), written(rows(6_000, without=2_000))
    assert len(group_bytes(whole) - group_bytes(shorter)) == 1 < len(group_bytes(whole))
    meta = pq.read_metadata(pa.BufferReader(whole))
    assert b"content_defined_chunking" in meta.metadata
    for column in (meta.row_group(0).column(i) for i in range(3)):
        assert column.has_offset_index and column.has_column_index == (column.path_in_schema != "text")
        assert column.is_stats_set == (column.path_in_schema != "text")
    assert written(rows(6_000)).equals(whole)
    assert pq.read_table(pa.BufferReader(whole)).equals(rows(6_000))
    assert CHUNKS["max_chunk_size"] == 1 << 20


def test_row_groups_have_bounds() -> None:
    """Row groups cover the table, none longer than the bound, and only the last may be short."""
    for n_rows in (0, 1, 300, 9_000):
        bounds = row_groups(rows(n_rows).select(["doc_id"]))
        sizes = np.diff(bounds)
        assert bounds[0] == 0 and bounds[-1] == n_rows and (sizes <= MOST_ROWS).all()
        assert (sizes[:-1] >= LEAST_ROWS).all()


@pytest.mark.parametrize("piece", [1, 700, 5_000, 20_000])
def test_row_groups_do_not_depend_on_pieces(piece: int) -> None:
    """A table that comes in pieces has the row groups of the whole."""
    for n_rows in (0, 300, MOST_ROWS, 9_000) if piece > 1 else (0, 300):
        table = rows(n_rows).select(["doc_id"])
        pieces = (table.slice(start, piece) for start in range(0, n_rows, piece))
        sizes = [len(group) for group in streamed_groups(pieces, table.schema)]
        assert sizes == np.diff(row_groups(table)).tolist()


def cut_at_marks(sizes: np.ndarray, hashes: np.ndarray, part_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Part and row of every document of a sequence by shard, cut as one range."""
    spacing = np.uint64(mark_spacing(int(sizes.sum()), len(sizes), part_bytes))
    part, row, _ = cut_marked(sizes, hashes % spacing == 0, part_bytes, Open())
    return part, row


def test_parts_are_cut_at_documents_chosen_by_hash() -> None:
    """Documents in front move the parts behind them by a number, and change none but the first."""
    random = np.random.default_rng(1)
    sizes, hashes = random.integers(100, 3_000, 4_000), random.integers(0, 1 << 63, 4_000).astype(np.uint64)
    part, row = cut_at_marks(sizes, hashes, 400_000)
    assert (np.diff(part) >= 0).all() and (row[np.flatnonzero(np.diff(part)) + 1] == 0).all()
    totals = np.bincount(part, sizes)
    assert totals.max() <= 800_000 and totals[:-1].min() >= 200_000

    def contents(part: np.ndarray, hashes: np.ndarray) -> set[bytes]:
        return {hashes[part == n].tobytes() for n in range(part.max() + 1)}

    later = contents(cut_at_marks(sizes[50:], hashes[50:], 400_000)[0], hashes[50:])
    assert len(contents(part, hashes) - later) <= 4 < part.max() / 2
    assert [len(array) for array in cut_at_marks(sizes[:0], hashes[:0], 1)] == [0, 0]


@pytest.mark.parametrize("library", ["pyarrow", "pandas", "polars", "duckdb", "mlcroissant", "datasets"])
def test_libraries_read_what_was_released(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each library finds every kept document with its text; Datasets reads every configuration of the card."""
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    store, expected = reference().store, texts(reference().store)
    release = store / "releases/v1"
    pattern = f"{store / DATA}/**/*.parquet"
    if library == "pyarrow":
        table = ds.dataset(store / DATA, format="parquet").to_table()
        found = dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    elif library == "pandas":
        frame = module.concat(
            [module.read_parquet(path) for path in sorted((store / DATA).rglob("*.parquet"))]
        )
        found = dict(zip(frame["doc_id"], frame["text"], strict=True))
    elif library == "polars":
        frame = module.scan_parquet(pattern).select("doc_id", "text").collect()
        found = dict(zip(frame["doc_id"], frame["text"], strict=True))
    elif library == "duckdb":
        found = dict(module.sql(f"select doc_id, text from '{pattern}'").fetchall())
        one = sorted(expected)[0]
        assert module.sql(f"select text from '{pattern}' where doc_id = '{one}'").fetchall() == [
            (expected[one],)
        ]
    elif library == "mlcroissant":
        records = module.Dataset(str(release / "croissant.json")).records("data")
        found = {r["data/doc_id"].decode(): r["data/text"].decode() for r in records}
    else:
        found = by_datasets(module, release, tmp_path, monkeypatch)
    assert found == expected


def by_datasets(
    module: object, release: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Documents of the default configuration, after all others were read, rows compared with the files."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    head = yaml.safe_load((release / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    load = getattr(module, "load_dataset")  # noqa: B009  # a module without types
    for config in head["configs"]:
        name = config["config_name"]
        stream = load(str(release), name, split="train", streaming=True, cache_dir=str(folder))
        paths = [path for entry in config["data_files"] for path in release.glob(entry["path"])]
        assert sum(1 for _ in stream) == sum(pq.read_metadata(path).num_rows for path in paths), name
    loaded = load(str(release), split="train", cache_dir=str(folder))
    assert "datasets" in sys.modules and os.listdir(folder)
    return dict(zip(loaded["doc_id"], loaded["text"], strict=True))
