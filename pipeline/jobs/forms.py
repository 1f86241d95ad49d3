"""Output of a job in the form of its input: records are copied as they are, with columns added or a text replaced.

One class per form. JSON Lines are copied byte for byte where nothing changes; rows of Parquet keep schema, metadata and
compression; rows of CSV keep delimiter, quotation and encoding. A file appears under its name when it is complete.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from pipeline.errors import UsageError
from pipeline.ingest.fields import find_text
from pipeline.jobs.inputs import Batch, JobInput
from pipeline.recipe import load_step
from pipeline.storage.store import open_input

STDOUT = "-"
ENDINGS = {
    "jsonl": (".jsonl", ".ndjson", ".json"), "parquet": (".parquet", ".pq"), "csv": (".csv", ".tsv", ".tab"),
}  # fmt: skip
"""Form -> endings of its files, compression aside."""

NOUNS = {"jsonl": "JSON Lines", "parquet": "Parquet", "csv": "delimited rows", "lines": "lines of text",
         "textfile": "files of one text each"}  # fmt: skip

PACKED = (".gz", ".zst", ".bz2", ".xz")
FLUSH_BYTES = 64 << 20
"""Bytes of a row group of Parquet, uncompressed."""


class Writer(Protocol):
    """One output file, or folder, in one form."""

    def add(
        self,
        batch: Batch,
        rows: np.ndarray,
        columns: pa.Table | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> None:
        """Write records of a batch.

        Args: rows, int64 (n,), their numbers in the batch; columns, (n,), to append, or to replace of the same name;
        texts, (n,), new texts, None for a text that stays.
        """
        ...

    def close(self) -> None:
        """Finish the file."""
        ...

    def abort(self) -> None:
        """Remove what was written."""
        ...


def open_writer(path: str, item: JobInput, columns: pa.Schema | None = None) -> Writer:
    """Return a writer of files like an input.

    Args: path, a file, or `-`; columns, those that `add` appends.
    Raises: UsageError if inputs of this form cannot be written, or the name of the file is that of another form.
    """
    check_form(path, item)
    form = item.form
    if form == "parquet":
        return ParquetRows(path, item, columns)
    if form == "csv":
        return Delimited(path, item, columns)
    if form == "lines":
        return Lines(path, item)
    return TextFiles(path) if form == "textfile" else JsonLines(path, item)


def check_form(path: str, item: JobInput) -> None:
    """Raise UsageError if records of an input cannot be written to a file of this name; see `open_writer`."""
    form = item.form
    if form not in NOUNS:
        raise UsageError(
            f"{item.label}: records of {form} cannot be written back; convert them with `bicorpus run`, or use `score`"
        )
    plain = path.lower()
    for ending in PACKED:
        plain = plain.removesuffix(ending)
    other = next((f for f, endings in ENDINGS.items() if plain.endswith(endings) and f != form), None)
    if other is not None and form not in ("lines", "textfile"):
        raise UsageError(
            f"{path}: {item.label} is {NOUNS[form]}, and so is what is written; name a file that ends in "
            f"{ENDINGS[form][0]}"
        )
    if form == "parquet" and path == STDOUT:
        raise UsageError("--to -: Parquet needs a file; name one")


class OutStream:
    """A stream to a file under a temporary name, compressed by its ending, or to standard output."""

    def __init__(self, path: str) -> None:
        self.path, self.part = path, f"{path}.part"
        self.raw: BinaryIO | None = None
        if path == STDOUT:
            self.out: Any = sys.stdout.buffer  # Any: streams of several libraries
            return
        try:
            self.raw = open(self.part, "wb")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; name a file that can be written") from error
        ending = Path(path).suffix.lower()
        opened: dict[str, Any] = {
            ".gz": lambda f: gzip.GzipFile("", "wb", 6, f, mtime=0),
            ".zst": lambda f: zstandard.ZstdCompressor().stream_writer(f, closefd=False),
            ".bz2": lambda f: bz2.BZ2File(f, "wb"),
            ".xz": lambda f: lzma.LZMAFile(f, "wb"),
        }
        self.out = opened.get(ending, lambda f: f)(self.raw)

    def write(self, data: bytes | bytearray) -> None:
        """Write bytes."""
        self.out.write(data)

    def close(self) -> None:
        """End the file and give it its name."""
        if self.raw is None:
            self.out.flush()
            return
        if self.out is not self.raw:
            self.out.close()
        self.raw.close()
        os.replace(self.part, self.path)

    def abort(self) -> None:
        """Remove the file."""
        if self.raw is not None:
            self.raw.close()
            Path(self.part).unlink(missing_ok=True)


class _Streamed:
    """Closing and removal of a writer with one stream."""

    stream: OutStream

    def close(self) -> None:
        """See Writer.close."""
        self.stream.close()

    def abort(self) -> None:
        """See Writer.abort."""
        self.stream.abort()


class JsonLines(_Streamed):
    """Objects, one a line; an object without a change is copied as it is, if it was one line."""

    def __init__(self, path: str, item: JobInput) -> None:
        self.stream = OutStream(path)
        self.names = text_names(item)

    def add(
        self, batch: Batch, rows: np.ndarray, columns: pa.Table | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> None:  # fmt: skip
        """See Writer.add."""
        values = columns.to_pylist() if columns is not None else None
        for i, row in enumerate(rows.tolist()):
            record, text = batch.records[row], texts[i] if texts is not None else None
            if values is None and text is None and record.raw is not None:
                self.stream.write(bytes(record.raw).removesuffix(b"\r") + b"\n")
                continue
            fields = dict(record.fields or {})
            if text is not None:
                set_text(fields, self.names, text)
            self.stream.write(json_line(fields | (plain_values(values[i]) if values else {})))


class ParquetRows:
    """Rows of Parquet with the schema, the metadata and the compression of the input."""

    def __init__(self, path: str, item: JobInput, columns: pa.Schema | None) -> None:
        self.names, like = text_names(item), item.file.path
        with open_input(like) as stream:
            file = pq.ParquetFile(pa.PythonFile(stream, mode="r"))
            self.schema = self.base = file.schema_arrow
            groups = file.metadata.num_row_groups and file.metadata.num_columns
            codec = file.metadata.row_group(0).column(0).compression if groups else "SNAPPY"
        for added in columns or ():
            place = self.schema.get_field_index(added.name)
            self.schema = self.schema.append(added) if place < 0 else self.schema.set(place, added)
        self.path, self.part = path, f"{path}.part"
        codec = "NONE" if codec == "UNCOMPRESSED" else codec
        try:
            self.file = pq.ParquetWriter(self.part, self.schema, compression=codec)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}; name a file that can be written") from error
        self.waiting: list[pa.Table] = []

    def add(
        self, batch: Batch, rows: np.ndarray, columns: pa.Table | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> None:  # fmt: skip
        """See Writer.add."""
        assert batch.original is not None
        if batch.original.schema != self.base:
            raise UsageError(
                f"{batch.label}: its columns are not those of the first file; write each to its own with --to FOLDER/"
            )
        table = batch.original.take(pa.array(rows))
        if texts is not None:
            table = with_texts(table, self.names, texts)
        self.waiting.append(with_columns(table, columns).select(self.schema.names).cast(self.schema))
        if sum(table.nbytes for table in self.waiting) > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the waiting rows as a row group."""
        if self.waiting:
            self.file.write_table(pa.concat_tables(self.waiting).combine_chunks())
            self.waiting = []

    def close(self) -> None:
        """See Writer.close."""
        self.flush()
        self.file.close()
        os.replace(self.part, self.path)

    def abort(self) -> None:
        """See Writer.abort."""
        self.file.close()
        Path(self.part).unlink(missing_ok=True)


