"""Layouts of other tools that files are recognised by: Dolma's attributes beside documents, datatrove's metadata.

Dolma keeps what it measured of `documents/P` in `attributes/NAME/P`; datatrove writes `text`, `id` and an object
`metadata`. Reading them is up to the readers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from pipeline.scaffold.infer import Field

DOLMA = "stages.readers.dolma"
DOCUMENTS, ATTRIBUTES = "documents", "attributes"

SCORES = {DOLMA: "scores", "stages.readers.jsonl": "metadata", "stages.readers.parquet": "metadata"}
"""Reader -> the object whose numbers are what another tool measured."""

MAX_SCORES = 16
"""Numbers that become columns; with more of them, which ones matter is for a person to say."""


def attribute_names(path: str) -> tuple[str, ...]:
    """Names of the attributes that lie beside a document file of Dolma, in order; none for other files."""
    head, folder, rest = path.rpartition(f"{os.sep}{DOCUMENTS}{os.sep}")
    try:
        names = os.listdir(os.path.join(head, ATTRIBUTES)) if folder else []
    except OSError:  # not a folder, or a bucket
        return ()
    return tuple(sorted(name for name in names if os.path.isfile(os.path.join(head, ATTRIBUTES, name, rest))))


def documents_of(path: str) -> str | None:
    """The document file that an attribute file of Dolma belongs to, if it is there."""
    head, folder, rest = path.rpartition(f"{os.sep}{ATTRIBUTES}{os.sep}")
    _, _, below = rest.partition(os.sep)
    file = os.path.join(head, DOCUMENTS, below)
    return file if folder and below and os.path.isfile(file) else None


def score_columns(reader_name: str, fields: Mapping[str, Field]) -> dict[str, str]:
    """Columns for the numbers that came with the records, each under its own name: `scores.NAME`, `metadata.NAME`.

    datatrove's are told by `text` and `id` beside `metadata`; its label of the language becomes a column too.
    """
    prefix = SCORES.get(reader_name)
    if prefix is None or not {"text", "id"} <= fields.keys():
        return {}
    plain = re.compile(rf"{prefix}\.[A-Za-z0-9_]+")
    inside = {name: found for name, found in fields.items() if plain.fullmatch(name)}
    numbers = sorted(name for name, found in inside.items() if found.n_numbers == found.n_values)
    columns = {name: name for name in numbers} if len(numbers) <= MAX_SCORES else {}
    language = f"{prefix}.language"
    if language in inside and not inside[language].n_numbers:
        columns[language] = f"{language}:string"
    return columns
