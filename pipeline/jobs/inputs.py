"""Inputs of a job: files recognised as `init` recognises them, read in batches of documents with their records.

Readers and canonical texts are those of a build. A batch keeps the records beside the documents, so that a job can copy
them in the form of the input.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.run_file import Ingest, Source
from pipeline.errors import InputError, UsageError
from pipeline.ingest.canonical import ROW_GROUP_ROWS, Rows
from pipeline.ingest.ingest import source_info, too_many_broken
from pipeline.names import nearest
from pipeline.recipe import config_of, load_step
from pipeline.runtime.limits import limits_of
from pipeline.scaffold.find_files import FoundFile, Unread, find_files
from pipeline.scaffold.proposal import propose
from pipeline.scaffold.sniff import JSONL, PARQUET, TEXT
from pipeline.scaffold.survey import survey_files
from pipeline.stage import Record
from pipeline.storage.scratch import scratch
from pipeline.storage.store import InputFile, list_inputs, open_input
from pipeline.translation import message

STDIN = "-"
FORMATS = {
    "jsonl": JSONL, "parquet": PARQUET, "csv": "stages.readers.csv", "text": TEXT, "lines": "stages.readers.lines",
    "html": "stages.readers.html", "warc": "stages.readers.warc", "wet": "stages.readers.wet",
}  # fmt: skip
"""Formats that `--format` can name -> reader. `text`: one document a file; `lines`: one a line."""

SOURCE = "input"
"""Name of the source of all documents of a job; with the path and the row it determines doc_id."""


@dataclass(frozen=True)
class JobInput:
    """One input file. label: its path as given, `-` for standard input."""

    file: InputFile
    label: str
    source: Source

    @property
    def form(self) -> str:
        """Name of the reader: jsonl, parquet, csv, textfile, lines, ..."""
        return self.source.reader.name


@dataclass(frozen=True)
class Batch:
    """Some records of one input, in order. label, path: of the input.

    records: sound and broken ones. documents: CANONICAL, of the sound ones; index: int64 (n_docs,), the record of each.
    quarantined: QUARANTINE, of the others. original: the rows of a Parquet file or a table with the records, if needed.
    """

    label: str
    path: str
    records: Sequence[Record]
    documents: pa.Table
    index: np.ndarray
    quarantined: pa.Table
    original: pa.Table | None = None

    @property
    def extent(self) -> Extent:
        """How much of the input it is."""
        return Extent(len(self.records), sum(record.position >= 0 for record in self.records))


@dataclass(frozen=True)
class Extent:
    """Records of a batch, and rows of a table among them: all but one that reports a file that is not read further."""

    n_records: int
    n_rows: int


@dataclass
class Found:
    """Recognised inputs, and paths of folders and globs that are not read, with the reason."""

    inputs: list[JobInput] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return sum(item.file.size for item in self.inputs)


@contextmanager
def open_inputs(
    paths: Sequence[str], text_field: str | None = None, form: str | None = None
) -> Iterator[Found]:
    """Recognise files, globs, folders and `-`; standard input is kept in a temporary file meanwhile.

    Args: text_field, instead of the one that is guessed; form, one of FORMATS, instead of the one recognised.
    Raises: InputError if a path does not exist, or a file that is named is not recognised.
    """
    if form is not None and form not in FORMATS:
        raise UsageError(f"--format {form!r}{nearest(form, FORMATS)}")
    with scratch() as folder:
        found = Found()
        for path in paths:
            if path == STDIN:
                stored = os.path.join(folder, "stdin")
                with open(stored, "wb") as file:
                    shutil.copyfileobj(sys.stdin.buffer, file)
                _add(found, stored, text_field, form, STDIN)
            else:
                _add(found, path, text_field, form, None)
        if not found.inputs:
            reasons = "; ".join(f"{item.path}: {item.reason}" for item in found.unread[:3])
            raise InputError(f"{', '.join(paths)}: no file that can be read ({reasons or 'there are none'})")
        yield found


def _add(found: Found, path: str, text_field: str | None, form: str | None, label: str | None) -> None:
    files, unread = find_files(path)
    if form is not None:
        found.inputs += [_forced(file, FORMATS[form], text_field, label) for file in files]
        found.unread += unread
        return
    samples, rejected = survey_files(files)
    proposals = {s.file.path: p for p in propose(samples, os.getcwd()) for s in p.samples} if samples else {}
    reasons = {item.path: item for item in rejected}
    found.unread += unread
    for file in files:
        if file.path in proposals:
            proposal = proposals[file.path]
            columns = {} if proposal.is_plain() else proposal.columns()
            found.inputs.append(
                _input(file, proposal.reader_name, dict(proposal.config), columns, text_field, label)
            )
        elif label == STDIN and file.size:
            found.inputs.append(_forced(file, TEXT, text_field, label))
        elif text_field is not None:
            found.inputs.append(_forced(file, _likely_reader(file.path), text_field, label))
        elif file.root is None:
            reason = reasons[file.path].reason if file.path in reasons else message("not recognised")
            raise InputError(
                f"{label or file.path}: {reason}; name the format with --format, or the field with --text-field"
            )
        else:
            found.unread += [reasons[file.path]] if file.path in reasons else []


def _likely_reader(path: str) -> str:
    with open_input(path) as stream:
        if stream.read(4) == b"PAR1":
            return PARQUET
    is_delimited = any(ending in os.path.basename(path).lower() for ending in (".csv", ".tsv"))
    return FORMATS["csv"] if is_delimited else JSONL


def _forced(file: FoundFile, reader_name: str, text_field: str | None, label: str | None) -> JobInput:
    return _input(file, reader_name, {}, {}, text_field, label)


def _input(
    file: FoundFile,
    reader_name: str,
    config: dict[str, Any],  # Any: the reader's settings
    columns: dict[str, str],
    text_field: str | None,
    label: str | None,
) -> JobInput:
    if text_field is not None:
        columns = {c: f for c, f in columns.items() if f != text_field} | {"text": text_field}
    reader = load_step(reader_name, "READER", label or file.path)
    source = Source(
        name=SOURCE, reader_name=reader_name, reader=reader, reader_config=config_of(reader, config, file.path),
        files=(file.path,), columns=columns,
    )  # fmt: skip
    (listed,) = list_inputs(file.path, True)
    return JobInput(listed, label or file.path, source)


def read_batches(item: JobInput, originals: bool = False, max_rows: int = ROW_GROUP_ROWS) -> Iterator[Batch]:
    """Read one input, a row group of a build at a time.

    Args: originals, also read the rows of a Parquet file as they are, for a copy.
    Raises: InputError if the file cannot be read.
    """
    rows, records = Rows(source_info(item.source, item.file, Ingest())), list[Record]()
    copies = _Originals(item.file.path) if originals and item.form == "parquet" else None
    settings = item.source.reader_config
    with open_input(item.file.path) as stream, limits_of(settings, item.file.size) as limits:
        for record in limits.each(item.source.reader, stream, item.file.relative, settings):
            rows.add(record)
            if record.skipped:
                continue
            records.append(record)
            if rows.n_docs >= max_rows or rows.is_full:
                batch = _batch(item.label, item.file.path, records, rows, copies)
                with limits.lifted():
                    yield batch
                records = []
            if rows.n_broken_in_row >= Ingest.max_broken_records:
                last = too_many_broken(rows.n_broken_in_row, item.file.size - stream.tell())
                rows.add(last)
                records.append(last)
                break
    if records:
        yield _batch(item.label, item.file.path, records, rows, copies)


def read_again(item: JobInput, extents: Sequence[Extent]) -> Iterator[Batch]:
    """Read the batches of one input once more for a copy: records or rows of Parquet alone, without documents.

    Args: extents, of the batches as `read_batches` made them.
    Raises: InputError if the file cannot be read.
    """
    nothing = Rows(source_info(item.source, item.file, Ingest())).take()[:2]

    def batch(records: Sequence[Record], original: pa.Table | None) -> Batch:
        return Batch(
            item.label, item.file.path, records, nothing[0], np.empty(0, np.int64), nothing[1], original
        )

    if item.form == "parquet":
        copies = _Originals(item.file.path)
        yield from (batch((), copies.take(extent.n_rows)) for extent in extents)
        return
    settings = item.source.reader_config
    with open_input(item.file.path) as stream, limits_of(settings, item.file.size) as limits:
        records = limits.each(item.source.reader, stream, item.file.relative, settings)
        read = (record for record in records if not record.skipped)
        for extent in extents:
            made = batch(list(itertools.islice(read, extent.n_records)), None)
            with limits.lifted():
                yield made


def record_batches(
    records: Iterable[Record], source: Source, label: str, original: pa.Table, max_rows: int = ROW_GROUP_ROWS
) -> Iterator[Batch]:
    """Make batches of records of a table in memory; see `read_batches`. original: the table, a row for each record."""
    rows = Rows(source_info(source, InputFile(label, label, 0, ""), Ingest()))
    iterator, start = iter(records), 0
    while chunk := list(itertools.islice(iterator, max_rows)):
        for record in chunk:
            rows.add(record)
        batch = _batch(label, label, chunk, rows, None)
        yield replace(batch, original=original.slice(start, len(chunk)))
        start += len(chunk)


def _batch(label: str, path: str, records: list[Record], rows: Rows, copies: _Originals | None) -> Batch:
    documents, quarantined, _ = rows.take()
    numbers = {record.position: i for i, record in enumerate(records)}
    index = np.array([numbers[row] for row in documents["input_row"].to_pylist()], np.int64)
    batch = Batch(label, path, records, documents, index, quarantined)
    return replace(batch, original=copies.take(batch.extent.n_rows)) if copies else batch


class _Originals:
    """The rows of a Parquet file, as they are, in order."""

    def __init__(self, path: str) -> None:
        self.file = pq.ParquetFile(pa.PythonFile(open_input(path), mode="r"), pre_buffer=False)
        self.batches = self._batches()
        self.rest = self.file.schema_arrow.empty_table()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for group in range(self.file.num_row_groups):  # nested dictionaries cannot be read across groups
            yield from self.file.iter_batches(ROW_GROUP_ROWS, row_groups=[group])

    def take(self, n_rows: int) -> pa.Table:
        """Return the next rows."""
        tables = [self.rest]
        while sum(table.num_rows for table in tables) < n_rows:
            tables.append(pa.Table.from_batches([next(self.batches)]))
        rows = pa.concat_tables(tables)
        self.rest = rows.slice(n_rows)
        return rows.slice(0, n_rows)
