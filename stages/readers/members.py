"""Zip and tar files, tar also compressed: every member is read by the reader of its kind, which its name shows.

Text, Markdown and HTML members are documents; JSON Lines, CSV, Parquet, Arrow and PDF members are read record by
record, also if they are compressed; zip and tar files inside are read to the depth `max_depth`. A member whose name has
no ending is text. Others, such as pictures, and hidden ones are skipped with their ending as the reason. Fields are
those of the member's reader, and `archive_member`, the member's name, decoded (GBK names of Windows included). Nothing
is written to disk, so that names with `..` lead nowhere.

Position counts the records of the whole file, broken and skipped ones included. Reasons of broken records: those of the
members' readers, with the member's name in the detail; corrupt_member, encrypted_member, member_too_large,
too_deep_archive, corrupt_tar; at position -1: unreadable_zip, unreadable_tar, truncated, corrupt_stream,
decompression_bomb.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

from pipeline.errors import ConfigError
from pipeline.recipe import absent
from pipeline.stage import Reader, Record
from stages.decoding.members import HIDDEN, Member, is_zip, tar_members, zip_members
from stages.decoding.streams import RAW_BYTES, Inflated
from stages.extraction.pages import PageBounds
from stages.readers import FIELDS, arrow, csv, html, jsonl, parquet, pdf, textfile

PACKED = re.compile(r"\.(gz|zst|bz2|xz)$", re.IGNORECASE)
KINDS: dict[str, Reader] = {
    **dict.fromkeys(("", "txt", "text", "md", "markdown", "mdx", "qmd", "rmd", "rst"), textfile.READER),
    **dict.fromkeys(("html", "htm", "xhtml", "shtml"), html.READER),
    **dict.fromkeys(("jsonl", "ndjson", "json"), jsonl.READER),
    **dict.fromkeys(("csv", "tsv", "tab"), csv.READER),
    **dict.fromkeys(("arrow", "feather"), arrow.READER),
    "parquet": parquet.READER,
    "pdf": pdf.READER,
}
"""Ending of a member's name without that of its compression -> reader."""

ARCHIVES = frozenset(("zip", "tar", "tgz", "tbz2", "txz"))
SEEKING = frozenset(("arrow", "parquet"))
"""Names of readers that need the whole member at once, in memory."""

WHOLE = frozenset(("textfile", "html"))
"""Names of readers whose document is the whole member: a part of it is none."""


