"""Interfaces of stages, global steps and readers: records of a name, a version, a config class and pure functions.

A stage is a module with `SCHEMA`, functions, `STAGE` and, if it has settings, `Config`; a global step has `GLOBAL`; a
reader has `READER`. The engine loads them by dotted module name and knows nothing else about them.
"""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa

from pipeline.errors import BicorpusError, ConfigError, StageError
from pipeline.rounds import Close, Round, Tables, play_in_memory
from pipeline.schema import CANONICAL, ROW
from pipeline.service import Served, Services


@dataclass(frozen=True, kw_only=True)
class NoConfig:
    """The config of a step without settings."""


Annotate = Callable[[pa.Table], pa.Table]
"""Same rows, same order; the result's schema is the stage's `writes`."""


_NO_COLUMNS = pa.schema([])


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A measurement of each document, independent of all others.

    name: snake_case; prefix of its columns and folder of its sidecars; it never changes.
    version: must be raised when the output changes, which the golden file enforces.
    config: a frozen dataclass, every field of which affects the output; left out by a stage without settings.
    reads: canonical columns (`text`) and columns of other stages (`language.label`); the loaded function receives a
        table with exactly these.
    load: config -> Annotate; models and lists are read here, once per process. `each(measure)` makes one from a
        function of one document, `bind(annotate)` from a function of a batch.
    files: config fields that contain files, lists of files, or files by name; the digests of the files and the names
        enter the recipe.
    models: config fields that contain models, as folders or names of a hub with a pinned revision (`model_files`); the
        digests of their files enter the recipe.
    data: package files that `load` reads regardless of the config; their digests enter the recipe.
    requires: modules of optional packages that `load` needs; a run without them stops before any work.
    notes: config -> lines about its consequences, which `plan` prints.
    kind: "cpu" stages run in the first wave that has their columns; "torch" and "service" stages run in separate waves,
        and only "service" stages may be impure.
    serve: of a "service" stage: config, Services -> Served; the engine calls it instead of `load`.
    needs: modules of global steps without settings whose columns it reads; a run file need not name them.
    columns: config -> (reads, writes), for a stage whose columns depend on its settings, such as one column per named
        model; `reads` and `writes` are then those of the default config.
    optional: columns of `reads`, with their dtypes, that may be null; a table without them is completed with nulls, so
        that a call on text alone works.
    exact: floats follow from additions, multiplications, divisions and comparisons in a fixed order alone, so they are
        equal on all machines without being rounded.
    """

    name: str
    version: int
    config: type = NoConfig
    reads: tuple[str, ...]
    writes: pa.Schema
    load: Callable[[Any], Annotate]  # Any: each stage has its own config class
    files: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    kind: Literal["cpu", "torch", "service"] = "cpu"
    serve: Callable[[Any, Services], Served] | None = None
    requires: tuple[str, ...] = ()
    notes: Callable[[Any], list[str]] | None = None
    needs: tuple[str, ...] = ()
    columns: Callable[[Any], tuple[tuple[str, ...], pa.Schema]] | None = None
    optional: pa.Schema = _NO_COLUMNS
    exact: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.load, each):
            object.__setattr__(self, "load", self.load.of(self))
        if self.files or self.models:
            object.__setattr__(self, "load", Loading(self.load, self.name, (*self.files, *self.models)))
        if self.optional.names:
            object.__setattr__(self, "load", Completing(self.load, self.optional))


class Loading:
    """A picklable loader of a stage with files: any error that they cause has their names."""

    def __init__(self, load: Callable[[Any], Annotate], name: str, fields: tuple[str, ...]) -> None:
        self.load, self.name, self.fields = load, name, fields

    def __call__(self, config: Any) -> Annotate:
        """Load.

        Raises: ConfigError for any error of the data; errors of the code, such as a missing module, are not changed.
        """
        try:
            return self.load(config)
        except (BicorpusError, ImportError, NameError):
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
                raise
            named = ", ".join(dict.fromkeys(_named(config, self.fields))) or self.name
            raise ConfigError(
                f"{self.name}: cannot load {named}: {type(error).__name__}: {' '.join(str(error).split())[:300]}; "
                "the file is damaged, or is not what the setting expects"
            ) from error


def _named(config: Any, fields: tuple[str, ...]) -> Iterator[str]:
    """Yield the files or models that fields of a config name."""
    for field_name in fields:
        value = getattr(config, field_name, None)
        values = value.values() if isinstance(value, Mapping) else value
        for item in (values,) if isinstance(values, (str, os.PathLike)) else values or ():
            yield os.fspath(item)


class Completing:
    """A picklable loader of a stage with optional columns; its functions accept tables without them."""

    def __init__(self, load: Callable[[Any], Annotate], optional: pa.Schema) -> None:
        self.load, self.optional = load, optional

    def __call__(self, config: Any) -> Annotate:
        """Load, and complete each batch before it is annotated."""
        return Completed(self.load(config), self.optional)


class Completed:
    """A picklable `annotate` that adds columns of nulls for the optional columns that a batch lacks."""

    def __init__(self, annotate: Annotate, optional: pa.Schema) -> None:
        self.annotate, self.optional = annotate, optional

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Annotate one batch."""
        for column in self.optional:
            if column.name not in batch.column_names:
                batch = batch.append_column(column, pa.nulls(len(batch), column.type))
        return self.annotate(batch)


