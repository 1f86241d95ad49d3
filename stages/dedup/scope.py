"""Scope of deduplication: which documents may be compared with each other at all.

Returns a salt for each document, from its source and snapshot. A step XORs it into the keys that make candidates, so
that documents of different scopes never share a key.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from stages.kernels.text.hashing import hash128, salt
from stages.kernels.text.text import utf8_buffers

Scope = Literal["global", "source", "snapshot"]
"""global: all documents. source: documents of the same source. snapshot: documents of the same crawl or dump, across
sources; a document without a snapshot is compared within its source."""

SCOPES: tuple[str, ...] = get_args(Scope)

SCOPE_READS = ("parent_id", "provenance", "source", "snapshot")
"""Canonical columns that `scope_salt` needs; all are small, and none of them is text."""


def check_scope(scope: str, where: str) -> None:
    """Check a scope; `where` is the setting that an error names.

    Raises: ConfigError if scope is not one of SCOPES.
    """
    if scope not in SCOPES:
        raise ConfigError(f"{where} is {scope!r}; expected one of {', '.join(SCOPES)}")


def scope_salt(table: pa.Table, scope: str) -> np.ndarray:
    """Return the salt to XOR into 64-bit keys of documents, so that only documents of one scope share keys.

    Derived documents have their own salt in each scope, views one for each parent, as in `hashing.salt`. With scope
    `global` the salt is that of `hashing.salt`. Snapshots and sources are hashed by different lanes, so that a snapshot
    and a source of the same name have different salts.

    Args: table, with SCOPE_READS; scope, one of SCOPES.
    Returns: uint64 (n_rows,).
    """
    derived = salt(table["parent_id"], table["provenance"])
    if scope == "global":
        return derived
    source_salt = _name_hashes(table["source"], 0)
    if scope == "source":
        return derived ^ source_salt
    snapshot = table["snapshot"]
    has_snapshot = np.asarray(pc.is_valid(snapshot).combine_chunks()).astype(bool)
    return derived ^ np.where(has_snapshot, _name_hashes(snapshot, 1), source_salt)


def _name_hashes(column: pa.ChunkedArray, lane: int) -> np.ndarray:
    """Hash each distinct name once: uint64 (n_rows,); values of null rows are undefined."""
    codes = column.combine_chunks().dictionary_encode()
    if not len(codes.dictionary):
        return np.zeros(len(codes), np.uint64)
    data, offsets = utf8_buffers(codes.dictionary)
    hashes = hash128(data, offsets)[:, lane]
    return hashes[codes.indices.fill_null(0).to_numpy(zero_copy_only=False)]
