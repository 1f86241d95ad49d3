"""Reading of a release: checksums and tables of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.release_schema import order_path
from pipeline.storage.store import Store


def read_checksums(release: Store) -> dict[str, str]:
    """SHA-256 in hex of every file of a release, by name."""
    lines = release.get("checksums.sha256").decode().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def part_names(listed: Iterable[str], prefix: str) -> list[str]:
    """Names of the release files `part-*` below a prefix, in order. listed: names of files, as of read_checksums."""
    return sorted(name for name in listed if name.startswith(prefix) and "/part-" in name)


def each_part(
    release: Store, listed: Iterable[str], prefix: str, columns: Sequence[str] | None
) -> Iterator[tuple[str, pa.Table]]:
    """Yield name and table of each part below a prefix, in order of name; columns, all if None."""
    for name in part_names(listed, prefix):
        with release.open(name) as stream:
            yield name, pq.read_table(stream, columns=columns)


def read_rows(
    release: Store, listed: Iterable[str], prefix: str, doc_ids: Iterable[str], columns: Sequence[str] | None
) -> pa.Table:
    """Rows of some documents in the parts below a prefix, in order; of a part without them, ids alone are read.

    Args: columns, with doc_id; all if None.
    """
    wanted = pa.array(sorted(doc_ids), pa.string())
    tables: list[pa.Table] = []
    for name in part_names(listed, prefix):
        with release.open(name) as stream:
            ids = pq.read_table(stream, columns=["doc_id"])["doc_id"]
            rows = pc.indices_nonzero(pc.is_in(ids, wanted))
            if len(rows) or not tables:
                stream.seek(0)
                tables.append(pq.read_table(stream, columns=columns).take(rows))
    return pa.concat_tables(tables) if tables else pa.table({})


def read_order(release: Store, mix: str) -> pa.Table:
    """Read the training order of a mix, a table of ORDER; version 0.1.0 wrote it into the folder of the mix."""
    path = order_path(mix)
    with release.open(path if release.exists(path) else f"mixes/{mix}/order.parquet") as stream:
        return pq.read_table(stream)


def text_digest(text: str) -> str:
    """Digest of a released text: 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