class Bound:
    """A picklable `annotate` with its config, for stages that load no models or files."""

    def __init__(self, annotate: Callable[[pa.Table, Any], pa.Table], config: Any) -> None:
        self.annotate, self.config = annotate, config

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Annotate one batch."""
        return self.annotate(batch, self.config)


class bind:  # noqa: N801 - reads as the verb it is used as: load=bind(annotate)
    """Create a picklable loader from `annotate(batch)` or `annotate(batch, config)`, for stages that load no files."""

    def __init__(self, annotate: Callable[..., pa.Table]) -> None:
        self.annotate = annotate

    def __call__(self, config: Any) -> Annotate:
        """Bind a config."""
        takes_config = len(inspect.signature(self.annotate).parameters) > 1
        return Bound(self.annotate, config) if takes_config else self.annotate


Measure = Callable[..., Mapping[str, Any] | bool | int | float | str | None]
"""Values of the columns of `reads`, in their order, then `config` if it has a parameter of that name -> values by
column; or one value, see `stage_of_function`."""


class each:  # noqa: N801 - reads as the verb it is used as: load=each(measure)
    """Make a picklable loader from `measure(text)` or `measure(text, config)`, a function of one document.

    measure takes the columns that the stage reads, in the order of `reads`, and `config` last if it has a parameter of
    that name; it returns a dict of columns. Columns that the dict lacks are null. So are all columns of a document
    whose first column (`text`) is null, of which measure is not called, and of one for which it returns None.

    A function that returns one value needs no `Stage`: `STAGE = each(keep)` in a module, see `stage_of_function`.
    """

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self.stage = ""
        self.reads: tuple[str, ...] = ()
        self.writes = pa.schema([])

    def of(self, stage: Stage) -> each:
        """The loader of this stage; `Stage` calls it.

        Raises: ConfigError if measure does not take as many values as the stage reads columns.
        """
        parameters = [p for name, p in inspect.signature(self.measure).parameters.items() if name != "config"]
        n_required = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters)
        is_open = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if n_required > len(stage.reads) or (len(parameters) < len(stage.reads) and not is_open):
            taken = ", ".join(p.name for p in parameters) or "nothing"
            raise ConfigError(
                f"{stage.name}: measure takes {taken}; expected a parameter for each column of reads "
                f"({', '.join(stage.reads)}), and `config` if it needs settings"
            )
        loader = each(self.measure)
        loader.stage, loader.reads, loader.writes = stage.name, stage.reads, stage.writes
        return loader

    def __call__(self, config: Any) -> Annotate:
        """Bind a config."""
        return Each(self, config)


class Each:
    """A picklable `annotate` that calls `measure` once per document."""

    def __init__(self, loader: each, config: Any) -> None:
        self.loader = loader
        takes_config = "config" in inspect.signature(loader.measure).parameters
        self.settings = {"config": config} if takes_config else {}

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Annotate one batch.

        Raises: StageError for a column that the stage does not declare, or a value that is not of its dtype.
        """
        documents = list(zip(*(batch[name].to_pylist() for name in self.loader.reads), strict=True))
        rows = [self._row(number, document) for number, document in enumerate(documents)]
        columns = [self._column(field, rows, documents) for field in self.loader.writes]
        return pa.table(columns, schema=self.loader.writes)

    def _row(self, number: int, document: tuple[Any, ...]) -> Mapping[str, Any]:
        if document[0] is None:
            return {}
        row = self.loader.measure(*document, **self.settings)
        if row is None:
            return {}
        if not isinstance(row, Mapping):
            raise self._error("measure", row, number, document, "expected a dict of columns, or None")
        for name in row:
            if name not in self.loader.writes.names:
                columns = ", ".join(self.loader.writes.names)
                hint = f"SCHEMA has no such column, only {columns}; correct the name or add the column"
                raise self._error(name, row[name], number, document, hint)
        return row

    def _column(
        self, field: pa.Field, rows: Sequence[Mapping[str, Any]], documents: Sequence[tuple[Any, ...]]
    ) -> pa.Array:
        values = [row.get(field.name) for row in rows]
        try:
            return _array(values, field.type)
        except _NO_VALUE:
            for number, value in enumerate(values):
                try:
                    _array([value], field.type)
                except _NO_VALUE as error:
                    hint = f"expected {field.type}, as SCHEMA declares it"
                    raise self._error(field.name, value, number, documents[number], hint) from error
            raise

    def _error(
        self, column: str, value: object, number: int, document: tuple[Any, ...], hint: str
    ) -> StageError:
        return StageError(
            f"{self.loader.stage}.{column}: measure returned {shortened(value)} for document {number} of the batch, "
            f"{shortened(document[0])}; {hint}",
            row=number,
        )


_DTYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
"""Type that a plain function returns -> dtype of its column."""


class OneValue:
    """A picklable measure with one column, from a function that returns its value."""

    def __init__(self, function: Callable[..., Any], column: str, dtype: pa.DataType) -> None:
        self.function, self.column, self.dtype = function, column, dtype
        self.__signature__ = inspect.signature(function)

    def __call__(self, *values: Any) -> dict[str, Any]:
        """Call the function with the values of one document."""
        value = self.function(*values)
        is_number = pa.types.is_floating(self.dtype) and isinstance(value, (bool, int))
        return {self.column: float(value) if is_number else value}


def stage_of_function(function: Callable[..., Any], name: str = "") -> Stage:
    """Make a stage of a plain function of one document that returns a bool, an int, a float or text.

    Its parameters are canonical columns (`text`, `url`, ...); its return annotation determines the dtype. The column
    has the name of the function: with `def keep(text: str) -> bool` and `STAGE = each(keep)`, `my_filter.py` writes
    `my_filter.keep`.

    Args: name, of the stage; that of the function if empty.
    Raises: ConfigError if the function has no such annotation, or a parameter is no canonical column.
    """
    column = getattr(function, "__name__", "")
    stage = name or column
    if not column.isidentifier():
        raise ConfigError(
            f"each({column or function!r}): the column is named after the function; write it with `def`, "
            "as in `def keep(text: str) -> bool`"
        )
    reads = tuple(inspect.signature(function).parameters)
    unknown = [parameter for parameter in reads if parameter not in CANONICAL.names]
    if unknown or not reads:
        raise ConfigError(
            f"{stage}.{column} takes {', '.join(unknown) or 'nothing'}; expected columns of documents "
            "(text, url, host, date, source, ...); write a Stage with `reads` for columns of other stages"
        )
    dtype = _returned(function, f"{stage}.{column}")
    return Stage(
        name=stage, version=1, reads=reads, writes=pa.schema([(column, dtype)]),
        load=each(OneValue(function, column, dtype)),
    )  # fmt: skip


