"""Detects format, fields, languages and size of input files from the start of each file.

Detection uses the readers, so that every recognised file can be read by a run. File names are used only for Markdown,
plain text and delimited rows, which have no signature, for HTML without one, and to locate Dolma's attributes. Files
are grouped into sources by `survey` and `proposal`.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, InputError
from pipeline.recipe import config_of, load_step
from pipeline.runtime.limits import first_records, limits_of
from pipeline.scaffold.find_files import FoundFile, Unread
from pipeline.scaffold.foreign_layouts import DOLMA, attribute_names
from pipeline.scaffold.infer import Field, choose_text, count_fields, flatten, guess_language, text_value
from pipeline.scaffold.unreadable import describe_unreadable, describe_zip
from pipeline.stage import Reader, Record
from pipeline.storage.store import open_input
from pipeline.translation import message

JSONL, WET, PARQUET = "stages.readers.jsonl", "stages.readers.wet", "stages.readers.parquet"
WARC, HTML, TEXT = "stages.readers.warc", "stages.readers.html", "stages.readers.textfile"
CSV, ARROW, CHAT = "stages.readers.csv", "stages.readers.arrow", "stages.readers.chat"
MEMBERS, PDF = "stages.readers.members", "stages.readers.pdf"
WHOLE = (HTML, TEXT, PDF)
"""Readers of files with one document each."""

PACKED = r"(\.(?:gz|zst|bz2|xz))?$"
HTML_NAME = re.compile(rf"\.(x?html?|shtml){PACKED}", re.IGNORECASE)
TEXT_NAME = re.compile(rf"\.(md|markdown|mdx|qmd|rmd|txt|text|rst){PACKED}", re.IGNORECASE)
PDF_NAME = re.compile(rf"\.pdf{PACKED}", re.IGNORECASE)
CSV_NAME = re.compile(rf"\.(csv|tsv|tab){PACKED}", re.IGNORECASE)
HTML_START = re.compile(
    r"\s*(<\?xml[^>]{0,200}>\s*)?(<!--.{0,2000}?-->\s*)*<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
"""The start of an HTML page, after a declaration and comments."""

SAMPLE_RECORDS = 200
"""Records of each file whose fields are counted: at least this many, less than twice as many."""

TOTAL_BYTES, MIN_BYTES, MAX_BYTES = 256 << 20, 256 << 10, 4 << 20
"""Bytes read for estimates: from all files together, and the least and most from one file."""

PAGE_BYTES, MIN_PAGE_BYTES = 32 << 20, 128 << 10
"""The same for WARC files, whose pages take a hundred times as long: a few thousand pages in total."""


@dataclass(frozen=True)
class Sample:
    """The detected content of one file; n_docs and text_bytes are estimates if the file was not read to its end.

    broken: quarantine reason -> number of records, of n_read. languages: guessed language -> share of documents.
    config: settings of the reader. doubt: why this file alone is not used as a source, although it can be part of a
    source with other files of its format.
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
    detected: str = ""  # what else was found of the format, for the user


@dataclass
class _Head:
    """The records that a reader returns for the start of a file: a sample of the sound ones, and counts."""

    records: list[Mapping[str, Any]] = field(default_factory=list)  # Any: values of the format
    first_broken: Record | None = None
    begins_broken: bool = False
    broken: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    n_sound: int = 0

    @property
    def n_read(self) -> int:
        """Number of records, sound and broken."""
        return self.n_sound + self.broken.total()


