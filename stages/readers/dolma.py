"""Dolma: documents in JSON Lines, with attributes in parallel files of the same name.

The attributes N of a document file `…/documents/P` are stored in `…/attributes/N/P`, row by row. Yields the document's
own fields and two more: `attributes`, all of them unchanged ([start, end, value] in code points of the original text),
and `scores`, those that are a single number for the whole text. Reasons of broken records: those of `jsonl`, and
attributes_misaligned, also at position -1 for rows without a document.
Source: github.com/allenai/dolma, docs/data-format.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.errors import ConfigError, InputError
from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES
from stages.readers import FIELDS, jsonl

DOCUMENTS, ATTRIBUTES = "documents", "attributes"


@dataclass(frozen=True, kw_only=True)
class Config(jsonl.Config):
    """attributes: names of attribute folders to join; later ones take precedence for equal keys."""

    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.attributes:
            if not name or not set(name.split("/")).isdisjoint(("", ".", "..")):
                raise ConfigError(f"attributes has {name!r}; expected names of folders in {ATTRIBUTES}/")


class _Rows:
    """Rows of one attribute file, in order. name: of the file in messages, independent of where it is stored."""

    def __init__(self, stream: BinaryIO, name: str, config: Config) -> None:
        self.name, self._records = name, jsonl.read(stream, name, config)

    def next(self, source_id: object) -> tuple[dict[str, Any], str | None]:  # Any: values of attributes
        """Return the attributes of the next row and None, or {} and why the row does not fit this document."""
        row = next(self._records, None)
        if row is None:
            return {}, f"{self.name} ends before it"
        if row.fields is None:
            return {}, f"{self.name}: {row.reason}: {row.detail}"
        row_id = row.fields.get("id")
        if row_id is None or row_id != source_id:
            return {}, f"{self.name}: row {row.position:,} has id {row_id!r}, the document {source_id!r}"
        attributes = row.fields.get("attributes")
        if not isinstance(attributes, dict):
            return {}, f"{self.name}: row {row.position:,} has no object `attributes`"
        return attributes, None

    def rest(self) -> str | None:
        """Return a message if there is a row left, else None."""
        row = next(self._records, None)
        return f"{self.name}: row {row.position:,} has no document" if row else None


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per document, in order; see `Reader`.

    Raises: InputError if an attribute file is missing, or if the document file is stored in a bucket or outside a
    folder `documents`.
    """
    with ExitStack() as stack:
        names = config.attributes
        files = [
            _Rows(stack.enter_context(_open(file)), f"{ATTRIBUTES}/{name}/{path}", config)
            for name, file in zip(names, siblings(getattr(stream, "name", path), config), strict=True)
        ]
        for record in jsonl.read(stream, path, config):
            if record.position < 0:  # attributes after the damage of the document file are not misaligned
                yield record
                return
            yield _join(record, files)
        if left := [detail for rows in files if (detail := rows.rest())]:
            yield Record(-1, None, "attributes_misaligned", "; ".join(left))


def siblings(path: str, config: Config) -> list[str]:
    """Return the paths of the attribute files of a document file: the last folder `documents` of its path is replaced.

    Raises: InputError if the document file is stored in a bucket or outside a folder `documents`.
    """
    if not config.attributes:
        return []
    parts = path.split(os.sep)
    if DOCUMENTS not in parts[:-1] or "://" in path:
        raise InputError(
            f"{path}: attributes {', '.join(config.attributes)} are configured; expected a local file below a folder "
            f"named {DOCUMENTS}. Copy documents and attributes to a local disk, or remove the setting `attributes`"
        )
    at = len(parts) - 2 - parts[-2::-1].index(DOCUMENTS)
    return [os.sep.join([*parts[:at], ATTRIBUTES, name, *parts[at + 1 :]]) for name in config.attributes]


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; expected the attribute file of the document file of the same name"
        ) from error


def _join(record: Record, files: list[_Rows]) -> Record:
    """Add the next row of every attribute file to a document; rows are consumed for a broken document too."""
    fields = record.fields
    rows_and_errors = [rows.next(fields.get("id") if fields else None) for rows in files]
    if fields is None or not files:
        return record
    if errors := [detail for _, detail in rows_and_errors if detail]:
        shown = {name: fields[name] for name in ("id", "text") if isinstance(fields.get(name), str)}
        raw = json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")[:RAW_BYTES]
        return Record(record.position, None, "attributes_misaligned", "; ".join(errors), raw)
    attributes = {key: value for merged, _ in rows_and_errors for key, value in merged.items()}
    scores = {
        key: score
        for key, value in attributes.items()
        if (score := _score(value, fields.get("text"))) is not None
    }
    return Record(record.position, {**fields, "attributes": attributes, "scores": scores})


def _score(value: Any, text: Any) -> float | None:  # Any: JSON values
    """The value of an attribute if it is a single number for the whole text, else None."""
    if isinstance(value, list) and isinstance(text, str) and len(value) == 1:
        span = value[0]
        if isinstance(span, list) and len(span) == 3 and span[:2] == [0, len(text)]:
            value = span[2]
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


READER = Reader(
    name="dolma",
    version=4,
    config=Config,
    read=read,
    fields={
        **FIELDS,
        "source_id": ("id",),
        "url": ("metadata.url", "url"),
        "date": ("created",),
        "snapshot": ("metadata.snapshot", "metadata.dump", *FIELDS["snapshot"]),
    },
    siblings=siblings,
)
