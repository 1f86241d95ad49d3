"""All files that `init` was asked for, looked at together: what each holds, and which cannot be of any source.

Files that are one document each are judged by their kind: of many, some are looked at and the others taken to be like
them; one that a run would refuse, or that describes files of records, makes no source of its own.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.scaffold.find_files import FoundFile, Unread
from pipeline.scaffold.foreign_layouts import DOLMA, documents_of
from pipeline.scaffold.sniff import HTML_NAME, TEXT, TEXT_NAME, WHOLE, Sample, sniff

MAX_LOOKED = 200
"""Files of one ending below one folder that are looked at; more are estimated from them."""

ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|changelog)\b", re.IGNORECASE)
"""Names of files that describe others."""


def survey_files(files: Sequence[FoundFile]) -> tuple[list[Sample], list[Unread]]:
    """Tell what files hold, in order; and which of them no source can be made of, and why."""
    attributes = {file.path: documents for file in files if (documents := documents_of(file.path))}
    looked = _look([file for file in files if file.path not in attributes])
    samples = [item for item in looked if isinstance(item, Sample)]
    unread = [item for item in looked if isinstance(item, Unread)]
    readers = {sample.file.path: sample.reader_name for sample in samples}
    for path, documents in attributes.items():
        if documents not in readers:
            unread.append(Unread(path, f"attributes of {documents}; name the folder of both"))
        elif readers[documents] != DOLMA:
            unread.append(
                Unread(path, f"attributes whose rows are not those of {documents}, by order and id")
            )
    refused = _refused(samples)
    unread += [Unread(sample.file.path, why) for sample, why in refused]
    out = {sample.file.path for sample, _ in refused}
    return [s for s in samples if s.file.path not in out], sorted(unread, key=lambda item: item.path)


def _look(files: Sequence[FoundFile]) -> list[Sample | Unread]:
    """Sniff files; of many that their names say to be single documents, only some."""
    kinds = [
        (sampling_folder(file), ending) if (ending := whole_ending(file.path)) else None for file in files
    ]
    n_of, n_seen = Counter(kinds), Counter[object]()
    like: dict[object, Sample] = {}
    found: list[Sample | Unread] = []
    for file, kind in zip(files, kinds, strict=True):
        step = -(-n_of[kind] // MAX_LOOKED) if kind else 1
        stand_in = like.get(kind) if n_seen[kind] % step else None
        n_seen[kind] += 1
        item = replace(stand_in, file=file, n_read=0) if stand_in else sniff(file, len(files))
        if kind and isinstance(item, Sample) and item.reader_name in WHOLE and not item.doubt:
            like[kind] = item
        found.append(item)
    return found


def whole_ending(path: str) -> str:
    """The ending of a file that its name says to be a single document, such as `.html.gz`, else nothing."""
    match = HTML_NAME.search(path) or TEXT_NAME.search(path)
    return match[0] if match else ""


def sampling_folder(file: FoundFile) -> str:
    """Where files of single documents are looked for together: the folder that was asked for, or their own."""
    return file.root or file.folder


BENCHMARK = {"benchmark", "id", "question"}
"""Fields of a file of benchmark questions, as `stages.decontaminate` reads it."""


def _refused(samples: Sequence[Sample]) -> list[tuple[Sample, str]]:
    """What makes no source: benchmarks, single documents alone and in doubt, or about records beside or below them."""
    folders = {sample.file.folder for sample in samples if sample.reader_name not in WHOLE}
    above = {folder[:i] for folder in folders for i, char in enumerate(folder) if char == "/"} | folders
    texts = [
        s for s in samples if s.reader_name == TEXT and s.file.root is not None and s.file.folder in above
    ]
    about = [s for s in texts if ABOUT.match(os.path.basename(s.file.path))]
    why = "describes the files beside or below it; name it to read it as a document"
    found = [(sample, why) for sample in about]
    why = (
        "questions of benchmarks, which a corpus must not hold; name it in the config of stages.decontaminate"
    )
    found += [(sample, why) for sample in samples if sample.fields.keys() >= BENCHMARK]
    known = {sample.file.path for sample in about}
    sound = {
        (sampling_folder(s.file), s.reader_name)
        for s in samples
        if s.reader_name in WHOLE and not s.doubt and s.file.path not in known
    }
    for sample in samples:
        if (
            sample.doubt
            and sample.file.path not in known
            and (sampling_folder(sample.file), sample.reader_name) not in sound
        ):
            reader = sample.reader_name.rpartition(".")[2]
            found.append((sample, f"read as {reader}: {sample.doubt}"))
    return found