def _returned(function: Callable[..., Any], where: str) -> pa.DataType:
    """Return the dtype for the return annotation of a function; of several types, the widest number."""
    try:
        hint = typing.get_type_hints(function).get("return")
    except NameError:
        hint = None
    types_ = [t for t in typing.get_args(hint) or (hint,) if t is not type(None)]
    if not types_ or any(t not in _DTYPES for t in types_) or (str in types_ and len(types_) > 1):
        raise ConfigError(
            f"{where} has no return type that makes a column; write what it returns, "
            "as in `def keep(text: str) -> bool` (or int, float, str; `| None` for null)"
        )
    return _DTYPES[max(types_, key=lambda t: list(_DTYPES).index(t))]


def as_step(value: Any, module: str = "") -> Any:  # Any: what a module defines as STAGE or GLOBAL
    """Return the stage of `each(function)`, and anything else unchanged.

    Args: module, that defines it, after whose last part the stage is named.
    Raises: ConfigError, see `stage_of_function`.
    """
    return stage_of_function(value.measure, module.rpartition(".")[2]) if isinstance(value, each) else value


def _array(values: list[Any], dtype: pa.DataType) -> pa.Array:
    """An Arrow array of these values; unlike pa.array, it does not cut fractions off.

    Raises: one of _NO_VALUE for a value that is not of the dtype.
    """
    if pa.types.is_integer(dtype) and any(isinstance(v, float) and not v.is_integer() for v in values):
        raise ValueError("a fraction in a column of integers")
    return pa.array(values, dtype)


_NO_VALUE = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What pa.array raises for a value that is not of the dtype."""


def shortened(value: object, n_chars: int = 60) -> str:
    """The repr of a value, cut after n_chars."""
    text = repr(value[: 2 * n_chars] if isinstance(value, str) else value)
    return text if len(text) <= n_chars else f"{text[:n_chars]}…"


@dataclass(frozen=True)
class Outcome:
    """Result of a global step: values for rows, and artefact tables by name.

    rows: column `row` (uint64, each at most once, any order) and the columns of `writes`, with dtypes as declared or
    widened (schema.widened); missing rows become null. The engine splits it into one sidecar per shard.
    artefacts: tables that are not aligned with rows, stored as `global/<step>/<recipe8>/<name>.parquet`.
    known: for a step with a memory, the results to store: `row`, `known` (the other row) and the memory's columns.
    """

    rows: pa.Table | None = None
    artefacts: dict[str, pa.Table] = field(default_factory=dict)
    known: pa.Table | None = None


def no_artefacts(shared: Tables, config: Any) -> dict[str, pa.Table]:
    """Return no artefacts. Any: each step has its own config class."""
    return {}


def no_outcome(table: pa.Table, config: Any) -> Outcome:
    """Return an empty outcome: the finish of steps with `answer`. Any: each step has its own config class."""
    return Outcome()


@dataclass(frozen=True)
class Memory:
    """Results of a global step that depend on two documents only, stored under `index/` for later runs.

    schema: columns of a stored result. config: fields of the step's config that the results depend on; others may
        change.
    needs_text: a table with the columns of `reads` except text, `row` and `known` -> bool (n_rows,), whether the map
        needs the text of each row; the text of other rows is null.
    """

    schema: pa.Schema
    config: tuple[str, ...]
    needs_text: Callable[[pa.Table], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What the settings of a global step may refer to in the run that it is part of.

    n_tokens: the column of token counts of the release, None if the run counts none. is_before(column): whether a
        column can be computed before the step. file(path): bytes of a file, relative to the run file.
        released(name, file): bytes of a file of a finished release of the store. The last two raise ConfigError.
    """

    n_tokens: str | None
    is_before: Callable[[str], bool]
    file: Callable[[str], bytes]
    released: Callable[[str, str], bytes]


