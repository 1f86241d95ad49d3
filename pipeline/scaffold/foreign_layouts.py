"""Recognises the output of other tools: Dolma's attributes, datatrove's metadata, data sets of Hugging Face.

Dolma stores its measurements of `documents/P` in `attributes/NAME/P`; datatrove writes `text`, `id` and an object
`metadata`. A data set of Hugging Face has files by split, `data/train-00000-of-00002.parquet` or, as `save_to_disk`
writes it, a folder for each split with Arrow files, and files about itself. The files are read by the readers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from pipeline.recipe import load_step
from pipeline.scaffold.find_files import FoundFile
from pipeline.scaffold.infer import Field
from pipeline.translation import message

DOLMA = "stages.readers.dolma"
DOCUMENTS, ATTRIBUTES = "documents", "attributes"

SCORES = {DOLMA: "scores", "stages.readers.jsonl": "metadata", "stages.readers.parquet": "metadata"}
"""Reader -> the object with the scores of another tool."""

MAX_SCORES = 16
"""Largest number of scores that become columns; with more, the user has to choose."""


DESCRIBING = frozenset(("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"))
"""Files in which the library `datasets` describes a data set. Source: its `save_to_disk` and `DatasetInfo`."""

SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)(?:ing)?(?:[-_.]\S*)?", re.IGNORECASE)
"""A name of a file or folder that begins with a split."""

DATA = re.compile(r"\.(parquet|arrow|feather|jsonl?|ndjson|csv|tsv)(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)
CARDS = ("README.md",)


def about_data_sets(files: Sequence[FoundFile]) -> dict[str, str]:
    """Return path -> reason for files that describe a data set, and for those of splits for testing beside a `train`.

    Files that the user names by their own paths are never left out.
    """
    found: dict[str, str] = {}
    splits: dict[str, set[str]] = {}
    for file in files:
        if file.root is None:
            continue
        if os.path.basename(file.path) in DESCRIBING:
            found[file.path] = message("describes a data set of Hugging Face")
        elif split := split_of(file):
            splits.setdefault(split[0], set()).add(split[1])
    for file in files:
        split = split_of(file) if file.root is not None and file.path not in found else None
        if split and split[1] != "train" and "train" in splits[split[0]]:
            found[file.path] = message(f"the split {split[1]}, for testing; to read it, name the file")
    return found


def split_of(file: FoundFile) -> tuple[str, str] | None:
    """Return the folder of a data set and the split that a data file of it belongs to, by its name or its folder's."""
    if not DATA.search(file.path):
        return None
    folder, name = os.path.split(file.path)
    if match := SPLIT.fullmatch(DATA.sub("", name)):
        return folder, match[1].lower()
    above, inner = os.path.split(folder)
    match = SPLIT.fullmatch(inner)
    return (above, match[1].lower()) if match and folder != file.root else None


def stated_license(file: FoundFile) -> str | None:
    """Return the licence that the card of a data set states: README.md in the folder of a file, or above it."""
    folder, root = file.folder, file.root or file.folder
    while True:
        for name in CARDS:
            try:
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
                    text = stream.read(MAX_CARD_CHARS)
            except OSError:
                continue
            front, _ = load_step("stages.readers.textfile", "split_front_matter", "init")(text)
            value = front.get("license")
            return value if isinstance(value, str) and value.strip() else None
        if folder == root or len(folder) <= len(root):
            return None
        folder = os.path.dirname(folder)


MAX_CARD_CHARS = 65_536


def attribute_names(path: str) -> tuple[str, ...]:
    """Return the sorted names of the attributes beside a document file of Dolma; none for other files."""
    head, folder, rest = path.rpartition(f"{os.sep}{DOCUMENTS}{os.sep}")
    try:
        names = os.listdir(os.path.join(head, ATTRIBUTES)) if folder else []
    except OSError:  # not a folder, or a bucket
        return ()
    return tuple(sorted(name for name in names if os.path.isfile(os.path.join(head, ATTRIBUTES, name, rest))))


def documents_of(path: str) -> str | None:
    """Return the document file that an attribute file of Dolma belongs to; None if there is none."""
    head, folder, rest = path.rpartition(f"{os.sep}{ATTRIBUTES}{os.sep}")
    _, _, below = rest.partition(os.sep)
    file = os.path.join(head, DOCUMENTS, below)
    return file if folder and below and os.path.isfile(file) else None


def score_columns(reader_name: str, fields: Mapping[str, Field]) -> dict[str, str]:
    """Return columns for the existing scores of records, each under its own name: `scores.NAME`, `metadata.NAME`.

    datatrove output is recognised by the fields `text`, `id` and `metadata`; its language label becomes a column too.
    """
    prefix = SCORES.get(reader_name)
    if prefix is None or not {"text", "id"} <= fields.keys():
        return {}
    plain = re.compile(rf"{prefix}\.[A-Za-z0-9_]+")
    inside = {name: field for name, field in fields.items() if plain.fullmatch(name)}
    numbers = sorted(name for name, field in inside.items() if field.n_numbers == field.n_values)
    columns = {name: name for name in numbers} if len(numbers) <= MAX_SCORES else {}
    language = f"{prefix}.language"
    if language in inside and not inside[language].n_numbers:
        columns[language] = f"{language}:string"
    return columns
