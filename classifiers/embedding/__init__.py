"""A vector for each document, Chinese and English in one space, and the cluster that it belongs to.

Reads text only. Writes a vector whose direction tells what the document is about, so that documents of one subject are
near each other by cosine, in whichever of the two languages they are; and the number of the nearest of the stored
centroids, a stratum for mixes and rules. Vectors are sums over words, as in fastText (Joulin et al. 2016, arXiv
1607.01759) and Luxical (arXiv 2512.09015): order, negation and style leave no trace. Words are those of
`classifiers.embedding.features`; other languages than Chinese and English share few of them and get little sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.embedding.features import MAX_ROWS, N_DIMENSIONS, embed, make_slots, nearest
from pipeline.array_files import read_arrays
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels.text.text import TABLES_PATH, load_tables, view

MODEL_PATH = package_file(__file__, "..", "models", "embedding_words.npz")
CENTROIDS_PATH = package_file(__file__, "..", "models", "embedding_centroids.npz")
CENTROID_LENGTH = 4096
"""Length of a centroid in the file, rounded; products with a vector fit into 31 bits."""
SCHEMA = pa.schema({"vector": pa.list_(pa.int8(), N_DIMENSIONS), "cluster": pa.int32()})
"""vector: what the document is about; only the direction has a meaning, the largest entry is 127 or -127. cluster:
number of the nearest centroid, from 0. Both are null for a document without a single word that the model contains."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """model: vectors of words, written by `scripts/training/train_embedding.py`.

    centroids: centroids of the clusters, written by the same script.
    """

    model: str = MODEL_PATH
    centroids: str = CENTROIDS_PATH


class Model(NamedTuple):
    """slots: see `make_slots`. matrix: int8 (n_words, N_DIMENSIONS). centroids: int16 (n_clusters, N_DIMENSIONS)."""

    slots: np.ndarray
    matrix: np.ndarray
    centroids: np.ndarray


def load_model(path: str, centroids_path: str) -> Model:
    """Read both files.

    Raises: ConfigError if a file is not what its name says.
    """
    hashes, matrix = _read(path, "model", ("hashes", "matrix"))
    fits = (
        hashes.dtype == np.uint32 and matrix.dtype == np.int8 and hashes.ndim == 1 and len(hashes) <= MAX_ROWS
    )
    if not fits or matrix.shape != (*hashes.shape, N_DIMENSIONS):
        raise ConfigError(
            f"embedding.model {path} contains {matrix.dtype} vectors {matrix.shape} of {hashes.dtype} hashes "
            f"{hashes.shape}; expected int8 (up to {MAX_ROWS}, {N_DIMENSIONS}) of uint32; train it again"
        )
    return Model(make_slots(hashes), matrix, load_centroids(centroids_path))


def load_centroids(path: str) -> np.ndarray:
    """Read centroids: int16 (n_clusters, N_DIMENSIONS), each of length CENTROID_LENGTH.

    Raises: ConfigError if the file is something else.
    """
    (centroids,) = _read(path, "centroids", ("centroids",))
    fits = centroids.dtype == np.int16 and centroids.ndim == 2 and centroids.shape[1] == N_DIMENSIONS
    lengths = np.sqrt((centroids.astype(np.float64) ** 2).sum(axis=-1)) if fits else np.zeros(1)
    if not len(lengths) or np.abs(lengths - CENTROID_LENGTH).max() > 0.01 * CENTROID_LENGTH:
        raise ConfigError(
            f"embedding.centroids {path} contains {centroids.dtype} {centroids.shape}; expected int16 "
            f"(1 or more, {N_DIMENSIONS}), each of length {CENTROID_LENGTH}"
        )
    return centroids


def _read(path: str, setting: str, names: tuple[str, ...]) -> list[np.ndarray]:
    """Arrays of a file."""
    stored = read_arrays(path, f"embedding.{setting}", "a file of scripts/training/train_embedding.py", names)
    return [np.ascontiguousarray(stored[name]) for name in names]


def load(config: Config) -> Annotate:
    """Read the model; see `load_model`."""
    return partial(annotate, model=load_model(config.model, config.centroids))


def annotate(batch: pa.Table, model: Model) -> pa.Table:
    """Embed the documents of one batch."""
    text = view(batch["text"])
    vectors = embed(text.codes, text.classes, text.starts, load_tables().fold, model.slots, model.matrix)
    clusters = nearest(vectors, model.centroids)
    empty = pa.array(clusters < 0)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), N_DIMENSIONS, mask=empty)
    return pa.table([column, pa.array(clusters, mask=clusters < 0)], schema=SCHEMA)


STAGE = Stage(
    name="embedding",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    files=("model", "centroids"),
    data=(TABLES_PATH,),
)
