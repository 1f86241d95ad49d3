"""Catalogs: one object that describes the objects beside it, so that none of them has to be listed or opened.

A catalog maps names (shard ids) to small entries. Any number of runs may update the same catalog: an update reads,
merges and swaps, and starts again if another run was first.

The object itself holds the newest entries, at most INLINE. When there are more, they become a segment, an object that
is never changed and that the catalog names. A segment is merged with the one before it unless that is twice as large,
so that an entry is written again about once for each doubling. So an update costs what is new, and a reader that has
read the catalog reads new segments only. The bytes of a catalog without segments depend on its key, entries and header
alone.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import zstandard

from pipeline.errors import AlignmentError, ConflictError, DamagedError, StoreError
from pipeline.storage.base import Store
from pipeline.storage.seal import parse_sealed, sealed_json

Entry = dict[str, Any]
"""Plain JSON data, defined by the module that writes it."""

INLINE = 4096
"""Entries that the object itself holds; larger catalogs have segments."""

COMPRESS_BYTES = 1 << 16
"""Catalogs larger than this are compressed; smaller ones stay readable with any tool."""

N_TRIES = 64
"""Consecutive lost swaps before an update fails: of n writers one wins each round; the others wait a random time."""

MAX_WAIT_S = 1.0

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


Changes = Mapping[str, Entry | None]
"""Entries by name; None removes an earlier one."""

Segment = tuple[str, int]
"""Key of a segment, and the number of its entries."""


class Catalog:
    """The entries of one catalog as they were last read or written."""

    def __init__(self, store: Store, key: str, header: Mapping[str, Any] | None = None) -> None:
        self.store, self.key = store, key
        self.header: dict[str, Any] = dict(header or {})
        self.entries: dict[str, Entry] = {}
        self.segments: list[Segment] = []
        self._inline: dict[str, Entry | None] = {}
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
        """Read what is new since the entries were read.

        Raises: AlignmentError if the catalog was written with another header; DamagedError if it is damaged.
        """
        for attempt in range(N_TRIES):
            tagged = self.store.get_with_tag(self.key)
            data, tag = tagged or (b"", None)
            header, inline, segments = (
                _decode(data, self.key, self.store.url) if tagged else (self.header, {}, [])
            )
            if self.header and header != self.header:
                raise AlignmentError(
                    f"{self.store.url}/{self.key}: found header {_short(header)}, expected {_short(self.header)};"
                    " it was written for another recipe. Delete it and run again"
                )
            n_known = _common(self.segments, segments)
            parts = [self._read(key) for key, _ in segments[n_known:]]
            if all(part is not None for part in parts):
                break
            if attempt and tag == self._tag:  # no other run has merged it in the meantime
                raise DamagedError(f"{self.store.url}/{self.key}: a segment is missing", self.key)
            self._tag = tag
        if not n_known:
            self.entries = {}
        for part in (*parts, inline):
            _apply(self.entries, part or {})
        self.header, self.segments, self._inline, self._tag = header, segments, inline, tag

    def _read(self, key: str) -> dict[str, Entry | None] | None:
        """Entries of a segment; None if there is none."""
        found = self.store.get_with_tag(key)
        if found is None:
            return None
        try:
            return _decode(found[0], key, self.store.url)[1]
        except DamagedError as error:
            raise DamagedError(str(error), self.key) from error

    def update(self, entries: Mapping[str, Entry], remove: Iterable[str] = ()) -> None:
        """Add or replace entries and remove others; entries that other runs wrote in the meantime are kept.

        Every update writes the newest entries again; callers collect the entries of many shards for one call.

        Raises: StoreError if other runs were first N_TRIES times in a row.
        """
        remove = frozenset(remove)
        for attempt in range(N_TRIES):
            self.refresh()  # the entries read before may be out of date
            changes: dict[str, Entry | None] = {
                name: None for name in remove if name in self.entries and name not in entries
            }
            changes |= {name: entry for name, entry in entries.items() if self.entries.get(name) != entry}
            if not changes:
                return
            inline, segments = self._inline | changes, self.segments
            if not segments:
                inline = {name: entry for name, entry in inline.items() if entry is not None}
            old: list[str] = []
            written: list[str] = []
            if len(inline) > INLINE:
                segments, old, written = self._roll(inline)
                inline = {}
            try:
                self._tag = self.store.put_if(
                    self.key, _encode(self.key, self.header, inline, segments), self._tag
                )
            except ConflictError:
                self.refresh()  # the answer to this very swap may have been lost
                named = {key for key, _ in self.segments}
                self._delete([key for key in written if key not in named])
                time.sleep(random.uniform(0, min(MAX_WAIT_S, 0.01 * 2**attempt)))
            else:
                _apply(self.entries, changes)
                self._inline, self.segments = inline, segments
                self._delete(old)
                return
        raise StoreError(
            f"{self.store.url}/{self.key}: {N_TRIES} updates in a row lost to other runs; run again later"
        )

    def _roll(self, newest: Changes) -> tuple[list[Segment], list[str], list[str]]:
        """Write the newest entries as a segment, merged with those before it that are not twice as large.

        Returns: the segments, and the keys of those that are merged and of the one that was written.
        """
        kept, merged = list(self.segments), []
        content = dict(newest)
        while kept and kept[-1][1] < 2 * len(content):
            key, _ = kept.pop()
            content = (self._read(key) or {}) | content
            merged.append(key)
        if not kept:
            content = {name: entry for name, entry in content.items() if entry is not None}
        key = f"{self.key.removesuffix('.json')}-{uuid.uuid4().hex[:12]}.segment.json"
        self.store.put(key, _encode(key, self.header, content, []))
        return [*kept, (key, len(content))], merged, [key]

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.store.delete(key)


def _apply(entries: dict[str, Entry], changes: Changes) -> None:
    for name, entry in changes.items():
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry


def _common(a: Sequence[Segment], b: Sequence[Segment]) -> int:
    """Number of segments that two lists begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def is_segment(key: str) -> bool:
    """Whether an object is a segment of a catalog."""
    return key.endswith(".segment.json")


