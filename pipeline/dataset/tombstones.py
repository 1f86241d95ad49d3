"""Tombstones of a store: what keeps erased documents, and near copies of them, out of later ingests.

`tombstones/<id>.parquet` has the tombstones of one erasure, `tombstones/catalog.json` lists these files and holds the
key of the hashes, or only its fingerprint if the key is in the environment. None of it contains text.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shard import opened
from pipeline.errors import ConfigError
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

FOLDER = "tombstones"
CATALOG = f"{FOLDER}/catalog.json"
PENDING = f"{FOLDER}/pending.json"
"""The changes of an erasure that is not finished."""

RECEIPTS = f"{FOLDER}/receipts"
VARIABLE = "BICORPUS_TOMBSTONE_KEY"
"""Environment variable with the key of the hashes, 16 characters or more; without it the store holds a random key."""

MODULE = "stages.tombstones"
KEY_BYTES, MIN_KEY_CHARS = 16, 16
COLUMNS = ("doc_id", "source_id", "url", "host")
"""Canonical columns by whose values documents are erased."""


def plain_url(url: str) -> str:
    """Return a URL in the form in which two of the same page are equal: without scheme, fragment, port 80 or 443, the
    slash at its end, and `www.`; the host in lower case."""
    try:
        parts = urlsplit(url.strip() if "://" in url else f"//{url.strip()}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url.strip()
    where = host.removeprefix("www.") + (f":{port}" if port not in (None, 80, 443) else "")
    return where + parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")


def host_and_parents(host: str) -> list[str]:
    """Return a host and the domains that it is part of: `a.example.com`, `example.com`, `com`."""
    labels = host.lower().strip(".").split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def _module() -> Any:  # Any: a module of stages, which the engine loads by name
    return importlib.import_module(MODULE)


def key_of(catalog: Catalog) -> bytes:
    """Return the key of a store's tombstones.

    Raises: ConfigError if it is in the environment of those who erased, and not in this one; the message does not show
    it.
    """
    stored, version = catalog.header.get("key"), catalog.header.get("version")
    if version != _module().VERSION:
        raise ConfigError(
            f"{catalog.store.url}/{CATALOG}: tombstones of version {version}, this is {_module().VERSION}; their texts "
            "are not found any more. Erase again with this version, or ingest with the one that wrote them"
        )
    if stored is not None:
        return bytes.fromhex(stored)
    key = _environment_key()
    if key is None or _fingerprint(key) != catalog.header["fingerprint"]:
        raise ConfigError(
            f"{catalog.store.url}: documents were erased with a key whose fingerprint is "
            f"{catalog.header['fingerprint']}; put it into the environment variable {VARIABLE}"
        )
    return key


def new_header() -> dict[str, Any]:  # Any: JSON
    """Return the header of a first erasure: the fingerprint of the key in the environment, or a random key."""
    key = _environment_key()
    facts: dict[str, Any] = {"version": _module().VERSION}
    if key is not None:
        return {**facts, "fingerprint": _fingerprint(key)}
    return {**facts, "key": secrets.token_hex(KEY_BYTES)}


def _environment_key() -> bytes | None:
    value = os.environ.get(VARIABLE, "")
    if value and len(value) < MIN_KEY_CHARS:
        raise ConfigError(f"{VARIABLE} is too short; expected {MIN_KEY_CHARS} characters or more")
    return hashlib.blake2b(value.encode(), digest_size=KEY_BYTES).digest() if value else None


def _fingerprint(key: bytes) -> str:
    return hashlib.blake2b(b"fingerprint", key=key, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Tombstones:
    """Tombstones in memory. table: of the schema of stages.tombstones; key: of their hashes."""

    table: pa.Table
    key: bytes
    module: Any = field(default_factory=_module, repr=False)  # Any: see _module

    @cached_property
    def _values(self) -> dict[str, frozenset[bytes]]:
        kinds, hashes = self.table["kind"].to_pylist(), self.table["hash"].to_pylist()
        return {
            kind: frozenset(h for k, h in zip(kinds, hashes, strict=True) if k == kind) for kind in COLUMNS
        }

    @cached_property
    def matcher(self) -> Any:  # Any: stages.tombstones.Matcher
        """What finds near copies of the texts."""
        return self.module.Matcher(self.table, self.key)

    @cached_property
    def has_texts(self) -> bool:
        """Whether a tombstone is of a text, so that documents are compared by theirs."""
        return "text" in self.table["kind"].to_pylist()

    def value_columns(self) -> list[str]:
        """Canonical columns that `by_value` reads."""
        return [name for name in COLUMNS if self._values[name]]

    def columns(self) -> list[str]:
        """Canonical columns that `erased` reads."""
        return [*self.value_columns(), *(["text"] if self.has_texts else [])]

    def by_value(self, documents: pa.Table) -> np.ndarray:
        """Return which documents were erased by id, source id, URL or host: bool (n_rows,)."""
        found = np.zeros(documents.num_rows, bool)
        for kind in self.value_columns():
            hashes = self._values[kind]
            known: dict[str | None, bool] = {None: False}
            for i, value in enumerate(documents[kind].to_pylist()):
                if value not in known:
                    known[value] = any(
                        self.module.value_hash(kind, form, self.key) in hashes for form in forms(kind, value)
                    )
                found[i] |= known[value]
        return found

    def erased(self, documents: pa.Table) -> np.ndarray:
        """Return which documents are erased ones, or near copies of them: bool (n_rows,).

        Args: documents, CANONICAL, or `columns()` of it.
        """
        found = self.by_value(documents)
        if not self.has_texts:
            return found
        left = np.flatnonzero(~found)
        if len(left):
            found[left] = self.matcher.matches(documents["text"].take(pa.array(left)))
        return found

    def hidden(self, quarantined: pa.Table) -> pa.Table:
        """Return quarantined records without the bytes of those that contain an erased text."""
        if not self.has_texts:
            return quarantined
        raw = quarantined["raw"].to_pylist()
        found = self.matcher.matches([self.module.raw_text(data) for data in raw])
        if not found.any():
            return quarantined
        kept = pa.array(
            [None if hide else data for data, hide in zip(raw, found, strict=True)], quarantined["raw"].type
        )
        return quarantined.set_column(quarantined.schema.get_field_index("raw"), "raw", kept)


def forms(kind: str, value: str) -> Sequence[str]:
    """Return the forms of a value that tombstones may be of."""
    if kind == "url":
        return [plain_url(value)]
    return host_and_parents(value) if kind == "host" else [value]


def tag_of(store: Store) -> str:
    """Return what changes when a store's tombstones do; empty without any."""
    found = store.get_with_tag(CATALOG)
    return "" if found is None else hashlib.blake2b(found[0], digest_size=8).hexdigest()


