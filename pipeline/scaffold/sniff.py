"""What input files hold: format, fields, languages and size, told from the start of each file.

The readers themselves do the telling, so that what is recognised is what a run can read. Names of files play no part,
but for Markdown and plain text, which look like anything, and for the places of Dolma's attributes. Which files make a
source is up to `survey` and `proposal`.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.recipe import config_of, load_step
from pipeline.scaffold.find_files import FoundFile, Unread
from pipeline.scaffold.foreign_layouts import DOLMA, attribute_names
from pipeline.scaffold.infer import Field, choose_text, count_fields, flatten, guess_language, text_value
from pipeline.stage import Reader, Record
from pipeline.storage.store import open_input

JSONL, WET, PARQUET = "stages.readers.jsonl", "stages.readers.wet", "stages.readers.parquet"
WARC, HTML, TEXT = "stages.readers.warc", "stages.readers.html", "stages.readers.textfile"
WHOLE = (HTML, TEXT)
"""Readers of files that are one document each."""

PACKED = r"(\.(?:gz|zst|bz2|xz))?$"
HTML_NAME = re.compile(rf"\.(x?html?|shtml){PACKED}", re.IGNORECASE)
TEXT_NAME = re.compile(rf"\.(md|markdown|mdx|qmd|rmd|txt|text|rst){PACKED}", re.IGNORECASE)
HTML_START = re.compile(
    r"\s*(<\?xml[^>]{0,200}>\s*)?(<!--.{0,2000}?-->\s*)*<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
"""How a page begins, after a declaration and comments."""

SAMPLE_RECORDS = 200
"""Records of each file whose fields are looked at, at least; fewer than twice as many."""

TOTAL_BYTES, MIN_BYTES, MAX_BYTES = 256 << 20, 256 << 10, 4 << 20
"""Bytes read in all, and of one file at least and at most: what to spend on estimates."""

PAGE_BYTES, MIN_PAGE_BYTES = 32 << 20, 128 << 10
"""The same of WARC files, whose pages take a hundred times as long: a few thousand pages in all."""


@dataclass(frozen=True)
class Sample:
    """What one file holds; n_docs and text_bytes are estimates when the file was not read to its end.

    broken: reasons of records that a run would quarantine -> how many, of n_read.
    languages: guessed language -> share of documents. config: what the reader must be told to read it so.
    doubt: why no source can be made of this file alone, though files of its kind may have it among them.
    """

    file: FoundFile
    reader_name: str
    fields: Mapping[str, Field]
    text_field: str
    n_read: int
    broken: Counter[str]
    n_docs: int
    text_bytes: int
    languages: Mapping[str, float]
    config: Mapping[str, Any] = field(default_factory=dict)  # Any: the reader's settings
    doubt: str = ""


@dataclass
class _Head:
    """What a reader makes of the start of a file: some of the sound records, and counts of all."""

    records: list[Mapping[str, Any]] = field(default_factory=list)  # Any: whatever the format holds
    first_broken: Record | None = None
    begins_broken: bool = False
    broken: Counter[str] = field(default_factory=Counter)
    n_sound: int = 0

    @property
    def n_read(self) -> int:
        """Records, sound and broken."""
        return self.n_sound + self.broken.total()


def sniff(file: FoundFile, n_files: int = 1) -> Sample | Unread:
    """Tell what a file holds from its start. n_files: how many share the bytes that are read in all."""
    n_bytes = min(max(TOTAL_BYTES // max(n_files, 1), MIN_BYTES), MAX_BYTES)
    page_bytes = min(max(PAGE_BYTES // max(n_files, 1), MIN_PAGE_BYTES), MAX_BYTES)
    try:
        found = _sniff_start(file, n_bytes, page_bytes)
        if isinstance(found, Unread) and page_bytes < min(file.size, MAX_BYTES):
            return _sniff_start(file, MAX_BYTES, MAX_BYTES)  # its first record may be longer
        return found
    except (InputError, OSError) as error:
        return Unread(file.path, f"cannot be read: {error.__cause__ or error}")


def _sniff_start(file: FoundFile, n_bytes: int, page_bytes: int) -> Sample | Unread:
    with open_input(file.path) as stream:
        data = stream.read(n_bytes)
        if data.startswith(b"PAR1"):
            return _sniff_parquet(stream, file, n_bytes)
    if not data:
        named = HTML if HTML_NAME.search(file.path) else TEXT if TEXT_NAME.search(file.path) else ""
        return _blank(file, named, "empty_text", "empty") if named else Unread(file.path, "empty")
    head = _read_head(JSONL, _Start(data, file.path), file.path, len(data) < file.size)
    first = (head.first_broken.raw or b"").lstrip() if head.first_broken and head.begins_broken else b""
    if first.startswith(b"WARC/"):
        return _sniff_archive(file, data, page_bytes)
    no_lines = head.n_sound <= head.broken.total()
    called_html = no_lines and bool(HTML_NAME.search(file.path))
    if first.startswith(b"<") or called_html:  # a page may hold lines of JSON
        if whole := _sniff_whole(file, HTML, must_look_so=not called_html):
            return whole
    if no_lines and TEXT_NAME.search(file.path) and (whole := _sniff_whole(file, TEXT)):
        return whole
    if head.n_sound and (names := attribute_names(file.path)):
        config = {"attributes": list(names)}
        found = _sniff_lines(file, DOLMA, data, config)
        if isinstance(found, Sample):
            return found
    return _sample(file, JSONL, head, file.size / len(data))


class _Start(io.BytesIO):
    """The start of a file, under the name of the file."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _sniff_lines(
    file: FoundFile, reader_name: str, data: bytes, config: Mapping[str, Any] | None = None
) -> Sample | Unread:  # Any: the reader's settings
    """Read the start of a file of records."""
    cut = len(data) < file.size
    head = _read_head(reader_name, _Start(data, file.path), file.path, cut, config=config)
    return _sample(file, reader_name, head, file.size / len(data), config)


