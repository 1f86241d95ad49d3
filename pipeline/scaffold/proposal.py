"""Groups files into sources and determines the globs and the name of each source."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.recipe import load_step
from pipeline.scaffold.foreign_layouts import score_columns, stated_license
from pipeline.scaffold.infer import Field, choose_columns
from pipeline.scaffold.sniff import WARC, WHOLE, Sample
from pipeline.storage.store import list_inputs

ENDING = re.compile(r"(\.\w+)?(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)
"""The ending of a file name: extension and compression."""

MAX_SOURCES = 16
"""With more sources than this, folders below a named one are merged if their records are similar."""


@dataclass(frozen=True)
class Proposal:
    """The files of one source. patterns: paths and globs that match exactly these files, as in the run file."""

    name: str
    samples: tuple[Sample, ...]
    patterns: tuple[str, ...]

    @property
    def reader_name(self) -> str:
        """Module of the reader, the same for all files."""
        return self.samples[0].reader_name

    @property
    def config(self) -> Mapping[str, Any]:  # Any: the reader's settings
        """Settings of the reader, the same for all files."""
        return self.samples[0].config

    @property
    def follow_links(self) -> bool:
        """Whether some files are links that lead out of the named folder."""
        return any(sample.file.leads_out for sample in self.samples)

    @property
    def text_field(self) -> str:
        """The text field, the same for all files."""
        return self.samples[0].text_field

    @property
    def n_bytes(self) -> int:
        """Size of the files on disk (compressed)."""
        return sum(sample.file.size for sample in self.samples)

    @property
    def n_docs(self) -> int:
        """Estimated number of documents."""
        return sum(sample.n_docs for sample in self.samples)

    @property
    def text_bytes(self) -> int:
        """Estimated bytes of text."""
        return sum(sample.text_bytes for sample in self.samples)

    def languages(self) -> Counter[str]:
        """Return guessed language -> estimated number of documents."""
        counts: Counter[str] = Counter()
        for sample in self.samples:
            counts.update({name: round(share * sample.n_docs) for name, share in sample.languages.items()})
        return +counts

    def fields(self) -> dict[str, Field]:
        """Return the counts of every field over all files."""
        totals: dict[str, Field] = {}
        for sample in self.samples:
            for name, field in sample.fields.items():
                totals[name] = totals.get(name, Field()) + field
        return totals

    def columns(self) -> dict[str, str]:
        """Return canonical column -> field, for columns that have one, and columns for existing scores.

        Metadata of web pages are unverified claims: for pages, only field names that the reader defines are used, and
        none is inferred from its values.
        """
        fields, known = self.fields(), self._known()
        if self.reader_name in (*WHOLE, WARC):
            defined = {name for names in known.values() for name in names}
            fields = {name: field for name, field in fields.items() if name in defined and field.n_values}
        columns = choose_columns(fields, self.text_field, known)
        return columns | score_columns(self.reader_name, fields)

    def license(self) -> str | None:
        """Return the licence that the cards beside the files state, if it is one and no field has licences."""
        stated = {stated_license(sample.file) for sample in self.samples if "://" not in sample.file.path}
        found = stated.pop() if len(stated) == 1 else None
        return None if "license" in self.columns() else found

    def is_plain(self) -> bool:
        """Return whether the reader finds all these columns by default, under their own names."""
        known = self._known()
        return all(field == name and name in known.get(name, ()) for name, field in self.columns().items())

    def _known(self) -> dict[str, tuple[str, ...]]:
        return load_step(self.reader_name, "READER", "init").fields


def propose(samples: Sequence[Sample], run_folder: str) -> tuple[Proposal, ...]:
    """Return one source for similar files of each folder or, if those are too many, of each named folder.

    Folders that are partitions of one data set (`dump=…/language=…`) count as one.

    Args: samples, by path; run_folder, the folder of the run file: paths below it become relative to it.
    """
    groups = [
        subgroup
        for group in _group(samples, lambda s: s.file.dataset)
        for subgroup in _by_pattern(group, run_folder)
    ]
    patterns = [_patterns(group, run_folder) for group in groups]
    if len(groups) > MAX_SOURCES:
        larger = _group(samples, lambda sample: sample.file.root or sample.file.folder)
        larger = [subgroup for group in larger for subgroup in _by_pattern(group, run_folder)]
        globs = [_patterns(group, run_folder) for group in larger]
        if all(_is_whole(g) or len(p) == 1 or not _is_deep(g) for g, p in zip(larger, globs, strict=True)):
            groups, patterns = larger, globs
    n_groups = Counter(_folder(group) for group in groups)
    proposals: dict[str, Proposal] = {}
    for group, paths in zip(groups, patterns, strict=True):
        base = _name(group, alone=n_groups[_folder(group)] == 1)
        names = (base, *(f"{base}_{i}" for i in range(2, len(groups) + 2)))
        name = next(name for name in names if name not in proposals)
        proposals[name] = Proposal(name, tuple(group), tuple(relative(path, run_folder) for path in paths))
    return tuple(proposals.values())


def relative(path: str, run_folder: str) -> str:
    """Return a path as a run file in this folder names it: relative if it is below the folder."""
    below = path.removeprefix(f"{run_folder.rstrip('/')}/")
    return f"./{below}" if below.startswith("~") else below


def _group(samples: Sequence[Sample], folder_of: Callable[[Sample], str]) -> list[list[Sample]]:
    """Group samples with the same folder, reader, settings and text field that share at least half of their fields.

    Files of one document each form one group per named folder, regardless of their subfolder and fields.
    """
    groups: list[tuple[tuple[object, ...], set[str], list[Sample]]] = []
    for sample in samples:
        whole = sample.reader_name in WHOLE
        folder = (sample.file.root or sample.file.folder) if whole else folder_of(sample)
        key = (folder, sample.reader_name, repr(sample.config), sample.text_field)
        names = set(sample.fields)
        for group_key, group_names, members in groups:
            if key == group_key and (whole or 2 * len(names & group_names) >= len(names | group_names)):
                group_names |= names
                members.append(sample)
                break
        else:
            groups.append((key, names, [sample]))
    return [members for _, _, members in groups]


def _is_whole(group: list[Sample]) -> bool:
    return group[0].reader_name in WHOLE


def _is_deep(group: list[Sample]) -> bool:
    return len({sample.file.folder for sample in group}) > 1


def _folder(group: list[Sample]) -> str:
    """Return the folder of a group: that of its files or of their data set, else their common or the named one."""
    if not _is_deep(group):
        return group[0].file.folder
    if not _is_whole(group):
        datasets = {sample.file.dataset for sample in group}
        return datasets.pop() if len(datasets) == 1 else str(group[0].file.root)
    folders = [sample.file.folder.split("/") for sample in group]
    first, last = min(folders), max(folders)
    n_shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return "/".join(first[:n_shared])


def _by_pattern(group: list[Sample], run_folder: str) -> list[list[Sample]]:
    """Keep single documents of a folder tree in one group if globs match exactly them, else return a group per folder.

    Listed by path, two files of the same name in two folders would get the same document id.
    """
    if not _is_whole(group) or not _is_deep(group) or _globs(group, run_folder) is not None:
        return [group]
    folders: dict[str, list[Sample]] = {}
    for sample in group:
        folders.setdefault(sample.file.folder, []).append(sample)
    return list(folders.values())


def _globs(group: list[Sample], run_folder: str) -> list[str] | None:
    """Return one glob for each ending of a group's files; None if they match other files or not all of them."""
    folder, deep = _folder(group), "**/" if _is_deep(group) else ""
    paths = sorted(sample.file.path for sample in group)
    endings = {ENDING.search(os.path.basename(path))[0] for path in paths}  # type: ignore[index]  # matches all
    patterns = [f"{folder}/{deep}*{ending}" for ending in sorted(endings)]
    if "" in endings or glob.has_magic(os.path.realpath(run_folder) + folder):
        return None
    matches = {file.path for pattern in patterns for file in list_inputs(pattern, True)}
    return patterns if sorted(matches) == paths else None


