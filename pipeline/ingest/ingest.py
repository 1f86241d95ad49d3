"""Ingest: converts each input file once to canonical shards; records that cannot become documents are quarantined.

The name of a shard depends on its source and the content of its input files only, so other files, another path or
another machine do not rename it. Files of any size are read as streams and written in row groups.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.annotate.addresses import imported_ref
from pipeline.config.run_file import REASONS, Ingest, Source, ingest_recipe
from pipeline.dataset.partitions import partitions_of
from pipeline.dataset.shard import Shard, parquet_writer
from pipeline.dataset.sidecars import write_sidecar
from pipeline.dataset.tombstones import load_tombstones
from pipeline.errors import InputError
from pipeline.ingest.canonical import ROW_GROUP_BYTES, ROW_GROUP_ROWS, Rows, SourceInfo
from pipeline.ingest.tally import ANSWERED, Tally
from pipeline.recipe import digest
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.runtime.limits import FAULTS, MEMORY, fault, limits_of
from pipeline.schema import CANONICAL, QUARANTINE
from pipeline.stage import Record
from pipeline.storage.scratch import scratch
from pipeline.storage.store import InputFile, Store, input_digest, list_inputs, open_input, with_siblings

PACK_BYTES = 8 << 20
"""Mean size on disk of a group of small files, which share a shard: a few seconds of work even if all are web pages."""

FILE_BYTES = 1 << 10
"""Least size that a small file counts with, so that a group of empty files has an end."""

MAX_PACKS = 8
"""A group ends at this multiple of PACK_BYTES in any case."""


@dataclass(frozen=True)
class Group:
    """Input files that are ingested together: one large file, or consecutive small files in the order of paths."""

    source: Source
    files: tuple[InputFile, ...]

    @property
    def n_bytes(self) -> int:
        """Size of the files on disk (compressed)."""
        return sum(file.size for file in self.files)

    @property
    def label(self) -> str:
        """Description for messages."""
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return f"{self.source.name}: {self.files[0].relative}{more}"


@dataclass(frozen=True)
class IngestTask:
    """Ingest one group. digests: (relative path, digest) of the files whose digest was computed before.

    apart: in a process of its own, since a worker died on it. lost: (relative path, record) of files that are given up.
    tombstones: tag of the store's tombstones, empty without any.
    """

    store: Store
    group: Group
    ingest: Ingest
    digests: tuple[tuple[str, str], ...] = ()
    apart: bool = False
    lost: tuple[tuple[str, Record], ...] = ()
    tombstones: str = ""

    def after_loss(self) -> IngestTask:
        """The task to run after one that lost its worker, perhaps because a file ended it."""
        return replace(self, apart=True)


@dataclass
class IngestReport:
    """The result of ingesting a group.

    n_read: records read. n_erased: documents that tombstones kept out. quarantined: reason -> records. peak_rss:
    bytes. parent: id of the parent shard of a derived group. tally: what reading cost and showed. ended: path, reason
    and lost bytes of files that end early; empty: path and reason of files without a document. partitions: columns in
    the names of folders.
    """

    name: str
    source: str
    files: list[dict[str, str | int]]
    shards: list[Shard] = field(default_factory=list)
    n_read: int = 0
    n_erased: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    peak_rss: int = 0
    parent: str | None = None
    tally: Tally = field(default_factory=Tally)
    ended: list[list[str | int]] = field(default_factory=list)
    empty: list[list[str]] = field(default_factory=list)
    partitions: set[str] = field(default_factory=set)

    def entry(self) -> dict[str, object]:
        """Return the entry of the group in the catalog of shards."""
        shards = [[s.id, s.n_rows, s.text_bytes, s.generation] for s in self.shards]
        quarantined = dict(sorted(self.quarantined.items()))
        parent = {"parent": self.parent} if self.parent else {}
        erased = {"erased": self.n_erased} if self.n_erased else {}
        return {"source": self.source, "files": self.files, "shards": shards, "read": self.n_read,
                "quarantined": quarantined, **erased, **parent, **self.losses()}  # fmt: skip

    def losses(self) -> dict[str, object]:
        """Return what is stored of the tally: bytes lost, skipped records, columns without values; without zeros."""
        tally = self.tally
        columns = {column: seen for column, seen in tally.columns.items() if seen < ANSWERED}
        found: dict[str, object] = {
            "lost_bytes": tally.lost_bytes,
            "missing_bytes": tally.missing_bytes,
            "record_bytes": tally.record_bytes if tally.broken_bytes else 0,
            "broken_bytes": tally.broken_bytes,
            "skipped": dict(sorted(tally.skipped.items())),
            "ended": self.ended,
            "empty": self.empty,
            "partitions": sorted(self.partitions),
            "unanswered": columns,
            "fields": sorted(tally.names) if columns else [],
        }
        return {name: value for name, value in found.items() if value}


def find_groups(source: Source, ingest: Ingest) -> list[Group]:
    """Return the input files of a source as groups; small files share a group. Raises: as source_files."""
    return list(_pack(replace(source, inputs=None), source_files(source), ingest))


def source_files(source: Source) -> list[InputFile]:
    """Return the input files of a source, by their path below its folder.

    Each file includes the siblings that the reader reads with it.

    Raises: InputError if a pattern matches nothing, a sibling is missing, or two inputs have the same path below
    their roots.
    """
    if source.inputs is not None:
        return list(source.inputs)
    files: dict[str, InputFile] = {}
    for pattern in source.files:
        for file in list_inputs(pattern, source.follow_links):
            other = files.setdefault(file.relative, file)
            if other.path != file.path:
                raise InputError(
                    f"source {source.name}: {file.path} and {other.path} are both {file.relative!r} below their "
                    "folders; documents are named after that path, so give each folder a source of its own"
                )
    inputs = sorted(files.values(), key=lambda file: file.relative)
    if siblings := source.reader.siblings:
        inputs = [
            with_siblings(file, siblings(file.path, source.reader_config), source.follow_links)
            for file in inputs
        ]
    return inputs


def _pack(source: Source, files: list[InputFile], ingest: Ingest) -> Iterator[Group]:
    """Group files: one large file, or consecutive small ones.

    A small file ends its group with a probability proportional to its size, decided by the hash of its path. So groups
    have the same mean size for files of any size, and a new file changes its own group only.
    """
    small_bytes = min(ingest.pack_bytes, ingest.shard_bytes // 8)
    mean_bytes = min(PACK_BYTES, ingest.shard_bytes)
    pack: list[InputFile] = []
    n_bytes = 0
    for file in files:
        if file.size > small_bytes:
            yield Group(source, (file,))
            continue
        pack.append(file)
        size = max(file.size, FILE_BYTES)
        n_bytes += size
        hashed = xxhash.xxh3_64_intdigest(file.relative.encode())
        if hashed < (size << 64) // mean_bytes or n_bytes >= MAX_PACKS * mean_bytes:
            yield Group(source, tuple(pack))
            pack, n_bytes = [], 0
    if pack:
        yield Group(source, tuple(pack))


def group_name(group: Group, ingest: Ingest, digests: dict[str, str]) -> str:
    """Return the name `<source>-<inputs16>`: a hash of the digests of the group's files and the settings of ingest.

    It has 64 bits: with 10^6 files in a source, two groups have the same name in one of 4 * 10^7 corpora.
    """
    inputs: list[object] = [[file.relative, digests[file.relative]] for file in group.files]
    if above := {file.relative: found for file in group.files if (found := _partitions_above(file))}:
        inputs.append(above)
    return f"{group.source.name}-{digest([ingest_recipe(group.source, ingest), inputs])[:16]}"


def _partitions_above(file: InputFile) -> dict[str, str]:
    """Columns in the names of folders that are not part of `relative`."""
    below = partitions_of(file.relative, file.relative)
    return {
        name: value for name, value in partitions_of(file.path, file.relative).items() if name not in below
    }


def source_info(source: Source, file: InputFile, ingest: Ingest) -> SourceInfo:
    """Return the settings of a source for the records of one of its files."""
    return SourceInfo(
        name=source.name, license=source.license, provenance=source.provenance, snapshot=source.snapshot,
        columns=source.columns, fields=source.reader.fields, max_doc_bytes=ingest.max_doc_bytes,
        input=file.relative, partitions=partitions_of(file.path, file.relative),
    )  # fmt: skip


class _LostError(Exception):
    """A file is given up after rows of it were handed on; args: its relative path, and the record for it."""


def ingest_group(task: IngestTask) -> IngestReport:
    """Read the files of a group and write its shards and its quarantine, replacing existing ones.

    Raises: InputError if a file cannot be read.
    """
    if task.apart:
        from pipeline.ingest.apart import ingest_apart

        return ingest_apart(task)
    return ingest_files(task)


def ingest_files(task: IngestTask, begin: Callable[[str], object] = lambda path: None) -> IngestReport:
    """Do the work of `ingest_group` in this process. begin: called with the path of each file before it is read."""
    lost = dict(task.lost)
    while True:
        try:
            return _ingest(task, lost, begin)
        except _LostError as error:
            path, record = error.args
            lost[path] = record


def _ingest(task: IngestTask, lost: dict[str, Record], begin: Callable[[str], object]) -> IngestReport:
    group, computed = task.group, dict(task.digests)
    digests = {file.relative: computed.get(file.relative) or input_digest(file) for file in group.files}
    files: list[dict[str, str | int]] = [
        {"path": f.relative, "size": f.size, "stamp": f.stamp, "digest": digests[f.relative]}
        for f in group.files
    ]
    report = IngestReport(group_name(group, task.ingest, digests), group.source.name, files)
    with scratch() as folder:
        writer = _ShardWriter(task, report, folder)
        for file in group.files:
            if file.relative in lost:
                rows = Rows(source_info(group.source, file, task.ingest))
                _end_file(file, rows, writer, 0, lost[file.relative])
                continue
            begin(file.relative)
            _read_file(file, task, writer)
        writer.close()
    report.peak_rss = peak_rss_bytes()
    return report


def _read_file(file: InputFile, task: IngestTask, writer: _ShardWriter) -> None:
    """Read one file within its limits. One that exceeds them is given up as a whole."""
    source = task.group.source
    rows, n_docs, record = Rows(source_info(source, file, task.ingest)), 0, None
    is_clean, lost = True, None
    try:
        with (
            open_input(file.path) as stream,
            limits_of(source.reader_config, file.size, ends=True) as limits,
        ):
            for record in limits.each(source.reader, stream, file.relative, source.reader_config):
                if record.position < 0 and record.reason in FAULTS:
                    lost = record
                    break
                rows.add(record)
                if rows.is_full:
                    n_docs += rows.n_docs
                    is_clean = False
                    writer.add(*rows.take())
                if rows.n_broken_in_row >= task.ingest.max_broken_records:
                    rows.add(too_many_broken(rows.n_broken_in_row, file.size - stream.tell()))
                    break
    except MemoryError:
        is_clean, lost = False, fault(MEMORY, "its records did not fit into memory (file_memory_bytes)")
    if lost is not None and not is_clean:
        raise _LostError(file.relative, lost)
    if lost is not None:
        rows, n_docs = Rows(source_info(source, file, task.ingest)), 0
    _end_file(file, rows, writer, n_docs, lost)


def too_many_broken(n_records: int, n_bytes: int) -> Record:
    """Return the record that ends a file after too many broken ones. n_bytes: of the file, that were not read."""
    detail = f"{n_records:,} quarantined records in a row (ingest.max_broken_records); the rest was not read"
    return Record(-1, None, "too_many_broken", detail, lost_bytes=max(n_bytes, 0))


def _end_file(file: InputFile, rows: Rows, writer: _ShardWriter, n_docs: int, lost: Record | None) -> None:
    """Hand on the last rows of a file and what its reading showed. lost: why it is given up; n_docs: handed on."""
    report = writer.report
    report.partitions.update(rows.partitions)
    if lost is not None:
        rows.add(replace(lost, lost_bytes=file.size))
    n_docs += rows.n_docs
    before = report.quarantined.copy()
    writer.add(*rows.take())
    reasons: Counter[str] = rows.tally.skipped + (report.quarantined - before)
    report.n_read += rows.tally.n_read
    report.tally.add(rows.tally)
    report.ended += [[file.relative, end, rows.tally.lost_bytes] for end in rows.tally.ends]
    if n_docs == 0 and file.size and not rows.tally.ends:
        common = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(3))
        report.empty.append([file.relative, common or "no records"])


def text_bytes(documents: pa.Table) -> int:
    """Return the bytes of the text of documents."""
    return int(documents["text_bytes"].to_numpy().sum(dtype=np.int64))


def without_content(quarantined: pa.Table) -> pa.Table:
    """Return quarantined rows without bytes and details, which may contain or quote personal data."""
    for name in ("detail", "raw"):
        place = quarantined.schema.get_field_index(name)
        empty = pa.nulls(quarantined.num_rows, quarantined.schema.field(name).type)
        quarantined = quarantined.set_column(place, quarantined.schema.field(name), empty)
    return quarantined


class _Waiting:
    """Tables of small files, and their scores, that are written together."""

    def __init__(self) -> None:
        self.tables: list[tuple[pa.Table, dict[str, pa.Table]]] = []
        self.n_rows = self.n_bytes = 0

    def is_full_with(self, table: pa.Table) -> bool:
        """Whether another table would make more than one row group of them."""
        n_rows, n_bytes = self.n_rows + table.num_rows, self.n_bytes + table.nbytes
        return n_rows > ROW_GROUP_ROWS or n_bytes > ROW_GROUP_BYTES

    def append(self, table: pa.Table, scores: dict[str, pa.Table]) -> None:
        """Add a table."""
        self.tables.append((table, scores))
        self.n_rows, self.n_bytes = self.n_rows + table.num_rows, self.n_bytes + table.nbytes

    def take(self) -> tuple[pa.Table, dict[str, pa.Table]]:
        """Return all tables as one, and their scores, and remove them."""
        tables, self.tables, self.n_rows, self.n_bytes = self.tables, [], 0, 0
        joined = pa.concat_tables([table for table, _ in tables]).combine_chunks()
        return joined, {
            name: pa.concat_tables([scores[name] for _, scores in tables]) for name in tables[0][1]
        }


class _ShardWriter:
    """Writes the documents of a group to shards of bounded text size, one row group at a time."""

    def __init__(self, task: IngestTask, report: IngestReport, folder: str) -> None:
        self.task, self.report, self.folder = task, report, folder
        self.tombstones = load_tombstones(task.store, task.tombstones) if task.tombstones else None
        self.file: pq.ParquetWriter | None = None
        self.number = self.n_rows = self.text_bytes = 0
        self.n_seen = self.seen_bytes = (
            0  # with erased documents, which keep their room: shards are cut as without
        )
        self.scores: dict[str, list[pa.Table]] = {}
        self.waiting = _Waiting()
        self.waiting_quarantine = _Waiting()
        self.quarantine: pq.ParquetWriter | None = None

    @property
    def shard_path(self) -> str:
        """Path of the local file of the open shard."""
        return os.path.join(self.folder, "shard.parquet")

    def add(self, documents: pa.Table, quarantined: pa.Table, scores: dict[str, pa.Table]) -> None:
        """Add documents, quarantined rows and existing scores, at most a row group of each.

        Those of small files wait for others: with a row group for each file, every stage would read them one by one.
        """
        if quarantined.num_rows:
            self.report.quarantined.update(quarantined["reason"].to_pylist())
            if self.tombstones is not None:
                quarantined = self.tombstones.hidden(quarantined)
            if self.task.ingest.quarantine == REASONS:
                quarantined = without_content(quarantined)
            if self.waiting_quarantine.is_full_with(quarantined):
                self.flush_quarantine()
            self.waiting_quarantine.append(quarantined, {})
        if documents.num_rows:
            if self.waiting.is_full_with(documents):
                self.flush()
            self.waiting.append(documents, scores)

    def flush(self) -> None:
        """Write the waiting documents as a row group, or more if they fill a shard."""
        if not self.waiting.n_rows:
            return
        documents, scores = self.waiting.take()
        start = 0
        sizes = documents["text_bytes"].to_numpy().astype(np.int64)
        while start < documents.num_rows:
            room = self.task.ingest.shard_bytes - self.seen_bytes
            n_rows = int((sizes[start:].cumsum() <= room).sum())
            if n_rows == 0 and self.n_seen == 0:
                n_rows = 1  # a document larger than shard_bytes gets a shard of its own
            if n_rows:
                slices = {prefix: table.slice(start, n_rows) for prefix, table in scores.items()}
                self.write(documents.slice(start, n_rows), slices)
            if start + n_rows < documents.num_rows:
                self.end_shard()
            start += n_rows

    def write(self, documents: pa.Table, scores: dict[str, pa.Table]) -> None:
        """Write documents to the open shard, which has room for them, without those that tombstones are of."""
        self.n_seen += documents.num_rows
        self.seen_bytes += text_bytes(documents)
        if self.tombstones is not None and (erased := self.tombstones.erased(documents)).any():
            left = pa.array(~erased)
            documents, scores = documents.filter(left), {n: table.filter(left) for n, table in scores.items()}
        if not documents.num_rows:
            return
        if self.file is None:
            self.file = parquet_writer(self.shard_path, CANONICAL)
        self.file.write_table(documents, row_group_size=documents.num_rows)
        for prefix, table in scores.items():
            self.scores.setdefault(prefix, []).append(table)
        self.n_rows += documents.num_rows
        self.text_bytes += text_bytes(documents)

    def end_shard(self) -> None:
        """Close the open shard and copy it to the store. One whose documents are all erased leaves its number free."""
        n_erased, number = self.n_seen - self.n_rows, self.number
        self.report.n_erased += n_erased
        self.number += self.n_seen > 0
        self.n_seen = self.seen_bytes = 0
        if self.file is None:
            return
        self.file.close()
        shard_id = f"{self.report.name}-{number:05d}"
        shard = Shard(shard_id, self.report.source, self.n_rows, self.text_bytes, 1 + n_erased)
        self.task.store.put_file(shard.key, self.shard_path)
        for prefix, tables in self.scores.items():
            ref = imported_ref(prefix, self.task.group.source, self.task.ingest, shard)
            write_sidecar(self.task.store, ref, pa.concat_tables(tables), shard)
        self.report.shards.append(shard)
        self.file, self.n_rows, self.text_bytes, self.scores = None, 0, 0, {}

    def flush_quarantine(self) -> None:
        """Write the waiting quarantined rows."""
        if not self.waiting_quarantine.n_rows:
            return
        if self.quarantine is None:
            self.quarantine = parquet_writer(os.path.join(self.folder, "quarantine.parquet"), QUARANTINE)
        self.quarantine.write_table(self.waiting_quarantine.take()[0])

    def close(self) -> None:
        """End the last shard and copy the quarantine to the store."""
        self.flush()
        self.flush_quarantine()
        self.end_shard()
        if self.quarantine is not None:
            self.quarantine.close()
            key = f"quarantine/{self.report.source}/{self.report.name}.parquet"
            self.task.store.put_file(key, os.path.join(self.folder, "quarantine.parquet"))
