"""A run file to start from: what the input files hold as sources and comments, and defaults for everything else.

Steps are named by dotted name, as in any run file; thresholds are those of the language profiles, read as data.
The page does not depend on time or machine: the same files give the same page.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from pipeline.errors import ConfigError, InputError
from pipeline.guess import CHINESE, LATIN, Field, choose_columns
from pipeline.recipe import load_step
from pipeline.run_file import Ingest
from pipeline.sniff import Sample, Unread, find_files, sniff
from pipeline.store import list_inputs

MAX_SOURCES = 16
"""More sources than this become fewer: files of all folders below a named one are then one source, by fields."""

MAX_LISTED = 20
"""Paths without a source that the page lists; the command prints all of them."""

LEAST_SHARE = 0.01
"""Share of the documents from which a language is worth a mix."""

OTHER_TEXT_SHARE = 0.3
"""A field with this much text for each character of the text field is worth a remark."""

PROFILES = "stages.languages"
LANGUAGES = ("zho", "eng")
GENERIC = "und"
MIXED = "mul"


@dataclass(frozen=True)
class Group:
    """Files that make one source. patterns: paths and globs that name exactly these files."""

    name: str
    samples: tuple[Sample, ...]
    patterns: tuple[str, ...]

    @property
    def n_docs(self) -> int:
        """Documents, estimated."""
        return sum(sample.n_docs for sample in self.samples)

    def languages(self) -> Counter[str]:
        """Guessed language -> documents, estimated."""
        found: Counter[str] = Counter()
        for sample in self.samples:
            found.update({name: round(share * sample.n_docs) for name, share in sample.languages.items()})
        return +found

    def fields(self) -> dict[str, Field]:
        """Counts of every field over all files."""
        found: dict[str, Field] = {}
        for sample in self.samples:
            for name, counts in sample.fields.items():
                found[name] = found[name] + counts if name in found else counts
        return found

    def columns(self) -> dict[str, str]:
        """Canonical column -> field, as far as there is one."""
        first = self.samples[0]
        known = load_step(first.reader_name, "READER", "init").fields
        return choose_columns(self.fields(), first.text_field, known)

    def is_plain(self) -> bool:
        """Whether the reader finds all of these columns by itself, under their own names."""
        known = load_step(self.samples[0].reader_name, "READER", "init").fields
        return all(name == column and name in known.get(column, ()) for column, name in self.columns().items())


@dataclass(frozen=True)
class Draft:
    """A run file that was written, what its sources hold, and the paths that are in none of them."""

    path: str
    groups: tuple[Group, ...]
    unread: tuple[Unread, ...]

    def notes(self) -> list[str]:
        """One line for each source, and for each path without one."""
        found = [f"{group.name}: {describe(group)}" for group in self.groups]
        return [*found, *(f"not used: {_printable(u.path)}: {_printable(u.reason)}" for u in self.unread)]

    def plain(self) -> dict[str, Any]:
        """The same as plain data."""
        sources = [
            {
                "name": group.name, "reader": group.samples[0].reader_name, "n_files": len(group.samples),
                "n_bytes": sum(sample.file.size for sample in group.samples), "text_field": group.samples[0].text_field,
                "n_docs": group.n_docs, "text_bytes": sum(sample.text_bytes for sample in group.samples),
                "languages": dict(sorted(group.languages().items())),
            }
            for group in self.groups
        ]  # fmt: skip
        return {"path": self.path, "sources": sources, "not_used": [vars(unread) for unread in self.unread]}


def write_draft(paths: Sequence[str], out_path: str, force: bool = False) -> Draft:
    """Look at files and folders and write a run file that reads them.

    Raises: ConfigError if the run file exists and `force` is off, or cannot be written; InputError if a path
    does not exist or no file can be read.
    """
    if os.path.isdir(out_path) or (os.path.exists(out_path) and not force):
        raise ConfigError(f"{out_path}: exists; name another file with --out, or replace it with --force")
    out_path = os.path.abspath(out_path)
    found, unread = [], []
    for path in paths:
        some, others = find_files(path, out_path)
        found += some
        unread += others
    files = sorted({file.path: file for file in reversed(found)}.values(), key=lambda file: file.path)
    sniffed = [sniff(file, len(files)) for file in files]
    unread += [item for item in sniffed if isinstance(item, Unread)]
    samples = [item for item in sniffed if isinstance(item, Sample)]
    if not samples:
        why = (
            "; ".join(f"{_printable(u.path)}: {_printable(u.reason)}" for u in unread[:3]) or "no files there"
        )
        raise InputError(
            f"{', '.join(paths)}: no file that can be read ({why}); expected JSON Lines, WET (plain or compressed) "
            "or Parquet, with a field of text"
        )
    draft = Draft(out_path, _group_files(samples, os.path.dirname(out_path)), tuple(unread))
    _write(out_path, render(draft, _corpus_name(paths[0])))
    return draft


def _write(path: str, text: str) -> None:
    partial = f"{path}.part"
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written with --out") from error


# Sources


def _group_files(samples: list[Sample], run_folder: str) -> tuple[Group, ...]:
    """One source for each folder, reader and kind of record, or for each named folder if those are too many."""
    groups = _similar(samples, lambda sample: sample.file.folder)
    patterns = [_patterns(group, run_folder) for group in groups]
    if len(groups) > MAX_SOURCES:
        larger = _similar(samples, lambda sample: sample.file.root or sample.file.folder)
        globs = [_patterns(group, run_folder) for group in larger]
        if all(
            len(found) == 1 or len({s.file.folder for s in g}) == 1
            for g, found in zip(larger, globs, strict=True)
        ):
            groups, patterns = larger, globs
    folders = Counter(_common_folder(group) for group in groups)
    named: dict[str, Group] = {}
    for group, found in zip(groups, patterns, strict=True):
        base = _source_name(group, alone=folders[_common_folder(group)] == 1)
        name = next(n for n in (base, *(f"{base}_{i}" for i in range(2, len(groups) + 2))) if n not in named)
        named[name] = Group(name, tuple(group), tuple(_from_folder(path, run_folder) for path in found))
    return tuple(named.values())


def _similar(samples: list[Sample], folder_of: Callable[[Sample], str]) -> list[list[Sample]]:
    """Put together what has the same folder, reader and text field, and at least half of its fields in common."""
    groups: list[tuple[tuple[str, ...], set[str], list[Sample]]] = []
    for sample in samples:
        key, names = (folder_of(sample), sample.reader_name, sample.text_field), set(sample.fields)
        for other, known, members in groups:
            if key == other and 2 * len(names & known) >= len(names | known):
                known |= names
                members.append(sample)
                break
        else:
            groups.append((key, names, [sample]))
    return [members for _, _, members in groups]


def _patterns(group: list[Sample], run_folder: str) -> list[str]:
    """Name a group's files by one glob if one names them and nothing else, else one by one."""
    paths = {sample.file.path for sample in group}
    folder, names = _common_folder(group), [os.path.basename(path) for path in sorted(paths)]
    if len(paths) == 1 or glob.has_magic(os.path.realpath(run_folder) + folder):
        return sorted(paths)
    shared = os.path.commonprefix([name[::-1] for name in names])[::-1]
    suffix = shared[shared.index(".") :] if "." in shared else ""
    start = os.path.commonprefix([name.removesuffix(suffix) for name in names]).rstrip("0123456789")
    below = "" if all(os.path.dirname(path) == folder for path in paths) else "**/"
    for pattern in (f"*{suffix}", f"{start}*{suffix}"):
        if glob.has_magic(start + suffix):
            break
        if {file.path for file in list_inputs(f"{folder}/{below}{pattern}")} == paths:
            return [f"{folder}/{below}{pattern}"]
    return sorted(paths)


