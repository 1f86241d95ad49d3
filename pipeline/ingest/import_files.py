"""Reads files of external scores and verdicts into one table: Parquet, JSON Lines or CSV, detected from the content.

A whole file is in memory while it is read. Dtypes are those of the file. CSV has none: a column becomes int64, float64
or bool if every non-empty cell of every file can be parsed as such, and text otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.names import nearest
from pipeline.recipe import load_step
from pipeline.storage.store import InputFile, list_inputs, open_input

STREAMS = "stages.decoding.streams"
MAX_BLOCK_BYTES = (1 << 31) - 1
DELIMITERS = (",", "\t", ";")

TRUTH = r"(?i)^(true|false)$"
WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
NUMBER = r"^-?((0|[1-9][0-9]{0,14})|(0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
"""Patterns of CSV cells that are not text; 007 and numbers too long for their dtype are kept as text."""


def read_tables(patterns: Sequence[str], on: str, columns: Sequence[str] | None) -> pa.Table:
    """Return one table of all files: the key column `on`, and `columns`, or all columns if that is None.

    Args: patterns, paths, globs or URLs.
    Raises: InputError, naming the file, if it cannot be read, lacks a column or has a column of an unsupported dtype;
    also if there is no row.
    """
    files = {file.path: file for pattern in patterns for file in list_inputs(pattern)}
    typed: list[pa.Table] = []
    cells: list[pa.Table] = []
    for file in files.values():
        table, is_text = read_table(file)
        (cells if is_text else typed).append(select_columns(table, on, columns, file.path))
    if cells:
        typed.append(infer(concat(cells), on))
    table = concat(typed)
    if not table.num_rows:
        raise InputError(f"{', '.join(patterns)}: no rows; expected at least one with a {on}")
    return table


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate the tables of several files; a column that a file lacks is null for its rows.

    Raises: InputError if the dtypes of a column differ.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"the files differ in the dtype of a column: {first_line(error)}; import them separately"
        ) from error


def read_table(file: InputFile) -> tuple[pa.Table, bool]:
    """Return the table of one file, and whether its columns are text whose dtype is still to be inferred (CSV).

    Raises: InputError if the file is damaged, or not Parquet, JSON Lines or CSV.
    """
    with open_input(file.path) as stream:
        if stream.read(4) == b"PAR1":
            stream.seek(0)
            return parse_file(file, "Parquet", lambda: pq.read_table(stream)), False
        stream.seek(0)
        data = inflate(stream, file.path)
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        raise InputError(f"{file.path}: a JSON array; expected one JSON object per line, Parquet or CSV")
    if start.startswith(b"{"):
        return parse_file(file, "JSON Lines", lambda: read_json(data)), False
    return parse_file(file, "CSV", lambda: read_csv(data)), True


def inflate(stream: object, path: str) -> bytes:
    """Return the bytes of a plain or compressed file; the limits of the readers apply.

    Raises: InputError if the file is damaged or exceeds a limit.
    """
    bounds = load_step(STREAMS, "Bounds", "import")
    inflated = load_step(STREAMS, "Inflated", "import")(stream, bounds())
    data = b"".join(inflated.chunks())
    if inflated.damage:
        raise InputError(
            f"{path}: {inflated.damage.reason}: {inflated.damage.detail}; import an undamaged file"
        )
    return data


def parse_file(file: InputFile, format_name: str, read: Callable[[], pa.Table]) -> pa.Table:
    """Return the result of `read`.

    Raises: InputError, naming the file, if `read` fails.
    """
    try:
        return read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{file.path}: read as {format_name}: {first_line(error)}; expected Parquet, JSON Lines or CSV in UTF-8"
        ) from error


def read_json(data: bytes) -> pa.Table:
    """Return the table of a JSON Lines file, with inferred dtypes; text that looks like a time is kept as text."""
    source = pa.py_buffer(data)
    block = pyarrow.json.ReadOptions(block_size=min(len(data) + 1, MAX_BLOCK_BYTES))
    table = pyarrow.json.read_json(pa.BufferReader(source), read_options=block)
    plain = {f.name: without_times(f.type) for f in table.schema if without_times(f.type) != f.type}
    if not plain:
        return table
    options = pyarrow.json.ParseOptions(explicit_schema=pa.schema(plain))
    return pyarrow.json.read_json(pa.BufferReader(source), read_options=block, parse_options=options)


def without_times(dtype: pa.DataType) -> pa.DataType:
    """Return the dtype with string in place of timestamps, also within lists and structs."""
    if pa.types.is_timestamp(dtype):
        return pa.string()
    if pa.types.is_list(dtype):
        return pa.list_(without_times(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([field.with_type(without_times(field.type)) for field in dtype])
    return dtype


def read_csv(data: bytes) -> pa.Table:
    """Return the cells of a CSV file as text, empty ones as null; the first line contains the names of the columns."""
    header = data[: MAX_BLOCK_BYTES if (end := data.find(b"\n")) < 0 else end]
    options = pyarrow.csv.ParseOptions(
        delimiter=max(DELIMITERS, key=lambda mark: header.count(mark.encode())), newlines_in_values=True
    )
    source = pa.py_buffer(data)
    names = pyarrow.csv.open_csv(pa.BufferReader(source), parse_options=options).schema.names
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
    )
    return pyarrow.csv.read_csv(pa.BufferReader(source), parse_options=options, convert_options=convert)


def select_columns(table: pa.Table, on: str, columns: Sequence[str] | None, path: str) -> pa.Table:
    """Return the key column and the columns to import, cast to supported dtypes.

    Args: columns, names to import, None for all but the key; path, of the file, for errors.
    Raises: InputError if a column is missing, repeated or unnamed or has an unsupported dtype, or if none is left.
    """
    names = table.column_names
    for name in (on, *(columns or ())):
        if names.count(name) != 1:
            problem = "occurs twice" if name in names else f"is missing{nearest(name, names)}"
            raise InputError(f"{path}: the column {name!r} {problem}; rename one column of the file")
    imported = list(dict.fromkeys(name for name in columns or names if name != on))
    if not imported:
        raise InputError(f"{path}: no column besides {on!r}; expected at least one to import")
    if ambiguous := [name for name in imported if not name or names.count(name) > 1]:
        raise InputError(
            f"{path}: the column {ambiguous[0]!r} occurs twice or has no name; rename it in the file"
        )
    table = table.select([on, *imported])
    dtypes = {name: plain_type(table[name].type) for name in imported}
    if unsupported := [name for name, dtype in dtypes.items() if dtype is None]:
        others = ",".join(name for name in imported if name not in unsupported)
        raise InputError(
            f"{path}: the column {unsupported[0]!r} is {table[unsupported[0]].type}; expected numbers, text, booleans, "
            f"or lists and structs of those. Leave it out with --columns {others or 'a,b'}"
        )
    key_dtype = table[on].type
    if plain_type(key_dtype) not in (pa.string(), pa.large_string()):
        raise InputError(f"{path}: the column {on!r} is {key_dtype}; expected text")
    table = table.cast(pa.schema({on: pa.string(), **dtypes}))
    for i, dtype in enumerate(table.schema.types):
        if pa.types.is_floating(dtype):
            table = table.set_column(i, table.column_names[i], finite(table.column(i)))
    return table


def plain_type(dtype: pa.DataType) -> pa.DataType | None:
    """Return the dtype in which a column is stored: its own, without dictionaries and views; None if unsupported."""
    if pa.types.is_dictionary(dtype):
        return plain_type(dtype.value_type)
    if pa.types.is_null(dtype) or dtype == pa.string_view():
        return pa.string()
    if pa.types.is_list(dtype) or pa.types.is_fixed_size_list(dtype):
        inner = plain_type(dtype.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(dtype):
        fields = [(field.name, plain_type(field.type)) for field in dtype]
        return None if None in (inner for _, inner in fields) else pa.struct(fields)
    is_supported = pa.types.is_integer(dtype) or dtype in (
        pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string()
    )  # fmt: skip
    return dtype if is_supported else None


def finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers with null in place of NaN and infinity, like existing scores of records."""
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def infer(table: pa.Table, on: str) -> pa.Table:
    """Infer the dtypes of columns of text; the key is kept as text."""
    for i, name in enumerate(table.column_names):
        if name != on:
            table = table.set_column(i, name, infer_column(table[name]))
    return table


def infer_column(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return cells as bool, int64 or float64 if every non-empty cell can be parsed as such, else unchanged."""
    if cells.null_count == len(cells):
        return cells
    for pattern, dtype in ((TRUTH, pa.bool_()), (WHOLE, pa.int64()), (NUMBER, pa.float64())):
        if pc.all(pc.match_substring_regex(cells, pattern)).as_py():
            return pc.cast(pc.utf8_lower(cells), dtype)
    return cells


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if the message is empty."""
    return str(error).partition("\n")[0].strip() or type(error).__name__
