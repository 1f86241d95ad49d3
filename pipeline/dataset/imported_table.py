"""Imported tables: outside scores and verdicts that a store keeps by name, as a stage that looks documents up.

A run file names one in `annotate`. The stage reads the key column, and so it aligns the table with any shard,
also with one that is ingested later. A worker holds the whole table once; a batch is found in it by one binary
search of all its keys at a time, so no row becomes a Python object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.sidecars import FOOTER
from pipeline.errors import AlignmentError, ConfigError, InputError
from pipeline.names import nearest
from pipeline.recipe import table_digest
from pipeline.schema import SPANS
from pipeline.stage import Stage
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

CATALOG = "imports/catalog.json"
VERSION = 1
KEY_COLUMNS = ("doc_id", "url", "text_hash")
"""Columns that documents may be found by."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """on: the canonical column that documents are found by; table: digest of the imported table, key and values."""

    on: str
    table: str


class Lookup:
    """Annotates documents with the rows of a table whose first column, sorted, holds their keys, each once."""

    def __init__(self, table: pa.Table) -> None:
        self.on = table.column_names[0]
        self.keys: pa.Array = table[self.on].cast(pa.large_string()).combine_chunks()
        self.values = table.drop_columns([self.on]).combine_chunks()

    def rows(self, keys: pa.ChunkedArray) -> np.ndarray:
        """Row of each key in the table, int64 (n,); -1 for a key that it does not have, and for null."""
        wanted = keys.cast(pa.large_string()).combine_chunks()
        last = len(self.keys) - 1
        low, high = np.zeros(len(wanted), np.int64), np.full(len(wanted), last + 1)
        for _ in range((last + 1).bit_length()):
            middle = (low + high) // 2
            before = _true(pc.less(self.keys.take(pa.array(np.minimum(middle, last))), wanted))
            open_ = low < high
            low, high = np.where(open_ & before, middle + 1, low), np.where(open_ & ~before, middle, high)
        at = np.minimum(low, last)
        return np.where(_true(pc.equal(self.keys.take(pa.array(at)), wanted)), at, -1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The table's values for each document of a batch; null for documents that it does not have."""
        rows = self.rows(batch[self.on])
        return self.values.take(pa.array(rows, mask=rows < 0))


def _true(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(values, False)).astype(bool)


@dataclass(frozen=True)
class Stored:
    """Loads an imported table from its store, once in each worker: the `load` of its stage."""

    store: Store
    key: str

    def __call__(self, config: Config) -> Lookup:
        """Read the table.

        Raises: AlignmentError if the file is not the table that the recipe names.
        """
        with self.store.open(self.key) as stream:
            table = pq.read_table(stream)
        facts = json.loads((table.schema.metadata or {}).get(FOOTER, b"{}"))
        if facts != {"on": config.on, "table": config.table}:
            raise AlignmentError(
                f"{self.store.url}/{self.key}: found {facts}, expected table {config.table} on {config.on}; the file "
                "was edited. Import the table again"
            )
        return Lookup(table.replace_schema_metadata(None))


def with_key(table: pa.Table, on: str) -> pa.Table:
    """The rows that have a key.

    Raises: InputError if there is none.
    """
    table = table.filter(pc.fill_null(pc.not_equal(table[on], ""), False))
    if not table.num_rows:
        raise InputError(f"no row has a {on}; expected at least one")
    return table


def prepare(table: pa.Table) -> pa.Table:
    """Sort a table by its first column, the key, keep one row per key, and order the other columns by name.

    Raises: InputError naming a key that stands twice with different values.
    """
    on = table.column_names[0]
    table = table.select([on, *sorted(table.column_names[1:])]).take(pc.sort_indices(table[on]))
    later, earlier = table.slice(1), table.slice(0, table.num_rows - 1)
    repeated = _true(pc.equal(later[on], earlier[on]))
    for name in table.column_names[1:]:
        rows = np.flatnonzero(repeated)
        taken = pa.array(rows)
        differs = different(earlier[name].take(taken), later[name].take(taken))
        if differs.any():
            row = int(rows[differs.argmax()])
            more = f"; so do {int(differs.sum()) - 1:,} more" if differs.sum() > 1 else ""
            raise InputError(
                f"the {on} {table[on][row].as_py()!r} stands twice with different values: {name} "
                f"{earlier[name][row].as_py()!r} and {later[name][row].as_py()!r}{more}. Keep one row for each {on}"
            )
    return table.filter(pa.array(np.concatenate([[True], ~repeated]))).combine_chunks()


def different(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    """Boolean (n,): whether two values differ; null equals null. Lists and structs are compared by what they print."""
    if pa.types.is_nested(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return np.array([repr(a) != repr(b) for a, b in pairs], bool)
    both_null = _true(pc.and_(pc.is_null(left), pc.is_null(right)))
    return ~(_true(pc.equal(left, right)) | both_null)


def stage_of(store: Store, name: str, on: str, digest: str, values: pa.Schema) -> Stage:
    """The stage that writes an imported table's values. Spans among them are checked against the text."""
    spans = any(kind == SPANS for kind in values.types)
    return Stage(
        name=name, version=VERSION, config=Config, reads=(on, "text") if spans else (on,), writes=values,
        load=Stored(store, table_key(name, digest)),
    )  # fmt: skip


def table_key(name: str, digest: str) -> str:
    """Where an imported table lies in the store."""
    return f"imports/{name}/{digest[:16]}.parquet"


def put_import(store: Store, name: str, table: pa.Table) -> tuple[Stage, Config]:
    """Put a prepared table into the store under its digest; `name_import` makes it the one that the name means."""
    on, values = table.column_names[0], table.drop_columns([table.column_names[0]])
    config = Config(on=on, table=table_digest(table))
    key = table_key(name, config.table)
    if not store.exists(key):
        facts = json.dumps({"on": on, "table": config.table}).encode()
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata({FOOTER: facts}), sink, compression="zstd")
        store.put(key, sink.getvalue())
    return stage_of(store, name, on, config.table, values.schema.remove_metadata()), config


def name_import(store: Store, name: str, config: Config, facts: Mapping[str, Any]) -> bool:
    """Make a table the one that a name stands for; returns whether it was another. Any: plain JSON."""
    catalog = Catalog.load(store, CATALOG)
    entry = {"on": config.on, "table": config.table, **facts}
    before = catalog.entries.get(name, {}).get("table")
    catalog.update({name: entry})
    return bool(before != config.table)


def describe_import(name: str, entry: Mapping[str, Any]) -> str:
    """One line on an imported table: its rows, key and columns. Any: plain JSON."""
    kinds = ", ".join(f"{column} {kind}" for column, kind in sorted(entry["columns"].items()))
    return f"{name}: {entry['rows']:,} rows by {entry['on']}: {kinds}"


def find_import(store: Store, name: str, where: str) -> tuple[Stage, Config]:
    """The stage of an imported table.

    Raises: ConfigError if the store has no import of that name.
    """
    entries = Catalog.load(store, CATALOG).entries
    entry = entries.get(name)
    if entry is None or not store.exists(table_key(name, entry["table"])):
        hint = nearest(name, entries) if entries and entry is None else ""
        raise ConfigError(
            f"{where}: {store.url} has no import {name!r}{hint}; `bicorpus import {name} FILES --on doc_id --store "
            f"{store.url}` makes one"
        )
    config = Config(on=entry["on"], table=entry["table"])
    with store.open(table_key(name, config.table)) as stream:
        schema = pq.read_schema(stream).remove_metadata()
    values = schema.remove(schema.get_field_index(config.on))
    return stage_of(store, name, config.on, config.table, values), config