def _common_folder(group: list[Sample]) -> str:
    folders = {sample.file.folder for sample in group}
    return folders.pop() if len(folders) == 1 else str(group[0].file.root)


def _from_folder(path: str, run_folder: str) -> str:
    """Path as a run file in this folder names it: relative when it lies below."""
    relative = path.removeprefix(run_folder.rstrip("/") + "/")
    return f"./{relative}" if relative.startswith("~") else relative


def _source_name(group: list[Sample], alone: bool) -> str:
    """Name a source after its folder when it is all of that, else after what the names of its files share."""
    folder = _common_folder(group)
    names = [os.path.basename(sample.file.path).split(".")[0] for sample in group]
    stem = _without_number(os.path.commonprefix(names))
    asked_by_name = len(group) == 1 and group[0].file.root is None
    first = os.path.basename(folder) if alone and not asked_by_name else stem
    for name in (first, stem, os.path.basename(folder), group[0].reader_name.rpartition(".")[2]):
        if word := re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_"):
            return word
    raise AssertionError("a reader's module has a name")


def _without_number(name: str) -> str:
    """Cut a part number and what joins it to the name."""
    return re.sub(r"[-_.0-9]+$", "", name)


def _corpus_name(path: str) -> str:
    base = os.path.basename(os.path.abspath(path)).split(".")[0]
    return re.sub(r"[^\w-]+", "_", base).strip("_") or "corpus"


