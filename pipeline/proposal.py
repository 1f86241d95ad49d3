"""Sources out of files: which files belong together, what globs name them, and what the source is called."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.guess import Field, choose_columns
from pipeline.recipe import load_step
from pipeline.sniff import Sample
from pipeline.store import list_inputs

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
        """Canonical column -> field, as far as there is one."""
        return choose_columns(self.fields(), self.text_field, self._known())

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
    groups = _group(samples, lambda sample: sample.file.folder)
    patterns = [_patterns(group, run_folder) for group in groups]
    if len(groups) > MAX_SOURCES:
        larger = _group(samples, lambda sample: sample.file.root or sample.file.folder)
        globs = [_patterns(group, run_folder) for group in larger]
        if all(len(found) == 1 or not _is_deep(group) for group, found in zip(larger, globs, strict=True)):
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
    """Put together what has folder, reader, text field and at least half of all fields in common."""
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


def _is_deep(group: list[Sample]) -> bool:
    return len({sample.file.folder for sample in group}) > 1


def _folder(group: list[Sample]) -> str:
    """The folder of a group: that of its files, or the named one above several."""
    return str(group[0].file.root) if _is_deep(group) else group[0].file.folder


def _patterns(group: list[Sample], run_folder: str) -> list[str]:
    """Name a group's files by a glob if one names them and nothing else, else one by one."""
    paths = sorted(sample.file.path for sample in group)
    folder, names = _folder(group), [os.path.basename(path) for path in paths]
    suffix = _shared_start([name[::-1] for name in names])[::-1]
    suffix = suffix[suffix.index(".") :] if "." in suffix else ""
    start = _shared_start([name.removesuffix(suffix) for name in names]).rstrip("0123456789")
    if len(paths) == 1 or glob.has_magic(os.path.realpath(run_folder) + folder + start + suffix):
        return paths
    start = start if any(map(str.isalpha, start)) else ""  # not a year, which the next file will not share
    pattern = f"{folder}/{'**/' if _is_deep(group) else ''}{start}*{suffix}"
    return [pattern] if sorted(file.path for file in list_inputs(pattern)) == paths else paths


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
