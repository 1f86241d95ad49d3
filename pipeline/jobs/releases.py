"""Read a release as one table, in the library of one's choice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError, UsageError
from pipeline.names import nearest
from pipeline.recipe import optional_module
from pipeline.storage.store import list_inputs, open_input

PARTS = ("data", "ledger", "clusters", "cot", "mixes", "orders")
LIBRARIES = ("arrow", "polars", "pandas", "list")


def read_part(
    path: str, part: str, columns: Sequence[str] | None, library: str
) -> Any:  # Any: the library's table
    """See bicorpus.read_release."""
    if library not in LIBRARIES:
        raise UsageError(f"to={library!r}{nearest(library, LIBRARIES)}")
    folder, name = part.partition("/")[0], part.strip("/")
    if folder not in PARTS:
        raise UsageError(f"part={part!r}{nearest(folder, PARTS)}")
    root = find_release(path)
    files = list_inputs(f"{root}/{name}/**/*.parquet" if "://" not in root else f"{root}/{name}/**")
    tables = []
    for file in files:
        with open_input(file.path) as stream:
            parquet = pq.ParquetFile(pa.PythonFile(stream, mode="r"))
            for column in columns or ():
                if column not in (names := parquet.schema_arrow.names):
                    raise UsageError(f"{name}: no column {column!r}{nearest(column, names)}")
            tables.append(parquet.read(list(columns) if columns is not None else None))
    return _converted(pa.concat_tables(tables), library)


def find_release(path: str) -> str:
    """Return the folder of a release: the one named, or the only one of a store.

    Raises: InputError if there is none, or a store has several.
    """
    root = os.fspath(path).rstrip("/")
    if "://" in root or os.path.isdir(os.path.join(root, "data")):
        return root
    releases = os.path.join(root, "releases")
    names = (
        [n for n in os.listdir(releases) if not n.startswith(("_", "."))] if os.path.isdir(releases) else []
    )
    if len(names) == 1:
        return os.path.join(releases, names[0])
    choice = (
        f"name one: {', '.join(os.path.join(releases, n) for n in sorted(names))}"
        if names
        else ("expected a folder with data/, such as store/releases/NAME")
    )
    raise InputError(f"{path}: {'several releases' if names else 'no release'}; {choice}")


def _converted(table: pa.Table, library: str) -> Any:
    if library == "polars":
        import polars

        return polars.from_arrow(table)
    if library == "pandas":
        optional_module("pandas", "pandas", "frames", "to='pandas'")
        return table.to_pandas()
    return table.to_pylist() if library == "list" else table
