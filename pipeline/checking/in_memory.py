"""Steps run in memory on texts, without engine or store, for tests, checks and notebooks.

Columns of other steps that a step reads are computed first, on the same documents. A global step runs as in the engine:
map, exchange by key range, reduce, finish.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.mapreduce.replies import answer_rows, sort_by_key
from pipeline.mapreduce.shuffle import partition_of
from pipeline.schema import CANONICAL, ROW, ROW_BITS, SPANS
from pipeline.stage import Annotate, Global, Outcome, Stage, as_step, outcome_of

FORMAL = {name: f"dedup.{name}" for name in ("cluster", "pairs")}
FORMAL |= {name: f"substring.{name}" for name in ("passages", "n_chars")}
"""Formal columns of keepers and owners -> the columns used instead in memory, where no run file names a step."""

PACKAGES = ("classifiers", "stages")
"""Packages in which `find_step` looks for steps."""


def find_step(name: str, packages: Sequence[str] = PACKAGES) -> Stage | Global:
    """Find the step that writes the columns `name.*`: in the module of that name, else in any module of the packages.

    Raises: LookupError if there is none.
    """
    for module in _modules(name, packages):
        try:
            definitions = vars(importlib.import_module(module))
        except Exception:  # a module that cannot be imported here cannot compute the column either
            continue
        for attribute in ("STAGE", "GLOBAL"):
            step = as_step(definitions.get(attribute), module)
            if isinstance(step, (Stage, Global)) and step.name == name:
                return step
    raise LookupError(f"no stage or global step of {', '.join(packages)} is named {name!r}")


def _modules(name: str, packages: Sequence[str]) -> Iterator[str]:
    yield from (f"{package}.{name}" for package in packages)
    for package in packages:
        try:
            path = importlib.import_module(package).__path__
        except (ImportError, AttributeError):  # no such package, or a plain module
            yield package
            continue
        yield from (info.name for info in pkgutil.walk_packages(path, f"{package}.", onerror=lambda _: None))


def table_of(documents: Sequence[str | None], first: int = 0) -> pa.Table:
    """Return canonical documents with these texts, and plausible values in the other columns.

    Args: first, position of the first document in its file, from which doc_ids are computed; source_ids repeat.
    Returns: a table of schema.CANONICAL.
    """
    rows = [
        {
            "doc_id": base64.b32encode(hashlib.md5(str(n).encode()).digest())[:26].decode().lower(),
            "text": text,
            "source_id": f"s{n % 7}",
            "url": f"https://www.example.org/news/{n}.html",
            "host": "www.example.org",
            "date": "2024-05-06",
            "snapshot": "CC-MAIN-2024-22",
            "source": "crawl",
            "license": "CC0-1.0",
            "provenance": "human",
            "parent_id": None,
            "meta": '{"title":"标题 title"}',
            "text_hash": None if text is None else xxhash.xxh3_128_hexdigest(text.encode()),
            "text_bytes": None if text is None else len(text.encode()),
            "input": "part-0.jsonl",
            "input_row": n,
        }
        for n, text in enumerate(documents, first)
    ]
    return pa.Table.from_pylist(rows, schema=CANONICAL)


def number_rows(shards: Sequence[pa.Table]) -> list[pa.Table]:
    """Append the column `row`, uint64: shard ordinal << 32 | row of the shard."""
    return [
        shard.append_column(
            "row", pa.array((ordinal << ROW_BITS) + np.arange(shard.num_rows, dtype=np.uint64), pa.uint64())
        )
        for ordinal, shard in enumerate(shards)
    ]


def run_global(step: Global, shards: Sequence[pa.Table], config: object, n_partitions: int = 1) -> Outcome:
    """Run `step` over shards that have the columns of its `reads` and `row`.

    A formal column that a shard lacks is taken from the column that FORMAL names.
    """
    if step.answer is not None:
        return Outcome(rows=run_answering(step, shards, config, n_partitions))
    mapped = pa.concat_tables([step.map(_inputs(step, shard), config) for shard in shards])
    order = [("key", "ascending"), *([("row", "ascending")] if "row" in mapped.column_names else [])]
    bounds = np.array([(i << 64) // n_partitions for i in range(1, n_partitions)], np.uint64)
    partition = np.searchsorted(bounds, mapped["key"].to_numpy(), side="right")
    partitions = [mapped.filter(pa.array(partition == i)).sort_by(order) for i in range(n_partitions)]
    results = pa.concat_tables([step.reduce(rows, config) for rows in partitions])
    if not step.rounds or n_partitions == 1:
        return step.finish(results, config)
    # as many groups of shards as partitions, some of them without a shard
    return outcome_of(step, results, config, [i * len(shards) // n_partitions for i in range(n_partitions)])


def _inputs(step: Global, shard: pa.Table) -> pa.Table:
    """The columns of a step's `reads`, and `row`."""
    names = [*step.reads, ROW]
    stored = [name if name in shard.column_names else FORMAL.get(name, name) for name in names]
    return shard.select(stored).rename_columns(names)


def run_answering(
    step: Global, shards: Sequence[pa.Table], config: object, n_partitions: int = 1
) -> pa.Table:
    """Run a step with `answer` over shards, each of which is one batch; returns its rows."""
    assert step.answer is not None
    questions = [sort_by_key(step.map(shard.select([*step.reads, "row"]), config))[0] for shard in shards]
    partitions = [partition_of(table["key"].to_numpy(), n_partitions) for table in questions]
    pieces = [
        [
            table.filter(pa.array(partition == i))
            for table, partition in zip(questions, partitions, strict=True)
        ]
        for i in range(n_partitions)
    ]
    answers = [answer_rows(step, pa.concat_tables(piece), config) for piece in pieces]
    rows = []
    for number, shard in enumerate(shards):
        offsets = [sum(table.num_rows for table in piece[:number]) for piece in pieces]
        shard_answers = [
            table.slice(offset, piece[number].num_rows)
            for table, offset, piece in zip(answers, offsets, pieces, strict=True)
        ]
        names = [name for name in step.reads if name != "text"]
        rows.append(
            step.answer(
                shard.select([*names, "row"]), pa.concat_tables(shard_answers).combine_chunks(), config
            )
        )
    return pa.concat_tables(rows)


