"""The index of a global step: what its map gave, sorted by key and kept under `index/`, so that a later run maps only
the shards that it does not hold.

An index belongs to one set of parameters: its folder is named by their recipe. It is made of sorted runs, one for each
time that shards were added; a run lies in parts, which are ranges of the key. A row says which document it is of by the
shard's place in the list of its run and the row of the shard: 8 bytes.
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
from pipeline.recipe import canonical_json, digest
from pipeline.schema import ROW, ROW_BITS
from pipeline.stage import Global
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

ROW_GROUP = 1 << 16
"""Rows that are read together at least, where a range of keys is asked for."""

PART_ROWS = 8 << 20
"""Aim of rows in a part of a compacted run."""


@dataclass(frozen=True, order=True)
class Holding:
    """A shard as an index holds it: what was mapped."""

    shard: str
    generation: int
    recipe: str


@dataclass(frozen=True)
class Slice:
    """What of a run another numbering of shards wants.

    folder: of its parts. ordinals: int64 (n_shards,), the number that a shard of the run has now, -1 for one that is
    not asked for. erased: uint64, rows of the run that count as gone, whether or not they have left its parts.
    """

    folder: str
    n_parts: int
    ordinals: np.ndarray
    erased: np.ndarray


class Index:
    """The index of one step with one set of parameters.

    parameters: what the recipe was made of, for people.
    """

    def __init__(self, store: Store, step: str, recipe: str, parameters: Mapping[str, Any]) -> None:
        self.store, self.step, self.recipe = store, step, recipe
        self.folder = f"index/{step}/{recipe[:8]}"
        header = json.loads(canonical_json({"recipe": recipe, "parameters": parameters}))
        self.catalog = Catalog.load(store, f"{self.folder}/catalog.json", header)
        self.erasures = Catalog.load(store, f"index/{step}/erased.json")

    @property
    def lease(self) -> str:
        """Name of the lease that whoever changes the index, or reads it for a run, holds."""
        return self.folder.replace("/", "-")

    @property
    def parameters(self) -> dict[str, Any]:
        """What the index was made with: configs by step."""
        return dict(self.catalog.header["parameters"])

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """Entries of the sorted runs by id, the largest first."""
        return dict(sorted(self.catalog.entries.items(), key=lambda item: (-item[1]["rows"], item[0])))

    @property
    def erased(self) -> dict[str, list[int]]:
        """Rows of erased documents by shard; they hold for every index of the step, also for those still to come."""
        return {shard: entry["rows"] for shard, entry in self.erasures.entries.items()}

    def cover(self, wanted: Mapping[Holding, int]) -> tuple[tuple[Slice, ...], list[Holding]]:
        """Which runs hold these shards, each once, under the numbers they are given; and the shards that none holds."""
        left = dict(wanted)
        slices = []
        for name, entry in self.runs.items():
            numbers = [left.pop(holding, -1) for holding in holdings(entry)]
            if any(number >= 0 for number in numbers):
                slices.append(self.slice(name, numbers))
        return tuple(slices), list(left)

    def slice(self, name: str, ordinals: Sequence[int]) -> Slice:
        """A run with the numbers of its shards."""
        entry = self.runs[name]
        erased = run_rows(entry, self.erased)
        return Slice(f"{self.folder}/{name}", entry["parts"], np.array(ordinals, np.int64), erased)

    def commit(self, run: str, held: Sequence[Holding], n_parts: int, n_rows: int, n_bytes: int) -> None:
        """Take up a run all of whose parts are written."""
        shards = [[h.shard, h.generation, h.recipe] for h in held]
        self.catalog.update({run: {"shards": shards, "parts": n_parts, "rows": n_rows, "bytes": n_bytes}})

    def replace(self, names: Iterable[str]) -> None:
        """Forget runs and delete their parts."""
        names = list(names)
        self.catalog.update({}, remove=names)
        for name in names:
            self.store.delete_prefix(f"{self.folder}/{name}")

    def sweep(self) -> None:
        """Delete parts of runs that were never taken up: whoever wrote them was stopped."""
        folders = {key.rpartition("/")[0] for key, _ in self.store.list(self.folder)} - {self.folder}
        for folder in sorted(folders - {f"{self.folder}/{name}" for name in self.runs}):
            self.store.delete_prefix(folder)

    def erase(self, rows: Mapping[str, Sequence[int]]) -> int:
        """Take the keys of documents out of every run and keep them out; returns how many rows went.

        They count as gone from the first write on; a second call ends what one that was stopped left in the parts.
        """
        self.erasures.update(
            {shard: {"rows": sorted({*self.erased.get(shard, ()), *new})} for shard, new in rows.items()}
        )
        n_gone = 0
        for name, entry in self.runs.items():
            gone = run_rows(entry, rows)
            if not len(gone):
                continue
            sizes = []
            for part in range(entry["parts"]):
                table = read_index_part(self.store, f"{self.folder}/{name}", part)
                left = drop_rows(table, gone)
                n_gone += table.num_rows - left.num_rows
                sizes.append(
                    (write_index_part(self.store, f"{self.folder}/{name}", part, left), left.num_rows)
                )
            n_bytes, n_rows = (sum(column) for column in zip(*sizes, strict=True))
            self.catalog.update({name: {**entry, "rows": n_rows, "bytes": n_bytes}})
        return n_gone

    def others(self) -> dict[str, dict[str, Any]]:
        """Parameters of the store's other indexes of this step, by folder."""
        keys = [key for key, _ in self.store.list(f"index/{self.step}") if key.endswith("/catalog.json")]
        found = {key.rpartition("/")[0]: Catalog.load(self.store, key).header for key in sorted(keys)}
        return {folder: h.get("parameters", {}) for folder, h in found.items() if folder != self.folder}