# The page


def describe(group: Group) -> str:
    """Say what a source holds, in one line."""
    n_bytes, text_bytes = sum(s.file.size for s in group.samples), sum(s.text_bytes for s in group.samples)
    shares = ", ".join(f"{name} {_share(n, group.n_docs)}" for name, n in group.languages().most_common())
    files = "1 file" if len(group.samples) == 1 else f"{len(group.samples):,} files"
    return (
        f"{files}, {_size(n_bytes)}: about {group.n_docs:,} documents, {_size(text_bytes)} of text ({shares})"
    )


def render(draft: Draft, corpus: str) -> str:
    """Write the page."""
    name = shlex.quote(os.path.basename(draft.path))
    labels = {profile: yaml.safe_load(_read(f"{profile}.yaml"))["labels"] for profile in LANGUAGES}
    known = [label for profile in LANGUAGES for label in labels[profile]]
    lines = [
        "# A run file to start from, by `bicorpus init`; figures are estimates from the start of each file. Build it:",
        f"#   bicorpus run {_printable(name)} --store ./store",
        f"corpus: {_flow(corpus)}",
        "",
        "sources: # also: license, provenance (of records that name none); rank (smaller stays when copies meet)",
        *(line for group in draft.groups for line in _source_lines(group)),
        *_unread_lines(draft.unread, os.path.dirname(draft.path)),
        "",
        f"ingest: {{max_quarantined_share: {Ingest.max_quarantined_share}}} # of a source's records; more stops a run",
        DEFAULT_STEPS,
        "select: # the first failing rule is the reason; edit any line and run again: no text is read",
        f"  - {{name: language, language.label: {_flow([*known, MIXED])}, base: true}}",
        *(line for profile in LANGUAGES for line in _rule_lines(profile, labels[profile])),
        *_rule_lines(GENERIC, {"not_in": known}),
        "  - {name: same_source_id, repeats.n_same: {max: 1}, if_null: keep, action: flag}",
        "",
        "keep_one: {of: dedup, prefer: [{rank: low}, {signals.n_chars: high}]} # of documents that are nearly the same",
        "",
        *_mix_lines(draft.groups, labels),
        "",
        f"release: {{name: {_flow(corpus)}, edits: {{boilerplate: all}}}} # edits: spans that are cut out of the text",
    ]
    return "\n".join(lines) + "\n"


DEFAULT_STEPS = """
annotate: # each document on its own; all of these share one read of the text
  - classifiers.language
  - stages.signals
  - stages.boilerplate
  - stages.exact
  - stages.minhash
  - {use: stages.tokens, view: release} # counts the text as it will be released

global: # across documents
  - stages.repeats
  - stages.candidates
  - stages.dedup
"""


