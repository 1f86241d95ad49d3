"""Shards: immutable files of documents, their catalog entries, and the functions that read their rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import AlignmentError, DamagedError
from pipeline.storage.store import Store

INPUTS = "shards/inputs.json"
SHARDS = "shards/catalog.json"


@dataclass(frozen=True, order=True)
class Shard:
    """An immutable file of canonical documents, the unit of work.

    n_rows: its documents. text_bytes: bytes of their text in UTF-8.
    """

    id: str
    source: str
    n_rows: int
    text_bytes: int
    generation: int = 1

    @property
    def key(self) -> str:
        """Key of its file in the store."""
        return f"shards/{self.id}.parquet"


REPEATING = (
    "host", "snapshot", "source", "license", "provenance", "input", "language", "domain", "kind", "reason",
)  # fmt: skip
"""Columns with few distinct values, which are dictionary-encoded."""


def parquet_writer(sink: str | pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a Parquet writer for tables with text: zstd, dictionaries only for REPEATING columns, no statistics."""
    repeating = [n for n in REPEATING if n in schema.names]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repeating,
        write_statistics=False,
    )


@contextmanager
def opened(store: Store, key: str) -> Iterator[BinaryIO]:
    """Open a file of a store for Arrow, whose errors about its content become a DamagedError.

    Digests find damage before Arrow does, except in files of earlier versions, which have none.

    Raises: DamagedError if the file is damaged; see Store.open.
    """
    with store.open(key) as stream:
        try:
            yield stream
        except (pa.ArrowException, OSError) as error:
            raise DamagedError(f"{store.url}/{key}: {str(error).partition(chr(10))[0]}", key) from error


def read_batches(store: Store, shard: Shard, columns: list[str]) -> Iterator[pa.Table]:
    """Yield a shard's documents one row group at a time.

    Raises: AlignmentError if the file has another number of rows than the shard.
    """
    with opened(store, shard.key) as stream:
        file = pq.ParquetFile(stream)
        if file.metadata.num_rows != shard.n_rows:
            raise AlignmentError(
                f"{shard.key}: {file.metadata.num_rows:,} rows, expected {shard.n_rows:,}; the file was edited",
                shard.key,
            )
        for i in range(file.num_row_groups):
            yield file.read_row_group(i, columns)


def read_shard_rows(
    store: Store, shard: Shard, columns: list[str], wanted: np.ndarray
) -> Iterator[tuple[int, pa.Table]]:
    """Yield (first row, table) for each row group with a wanted row.

    Args: wanted, bool (n_rows,).
    """
    with opened(store, shard.key) as stream:
        file = pq.ParquetFile(stream)
        start = 0
        for i in range(file.num_row_groups):
            n_rows = file.metadata.row_group(i).num_rows
            if wanted[start : start + n_rows].any():
                yield start, file.read_row_group(i, columns)
            start += n_rows


def parse_entry(entry: dict[str, object]) -> list[Shard]:
    """Return the shards of a catalog entry."""
    source = str(entry["source"])
    return [Shard(s[0], source, s[1], s[2], s[3]) for s in entry["shards"]]  # type: ignore[attr-defined]


Columns = dict[str, pa.ChunkedArray]


def null_column(dtype: pa.DataType, n_rows: int) -> pa.ChunkedArray:
    """Return a column of n_rows nulls."""
    return pa.chunked_array([pa.nulls(n_rows, dtype)])