def sniff(file: FoundFile, n_files: int = 1) -> Sample | Unread:
    """Detect the content of a file from its start.

    Args: n_files, number of files among which TOTAL_BYTES are divided.
    Returns: Unread, with the reason, if the file cannot be used.
    """
    n_bytes = min(max(TOTAL_BYTES // max(n_files, 1), MIN_BYTES), MAX_BYTES)
    page_bytes = min(max(PAGE_BYTES // max(n_files, 1), MIN_PAGE_BYTES), MAX_BYTES)
    try:
        result = _sniff_start(file, n_bytes, page_bytes)
        if isinstance(result, Unread) and page_bytes < min(file.size, MAX_BYTES):
            return _sniff_start(file, MAX_BYTES, MAX_BYTES)  # its first record may be longer
        return result
    except (InputError, OSError) as error:
        return Unread(file.path, f"cannot be read: {error.__cause__ or error}")


def _sniff_start(file: FoundFile, n_bytes: int, page_bytes: int) -> Sample | Unread:
    with open_input(file.path) as stream:
        data = stream.read(n_bytes)
        if data.startswith(b"PAR1"):
            return _sniff_parquet(stream, file, n_bytes)
        if found := _sniff_binary(stream, file, data):
            return found
    if not data:
        reader_name = HTML if HTML_NAME.search(file.path) else TEXT if TEXT_NAME.search(file.path) else ""
        return (
            _blank(file, reader_name, "empty_text", message("empty"))
            if reader_name
            else Unread(file.path, "empty")
        )
    head = _read_head(JSONL, _Start(data, file.path), file.path, len(data) < file.size)
    first = (head.first_broken.raw or b"").lstrip() if head.first_broken and head.begins_broken else b""
    if first.startswith((b"WARC/", b"filedesc:")):
        return _sniff_archive(file, data, page_bytes)
    is_jsonl = head.n_sound > head.broken.total()
    is_html_name = not is_jsonl and bool(HTML_NAME.search(file.path))
    if first.startswith(b"<") or is_html_name:  # a page may contain lines of JSON
        if whole := _sniff_whole(file, HTML, check_start=not is_html_name):
            return whole
    if not is_jsonl and (table := _sniff_table(file, data)):
        return table
    if not is_jsonl and TEXT_NAME.search(file.path) and (whole := _sniff_whole(file, TEXT)):
        return whole
    if not is_jsonl and (what := describe_unreadable(data)):
        return Unread(file.path, what)
    if head.n_sound and (names := attribute_names(file.path)):
        config = {"attributes": list(names)}
        result = _sniff_records(file, DOLMA, data, config)
        if isinstance(result, Sample):
            return result
    return _sample_rows(file, JSONL, head, file.size / len(data))


def _sample_rows(file: FoundFile, reader_name: str, head: _Head, n_times: float) -> Sample | Unread:
    """Summarise rows, as conversations if most of them are some."""
    if is_chat(head.records):
        chat = _chat_head(head)
        if chat.n_sound > chat.broken.total():
            return _sample(file, CHAT, chat, n_times)
    return _sample(file, reader_name, head, n_times)


CHAT_SHARE = 0.8
"""Share of the rows with turns from which a file is one of conversations."""


def is_chat(rows: Sequence[Mapping[str, Any]]) -> bool:  # Any: values of the format
    """Whether most rows are conversations or instructions with outputs, and none has a text of its own."""
    turns_of = load_step(CHAT, "turns_of", "init")
    known = load_step(JSONL, "READER", "init").fields["text"]
    n_chats = sum(bool(turns_of(row)[0]) for row in rows)
    has_text = any(text_value(row.get(name)) for row in rows for name in known)
    return bool(rows) and n_chats >= CHAT_SHARE * len(rows) and not has_text


def _chat_head(head: _Head) -> _Head:
    """The head as the reader of conversations gives it."""
    reader: Reader = load_step(CHAT, "READER", "init")
    rendered, config = load_step(CHAT, "rendered", "init"), reader.config()
    records = [rendered(Record(0, dict(row)), config) for row in head.records]
    sound = [record.fields for record in records if record.fields is not None]
    n_broken = len(records) - len(sound)
    share = head.n_sound / max(len(records), 1)
    broken = head.broken + Counter({"no_turns": round(n_broken * share)})
    return _Head(
        sound, head.first_broken, head.begins_broken, broken, head.skipped, round(len(sound) * share)
    )


def _sniff_binary(stream: Any, file: FoundFile, data: bytes) -> Sample | Unread | None:  # Any: of open_input
    """Read the start of an Arrow, zip, tar or PDF file; None for other files."""
    members, arrow = "stages.decoding.members", load_step(ARROW, "READER", "init")
    if load_step(ARROW, "is_arrow", "init")(data):
        return _sniff_stream(stream, file, arrow, ARROW)
    if load_step(members, "is_zip", "init")(data):
        if what := describe_zip(stream):
            return Unread(file.path, what)
        return _sniff_stream(stream, file, load_step(MEMBERS, "READER", "init"), MEMBERS)
    if data.startswith(b"%PDF-") or PDF_NAME.search(file.path):
        return _sniff_pdf(file)
    if load_step(members, "is_tar", "init")(_inflated(data)):
        return _sniff_stream(stream, file, load_step(MEMBERS, "READER", "init"), MEMBERS)
    what = None if TEXT_NAME.search(file.path) else describe_unreadable(data)
    return Unread(file.path, what) if what else None


def _inflated(data: bytes) -> bytes:
    """The first decompressed block of a file."""
    streams = "stages.decoding.streams"
    bounds = load_step(streams, "Bounds", "init")()
    inflated = load_step(streams, "Inflated", "init")(io.BytesIO(data), bounds)
    start = bytearray()
    while len(start) < 512 and (more := inflated.read(512 - len(start))):
        start += more
    return bytes(start)


def _sniff_stream(
    stream: Any, file: FoundFile, reader: Reader, name: str
) -> Sample | Unread:  # Any: of open_input
    """Read the first records of a file that cannot be read from its start alone."""
    stream.seek(0)
    head = _read_head(name, stream, file.path, False, 2 * SAMPLE_RECORDS)
    n_seen = stream.tell() if head.n_read >= 2 * SAMPLE_RECORDS else file.size
    n_times = max(file.size / max(n_seen, 1), 1.0)
    return _sample_rows(file, name, head, n_times) if name == ARROW else _sample(file, name, head, n_times)


def _sniff_pdf(file: FoundFile) -> Sample | Unread:
    """Read a PDF file: its text, or that its pages are pictures."""
    try:
        reader: Reader = load_step(PDF, "READER", "init")
    except ConfigError as error:
        return Unread(file.path, f"a PDF file: {str(error).partition(': ')[2]}")
    with open_input(file.path) as stream:
        records = first_records(reader, stream, file.path, reader.config())
    sound = [record.fields for record in records if record.fields is not None]
    broken = Counter(str(record.reason) for record in records if record.fields is None)
    if not sound:
        if set(broken) == {"scanned_page"}:
            doubt = message("its pages are pictures; recognise their text with another tool (OCR)")
        else:
            doubt = f"{records[0].reason} ({(records[0].detail or '')[:99]})"
        return _blank(file, PDF, str(records[0].reason), doubt)
    fields, text = dict(flatten(sound[0])), sound[0]["text"]
    return Sample(
        file=file, reader_name=PDF, fields=count_fields([fields]), text_field="text", n_read=len(records),
        broken=broken, n_docs=1, text_bytes=len(text.encode("utf-8", "replace")),
        languages={guess_language(text): 1.0},
    )  # fmt: skip


MIN_ROWS, MIN_FITTING = 3, 0.95
"""Rows that a file without a name of delimited rows needs, and the share of them that must have all cells."""


def _sniff_table(file: FoundFile, data: bytes) -> Sample | Unread | None:
    """Read the start of a file of delimited rows; None if it is none. A text file is never taken for one."""
    is_named = bool(CSV_NAME.search(file.path))
    if not is_named and (TEXT_NAME.search(file.path) or HTML_NAME.search(file.path)):
        return None
    reader: Reader = load_step(CSV, "READER", "init")
    is_truncated = len(data) < file.size
    head = _read_head(CSV, _Start(data, file.path), file.path, is_truncated)
    has_columns = max((len(record) for record in head.records), default=0) > 1
    fits = has_columns and head.n_sound >= max(MIN_ROWS, MIN_FITTING * head.n_read)
    if not is_named and not fits:
        return None
    result = _sample_rows(file, CSV, head, file.size / len(data))
    if isinstance(result, Unread):
        return result if is_named else None
    describe = load_step(CSV, "describe_start", "init")
    return replace(result, detected=describe(_Start(data, file.path), is_truncated, reader.config()))


class _Start(io.BytesIO):
    """A stream of the start of a file with the name of the file, as readers expect it."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def _sniff_records(
    file: FoundFile, reader_name: str, data: bytes, config: Mapping[str, Any] | None = None
) -> Sample | Unread:  # Any: the reader's settings
    """Read the start of a file of records."""
    is_truncated = len(data) < file.size
    head = _read_head(reader_name, _Start(data, file.path), file.path, is_truncated, config=config)
    return _sample(file, reader_name, head, file.size / len(data), config)


def _sniff_archive(file: FoundFile, data: bytes, page_bytes: int) -> Sample | Unread:
    """Read the start of a WARC file, as extracted texts (WET) or, if it contains none, as pages."""
    texts = _sniff_records(file, WET, data)
    if isinstance(texts, Sample):
        return texts
    pages = _sniff_records(file, WARC, data[:page_bytes])
    return pages if isinstance(pages, Sample) or "not_conversion" in texts.reason else texts


def _sniff_whole(file: FoundFile, reader_name: str, check_start: bool = False) -> Sample | None:
    """Read a file that is one document; with `check_start`, return None unless it starts like an HTML page."""
    if check_start:
        text = _whole_text(file, TEXT)
        if isinstance(text, Record) or not HTML_START.match(text["text"]):
            return None
    record = _whole_text(file, reader_name)
    if isinstance(record, Record):
        return _blank(file, reader_name, str(record.reason), f"{record.reason} ({record.detail})")
    fields = dict(flatten(record))
    if not text_value(fields.get("text")):
        return _blank(file, reader_name, "empty_text", message("contains no text"))
    counts = count_fields([fields])
    return Sample(
        file=file, reader_name=reader_name, fields=counts, text_field="text", n_read=1, broken=Counter(),
        n_docs=1, text_bytes=len(fields["text"].encode("utf-8", "replace")),
        languages={guess_language(fields["text"]): 1.0},
        doubt="" if counts["text"].text_chars else message("contains no sentence"),
    )  # fmt: skip


def _whole_text(file: FoundFile, reader_name: str) -> Mapping[str, Any] | Record:  # Any: a reader's fields
    """Return the fields of the only record of a file, or the record if it is broken."""
    reader: Reader = load_step(reader_name, "READER", "init")
    with open_input(file.path) as stream:
        (record,) = first_records(reader, stream, file.path, reader.config())
    return record if record.fields is None else record.fields


def _blank(file: FoundFile, reader_name: str, reason: str, doubt: str) -> Sample:
    """Return the sample of a file that a run would quarantine."""
    return Sample(file, reader_name, {}, "text", 1, Counter([reason]), 0, 0, {}, doubt=doubt)


def _sniff_parquet(
    stream: Any, file: FoundFile, n_bytes: int
) -> Sample | Unread:  # Any: the stream of open_input
    """Read about as many rows as n_bytes of the file contain; the footer gives the number of rows."""
    try:
        n_rows = pq.ParquetFile(stream).metadata.num_rows
    except (pa.ArrowException, OSError, ValueError):
        n_rows = 0  # the reader will report the reason
    stream.seek(0)
    limit = max(n_rows * n_bytes // file.size, SAMPLE_RECORDS)
    head = _read_head(PARQUET, stream, file.path, limit < n_rows, limit)
    return _sample_rows(file, PARQUET, head, n_rows / max(head.n_read, 1))


def _read_head(
    reader_name: str,
    stream: Any,
    path: str,
    is_truncated: bool,
    limit: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> _Head:  # Any: the stream of open_input, the reader's settings
    """Read `limit` records or all, and keep an evenly spaced sample.

    Args: is_truncated, the stream ends before the file; a broken last record is then not counted.
    """
    reader: Reader = load_step(reader_name, "READER", "init")
    if is_truncated and reader_name == CSV:
        reader = replace(reader, read=load_step(CSV, "read_cut_off", "init"))
    settings = config_of(reader, config, "init")
    head = _Head()
    with limits_of(settings, 0) as limits:
        _look(itertools.islice(limits.each(reader, stream, path, settings), limit), head, is_truncated)
    return head


def _look(records: Iterable[Record], head: _Head, is_truncated: bool) -> None:
    """Count records, and keep an evenly spaced sample of the sound ones."""
    record, step = None, 1
    for record in records:
        if record.skipped:
            head.skipped[str(record.reason)] += 1
            continue
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
    if is_truncated and head.n_sound and record and record.fields is None and not record.skipped:
        head.broken[str(record.reason)] -= 1  # broken by the truncation


def _sample(
    file: FoundFile, reader_name: str, head: _Head, n_times: float, config: Mapping[str, Any] | None = None
) -> Sample | Unread:  # Any: the reader's settings
    """Summarise the records of a head; the whole file has about n_times as many."""
    if head.n_sound <= head.broken.total():
        return Unread(file.path, f"read as {reader_name.rpartition('.')[2]}: {_describe_broken(head)}")
    reader: Reader = load_step(reader_name, "READER", "init")
    rows = [dict(flatten({**file.partitions, **record})) for record in head.records]
    fields = count_fields(rows)
    text_field = choose_text(fields, reader.fields["text"])
    if text_field is None:
        return Unread(
            file.path, f"no field contains text; fields are {', '.join(sorted(fields)) or '(none)'}"
        )
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


def _describe_broken(head: _Head) -> str:
    first = head.first_broken
    if first is None:
        common = ", ".join(f"{reason} {count:,}" for reason, count in head.skipped.most_common(5))
        return message(f"no records that are documents, only {common}") if common else message("no records")
    counted = (
        f"{head.broken.total():,} of {head.n_read:,} records broken, the first by " if head.n_sound else ""
    )
    detail = first.detail or ""
    return f"{counted}{first.reason} ({detail[:99]}{'…' if len(detail) > 99 else ''})"
