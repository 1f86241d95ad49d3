"""Scope of deduplication: which documents may be compared with each other at all.

Reads where a document came from; gives a salt to mix into the keys that documents meet by, so that documents of
different scopes share none. What the keys are is up to the step that meets them.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from stages.kernels.hashing import hash128, salt
from stages.kernels.text import utf8_buffers

Scope = Literal["global", "source", "snapshot"]
"""global: all documents. source: those of one source. snapshot: those of one crawl or dump, in whichever source; a
document without a snapshot is compared within its source."""

SCOPES: tuple[str, ...] = get_args(Scope)

SCOPE_READS = ("parent_id", "source", "snapshot")
"""Canonical columns that `scope_salt` needs; none of them is text, and all of them are cheap"""


def check_scope(scope: str, where: str) -> None:
    """Raise ConfigError for a scope that there is not."""
    if scope not in SCOPES:
        raise ConfigError(f"{where} is {scope!r}; expected one of {', '.join(SCOPES)}")


def scope_salt(table: pa.Table, scope: str) -> np.ndarray:
    """What to mix (XOR) into 64-bit keys of documents, so that only those of one scope have a key in common.

    Documents derived from others have a salt of their own in each scope, as in `hashing.salt`. With scope `global`
    the salt is that of `hashing.salt`, so keys are what they were. Snapshots and sources are hashed by different
    lanes: a snapshot that is called as a source is not taken for it.

    Args: table with SCOPE_READS.
    Returns: uint64 (n_rows,).
    """
    derived = salt(table["parent_id"])
    if scope == "global":
        return derived
    of_source = _name_hashes(table["source"], 0)
    if scope == "source":
        return derived ^ of_source
    snapshot = table["snapshot"]
    known = np.asarray(pc.is_valid(snapshot).combine_chunks()).astype(bool)
    return derived ^ np.where(known, _name_hashes(snapshot, 1), of_source)


def _name_hashes(column: pa.ChunkedArray, lane: int) -> np.ndarray:
    """Hash each name, which are few, once: uint64 (n_rows,); what stands for null is undefined."""
    codes = column.combine_chunks().dictionary_encode()
    if not len(codes.dictionary):
        return np.zeros(len(codes), np.uint64)
    data, offsets = utf8_buffers(codes.dictionary)
    hashes = hash128(data, offsets)[:, lane]
    return hashes[codes.indices.fill_null(0).to_numpy(zero_copy_only=False)]