def align(outcome: Outcome, shards: Sequence[pa.Table], step: Global) -> list[pa.Table]:
    """Append the row-aligned columns of an outcome to the shards as `step.column`; missing rows are null."""
    assert outcome.rows is not None
    positions = {row: i for i, row in enumerate(outcome.rows["row"].to_pylist())}
    joined = []
    for shard in shards:
        index = pa.array([positions.get(row) for row in shard["row"].to_pylist()], pa.int64())
        for field in step.writes:
            column = outcome.rows[field.name].take(index).cast(field.type)
            shard = shard.append_column(f"{step.name}.{field.name}", column)
        joined.append(shard)
    return joined


def extend(
    step: Stage | Global, shards: Sequence[pa.Table], config: object, n_partitions: int = 1
) -> list[pa.Table]:
    """Append the columns of a step to shards that have the columns of its `reads`, and `row`."""
    if isinstance(step, Global):
        return align(run_global(step, shards, config, n_partitions), shards, step)
    annotate, extended = step.load(config), []
    for shard in shards:
        columns = annotate(shard.select(step.reads))
        for name in columns.column_names:
            shard = shard.append_column(f"{step.name}.{name}", columns[name])
        extended.append(shard)
    return extended


class Corpus:
    """Canonical documents in shards, with columns of other steps, which are computed when they are needed.

    find: name of a step -> the step; if it raises LookupError, sample values take the place of the columns.
    """

    def __init__(self, shards: Sequence[pa.Table], find: Callable[[str], Stage | Global] = find_step) -> None:
        self.shards = number_rows(shards)
        self.find = find
        self.written: dict[str, list[pa.Table]] = {}

    def inputs(self, step: Stage | Global) -> list[pa.Table]:
        """The columns that a step reads, one table per shard; for a global step also `row`."""
        names = [*step.reads, ROW] if isinstance(step, Global) else list(step.reads)
        columns = [self.column(name) for name in names]
        return [pa.table(list(values), names=names) for values in zip(*columns, strict=True)]

    def outcome(self, step: Global, n_partitions: int = 1) -> Outcome:
        """Run a global step with its default config."""
        return run_global(step, self.inputs(step), step.config(), n_partitions)

    def column(self, name: str) -> list[pa.ChunkedArray | pa.Array]:
        """A canonical column, or one of a step, `stage.column`: one array per shard."""
        name = FORMAL.get(name, name)
        prefix, dot, column = name.partition(".")
        if not dot:
            is_canonical = name == ROW or name in CANONICAL.names
            return [
                shard[name] if is_canonical else formal_values(name, shard.num_rows) for shard in self.shards
            ]
        if prefix not in self.written:
            try:
                step = self.find(prefix)
            except LookupError:
                return [sample_values(column, shard.num_rows) for shard in self.shards]
            self.written[prefix] = self._run(step)
        return [table[column] for table in self.written[prefix]]

    def _run(self, step: Stage | Global) -> list[pa.Table]:
        if isinstance(step, Stage):
            return [loaded(step)(table) for table in self.inputs(step)]
        joined = align(self.outcome(step), self.shards, step)
        names = [f"{step.name}.{column}" for column in step.writes.names]
        return [table.select(names).rename_columns(step.writes.names) for table in joined]


_LOADED: dict[str, tuple[Stage, Annotate]] = {}


def loaded(stage: Stage) -> Annotate:
    """The annotate function of a stage with its default config, loaded once per process."""
    if stage.name not in _LOADED or _LOADED[stage.name][0] is not stage:
        _LOADED[stage.name] = stage, stage.load(stage.config())
    return _LOADED[stage.name][1]


def sample_values(column: str, n_rows: int) -> pa.Array:
    """Sample values for a column of a step that was not found: (n_rows,), with a dtype guessed from the name."""
    if column.startswith("n_"):
        return pa.array(np.arange(n_rows) * 7 % 50, pa.int32())
    if column.endswith(("share", "score", "ratio")):
        return pa.array(np.arange(n_rows) % 11 / 10, pa.float32())
    if column == "spans":
        return pa.array([[] for _ in range(n_rows)], SPANS)
    return pa.array([("eng_Latn", "zho_Hans", None)[row % 3] for row in range(n_rows)], pa.string())


def formal_values(name: str, n_rows: int) -> pa.Array:
    """Sample values (n_rows,) for a column of schema.HANDED: `order`, `step`, or a bool column."""
    numbers = np.arange(n_rows) * 7 % 5
    if name == "order":
        return pa.array([[float(number)] for number in numbers], pa.list_(pa.float64()))
    if name == "step":
        return pa.repeat(pa.scalar(0, pa.int32()), n_rows)
    return pa.array(numbers != 3)


def split_batches(table: pa.Table, sizes: Iterable[int]) -> list[pa.Table]:
    """Split a table into batches of these sizes and a rest; at least one batch."""
    parts, start = [], 0
    for size in sizes:
        if start < table.num_rows:
            parts.append(table.slice(start, size))
            start += size
    if start < table.num_rows or not parts:
        parts.append(table.slice(start))
    return parts


def values(table: pa.Table) -> str:
    """Schema and values of a table as text, so that equal tables compare equal, NaN included."""
    return f"{table.schema}\n{table.to_pylist()}"
