"""Recognises the output of other tools: Dolma's attributes beside documents, datatrove's metadata.

Dolma stores its measurements of `documents/P` in `attributes/NAME/P`; datatrove writes `text`, `id` and an object
`metadata`. The files are read by the readers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from pipeline.scaffold.infer import Field

DOLMA = "stages.readers.dolma"
DOCUMENTS, ATTRIBUTES = "documents", "attributes"

SCORES = {DOLMA: "scores", "stages.readers.jsonl": "metadata", "stages.readers.parquet": "metadata"}
"""Reader -> the object with the scores of another tool."""

MAX_SCORES = 16
"""Largest number of scores that become columns; with more, the user has to choose."""


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
