"""Rules by language part: in a document of several languages, a rule for some languages applies to its part in them.

A column of language parts is a list of structs. Its fields have the names of the columns that they replace for a part;
the first is the key, which distinguishes the parts (`language.label`). If the run file annotates with a stage that
writes such a column, two sorts of rules are evaluated by part: those whose `where` names the key and whose conditions
test another field, and those that test the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.recipe import load_step


def find_parts(entries: Any, where: str) -> dict[str, tuple[str, ...]]:
    """Return the columns of language parts that the stages under `annotate` write, each with its fields.

    Args: entries, parsed YAML (hence Any); malformed entries are skipped here and reported by the parser of the run
    file; where, the name of the setting in errors.
    Raises: ConfigError if a module does not exist or defines no stage.
    """
    columns = {}
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        settings = entry if isinstance(entry, dict) else {"use": entry}
        if isinstance(settings.get("use"), str):
            stage = load_step(settings["use"], "STAGE", f"{where}[{i}]")
            for field in stage.writes:
                if fields := part_fields(field.type):
                    columns[f"{settings.get('as') or stage.name}.{field.name}"] = fields
    return columns


def part_fields(dtype: pa.DataType) -> tuple[str, ...]:
    """Return the fields of a column of language parts, given its dtype; none for any other column."""
    if not (pa.types.is_list(dtype) and pa.types.is_struct(dtype.value_type)):
        return ()
    names = tuple(field.name for field in dtype.value_type)
    return names if all("." in name for name in names) else ()


def language_part_rows(
    table: Mapping[str, pa.ChunkedArray], column: str, names: Iterable[str]
) -> tuple[np.ndarray, dict[str, pa.ChunkedArray]]:
    """Return one row for each language part of each document.

    Args: table, columns of (n_docs,); column, the column of language parts; names, the columns to return.
    Returns: int64 (n_parts,), the row of the document of each part; the columns (n_parts,), with the part's own value
    if it has a field of that name, else its document's.
    """
    parts = table[column].combine_chunks()
    rows, values = pc.list_parent_indices(parts).cast(pa.int64()), pc.list_flatten(parts)
    fields = {field.name for field in values.type}
    columns = {
        name: pa.chunked_array([values.field(name)]) if name in fields else table[name].take(rows)
        for name in names
    }
    return rows.to_numpy(), columns