def _source_lines(group: Group) -> Iterable[str]:
    yield f"  - name: {_flow(group.name)} # {describe(group)}"
    yield f"    reader: {group.samples[0].reader_name}"
    files = group.patterns[0] if len(group.patterns) == 1 else list(group.patterns)
    yield f"    files: {_flow(files)}"
    columns, fields, text_field = group.columns(), group.fields(), group.samples[0].text_field
    if not group.is_plain():
        yield f"    columns: {_flow(columns)}"
    if rest := sorted(set(fields) - set(columns.values())):
        yield f"    # fields kept as meta: {_printable(', '.join(rest))}"
    chars = fields[text_field].text_chars
    if long := [n for n in rest if fields[n].text_chars >= OTHER_TEXT_SHARE * chars]:
        yield f"    # also long: {_printable(', '.join(long))}; columns.text says which field is the text"
    broken = sum((sample.broken for sample in group.samples), Counter[str]())
    if n_broken := broken.total():
        n_sampled = sum(sample.n_sampled for sample in group.samples)
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(broken.items()))
        stops = ": more than ingest allows" if n_broken > Ingest.max_quarantined_share * n_sampled else ""
        yield f"    # {n_broken:,} of {n_sampled:,} sampled records are broken ({reasons}){stops}"


def _unread_lines(unread: Sequence[Unread], run_folder: str) -> Iterable[str]:
    if unread:
        yield "  # Not used:"
    for item in unread[:MAX_LISTED]:
        yield f"  #   {_printable(_from_folder(item.path, run_folder))}: {_printable(item.reason)}"
    if len(unread) > MAX_LISTED:
        yield f"  #   and {len(unread) - MAX_LISTED:,} more"


def _rule_lines(profile: str, labels: list[str] | dict[str, list[str]]) -> Iterable[str]:
    """Default rules of a profile for documents that pass this test of the label, with the remarks they have there."""
    text = _read(f"{profile}.rules.yaml")
    title = _read(f"{profile}.yaml").partition("\n")[0].lstrip("# ").partition(". ")[0].rstrip(".")
    yield f"  # {title}: {PROFILES.replace('.', '/')}/{profile}.rules.yaml"
    where = f"&{profile} {{language.label: {_flow(labels)}}}"
    for rule in yaml.safe_load(text)["rules"]:
        remark = re.search(rf"\{{name: {re.escape(rule['name'])},.*\}}( #.*)$", text, re.MULTILINE)
        rest = _flow({key: value for key, value in rule.items() if key != "name"})[1:-1]
        yield f"  - {{name: {profile}_{rule['name']}, where: {where}, {rest}}}{remark[1] if remark else ''}"
        where = f"*{profile}"


def _mix_lines(groups: Sequence[Group], labels: dict[str, list[str]]) -> Iterable[str]:
    """Every kept document once; and a ratio to switch on, if there is text in both languages."""
    yield "mix: # which kept documents a training order holds, and how often"
    yield "  default: natural"
    yield "  mixes:"
    yield "    natural: {seed: 0} # every kept document once"
    languages = sum((group.languages() for group in groups), Counter[str]())
    if any(
        languages[name] < LEAST_SHARE * languages.total() or not languages[name] for name in (CHINESE, LATIN)
    ):
        return
    yield "    # half Chinese, half English by tokens; `default: zh50` lets the ledger count its copies:"
    yield "    # zh50:"
    yield "    #   by: language.label"
    yield f"    #   groups: {{zh: {_flow(labels['zho'])}, en: {_flow(labels['eng'])}}}"
    yield "    #   share: {zh: 0.5, en: 0.5}"
    yield "    #   max_epochs: 1"


def _read(name: str) -> str:
    return resources.files(PROFILES).joinpath(name).read_text(encoding="utf-8")


def _flow(value: Any) -> str:  # Any: plain data
    """Write plain data as YAML on one line, quoted so that it can stand inside brackets."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, sort_keys=False, width=1 << 30
    )
    return text.strip()[1:-1]


def _printable(text: str) -> str:
    """Text of one line for a comment: control characters and bytes that are not UTF-8 are shown escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _size(n_bytes: int) -> str:
    size = float(n_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 999.5:
            break
        size /= 1000
    else:
        unit = "TB"
    return f"{size:.3g} {unit}"


def _share(n: int, total: int) -> str:
    percent = 100 * n / max(total, 1)
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"
