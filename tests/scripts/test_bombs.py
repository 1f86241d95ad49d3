"""Bombs in small: each ends with its reason through ingest, and what it asks for is not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.run_file import Ingest, Source
from pipeline.ingest.ingest import Group, IngestReport, IngestTask, ingest_files
from pipeline.recipe import load_step
from pipeline.storage.store import list_inputs, open_store
from scripts.bench.bombs import BOMBS

N = 1 << 18
SETTINGS = {"max_values": 20_000, "ratio_free_bytes": 1 << 20, "file_memory_bytes": 256 << 20}
"""Limits in proportion to the size, so that what ends a bomb of 64 MiB by default ends these."""

REASONS = {
    "json: a line of []": "too_many_values", "json: a bare line of []": "too_many_values",
    "json: a line of numbers": "too_many_values", "json: open brackets": "too_many_values",
    "json: an array of one number": "not_an_object", "json: an array of an open string": "not_an_object",
    "json: an array of numbers": "too_many_broken", "json: bad lines of one byte": "too_many_broken",
    "json: empty objects": "too_many_broken", "json: bad objects": "too_many_broken",
    "json: an object of short lines": "too_many_values", "csv: commas": "too_many_values",
    "csv: a header of commas": "too_many_values", "csv: bad rows": "too_many_broken",
    "csv: a header of one name": "ragged_row", "parquet: a dictionary of one long value": "decompression_bomb",
    "parquet: rows of nulls": "too_many_broken", "parquet: an unused column of zeros": "decompression_bomb",
    "arrow: zeros in zstd": "decompression_bomb", "textfile: sexagesimal": "", "textfile: octal": "",
    "textfile: hexadecimal": "", "textfile: 5,000 digits": "", "textfile: a key of digits": "",
    "textfile: TOML in hexadecimal": "", "warc: version lines": "too_many_broken",
    "warc: members of one byte": "corrupt_warc", "warc: members without a record's end": "truncated",
    "warc: a content type of commas": "", "warc: comments": "", "zip: an archive in an archive": "too_deep_archive",
    "tar: no headers": "corrupt_tar", "gzip: zeros": "decompression_bomb", "zstd: zeros": "decompression_bomb",
    "json: line breaks": "", "json: blank lines": "", "json: lines of []": "", "csv: line breaks": "",
}  # fmt: skip
"""Bomb -> the reason under which it ends, or none: its document is read."""


def ingested(name: str, folder: Path) -> IngestReport:
    """What a build ingests of a bomb."""
    bomb = BOMBS[name]
    path = folder / bomb.name
    path.write_bytes(bomb.make(N if bomb.grows else 1 << 20))
    reader = load_step(f"stages.readers.{bomb.reader}", "READER", "test")
    source = Source(
        name="s", reader_name="", reader=reader, reader_config=reader.config(**SETTINGS), files=(str(path),),
        columns={},
    )  # fmt: skip
    group = Group(source, tuple(list_inputs(str(path))))
    return ingest_files(IngestTask(open_store(str(folder / "store")), group, Ingest(max_broken_records=500)))


@pytest.mark.parametrize("name", REASONS)
def test_a_bomb_ends_with_its_reason(name: str, tmp_path: Path) -> None:
    """A reason that names the limit, or the document that is in it; never an error of the run."""
    report = ingested(name, tmp_path)
    if REASONS[name]:
        assert REASONS[name] in report.quarantined
    else:
        assert sum(shard.n_rows for shard in report.shards) >= 1
        assert not report.quarantined
