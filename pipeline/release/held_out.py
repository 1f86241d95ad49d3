"""Which kept documents of a build are held out: chosen ones, those of an earlier release, and all that are linked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.release_schema import order_path
from pipeline.errors import UsageError
from pipeline.mix.config import NATURAL
from pipeline.mix.holdout import HOLDOUT, Holdout, linked, spread
from pipeline.release.facts import CHOSEN
from pipeline.storage.store import Store


class Links:
    """Tables of facts.links_table, one for each shard, that are read anew for each iteration."""

    def __init__(self, read: Callable[[int], pa.Table], n_shards: int) -> None:
        self.read, self.n_shards = read, n_shards

    def __iter__(self) -> Iterator[list[pa.ChunkedArray]]:
        for table in map(self.read, range(self.n_shards)):
            yield [table[name] for name in table.column_names if name != CHOSEN]

    def chosen(self) -> Iterator[np.ndarray]:
        """Which documents of each shard are chosen, bool (n_kept,)."""
        for table in map(self.read, range(self.n_shards)):
            yield table[CHOSEN].to_numpy(zero_copy_only=False).astype(bool)


def held_out(store: Store, links: Links, holdout: Holdout) -> Iterator[np.ndarray]:
    """Yield which kept documents of each shard are held out: bool (n_kept,).

    Memory is that of one shard's links and of the names held out; with `as_in`, also of the names of that release.
    """
    chosen = links.chosen()
    if holdout.as_in is not None:
        chosen = _as_before(store, holdout.as_in, links)
    names = spread(links, chosen)
    for columns in links:
        yield linked(columns, names)


def _as_before(store: Store, release: str, links: Links) -> Iterator[np.ndarray]:
    """Choose what an earlier release holds out, and new documents only where no document linked with it is in that
    release."""
    before = read_order(store, release, HOLDOUT)
    trained = read_order(store, release, NATURAL)
    known = spread(links, (linked(columns[:1], trained) for columns in links))
    for columns, new in zip(links, links.chosen(), strict=True):
        yield linked(columns[:1], before) | (new & ~linked(columns, known))


def read_order(store: Store, release: str, mix: str) -> pa.Array:
    """The ids of the documents of a mix of a release of this store, string (n,)."""
    with store.open(f"releases/{release}/{order_path(mix)}") as stream:
        return pq.read_table(stream, columns=["doc_id"])["doc_id"].combine_chunks()


def earlier_holdout(store: Store, holdout: Holdout | None) -> str | None:
    """Digest of the release that a hold-out follows; None without one.

    Raises: UsageError if the store has no such release, or it holds nothing out.
    """
    if holdout is None or holdout.as_in is None:
        return None
    folder = f"releases/{holdout.as_in}"
    if not store.exists(f"{folder}/checksums.sha256"):
        raise UsageError(f"mix.holdout.as_in: {store.url} has no release {holdout.as_in!r}")
    if not store.exists(f"{folder}/{order_path(HOLDOUT)}"):
        raise UsageError(
            f"mix.holdout.as_in: release {holdout.as_in!r} holds no documents out; leave as_in out, or name another"
        )
    return hashlib.sha256(store.get(f"{folder}/checksums.sha256")).hexdigest()
