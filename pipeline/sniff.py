"""What input files hold: format, fields, languages and size, told from the start of each file.

The readers themselves do the telling, so that what is recognised is what a run can read; names of files play
no part. Writing a run file from it is up to `draft`.
"""

from __future__ import annotations

import glob
import io
import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.guess import Field, as_text, choose_text, count_fields, flatten, guess_language
from pipeline.recipe import load_step
from pipeline.stage import Reader, Record
from pipeline.store import list_inputs, open_input

JSONL, WET, PARQUET = "stages.readers.jsonl", "stages.readers.wet", "stages.readers.parquet"

SAMPLE_RECORDS = 200
"""Records of each file whose fields are looked at, at least; fewer than twice as many."""

TOTAL_BYTES, MIN_BYTES, MAX_BYTES = 256 << 20, 256 << 10, 4 << 20
"""Bytes read in all, and of one file at least and at most: what to spend on estimates."""


@dataclass(frozen=True)
class Found:
    """A file to look at; root: the folder that was asked for, "" for a glob, None for a file named itself."""

    path: str
    size: int
    root: str | None = None

    @property
    def folder(self) -> str:
        """The folder it lies in."""
        return os.path.dirname(self.path)


@dataclass(frozen=True)
class Unread:
    """A path that no source can be made of, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Sample:
    """What one file holds; n_docs and text_bytes are estimates when the file was not read to its end.

    broken: reasons of records that a run would quarantine -> how many, of n_read.
    languages: guessed language -> share of documents.
    """

    file: Found
    reader_name: str
    fields: Mapping[str, Field]
    text_field: str
    n_read: int
    broken: Counter[str]
    n_docs: int
    text_bytes: int
    languages: Mapping[str, float]


@dataclass
class _Head:
    """What a reader makes of the start of a file: some of the sound records, and counts of all."""

    records: list[Mapping[str, Any]] = field(default_factory=list)  # Any: whatever the format holds
    first_broken: Record | None = None
    broken: Counter[str] = field(default_factory=Counter)
    n_sound: int = 0

    @property
    def n_read(self) -> int:
        """Records, sound and broken."""
        return self.n_sound + self.broken.total()


def find_files(path: str, ignored: str = "") -> tuple[list[Found], list[Unread]]:
    """List the files that a path, a folder, a glob or a URL names, in order.

    Hidden files, links to folders and stores of this tool are not looked into. ignored: a file to leave out.

    Raises: InputError if there is nothing of that name.
    """
    if not os.path.isdir(path):
        return _list_named(path), []
    root, found = os.path.abspath(path), list[Found]()
    unread: list[Unread] = []

    def note(error: OSError) -> None:
        unread.append(Unread(error.filename, str(error.strerror)))

    for folder, names, files in os.walk(root, onerror=note):
        if os.path.exists(os.path.join(folder, "shards", "catalog.json")):
            unread.append(Unread(folder, "a store; name a folder of one of its releases to read that"))
            names.clear()
            continue
        unread.extend(_leave_out(folder, names, files))
        for name in files:
            file = os.path.join(folder, name)
            if file != ignored:
                _look_at(file, root, found, unread)
    return found, unread


def _leave_out(folder: str, names: list[str], files: list[str]) -> Iterator[Unread]:
    """Take hidden names, which no glob matches, and links to folders out of both lists; sort what is left."""
    hidden = [name for name in (*names, *files) if name.startswith(".")]
    if hidden:
        yield Unread(folder, f"{len(hidden):,} hidden, such as {min(hidden)}; rename them to read them")
    for name in sorted(names):
        if os.path.islink(os.path.join(folder, name)):
            yield Unread(os.path.join(folder, name), "a link to a folder; name that folder as well")
            names.remove(name)
    names[:] = sorted(set(names) - set(hidden))
    files[:] = sorted(set(files) - set(hidden))


def _list_named(path: str) -> list[Found]:
    """List what a path or glob names; what is no object in a bucket is taken for a folder."""
    root = "" if glob.has_magic(path) and not os.path.exists(path) else None
    try:
        return [Found(file.path, file.size, root) for file in list_inputs(path)]
    except InputError:
        if "://" not in path or glob.has_magic(path):
            raise
    root = path.rstrip("/")
    return [Found(file.path, file.size, root) for file in list_inputs(f"{root}/**")]


def _look_at(path: str, root: str, found: list[Found], unread: list[Unread]) -> None:
    """Add a file of a folder to those found or unread."""
    try:
        status = os.stat(path)
        path.encode()
    except UnicodeEncodeError:
        unread.append(Unread(path, "the name is not UTF-8 (GBK?); rename it, for example with convmv"))
    except OSError as error:
        unread.append(Unread(path, str(error.strerror)))
    else:
        if stat.S_ISREG(status.st_mode):
            found.append(Found(path, status.st_size, root))
        else:
            unread.append(Unread(path, "not a regular file"))


def sniff(file: Found, n_files: int = 1) -> Sample | Unread:
    """Tell what a file holds from its start. n_files: how many share the bytes that are read in all."""
    n_bytes = min(max(TOTAL_BYTES // max(n_files, 1), MIN_BYTES), MAX_BYTES)
    try:
        found = _sniff_start(file, n_bytes)
        if isinstance(found, Unread) and n_bytes < min(file.size, MAX_BYTES):
            return _sniff_start(file, MAX_BYTES)  # its first record may be longer
        return found
    except (InputError, OSError) as error:
        return Unread(file.path, f"cannot be read: {error.__cause__ or error}")


def _sniff_start(file: Found, n_bytes: int) -> Sample | Unread:
    with open_input(file.path) as stream:
        data = stream.read(n_bytes)
        if not data:
            return Unread(file.path, "empty")
        if data.startswith(b"PAR1"):
            return _sniff_parquet(stream, file, n_bytes)
    cut = len(data) < file.size
    reader_name, head = JSONL, _read_head(JSONL, io.BytesIO(data), file.path, cut)
    if head.first_broken and (head.first_broken.raw or b"").startswith(b"WARC/"):
        reader_name, head = WET, _read_head(WET, io.BytesIO(data), file.path, cut)
    return _sample(file, reader_name, head, file.size / len(data))


def _sniff_parquet(
    stream: Any, file: Found, n_bytes: int
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


def _read_head(reader_name: str, stream: Any, path: str, cut: bool, limit: int | None = None) -> _Head:
    """Read `limit` records or all, and keep some, evenly spaced. cut: the stream ends before the file."""
    reader: Reader = load_step(reader_name, "READER", "init")
    head, record, step = _Head(), None, 1
    for record in itertools.islice(reader.read(stream, path, reader.config()), limit):
        if record.fields is None:
            head.first_broken = head.first_broken or record
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


def _sample(file: Found, reader_name: str, head: _Head, n_times: float) -> Sample | Unread:
    """Sum up the records of a head, which the whole file holds n_times as many of."""
    if head.n_sound <= head.broken.total():
        return Unread(file.path, f"read as {reader_name.rpartition('.')[2]}: {_why_broken(head)}")
    reader: Reader = load_step(reader_name, "READER", "init")
    rows = [dict(flatten(record)) for record in head.records]
    fields = count_fields(rows)
    text_field = choose_text(fields, reader.fields["text"])
    if text_field is None:
        return Unread(file.path, f"no field holds text; fields are {', '.join(sorted(fields)) or '(none)'}")
    texts = [text for row in rows if (text := as_text(row.get(text_field)))]
    n_docs = round(head.n_sound * len(texts) / len(rows))
    n_bytes = sum(len(text.encode("utf-8", "replace")) for text in texts)
    guesses = Counter(guess_language(text) for text in texts)
    return Sample(
        file=file, reader_name=reader_name, fields=fields, text_field=text_field, n_read=head.n_read,
        broken=+(head.broken + Counter(no_text=head.n_sound - n_docs)), n_docs=round(n_docs * n_times),
        text_bytes=round(n_docs * n_times * n_bytes / len(texts)),
        languages={name: count / len(texts) for name, count in guesses.items()},
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
