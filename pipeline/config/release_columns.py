"""Columns of a release: which annotation column each one is filled from, and all columns that decisions read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.run_file import EDITED, RunFile
from pipeline.dataset.release_schema import (
    CLUSTERS,
    COLUMNS,
    DUPLICATE,
    LEDGER,
    NO_LANGUAGE,
    ORPHAN,
    data_schema,
)
from pipeline.dataset.shard import Columns
from pipeline.errors import ConfigError
from pipeline.names import check_keys, nearest


@dataclass(frozen=True)
class Layout:
    """What the release module says of a release's files; loaded by name, so plain data here.

    columns: release column -> annotation column (None when the run has none); scores: names of the quality
    struct's fields -> annotation columns. edited: annotation column -> the same, measured once more for documents
    that lose repeated passages. modules: of derived sources, by their names. duplicate, orphan: rule names of copies,
    and of derived documents without parents. relabel: languages of converted documents -> those they are released with.
    """

    data: pa.Schema
    ledger: pa.Schema
    columns: Mapping[str, str | None]
    scores: Mapping[str, str | None]
    duplicate: str
    orphan: str
    no_language: str
    edited: Mapping[str, str]
    modules: Mapping[str, str]
    clusters: pa.Schema
    relabel: Mapping[str, str]

    def sources(self) -> set[str]:
        """Annotation columns that the release reads."""
        return {c for c in (*self.columns.values(), *self.scores.values()) if c}


def release_layout(run: RunFile) -> Layout:
    """Resolve a run's release columns against what its steps write; defaults that no step writes are null.

    Raises: ConfigError for a release column that does not exist, or a named column that no step writes.
    """
    known = run.annotation_columns()
    check_keys(run.release.columns, COLUMNS, "release.columns")
    asked = dict(run.release.columns)
    scores = asked.pop("quality", None) or {}
    for column in (*asked.values(), *scores.values()):
        if column not in known:
            raise ConfigError(f"release.columns: no column {column!r}{nearest(str(column), known)}")
    named = {**COLUMNS, **asked}
    scores = scores or named["quality"]
    columns = {
        name: column if column in known else None for name, column in named.items() if name != "quality"
    }
    found = {name: column if column in known else None for name, column in sorted(scores.items())}
    edited = {
        f"{step.name.removesuffix(EDITED)}.{name}": f"{step.name}.{name}"
        for step in run.late
        for name in step.definition.writes.names
    }
    return Layout(
        data_schema(list(found)), LEDGER, columns, found, DUPLICATE, ORPHAN,
        NO_LANGUAGE, edited, {derived.name: derived.module for derived in run.derived}, CLUSTERS,
        run.release.edits.convert.labels if run.release.edits.convert else {},
    )  # fmt: skip


def release_column(
    columns: Columns, layout: Layout, name: str, kind: pa.DataType, n_rows: int
) -> pa.ChunkedArray:
    """An annotation column under its name in the release, cast to `kind`; nulls where no step writes it."""
    source = layout.columns[name]
    if source is None:
        return pa.chunked_array([pa.nulls(n_rows, kind)])
    return current(columns, layout, source).cast(kind)


def current(columns: Columns, layout: Layout, name: str) -> pa.ChunkedArray:
    """An annotation of the documents as they are released: measured once more where passages go."""
    edited = layout.edited.get(name)
    return columns[name] if edited not in columns else pc.coalesce(columns[edited], columns[name])


def languages(columns: Columns, layout: Layout, n_rows: int) -> pa.ChunkedArray:
    """The label of each row as it is released, never null."""
    found = measured_languages(columns, layout, n_rows)
    if not layout.relabel:
        return found
    places = pc.index_in(found, pa.array(list(layout.relabel), pa.string()))
    return pc.coalesce(pa.array(list(layout.relabel.values()), pa.string()).take(places), found)


def measured_languages(columns: Columns, layout: Layout, n_rows: int) -> pa.ChunkedArray:
    """The label of each row as it was read, never null."""
    return release_column(columns, layout, "language", pa.string(), n_rows).fill_null(layout.no_language)


def release_columns(run: RunFile) -> set[str]:
    """Every annotation column that a run's decisions and release read."""
    return decision_columns(run, release_layout(run).sources())


def mix_columns(run: RunFile) -> tuple[str, ...]:
    """Columns that mixes go by, or repeat documents by."""
    mixes = run.mix.mixes.values()
    names = {mix.by for mix in mixes if mix.by} | {mix.repeat.column for mix in mixes if mix.repeat}
    return tuple(sorted(names))


def decision_columns(run: RunFile, release_columns: set[str]) -> set[str]:
    """Every annotation column that decisions or the release read."""
    names = {c for rule in run.select for c in rule.columns()} | release_columns
    names |= {column for rule in run.select for column, _ in rule.trim}
    names |= {column for column, _ in run.release.edits.spans}
    names |= set(run.release.edits.convert.definition.reads if run.release.edits.convert else ())
    if run.keep_one:
        names |= run.keep_one.columns()
    names |= set(mix_columns(run))
    return {name for name in names if "." in name}
