"""Files of benchmark items: questions with choices, answers and passages, and registries that name such files.

A registry is a YAML file that lists benchmark files with version and SHA-256, so that a run file names one file, a
changed benchmark is an error instead of another result, and a report can name versions.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from stages.choices import list_choices, question_end

SCHEMA = pa.schema(
    {
        "benchmark": pa.string(),
        "id": pa.string(),
        "question": pa.large_string(),
        "choices": pa.list_(pa.string()),
        "answer": pa.large_string(),
        "passage": pa.large_string(),
    }
)
"""Columns of a benchmark file; the last three may be absent, and null in any row."""

HIT_FIELDS = (
    pa.field("benchmark", pa.string()),
    pa.field("item", pa.string()),
    pa.field("start", pa.int32()),
    pa.field("end", pa.int32()),
    pa.field("coverage", pa.float32()),
)
"""What every hit of an item has; start and end are code points of canonical text."""

REQUIRED = ("benchmark", "id", "question")
ENTRY = {"name", "version", "file", "sha256"}
MORE = {"url", "license", "items"}
LETTER = re.compile(r"^[(（\[]?([A-Ja-j])[)）\].]?$")
LETTERED = re.compile(r"^\s*[(（\[【]?[A-Ja-jＡ-Ｊ][)）\]】.．、:：]")


class Text(NamedTuple):
    """Text of an item as it is looked for. row: of its item. text: with choices, or the question alone. end: length of
    the question, None if the item has no choices. is_question: whether it is the question of an item with choices."""

    row: int
    text: str
    end: int | None
    is_question: bool


def read_items(paths: Sequence[str], registries: Sequence[str] = ()) -> pa.Table:
    """Read benchmark files, and those that registries name, into one table of SCHEMA.

    Raises: ConfigError if a file is missing, unreadable, lacks a column or is not the one that a registry describes.
    """
    listed = [path for registry in registries for path in registry_files(registry)]
    tables = [SCHEMA.empty_table(), *(_read(path) for path in (*paths, *listed))]
    return pa.concat_tables(tables).combine_chunks()


def _read(path: str) -> pa.Table:
    """Read one file; see `read_items`."""
    try:
        names = pq.read_schema(path).names
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise ConfigError(f"{path}: no column {missing[0]!r}; expected {', '.join(REQUIRED)}")
        table = pq.read_table(path, columns=[name for name in SCHEMA.names if name in names])
        columns = [
            table[field.name].cast(field.type) if field.name in names else pa.nulls(len(table), field.type)
            for field in SCHEMA
        ]
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(f"{path}: {error}; expected a Parquet file of benchmark items") from error
    return pa.table(columns, schema=SCHEMA)


def registry_files(path: str) -> list[str]:
    """Return the files that a registry names, after a check of their digests.

    Raises: ConfigError if the registry has another form, or a file another SHA-256.
    """
    try:
        page = read_yaml(path)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}; expected a registry in YAML") from error
    entries = page.get("benchmarks") if isinstance(page, dict) else None
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: no list `benchmarks`; expected entries with {', '.join(sorted(ENTRY))}")
    files = []
    for i, entry in enumerate(entries):
        keys = set(entry) if isinstance(entry, dict) else set()
        if not ENTRY <= keys <= ENTRY | MORE:
            raise ConfigError(
                f"{path}: benchmarks[{i}] has {', '.join(sorted(map(str, keys))) or 'no keys'}; expected "
                f"{', '.join(sorted(ENTRY))}, and optionally {', '.join(sorted(MORE))}"
            )
        file = os.path.join(os.path.dirname(path), str(entry["file"]))
        found = sha256(file)
        if found != entry["sha256"]:
            raise ConfigError(
                f"{path}: {entry['name']} {entry['version']}: {file} has the SHA-256 {found}; expected "
                f"{entry['sha256']}. The file changed: name its version and digest in the registry"
            )
        files.append(file)
    return files


def sha256(path: str) -> str:
    """SHA-256 of a file, in hex.

    Raises: ConfigError if it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name an existing benchmark file") from error


def registry_text(files: Sequence[str], version: str) -> str:
    """Return a registry of benchmark files in one folder, in YAML: an entry for each, with its name, number of items
    and digest.

    Raises: ConfigError if a file is no benchmark file.
    """
    entries = [
        {
            "name": Path(file).stem,
            "version": version,
            "file": os.path.basename(file),
            "sha256": sha256(file),
            "items": len(_read(file)),
        }
        for file in files
    ]
    return str(yaml.safe_dump({"benchmarks": entries}, sort_keys=False, allow_unicode=True))


def list_texts(items: pa.Table) -> list[Text]:
    """Return the texts of items: each item with its choices, then the questions of those with choices.

    Choices are those of the column, with letters in front unless they have some; else those in the question, see
    `stages.choices.question_end`.
    """
    whole, alone = [], []
    for row, (question, choices) in enumerate(
        zip(items["question"].to_pylist(), items["choices"].to_pylist(), strict=True)
    ):
        text = question or ""
        choices = [choice for choice in choices or () if choice]
        end = (len(text) if choices and text.strip() else None) if choices else question_end(text)
        if choices:
            text = "\n".join([text, *_lettered(choices)])
        whole.append(Text(row, text, end, False))
        if end is not None:
            alone.append(Text(row, text[:end], end, True))
    return whole + alone


def _lettered(choices: Sequence[str]) -> list[str]:
    if all(LETTERED.match(choice) for choice in choices):
        return list(choices)
    return [f"({chr(ord('A') + i)}) {choice}" for i, choice in enumerate(choices)]


def answer_text(text: Text, answer: str | None) -> str | None:
    """Return an answer in words: of a letter, the choice with it; None if the item does not tell, as with the number of
    a choice, which some count from 0.

    Args: text, an item with its choices.
    """
    answer = (answer or "").strip()
    letter = LETTER.match(answer)
    if text.end is None:
        return answer or None
    choices = list_choices(text.text, text.end)
    if not letter:
        return None if answer.isdigit() and answer not in choices else answer or None
    number = ord(letter[1].upper()) - ord("A")
    return choices[number] if number < len(choices) else None
