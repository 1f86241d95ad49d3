"""Rules by part: in a document with parts, a rule for some languages judges the part in its own language.

A column of parts is a list of structs whose fields are named as the columns that they stand for, the first for the one
that tells parts apart (`language.label`). Where the run file annotates with a stage that writes such a column, rules
judge by part whose `where` asks for the first field and whose conditions test another, or that test the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.recipe import load_step


def find_parts(entries: Any, where: str) -> dict[str, tuple[str, ...]]:
    """Columns of parts among what the entries of `annotate` write, each with its fields.

    Any: whatever the YAML page holds there; what is wrong with an entry is said where it is taken up.
    """
    found = {}
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        page = entry if isinstance(entry, dict) else {"use": entry}
        if isinstance(page.get("use"), str):
            stage = load_step(page["use"], "STAGE", f"{where}[{i}]")
            for field in stage.writes:
                if fields := part_fields(field.type):
                    found[f"{page.get('as') or stage.name}.{field.name}"] = fields
    return found


def part_fields(kind: pa.DataType) -> tuple[str, ...]:
    """Fields of a column of parts; none for another column."""
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
        return ()
    names = tuple(field.name for field in kind.value_type)
    return names if all("." in name for name in names) else ()


def language_part_rows(
    table: Mapping[str, pa.ChunkedArray], column: str, names: Iterable[str]
) -> tuple[np.ndarray, dict[str, pa.ChunkedArray]]:
    """The parts of all documents as rows: int64 (n_parts,), the row of its document, and the columns asked for.

    A part has its document's value of what is no field of its own.
    """
    parts = table[column].combine_chunks()
    rows, values = pc.list_parent_indices(parts).cast(pa.int64()), pc.list_flatten(parts)
    own = {field.name for field in values.type}
    found = {
        name: pa.chunked_array([values.field(name)]) if name in own else table[name].take(rows)
        for name in names
    }
    return rows.to_numpy(), found