def _sniff_archive(file: FoundFile, data: bytes, page_bytes: int) -> Sample | Unread:
    """Read the start of a WARC file: of extracted texts (WET) or, if it has none, of pages."""
    texts = _sniff_lines(file, WET, data)
    if isinstance(texts, Sample):
        return texts
    pages = _sniff_lines(file, WARC, data[:page_bytes])
    return pages if isinstance(pages, Sample) or "no records" not in pages.reason else texts


def _sniff_whole(file: FoundFile, reader_name: str, must_look_so: bool = False) -> Sample | None:
    """Read a file that is one document; None if it must look like a page of HTML and does not."""
    if must_look_so:
        text = _whole_text(file, TEXT)
        if isinstance(text, Record) or not HTML_START.match(text["text"]):
            return None
    record = _whole_text(file, reader_name)
    if isinstance(record, Record):
        return _blank(file, reader_name, str(record.reason), f"{record.reason} ({record.detail})")
    fields = dict(flatten(record))
    if not text_value(fields.get("text")):
        return _blank(file, reader_name, "empty_text", "holds no text")
    counts = count_fields([fields])
    return Sample(
        file=file, reader_name=reader_name, fields=counts, text_field="text", n_read=1, broken=Counter(),
        n_docs=1, text_bytes=len(fields["text"].encode("utf-8", "replace")),
        languages={guess_language(fields["text"]): 1.0},
        doubt="" if counts["text"].text_chars else "holds no sentence",
    )  # fmt: skip


def _whole_text(file: FoundFile, reader_name: str) -> Mapping[str, Any] | Record:  # Any: a reader's fields
    """The fields of the one record of a file, or the record if it is broken."""
    reader: Reader = load_step(reader_name, "READER", "init")
    with open_input(file.path) as stream:
        (record,) = reader.read(stream, file.path, reader.config())
    return record if record.fields is None else record.fields


