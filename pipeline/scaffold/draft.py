"""The command `init`: writes a short run file with the sources found in the input files and the recommended set.

`use: recommended` stands for what is measured, compared and dropped; `expand` writes it out instead. Steps are named by
dotted name, as in any run file. The run file depends on the input files only, not on the time or the machine.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any

import yaml

from pipeline.config.run_file import Ingest
from pipeline.config.run_sets import run_sets
from pipeline.config.spelling import flow
from pipeline.errors import ConfigError, InputError
from pipeline.rules.presets import expand_presets
from pipeline.scaffold.find_files import Unread, find_files
from pipeline.scaffold.infer import CHINESE, LATIN
from pipeline.scaffold.proposal import Proposal, propose, relative
from pipeline.scaffold.survey import survey_files
from pipeline.translation import message, t

MAX_LISTED = 20
"""Largest number of paths without a source that the run file lists; the command prints all of them."""

LEAST_SHARE = 0.01
"""Share of the documents that each of two languages must exceed for a proposed mix of them."""

OTHER_TEXT_SHARE = 0.3
"""Characters of a field per character of the text field, from which a comment mentions the field."""

SET = "recommended"
PROFILES = "stages.languages"
LANGUAGES = ("zho", "eng")

KINDS = {
    "jsonl": message("JSON Lines"),
    "csv": message("delimited rows"),
    "parquet": "Parquet",
    "arrow": "Arrow",
    "members": message("archives"),
    "chat": message("conversations"),
    "pdf": message("PDF files"),
    "html": message("HTML pages"),
    "textfile": message("text files"),
    "wet": "WET",
    "warc": "WARC",
    "dolma": "Dolma",
}
"""Reader -> what its files are, in a message."""


@dataclass(frozen=True)
class RunFileDraft:
    """A run file that was written, its sources, and the paths that are in none of them."""

    path: str
    sources: tuple[Proposal, ...]
    unread: tuple[Unread, ...]
    text: str = ""

    def notes(self) -> list[str]:
        """Return one line for each source and for each path without one."""
        sources = [
            f"{source.name}: {t(describe_source(source))}{t('; ')}{describe_columns(source)}"
            for source in self.sources
        ]
        return [
            *sources,
            *(t(f"not used: {printable(u.path)}: {printable(t(u.reason))}") for u in self.unread),
        ]

    def plain(self) -> dict[str, Any]:
        """Return path, sources and unused paths as plain data."""
        sources = [
            {
                "name": source.name, "reader": source.reader_name, "files": source.patterns,
                "config": dict(source.config), "columns": source.columns(), "n_files": len(source.samples),
                "n_bytes": source.n_bytes, "n_docs": source.n_docs, "text_bytes": source.text_bytes,
                "languages": dict(source.languages()),
            }
            for source in self.sources
        ]  # fmt: skip
        return {"path": self.path, "sources": sources, "not_used": [asdict(item) for item in self.unread]}


def write_draft(
    paths: Sequence[str],
    out_path: str,
    force: bool = False,
    follow_links: bool = False,
    expand: bool = False,
    is_dry: bool = False,
) -> RunFileDraft:
    """Inspect files and folders and write a run file that reads them.

    Args: paths, files, folders, globs or URLs; follow_links, read links to files outside the named folders; expand,
    write the recommended set out instead of its name; is_dry, write nothing.
    Raises: ConfigError if the run file exists and `force` is off, or cannot be written; InputError if a path
    does not exist or no file can be read.
    """
    if not is_dry and (os.path.isdir(out_path) or (os.path.exists(out_path) and not force)):
        raise ConfigError(f"{out_path}: exists; name another file with --out, or replace it with --force")
    target = os.path.abspath(out_path)
    listings = [find_files(path, target, follow_links) for path in paths]
    files = sorted(
        {file.path: file for listed, _ in listings for file in listed}.values(), key=lambda f: f.path
    )
    samples, rejected = survey_files(files)
    unread = [*(item for _, items in listings for item in items), *rejected]
    if not samples:
        reasons = "; ".join(f"{printable(item.path)}: {printable(item.reason)}" for item in unread[:3])
        raise InputError(
            f"{', '.join(paths)}: no file that can be read ({reasons or 'there are no files'}); expected JSON, "
            "CSV, Parquet or Arrow with a field of text, WARC, WET, HTML, PDF, Markdown or text, zip or tar of these"
        )
    draft = RunFileDraft(out_path, propose(samples, os.path.dirname(target)), tuple(unread))
    text = render_run_file(draft, _corpus_name(paths[0]), expand)
    if not is_dry:
        _write(target, text)
    return replace(draft, text=text)


def _write(path: str, text: str) -> None:
    try:
        with open(f"{path}.part", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.part", path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written with --out") from error


def _corpus_name(path: str) -> str:
    base = os.path.basename(os.path.abspath(path)).split(".")[0]
    return re.sub(r"[^\w-]+", "_", base).strip("_") or "corpus"


def describe_source(source: Proposal) -> str:
    """Return one line about a source: files, format, size on disk, estimated documents, text and languages."""
    shares = [f"{name} {_percent(n, source.n_docs)}" for name, n in source.languages().most_common()]
    kind = KINDS.get(source.reader_name.rpartition(".")[2], source.reader_name)
    detected = sorted({sample.detected for sample in source.samples if sample.detected})
    if detected:
        kind += f" ({'; '.join(detected[:3])})"
    return message(
        f"{_files(len(source.samples))}, {_size(source.n_bytes)} of {kind}: about "
        f"{_documents(source.n_docs)}, {_size(source.text_bytes)} of text ({', '.join(shares)})"
    )


SHARES = (
    message(f"Chinese {1}"), message(f"Latin script {1}"), message(f"Japanese {1}"), message(f"Korean {1}"),
    message(f"other {1}"),
)  # fmt: skip
"""Forms of the share of a language, for translations."""


def describe_columns(source: Proposal) -> str:
    """Return what a source takes as text, id, address and so on, as `text = content, id = doc_id`."""
    shown = {"source_id": "id"}
    return ", ".join(f"{shown.get(column, column)} = {field}" for column, field in source.columns().items())


def render_run_file(draft: RunFileDraft, corpus: str, expand: bool = False) -> str:
    """Return the text of the run file; corpus: name of the corpus and the release."""
    labels = {profile: yaml.safe_load(_read(f"{profile}.yaml"))["labels"] for profile in LANGUAGES}
    run_folder, name = os.path.split(os.path.abspath(draft.path))
    quoted = printable(shlex.quote(name))
    lines = [
        "# Written by `bicorpus init`; numbers are estimated from the start of each file.",
        f"#   bicorpus check {quoted} # reads one record of each source",
        f"#   bicorpus run {quoted} --store ./store",
        f"corpus: {flow(corpus)}",
        *([] if expand else [f"use: {SET} # what is measured, compared and dropped: bicorpus rules {SET}"]),
        "",
        "sources: # more keys: license, provenance: for records without; rank: of duplicates, the smallest is kept",
        *(line for source in draft.sources for line in _source_lines(source)),
        *_unread_lines(draft.unread, run_folder),
        "",
        f"ingest: {{max_quarantined_share: {Ingest.max_quarantined_share}}} # per source; above it, a run fails",
        "",
        *(_set_lines(corpus) if expand else _added_lines()),
        *_mix_lines(draft.sources, labels, expand),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _added_lines() -> Iterable[str]:
    """Yield remarks on what a run file adds to the set."""
    yield f"# What is written here is added to the set {SET}, or replaces its entry of the same name:"
    yield "# annotate: [stages.pii]"
    yield "# select:"
    yield "#   - {preset: recommended, except: [eng_short_lines]}"
    yield "#   - {name: too_short, signals.n_chars: {min: 200}} # a rule of your own: documents below are dropped"
    yield ""


def _set_lines(corpus: str) -> Iterable[str]:
    """Yield the sections of the set, each rule of its presets on a line of its own."""
    text = run_sets()[SET].partition("annotate:")
    body = text[1] + text[2]
    named = next(line for line in body.splitlines() if "{preset: recommended}" in line)
    rules = [f"  - {flow(rule)}" for rule in expand_presets([{"preset": "recommended"}], "init")]
    release = f"release: {{name: {flow(corpus)}, "
    yield from body.replace(named, "\n".join(rules)).replace("release: {", release).rstrip().splitlines()
    yield ""


def _source_lines(source: Proposal) -> Iterable[str]:
    yield f"  - name: {flow(source.name)} # {describe_source(source)}"
    yield f"    reader: {source.reader_name}"
    yield f"    files: {flow(source.patterns[0] if len(source.patterns) == 1 else list(source.patterns))}"
    if source.follow_links:
        yield "    follow_links: true # some files are links to other folders"
    if license := source.license():
        yield f"    license: {flow(license)} # as README.md states it"
    if source.config:
        yield f"    config: {flow(dict(source.config))}"
    columns, fields = source.columns(), source.fields()
    if not source.is_plain():
        yield f"    columns: {flow(columns)}"
    if scores := [name for name in columns if "." in name]:
        yield f"    # existing scores, for rules: {printable(', '.join(scores))}"
    rest = sorted(set(fields) - set(columns.values()))
    if rest:
        yield f"    # kept as meta: {printable(', '.join(rest))}"
    least = OTHER_TEXT_SHARE * fields[source.text_field].text_chars
    if long := [name for name in rest if fields[name].text_chars >= least]:
        yield f"    # also long: {printable(', '.join(long))}; columns.text sets the text field"
    broken = sum((sample.broken for sample in source.samples), Counter[str]())
    if broken:
        n_read = sum(sample.n_read for sample in source.samples)
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(broken.items()))
        too_many = broken.total() > Ingest.max_quarantined_share * n_read
        comment = f"{broken.total():,} of the first {n_read:,} records are broken ({reasons})"
        yield f"    # {comment}{': more than ingest allows' if too_many else ''}"


def _unread_lines(unread: Sequence[Unread], run_folder: str) -> Iterable[str]:
    if unread:
        yield "  # Not used:"
    for item in unread[:MAX_LISTED]:
        yield f"  #   {printable(relative(item.path, run_folder))}: {printable(item.reason)}"
    if len(unread) > MAX_LISTED:
        yield f"  #   and {len(unread) - MAX_LISTED:,} more"


def _mix_lines(sources: Sequence[Proposal], labels: dict[str, list[str]], expand: bool) -> Iterable[str]:
    """Yield the natural mix and, if there is text in both languages, a commented-out ratio."""
    languages = sum((source.languages() for source in sources), Counter[str]())
    has_both = min(languages[CHINESE], languages[LATIN]) > LEAST_SHARE * languages.total()
    if not has_both and not expand:
        return
    yield "mix: # the kept documents of a training order, and how often each is repeated"
    yield "  default: natural"
    yield "  mixes:"
    yield "    natural: {seed: 0} # every kept document once"
    if not has_both:
        return
    yield "    # half Chinese and half English, by tokens; with `default: zh50` the ledger counts its copies:"
    yield "    # zh50:"
    yield "    #   by: language.label"
    yield f"    #   groups: {{zh: {flow(labels['zho'])}, en: {flow(labels['eng'])}}}"
    yield "    #   share: {zh: 0.5, en: 0.5}"
    yield "    #   max_epochs: 1"


def _read(name: str) -> str:
    return resources.files(PROFILES).joinpath(name).read_text(encoding="utf-8")


def printable(text: str) -> str:
    """Return text for one line of a comment, with control characters and bytes that are not UTF-8 escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _files(n: int) -> str:
    return message("1 file") if n == 1 else message(f"{n:,} files")


def _documents(n: int) -> str:
    return message("1 document") if n == 1 else message(f"{n:,} documents")


def _size(n_bytes: int) -> str:
    power = next((power for power in range(4) if n_bytes < 999.5 * 1000**power), 4)
    return f"{n_bytes / 1000**power:.3g} {('B', 'KB', 'MB', 'GB', 'TB')[power]}"


def _percent(n: int, total: int) -> str:
    return message("under 1 %") if 100 * n < total else f"{100 * n / max(total, 1):.0f} %"
