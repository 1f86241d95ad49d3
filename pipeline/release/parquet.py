"""Parquet files of a release, written so that the next release of a growing corpus shares most of their bytes.

Stores that keep content by chunks (the Hugging Face hub, restic, borg) upload what they do not have yet. Row groups
end at rows chosen by a hash of their id, and pages at places chosen by a rolling hash of their values, so that rows
added or removed change the row group and the pages that they are in, and no others. Pages are indexed, so that a
reader of a few rows reads a few pages.

Source: the writer's option `use_content_defined_chunking` (Arrow 21), and the metadata that the hub's libraries add.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.row_digest import text_digests
from pipeline.dataset.shard import REPEATING

MEAN_ROWS, LEAST_ROWS, MOST_ROWS = 1024, 256, 4096
"""Rows of a row group: on average, at least, at most."""
MOST_BYTES = 64 << 20
"""Bytes of text from which a row group ends."""
CHUNKS = {"min_chunk_size": 256 << 10, "max_chunk_size": 1 << 20, "norm_level": 0}
"""Sizes of pages in bytes before encoding: the defaults of Arrow and of the hub."""
KEYS = ("doc_id", "cluster")
"""Columns with the id of a row, the first that a table has."""


def write_release_file(sink: pa.NativeFile, table: pa.Table) -> None:
    """Write a table as one Parquet file of a release; the same bytes for the same table."""
    with release_writer(sink, table.schema) as writer:
        for group in whole_groups(table, row_groups(table)):
            writer.write_table(group, row_group_size=len(group))


@contextmanager
def release_writer(sink: pa.NativeFile | str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet file of a release to be written a row group at a time.

    Statistics are written for columns of plain values other than texts: readers skip row groups and pages by them.
    """
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in REPEATING if name in schema.names],
        write_statistics=[
            field.name for field in schema if field.name != "text" and not pa.types.is_nested(field.type)
        ],
        write_page_index=True,
        use_content_defined_chunking=CHUNKS,
    ) as writer:
        yield writer
        writer.add_key_value_metadata({"content_defined_chunking": json.dumps(CHUNKS)})


def whole_groups(table: pa.Table, bounds: Sequence[int]) -> Iterator[pa.Table]:
    """The row groups of a table. Args: bounds, see `row_groups`."""
    return (table.slice(start, end - start) for start, end in pairwise(bounds))


def streamed_groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The row groups of a table without texts that comes in pieces: those of `row_groups` over the whole."""
    rest = schema.empty_table()
    for table in tables:
        rest = pa.concat_tables([rest, table]).combine_chunks()
        found = row_groups(rest)
        n_known = sum(
            start + MOST_ROWS <= len(rest) for start in found
        )  # no group has more rows than MOST_ROWS
        bounds = found[: n_known + 1]
        yield from whole_groups(rest, bounds)
        rest = rest.slice(bounds[-1])
    yield from whole_groups(rest, row_groups(rest))


def row_groups(table: pa.Table) -> list[int]:
    """First rows of the row groups of a table, and its number of rows at the end.

    A row whose id has a hash that is a multiple of MEAN_ROWS starts one, unless the one before would be too small.
    """
    n_rows = table.num_rows
    key = next((name for name in KEYS if name in table.schema.names), None)
    marked = np.zeros(n_rows, bool) if key is None else text_digests(table[key]) % np.uint64(MEAN_ROWS) == 0
    ends = np.zeros(n_rows, np.int64)
    if "text" in table.schema.names:
        ends = np.cumsum(binary_lengths(table["text"]))
    bounds = [0]
    while bounds[-1] < n_rows:
        start = bounds[-1]
        full = (
            int(np.searchsorted(ends, (ends[start - 1] if start else 0) + MOST_BYTES)) if ends[-1] else n_rows
        )
        last = min(start + MOST_ROWS, max(full, start + 1), n_rows)
        marks = np.flatnonzero(marked[start + LEAST_ROWS : last])
        bounds.append(start + LEAST_ROWS + int(marks[0]) if len(marks) else last)
    return bounds


def binary_lengths(texts: pa.ChunkedArray) -> np.ndarray:
    """Bytes of each text, int64 (n_rows,); 0 for null."""
    return pc.fill_null(pc.binary_length(texts), 0).to_numpy().astype(np.int64)
