"""What groups of shards count for quality buckets: histograms and bounded samples that can be added up.

No table grows with the corpus: the largest, VALUES, has a row for each distinct value of a scorer in a language.
Scores in thousandths, as stages write them, have some ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.rounds import Tables
from stages.cuts.edges import ALL, NO_SCORE, Cut, Edges, effective_of, histogram, products
from stages.cuts.overview import SAMPLE_DOCUMENTS

_CELL = {"language": pa.string(), "scorer": pa.string()}
VALUES = pa.schema({**_CELL, "key": pa.int32(), "weight": pa.int64()})
"""Weight of the population by value of a scorer; see edges.to_keys."""
LANGUAGES = pa.schema(
    {"language": pa.string(), "documents": pa.int64(), "population": pa.int64(), "size": pa.int64()}
)
"""Rows with a score; rows and size of the population."""
WORTH = pa.schema({**_CELL, "weight": pa.int64(), "high": pa.int64(), "cross": pa.int64(), "low": pa.int64()})
"""Sums from which the effective number of documents with the score follows: of weights, and of products of the upper
and the lower 16 bits of each."""
SIZES = pa.schema({**_CELL, "bucket": pa.int32(), "documents": pa.int64(), "size": pa.int64()})
"""The population by bucket, without empty ones."""
OVERLAPS = pa.schema({**_CELL, "other": pa.string(), "documents": pa.int64(), "size": pa.int64()})
"""The population in the top bucket of two scorers."""
DRAWS = pa.schema({**_CELL, "bucket": pa.int32(), "draw": pa.uint32(), "row": pa.uint64()})
"""Rows of the population drawn from each bucket: those with the smallest draws."""
CUTS = pa.schema({**_CELL, "bucket": pa.int32(), "lower": pa.int64(), "size": pa.int64(), "used": pa.bool_()})
"""Fitted edges; see edges.Cut."""

KEYS = {
    "values": ["language", "scorer", "key"],
    "languages": ["language"],
    "worth": ["language", "scorer"],
    "sizes": ["language", "scorer", "bucket"],
    "overlaps": ["language", "scorer", "other"],
}
"""Columns by which a table is added up; the others are sums."""


def add_up(counted: Tables, config: Any) -> Tables:  # Any: the config of cuts
    """Add up tables of several groups, by their names in KEYS; of draws, the smallest of each bucket are left."""
    return {name: _drawn(t) if name == "draws" else _added(t, KEYS[name]) for name, t in counted.items()}


def _added(table: pa.Table, keys: list[str]) -> pa.Table:
    sums = [name for name in table.column_names if name not in keys]
    found = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    return (
        found.select([*keys, *(f"{name}_sum" for name in sums)])
        .rename_columns([*keys, *sums])
        .cast(table.schema)
    )


def _drawn(table: pa.Table) -> pa.Table:
    by = ["language", "scorer", "bucket"]
    table = table.sort_by([(name, "ascending") for name in (*by, "draw", "row")]).combine_chunks()
    if not table.num_rows:
        return table
    new = np.ones(table.num_rows, bool)
    for i, name in enumerate(by):
        differs = pc.not_equal(table[name].slice(1), table[name].slice(0, table.num_rows - 1)).to_numpy()
        new[1:] = differs if i == 0 else new[1:] | differs
    starts = np.flatnonzero(new)
    place = np.arange(table.num_rows) - np.repeat(starts, np.diff(np.append(starts, table.num_rows)))
    return table.filter(pa.array(place < SAMPLE_DOCUMENTS))


def values_of(
    groups: Mapping[str, np.ndarray], keys: Mapping[str, np.ndarray], weight: np.ndarray
) -> pa.Table:
    """Weight by value: a table of VALUES. Args: as of cuts.count_values."""
    tables = []
    for language, rows in groups.items():
        for scorer, column in keys.items():
            values, weights = histogram(column[rows], weight[rows])
            names = [pa.repeat(name, len(values)) for name in (language, scorer)]
            tables.append(pa.table([*names, values, weights], schema=VALUES))
    return pa.concat_tables([VALUES.empty_table(), *tables])


def languages_of(groups: Mapping[str, np.ndarray], weight: np.ndarray) -> pa.Table:
    """Documents, population and its size: a table of LANGUAGES."""
    rows = [
        (name, len(rows), int(np.count_nonzero(weight[rows])), int(weight[rows].sum(dtype=np.int64)))
        for name, rows in groups.items()
    ]
    return _table(rows, LANGUAGES)


def worth_of(language: str, scorer: str, weight: np.ndarray) -> tuple[str, str, int, int, int, int]:
    """A row of WORTH. weight: int32 (n_rows,), of the rows with the score."""
    return language, scorer, *products(weight)


def worth_table(rows: list[tuple[str, str, int, int, int, int]]) -> pa.Table:
    """A table of WORTH."""
    return _table(rows, WORTH)


def sizes_rows(
    language: str, scorer: str, buckets: np.ndarray, weight: np.ndarray, n_buckets: int
) -> list[tuple[str, str, int, int, int]]:
    """Rows of SIZES. Args: buckets, int32 (n_rows,), -1 for none; weight, int32 (n_rows,)."""
    counted = (buckets >= 0) & (weight > 0)
    documents = np.bincount(buckets[counted], minlength=n_buckets)
    sizes = np.zeros(n_buckets, np.int64)
    np.add.at(sizes, buckets[counted], weight[counted].astype(np.int64))
    return [(language, scorer, int(b), int(documents[b]), int(sizes[b])) for b in np.flatnonzero(documents)]


def sizes_table(rows: list[tuple[str, str, int, int, int]]) -> pa.Table:
    """A table of SIZES."""
    return _table(rows, SIZES)


def _table(rows: list[Any], schema: pa.Schema) -> pa.Table:  # Any: tuples of text and numbers
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def histograms(values: pa.Table) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield language, scorer, keys (sorted) and weights of each cell of VALUES, then of all languages of each
    scorer."""
    table = values.sort_by([(name, "ascending") for name in KEYS["values"]]).combine_chunks()
    codes = [table[name].combine_chunks().dictionary_encode() for name in ("language", "scorer")]
    language, scorer = (code.indices.to_numpy() for code in codes)
    names = [code.dictionary.to_pylist() for code in codes]
    keys, weights = table["key"].to_numpy(), table["weight"].to_numpy()
    cell = language.astype(np.int64) * max(len(names[1]), 1) + scorer
    bounds = np.append(np.flatnonzero(np.append(True, cell[1:] != cell[:-1])[: len(cell)]), len(cell))
    for low, high in pairwise(bounds):
        yield names[0][language[low]], names[1][scorer[low]], keys[low:high], weights[low:high]
    for code, name in enumerate(names[1]):
        yield ALL, name, *histogram(keys[scorer == code], weights[scorer == code])


