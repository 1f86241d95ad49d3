"""Sidecars: files with one stage's annotations of one shard, one row per document in the order of the shard.

A sidecar whose footer names another shard, generation, row count or recipe is rejected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shard import Shard
from pipeline.errors import AlignmentError, DamagedError
from pipeline.storage.store import Store

FOOTER = b"bicorpus"


@dataclass(frozen=True)
class SidecarRef:
    """The key of a sidecar in the store, and the recipe that its footer must contain."""

    key: str
    recipe: str


def footer_of(shard: Shard, recipe: str) -> dict[bytes, bytes]:
    """Return the metadata of a sidecar of a shard: shard id, generation, row count and recipe, as JSON."""
    facts = {"shard": shard.id, "generation": shard.generation, "rows": shard.n_rows, "recipe": recipe}
    return {FOOTER: json.dumps(facts, sort_keys=True).encode()}


def write_sidecar(store: Store, ref: SidecarRef, table: pa.Table, shard: Shard) -> int:
    """Write the annotations of a whole shard; return the number of bytes written.

    Raises: AlignmentError if the table has another number of rows than the shard.
    """
    if table.num_rows != shard.n_rows:
        raise AlignmentError(
            f"{ref.key}: {table.num_rows:,} rows for {shard.n_rows:,} documents of shard {shard.id}"
        )
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata(footer_of(shard, ref.recipe))
    pq.write_table(table, sink, compression="zstd", row_group_size=1 << 16, write_statistics=False)
    buffer = sink.getvalue()
    store.put(ref.key, buffer)
    return int(buffer.size)


def read_sidecar(
    store: Store, ref: SidecarRef, shard: Shard, columns: Iterable[str] | None = None
) -> pa.Table:
    """Return the annotations of a shard, all columns or some.

    Raises: AlignmentError unless shard, generation, row count and recipe are the expected ones; DamagedError if the
    file is damaged.
    """
    with store.open(ref.key) as stream:
        try:
            file = pq.ParquetFile(stream)
            check_footer(file, ref, shard)
            return file.read(None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:  # a file of an earlier version, without digests
            raise DamagedError(
                f"{store.url}/{ref.key}: {str(error).partition(chr(10))[0]}", ref.key
            ) from error


def check_footer(file: pq.ParquetFile, ref: SidecarRef, shard: Shard) -> None:
    """Check that a Parquet file is the expected sidecar.

    Raises: AlignmentError if its footer or its number of rows differs.
    """
    try:
        footer = json.loads((file.schema_arrow.metadata or {}).get(FOOTER, b"{}"))
    except ValueError:
        footer = {}
    expected = json.loads(footer_of(shard, ref.recipe)[FOOTER])
    if footer != expected or file.metadata.num_rows != shard.n_rows:
        facts = {**footer, "rows in file": file.metadata.num_rows}
        raise AlignmentError(
            f"{ref.key}: found {facts}, expected {expected}; the file is stale or was edited",
            ref.key,
        )


def read_columns(
    store: Store, shard: Shard, refs: Mapping[str, SidecarRef], columns: Iterable[str]
) -> dict[str, pa.ChunkedArray]:
    """Return annotation columns, named `stage.column`, of one shard; each sidecar is opened once.

    Args: refs, stage -> its sidecar of this shard.
    Raises: AlignmentError if a sidecar belongs to another shard or recipe; DamagedError if one is damaged.
    """
    by_stage: dict[str, list[str]] = {}
    for column in sorted(set(columns)):
        stage, _, name = column.partition(".")
        by_stage.setdefault(stage, []).append(name)
    values = {}
    for stage, names in by_stage.items():
        table = read_sidecar(store, refs[stage], shard, names)
        for name in names:
            values[f"{stage}.{name}"] = table[name]
    return values
