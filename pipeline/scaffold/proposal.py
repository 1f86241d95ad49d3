"""Sources out of files: which files belong together, what globs name them, and what the source is called."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.recipe import load_step
from pipeline.scaffold.foreign_layouts import score_columns
from pipeline.scaffold.infer import Field, choose_columns
from pipeline.scaffold.sniff import WARC, WHOLE, Sample
from pipeline.storage.store import list_inputs

ENDING = re.compile(r"(\.\w+)?(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)
"""What files of one kind share at the end of their names."""

MAX_SOURCES = 16
"""With more sources than this, folders below a named one are put together where their records are alike."""


@dataclass(frozen=True)
class Proposal:
    """Files that make one source. patterns: paths and globs of just these files, as the run file has them."""

    name: str
    samples: tuple[Sample, ...]
    patterns: tuple[str, ...]

    @property
    def reader_name(self) -> str:
        """Module of the reader of all of them."""
        return self.samples[0].reader_name

    @property
    def config(self) -> Mapping[str, Any]:  # Any: the reader's settings
        """Settings of the reader that all of them need."""
        return self.samples[0].config

    @property
    def follow_links(self) -> bool:
        """Whether some of them are links that lead out of the folder that was named."""
        return any(sample.file.leads_out for sample in self.samples)

    @property
    def text_field(self) -> str:
        """The field with the text, the same in all of them."""
        return self.samples[0].text_field

    @property
    def n_bytes(self) -> int:
        """Size of the files as they lie."""
        return sum(sample.file.size for sample in self.samples)

    @property
    def n_docs(self) -> int:
        """Documents, estimated."""
        return sum(sample.n_docs for sample in self.samples)

    @property
    def text_bytes(self) -> int:
        """Bytes of text, estimated."""
        return sum(sample.text_bytes for sample in self.samples)

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
                found[name] = found.get(name, Field()) + counts
        return found

    def columns(self) -> dict[str, str]:
        """Canonical column -> field, as far as there is one, and columns for scores that the records bring.

        What a page says of itself is a claim: of pages only fields that the reader knows count, none by its look.
        """
        fields, known = self.fields(), self._known()
        if self.reader_name in (*WHOLE, WARC):
            names = {name for named in known.values() for name in named}
            fields = {name: found for name, found in fields.items() if name in names and found.n_values}
        columns = choose_columns(fields, self.text_field, known)
        return columns | score_columns(self.reader_name, fields)

    def is_plain(self) -> bool:
        """Whether the reader finds all of these columns by itself, under their own names."""
        known = self._known()
        return all(field == name and name in known.get(name, ()) for name, field in self.columns().items())

    def _known(self) -> dict[str, tuple[str, ...]]:
        return load_step(self.reader_name, "READER", "init").fields


def propose(samples: Sequence[Sample], run_folder: str) -> tuple[Proposal, ...]:
    """Make one source of the files of a folder that are alike, or of a named folder if those are too many.

    Args: samples, by path; run_folder, where the run file will lie: paths below it are relative to it.
    """
    groups = [
        part for group in _group(samples, lambda s: s.file.folder) for part in _by_pattern(group, run_folder)
    ]
    patterns = [_patterns(group, run_folder) for group in groups]
    if len(groups) > MAX_SOURCES:
        larger = _group(samples, lambda sample: sample.file.root or sample.file.folder)
        larger = [part for group in larger for part in _by_pattern(group, run_folder)]
        globs = [_patterns(group, run_folder) for group in larger]
        if all(_is_whole(g) or len(p) == 1 or not _is_deep(g) for g, p in zip(larger, globs, strict=True)):
            groups, patterns = larger, globs
    shared = Counter(_folder(group) for group in groups)
    proposals: dict[str, Proposal] = {}
    for group, found in zip(groups, patterns, strict=True):
        base = _name(group, alone=shared[_folder(group)] == 1)
        names = (base, *(f"{base}_{i}" for i in range(2, len(groups) + 2)))
        name = next(name for name in names if name not in proposals)
        proposals[name] = Proposal(name, tuple(group), tuple(relative(path, run_folder) for path in found))
    return tuple(proposals.values())


def relative(path: str, run_folder: str) -> str:
    """Path as a run file in this folder names it: relative when it lies below."""
    below = path.removeprefix(f"{run_folder.rstrip('/')}/")
    return f"./{below}" if below.startswith("~") else below


def _group(samples: Sequence[Sample], folder_of: Callable[[Sample], str]) -> list[list[Sample]]:
    """Put together what has folder, reader, settings, text field and at least half of all fields in common.

    Files of one document each go together wherever they lie below the folder that was asked for, whatever they say of
    themselves.
    """
    groups: list[tuple[tuple[object, ...], set[str], list[Sample]]] = []
    for sample in samples:
        whole = sample.reader_name in WHOLE
        folder = (sample.file.root or sample.file.folder) if whole else folder_of(sample)
        key = (folder, sample.reader_name, repr(sample.config), sample.text_field)
        names = set(sample.fields)
        for other, known, members in groups:
            if key == other and (whole or 2 * len(names & known) >= len(names | known)):
                known |= names
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
    """The folder of a group: that of its files, or the one above several: what they share, or was named."""
    if not _is_deep(group):
        return group[0].file.folder
    if not _is_whole(group):
        return str(group[0].file.root)
    parts = [sample.file.folder.split("/") for sample in group]
    first, last = min(parts), max(parts)
    n_shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return "/".join(first[:n_shared])


def _by_pattern(group: list[Sample], run_folder: str) -> list[list[Sample]]:
    """Leave single documents of a tree together if globs name just them; else one group for each folder.

    Named one by one, two files of one name in two folders would be one document.
    """
    if not _is_whole(group) or not _is_deep(group) or _globs(group, run_folder) is not None:
        return [group]
    folders: dict[str, list[Sample]] = {}
    for sample in group:
        folders.setdefault(sample.file.folder, []).append(sample)
    return list(folders.values())


def _globs(group: list[Sample], run_folder: str) -> list[str] | None:
    """One glob for each ending of a group's files, if they match those files and nothing else."""
    folder, deep = _folder(group), "**/" if _is_deep(group) else ""
    paths = sorted(sample.file.path for sample in group)
    endings = {ENDING.search(os.path.basename(path))[0] for path in paths}  # type: ignore[index]  # matches all
    patterns = [f"{folder}/{deep}*{ending}" for ending in sorted(endings)]
    if "" in endings or glob.has_magic(os.path.realpath(run_folder) + folder):
        return None
    found = {file.path for pattern in patterns for file in list_inputs(pattern, True)}
    return patterns if sorted(found) == paths else None