@dataclass(frozen=True, kw_only=True)
class Config(PageBounds):
    """Bounds of members, by their readers, and of decompression.

    max_member_bytes: of a member that is read into memory: Parquet, Arrow, a zip file inside. max_depth: of archives in
    archives.
    """

    max_member_bytes: int = 256 << 20
    max_depth: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_member_bytes < 1 or self.max_depth < 1:
            raise ConfigError(
                f"max_member_bytes is {self.max_member_bytes}, max_depth {self.max_depth}; expected at least 1 of both"
            )


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield the records of all members, in order; see `Reader`."""
    for position, record in enumerate(_records(stream, config, 1)):
        ends = record.position == -1 and not record.skipped and record.reason in ENDS
        yield record if ends else replace(record, position=position)


ENDS = ("unreadable_zip", "unreadable_tar", "truncated", "corrupt_stream", "decompression_bomb")
"""Reasons at which the whole file ends; in a member they are renamed, see `_of_member`."""


def _records(stream: BinaryIO, config: Config, depth: int) -> Iterator[Record]:
    start = stream.read(8)
    stream.seek(0)
    if is_zip(start):
        items = zip_members(stream, config)
        source = None
    else:
        source = Inflated(stream, config)
        items = tar_members(source, config, source.size())
    for item in items:
        if isinstance(item, Record):
            if not (source and source.damage):
                yield item
            continue
        yield from _member(item, config, depth)
    if source and source.damage:
        yield source.damage


def _member(member: Member, config: Config, depth: int) -> Iterator[Record]:
    """Yield the records of one member."""
    base = member.name.replace("\\", "/").rpartition("/")[2]
    if base.startswith(".") or "__MACOSX/" in member.name:
        yield Record(0, None, HIDDEN, skipped=True)
        return
    ending = PACKED.sub("", base).rpartition(".")[2].lower() if "." in PACKED.sub("", base) else ""
    ending = "" if ending.isdigit() else ending
    if ending in ARCHIVES:
        yield from _inner_archive(member, config, depth)
    elif ending not in KINDS:
        yield Record(0, None, f"member .{ending[:20]}", skipped=True)
    elif missing := absent(KINDS[ending]):
        yield Record(0, None, f"member .{ending}, whose reader needs {missing[0]}", skipped=True)
    else:
        yield from _with_fault(member, KINDS[ending], config)


def _inner_archive(member: Member, config: Config, depth: int) -> Iterator[Record]:
    if depth >= config.max_depth:
        detail = f"archives in archives to a depth of more than {config.max_depth}"
        yield _broken(member, "too_deep_archive", detail)
        return
    data = _whole(member, config)
    if isinstance(data, Record):
        yield data
        return
    for record in _records(io.BytesIO(data), config, depth + 1):
        yield _of_member(record, member)


def _with_fault(member: Member, reader: Reader, config: Config) -> Iterator[Record]:
    """Yield the records of a member; the one at which its bytes ended early is broken."""
    stream = cast(BinaryIO, member.stream)
    if reader.name in SEEKING:
        data = _whole(member, config)
        if isinstance(data, Record):
            yield data
            return
        stream = io.BytesIO(data)
    held: Record | None = None
    for record in reader.read(stream, member.name, settings_of(reader, config)):
        if held is not None:
            yield _of_member(held, member)
        held = record
    fault = member.stream.fault
    if fault is None:
        if held is not None:
            yield _of_member(held, member)
        return
    if held is not None and held.fields is not None and reader.name not in WHOLE:
        raw = str(held.fields)[:RAW_BYTES].encode("utf-8", "replace")[:RAW_BYTES]
        yield _broken(member, fault[0], f"{fault[1]}; the record before may be cut off", raw)
        return
    yield _broken(member, *fault, held.raw if held is not None else None)


def settings_of(reader: Reader, config: Config) -> Any:  # Any: the config of any reader
    """Return a reader's config with the bounds of this one where it has fields of the same name."""
    own = {field.name: field.default for field in dataclasses.fields(Config)}
    shared = {f.name for f in dataclasses.fields(reader.config) if f.name in own}
    changed = {name: getattr(config, name) for name in shared if getattr(config, name) != own[name]}
    return reader.config(**changed)


def _whole(member: Member, config: Config) -> bytes | Record:
    """Return all bytes of a member, or a broken record if they are too many or damaged."""
    data = bytearray()
    while len(data) <= config.max_member_bytes and (more := member.stream.read(1 << 20)):
        data += more
    if member.stream.fault:
        return _broken(member, *member.stream.fault)
    if len(data) > config.max_member_bytes:
        return _broken(
            member, "member_too_large", f"more than {config.max_member_bytes:,} bytes; unpack the file first"
        )
    return bytes(data)


def _broken(member: Member, reason: str, detail: str, raw: bytes | None = None) -> Record:
    reason = "corrupt_member" if reason in ENDS else reason
    return Record(0, None, reason, f"{member.name}: {detail}", raw, lost_bytes=member.stored_bytes)


def _of_member(record: Record, member: Member) -> Record:
    """Return a record of a member as one of the file."""
    if record.skipped:
        return record
    if record.fields is None:
        reason = "corrupt_member" if record.position < 0 and record.reason in ENDS else record.reason
        detail = (
            f"{member.name}: {record.detail}"
            if reason == record.reason
            else f"{member.name}: {record.reason}: {record.detail}"
        )
        lost = min(record.lost_bytes, member.stored_bytes)
        return replace(record, position=0, reason=reason, detail=detail, lost_bytes=lost)
    inner = record.fields.get("archive_member")
    name = f"{member.name}/{inner}" if isinstance(inner, str) and inner else member.name
    return replace(record, position=0, fields={**record.fields, "archive_member": name})


READER = Reader(name="members", version=3, config=Config, read=read, fields={**FIELDS, **csv.NAMES})
