"""The command `check`: a run file against its data, before any work.

Of each source the first records of its first files are read, as ingest reads them. What is misspelt is in the message
with the most similar name.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pipeline.config.load import load_run
from pipeline.config.run_file import Ingest, Source
from pipeline.errors import BicorpusError
from pipeline.ingest.canonical import Rows
from pipeline.ingest.ingest import find_groups, source_info
from pipeline.ingest.tally import ABSENT, NULL, Tally
from pipeline.names import nearest
from pipeline.runtime.limits import first_records
from pipeline.storage.store import InputFile, open_input
from pipeline.translation import message, t

LOOKED, MAX_FILES = 64, 16
"""Records of a file that are read, and files of a source, where the first do not have all fields."""

SHOWN_CHARS = 60
SHOWN = ("source_id", "url", "date", "snapshot", "license")


@dataclass
class SourceCheck:
    """What was found of a source.

    record: FILE:RECORD of the document that is shown, columns: its canonical columns that have a value. broken: reason
    -> records of those read. faults: what a run would fail for; doubts: what else looks wrong.
    """

    name: str
    reader: str
    n_files: int = 0
    n_bytes: int = 0
    n_read: int = 0
    record: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    meta: list[str] = field(default_factory=list)
    broken: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def check_run(path: str) -> list[SourceCheck]:
    """Load a run file and read the first records of each source.

    Raises: ConfigError for a fault of the run file itself.
    """
    run = load_run(path)
    return [check_source(source, run.ingest) for source in run.sources]


def check_source(source: Source, ingest: Ingest) -> SourceCheck:
    """Read the first records of a source."""
    found = SourceCheck(source.name, source.reader_name)
    try:
        files = [file for group in find_groups(source, ingest) for file in group.files]
        found.n_files, found.n_bytes = len(files), sum(file.size for file in files)
        _read(source, files, ingest, found)
    except BicorpusError as error:
        found.faults.append(str(error))
    return found


def _read(source: Source, files: list[InputFile], ingest: Ingest, found: SourceCheck) -> None:
    """Read files until a document is found and every mapped column was seen, MAX_FILES at most."""
    names: dict[str, None] = {}
    tally, reasons = Tally(), Counter[str]()
    document: tuple[dict[str, Any], InputFile] | None = None
    first: dict[str, Any] = {}
    for file in [file for file in files if file.size][:MAX_FILES] or files[:1]:
        rows = Rows(source_info(source, file, ingest))
        with open_input(file.path) as stream:
            for record in first_records(source.reader, stream, file.relative, source.reader_config, LOOKED):
                names |= dict.fromkeys(record.fields or ())
                rows.add(record)
        documents, quarantined, _ = rows.take()
        tally.add(rows.tally)
        reasons.update(quarantined["reason"].to_pylist())
        first = first or next(iter(quarantined.slice(0, 1).to_pylist()), {})
        if document is None and documents.num_rows:
            document = documents.slice(0, 1).to_pylist()[0], file
        if document and all(seen > ABSENT for seen in tally.columns.values()):
            break
    found.n_read, found.broken = tally.n_read, dict(reasons)
    _look_at_columns(source, tally, list(names), found)
    if document:
        _show(*document, found)
        return
    detail = f"{first['reason']} ({first['detail']})" if first else message("no records")
    tried = source.columns.get("text", source.reader.fields.get("text", ()))
    wanted = tried if isinstance(tried, str) else ", ".join(tried)
    text = message(f"; text is looked for in {wanted}") + nearest(wanted, names) if names else ""
    found.faults.append(message(f"none of the first {found.n_read:,} records is a document: {detail}") + text)


def _look_at_columns(source: Source, tally: Tally, names: list[str], found: SourceCheck) -> None:
    """Note mapped columns that the records do not answer."""
    known = [*names, *tally.names]
    for column, seen in tally.columns.items():
        fields = source.columns[column]
        wanted = fields if isinstance(fields, str) else ", ".join(fields)
        if seen == ABSENT and found.n_read:
            found.faults.append(
                message(f"columns.{column}: no record has the field {wanted!r}") + nearest(wanted, known)
            )
        elif seen == NULL:
            found.doubts.append(
                message(f"columns.{column}: {wanted!r} is null in the first {found.n_read:,} records")
            )


def _show(document: dict[str, Any], file: InputFile, found: SourceCheck) -> None:
    text = document["text"]
    found.record = f"{file.relative}:{document['input_row']}"
    found.columns = {
        "text": message(
            f"{len(text):,} characters: {' '.join(text[: 4 * SHOWN_CHARS].split())[:SHOWN_CHARS]}"
        )
    }
    found.columns |= {name: str(document[name]) for name in SHOWN if document[name] is not None}
    found.meta = sorted(json.loads(document["meta"])) if document["meta"] else []


def check_lines(source: SourceCheck) -> list[str]:
    """Return what was found for a terminal."""
    n = source.n_files
    files = t("1 file") if n == 1 else t(f"{n:,} files")
    lines = [f"{source.name}: {source.reader}, {files}, " + t(f"{source.n_bytes:,} bytes")]
    if source.record:
        lines.append(t(f"  record {source.record}"))
        lines += [
            f"    {name}: {t(value) if name == 'text' else value}" for name, value in source.columns.items()
        ]
    if source.meta:
        lines.append(t(f"    kept as meta: {', '.join(source.meta)}"))
    if source.broken:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(source.broken.items()))
        lines.append(t(f"  of the first {source.n_read:,} records quarantined: {reasons}"))
    lines += [t(f"  doubtful: {t(doubt)}") for doubt in source.doubts]
    lines += [t(f"  wrong: {t(fault)}") for fault in source.faults]
    return lines
