"""Imported tables: external scores and verdicts stored under a name, and the stage that joins them to documents.

A run file names an imported table in `annotate`. The stage joins by the key column, so it works for any shard,
including shards that are ingested later. A worker loads the whole table once; the keys of a batch are looked up by one
vectorised binary search, so that no row becomes a Python object.
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
from pipeline.translation import t

CATALOG = "imports/catalog.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """on: the canonical column to join by; table: digest of the imported table, key and values."""

    on: str
    table: str


class Lookup:
    """Joins documents to the rows of a table, whose first column contains the keys, sorted and unique."""

    def __init__(self, table: pa.Table) -> None:
        self.on = table.column_names[0]
        self.keys: pa.Array = table[self.on].cast(pa.large_string()).combine_chunks()
        self.values = table.drop_columns([self.on]).combine_chunks()

    def rows(self, keys: pa.ChunkedArray) -> np.ndarray:
        """Return the row of each key in the table: int64 (n,), -1 for null and for keys that are not in it.

        Args: keys, string (n,).
        """
        targets = keys.cast(pa.large_string()).combine_chunks()
        last = len(self.keys) - 1
        low, high = np.zeros(len(targets), np.int64), np.full(len(targets), last + 1)
        for _ in range((last + 1).bit_length()):
            middle = (low + high) // 2
            before = _true(pc.less(self.keys.take(pa.array(np.minimum(middle, last))), targets))
            searching = low < high
            low, high = (
                np.where(searching & before, middle + 1, low),
                np.where(searching & ~before, middle, high),
            )
        rows = np.minimum(low, last)
        return np.where(_true(pc.equal(self.keys.take(pa.array(rows)), targets)), rows, -1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the table's values for each document of a batch, null for documents without a row."""
        rows = self.rows(batch[self.on])
        return self.values.take(pa.array(rows, mask=rows < 0))


def _true(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(values, False)).astype(bool)


@dataclass(frozen=True)
class Stored:
    """Loads an imported table from its store, once per worker; it is the `load` of the stage."""

    store: Store
    key: str

    def __call__(self, config: Config) -> Lookup:
        """Return the lookup for the table.

        Raises: AlignmentError if the file does not contain the table with the digest of the config.
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
    """Return the rows that have a key.

    Raises: InputError if there is none.
    """
    table = table.filter(pc.fill_null(pc.not_equal(table[on], ""), False))
    if not table.num_rows:
        raise InputError(f"no row has a {on}; expected at least one")
    return table


def prepare(table: pa.Table) -> pa.Table:
    """Sort a table by its first column, the key, keep one row per key, and order the other columns by name.

    Raises: InputError, naming the key, if two rows of one key have different values.
    """
    on = table.column_names[0]
    table = table.select([on, *sorted(table.column_names[1:])]).take(pc.sort_indices(table[on]))
    later, earlier = table.slice(1), table.slice(0, table.num_rows - 1)
    repeated = _true(pc.equal(later[on], earlier[on]))
    for name in table.column_names[1:]:
        rows = np.flatnonzero(repeated)
        indices = pa.array(rows)
        differs = different(earlier[name].take(indices), later[name].take(indices))
        if differs.any():
            row = int(rows[differs.argmax()])
            more = f", and so for {int(differs.sum()) - 1:,} more" if differs.sum() > 1 else ""
            raise InputError(
                f"the {on} {table[on][row].as_py()!r} has two rows with different values: {name} "
                f"{earlier[name][row].as_py()!r} and {later[name][row].as_py()!r}{more}. Keep one row for each {on}"
            )
    return table.filter(pa.array(np.concatenate([[True], ~repeated]))).combine_chunks()


def different(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    """Return for each row whether two columns of (n,) differ: bool (n,).

    Two nulls are equal; lists and structs are compared by their `repr`.
    """
    if pa.types.is_nested(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return np.array([repr(a) != repr(b) for a, b in pairs], bool)
    both_null = _true(pc.and_(pc.is_null(left), pc.is_null(right)))
    differs: np.ndarray = ~(_true(pc.equal(left, right)) | both_null)
    return differs


def stage_of(store: Store, name: str, on: str, digest: str, values: pa.Schema) -> Stage:
    """Return the stage that writes the values of an imported table; it reads text only to check spans."""
    has_spans = any(dtype == SPANS for dtype in values.types)
    return Stage(
        name=name, version=VERSION, config=Config, reads=(on, "text") if has_spans else (on,), writes=values,
        load=Stored(store, table_key(name, digest)),
    )  # fmt: skip


def table_key(name: str, digest: str) -> str:
    """Return the key of an imported table in the store."""
    return f"imports/{name}/{digest[:16]}.parquet"


def put_import(store: Store, name: str, table: pa.Table) -> tuple[Stage, Config]:
    """Store a prepared table under its digest and return its stage and config; `name_import` then names it."""
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
    """Make a name refer to a table; return whether it referred to another or none before. Any: plain JSON."""
    catalog = Catalog.load(store, CATALOG)
    entry = {"on": config.on, "table": config.table, **facts}
    previous = catalog.entries.get(name, {}).get("table")
    catalog.update({name: entry})
    return bool(previous != config.table)


def describe_import(name: str, entry: Mapping[str, Any]) -> str:
    """Return one line about an imported table: its rows, key and columns. Any: plain JSON."""
    columns = ", ".join(f"{column} {dtype}" for column, dtype in sorted(entry["columns"].items()))
    return t(f"{name}: {entry['rows']:,} rows by {entry['on']}: {columns}")


def find_import(store: Store, name: str, where: str) -> tuple[Stage, Config]:
    """Return the stage and config of an imported table; `where` is the setting that an error names.

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