class Delimited(_Streamed):
    """Rows of CSV or TSV with the delimiter, the quotation mark, the header and the encoding of the input."""

    def __init__(self, path: str, item: JobInput, columns: pa.Schema | None) -> None:
        self.stream = OutStream(path)
        self.names, self.text_names = table_of(item)
        described = describe_table(item)
        dialect, self.encoding = described.dialect, described.encoding
        self.added = [name for name in (columns.names if columns else ()) if name not in self.names]
        self.buffer = io.StringIO(newline="")
        self.writer = csv.writer(
            self.buffer, delimiter=dialect.delimiter, quotechar=dialect.quote or None, lineterminator="\n",
            escapechar=dialect.escape or (None if dialect.quote else "\\"), doublequote=not dialect.escape,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        )  # fmt: skip
        if dialect.has_header:
            self.writer.writerow([*self.names, *self.added])
        self.is_first = True

    def add(
        self, batch: Batch, rows: np.ndarray, columns: pa.Table | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> None:  # fmt: skip
        """See Writer.add."""
        values = columns.to_pylist() if columns is not None else None
        for i, row in enumerate(rows.tolist()):
            fields = dict(batch.records[row].fields or {})
            if other := fields.keys() - {*self.names, *self.added, "undecoded"}:
                raise UsageError(
                    f"{batch.label}: column {min(other)!r} is not in the first file; write each to its own with "
                    "--to FOLDER/"
                )
            if texts is not None and texts[i] is not None:
                set_text(fields, self.text_names, str(texts[i]))
            fields |= {k: cell(v) for k, v in values[i].items()} if values else {}
            self.writer.writerow(
                ["" if (v := fields.get(n)) is None else v for n in (*self.names, *self.added)]
            )
        self.flush()

    def flush(self) -> None:
        """Write the rows of the buffer in the encoding of the input."""
        data = encode(self.buffer.getvalue(), self.encoding, is_start=self.is_first)
        self.is_first = self.is_first and not data
        self.stream.write(data)
        self.buffer.seek(0)
        self.buffer.truncate()

    def close(self) -> None:
        """See Writer.close."""
        self.flush()
        super().close()


class Lines(_Streamed):
    """Lines of text in the encoding of the input; columns precede the line, separated by tabs."""

    def __init__(self, path: str, item: JobInput) -> None:
        self.stream = OutStream(path)

    def add(
        self, batch: Batch, rows: np.ndarray, columns: pa.Table | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> None:  # fmt: skip
        """See Writer.add."""
        values = columns.to_pylist() if columns is not None else None
        for i, row in enumerate(rows.tolist()):
            fields = batch.records[row].fields or {}
            new = texts[i] if texts is not None else None
            text = str(fields["text"] if new is None else new)
            cells = [*(str(cell(v)) for v in values[i].values())] if values else []
            self.stream.write(encode("\t".join([*cells, text]) + "\n", fields.get("encoding", "utf-8")))


class TextFiles:
    """Files of one text each: copied into a folder; with columns, a table of paths and values instead."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.table: OutStream | None = None
        self.files: list[str] = []
        self.is_new = False

    def add(
        self, batch: Batch, rows: np.ndarray, columns: pa.Table | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> None:  # fmt: skip
        """See Writer.add."""
        for i in range(len(rows)):
            if columns is not None:
                self.table = self.table or OutStream(self.path)
                cells = [str(cell(value)) for value in columns.slice(i, 1).to_pylist()[0].values()]
                self.table.write("\t".join([batch.label, *cells]).encode() + b"\n")
                continue
            text = texts[i] if texts is not None else None
            fields = batch.records[int(rows[i])].fields or {}
            encoding = fields.get("encoding", "utf-8")
            if self.path == STDOUT:
                sys.stdout.buffer.write(encode(fields["text"] if text is None else text, encoding))
                continue
            self._write(
                os.path.basename(batch.path), None if text is None else encode(text, encoding), batch.path
            )

    def _write(self, name: str, data: bytes | None, source: str) -> None:
        """Write a file, or copy the source, under a name that it has until all are written."""
        self.is_new = self.is_new or not os.path.isdir(self.path)
        os.makedirs(self.path, exist_ok=True)
        target = os.path.join(self.path, name)
        self.files.append(target)
        if data is None:
            shutil.copyfile(source, f"{target}.part")
        else:
            Path(f"{target}.part").write_bytes(data)

    def close(self) -> None:
        """See Writer.close."""
        if self.table:
            self.table.close()
        for target in dict.fromkeys(self.files):
            os.replace(f"{target}.part", target)

    def abort(self) -> None:
        """See Writer.abort."""
        if self.table:
            self.table.abort()
        for target in self.files:
            Path(f"{target}.part").unlink(missing_ok=True)
        if self.is_new:
            Path(self.path).rmdir()


def text_names(item: JobInput) -> tuple[str, ...]:
    """Names of the text field of an input, in the order in which they are tried."""
    names = item.source.columns.get("text", item.source.reader.fields.get("text", ()))
    return (names,) if isinstance(names, str) else tuple(names)


def set_text(fields: dict[str, Any], names: Sequence[str], text: str) -> None:  # Any: values of the format
    """Replace the text of a record where `find_text` finds it; objects inside are copied, not changed.

    Raises: UsageError if the text is in no field that can be replaced.
    """
    used: set[str] = set()
    old = find_text(fields, tuple(names), used)
    for name in names:
        if name in fields and fields[name] is old:
            fields[name] = text
            return
        parts, inside = name.split("."), fields
        for part in parts[:-1]:
            if not isinstance(inside.get(part), dict):
                break
            inside[part] = dict(inside[part])
            inside = inside[part]
        else:
            if inside.get(parts[-1]) is old:
                inside[parts[-1]] = text
                return
    raise UsageError(f"the text is in none of the fields {', '.join(names)}; name one with --text-field")


def with_texts(table: pa.Table, names: Sequence[str], texts: Sequence[str | None]) -> pa.Table:
    """Replace texts of rows of Parquet where `find_text` finds them; columns keep their dtype.

    Args: names, of the text field in the order in which they are tried, a dot for a field of a struct; texts, of each
    row, None for one that stays.
    Raises: UsageError if the text of a row is in none of them.
    """
    new = pa.array(texts, pa.large_string())
    waiting = new.is_valid()
    for name in names:
        parts = [name] if name in table.column_names else name.split(".")
        if parts[0] not in table.column_names:
            continue
        place = table.column_names.index(parts[0])
        column = table[place].combine_chunks()
        old = _inside(column, parts[1:])
        if old is None:
            continue
        chosen = pc.and_(
            waiting, pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(old)), 0), False)
        )
        column = _replaced(column, parts[1:], chosen, new)
        table = table.set_column(place, table.schema.field(place), column)
        waiting = pc.and_not(waiting, chosen)
    if pc.any(waiting).as_py():
        raise UsageError(
            f"the text is in no column or field of a struct named {', '.join(names)}; texts in lists stay"
        )
    return table


def _inside(array: pa.Array, parts: Sequence[str]) -> pa.Array | None:
    """The texts of a field of structs, None if there is no such field or it has none; bytes are no texts here."""
    for part in parts:
        if not pa.types.is_struct(array.type) or array.type.get_field_index(part) < 0:
            return None
        array = pc.struct_field(array, part)
    dtype = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype):
        return pa.array(
            [bytes(v or b"").decode("utf-8", "ignore") for v in array.to_pylist()], pa.large_string()
        )
    is_text = pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype)
    return array.cast(dtype).cast(pa.large_string()) if is_text else None


def _replaced(array: pa.Array, parts: Sequence[str], chosen: pa.Array, new: pa.Array) -> pa.Array:
    """The array with new texts in the chosen rows, in a field of structs if `parts` name one."""
    if parts:
        place = array.type.get_field_index(parts[0])
        children = [pc.struct_field(array, [i]) for i in range(array.type.num_fields)]
        children[place] = _replaced(children[place], parts[1:], chosen, new)
        return pa.StructArray.from_arrays(children, fields=list(array.type), mask=array.is_null())
    dtype = array.type
    if pa.types.is_dictionary(dtype):
        plain = pc.if_else(chosen, new, array.cast(dtype.value_type).cast(pa.large_string()))
        return plain.cast(dtype.value_type).dictionary_encode().cast(dtype)
    wide = (
        pa.large_binary()
        if pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype)
        else pa.large_string()
    )
    return pc.if_else(chosen, new.cast(wide), array.cast(wide)).cast(dtype)


def with_columns(table: pa.Table, columns: pa.Table | None) -> pa.Table:
    """Append columns, or replace those of the same name."""
    for added in columns.schema if columns is not None else ():
        place = table.column_names.index(added.name) if added.name in table.column_names else -1
        column = cast(pa.Table, columns)[added.name]
        table = table.append_column(added, column) if place < 0 else table.set_column(place, added, column)
    return table


def json_line(fields: Mapping[str, Any]) -> bytes:
    """Return an object as a line of JSON; characters that UTF-8 cannot encode are escaped."""
    try:
        return (json.dumps(fields, ensure_ascii=False, default=str) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(fields, default=str) + "\n").encode()


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return measurements as JSON writes them: float32 with the fewest digits, bytes in hex."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return float(str(np.float32(value))) if float(np.float32(value)) == value else value
    if isinstance(value, dict):
        return plain_values(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def cell(value: Any) -> Any:
    """Return a value for a cell of delimited rows: lists and structs as JSON, null empty."""
    value = _plain(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else value


def encode(text: str, encoding: str, is_start: bool = False) -> bytes:
    """Encode text as its input was, GBK as its superset GB18030; a mark of the order of bytes only at the start."""
    names = {"windows-1252": "cp1252", "big5": "cp950", "shift_jis": "cp932", "euc-kr": "cp949"}
    names |= {"gbk": "gb18030", "gb2312": "gb18030"}
    name = names.get(encoding, encoding)
    if name.startswith("utf-16") or name == "utf-8":
        mark = "\ufeff" if is_start and text and name != "utf-8" else ""
        return (mark + text).encode(name, "surrogatepass" if name != "utf-8" else "replace")
    return text.encode(name, "replace")


def describe_table(item: JobInput) -> Any:  # Any: the reader's own description of a table
    """Encoding, dialect and columns of a file of delimited rows, as its reader detects them."""
    describe = load_step(item.source.reader_name, "describe", item.label)
    inflated = load_step("stages.decoding.streams", "Inflated", item.label)
    with open_input(item.file.path) as stream:
        start, is_whole = load_step("stages.decoding.transcode", "read_start", item.label)(
            inflated(stream, item.source.reader_config).chunks()
        )
    return describe(start, is_whole, item.source.reader_config)


def table_of(item: JobInput) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the columns of delimited rows, and those of the text column that are tried."""
    return tuple(describe_table(item).names), text_names(item)
