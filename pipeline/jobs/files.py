"""Jobs over files: score, filter, deduplicate, label the language and mask personal data.

Each reads its inputs in batches and writes them in their own form. Records that are broken, and documents on which a
stage raises, are in no output but the quarantine, with the reason.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.run_file import Ingest, StageStep
from pipeline.errors import UsageError
from pipeline.jobs.copies import DedupSettings, Signed
from pipeline.jobs.forms import (
    ENDINGS,
    PACKED,
    STDOUT,
    OutStream,
    Writer,
    check_form,
    json_line,
    open_writer,
    text_names,
)
from pipeline.jobs.inputs import STDIN, Batch, Extent, Found, JobInput, read_again, read_batches
from pipeline.jobs.judging import Judge
from pipeline.jobs.steps import Measured, choose_workers, measure_batches
from pipeline.jobs.tables import TableFile
from pipeline.runtime.progress import Progress
from pipeline.spans import apply_spans

RULE, REASON = "bicorpus.rule", "bicorpus.reason"
"""Columns of a dropped record: the first rule that it fails, and its conditions with the values of the document."""

DROPPED = pa.schema({RULE: pa.string(), REASON: pa.string()})

MASKS = {
    "email": "<EMAIL>", "ip": "<IP>", "phone_cn": "<PHONE>", "phone": "<PHONE>", "tollfree": "<PHONE>", "id_cn": "<ID>",
    "ssn_us": "<ID>", "id_hk_mo_tw": "<ID>", "passport": "<ID>", "permit": "<ID>", "student_id": "<ID>",
    "bank_card": "<CARD>",
    "iban": "<IBAN>", "mac": "<MAC>", "plate_cn": "<PLATE>", "vin": "<VIN>", "wechat": "<ACCOUNT>", "qq": "<ACCOUNT>",
    "handle": "<ACCOUNT>", "secret": "<SECRET>", "url_user": "REDACTED", "url_value": "REDACTED", "name": "<NAME>",
    "address": "<ADDRESS>",
}  # fmt: skip
"""What replaces personal data, by kind: as in configs/cci4.yaml."""

DUPLICATES = pa.schema(
    {
        "input": pa.string(), "row": pa.int64(), "id": pa.string(), "keeper_input": pa.string(),
        "keeper_row": pa.int64(), "keeper_id": pa.string(), "kind": pa.string(), "similarity": pa.float32(),
        "cluster_size": pa.int32(),
    }
)  # fmt: skip
"""One row for each removed document, and the one that is kept in its place. row: of the file, from 0; id: the record's
own. kind: raw (the same text), exact (except for width, case, marks or script), near."""

SCORED = pa.schema({"input": pa.string(), "row": pa.int64(), "error": pa.string()})
"""First columns of scores. error: why a record is no document, or a stage raised on it; null for the others."""

STAGE_FAILED = "stage_failed"
N_EXAMPLES = 5


@dataclass
class JobReport:
    """What a job did. rules, quarantined, kinds: counts by rule, reason and kind of data; outputs: files by content."""

    job: str
    documents: int = 0
    kept: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    outputs: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    @property
    def too_many_broken(self) -> bool:
        """Whether more records were quarantined than a build allows by default."""
        n_broken = self.quarantined.total()
        return n_broken > Ingest.max_quarantined_share * (self.documents + n_broken)

    def plain(self) -> dict[str, Any]:
        """The report as plain data, without what does not apply."""
        facts = {
            "job": self.job, "documents": self.documents, "kept": self.kept,
            "dropped": dict(self.rules.most_common()), "quarantined": dict(self.quarantined.most_common()),
            "kinds": dict(self.kinds.most_common()), "outputs": self.outputs, "seconds": round(self.seconds, 3),
        }  # fmt: skip
        return {name: value for name, value in facts.items() if value or name in ("documents", "kept")}


@dataclass(frozen=True)
class Job:
    """Inputs and outputs of a job, and how it runs.

    to: a file, `-`, or a folder (it exists, or ends in a slash) that gets a file for each input. beside: content
    (dropped, duplicates, quarantine) -> file, instead of one beside `to`.
    """

    name: str
    found: Found
    to: str = STDOUT
    beside: dict[str, str | None] = field(default_factory=dict)
    workers: int | None = None
    progress: Progress = field(default_factory=lambda: Progress(quiet=True))

    @property
    def in_folder(self) -> bool:
        """Whether each input is written to a file of its own."""
        return self.to.endswith(os.sep) or os.path.isdir(self.to)

    @property
    def n_workers(self) -> int:
        """Number of processes."""
        return choose_workers(self.workers, self.found.n_bytes)

    def path_of(self, content: str, item: JobInput) -> str:
        """The file of some content of the output for an input; empty if there is none."""
        if content != "kept" and self.beside.get(content):
            return str(self.beside[content])
        main = self.to
        if self.in_folder and content == "duplicates":
            main = os.path.join(self.to, "all.jsonl")
        elif self.in_folder and item.form != "textfile":
            name = f"stdin.{item.form}" if item.label == STDIN else os.path.basename(item.label)
            main = os.path.join(self.to, name)
        if content == "kept" or main == STDOUT:
            return main if content == "kept" else ""
        stem, ending = split_ending(main.rstrip(os.sep))
        if content == "quarantine" or (content == "duplicates" and item.form != "parquet"):
            ending = ".jsonl"
        elif content == "duplicates":
            ending = ".parquet"
        elif item.form == "textfile":
            ending = ".tsv"
        return f"{stem}.{content}{ending}"

    def check(self) -> None:
        """Check the output before any work.

        Raises: UsageError if it is one of the inputs, or several inputs of other forms would share a file.
        """
        paths = {os.path.realpath(item.file.path) for item in self.found.inputs}
        forms = {item.form for item in self.found.inputs}
        if self.to != STDOUT and not self.in_folder and len(forms) > 1:
            raise UsageError(
                f"--to {self.to}: the inputs are {' and '.join(sorted(forms))}; name a folder, `--to {self.to}/`"
            )
        for item in self.found.inputs:
            if self.to != STDOUT and os.path.realpath(self.path_of("kept", item)) in paths:
                raise UsageError(f"--to {self.to}: is an input; name another file")
        if self.in_folder:
            names = Counter(os.path.basename(item.label) for item in self.found.inputs)
            name, count = names.most_common(1)[0]
            if count > 1:
                raise UsageError(
                    f"--to {self.to}: {count} inputs are named {name}; write them one after another"
                )
        elif self.to != STDOUT and not os.path.isdir(os.path.dirname(self.to) or "."):
            raise UsageError(f"--to {self.to}: no folder {os.path.dirname(self.to)!r}; make it first")

    def outline(self, outputs: Mapping[str, str | None]) -> dict[str, Any]:
        """What the job would read and write, as plain data; nothing is read but the start of each input.

        Args: outputs, content -> its file, None for the one of `path_of`.
        Raises: UsageError as `check`, and if records of this form cannot be written.
        """
        self.check()
        inputs, paths = [], dict[str, str]()
        for item in self.found.inputs:
            inputs.append({"input": item.label, "format": item.form, "text": list(text_names(item))})
            if "kept" in outputs:
                check_form(self.path_of("kept", item), item)
            for content, path in outputs.items():
                if path := path or self.path_of(content, item):
                    paths.setdefault(content, self.to if self.in_folder else path)
        return {"inputs": inputs, "outputs": paths}

    def batches(self, originals: bool, phase: Any = None) -> Iterator[tuple[JobInput, Batch]]:
        """The batches of all inputs, with the input of each. phase: of the progress."""
        for item in self.found.inputs:
            for batch in read_batches(item, originals):
                yield item, batch
                if phase is not None:
                    phase.bytes += int(np.sum(batch.documents["text_bytes"].to_numpy(), dtype=np.int64))
                    phase.draw()
            if phase is not None:
                phase.step()


def split_ending(path: str) -> tuple[str, str]:
    """Split a path into stem and ending, compression included: `kept`, `.jsonl.gz`."""
    packed = next((ending for ending in PACKED if path.lower().endswith(ending)), "")
    stem, ending = os.path.splitext(path[: len(path) - len(packed)])
    known = (*(e for endings in ENDINGS.values() for e in endings), ".txt")
    return (stem, ending + path[len(path) - len(packed) :]) if ending.lower() in known else (path, "")


class _Outputs:
    """The open files of a job."""

    def __init__(self, job: Job, report: JobReport) -> None:
        self.job, self.report = job, report
        self.writers: dict[str, Writer] = {}
        self.broken: dict[str, OutStream] = {}

    def add(
        self, content: str, item: JobInput, batch: Batch, rows: np.ndarray,
        columns: pa.Table | None = None, texts: Sequence[str | None] | None = None,
        schema: pa.Schema | None = None,
    ) -> None:  # fmt: skip
        """Write records of a batch to the file of some content; see Writer.add. schema: of the columns, if any."""
        path = self.job.path_of(content, item)
        if not path or (not len(rows) and content != "kept"):
            return
        if path not in self.writers:
            self.writers[path] = open_writer(path, item, schema)
            self.report.outputs.setdefault(content, path if not self.job.in_folder else self.job.to)
        self.writers[path].add(batch, rows, columns, texts)

    def quarantine(self, item: JobInput, batch: Batch, failed: dict[int, str]) -> None:
        """Write broken records and documents on which a stage raised, with the reason.

        failed: document of the batch -> error.
        """
        rows = [
            {**row, "input": item.label, "raw": (row["raw"] or b"").decode("utf-8", "replace")}
            for row in batch.quarantined.select(["input", "input_row", "reason", "detail", "raw"]).to_pylist()
        ]
        for document, error in failed.items():
            facts = batch.documents.slice(document, 1)
            rows.append({"input": item.label, "input_row": facts["input_row"][0].as_py(), "reason": STAGE_FAILED,
                         "detail": error, "raw": facts["text"][0].as_py()})  # fmt: skip
        for row in rows:
            self.report.quarantined[str(row["reason"])] += 1
            if len(self.report.examples) < N_EXAMPLES:
                self.report.examples.append(
                    f"{row['input']}:{row['input_row']} {row['reason']}: {row['detail']}"
                )
        path = self.job.path_of("quarantine", item)
        if rows and path:
            if path not in self.broken:
                self.broken[path] = OutStream(path)
                self.report.outputs.setdefault("quarantine", path)
            for row in rows:
                self.broken[path].write(json_line(row))

    def close(self) -> None:
        """Finish all files."""
        for writer in self.writers.values():
            writer.close()
        for stream in self.broken.values():
            stream.close()

    def abort(self) -> None:
        """Remove all files that are not finished."""
        for writer in self.writers.values():
            writer.abort()
        for stream in self.broken.values():
            stream.abort()


@contextmanager
def _opened(job: Job) -> Iterator[tuple[_Outputs, JobReport, Any]]:
    """Open outputs, report and progress of a job; outputs appear at the end, and none after an error."""
    job.check()
    is_new = job.in_folder and not os.path.isdir(job.to)
    if is_new:
        os.makedirs(job.to)
    report, begin = JobReport(job.name), time.monotonic()
    outputs = _Outputs(job, report)
    try:
        with job.progress.phase(job.name, len(job.found.inputs), "files") as phase:
            yield outputs, report, phase
        outputs.close()
    except BaseException:
        outputs.abort()
        if is_new:
            os.rmdir(job.to)
        raise
    report.seconds = time.monotonic() - begin


def _measured(
    job: Job, steps: Sequence[StageStep], originals: bool, phase: Any
) -> Iterator[tuple[JobInput, Batch, Measured]]:
    """Measure all inputs, batch by batch."""
    items: list[JobInput] = []

    def batches() -> Iterator[Batch]:
        for item, batch in job.batches(originals, phase):
            items.append(item)
            yield batch

    for number, (batch, measured) in enumerate(measure_batches(steps, batches(), job.n_workers)):
        yield items[number], batch, measured


def _sound(batch: Batch, measured: Measured) -> np.ndarray:
    """The documents on which no stage raised, by number: int64."""
    return np.array([row for row in range(batch.documents.num_rows) if row not in measured.failed], np.int64)


def filter_files(job: Job, judge: Judge) -> JobReport:
    """Write the records of kept documents, and beside them the dropped ones with rule and reason.

    Raises: UsageError if the output cannot be written as the input is.
    """
    with _opened(job) as (outputs, report, phase):
        for item, batch, measured in _measured(job, judge.steps, True, phase):
            outputs.quarantine(item, batch, dict(measured.failed))
            sound = _sound(batch, measured)
            documents = batch.documents.take(pa.array(sound))
            columns = measured.columns.take(pa.array(sound))
            failing, _ = judge.failing(documents, columns)
            table = judge.columns(documents, columns)
            dropped = np.flatnonzero(failing >= 0)
            names = [judge.rules[failing[row]].name for row in dropped]
            reasons = judge.reasons(failing, table)
            records = batch.index[sound]
            outputs.add("kept", item, batch, records[failing < 0])
            why = pa.table({RULE: names, REASON: reasons}, schema=DROPPED)
            outputs.add("dropped", item, batch, records[dropped], why, schema=DROPPED)
            report.documents += len(sound)
            report.kept += len(sound) - len(dropped)
            report.rules.update(names)
    return report


def dedup_files(job: Job, settings: DedupSettings) -> JobReport:
    """Write the records of the documents that are kept, and beside them a table of the removed ones with their keepers.

    The input is read twice: for signatures, and for the copy, which parses no texts.
    """
    with _opened(job) as (outputs, report, phase), Signed(settings) as signed:
        parts, tables = list[_Part](), list[pa.Table]()
        for item, batch, measured in _measured(job, signed.steps, False, phase):
            outputs.quarantine(item, batch, dict(measured.failed))
            signed.add(batch, measured)
            labels = pa.array([item.label] * len(batch.index)).dictionary_encode()
            tables.append(batch.documents.select(["input_row", "source_id"]).append_column("input", labels))
            parts.append(_Part(item, batch.extent, batch.index, _sound(batch, measured)))
        facts = signed.facts()
        kept, start = facts["kept"].to_numpy(), 0
        for part, batch in _copied(parts):
            keeps = kept[start : start + len(part.index)][part.sound]
            outputs.add("kept", part.item, batch, part.index[part.sound[keeps]])
            report.documents += len(part.sound)
            report.kept += int(keeps.sum())
            start += len(part.index)
        removed = _duplicates(facts, pa.concat_tables(tables))
        report.rules.update(removed["kind"].to_pylist())
        path = job.path_of("duplicates", job.found.inputs[0])
        if path:
            with TableFile(path) as file:
                file.add(removed)
            report.outputs["duplicates"] = path
    return report


@dataclass(frozen=True)
class _Part:
    """What is needed to copy records of a batch. index: of Batch; sound: documents on which no stage raised."""

    item: JobInput
    extent: Extent
    index: np.ndarray
    sound: np.ndarray


def _copied(parts: Sequence[_Part]) -> Iterator[tuple[_Part, Batch]]:
    """The batches once more, without documents."""
    for _, group in groupby(parts, key=lambda part: id(part.item)):
        same = list(group)
        yield from zip(same, read_again(same[0].item, [part.extent for part in same]), strict=True)


def _duplicates(facts: pa.Table, documents: pa.Table) -> pa.Table:
    """The table of removed documents: DUPLICATES. documents: input, input_row and source_id of all, (n_docs,)."""
    removed = pa.array(np.flatnonzero(~facts["kept"].to_numpy()))
    keepers = facts["keeper"].take(removed).combine_chunks()
    sides = [
        documents.select(["input", "input_row", "source_id"]).take(rows).columns
        for rows in (removed, keepers)
    ]
    columns = [
        *sides[0],
        *sides[1],
        *(facts[name].take(removed) for name in ("kind", "similarity", "cluster_size")),
    ]
    return pa.table([c.cast(f.type) for c, f in zip(columns, DUPLICATES, strict=True)], schema=DUPLICATES)


def label_files(job: Job, steps: Sequence[StageStep], names: Sequence[str]) -> JobReport:
    """Write all records with columns of stages added.

    Args: names, the columns, such as `language.label`.
    """
    with _opened(job) as (outputs, report, phase):
        for item, batch, measured in _measured(job, steps, True, phase):
            outputs.quarantine(item, batch, dict(measured.failed))
            sound = _sound(batch, measured)
            columns = measured.columns.select(names).take(pa.array(sound))
            outputs.add("kept", item, batch, batch.index[sound], columns, schema=columns.schema)
            report.documents += len(sound)
            report.kinds.update(value for value in columns[names[0]].to_pylist() if isinstance(value, str))
    report.kept = report.documents
    return report


def mask_files(job: Job, steps: Sequence[StageStep], column: str, kinds: Sequence[str] = ()) -> JobReport:
    """Write all records, with spans of their texts replaced.

    A text without any is copied as it is; the others are the canonical text, with \\n as line break.

    Args: column, of spans; kinds, those that are replaced, all if empty.
    """
    with _opened(job) as (outputs, report, phase):
        for item, batch, measured in _measured(job, steps, True, phase):
            outputs.quarantine(item, batch, dict(measured.failed))
            sound = _sound(batch, measured)
            spans = measured.columns[column].take(pa.array(sound)).to_pylist()
            texts = batch.documents["text"].take(pa.array(sound)).to_pylist()
            masked = [
                masked_text(text, row, kinds, report.kinds) for text, row in zip(texts, spans, strict=True)
            ]
            outputs.add("kept", item, batch, batch.index[sound], None, masked)
            report.documents += len(sound)
    report.kept = report.documents
    return report


def masked_text(
    text: str, spans: Iterable[dict[str, Any]], kinds: Sequence[str], counts: Counter[str]
) -> str | None:
    """Return a text with its spans replaced, None if there are none; counts the kinds."""
    chosen = [(s["start"], s["end"], s["kind"]) for s in spans or () if not kinds or s["kind"] in kinds]
    counts.update(kind for _, _, kind in chosen)
    return apply_spans(text, chosen, MASKS) if chosen else None


def score_files(job: Job, steps: Sequence[StageStep], write: Callable[[pa.Table], object]) -> JobReport:
    """Measure all documents; `write` receives tables of SCORED and the columns of the stages, one row a record.

    It returns False if it wants no more.
    """
    report, begin = JobReport(job.name), time.monotonic()
    with job.progress.phase(job.name, len(job.found.inputs), "files") as phase:
        for item, batch, measured in _measured(job, steps, False, phase):
            report.documents += batch.documents.num_rows - len(measured.failed)
            broken = Counter(batch.quarantined["reason"].to_pylist())
            report.quarantined += broken + Counter({STAGE_FAILED: len(measured.failed)})
            if write(scores_of(item.label, batch, measured)) is False:
                break
    report.quarantined = +report.quarantined
    report.kept, report.seconds = report.documents, time.monotonic() - begin
    return report


def scores_of(label: str, batch: Batch, measured: Measured) -> pa.Table:
    """Scores of a batch, one row for each record, broken ones included."""
    n_records = len(batch.records)
    position = np.full(n_records, -1)
    position[batch.index] = np.arange(len(batch.index))
    errors: list[str | None] = [None] * n_records
    broken = {row["input_row"]: f"{row['reason']}: {row['detail']}" for row in batch.quarantined.to_pylist()}
    for i, record in enumerate(batch.records):
        if position[i] < 0:
            errors[i] = broken.get(record.position)
    for document, error in measured.failed.items():
        errors[batch.index[document]] = error
    head = [
        pa.repeat(label, n_records),
        pa.array([r.position for r in batch.records], pa.int64()),
        pa.array(errors),
    ]
    taken = measured.columns.take(pa.array(position, mask=position < 0))
    names = [*SCORED.names, *taken.column_names]
    columns = [h.cast(f.type) for h, f in zip(head, SCORED, strict=True)] + list(taken.columns)
    return pa.table(columns, names=names)
