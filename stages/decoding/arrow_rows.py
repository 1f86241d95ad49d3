"""Rows of Arrow tables as Python objects: values that mean the same on any machine, or why a value cannot be read.

Extension types are the values that they stand for, maps are objects, times are in microseconds and UTC.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.stage import Record
from stages.decoding.streams import RAW_BYTES

MAX_BATCH_ROWS = 1024
"""Rows that become Python objects at once."""

UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)
"""Exceptions that Arrow raises on invalid bytes; names and statistics that are not UTF-8 raise ValueError."""


@dataclass(frozen=True)
class _Unreadable:
    """A value that cannot be converted to Python."""

    reason: str
    detail: str
    raw: bytes | None = None


def repeated_name(schema: pa.Schema) -> str | None:
    """Return a message if two columns, or two fields of one struct, have the same name, else None."""

    def repeated(fields: list[pa.Field], where: str) -> str | None:
        for name, count in Counter(field.name for field in fields).items():
            if count > 1:
                return f"{count} {where} are named {name!r}; rename them, or keep one"
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


def check_batch(batch: pa.RecordBatch) -> None:
    """Check that no offset of a batch leads out of its buffers, which Arrow does not do when it reads one.

    Text that is not UTF-8 is left to the rows, except inside lists and structs.

    Raises: ArrowInvalid.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(column.type)
            if as_bytes is None or "UTF8" not in str(error):
                raise pa.ArrowInvalid(f"column {name}: {one_line(error)}") from error
            column.view(as_bytes).validate(full=True)


ROW_BYTES = 64
"""Least size that a row counts with when output is compared with the file: rows of nulls have no bytes in Arrow."""


def output_bytes(batch: pa.RecordBatch) -> int:
    """Return what a batch counts as output."""
    return batch.nbytes + ROW_BYTES * batch.num_rows


def records_of(
    batch: pa.RecordBatch, first: int, max_values: int, uuids: frozenset[str] = frozenset()
) -> Iterator[Record]:
    """Yield one record per row.

    Args: first, position of the first one; max_values, of a row: one with more is broken; uuids, columns of bytes that
    are UUIDs.
    """
    counts = values_of_rows(batch)
    if counts is None or int(counts.sum()) <= max(max_values, MAX_BATCH_ROWS):
        yield from (_as_record(first + i, fields) for i, fields in enumerate(_rows(batch, uuids)))
        return
    start, step = 0, max(max_values, MAX_BATCH_ROWS)
    ends = np.cumsum(counts)
    while start < batch.num_rows:
        if counts[start] > max_values:
            detail = f"{int(counts[start]):,} values in lists; expected at most {max_values:,} (max_values)"
            yield Record(first + start, None, "too_many_values", detail)
            start += 1
            continue
        before = int(ends[start] - counts[start])
        stop = max(int(np.searchsorted(ends, before + step, "right")), start + 1)
        over = np.flatnonzero(counts[start:stop] > max_values)
        stop = start + int(over[0]) if len(over) else stop
        for i, fields in enumerate(_rows(batch.slice(start, stop - start), uuids)):
            yield _as_record(first + start + i, fields)
        start = stop


def values_of_rows(batch: pa.RecordBatch) -> np.ndarray | None:
    """Return how many values the lists and maps of each row have, int64 (n_rows,); None if no column has any."""
    counts = None
    for column in batch.columns:
        for found in _list_values(column, np.arange(len(column) + 1)):
            counts = found if counts is None else counts + found
    return counts


def _list_values(column: pa.Array, bounds: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for each list in a column, how many of its values each row has. bounds: of each row's values in it."""
    dtype = column.type
    if isinstance(dtype, pa.BaseExtensionType):
        yield from _list_values(column.storage, bounds)
    elif pa.types.is_struct(dtype):
        for i in range(dtype.num_fields):
            yield from _list_values(column.field(i), bounds)
    elif pa.types.is_fixed_size_list(dtype):
        inner = bounds * dtype.list_size
        yield np.diff(inner)
        yield from _list_values(
            column.values.slice(column.offset * dtype.list_size, len(column) * dtype.list_size), inner
        )
    elif _is_list(dtype) or pa.types.is_map(dtype):
        offsets = np.asarray(column.offsets).astype(np.int64)
        inner = offsets[bounds]
        yield np.diff(inner)
        values = (
            pa.StructArray.from_arrays([column.keys, column.items], ["k", "v"])
            if pa.types.is_map(dtype)
            else column.values
        )
        yield from _list_values(values, inner)


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
        at = f"byte 0x{error.object[error.start]:02x} at {error.start:,}: {error.reason}"
        return _Unreadable("invalid_utf8", at, error.object[:RAW_BYTES])
    except (ValueError, OverflowError) as error:
        return _Unreadable("unreadable_value", one_line(error))


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


def one_line(error: Exception) -> str:
    """Return the message of an error without line breaks, or its type."""
    return " ".join(str(error).split()) or type(error).__name__
