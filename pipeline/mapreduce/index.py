"""The index of a global step: its map output, sorted by key and stored under `index/`, so that a later run maps only
shards that the index lacks.

An index belongs to one set of parameters: its folder is named by their recipe. It consists of sorted runs, one for each
time that shards were added, and each run consists of files (parts), which are ranges of the key. A row identifies its
document by the position of the shard in the shard list of its run, and the row of the shard: 8 bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.addresses import Recipes
from pipeline.config.phases import upstream_of
from pipeline.config.run_file import RunFile, Step
from pipeline.dataset.shard import opened
from pipeline.recipe import canonical_json, digest
from pipeline.schema import ROW, ROW_BITS
from pipeline.stage import Global
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

ROW_GROUP = 1 << 16
"""Rows of a row group: the least that is read for a range of keys."""

PART_ROWS = 8 << 20
"""Target number of rows in a part of a compacted run."""


@dataclass(frozen=True, order=True)
class Holding:
    """A shard of an index. recipe: digest of the sidecars that were mapped."""

    shard: str
    generation: int
    recipe: str


@dataclass(frozen=True)
class Slice:
    """A run of an index, with the shard ordinals of the current build.

    folder: of its parts. ordinals: int64 (n_shards,), current ordinal of each shard of the run, -1 for shards to leave
    out. erased: uint64 (n_erased,), rows of the run to leave out, whether or not its parts still contain them.
    """

    folder: str
    n_parts: int
    ordinals: np.ndarray
    erased: np.ndarray


class Index:
    """The index of one step with one set of parameters.

    parameters: plain values that the recipe was computed from, for display.
    """

    def __init__(self, store: Store, step: str, recipe: str, parameters: Mapping[str, Any]) -> None:
        self.store, self.step, self.recipe = store, step, recipe
        self.folder = f"index/{step}/{recipe[:8]}"
        header = json.loads(canonical_json({"recipe": recipe, "parameters": parameters}))
        self.catalog = Catalog.load(store, f"{self.folder}/catalog.json", header)
        self.erasures = Catalog.load(store, f"index/{step}/erased.json")

    @property
    def lease(self) -> str:
        """Name of the lease to hold while changing the index, or reading it for a build."""
        return self.folder.replace("/", "-")

    @property
    def parameters(self) -> dict[str, Any]:
        """Versions and configs of the steps that the index depends on, by step."""
        return dict(self.catalog.header["parameters"])

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """Catalog entries of the sorted runs by id, largest first."""
        return dict(sorted(self.catalog.entries.items(), key=lambda item: (-item[1]["rows"], item[0])))

    @property
    def erased(self) -> dict[str, list[int]]:
        """Rows of erased documents by shard id; they apply to every index of the step, future ones included."""
        return {shard: entry["rows"] for shard, entry in self.erasures.entries.items()}

    def cover(self, ordinals: Mapping[Holding, int]) -> tuple[tuple[Slice, ...], list[Holding]]:
        """Find the runs that contain some shards, each once.

        Args: ordinals, of the shards.
        Returns: the runs with these ordinals, and the shards that no run contains.
        """
        missing = dict(ordinals)
        slices = []
        for name, entry in self.runs.items():
            run_ordinals = [missing.pop(holding, -1) for holding in holdings(entry)]
            if any(ordinal >= 0 for ordinal in run_ordinals):
                slices.append(self.slice(name, run_ordinals))
        return tuple(slices), list(missing)

    def slice(self, name: str, ordinals: Sequence[int]) -> Slice:
        """A run with ordinals for its shards, in its order."""
        entry = self.runs[name]
        erased = run_rows(entry, self.erased)
        return Slice(f"{self.folder}/{name}", entry["parts"], np.array(ordinals, np.int64), erased)

    def commit(self, run: str, holdings: Sequence[Holding], n_parts: int, n_rows: int, n_bytes: int) -> None:
        """Add a run to the catalog, once all of its parts are written."""
        shards = [[holding.shard, holding.generation, holding.recipe] for holding in holdings]
        self.catalog.update({run: {"shards": shards, "parts": n_parts, "rows": n_rows, "bytes": n_bytes}})

    def replace(self, names: Iterable[str]) -> None:
        """Remove runs from the catalog and delete their parts."""
        names = list(names)
        self.catalog.update({}, remove=names)
        for name in names:
            self.store.delete_prefix(f"{self.folder}/{name}")

    def sweep(self) -> None:
        """Delete parts of runs that are not in the catalog, because their build was stopped."""
        folders = {key.rpartition("/")[0] for key, _ in self.store.list(self.folder)} - {self.folder}
        for folder in sorted(folders - {f"{self.folder}/{name}" for name in self.runs}):
            self.store.delete_prefix(folder)

    def count(self, rows: Mapping[str, Sequence[int]]) -> int:
        """Number of rows of some documents in all runs. rows: by shard id."""
        n_rows = 0
        for name, entry in self.runs.items():
            wanted = run_rows(entry, rows)
            for part in range(entry["parts"]) if len(wanted) else ():
                table = read_index_part(self.store, f"{self.folder}/{name}", part)
                n_rows += table.num_rows - drop_rows(table, wanted).num_rows
        return n_rows

    def erase(self, rows: Mapping[str, Sequence[int]]) -> int:
        """Remove the rows of documents from every run, for good; returns how many rows were removed.

        They are left out as soon as the catalog is written; if a call is stopped, a second one removes the rest.

        Args: rows, by shard id.
        """
        self.erasures.update(
            {shard: {"rows": sorted({*self.erased.get(shard, ()), *new})} for shard, new in rows.items()}
        )
        n_removed = 0
        for name, entry in self.runs.items():
            erased = run_rows(entry, rows)
            if not len(erased):
                continue
            sizes = []
            for part in range(entry["parts"]):
                table = read_index_part(self.store, f"{self.folder}/{name}", part)
                remaining = drop_rows(table, erased)
                n_removed += table.num_rows - remaining.num_rows
                sizes.append(
                    (
                        write_index_part(self.store, f"{self.folder}/{name}", part, remaining),
                        remaining.num_rows,
                    )
                )
            n_bytes, n_rows = (sum(column) for column in zip(*sizes, strict=True))
            self.catalog.update({name: {**entry, "rows": n_rows, "bytes": n_bytes}})
        return n_removed

    def others(self) -> dict[str, dict[str, Any]]:
        """Parameters of the other indexes of this step in the store, by folder."""
        keys = [key for key, _ in self.store.list(f"index/{self.step}") if key.endswith("/catalog.json")]
        headers = {key.rpartition("/")[0]: Catalog.load(self.store, key).header for key in sorted(keys)}
        return {folder: h.get("parameters", {}) for folder, h in headers.items() if folder != self.folder}


def open_index(store: Store, step: Step, recipes: Recipes) -> Index | None:
    """The index of a step with the settings of the run file; None for a step that is not indexed."""
    if not isinstance(step.definition, Global) or not step.definition.indexed:
        return None
    steps = [recipes.steps[name] for name in upstream_of(step.name, recipes.steps)]
    parameters = {s.name: {"version": s.definition.version, **dataclasses.asdict(s.config)} for s in steps}
    return Index(store, step.name, recipes.static[step.name], parameters)


def recipes_of(run: RunFile, store: Store) -> Recipes:
    """Recipes of a run over a store; documents erased from its indexes change the results of global steps."""
    recipes = Recipes(run)
    indexes = [(step.name, open_index(store, step, recipes)) for step in run.globals]
    erased = {name: index.erased for name, index in indexes if index is not None and index.erased}
    return Recipes(run, erased=erased) if erased else recipes


def holdings(entry: Mapping[str, Any]) -> list[Holding]:
    """The shards of a run's catalog entry, in the order of the ordinals in its rows."""
    return [Holding(*shard) for shard in entry["shards"]]


