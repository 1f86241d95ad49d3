"""The documents nearest in meaning to each document, in its own language and in others.

Reads the vectors of `classifiers.embedding`, match hashes and language labels; writes, for each document, the nearest
ones and their cosines. Nothing is dropped by default: `neighbours.nearest` flags documents that say what another says,
the lists are for `explain`, samples and plots, and `classifiers.translations` pairs documents with their translations.

Documents are compared within cells, not each with each: first those of the nearest stored centroids of the embedding,
then, where one has more than `max_cell` documents, cells of its own. So a neighbour across a border can be missed;
`probes` says how many cells each document enters at every level.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.embedding import CENTROIDS_PATH, load_centroids
from classifiers.embedding.features import N_DIMENSIONS
from classifiers.neighbours.cells import choose_cells, search
from classifiers.neighbours.nearest import NONE, merge
from pipeline.errors import ConfigError
from pipeline.stage import Global
from stages.kernels.text.hashing import ODD_A, hash_lanes, string_keys

SCHEMA = pa.schema(
    {
        "nearest": pa.float32(),
        "rows": pa.list_(pa.uint64()),
        "cosines": pa.list_(pa.float32()),
        "other_rows": pa.list_(pa.uint64()),
        "other_cosines": pa.list_(pa.float32()),
    }
)
"""nearest: cosine with the nearest document of the language, exact copies aside. rows, cosines: the nearest documents
of the language, best first, as row numbers of the run, and their cosines. other_rows, other_cosines: the nearest ones
of other languages. All null for a document without a vector; lists may be empty."""

KEYED = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint64(),
        "content": pa.uint64(),
        "language": pa.uint64(),
        "vector": pa.list_(pa.int8(), N_DIMENSIONS),
    }
)
FOUND = pa.schema([field for field in SCHEMA if field.name != "nearest"])
READS = ("embedding.vector", "exact.match_hash", "language.label")
SINITIC = frozenset({"zho", "yue", "wuu", "lzh", "hak", "nan", "gan"})
"""Languages that share a script and most words: documents of two of them are neighbours, not translations."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """n_neighbours: documents listed, in the language and in others. probes: cells that a document enters at each
    level. max_cell: most documents of a cell, which are all compared with each other. centroids: see
    `classifiers.embedding`.
    """

    n_neighbours: int = 4
    probes: int = 2
    max_cell: int = 8192
    centroids: str = CENTROIDS_PATH

    def __post_init__(self) -> None:
        for name, low, high in (("n_neighbours", 1, 64), ("probes", 1, 8), ("max_cell", 64, 65536)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"neighbours.{name} is {value}; expected {low} to {high}")


def map_cells(table: pa.Table, config: Config) -> pa.Table:
    """Return one row per document with a vector and cell that it enters, documents in order, nearest cell first.

    Args: table, with READS and `row`. Returns: a table of KEYED.
    """
    table = table.filter(pc.is_valid(table["embedding.vector"])).combine_chunks()
    vectors = vectors_of(table["embedding.vector"])
    cells = choose_cells(vectors, load_centroids(config.centroids), config.probes)
    index = np.repeat(np.arange(len(vectors)), cells.shape[1])
    hashes = pc.fill_null(table["exact.match_hash"], bytes(16)).combine_chunks()
    columns = (
        cells.ravel().astype(np.uint64) * ODD_A,  # partitions are ranges of keys
        table["row"].to_numpy()[index],
        hash_lanes(hashes)[:, 0][index],
        language_keys(table["language.label"])[index],
        pa.FixedSizeListArray.from_arrays(pa.array(vectors[index].ravel()), N_DIMENSIONS),
    )
    return pa.table(list(columns), schema=KEYED)


def vectors_of(column: pa.ChunkedArray) -> np.ndarray:
    """Vectors without nulls: int8 (n, N_DIMENSIONS)."""
    arrays = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate(arrays or [np.zeros(0, np.int8)]).reshape(-1, N_DIMENSIONS)


def language_keys(labels: pa.ChunkedArray) -> np.ndarray:
    """A number for each language, without its script: uint64 (n,); 0 for a missing label."""
    known = pc.dictionary_encode(labels.combine_chunks())
    names = [label.partition("_")[0] for label in known.dictionary.to_pylist()]
    names = ["zho" if name in SINITIC else name for name in names]
    keys = np.append(string_keys(pa.array(names, pa.string())), np.uint64(0))
    return keys[pc.fill_null(known.indices, len(names)).to_numpy()]


def find_nearest(table: pa.Table, config: Config) -> pa.Table:
    """Find the nearest documents within each cell.

    Args: table, of KEYED, sorted by key, then row. Returns: a table of FOUND, for each row, in order.
    """
    keys, rows, content, languages = (table[name].to_numpy() for name in KEYED.names[:4])
    vectors = vectors_of(table["vector"])
    shape = table.num_rows, 2, config.n_neighbours
    found, cosines = np.full(shape, -1, np.int64), np.full(shape, NONE, np.float32)
    bounds = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1), len(keys)] if len(keys) else []
    for start, end in pairwise(bounds):
        cell = slice(start, end)
        found[cell], cosines[cell] = search(
            vectors[cell], content[cell], languages[cell], config.n_neighbours, config.probes, config.max_cell
        )
        found[cell] += np.where(found[cell] >= 0, start, 0)
    numbers = np.where(found >= 0, rows[found], np.uint64(0)) if len(rows) else found.astype(np.uint64)
    return pa.table(_lists(numbers, cosines), schema=FOUND)


def _lists(rows: np.ndarray, cosines: np.ndarray) -> list[pa.Array]:
    """Columns of FOUND; rows, cosines: (n, 2, n_neighbours), cosine NONE where there is none."""
    columns = []
    for side in (0, 1):
        taken = cosines[:, side] > NONE
        offsets = np.append(0, np.cumsum(taken.sum(axis=1))).astype(np.int32)
        for values in (rows[:, side][taken], cosines[:, side][taken]):
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(values)))
    return columns


def join_cells(table: pa.Table, answers: pa.Table, config: Config) -> pa.Table:
    """Join what the cells of each document found.

    Args: table, with READS and `row`, of a whole shard; answers, of FOUND, in order of (key, position in the map).
    Returns: `row` and SCHEMA, for documents with a vector.
    """
    mapped = map_cells(table, config)
    order = np.argsort(mapped["key"].to_numpy(), kind="stable")
    n_docs, n = len(pc.unique(mapped["row"])), config.n_neighbours
    n_cells = mapped.num_rows // max(n_docs, 1)
    rows, cosines = (
        np.zeros((mapped.num_rows, 2, n), np.uint64),
        np.full((mapped.num_rows, 2, n), NONE, np.float32),
    )
    for side, name in enumerate(("", "other_")):
        lists = answers[f"{name}rows"].combine_chunks()
        sizes = lists.value_lengths().to_numpy()
        at = (
            np.repeat(order, sizes),
            side,
            np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes),
        )
        rows[at] = lists.flatten().to_numpy()
        cosines[at] = answers[f"{name}cosines"].combine_chunks().flatten().to_numpy()
    by_doc, joined = (n_docs, n_cells, 2, n), (n_docs, 2, max(n_cells, 1) * n)
    rows = rows.reshape(by_doc).transpose(0, 2, 1, 3).reshape(joined) if n_docs else rows
    cosines = cosines.reshape(by_doc).transpose(0, 2, 1, 3).reshape(joined) if n_docs else cosines
    rows, cosines = merge(rows, cosines, n)
    nearest = pa.array(cosines[:, 0, 0], mask=cosines[:, 0, 0] == NONE)
    columns = [mapped["row"].take(np.arange(n_docs) * n_cells), nearest, *_lists(rows, cosines)]
    return pa.table(columns, schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA]))


GLOBAL = Global(
    name="neighbours",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="number of a nearest centroid, scattered",
    map=map_cells,
    reduce=find_nearest,
    answer=join_cells,
    sparse="embedding.vector",
    files=("centroids",),
)
