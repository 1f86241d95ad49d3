"""Band keys of MinHash signatures: documents with an equal key are candidates for near duplicates.

Reads text; writes one key per band. Shingles are runs of words, or of code points in scripts without blanks,
over match text. Candidates are verified from text by `stages.dedup`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage, bind
from stages.kernels.dedup.forms import FORMS_PATH
from stages.kernels.dedup.minhash import (
    WORDS,
    hash_bands,
    hash_shingles,
    hash_units,
    match_text,
    permutations,
    sign,
)
from stages.kernels.text.text import TABLES_PATH

SHOWN = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Similarities for which `notes` lists the catch probability."""

SCHEMA = pa.schema({"band_keys": pa.list_(pa.uint64())})
"""band_keys: hash of each band of the MinHash signature; equal keys make a candidate pair."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """n_bands and band_rows determine the catch probability; shingle_units: units of a shingle; seed: of the hashes.

    28 bands of 6 rows catch 99.98 % of pairs at similarity 0.8 and 97 % at 0.7. The margin below the usual threshold is
    needed because the similarity of these shingles may be slightly lower than that of the shingles used to verify.
    """

    n_bands: int = 28  # bands of a signature, each a key
    band_rows: int = 6  # hashes to a band
    shingle_units: int = 5  # units (words, or Han characters) to a shingle
    seed: int = 1  # of the hash functions

    def __post_init__(self) -> None:
        for name in ("n_bands", "band_rows", "shingle_units"):
            if getattr(self, name) < 1:
                raise ConfigError(f"minhash.{name} is {getattr(self, name)}; expected 1 or more")
        if self.seed < 0:
            raise ConfigError(f"minhash.seed is {self.seed}; expected 0 or more")


def catch_probability(similarity: float, config: Config) -> float:
    """Return the probability that two documents share a band key: 1 - (1 - s**r)**b for Jaccard similarity s.

    Source: Leskovec et al., Mining of Massive Datasets, 3rd ed., section 3.4.2.
    """
    return 1.0 - (1.0 - similarity**config.band_rows) ** config.n_bands


def signatures(text: pa.ChunkedArray | pa.Array, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Compute the MinHash signature of each text.

    Args: text, strings, (n_docs,).
    Returns: uint32 (n_docs, n_bands * band_rows); bool (n_docs,), False for texts without a unit.
    """
    match = match_text(text, marks=True)
    n_docs = len(match.starts) - 1
    units = hash_units(match, np.full(n_docs, WORDS, np.uint8))
    hashes, starts = hash_shingles(*units, np.full(n_docs, config.shingle_units))
    signed = np.empty((n_docs, config.n_bands * config.band_rows), np.uint32)
    sign(hashes, starts, permutations(signed.shape[1], config.seed), signed)
    return signed, np.diff(starts) > 0


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Compute the band keys of each document.

    Args: batch, with a string column `text`, (n_docs,).
    Returns: a table of SCHEMA, (n_docs,): n_bands keys, an empty list for a text without units, null for a null text.
    """
    signed, has_units = signatures(batch["text"], config)
    keys = hash_bands(signed, config.n_bands)[has_units].reshape(-1)
    ends = np.cumsum(has_units * config.n_bands)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    missing = pc.is_null(batch["text"]).combine_chunks()
    bands = pa.ListArray.from_arrays(offsets, pa.array(keys, pa.uint64()), mask=missing)
    return pa.table([bands], schema=SCHEMA)


def notes(config: Config) -> list[str]:
    """Return a sentence on the share of pairs that become candidates, by the similarity of their shingles."""
    caught = ", ".join(f"{catch_probability(s, config):.2%} at {s}" for s in SHOWN)
    n_hashes = config.n_bands * config.band_rows
    return [
        f"{config.n_bands} bands of {config.band_rows} rows ({n_hashes} hashes) catch {caught} similarity"
    ]


STAGE = Stage(
    name="minhash",
    version=6,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH, FORMS_PATH),
    notes=notes,
)