def catalog_of(segment: str) -> str:
    """Key of the catalog that a segment belongs to."""
    return segment.rpartition("-")[0] + ".json"


def _encode(key: str, header: Mapping[str, Any], entries: Changes, segments: Sequence[Segment]) -> bytes:
    content: dict[str, Any] = {"entries": entries, "header": header}
    if segments:
        content["segments"] = segments
    data = json.dumps(
        content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()
    data = sealed_json(data, key)
    return zstandard.compress(data, 3) if len(data) > COMPRESS_BYTES else data


def _decode(data: bytes, key: str, url: str) -> tuple[dict[str, Any], dict[str, Entry | None], list[Segment]]:
    where = f"{url}/{key}"
    try:
        plain = zstandard.decompress(data) if data.startswith(_ZSTD_MAGIC) else data
        content = parse_sealed(plain, key, where)
        if content.keys() - {"segments"} != {"header", "entries"}:
            raise ValueError(f"its members are {', '.join(sorted(content))}")
        header, entries = content["header"], content["entries"]
        segments = [(str(name), int(n)) for name, n in content.get("segments", ())]
        if not isinstance(header, dict) or not all(
            isinstance(entry, dict | None) for entry in entries.values()
        ):
            raise ValueError("its members have other types")
    except (ValueError, AttributeError, TypeError, zstandard.ZstdError) as error:
        raise DamagedError(f"{where}: not a catalog ({error})", key) from error
    return header, entries, segments


def _short(header: Mapping[str, Any]) -> str:
    shown = {
        name: value for name, value in header.items() if name != "key"
    }  # the key of tombstones is secret
    return json.dumps(shown, sort_keys=True, ensure_ascii=False)[:200]
