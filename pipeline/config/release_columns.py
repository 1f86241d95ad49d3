"""Columns of a release: the annotation column that each is filled from, and all columns that decisions read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
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
    RIGHTS,
    data_schema,
)
from pipeline.dataset.shard import Columns
from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys, nearest

RIGHTS_GROUPS = ("", "share_alike", "non_commercial")
"""Groups of documents that share no part of `data/`: without these obligations, and with them."""


@dataclass(frozen=True)
class Layout:
    """Schemas and columns of a release of one run.

    columns: release column -> annotation column (None if the run has none); scores, rights: fields of the structs
    `quality` and `rights` -> annotation columns. edited: annotation column -> its re-measured version for documents
    from which repeated passages were removed. modules: of derived sources, by their names. duplicate, orphan: rule
    names of duplicates, and of derived documents whose parent was dropped. relabel: language of a converted document
    -> its language in the release.
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
    rights: Mapping[str, str | None] = field(default_factory=dict)

    def sources(self) -> set[str]:
        """Annotation columns that the release reads."""
        return {c for c in (*self.columns.values(), *self.scores.values(), *self.rights.values()) if c}


def release_layout(run: RunFile) -> Layout:
    """Match the release columns of a run with the columns that its steps write; defaults that no step writes are null.

    Raises: ConfigError for a release column that does not exist, or a named column that no step writes.
    """
    available = run.annotation_columns()
    where = f"{run.path}: release.columns"
    check_keys(run.release.columns, COLUMNS, where)
    chosen = dict(run.release.columns)
    scores = chosen.pop("quality", None) or {}
    if not isinstance(scores, dict):
        raise ConfigError(f"{where}.quality is {brief(scores)}; expected a mapping of scores to columns")
    rights = {**COLUMNS["rights"], **named_rights(chosen.pop("rights", None), f"{where}.rights")}
    for column in (*chosen.values(), *scores.values()):
        if not isinstance(column, str) or column not in available:
            raise ConfigError(f"{where}: no column {brief(column)}{nearest(str(column), available)}")
    columns_by_name = {**COLUMNS, **chosen}
    scores = scores or columns_by_name["quality"]
    columns = {
        name: column if column in available else None
        for name, column in columns_by_name.items()
        if name not in ("quality", "rights")
    }
    score_columns = {name: column if column in available else None for name, column in sorted(scores.items())}
    edited = {
        f"{step.name.removesuffix(EDITED)}.{name}": f"{step.name}.{name}"
        for step in run.late
        for name in step.definition.writes.names
    }
    return Layout(
        data_schema(list(score_columns)), LEDGER, columns, score_columns, DUPLICATE, ORPHAN,
        NO_LANGUAGE, edited, {derived.name: derived.module for derived in run.derived}, CLUSTERS,
        run.release.edits.convert.labels if run.release.edits.convert else {},
        {name: column if column in available else None for name, column in rights.items()},
    )  # fmt: skip


def named_rights(value: object, where: str) -> dict[str, str]:
    """Columns that the run file names for fields of `rights`, such as those of the most restrictive copy.

    Raises: ConfigError for anything but a mapping of fields to columns.
    """
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(column, str) for column in value.values()):
        raise ConfigError(f"{where} is {brief(value)}; expected a mapping of fields to columns")
    check_keys(value, [member.name for member in RIGHTS], where)
    return value


def group_of_rights(share_alike: np.ndarray, non_commercial: np.ndarray) -> np.ndarray:
    """Index in RIGHTS_GROUPS of each document: int8 (n_docs,). Args: bool (n_docs,) each."""
    return np.where(non_commercial, 2, share_alike.astype(np.int8)).astype(np.int8)


def release_column(
    columns: Columns, layout: Layout, name: str, dtype: pa.DataType, n_rows: int
) -> pa.ChunkedArray:
    """The annotation behind a release column, cast to `dtype`: (n_rows,), null if no step writes it."""
    source = layout.columns[name]
    if source is None:
        return pa.chunked_array([pa.nulls(n_rows, dtype)])
    return current(columns, layout, source).cast(dtype)


def current(columns: Columns, layout: Layout, name: str) -> pa.ChunkedArray:
    """An annotation of the released documents: re-measured where repeated passages were removed. (n_rows,)."""
    edited = layout.edited.get(name)
    return columns[name] if edited not in columns else pc.coalesce(columns[edited], columns[name])


def languages(columns: Columns, layout: Layout, n_rows: int) -> pa.ChunkedArray:
    """The language of each document in the release: string (n_rows,), never null."""
    labels = measured_languages(columns, layout, n_rows)
    if not layout.relabel:
        return labels
    indices = pc.index_in(labels, pa.array(list(layout.relabel), pa.string()))
    return pc.coalesce(pa.array(list(layout.relabel.values()), pa.string()).take(indices), labels)


def measured_languages(columns: Columns, layout: Layout, n_rows: int) -> pa.ChunkedArray:
    """The language of each document before conversion: string (n_rows,), never null."""
    return release_column(columns, layout, "language", pa.string(), n_rows).fill_null(layout.no_language)


def release_columns(run: RunFile) -> set[str]:
    """Every annotation column that a run's decisions and release read."""
    return decision_columns(run, release_layout(run).sources())


def mix_columns(run: RunFile) -> tuple[str, ...]:
    """Columns that mixes group documents by, or repeat them by."""
    mixes = run.mix.mixes.values()
    names = {column for mix in mixes for column in mix.columns}
    return tuple(sorted(names | {mix.repeat.column for mix in mixes if mix.repeat}))


def shares_column(run: RunFile) -> str | None:
    """The column of the languages of each document with their shares, beside its label; None if no stage writes it."""
    label = release_layout(run).columns["language"]
    column = f"{label.rpartition('.')[0]}.shares" if label else ""
    dtype = run.column_types().get(column)
    if dtype is None or not pa.types.is_list(dtype) or not pa.types.is_struct(dtype.value_type):
        return None
    return column if {"label", "share"} <= {field.name for field in dtype.value_type} else None


def holdout_columns(run: RunFile) -> tuple[str, ...]:
    """Columns that link documents which are held out together; none without a hold-out."""
    holdout = run.mix.holdout
    return holdout.columns(release_layout(run).columns["cluster"]) if holdout else ()


def decision_columns(run: RunFile, release_columns: set[str]) -> set[str]:
    """Every annotation column that decisions or the release read."""
    names = {c for rule in run.select for c in rule.columns()} | release_columns
    names |= {column for rule in run.select for column, _ in rule.trim}
    names |= {column for column, _ in run.release.edits.spans}
    names |= set(run.release.edits.convert.definition.reads if run.release.edits.convert else ())
    if run.keep_one:
        names |= run.keep_one.columns()
    names |= {*mix_columns(run), *holdout_columns(run), *filter(None, [shares_column(run)])}
    return {name for name in names if "." in name}