def open_index(store: Store, step: Step, recipes: Recipes) -> Index | None:
    """The index of a step as the run file sets it up; None for a step that has none."""
    if not isinstance(step.definition, Global) or not step.definition.indexed:
        return None
    steps = [recipes.steps[name] for name in upstream_of(step.name, recipes.steps)]
    parameters = {s.name: {"version": s.definition.version, **dataclasses.asdict(s.config)} for s in steps}
    return Index(store, step.name, recipes.static[step.name], parameters)


def recipes_of(run: RunFile, store: Store) -> Recipes:
    """Recipes of a run over a store, whose indexes may leave documents out: that changes what a step finds."""
    recipes = Recipes(run)
    indexes = [(step.name, open_index(store, step, recipes)) for step in run.globals]
    erased = {name: index.erased for name, index in indexes if index is not None and index.erased}
    return Recipes(run, erased=erased) if erased else recipes


def holdings(entry: Mapping[str, Any]) -> list[Holding]:
    """The shards of a run's entry, in the order in which its rows number them."""
    return [Holding(*shard) for shard in entry["shards"]]


def run_name(held: Sequence[Holding]) -> str:
    """Name of a run that holds these shards."""
    return digest([[h.shard, h.generation, h.recipe] for h in held])[:16]


def run_rows(entry: Mapping[str, Any], rows: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Rows of shards as a run numbers them: uint64."""
    shards = enumerate(holding.shard for holding in holdings(entry))
    return np.array([(i << ROW_BITS) + row for i, shard in shards for row in rows.get(shard, ())], np.uint64)


def drop_rows(table: pa.Table, gone: np.ndarray) -> pa.Table:
    """Leave out what is of some rows; gone, uint64, numbered as those of the table."""
    return table.filter(pa.array(~np.isin(table[ROW].to_numpy(), gone))) if len(gone) else table


def renumber(table: pa.Table, ordinals: np.ndarray) -> pa.Table:
    """Give the shards of rows other numbers; rows of shards with a negative one are left out."""
    if len(ordinals) and ordinals[0] >= 0 and (np.diff(ordinals) == 1).all():  # most often all move together
        if not ordinals[0]:
            return table
        rows = table[ROW].to_numpy() + np.uint64(int(ordinals[0]) << ROW_BITS)
        return table.set_column(table.schema.get_field_index(ROW), ROW, pa.array(rows))
    rows = table[ROW].to_numpy()
    number = ordinals[(rows >> np.uint64(ROW_BITS)).astype(np.int64)]
    wanted = number >= 0
    inside = rows & np.uint64((1 << ROW_BITS) - 1)
    rows = (number.astype(np.uint64) << np.uint64(ROW_BITS)) | inside
    place = table.schema.get_field_index(ROW)
    table = table.set_column(place, ROW, pa.array(rows))
    return table if wanted.all() else table.filter(pa.array(wanted))


def key_bounds(partition: int, n_partitions: int) -> tuple[int, int]:
    """The upper 32 bits of the keys of a partition: from, up to but not including."""
    low, high = (-(-(i << 32) // n_partitions) for i in (partition, partition + 1))
    return low, high


def read_range(store: Store, slices: Sequence[Slice], partition: int, n_partitions: int) -> list[pa.Table]:
    """The rows of a partition of keys in some runs, sorted by key in each, numbered as the slices say."""
    low, high = key_bounds(partition, n_partitions)
    if low == high:  # more partitions than values of 32 bits: no key is here
        return []
    tables = []
    for run in slices:
        first, last = low * run.n_parts >> 32, (high - 1) * run.n_parts >> 32
        for part in range(first, last + 1):
            table = drop_rows(read_index_part(store, run.folder, part, (low << 32, high << 32)), run.erased)
            tables.append(renumber(table, run.ordinals))
    return tables


def read_index_part(store: Store, folder: str, part: int, span: tuple[int, int] | None = None) -> pa.Table:
    """A part of a run; with `span`, its rows with a key from the first to before the second."""
    with store.open(index_part_key(folder, part)) as stream:
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
    """Row groups of a part that hold rows: number, least and greatest key."""
    groups = [(i, file.metadata.row_group(i)) for i in range(file.num_row_groups)]
    statistics = [(i, group.column(0).statistics) for i, group in groups if group.num_rows]
    return [(i, column.min, column.max) for i, column in statistics]


def find_keys(store: Store, run: Slice, keys: np.ndarray) -> pa.Table:
    """Rows of a run with one of some keys, sorted and distinct; only the row groups that may hold one are read."""
    tables = []
    parts = (keys >> np.uint64(32)) * np.uint64(run.n_parts) >> np.uint64(32)
    for part in np.unique(parts).tolist():
        mine = keys[parts == part]
        with store.open(index_part_key(run.folder, part)) as stream:
            file = pq.ParquetFile(stream)
            chosen = [
                i
                for i, low, high in key_ranges(file)
                if np.searchsorted(mine, np.uint64(low)) < np.searchsorted(mine, np.uint64(high), "right")
            ]
            table = file.read_row_groups(chosen)
        table = table.filter(pa.array(np.isin(table["key"].to_numpy(), mine)))
        tables.append(renumber(drop_rows(table, run.erased), run.ordinals))
    return pa.concat_tables(tables)


def write_index_part(store: Store, folder: str, part: int, table: pa.Table) -> int:
    """Write a part of a run, sorted by key; returns its bytes."""
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
    """Where a part of a run lies."""
    return f"{folder}/part-{part:05d}.parquet"
