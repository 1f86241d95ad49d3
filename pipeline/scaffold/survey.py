"""Inspects all files named to `init` together: returns the detected content of each, and the files without a source.

Of many files with one document each and the same ending, only some are read; the others are assumed to be similar.
Files that a run would quarantine, and those that describe files of records, do not become sources by themselves.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.scaffold.find_files import FoundFile, Unread
from pipeline.scaffold.foreign_layouts import DOLMA, about_data_sets, documents_of
from pipeline.scaffold.sniff import HTML_NAME, PDF_NAME, TEXT, TEXT_NAME, WHOLE, Sample, sniff
from pipeline.translation import message

MAX_LOOKED = 200
"""Largest number of files with one ending below one folder that are read; others are estimated from them."""

ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|changelog)\b", re.IGNORECASE)
"""Names of files that describe other files."""


def survey_files(files: Sequence[FoundFile]) -> tuple[list[Sample], list[Unread]]:
    """Return the samples of files in order, and the files that cannot become sources, with the reason."""
    attributes = {file.path: documents for file in files if (documents := documents_of(file.path))}
    left_out = about_data_sets(files)
    named = [file for file in files if file.path not in attributes and file.path not in left_out]
    results = _sniff_all(named)
    samples = [item for item in results if isinstance(item, Sample)]
    unread = [item for item in results if isinstance(item, Unread)]
    unread += [Unread(path, reason) for path, reason in left_out.items()]
    readers = {sample.file.path: sample.reader_name for sample in samples}
    for path, documents in attributes.items():
        if documents not in readers:
            unread.append(Unread(path, f"attributes of {documents}; name the folder of both"))
        elif readers[documents] != DOLMA:
            unread.append(Unread(path, f"attributes whose rows are not those of {documents} in order and id"))
    rejected = _reject(samples)
    unread += [Unread(sample.file.path, reason) for sample, reason in rejected]
    rejected_paths = {sample.file.path for sample, _ in rejected}
    return [s for s in samples if s.file.path not in rejected_paths], sorted(
        unread, key=lambda item: item.path
    )


def _sniff_all(files: Sequence[FoundFile]) -> list[Sample | Unread]:
    """Sniff files; of many with the ending of single documents in one folder, only some."""
    groups = [
        (sampling_folder(file), ending) if (ending := whole_ending(file.path)) else None for file in files
    ]
    group_sizes, n_seen = Counter(groups), Counter[object]()
    group_samples: dict[object, Sample] = {}
    results: list[Sample | Unread] = []
    for file, group in zip(files, groups, strict=True):
        step = -(-group_sizes[group] // MAX_LOOKED) if group else 1
        sample = group_samples.get(group) if n_seen[group] % step else None
        n_seen[group] += 1
        result = replace(sample, file=file, n_read=0) if sample else sniff(file, len(files))
        if group and isinstance(result, Sample) and result.reader_name in WHOLE and not result.doubt:
            group_samples[group] = result
        results.append(result)
    return results


def whole_ending(path: str) -> str:
    """Return the ending of a file name that denotes a single document, such as `.html.gz`, else an empty string."""
    match = HTML_NAME.search(path) or TEXT_NAME.search(path) or PDF_NAME.search(path)
    return match[0] if match else ""


def sampling_folder(file: FoundFile) -> str:
    """Return the folder within which files of single documents are sampled together: the named one, else their own."""
    return file.root or file.folder


BENCHMARK = {"benchmark", "id", "question"}
"""Fields of a file of benchmark questions for `stages.decontaminate`."""


def _reject(samples: Sequence[Sample]) -> list[tuple[Sample, str]]:
    """Return the samples that do not become sources, with the reason.

    These are benchmarks, doubtful single documents without sound ones beside them, and files that describe records
    beside or below them.
    """
    folders = {sample.file.folder for sample in samples if sample.reader_name not in WHOLE}
    above = {folder[:i] for folder in folders for i, char in enumerate(folder) if char == "/"} | folders
    texts = [
        s for s in samples if s.reader_name == TEXT and s.file.root is not None and s.file.folder in above
    ]
    about = [s for s in texts if ABOUT.match(os.path.basename(s.file.path))]
    reason = message("describes the files beside or below it; to read it as a document, name it")
    rejected = [(sample, reason) for sample in about]
    reason = message(
        "questions of benchmarks, which a corpus must not contain; name it in the config of stages.decontaminate"
    )
    rejected += [(sample, reason) for sample in samples if sample.fields.keys() >= BENCHMARK]
    about_paths = {sample.file.path for sample in about}
    sound = {
        (sampling_folder(s.file), s.reader_name)
        for s in samples
        if s.reader_name in WHOLE and not s.doubt and s.file.path not in about_paths
    }
    for sample in samples:
        if (
            sample.doubt
            and sample.file.path not in about_paths
            and (sampling_folder(sample.file), sample.reader_name) not in sound
        ):
            reader = sample.reader_name.rpartition(".")[2]
            rejected.append((sample, message(f"read as {reader}: {sample.doubt}")))
    return rejected
