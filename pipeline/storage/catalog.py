"""Catalogs: one object that describes the objects beside it, so that none of them has to be listed or opened.

A catalog maps names (shard ids) to small entries. Any number of runs may update the same catalog: an update reads,
merges and swaps, and starts again if another run was first. The bytes depend on the entries and the header alone.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

import zstandard

from pipeline.errors import AlignmentError, ConflictError, DamagedError, StoreError
from pipeline.storage.base import Store
from pipeline.storage.seal import parse_sealed, sealed_json

Entry = dict[str, Any]
"""Plain JSON data, defined by the module that writes it."""

COMPRESS_BYTES = 1 << 16
"""Catalogs larger than this are compressed; smaller ones stay readable with any tool."""

N_TRIES = 64
"""Consecutive lost swaps before an update fails: of n writers one wins each round; the others wait a random time."""

MAX_WAIT_S = 1.0

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Catalog:
    """The entries of one catalog as they were last read or written."""

    def __init__(self, store: Store, key: str, header: Mapping[str, Any] | None = None) -> None:
        self.store, self.key = store, key
        self.header: dict[str, Any] = dict(header or {})
        self.entries: dict[str, Entry] = {}
        self._tag: str | None = None

    @classmethod
    def load(cls, store: Store, key: str, header: Mapping[str, Any] | None = None) -> Catalog:
        """Read a catalog; a missing one is empty.

        Args: header, plain data common to all entries (the full recipe), written with them.
        Raises: AlignmentError if the catalog was written with another header; DamagedError if it is damaged.
        """
        catalog = cls(store, key, header)
        catalog.refresh()
        return catalog

    def refresh(self) -> None:
        """Read the entries again.

        Raises: AlignmentError if the catalog was written with another header; DamagedError if it is damaged.
        """
        tagged = self.store.get_with_tag(self.key)
        data, self._tag = tagged or (b"", None)
        header, self.entries = _decode(data, self.key, self.store.url) if tagged else (self.header, {})
        if self.header and header != self.header:
            raise AlignmentError(
                f"{self.store.url}/{self.key}: found header {_short(header)}, expected {_short(self.header)};"
                " it was written for another recipe. Delete it and run again"
            )
        self.header = header

    def update(self, entries: Mapping[str, Entry], remove: Iterable[str] = ()) -> None:
        """Add or replace entries and remove others; entries that other runs wrote in the meantime are kept.

        Every update rewrites the catalog; callers collect the entries of many shards for one call.

        Raises: StoreError if other runs were first N_TRIES times in a row.
        """
        remove = frozenset(remove)
        for attempt in range(N_TRIES):
            self.refresh()  # the entries read before may be out of date
            kept = {name: entry for name, entry in self.entries.items() if name not in remove}
            merged = kept | dict(entries)
            if merged == self.entries:
                return
            try:
                self._tag = self.store.put_if(self.key, _encode(self.header, merged), self._tag)
            except ConflictError:
                time.sleep(random.uniform(0, min(MAX_WAIT_S, 0.01 * 2**attempt)))
            else:
                self.entries = merged
                return
        raise StoreError(
            f"{self.store.url}/{self.key}: {N_TRIES} updates in a row lost to other runs; run again later"
        )


def _encode(header: Mapping[str, Any], entries: Mapping[str, Entry]) -> bytes:
    content = {"entries": entries, "header": header}
    data = json.dumps(
        content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()
    data = sealed_json(data)
    return zstandard.compress(data, 3) if len(data) > COMPRESS_BYTES else data


def _decode(data: bytes, key: str, url: str) -> tuple[dict[str, Any], dict[str, Entry]]:
    where = f"{url}/{key}"
    try:
        plain = zstandard.decompress(data) if data.startswith(_ZSTD_MAGIC) else data
        content = parse_sealed(plain, key, where)
        if content.keys() != {"header", "entries"}:
            raise ValueError(f"its members are {', '.join(sorted(content))}")
        header, entries = content["header"], content["entries"]
        if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ValueError("its members have other types")
    except (ValueError, AttributeError, zstandard.ZstdError) as error:
        raise DamagedError(f"{where}: not a catalog ({error})", key) from error
    return header, entries


def _short(header: Mapping[str, Any]) -> str:
    return json.dumps(header, sort_keys=True, ensure_ascii=False)[:200]