@dataclass(frozen=True, kw_only=True)
class Global:
    """A measurement across documents: map over shards, exchange by key, reduce by partition, finish once.

    map(table, config): one batch of one shard; the table has the columns of `reads` and `row` (uint64, see
        schema.ROW). Returns any number of rows with a uint64 column `key` and the other columns that reduce needs, with
        the same schema for every batch, including empty ones.
    reduce(table, config): one partition, sorted by (key, row) if the table has `row`, else by key; it contains all rows
        of each of its keys. Keys must be processed independently, so that the number of partitions does not affect the
        result. Returns a table with the same schema for every partition, including empty ones.
    answer(table, answers, config): for a step without finish. Its reduce returns one row for each of its rows, in the
        same order, and `answer` joins reduce's output back to the shard by position in key order, so that rows carry no
        document id and no process holds all of them. table: the columns of `reads` except text, and `row`, of the whole
        shard without rows skipped by `sparse`. answers: rows for this shard, in order of (key, position in the shard's
        map output). Returns `row` and the columns of `writes`.
    combine(table, config): a combiner, as in MapReduce: some results of reduce, in key order -> a smaller table of the
        same schema that is equivalent for `finish`; for steps whose partitions repeat each other. May be applied to its
        own results.
    finish(table, config): the concatenated results of reduce in key order, some or all of them combined if there is a
        combiner -> Outcome.
    key: description of the key, for `plan` and the docs.
    writes: the row-aligned columns of Outcome.rows; an empty schema if it writes artefacts only.
    reads: columns of documents and steps; also those of schema.HANDED, which the engine passes.
    sparse: a column of `reads`; rows with null in it are skipped. For maps that return no rows for most documents: the
        engine then reads text only where the column is not null.
    expands: upper bound of the ratio of a map's output in memory to its text, in bytes; determines the number of
        partitions of a step that reads text.
    indexed: whether the map output is stored, sorted, under `index/`, so that later runs map only new shards.
    memory: stored results for pairs of documents; the result must be the same with and without it.
    named: config fields that name columns, or lists of columns, which are read too; "" names none. numbers: those of
        them, or other attributes of the config, that name numeric columns.
    reads_of, writes_of: config -> `reads` and `writes`, for a step in which they depend on its settings; `reads` and
        `writes` are then those of the default config.
    resolve(config, context): the config with settings that refer to the rest of the run, such as another release,
        replaced by what they refer to; called once, when the run file is loaded.
    rounds: the end of a step whose results grow with the corpus: instead of calling `finish`, the engine sends the
        results of reduce to groups of shards, by the column `route`, and runs the rounds (pipeline.rounds) in each of
        them, so that no process holds the rows of all shards. A small corpus is one group, in one process; `finish` is
        then the same rounds in memory (`outcome_of`).
    close(shared, config): the artefacts, from what the rounds counted.
    notes(config, configs): lines about the consequences of its settings, which `plan` prints; configs: of the stages of
        the run, by name.
    """

    name: str
    version: int
    config: type = NoConfig
    reads: tuple[str, ...]
    writes: pa.Schema
    key: str
    map: Callable[[pa.Table, Any], pa.Table]
    reduce: Callable[[pa.Table, Any], pa.Table]
    finish: Callable[[pa.Table, Any], Outcome] = no_outcome
    sparse: str | None = None
    expands: int = 1
    files: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    indexed: bool = False
    memory: Memory | None = None
    combine: Callable[[pa.Table, Any], pa.Table] | None = None
    answer: Callable[[pa.Table, pa.Table, Any], pa.Table] | None = None
    named: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    reads_of: Callable[[Any], tuple[str, ...]] | None = None
    writes_of: Callable[[Any], pa.Schema] | None = None
    resolve: Callable[[Any, RunContext], Any] | None = None
    rounds: tuple[Round, ...] = ()
    close: Close = no_artefacts
    route: str = ROW
    notes: Callable[[Any, Mapping[str, Any]], list[str]] | None = None


def outcome_of(step: Global, results: pa.Table, config: Any, starts: Sequence[int] = (0,)) -> Outcome:
    """Run the rounds of a step in this process: the `finish` of a step with rounds.

    Args: results, of reduce, of all partitions; starts, ordinal of the first shard of each group.
    """
    ended = play_in_memory(results, step.rounds, step.close, config, step.route, starts)
    return Outcome(ended.rows, ended.artefacts, ended.known)


