"""Keyed rows, the output of the maps of a global step: sorted, and exchanged through files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipeline.schema import ROW
from pipeline.storage.store import Store

LEVEL = 3
"""zstd level: a third smaller than level 1 if rows contain text, for a tenth of the time of computing them."""


def sort_keyed(table: pa.Table) -> pa.Table:
    """Sort by (key, row), or by key in a table without `row`; a sorted table, as of an index, is returned as it is."""
    from pipeline.keysort import is_sorted, key_order  # loads numba, which most commands can do without

    table = table.combine_chunks()
    numbers = number_columns(table)
    keys = numbers["key"]
    rows = numbers.get(ROW, np.arange(len(keys), dtype=np.uint64))
    return table if is_sorted(keys, rows) else pick(table, numbers, key_order(keys, rows))


def number_columns(table: pa.Table) -> dict[str, np.ndarray]:
    """Columns of integers and floats without nulls, as arrays (n_rows,) by name."""
    return {
        name: column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
        if (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) and not column.null_count
    }


def pick(table: pa.Table, numbers: dict[str, np.ndarray], positions: np.ndarray) -> pa.Table:
    """Take rows of a table by position.

    Args: numbers, of number_columns, which are taken with numpy, because that is faster; positions, integers (n,).
    """
    positions = positions.astype(np.intp, copy=False)
    columns = [
        pa.array(numbers[name][positions]) if name in numbers else table[name].take(pa.array(positions))
        for name in table.column_names
    ]
    return pa.table(columns, schema=table.schema).combine_chunks()


def partition_of(keys: np.ndarray, n_partitions: int) -> np.ndarray:
    """Partition of each key, by equal ranges of its upper 32 bits: uint64 (n,) -> int64 (n,)."""
    return (((keys >> np.uint64(32)) * np.uint64(n_partitions)) >> np.uint64(32)).astype(np.int64)


def write_exchange(
    store: Store, key: str, table: pa.Table, partitions: np.ndarray, n_partitions: int
) -> None:
    """Write one exchange file: record batch i contains the rows of partition i, in the order of the table.

    Args: partitions, int64 (n_rows,), of each row.
    """
    table = table.combine_chunks()
    write_batches(store, key, [table] if n_partitions == 1 else _split(table, partitions, n_partitions))


def write_batches(store: Store, key: str, tables: Iterable[pa.Table]) -> int:
    """Write one exchange file with a record batch for each table, all of one schema; returns its size in bytes."""
    sink, writer = pa.BufferOutputStream(), None
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=LEVEL))
    for rows in tables:
        writer = writer or pa.ipc.new_file(sink, rows.schema, options=options)
        batches = rows.combine_chunks().to_batches()
        writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=rows.schema))
    assert writer is not None, "an exchange has at least one partition"
    writer.close()
    buffer = sink.getvalue()
    store.put(key, buffer)
    return int(buffer.size)


def _split(table: pa.Table, partitions: np.ndarray, n_partitions: int) -> Iterator[pa.Table]:
    """The rows of each partition, in the order of the table."""
    dtype = np.uint16 if n_partitions <= 1 << 16 else np.int64  # numpy uses radix sort for 16 bits
    order = np.argsort(partitions.astype(dtype), kind="stable")
    bounds = np.append(0, np.cumsum(np.bincount(partitions, minlength=n_partitions)))
    numbers = number_columns(table)
    for low, high in pairwise(bounds):
        yield pick(table, numbers, order[low:high])


def read_exchange(store: Store, keys: Sequence[str], partition: int) -> pa.Table:
    """Read one partition from exchange files, in the order of `keys`."""
    return read_sources(store, [(key, partition) for key in keys])


def read_sources(store: Store, sources: Iterable[tuple[str, int]]) -> pa.Table:
    """Read record batches of exchange files, by key and number of the batch, in this order."""
    tables = []
    for key, number in sources:
        with open_batches(store, key) as file:
            tables.append(pa.Table.from_batches([file.get_batch(number)]))
    return pa.concat_tables(tables)


@contextmanager
def open_batches(store: Store, key: str) -> Iterator[pa.ipc.RecordBatchFileReader]:
    """Open an exchange file, of which single record batches can be read."""
    with store.open(key) as stream:
        yield pa.ipc.open_file(stream)
