"""Labelled documents: columns text, lang, label or score, source; and where else examples come from.

Folds are by source, always: documents of one source are similar, so a model that has seen some of them is not tested
by the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.names import nearest

LANGUAGES = {
    "zh": "zho",
    "en": "eng",
    "ja": "jpn",
    "ko": "kor",
    "de": "deu",
    "fr": "fra",
    "es": "spa",
    "vi": "vie",
}
"""ISO 639-1 codes of a column `lang`; codes of ISO 639-3 and labels such as `zho_Hans` are taken as they are."""


@dataclass(frozen=True)
class Labelled:
    """Labelled documents.

    table: the rows with all their columns. languages: ISO 639-3, (n,) str. targets: float64 (n,) in [0, 1], what the
    model learns: 0 or 1, or the share of the range of a graded label. good: bool (n,), the two classes. low, high:
    labels that 0 and 1 stand for. sources: (n,) str. folds: int64 (n,); a row is evaluated by a model of the others.
    """

    table: pa.Table
    languages: np.ndarray
    targets: np.ndarray
    good: np.ndarray
    low: float
    high: float
    sources: np.ndarray
    folds: np.ndarray

    @property
    def graded(self) -> bool:
        """Whether labels have more than two values."""
        return len(np.unique(self.targets)) > 2

    def take(self, rows: np.ndarray) -> Labelled:
        """Some of the rows; rows: int64 or bool."""
        indices = np.flatnonzero(rows) if rows.dtype == bool else rows
        fields = ("languages", "targets", "good", "sources", "folds")
        return replace(
            self,
            table=self.table.take(pa.array(indices)),
            **{name: getattr(self, name)[indices] for name in fields},
        )


def read_labelled(table: pa.Table, label: str, good: str | None, fold: str | None, n_folds: int) -> Labelled:
    """Interpret a labelled table; without a column `lang`, `language.label` states the language.

    Args: label, column of labels: true and false, 0 and 1, or grades; good, a comparison such as `keep` (a column of
    booleans) or `>=3` (of the label) that makes the two classes, by default the upper half of the range; fold, a column
    of folds, or `source` for a fold per source; otherwise sources are put in n_folds folds of about equal size. A
    source may be in several folds: `training_rows` leaves it out of all.
    Raises: UsageError for missing columns, labels that are no numbers, or one class alone.
    """
    if "lang" not in table.column_names and "language.label" in table.column_names:
        table = table.append_column("lang", table["language.label"])
    for name in ("lang", "source", label):
        if name not in table.column_names:
            raise UsageError(f"no column {name!r} in the labelled files{nearest(name, table.column_names)}")
    usable = table[label].is_valid()
    if "text" in table.column_names:
        usable = pc.and_(usable, table["text"].is_valid())
    table = table.append_column("row", pa.array(np.arange(table.num_rows))).filter(usable)
    try:
        values = np.asarray(table[label].cast(pa.float64()).combine_chunks(), np.float64)
    except pa.ArrowInvalid as error:
        raise UsageError(f"--label {label}: {error}; expected booleans, 0 and 1, or grades") from error
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if low == high:
        raise UsageError(f"--label {label}: {len(values):,} rows with one value; a model needs at least two")
    targets = (values - low) / (high - low)
    sources = np.array([str(source) for source in table["source"].to_pylist()])
    languages = np.array([language_of(code) for code in table["lang"].to_pylist()])
    classes = _classes(table, values, good, targets)
    if classes.all() or not classes.any():
        raise UsageError("all rows are of one class; choose another --good")
    return Labelled(
        table, languages, targets, classes, low, high, sources, _folds(table, sources, fold, n_folds)
    )


def joined(table: pa.Table, more: pa.Table, on: str, path: str) -> pa.Table:
    """Append the columns of another table, by a key or, for `row`, by the position of a row in the first table.

    Raises: UsageError for a missing key or one that occurs twice.
    """
    if on == "row" and on not in table.column_names:
        table = table.append_column(on, pa.array(np.arange(table.num_rows)))
    for name, columns in (("the labelled files", table.column_names), (path, more.column_names)):
        if on not in columns:
            raise UsageError(f"--on {on}: no such column in {name}{nearest(on, columns)}")
    if pc.count_distinct(more[on]).as_py() < more.num_rows:
        raise UsageError(f"--on {on}: {path} has rows with the same key")
    position = pc.index_in(table[on], more[on].combine_chunks().cast(table[on].type))
    for name in more.column_names:
        if name not in table.column_names:
            table = table.append_column(name, more[name].combine_chunks().take(position.combine_chunks()))
    return table.drop_columns("row") if on == "row" else table


def left_out(data: Labelled, name: str, scores: np.ndarray) -> pa.Table:
    """Scores of models that had not seen the source, by row of the labelled files, without the texts."""
    own = [key for key in ("id", "doc_id") if key in data.table.column_names]
    table = data.table.select(["row", *own, "source", "lang"])
    return table.append_column(name, pa.array(scores, pa.float32()))


def language_of(code: str | None) -> str:
    """ISO 639-3 code of a language: `zh`, `zho` and `zho_Hans` are zho."""
    first = (code or "und").replace("-", "_").partition("_")[0]
    return LANGUAGES.get(first, first)


def _classes(table: pa.Table, values: np.ndarray, good: str | None, targets: np.ndarray) -> np.ndarray:
    if good is None:
        return targets >= 0.5
    if good.startswith(">="):
        return values >= float(good[2:])
    if good not in table.column_names:
        raise UsageError(
            f"--good {good}{nearest(good, table.column_names)}; expected a column of booleans, or >=NUMBER"
        )
    return np.asarray(table[good].cast(pa.bool_()).fill_null(False).combine_chunks()).astype(bool)


def _folds(table: pa.Table, sources: np.ndarray, fold: str | None, n_folds: int) -> np.ndarray:
    if fold == "source":
        return np.unique(sources, return_inverse=True)[1]
    if fold is not None:
        if fold not in table.column_names:
            raise UsageError(
                f"--fold {fold}{nearest(fold, table.column_names)}; expected a column, or `source`"
            )
        return np.unique(np.array([str(value) for value in table[fold].to_pylist()]), return_inverse=True)[1]
    return spread(sources, n_folds)


def spread(sources: np.ndarray, n_folds: int) -> np.ndarray:
    """Put sources into folds of about equal size, the largest first, ties by hash: int64 (n,)."""
    names, positions, counts = np.unique(sources, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise UsageError(f"{len(names)} source in the labelled files; evaluation needs at least two")
    keys = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    fold_of, sizes = np.zeros(len(names), np.int64), [0] * min(n_folds, len(names))
    for i in sorted(range(len(names)), key=lambda i: (-counts[i], keys[i])):
        fold_of[i] = sizes.index(min(sizes))
        sizes[fold_of[i]] += counts[i]
    return fold_of[positions]


def third_quartile(pool: pa.Table, score: str, n: int, seed: int) -> pa.Table:
    """Draw documents between the median and the third quartile of a score, per language in proportion to the pool.

    They are better negatives than random pages, which a model learns to reject by their kind alone; documents above the
    quartile are too often good. Source: Turki et al. 2026, arXiv 2604.20549.

    Args: pool, with columns text, lang, source and the score; n, number of documents.
    Raises: UsageError if the pool lacks a column.
    """
    for name in ("text", "lang", "source", score):
        if name not in pool.column_names:
            raise UsageError(f"no column {name!r} in the pool{nearest(name, pool.column_names)}")
    pool = pool.filter(pool[score].is_valid())
    values = np.asarray(pool[score].cast(pa.float64()).combine_chunks())
    languages = np.array([language_of(code) for code in pool["lang"].to_pylist()])
    random = np.random.Generator(np.random.PCG64(seed))
    chosen: list[np.ndarray] = []
    for language in np.unique(languages):
        rows = np.flatnonzero(languages == language)
        low, high = np.quantile(values[rows], [0.5, 0.75])
        middle = rows[(values[rows] >= low) & (values[rows] <= high)]
        wanted = min(len(middle), round(n * len(rows) / len(values)))
        chosen.append(random.permutation(middle)[:wanted])
    return pool.take(pa.array(np.sort(np.concatenate(chosen)) if chosen else [], pa.int64()))


def with_negatives(data: Labelled, negatives: pa.Table) -> Labelled:
    """Labelled documents for training, with negatives of fold -1 in addition, which no fold leaves out by number.

    Negatives of a source that is left out must be left out as well; `training_rows` does so.
    """
    n = negatives.num_rows
    names = [name for name in data.table.column_names if name in negatives.column_names]
    table = pa.concat_tables(
        [data.table.select(names), negatives.select(names)], promote_options="permissive"
    )
    return Labelled(
        table,
        np.concatenate([data.languages, [language_of(code) for code in negatives["lang"].to_pylist()]]),
        np.concatenate([data.targets, np.zeros(n)]),
        np.concatenate([data.good, np.zeros(n, bool)]),
        data.low, data.high,
        np.concatenate([data.sources, [str(source) for source in negatives["source"].to_pylist()]]),
        np.concatenate([data.folds, np.full(n, -1)]),
    )  # fmt: skip


def training_rows(data: Labelled, fold: int) -> np.ndarray:
    """Rows that a model for a fold may learn from: of no source that occurs in the fold. bool (n,)."""
    return ~np.isin(data.sources, np.unique(data.sources[data.folds == fold]))


def plain_values(table: pa.Table, name: str, default: Any) -> np.ndarray:  # Any: a value of the column
    """Values of a column as strings, or the default where the table has no such column."""
    if name not in table.column_names:
        return np.full(table.num_rows, default)
    return np.array([str(value) for value in table[name].to_pylist()])