def cuts_table(edges: Edges) -> pa.Table:
    """Edges as a table of CUTS."""
    rows = [
        (language, scorer, bucket, int(one.lower[bucket]), int(one.sizes[bucket]), bool(one.used[bucket]))
        for language, by_scorer in edges.items()
        for scorer, one in by_scorer.items()
        for bucket in range(len(one.lower))
    ]
    return _table(rows, CUTS)


def cuts_of(table: pa.Table, worth: Mapping[tuple[str, str], int]) -> dict[str, dict[str, Cut]]:
    """Edges from a table of CUTS. worth: effective number of documents, by language and scorer."""
    cells: dict[tuple[str, str], list[Any]] = {}  # Any: values of CUTS
    for row in table.to_pylist():
        cells.setdefault((row["language"], row["scorer"]), []).append(row)
    edges: dict[str, dict[str, Cut]] = {}
    for (language, scorer), rows in cells.items():
        lower, sizes, used = (np.array([row[name] for row in rows]) for name in ("lower", "size", "used"))
        edges.setdefault(language, {})[scorer] = Cut(lower, sizes, used, worth.get((language, scorer), 0))
    return edges


def effectives(worth: pa.Table) -> dict[tuple[str, str], int]:
    """Effective number of documents, by language (and ALL) and scorer, see edges.effective."""
    sums: dict[tuple[str, str], list[int]] = {}
    for row in worth.to_pylist():
        for language in (row["language"], ALL):
            total = sums.setdefault((language, row["scorer"]), [0, 0, 0, 0])
            for i, name in enumerate(WORTH.names[2:]):
                total[i] += row[name]
    return {cell: effective_of(*total) for cell, total in sums.items()}


def bucket_sizes(sizes: pa.Table, n_buckets: int) -> dict[tuple[str, str], tuple[np.ndarray, int]]:
    """Size of each bucket, int64 (n_buckets,), and number of documents, by language (and ALL) and scorer."""
    found: dict[tuple[str, str], tuple[np.ndarray, int]] = {}
    for row in sizes.to_pylist():
        for language in (row["language"], ALL):
            total, n_docs = found.get((language, row["scorer"]), (np.zeros(n_buckets, np.int64), 0))
            total[row["bucket"]] += row["size"]
            found[language, row["scorer"]] = total, n_docs + row["documents"]
    return found


def has_score(keys: np.ndarray) -> np.ndarray:
    """Whether each key is of a number: int32 (n_rows,) to bool (n_rows,)."""
    return keys != NO_SCORE
