"""Parquet: every column of every row, nested values as Python objects; position is the row number in the file.

Reads a few MB at a time, row group by row group. Extension types are the values that they stand for, such as UUIDs, and
maps are objects. Two columns of one name are refused, since nothing tells which is meant. Reasons of broken records:
invalid_utf8, unreadable_value; at position -1: unreadable_parquet, decompression_bomb, corrupt_row_group (rows before
it are used).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES, Bounds, Watched
from stages.readers import FIELDS

BATCH_BYTES = 8 << 20
"""Uncompressed bytes read at once, estimated from the average row of the file."""

MAX_BATCH_ROWS = 1024

UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)
"""Exceptions that Arrow raises on invalid bytes; names and statistics that are not UTF-8 raise ValueError."""


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """Bounds of decompression, checked against the sizes in the file's metadata."""


@dataclass(frozen=True)
class _Unreadable:
    """A value that cannot be converted to Python."""

    reason: str
    detail: str
    raw: bytes | None = None


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per row, in order; see `Reader`."""
    watched = Watched(stream)
    try:
        file = pq.ParquetFile(pa.PythonFile(watched, mode="r"), buffer_size=1 << 20, pre_buffer=False)
        n_in, n_out = _stated_bytes(file.metadata)
    except UNREADABLE as error:
        if watched.failure:
            raise
        yield Record(-1, None, "unreadable_parquet", _one_line(error), lost_bytes=_size(watched))
        return
    fault = _repeated_name(file.schema_arrow)
    if fault or (excess := config.exceeded(n_in, n_out)):
        reason = "unreadable_parquet" if fault else "decompression_bomb"
        yield Record(-1, None, reason, fault or excess, lost_bytes=_size(watched))
        return
    uuids = _uuid_columns(file)
    n_rows = file.metadata.num_rows
    batch_rows = min(max(BATCH_BYTES * n_rows // max(n_out, 1), 1), MAX_BATCH_ROWS)
    position = 0
    try:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_rows, row_groups=[group], use_threads=False):
                for fields in _rows(batch, uuids):
                    yield _as_record(position, fields)
                    position += 1
    except UNREADABLE as error:
        if watched.failure:
            raise
        detail = f"{_one_line(error)}; {position:,} of {n_rows:,} rows were read"
        lost = _size(watched) * (n_rows - position) // max(n_rows, 1)
        yield Record(-1, None, "corrupt_row_group", detail, lost_bytes=lost)


def _size(watched: Watched) -> int:
    return watched.seek(0, 2)


def _repeated_name(schema: pa.Schema) -> str | None:
    """Return a message if two columns, or two fields of one struct, have the same name, else None."""

    def repeated(fields: list[pa.Field], where: str) -> str | None:
        names = [field.name for field in fields]
        for name in names:
            if names.count(name) > 1:
                return f"{names.count(name)} {where} are named {name!r}; rename them, or keep one"
        inner = (repeated(_inner(field.type), f"fields of {field.name!r}") for field in fields)
        return next((message for message in inner if message), None)

    return repeated(list(schema), "columns")


def _inner(dtype: pa.DataType) -> list[pa.Field]:
    """The fields of a struct, also inside lists and maps."""
    if pa.types.is_struct(dtype):
        return list(dtype)
    if pa.types.is_map(dtype):
        return _inner(dtype.item_type)
    return _inner(dtype.value_type) if _is_list(dtype) else []


def _is_list(dtype: pa.DataType) -> bool:
    types = pa.types
    return types.is_list(dtype) or types.is_large_list(dtype) or types.is_fixed_size_list(dtype)


def _uuid_columns(file: pq.ParquetFile) -> frozenset[str]:
    """Names of top-level columns that Parquet declares as UUID and that Arrow reads as plain bytes."""
    leaves = (file.schema.column(i) for i in range(len(file.schema)))
    return frozenset(leaf.path for leaf in leaves if str(leaf.logical_type) == "UUID")


def _stated_bytes(metadata: pq.FileMetaData) -> tuple[int, int]:
    """Return the compressed and uncompressed bytes of all column chunks, from the footer."""
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    return sum(c.total_compressed_size for c in chunks), sum(c.total_uncompressed_size for c in chunks)


def _rows(batch: pa.RecordBatch, uuids: frozenset[str]) -> list[dict[str, Any]]:
    names = batch.schema.names
    columns = [
        _uuids(values) if name in uuids else values
        for name, values in zip(names, map(_values, batch.columns), strict=True)
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _uuids(values: list[Any]) -> list[Any]:
    return [uuid.UUID(bytes=value) if isinstance(value, bytes) else value for value in values]


def _values(column: pa.Array) -> list[Any]:
    plain = _plain_type(column.type)
    if not plain.equals(column.type):
        column = column.cast(plain, safe=False)
    try:
        return column.to_pylist(maps_as_pydicts="lossy")
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py(maps_as_pydicts="lossy")
    except UnicodeDecodeError as error:
        raw = error.object[:RAW_BYTES]
        return _Unreadable(
            "invalid_utf8", f"byte 0x{raw[error.start]:02x} at {error.start:,}: {error.reason}", raw
        )
    except (ValueError, OverflowError) as error:
        return _Unreadable("unreadable_value", _one_line(error))


def _plain_type(dtype: pa.DataType) -> pa.DataType:
    """The dtype with times in microseconds and UTC, because nanoseconds and time zones depend on the machine.

    Extension types but UUID, of which Arrow makes Python's, become the type that they are stored as.
    """
    types = pa.types
    if isinstance(dtype, pa.BaseExtensionType) and not isinstance(dtype, pa.UuidType):
        return _plain_type(dtype.storage_type)
    if types.is_timestamp(dtype):
        return pa.timestamp("us" if dtype.unit == "ns" else dtype.unit, "UTC" if dtype.tz else None)
    if types.is_duration(dtype) and dtype.unit == "ns":
        return pa.duration("us")
    if types.is_time64(dtype):
        return pa.time64("us")
    if types.is_list(dtype) or types.is_large_list(dtype):
        new = pa.list_ if types.is_list(dtype) else pa.large_list
        return new(dtype.value_field.with_type(_plain_type(dtype.value_type)))
    if types.is_struct(dtype):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in dtype])
    return dtype


def _as_record(position: int, fields: dict[str, Any]) -> Record:
    for name, value in fields.items():
        if isinstance(value, _Unreadable):
            return Record(position, None, value.reason, f"column {name}: {value.detail}", value.raw)
    return Record(position, fields)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


READER = Reader(name="parquet", version=2, config=Config, read=read, fields=FIELDS)
