r"""Delimited rows, plain or compressed: CSV, TSV and the like, with a header or without; blank lines are skipped.

Delimiter, quotation, escapes (`\"`, as Spark and MySQL write them), header and encoding are detected from the start of
the file; settings of the same names fix them. Excel's first line `sep=;` is obeyed. Yields the cells under the names of
their columns, text all of them; an empty cell is null, and so is \N, as databases write it. A column without a name is
`column_N`, counted from 1, and a repeated name gets `_2`. Position is the number of the row from 0, the header not
counted. `undecoded` counts bytes that became U+FFFD, if they are few.

A quotation mark that is never closed costs one line: it is read as text if the line then has all cells. Reasons of
broken records: ragged_row, invalid_csv, record_too_long, too_many_values, invalid_utf8; at position -1: truncated,
corrupt_stream, decompression_bomb, no_dictionary.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.csv_dialect import Dialect, find_dialect, rows_of
from stages.decoding.encoding import EncodingError, decode_utf8
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated, split_lines
from stages.decoding.transcode import check_encoding, file_encoding, read_start, to_utf8
from stages.readers import FIELDS

NAME = re.compile(r"\.(csv|tsv|tab)(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)
NO_QUOTE = "none"
BLANK = (b"", b"\r")
"""Lines that are skipped between rows."""

NULL = ("", r"\N")
"""Cells without a value; PostgreSQL and MySQL write the second."""

csv.field_size_limit(1 << 31)  # of the whole process; rows are bounded by max_record_bytes

NAMES = {
    "text": (*FIELDS["text"], "正文", "内容", "文本", "文章", "全文"),
    "source_id": (*FIELDS["source_id"], "编号", "序号"),
    "url": (*FIELDS["url"], "网址", "链接"),
    "date": (*FIELDS["date"], "日期", "时间", "发布时间"),
}
"""Names of columns that tables have in addition, as people write them in headers."""


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """How rows are written, and their bounds; longer rows are quarantined, and reading continues after them.

    delimiter, quote, escape: one character, detected if empty; quote: `none` if the mark is text. header: whether the
    first row has the names of the columns, detected if null. columns: names instead of a header's. skip_lines: lines
    before the header. encoding: such as gb18030, detected if empty.
    """

    delimiter: str = ""
    quote: str = ""
    escape: str = ""
    header: bool | None = None
    columns: tuple[str, ...] = ()
    skip_lines: int = 0
    encoding: str = ""
    max_record_bytes: int = 64 << 20  # of one row, decompressed

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("delimiter", "quote", "escape"):
            value = getattr(self, name)
            if len(value) > 1 and (name, value) != ("quote", NO_QUOTE):
                raise ConfigError(f"{name} is {value!r}; expected one character, or none to detect it")
        if self.max_record_bytes < 1 or self.skip_lines < 0:
            raise ConfigError(
                f"max_record_bytes is {self.max_record_bytes}, skip_lines {self.skip_lines}; expected at least 1 and 0"
            )
        if len(set(self.columns)) < len(self.columns):
            raise ConfigError("columns has a name twice; give each column its own")
        check_encoding(self.encoding, "encoding")


@dataclass(frozen=True)
class Table:
    """What is known of a file before its rows: encoding, dialect, names of the columns."""

    encoding: str
    dialect: Dialect
    names: tuple[str, ...]


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per row, in order; see `Reader`."""
    yield from _read(stream, config, is_start=False)