@functools.lru_cache(maxsize=2)
def load_tombstones(store: Store, tag: str) -> Tombstones | None:
    """Read all tombstones of a store; None without any. tag: of `tag_of`, for the cache.

    Raises: ConfigError if their key is missing; DamagedError if a file is.
    """
    catalog = Catalog.load(store, CATALOG)
    if not tag or not catalog.entries:
        return None
    return Tombstones(
        pa.concat_tables(read_tombstones(store, name) for name in sorted(catalog.entries)), key_of(catalog)
    )


def read_tombstones(store: Store, name: str) -> pa.Table:
    """Read the tombstones of one erasure."""
    with opened(store, f"{FOLDER}/{name}.parquet") as stream:
        return pq.read_table(stream)


def open_key(store: Store) -> tuple[bytes, dict[str, Any]]:  # Any: JSON
    """Return the key for another erasure, and the header of the catalog; the first erasure of a store chooses them.

    Raises: ConfigError if the key is missing from the environment.
    """
    catalog = Catalog.load(store, CATALOG)
    if not catalog.header:
        catalog = Catalog(store, CATALOG, new_header())
    return key_of(catalog), catalog.header


def write_tombstones(store: Store, name: str, table: pa.Table) -> None:
    """Write the tombstones of an erasure, which count once they are listed."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    store.put(f"{FOLDER}/{name}.parquet", sink.getvalue())


def list_tombstones(store: Store, name: str, header: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Put the tombstones of an erasure into force.

    Args: header, of open_key; facts, of the catalog's entry. Any: JSON.
    """
    Catalog.load(store, CATALOG, header).update({name: dict(facts)})
