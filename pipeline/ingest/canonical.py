"""Canonical rows: records of any reader converted to documents, quarantined rows and existing scores.

Pure: files and shards are chosen in pipeline.ingest.ingest, which also limits the share of quarantined rows. Quarantine
reasons added here: no_text, text_not_string, invalid_utf8, invalid_unicode, empty_text, nul_bytes, too_long, too_deep,
unreadable_value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.errors import ConfigError
from pipeline.ingest.fields import (
    Value,
    as_number,
    as_string,
    encode_json,
    find_field,
    find_text,
    string_array,
    to_raw,
)
from pipeline.ingest.tally import ABSENT, ANSWERED, UNUSABLE, Tally, presence
from pipeline.names import check_keys
from pipeline.schema import CANONICAL, QUARANTINE, split_column
from pipeline.stage import Record

MAPPED = ("text", "source_id", "url", "date", "snapshot", "license", "provenance", "parent_id")
"""Canonical columns that a source can map to its own fields."""

STRING_SUFFIX = ":string"
"""Suffix of a mapped field that makes an existing score a column of strings instead of numbers."""

ROW_GROUP_ROWS = 1024
ROW_GROUP_BYTES = 16 << 20
"""Size of a row group of a shard: no more rows are collected before they are written."""

LONG_CHARS = 256
"""Longer addresses and names count as held; the others are bounded by the number of rows."""

LOOK_RECORDS = 64
"""Records of a file whose field names are kept for suggestions."""

ALPHABET = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
"""The base32 alphabet of RFC 4648 in lower case."""


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """The settings of a source that apply to the records of one of its files.

    name, license, provenance, snapshot: of the source; license, provenance and snapshot of a record take precedence.
    columns: canonical column -> field name, or names to try in order. Also `stage.column` -> field: an
        existing score, a float64 column, or a string column if the field's name ends in `:string`. A dot in a
        field name refers to a nested object (`quality.fine_web`), unless a field has exactly that name.
    fields: canonical column -> field names that the reader defines, used for columns that are not in `columns`.
    input: path of the file below the source root.
    partitions: columns in the names of the file's folders; a record's own field of that name takes precedence.
    max_doc_bytes: largest text in bytes of UTF-8.

    Raises: ConfigError for an unknown column, or max_doc_bytes out of range.
    """

    name: str
    input: str
    license: str | None = None
    provenance: str | None = None
    snapshot: str | None = None
    columns: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    partitions: Mapping[str, str] = field(default_factory=dict)
    max_doc_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        scores = [column for column in self.columns if "." in column]
        check_keys(self.columns, [*MAPPED, *scores], f"sources.{self.name}.columns")
        if not 1 <= self.max_doc_bytes < 1 << 31:
            raise ConfigError(f"ingest.max_doc_bytes is {self.max_doc_bytes}; expected 1 to 2 GiB")


def text_hash(text: str | bytes) -> str:
    """Return the hash of a text, 32 hex digits: XXH3-128 of its UTF-8."""
    return xxhash.xxh3_128_hexdigest(text.encode() if isinstance(text, str) else text)


def doc_id(source: str, input: str, row: int) -> str:
    """Return the id of one document, 26 characters of base32; see `doc_ids`."""
    return doc_ids(source, input, [row])[0].as_py()


def doc_ids(source: str, input: str, rows: Sequence[int]) -> pa.StringArray:
    """Return the ids of documents of one file: base32, lower case, unpadded, of XXH3-128(source, input, row).

    The hashed bytes are source and input, each preceded by its length in bytes, then the row as a signed 64-bit
    little-endian integer, so that they differ for any two records.

    Args: source, name of the source; input, path of the file below the source root; rows, record numbers (n,).
    Returns: string (n,), 26 characters each.
    """
    names = [name.encode() for name in (source, input)]
    file_hasher = xxhash.xxh3_128(b"".join(len(name).to_bytes(8, "little") + name for name in names))
    digests = bytearray()
    for row in rows:
        hasher = file_hasher.copy()
        hasher.update(row.to_bytes(8, "little", signed=True))
        digests += hasher.digest()
    bits = np.unpackbits(np.frombuffer(digests, np.uint8).reshape(len(rows), 16), axis=1)
    fives = np.pad(bits, ((0, 0), (0, 2))).reshape(len(rows), 26, 5) @ np.array([16, 8, 4, 2, 1], np.uint8)
    offsets = np.arange(0, 26 * (len(rows) + 1), 26, dtype=np.int32)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(ALPHABET[fives]))


def host_of(url: str | None) -> str | None:
    """Return the host of a URL in lower case, without user and port; punycode is neither added nor decoded."""
    try:
        return (urlsplit(url).hostname or None) if url else None
    except ValueError:  # brackets without an IPv6 address, characters that normalise to a separator
        return None


class _BrokenError(Exception):
    """A record cannot become a document; args: reason, detail."""


def canonical_text(value: Value, max_doc_bytes: int) -> bytes:
    r"""Return the canonical text of a field as UTF-8.

    Line breaks \r\n and \r become \n, and one leading U+FEFF is removed; nothing else changes. Text is not normalised:
    NFC replaces CJK compatibility ideographs, and NFKC also full-width forms, which signals measure and Chinese readers
    expect. Normalisation could not be undone, and stages that compare text normalise it themselves.

    Raises: _BrokenError if the value cannot be the text of a document.
    """
    if value is None:
        raise _BrokenError("no_text", "no field with text")
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
        if not isinstance(text, str):
            raise _BrokenError("text_not_string", f"found {type(value).__name__}; expected a string")
        data = text.encode("utf-8")
    except UnicodeDecodeError as error:
        raise _BrokenError("invalid_utf8", f"byte 0x{value[error.start]:02x} at {error.start:,}") from error
    except UnicodeEncodeError as error:
        surrogate = f"U+{ord(error.object[error.start]):04X} at character {error.start:,}"
        raise _BrokenError("invalid_unicode", f"lone surrogate {surrogate}") from error
    if text.startswith("\ufeff"):
        text, data = text[1:], data[3:]
    if not text or text.isspace():
        raise _BrokenError("empty_text", f"{len(text):,} characters, none of them visible")
    if b"\0" in data:
        raise _BrokenError("nul_bytes", f"U+0000 at character {text.index(chr(0)):,}")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if len(data) > max_doc_bytes:
        raise _BrokenError("too_long", f"{len(data):,} bytes; expected at most {max_doc_bytes:,}")
    return data


class Rows:
    """Collects the records of one file until `take` returns them as tables.

    partitions: columns in the names of the file's folders. n_broken_in_row: records since the last
    document that were quarantined.
    """

    def __init__(self, source: SourceInfo) -> None:
        self._source = source
        names = {
            column: _names(source.columns.get(column, source.fields.get(column, ()))) for column in MAPPED
        }
        self._text_names = names.pop("text")
        self._names = names
        scores = {column: fields for column, fields in sorted(source.columns.items()) if "." in column}
        self._scores = {column: _names(fields) for column, fields in scores.items()}
        self._labels = {column for column, fields in scores.items() if _is_label(fields)}
        self._partitions = dict(source.partitions)
        self.partitions = frozenset(source.partitions)
        self.n_broken_in_row = 0
        self._unseen = {column for column in source.columns if column != "text"}
        self.tally = Tally(columns=dict.fromkeys(self._unseen, ABSENT))
        self._clear()

    def _clear(self) -> None:
        self._text, self._offsets, self._rows = bytearray(), [0], list[int]()
        self._hashes, self._meta = list[str](), list[bytes | None]()
        self._values: dict[str, list[str | None]] = {column: [] for column in self._names}
        self._existing: dict[str, list[Value]] = {column: [] for column in self._scores}
        self._broken: list[Record] = []
        self._other_bytes = 0

    @property
    def n_docs(self) -> int:
        """Documents added since the last `take`."""
        return len(self._rows)

    @property
    def text_bytes(self) -> int:
        """Bytes of the text of these documents in UTF-8."""
        return len(self._text)

    @property
    def held_bytes(self) -> int:
        """Bytes of text, other values and quarantined records added since the last `take`, to bound memory by."""
        return len(self._text) + self._other_bytes

    @property
    def is_full(self) -> bool:
        """Whether the rows make a row group, of documents or of quarantined records."""
        return (
            self.held_bytes >= ROW_GROUP_BYTES
            or len(self._rows) >= ROW_GROUP_ROWS
            or len(self._broken) >= ROW_GROUP_ROWS
        )

    def add(self, record: Record) -> None:
        """Add one record, as a document or a quarantined row; a skipped one is only counted."""
        if record.skipped:
            self.tally.skip(record)
            return
        self.tally.read(record)
        if record.fields is None:
            self._quarantine(record)
            return
        fields = self._with_partitions(record.fields)
        if self._unseen:
            self._look(fields)
        used: set[str] = set()
        try:
            text = canonical_text(find_text(fields, self._text_names, used), self._source.max_doc_bytes)
            values = {
                column: as_string(find_field(fields, names, used)) for column, names in self._names.items()
            }
            existing = {column: find_field(fields, names, used) for column, names in self._scores.items()}
            rest = {name: value for name, value in fields.items() if name not in used and value is not None}
            meta = encode_json(rest) if rest else None
        except _BrokenError as error:
            reason, detail = error.args
            self._quarantine(replace(record, fields=None, reason=reason, detail=detail, raw=to_raw(fields)))
            return
        except RecursionError:
            detail = "fields are nested too deeply to be written as JSON"
            broken = Record(record.position, None, "too_deep", detail, to_raw(fields), n_bytes=record.n_bytes)
            self._quarantine(broken)
            return
        except (ValueError, OverflowError, TypeError) as error:  # such as an integer of 5,000 digits
            detail = f"a field cannot be written as text or JSON: {error}"[:500]
            self._quarantine(
                Record(record.position, None, "unreadable_value", detail, n_bytes=record.n_bytes)
            )
            return
        self.n_broken_in_row = 0
        self._text += text
        self._offsets.append(len(self._text))
        self._rows.append(record.position)
        self._hashes.append(text_hash(text))
        self._meta.append(meta)
        self._other_bytes += len(meta or b"")
        for column, value in values.items():
            self._values[column].append(value)
            if value is not None and len(value) > LONG_CHARS:
                self._other_bytes += len(value)
        for column, score in existing.items():
            self._existing[column].append(score)

    def _with_partitions(self, fields: Mapping[str, Value]) -> Mapping[str, Value]:
        """Add the columns of folders that a record does not have itself."""
        missing = {name: value for name, value in self._partitions.items() if fields.get(name) is None}
        return {**fields, **missing} if missing else fields

    def _look(self, fields: Mapping[str, Value]) -> None:
        """Note which mapped columns a record answers, until each was answered once."""
        tally = self.tally
        if tally.n_read <= LOOK_RECORDS:
            tally.note_names(fields)
        for column in list(self._unseen):
            names = self._scores.get(column) or self._names[column]
            value = find_field(fields, names, set())
            if value is None:
                tally.note(column, presence(fields, names))
            elif column in self._names or column in self._labels or as_number(value) is not None:
                tally.note(column, ANSWERED)
                self._unseen.discard(column)
            else:
                tally.note(column, UNUSABLE)

    def _quarantine(self, record: Record) -> None:
        self._broken.append(record)
        self.n_broken_in_row += 1
        self.tally.broken_bytes += record.n_bytes
        self._other_bytes += len(record.raw or b"")

    def take(self) -> tuple[pa.Table, pa.Table, dict[str, pa.Table]]:
        """Return the records added since the last call as tables, and remove them.

        Returns: documents (CANONICAL); quarantined rows (QUARANTINE); for each stage in `columns`, a table of existing
        scores with one row per document, in which a score that is not a finite number is null.
        """
        tables = self._documents(), self._quarantined(), self._existing_tables()
        self._clear()
        return tables

    def _documents(self) -> pa.Table:
        source, n = self._source, self.n_docs
        values = {column: string_array(strings) for column, strings in self._values.items()}
        for column in ("license", "provenance", "snapshot"):
            default = getattr(source, column)
            if default is not None:
                values[column] = values[column].fill_null(default)
        offsets = pa.py_buffer(np.array(self._offsets, np.int64))
        columns = values | {
            "doc_id": doc_ids(source.name, source.input, self._rows),
            "text": pa.LargeStringArray.from_buffers(n, offsets, pa.py_buffer(self._text)),
            "host": pa.array([host_of(url) for url in values["url"].to_pylist()], pa.string()),
            "source": pa.repeat(pa.scalar(source.name, pa.string()), n),
            "meta": pa.array(self._meta, pa.large_binary()).cast(pa.large_string()),
            "text_hash": pa.array(self._hashes, pa.string()),
            "text_bytes": pa.array(np.diff(self._offsets), pa.int32()),
            "input": pa.repeat(pa.scalar(source.input, pa.string()), n),
            "input_row": pa.array(self._rows, pa.int64()),
        }
        return pa.table([columns[name] for name in CANONICAL.names], schema=CANONICAL)

    def _quarantined(self) -> pa.Table:
        n = len(self._broken)
        return pa.table(
            [
                pa.repeat(pa.scalar(self._source.name, pa.string()), n),
                pa.repeat(pa.scalar(self._source.input, pa.string()), n),
                pa.array([record.position for record in self._broken], pa.int64()),
                pa.array([record.reason for record in self._broken], pa.string()),
                string_array([record.detail for record in self._broken]),
                pa.array([record.raw for record in self._broken], pa.large_binary()),
            ],
            schema=QUARANTINE,
        )

    def _existing_tables(self) -> dict[str, pa.Table]:
        tables: dict[str, dict[str, pa.Array]] = {}
        for name, values in self._existing.items():
            stage, column = split_column(name)
            if name in self._labels:
                array = string_array([as_string(value) for value in values])
            else:
                array = pa.array([as_number(value) for value in values], pa.float64())
            tables.setdefault(str(stage), {})[column] = array
        return {stage: pa.table(columns) for stage, columns in tables.items()}


def _names(fields: str | tuple[str, ...]) -> tuple[str, ...]:
    names = (fields,) if isinstance(fields, str) else tuple(fields)
    return tuple(name.removesuffix(STRING_SUFFIX) for name in names)


def _is_label(fields: str | tuple[str, ...]) -> bool:
    return (fields if isinstance(fields, str) else fields[0]).endswith(STRING_SUFFIX)