def read_cut_off(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield the rows of a stream that ends before its file does, without one that it cuts off inside quotation."""
    yield from _read(stream, config, is_start=True)


def _read(stream: BinaryIO, config: Config, *, is_start: bool) -> Iterator[Record]:
    source = Inflated(stream, config)
    chunks = source.chunks()
    start, is_whole = read_start(chunks)
    table = describe(start, is_whole, config)
    data = to_utf8(itertools.chain((start,), chunks), table.encoding)
    if b"\r" in start and b"\n" not in start:
        data = (chunk.replace(b"\r", b"\n") for chunk in data)  # as Excel for Mac wrote
    lines = itertools.islice(split_lines(data, config.max_record_bytes), table.dialect.skip_lines, None)
    rows = _Rows(
        lines, table.dialect, len(table.names), config, lambda: is_start or source.damage is not None
    )
    yield from _records(rows, table)
    if source.damage is not None:
        yield source.damage


def describe(start: bytes, is_whole: bool, config: Config) -> Table:
    """Return encoding, dialect and columns of a file.

    Args: start, its first decompressed bytes; is_whole, they are all of it.
    """
    encoding = config.encoding or file_encoding(start, is_whole)
    text = b"".join(to_utf8(iter((start,)), encoding)).decode("utf-8", "replace")
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    known = Dialect(
        config.delimiter or ",", "" if config.quote == NO_QUOTE else config.quote or '"', config.escape,
        bool(config.header), config.skip_lines,
    )  # fmt: skip
    fixed = {name for name in ("delimiter", "quote", "escape", "skip_lines") if getattr(config, name)}
    if config.header is not None or config.columns:
        fixed.add("has_header")
    dialect = find_dialect(text, is_whole, known, frozenset(fixed))
    for _ in range(dialect.skip_lines):
        text = text.partition("\n")[2]
    rows = rows_of(text, dialect, is_whole)
    return Table(encoding, dialect, config.columns or _names(rows, dialect))


def describe_start(stream: BinaryIO, is_truncated: bool, config: Config) -> str:
    """Return what was detected of a file, such as `gb18030, ";" between cells`; empty for UTF-8 with commas.

    Args: stream, its start as stored; is_truncated, the file goes on after that.
    """
    start, is_whole = read_start(Inflated(stream, config).chunks())
    table = describe(start, is_whole and not is_truncated, config)
    found = [] if table.encoding == "utf-8" else [table.encoding]
    if table.dialect.delimiter != ",":
        found.append(
            f"{DELIMITER_NAMES.get(table.dialect.delimiter, repr(table.dialect.delimiter))} between cells"
        )
    if not table.dialect.quote:
        found.append("no quotation")
    if table.dialect.escape:
        found.append("escapes with a backslash")
    if not table.dialect.has_header:
        found.append("no header")
    return ", ".join(found)


DELIMITER_NAMES = {"\t": "tabs", ";": "semicolons", "|": "bars"}


def _names(rows: list[list[str]], dialect: Dialect) -> tuple[str, ...]:
    """Return the names of the columns; a header with one cell less than the rows lacks that of row names, as R's."""
    first = rows[0] if rows else []
    body = rows[1:] if dialect.has_header else rows
    width = Counter(map(len, body)).most_common(1)[0][0] if body else len(first)
    if not dialect.has_header:
        return tuple(f"column_{i}" for i in range(1, width + 1))
    header = [cell.strip("\ufeff \t\r\n") for cell in first]
    if width == len(header) + 1 and not any(len(row) == len(header) for row in body):
        header.insert(0, "")
    while len(header) > width and not header[-1]:
        header.pop()
    names: dict[str, None] = {}
    numbers: Counter[str] = Counter()  # of each name, how often it was numbered
    for i, cell in enumerate(header, 1):
        name = unique = cell or f"column_{i}"
        while unique in names:
            numbers[name] += 1
            unique = f"{name}_{numbers[name] + 1}"
        names[unique] = None
    return tuple(names)


class _Rows:
    """Rows of lines: cells, or None and why they are broken; raw bytes and undecoded bytes of each.

    is_cut: whether lines that end are cut off. A row that ends inside quotation is then left out; otherwise its
    quotation is damaged, and its lines are read as rows.
    """

    def __init__(
        self,
        lines: Iterator[tuple[bytes | bytearray, int]],
        dialect: Dialect,
        width: int,
        config: Config,
        is_cut: Callable[[], bool],
    ) -> None:
        self._lines, self._dialect, self._width, self._is_cut = lines, dialect, width, is_cut
        self._max_bytes, self._max_values = config.max_record_bytes, config.max_values
        self._delimiter = dialect.delimiter.encode("utf-8", "replace")
        self._again: deque[tuple[bytes, int]] = deque()
        self._held: list[tuple[bytes, int]] = []
        self._n_held = 0
        self.undecoded = 0
        self.fault: str | None = None

    def _feed(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            if not self._held and line[0] in BLANK:
                continue
            self._held.append((bytes(line[0]), line[1]))
            self._n_held += line[1]
            if self._n_held > self._max_bytes:
                raise csv.Error("the row is longer than max_record_bytes")
            if len(self._held) > self._max_values or self._has_more_cells(line[0]):
                raise csv.Error(f"the row has more than {self._max_values:,} lines or cells (max_values)")
            yield self._decoded(line[0]) + "\n"

    def _has_more_cells(self, line: bytes | bytearray) -> bool:
        return len(line) > self._max_values and line.count(self._delimiter) > self._max_values

    def _decoded(self, line: bytes | bytearray) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            pass
        try:
            text, n_undecoded = decode_utf8(line)
            self.undecoded += n_undecoded
            return text
        except EncodingError as error:
            self.fault = str(error)
            return line.decode("utf-8", "replace")

    def __iter__(self) -> Iterator[tuple[list[str] | None, str]]:
        """Yield the cells of each row that is not blank, or None, and why it is broken."""
        reader = self._reader()
        while True:
            self._held, self._n_held, self.undecoded, self.fault = [], 0, 0, None
            try:
                row = next(reader, None)
            except csv.Error as error:
                if "unexpected end" in str(error) and self._is_cut():
                    return
                row, reader = self._mended(), self._reader()
                yield row, "" if row is not None else str(error)
                continue
            if row is None:
                return
            if row:
                yield row, ""

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), strict=True, **self._dialect.options())

    def _mended(self) -> list[str] | None:
        """Return the first line of a faulty row, its quotation marks as text, if it has all cells.

        The other lines of the row are read again.
        """
        first, *rest = self._held
        self._again.extendleft(reversed(rest))
        self._held, self.fault, self.undecoded = [first], None, 0
        if first[1] > self._max_bytes or self._has_more_cells(first[0]):
            return None
        text = self._decoded(first[0])
        plain = {**self._dialect.options(), "quoting": csv.QUOTE_NONE, "quotechar": None}
        for options in (plain, self._dialect.options()):
            try:
                row = next(csv.reader([text], **options), [])
            except csv.Error:
                continue
            if len(row) == self._width and self._width > 1:
                return row
        return None

    @property
    def raw(self) -> bytes:
        """The start of the row."""
        return b"\n".join(line for line, _ in self._held)[:RAW_BYTES]

    @property
    def n_bytes(self) -> int:
        """Bytes of the row, line breaks included."""
        return sum(n + 1 for _, n in self._held)


