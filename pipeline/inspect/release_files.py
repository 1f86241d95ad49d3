"""Files of a release: their checksums and tables, read again."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.store import Store


def read_checksums(release: Store) -> dict[str, str]:
    """File -> SHA-256 in hex, of every file of a release."""
    lines = release.get("checksums.sha256").decode().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def read_parts(release: Store, listed: dict[str, str], prefix: str, columns: list[str] | None) -> pa.Table:
    """All parts below a prefix, in name order."""
    tables = []
    for name in sorted(name for name in listed if name.startswith(prefix) and "/part-" in name):
        with release.open(name) as stream:
            tables.append(pq.read_table(stream, columns=columns))
    return pa.concat_tables(tables) if tables else pa.table({})


def text_digest(text: str) -> str:
    """A short digest of a released text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
