"""Files of outside scores and verdicts become one table: Parquet, JSON lines or CSV, told by content, not by name.

A whole file is held in memory while it is read. Types are those of the file; the cells of a CSV have none, so a
column becomes whole numbers, numbers or truth values where every cell of every file is one, and text otherwise.
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
"""What a CSV cell may look like to be more than text; 007 and numbers too long for their type stay text."""


def read_tables(patterns: Sequence[str], on: str, columns: Sequence[str] | None) -> pa.Table:
    """Read every file that the patterns name into one table of the key column `on` and the others or `columns`.

    Raises: InputError naming a file that cannot be read, lacks a column or holds a type that no rule could use.
    """
    files = {file.path: file for pattern in patterns for file in list_inputs(pattern)}
    typed: list[pa.Table] = []
    cells: list[pa.Table] = []
    for file in files.values():
        table, is_text = read_table(file)
        chosen = select_columns(table, on, columns, file.path)
        (cells if is_text else typed).append(chosen)
    if cells:
        typed.append(infer(concat(cells), on))
    table = concat(typed)
    if not table.num_rows:
        raise InputError(f"{', '.join(patterns)}: no rows; expected at least one with a {on}")
    return table


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Put the tables of several files below each other; a column that a file lacks is null there."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"the files differ in a column's type: {first_line(error)}; import one alone"
        ) from error


def read_table(file: InputFile) -> tuple[pa.Table, bool]:
    """One file as a table, and whether its columns are cells of text that have no type yet."""
    with open_input(file.path) as stream:
        if stream.read(4) == b"PAR1":
            stream.seek(0)
            return parsed(file, "Parquet", lambda: pq.read_table(stream)), False
        stream.seek(0)
        data = inflate(stream, file.path)
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        raise InputError(f"{file.path}: a JSON array; expected one JSON object a line, Parquet or CSV")
    if start.startswith(b"{"):
        return parsed(file, "JSON lines", lambda: read_json(data)), False
    return parsed(file, "CSV", lambda: read_csv(data)), True


def inflate(stream: object, path: str) -> bytes:
    """The bytes of a plain or compressed file, under the readers' bounds."""
    bounds = load_step(STREAMS, "Bounds", "import")
    inflated = load_step(STREAMS, "Inflated", "import")(stream, bounds())
    data = b"".join(inflated.chunks())
    if inflated.damage:
        raise InputError(
            f"{path}: {inflated.damage.reason}: {inflated.damage.detail}; import an undamaged file"
        )
    return data


def parsed(file: InputFile, kind: str, read: Callable[[], pa.Table]) -> pa.Table:
    """Read, with the file's name in the error."""
    try:
        return read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{file.path}: read as {kind}: {first_line(error)}; expected Parquet, JSON lines or CSV in UTF-8"
        ) from error


def read_json(data: bytes) -> pa.Table:
    """JSON lines with the types that the values have; text that looks like a time stays text."""
    source = pa.py_buffer(data)
    block = pyarrow.json.ReadOptions(block_size=min(len(data) + 1, MAX_BLOCK_BYTES))
    table = pyarrow.json.read_json(pa.BufferReader(source), read_options=block)
    plain = {f.name: without_times(f.type) for f in table.schema if without_times(f.type) != f.type}
    if not plain:
        return table
    options = pyarrow.json.ParseOptions(explicit_schema=pa.schema(plain))
    return pyarrow.json.read_json(pa.BufferReader(source), read_options=block, parse_options=options)


def without_times(kind: pa.DataType) -> pa.DataType:
    """A type with text in place of times."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(without_times(field.type)) for field in kind])
    return kind


def read_csv(data: bytes) -> pa.Table:
    """All cells of a CSV file as text, an empty one as null; the first line names the columns."""
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
    """The key column and the chosen ones, each of a type that is allowed."""
    names = table.column_names
    for name in (on, *(columns or ())):
        if names.count(name) != 1:
            found = "stands twice" if name in names else f"is not there{nearest(name, names)}"
            raise InputError(f"{path}: the column {name!r} {found}; rename one column of the file")
    wanted = list(dict.fromkeys(name for name in columns or names if name != on))
    if not wanted:
        raise InputError(f"{path}: no column beside {on!r}; expected at least one to import")
    if twice := [name for name in wanted if not name or names.count(name) > 1]:
        raise InputError(
            f"{path}: the column {twice[0]!r} stands twice or has no name; rename it in the file"
        )
    table = table.select([on, *wanted])
    kinds = {name: plain_type(table[name].type) for name in wanted}
    if refused := [name for name, kind in kinds.items() if kind is None]:
        others = ",".join(name for name in wanted if name not in refused)
        raise InputError(
            f"{path}: the column {refused[0]!r} is {table[refused[0]].type}; expected numbers, text, truth values, or "
            f"lists and structs of those. Leave it out with --columns {others or 'a,b'}"
        )
    key = table[on].type
    if plain_type(key) not in (pa.string(), pa.large_string()):
        raise InputError(f"{path}: the column {on!r} is {key}; expected text")
    table = table.cast(pa.schema({on: pa.string(), **kinds}))
    for i, kind in enumerate(table.schema.types):
        if pa.types.is_floating(kind):
            table = table.set_column(i, table.column_names[i], finite(table.column(i)))
    return table


def plain_type(kind: pa.DataType) -> pa.DataType | None:
    """The type in which a column is kept: the file's own, but for ways of packing it; None if it is not allowed."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_null(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = plain_type(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(kind):
        fields = [(field.name, plain_type(field.type)) for field in kind]
        return None if None in (inner for _, inner in fields) else pa.struct(fields)
    allowed = pa.types.is_integer(kind) or kind in (
        pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string()
    )  # fmt: skip
    return kind if allowed else None


def finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers with null for those that are none, as for scores that come with the records."""
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def infer(table: pa.Table, on: str) -> pa.Table:
    """Give the columns of text the types that all their cells have; the key stays text."""
    for i, name in enumerate(table.column_names):
        if name != on:
            table = table.set_column(i, name, infer_column(table[name]))
    return table


def infer_column(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Truth values, whole numbers or numbers if every cell that is not empty is one; else the text as it is."""
    if cells.null_count == len(cells):
        return cells
    for pattern, kind in ((TRUTH, pa.bool_()), (WHOLE, pa.int64()), (NUMBER, pa.float64())):
        if pc.all(pc.match_substring_regex(cells, pattern)).as_py():
            return pc.cast(pc.utf8_lower(cells), kind)
    return cells


def first_line(error: Exception) -> str:
    """The first line of a library's message."""
    return str(error).partition("\n")[0].strip() or type(error).__name__