def _records(rows: _Rows, table: Table) -> Iterator[Record]:
    found: Iterable[tuple[list[str] | None, str]] = iter(rows)
    if table.dialect.has_header:
        found = itertools.islice(found, 1, None)
    for position, (row, fault) in enumerate(found):
        yield _as_record(position, row, fault, rows, table)


def _as_record(position: int, row: list[str] | None, fault: str, rows: _Rows, table: Table) -> Record:
    n_bytes, width = rows.n_bytes, len(table.names)
    if row is None:
        detail = f"{n_bytes:,} bytes: {fault}"
        if "max_record_bytes" in fault:
            return Record(position, None, "record_too_long", detail, rows.raw, n_bytes=n_bytes)
        if "max_values" in fault:
            return Record(position, None, "too_many_values", detail, rows.raw, n_bytes=n_bytes)
        return Record(position, None, "invalid_csv", detail, rows.raw, n_bytes=n_bytes)
    if rows.fault:
        return Record(position, None, "invalid_utf8", rows.fault, rows.raw, n_bytes=n_bytes)
    if len(row) != width and (len(row) < width or any(row[width:])):
        detail = f"{len(row):,} cells; expected {width:,}: {', '.join(table.names[:100])[:200]}"
        return Record(position, None, "ragged_row", detail, rows.raw, n_bytes=n_bytes)
    fields: dict[str, object] = {
        name: None if cell in NULL else cell for name, cell in zip(table.names, row, strict=False)
    }
    if rows.undecoded:
        fields["undecoded"] = rows.undecoded
    return Record(position, fields, n_bytes=n_bytes)


READER = Reader(name="csv", version=3, config=Config, read=read, fields={**FIELDS, **NAMES})