@dataclass(frozen=True, kw_only=True)
class Derive:
    """Documents derived from other documents: a source whose rows all have a parent.

    derive(table, config, replace): one batch of a shard, with the columns of `reads` and `edits` (schema.SPANS), the
        spans of canonical text that a release removes or replaces; replace, span kind -> replacement. Returns DERIVED:
        any number of documents for each row, numbered from 0 within it.
    part: folder of a release with the kept documents in an additional format, or None; schema: of its rows.
    rows(table): kept documents (doc_id, parent_id, language, domain, license, meta, and parallel_id, null if no step
        writes it) -> one row of `schema` for each.
    data(config): files that it loads; their digests enter the names of the shards.
    provenance: who wrote the text of its documents, such as `LLM`; None for that of the parent.
    counted: text columns of `schema` by which the report counts the rows; it measures the diversity of the last one.
    """

    name: str
    version: int
    config: type = NoConfig
    reads: tuple[str, ...]
    derive: Callable[[pa.Table, Any, Mapping[str, str]], pa.Table]
    part: str | None = None
    schema: pa.Schema | None = None
    rows: Callable[[pa.Table], pa.Table] | None = None
    data: Callable[[Any], list[str]] | None = None
    provenance: str | None = None
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Convert:
    """The last edit of a release: a conversion of whole texts, after the edits of spans.

    reads: columns of stages that it depends on. load: config -> a function from a table with `text` and these columns
        to the new texts, large_string (n_rows,), null for null texts.
    labels(config): language label -> label of converted documents; other labels are unchanged.
    data(config): files that it loads; their digests enter recipes.
    """

    name: str
    version: int
    config: type = NoConfig
    reads: tuple[str, ...]
    load: Callable[[Any], Callable[[pa.Table], pa.Array]]
    labels: Callable[[Any], Mapping[str, str]]
    data: Callable[[Any], list[str]]


DERIVED = pa.schema(
    {"parent": pa.int64(), "number": pa.int64(), "text": pa.large_string(), "meta": pa.large_string()}
)
"""Result of Derive.derive. parent: row of the batch; number: index of the document among those of its parent; meta: a
JSON object."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an input file, as yielded by a reader.

    position: index of the record in its file, from 0; the same whenever the file is read. -1: the rest of the file.
    fields: the record's own field names and values; None if the record is broken or skipped.
    reason, detail, raw: of a broken record: a short machine-readable reason, details, and the bytes. A reader of lines
        also returns the bytes of a sound record in `raw`, if they are one line, for commands that copy records.
    skipped: the record is sound but no document (an image, a redirect): only its reason is counted.
    n_bytes: size of the record, decompressed, for formats whose records are text; 0 if unknown.
    lost_bytes: bytes of the file, as stored, that cannot be read because of the damage that a record reports.
    """

    position: int
    fields: dict[str, Any] | None  # Any: values of the input format
    reason: str | None = None
    detail: str | None = None
    raw: bytes | None = None
    skipped: bool = False
    n_bytes: int = 0
    lost_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A format of input files, and how its records are read.

    read(stream, path, config): the file's raw bytes (seekable), and its path below the source root; yields records
        in file order, one at a time, so that files of any size can be streamed. Broken records are yielded with a
        reason, and so are records that are no documents by design (`skipped`); if the rest of the file cannot be read,
        the last record has position -1, the reason and the bytes that are lost.
    fields: canonical column -> field names to try in order; the source's `columns` override it.
    siblings(path, config): paths of other files that `read` opens for an input, in a fixed order. They count as part
        of the input: when one of them changes, the input is read again.
    requires: modules of optional packages that `read` needs; a run without them stops before any work.
    """

    name: str
    version: int
    config: type = NoConfig
    read: Callable[[BinaryIO, str, Any], Iterator[Record]]
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    siblings: Callable[[str, Any], list[str]] | None = None
    requires: tuple[str, ...] = ()