def _blank(file: FoundFile, reader_name: str, reason: str, doubt: str) -> Sample:
    """A file of which a run makes a record in quarantine."""
    return Sample(file, reader_name, {}, "text", 1, Counter([reason]), 0, 0, {}, doubt=doubt)


def _sniff_parquet(
    stream: Any, file: FoundFile, n_bytes: int
) -> Sample | Unread:  # Any: the stream of open_input
    """Read as many rows as make about n_bytes of a file as it lies; its footer says how many there are."""
    try:
        n_rows = pq.ParquetFile(stream).metadata.num_rows
    except (pa.ArrowException, OSError, ValueError):
        n_rows = 0  # the reader will say why
    stream.seek(0)
    limit = max(n_rows * n_bytes // file.size, SAMPLE_RECORDS)
    head = _read_head(PARQUET, stream, file.path, limit < n_rows, limit)
    return _sample(file, PARQUET, head, n_rows / max(head.n_read, 1))


def _read_head(
    reader_name: str,
    stream: Any,
    path: str,
    cut: bool,
    limit: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> _Head:  # Any: the stream of open_input, the reader's settings
    """Read `limit` records or all, and keep some, evenly spaced. cut: the stream ends before the file."""
    reader: Reader = load_step(reader_name, "READER", "init")
    settings = config_of(reader, config, "init")
    head, record, step = _Head(), None, 1
    for record in itertools.islice(reader.read(stream, path, settings), limit):
        if record.fields is None:
            if head.first_broken is None:
                head.first_broken, head.begins_broken = record, not head.n_sound
            head.broken[str(record.reason)] += 1
            if not head.n_sound and head.broken.total() >= SAMPLE_RECORDS:
                break
            continue
        if head.n_sound % step == 0:
            head.records.append(record.fields)
        head.n_sound += 1
        if len(head.records) == 2 * SAMPLE_RECORDS:
            head.records, step = head.records[::2], 2 * step
    if cut and head.n_sound and record and record.fields is None:
        head.broken[str(record.reason)] -= 1  # broken by the cut
    return head


def _sample(
    file: FoundFile, reader_name: str, head: _Head, n_times: float, config: Mapping[str, Any] | None = None
) -> Sample | Unread:  # Any: the reader's settings
    """Sum up the records of a head, which the whole file holds n_times as many of."""
    if head.n_sound <= head.broken.total():
        return Unread(file.path, f"read as {reader_name.rpartition('.')[2]}: {_why_broken(head)}")
    reader: Reader = load_step(reader_name, "READER", "init")
    rows = [dict(flatten(record)) for record in head.records]
    fields = count_fields(rows)
    text_field = choose_text(fields, reader.fields["text"])
    if text_field is None:
        return Unread(file.path, f"no field holds text; fields are {', '.join(sorted(fields)) or '(none)'}")
    texts = [text for row in rows if (text := text_value(row.get(text_field)))]
    n_docs = round(head.n_sound * len(texts) / len(rows))
    n_bytes = sum(len(text.encode("utf-8", "replace")) for text in texts)
    guesses = Counter(guess_language(text) for text in texts)
    return Sample(
        file=file, reader_name=reader_name, fields=fields, text_field=text_field, n_read=head.n_read,
        broken=+(head.broken + Counter(no_text=head.n_sound - n_docs)), n_docs=round(n_docs * n_times),
        text_bytes=round(n_docs * n_times * n_bytes / len(texts)),
        languages={name: count / len(texts) for name, count in guesses.items()}, config=config or {},
    )  # fmt: skip


def _why_broken(head: _Head) -> str:
    first = head.first_broken
    if first is None:
        return "no records"
    counted = (
        f"{head.broken.total():,} of {head.n_read:,} records broken, the first by " if head.n_sound else ""
    )
    detail = first.detail or ""
    return f"{counted}{first.reason} ({detail[:99]}{'…' if len(detail) > 99 else ''})"