def run_name(holdings: Sequence[Holding]) -> str:
    """Name of a run of these shards: 16 hex digits."""
    return digest([[holding.shard, holding.generation, holding.recipe] for holding in holdings])[:16]


def run_rows(entry: Mapping[str, Any], rows: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Row numbers of a run, uint64 (n,), for rows of shards. rows: by shard id."""
    shards = enumerate(holding.shard for holding in holdings(entry))
    return np.array([(i << ROW_BITS) + row for i, shard in shards for row in rows.get(shard, ())], np.uint64)


def drop_rows(table: pa.Table, erased: np.ndarray) -> pa.Table:
    """Remove rows by their number, `row`. erased: uint64 (n_erased,)."""
    return table.filter(pa.array(~np.isin(table[ROW].to_numpy(), erased))) if len(erased) else table


def renumber(table: pa.Table, ordinals: np.ndarray) -> pa.Table:
    """Replace the shard ordinal i in `row` by ordinals[i]; rows are left out where that is negative.

    Args: ordinals, int64 (n_shards,).
    """
    # the common case: all shards shift by the same number
    if len(ordinals) and ordinals[0] >= 0 and (np.diff(ordinals) == 1).all():
        if not ordinals[0]:
            return table
        rows = table[ROW].to_numpy() + np.uint64(int(ordinals[0]) << ROW_BITS)
        return table.set_column(table.schema.get_field_index(ROW), ROW, pa.array(rows))
    rows = table[ROW].to_numpy()
    number = ordinals[(rows >> np.uint64(ROW_BITS)).astype(np.int64)]
    is_kept = number >= 0
    inside = rows & np.uint64((1 << ROW_BITS) - 1)
    rows = (number.astype(np.uint64) << np.uint64(ROW_BITS)) | inside
    index = table.schema.get_field_index(ROW)
    table = table.set_column(index, ROW, pa.array(rows))
    return table if is_kept.all() else table.filter(pa.array(is_kept))


def key_bounds(partition: int, n_partitions: int) -> tuple[int, int]:
    """Range of the upper 32 bits of the keys of a partition, half-open."""
    low, high = (-(-(i << 32) // n_partitions) for i in (partition, partition + 1))
    return low, high


def read_range(store: Store, slices: Sequence[Slice], partition: int, n_partitions: int) -> list[pa.Table]:
    """Read the rows of one partition of the keys: a table for each part, sorted by key, with current row numbers."""
    low, high = key_bounds(partition, n_partitions)
    if low == high:  # more partitions than values of 32 bits: no key is here
        return []
    tables = []
    for run in slices:
        first_part, last_part = low * run.n_parts >> 32, (high - 1) * run.n_parts >> 32
        for part in range(first_part, last_part + 1):
            table = drop_rows(read_index_part(store, run.folder, part, (low << 32, high << 32)), run.erased)
            tables.append(renumber(table, run.ordinals))
    return tables


def read_index_part(store: Store, folder: str, part: int, span: tuple[int, int] | None = None) -> pa.Table:
    """Read a part of a run, or its rows with keys in the half-open range `span`."""
    with opened(store, index_part_key(folder, part)) as stream:
        file = pq.ParquetFile(stream)
        if span is None:
            return file.read()
        groups = key_ranges(file)
        table = file.read_row_groups([i for i, low, high in groups if low < span[1] and high >= span[0]])
    keys = table["key"].to_numpy()
    low = np.searchsorted(keys, np.uint64(span[0]))
    high = len(keys) if span[1] == 1 << 64 else np.searchsorted(keys, np.uint64(span[1]))
    return table.slice(low, high - low)


def key_ranges(file: pq.ParquetFile) -> list[tuple[int, int, int]]:
    """Index, least and greatest key of each row group that is not empty."""
    groups = [(i, file.metadata.row_group(i)) for i in range(file.num_row_groups)]
    statistics = [(i, group.column(0).statistics) for i, group in groups if group.num_rows]
    return [(i, column.min, column.max) for i, column in statistics]


def find_keys(store: Store, run: Slice, keys: np.ndarray) -> pa.Table:
    """Read the rows of a run with one of `keys`, from only the row groups that may contain one.

    Args: keys, uint64 (n_keys,), sorted and distinct.
    """
    tables = []
    parts = (keys >> np.uint64(32)) * np.uint64(run.n_parts) >> np.uint64(32)
    for part in np.unique(parts).tolist():
        part_keys = keys[parts == part]
        with opened(store, index_part_key(run.folder, part)) as stream:
            file = pq.ParquetFile(stream)
            chosen = [
                i
                for i, low, high in key_ranges(file)
                if np.searchsorted(part_keys, np.uint64(low))
                < np.searchsorted(part_keys, np.uint64(high), "right")
            ]
            table = file.read_row_groups(chosen)
        table = table.filter(pa.array(np.isin(table["key"].to_numpy(), part_keys)))
        tables.append(renumber(drop_rows(table, run.erased), run.ordinals))
    return pa.concat_tables(tables)


def write_index_part(store: Store, folder: str, part: int, table: pa.Table) -> int:
    """Write a part of a run; returns its size in bytes. table: sorted by key."""
    sink = pa.BufferOutputStream()
    names = table.column_names
    table = table.select(["key", *(name for name in names if name != "key")])
    # packed differences of hashes do not compress; the bytes of row numbers do, three times as fast one by one
    encoding = {"key": "DELTA_BINARY_PACKED", ROW: "BYTE_STREAM_SPLIT"}
    pq.write_table(
        table, sink, compression={name: "none" if name == "key" else "zstd" for name in names},
        row_group_size=ROW_GROUP, use_dictionary=False, write_statistics=["key"],
        column_encoding={name: encoding[name] for name in names if name in encoding},
    )  # fmt: skip
    buffer = sink.getvalue()
    store.put(index_part_key(folder, part), buffer)
    return int(buffer.size)


def index_part_key(folder: str, part: int) -> str:
    """Key of a part of a run in the store."""
    return f"{folder}/part-{part:05d}.parquet"