def _patterns(group: list[Sample], run_folder: str) -> list[str]:
    """Return a glob that matches exactly the files of a group, or else their paths."""
    paths = sorted(sample.file.path for sample in group)
    if _is_whole(group) and (len(paths) > 1 or group[0].file.root):
        return _globs(group, run_folder) or paths
    folder, names = _folder(group), [os.path.basename(path) for path in paths]
    suffix = _shared_start([name[::-1] for name in names])[::-1]
    suffix = suffix[suffix.index(".") :] if "." in suffix else ""
    start = _shared_start([name.removesuffix(suffix) for name in names]).rstrip("0123456789")
    if len(paths) == 1 or glob.has_magic(os.path.realpath(run_folder) + folder + start + suffix):
        return paths
    start = start if any(map(str.isalpha, start)) else ""  # not a year, which later files will not share
    pattern = f"{folder}/{'**/' if _is_deep(group) else ''}{start}*{suffix}"
    return [pattern] if sorted(file.path for file in list_inputs(pattern, True)) == paths else paths


def _shared_start(names: list[str]) -> str:
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((i for i, (a, b) in pairs if a != b), len(first))]


def _name(group: list[Sample], alone: bool) -> str:
    """Return the name of a source: that of its folder if no other source is in it, else of its files."""
    names = [os.path.basename(sample.file.path).split(".")[0] for sample in group]
    stem = re.sub(r"[-_0-9]+$", "", _shared_start(names))
    folder = os.path.basename(_folder(group))
    is_named_file = len(group) == 1 and group[0].file.root is None
    reader = group[0].reader_name.rpartition(".")[2]
    choices = (folder if alone and not is_named_file else stem, stem, folder, reader)
    words = (re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") for name in choices)
    return next(word for word in words if word)
