"""Reading of a release: checksums and tables of its files."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.release_schema import order_path
from pipeline.storage.store import Store


def read_checksums(release: Store) -> dict[str, str]:
    """SHA-256 in hex of every file of a release, by name."""
    lines = release.get("checksums.sha256").decode().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def read_parts(release: Store, listed: dict[str, str], prefix: str, columns: list[str] | None) -> pa.Table:
    """Read and concatenate the release files `part-*` below a prefix, in order of name; empty if there are none.

    Args: listed, of read_checksums; columns, all if None.
    """
    tables = []
    for name in sorted(name for name in listed if name.startswith(prefix) and "/part-" in name):
        with release.open(name) as stream:
            tables.append(pq.read_table(stream, columns=columns))
    return pa.concat_tables(tables) if tables else pa.table({})


def read_order(release: Store, mix: str) -> pa.Table:
    """Read the training order of a mix, a table of ORDER; version 0.1.0 wrote it into the folder of the mix."""
    path = order_path(mix)
    with release.open(path if release.exists(path) else f"mixes/{mix}/order.parquet") as stream:
        return pq.read_table(stream)


def text_digest(text: str) -> str:
    """Digest of a released text: 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
