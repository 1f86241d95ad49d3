"""Pairs of documents that are translations of each other, with one id for both.

Reads what `classifiers.neighbours` found in other languages. Two documents are a pair if each is the nearest of the
other, near enough, and about as long in UTF-8 bytes, which translations between Chinese and English are. Nothing is
dropped by it: the id is for parallel corpora, for splits that keep both sides together, and for counting. Of exact
copies only the first has a pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.partners import rows_of_partners
from pipeline.errors import ConfigError
from pipeline.stage import Global
from stages.kernels.text.hashing import ODD_A, ODD_B

SCHEMA = pa.schema({"id": pa.uint64(), "other": pa.uint64(), "cosine": pa.float32()})
"""id: the same for both documents, the smaller of their row numbers. other: row number of the other one. cosine: of the
two. All null for a document without a translation."""

KEYED = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint64(),
        "other": pa.uint64(),
        "cosine": pa.float32(),
        "n_bytes": pa.int64(),
    }
)
READS = ("neighbours.other_rows", "neighbours.other_cosines", "text_bytes")


@dataclass(frozen=True, kw_only=True)
class Config:
    """min_cosine: of a pair. max_length_ratio: UTF-8 bytes of the longer by those of the shorter, at most."""

    min_cosine: float = 0.75
    max_length_ratio: float = 1.5

    def __post_init__(self) -> None:
        if not 0 <= self.min_cosine <= 1:
            raise ConfigError(f"translations.min_cosine is {self.min_cosine}; expected 0 to 1")
        if self.max_length_ratio < 1:
            raise ConfigError(f"translations.max_length_ratio is {self.max_length_ratio}; expected 1 or more")


def map_best(table: pa.Table, config: Config) -> pa.Table:
    """Return the best document of another language of each, keyed by the pair, if near enough: a table of KEYED.

    Args: table, with READS and `row`.
    """
    rows, cosines = (pc.list_slice(table[name], 0, 1) for name in READS[:2])
    found = pc.greater(pc.list_value_length(rows), 0)
    rows, cosines, table = rows.filter(found), cosines.filter(found), table.filter(found)
    near = pc.greater_equal(pc.list_flatten(cosines), pa.scalar(config.min_cosine, pa.float32()))
    other, cosine = (pc.list_flatten(column).filter(near).to_numpy() for column in (rows, cosines))
    own = table.filter(near)
    row = own["row"].to_numpy()
    key = np.minimum(row, other) * ODD_A + np.maximum(row, other) * ODD_B
    return pa.table([key, row, other, cosine, own["text_bytes"].cast(pa.int64())], schema=KEYED)


def pair(table: pa.Table, config: Config) -> pa.Table:
    """Find the pairs of which each document names the other.

    Args: table, of KEYED, sorted by key, then row. Returns: a table of SCHEMA, for each row, in order.
    """
    key, row, other, cosine, n_bytes = (table[name].to_numpy() for name in KEYED.names)
    low, high = np.minimum(row, other), np.maximum(row, other)
    order = np.lexsort((high, low, key))
    mutual = np.flatnonzero((low[order][1:] == low[order][:-1]) & (high[order][1:] == high[order][:-1]))
    left, right = order[mutual], order[mutual + 1]
    shorter, longer = np.minimum(n_bytes[left], n_bytes[right]), np.maximum(n_bytes[left], n_bytes[right])
    alike = longer <= config.max_length_ratio * shorter
    single = np.ones(len(row), bool)
    single[left[alike]] = single[right[alike]] = False
    return pa.table([pa.array(values, mask=single) for values in (low, other, cosine)], schema=SCHEMA)


def answer(table: pa.Table, answers: pa.Table, config: Config) -> pa.Table:
    """Give each document what was found for its pair.

    Args: table, with READS and `row`, of a whole shard; answers, of SCHEMA, in order of (key, position in the map).
    Returns: `row` and SCHEMA, for documents with a translation.
    """
    return rows_of_partners(map_best(table, config), answers)


GLOBAL = Global(
    name="translations",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of both row numbers",
    map=map_best,
    reduce=pair,
    answer=answer,
    sparse="neighbours.other_rows",
)