def _patterns(group: list[Sample], run_folder: str) -> list[str]:
    """Name a group's files by a glob if one names them and nothing else, else one by one."""
    paths = sorted(sample.file.path for sample in group)
    if _is_whole(group) and (len(paths) > 1 or group[0].file.root):
        return _globs(group, run_folder) or paths
    folder, names = _folder(group), [os.path.basename(path) for path in paths]
    suffix = _shared_start([name[::-1] for name in names])[::-1]
    suffix = suffix[suffix.index(".") :] if "." in suffix else ""
    start = _shared_start([name.removesuffix(suffix) for name in names]).rstrip("0123456789")
    if len(paths) == 1 or glob.has_magic(os.path.realpath(run_folder) + folder + start + suffix):
        return paths
    start = start if any(map(str.isalpha, start)) else ""  # not a year, which the next file will not share
    pattern = f"{folder}/{'**/' if _is_deep(group) else ''}{start}*{suffix}"
    return [pattern] if sorted(file.path for file in list_inputs(pattern, True)) == paths else paths


def _shared_start(names: list[str]) -> str:
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((i for i, (a, b) in pairs if a != b), len(first))]


def _name(group: list[Sample], alone: bool) -> str:
    """Name a source after its folder when it is all of that, else after what the names of its files share."""
    names = [os.path.basename(sample.file.path).split(".")[0] for sample in group]
    stem = re.sub(r"[-_0-9]+$", "", _shared_start(names))
    folder = os.path.basename(_folder(group))
    asked_by_name = len(group) == 1 and group[0].file.root is None
    reader = group[0].reader_name.rpartition(".")[2]
    choices = (folder if alone and not asked_by_name else stem, stem, folder, reader)
    words = (re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") for name in choices)
    return next(word for word in words if word)
