"""A journal: small records by key below a folder of a store, to which many processes append at once.

Each process appends to a segment of its own, so writers never wait for each other. In a local folder a segment is one
file, and a record is in it when `put` returns, which a killed process does not change. A bucket cannot append: there
each commit is an object of the records that waited for it, and `close` merges those of its process into one.

A record is one line: key (32 hex digits), checksum (XXH3-64 of key and data), data. A line that was cut off or changed
is no record. Of several records of a key the last that is sound is read. The index takes 40 bytes a record in memory,
the records none.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import xxhash

from pipeline.errors import StoreError
from pipeline.storage.base import MissingError, Store, explained

KEY_CHARS, SUM_CHARS = 32, 16
HEAD = KEY_CHARS + SUM_CHARS + 2
"""Bytes of a line before its data: key, blank, checksum, blank."""
SYNC_S = 5.0
"""Seconds after which appended records are flushed to the disk: what a power failure may cost, unlike a kill."""
REFRESH_S = 30.0
"""Seconds after which a key without a record makes the index read what other processes have appended."""

_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass
class _Batch:
    """Lines of a bucket's next object, and the error of writing it."""

    lines: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    done: bool = False


class Journal:
    """The records below one folder of a store; see the module. Its methods may be called from several threads."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder
        self.n_damaged = 0
        self._lock, self._commit_lock = threading.RLock(), threading.Lock()
        self._segments: list[str] = []
        self._read: dict[str, int] = {}  # bytes of a segment that the index has
        self._keys = np.zeros((0, 2), np.uint64)
        self._places = np.zeros((0, 3), np.int64)  # segment, offset and length of a line
        self._own: dict[str, tuple[str, int, int]] = {}
        self._name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
        self._parts: list[str] = []
        self._file: int | None = None
        self._size, self._synced, self._refreshed = 0, time.monotonic(), 0.0
        self._batch = _Batch()
        self.refresh()

    def __len__(self) -> int:
        """Number of records in the index; those that replace others count as well."""
        return len(self._keys) + len(self._own)

    def get(self, key: str) -> bytes | None:
        """Return the data of a key; None if there is no sound record of it."""
        try:
            data = self._newest(key)
        except MissingError:  # another process merged its objects
            self.refresh()
            return self._newest(key)
        if data is None and time.monotonic() - self._refreshed > REFRESH_S:
            self.refresh()
            return self._newest(key)
        return data

    def _newest(self, key: str) -> bytes | None:
        with self._lock:
            places = list(self._places_of(key))
        found = (self._data(key, *place) for place in places)
        return next((data for data in found if data is not None), None)

    def put(self, key: str, data: bytes) -> None:
        """Append a record.

        Raises: ValueError for data with a line end; StoreError if it cannot be written.
        """
        if b"\n" in data or len(key) != KEY_CHARS:
            raise ValueError("a record is one line under a key of 32 hex digits")
        line = b"%s %s %s\n" % (key.encode(), _checksum(key, data), data)
        if self.store.local_path(self.folder) is not None:
            self._append(key, line)
        else:
            self._commit(key, line)

    def refresh(self) -> None:
        """Add what other processes have appended to the index."""
        with self._lock:
            self._refreshed = time.monotonic()
            keys, places = [self._keys], [self._places]
            for segment, size in self.store.list(self.folder):
                start = self._read.get(segment, 0)
                if size <= start or segment in self._parts:
                    continue
                with suppress(MissingError), self.store.open(segment) as stream:
                    stream.seek(start)
                    found, n_bytes = self._scan(stream.read(size - start), start, segment)
                    keys.append(found[0])
                    places.append(found[1])
                    self._read[segment] = start + n_bytes
            if len(keys) > 1:
                merged, where = np.concatenate(keys), np.concatenate(places)
                order = np.lexsort((merged[:, 1], merged[:, 0]))  # stable: of equal keys the newest is last
                self._keys, self._places = merged[order], where[order]

    def find(self, matches: Callable[[bytes], bool]) -> list[str]:
        """Keys of the records whose data matches, each once, sorted; all versions of a record are looked at."""
        self.close()
        keys = set()
        for segment, _ in self.store.list(self.folder):
            for line in bytes(self.store.get(segment)).split(b"\n"):
                if len(line) >= HEAD and matches(line[HEAD:]):
                    keys.add(line[:KEY_CHARS].decode("ascii", "replace"))
        return sorted(keys)

    def count(self, keys: Iterable[str]) -> int:
        """How many of some keys have a record."""
        self.refresh()
        return sum(self.get(key) is not None for key in set(keys))

    def erase(self, keys: Iterable[str], data: bytes) -> int:
        """Remove all records of some keys from the files, and keep others in their place; returns how many there were.

        Lines that are no records are removed as well, since nobody can say whose they were. No other process may
        append meanwhile: its file would be replaced under it.

        Args: data, of the record that takes the place of each key that had one.
        """
        self.close()
        wanted, erased = {key.encode() for key in keys}, set[bytes]()
        for segment, _ in self.store.list(self.folder):
            lines = bytes(self.store.get(segment)).split(b"\n")
            kept = [line for line in lines if len(line) >= HEAD and line[:KEY_CHARS] not in wanted]
            erased |= {line[:KEY_CHARS] for line in lines if len(line) >= HEAD} & wanted
            if len(kept) < sum(map(bool, lines)):
                self.store.put(segment, b"".join(line + b"\n" for line in kept))
        self._segments, self._read = [], {}
        self._keys, self._places = np.zeros((0, 2), np.uint64), np.zeros((0, 3), np.int64)
        for key in sorted(erased):
            self.put(key.decode(), data)
        self.close()
        return len(erased)

    def close(self) -> None:
        """Flush what was appended; in a bucket, merge the objects of this process into one."""
        with self._commit_lock, self._lock:
            if self._file is not None:
                with explained(self.store.url):
                    os.fsync(self._file)
                    os.close(self._file)
                self._file = None
            elif len(self._parts) > 1:
                data = b"".join(self.store.get(part) for part in self._parts)
                self.store.put(f"{self.folder}/{self._name}.log", data)
                for part in self._parts:
                    self.store.delete(part)
            self._parts, self._own = [], {}
            self._name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
        self.refresh()

    def _append(self, key: str, line: bytes) -> None:
        """Append a line to the process's file in a local folder."""
        with self._lock:
            if self._file is None:
                segment = f"{self.folder}/{self._name}.log"
                self.store.put(segment, b"")  # makes the folder, with the permissions of the store
                self._file = os.open(str(self.store.local_path(segment)), os.O_WRONLY | os.O_APPEND)
                self._parts, self._size = [segment], 0
            with explained(self.store.url):
                written = os.write(self._file, line)
                if written < len(line):  # a full disk; what follows must not continue the piece of a line
                    os.close(self._file)
                    self._file, self._name = None, f"{self._name}x"
                    raise StoreError(f"{self.store.url}: the disk is full; free some space and run again")
                if time.monotonic() - self._synced > SYNC_S:
                    os.fsync(self._file)
                    self._synced = time.monotonic()
            self._own[key] = (self._parts[0], self._size, len(line))
            self._size += len(line)

    def _commit(self, key: str, line: bytes) -> None:
        """Write a line to a bucket together with all that wait: the first to get the lock writes for the others."""
        with self._lock:
            batch = self._batch
            batch.lines.append(line)
            batch.keys.append(key)
        with self._commit_lock:
            if batch.done:
                return
            with self._lock:
                if self._batch is batch:
                    self._batch = _Batch()
                part = f"{self.folder}/{self._name}-{len(self._parts):06d}.log"
            self.store.put(part, b"".join(batch.lines))
            batch.done = True
            with self._lock:
                self._parts.append(part)
                offset = 0
                for name, written in zip(batch.keys, batch.lines, strict=True):
                    self._own[name] = (part, offset, len(written))
                    offset += len(written)

    def _scan(self, data: bytes, start: int, segment: str) -> tuple[tuple[np.ndarray, np.ndarray], int]:
        """Keys and places of the complete lines of a segment from `start`, and how many bytes these take.

        Lines that do not begin with a key are counted as damaged; checksums are checked when a record is read.
        """
        view = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(view == 10)
        begins = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.zeros(0, np.int64)
        long = ends - begins >= HEAD
        heads = view[begins[long][:, None] + np.arange(KEY_CHARS)]
        digits = _HEX[heads]
        sound = (digits < 16).all(axis=1)
        n_lost = int((ends > begins).sum()) - int(sound.sum())
        self.n_damaged += n_lost
        nibbles = digits[sound].astype(np.uint64).reshape(-1, 2, 16)
        keys = np.bitwise_or.reduce(nibbles << np.arange(60, -4, -4).astype(np.uint64), axis=2)
        if segment not in self._segments:
            self._segments.append(segment)
        offsets, lengths = begins[long][sound], (ends - begins)[long][sound] + 1
        number = np.full(len(offsets), self._segments.index(segment))
        places = np.stack([number, offsets + start, lengths], axis=1).astype(np.int64)
        return (keys, places), int(ends[-1]) + 1 if len(ends) else 0

    def _places_of(self, key: str) -> Iterator[tuple[str, int, int]]:
        """Where records of a key are, the newest first."""
        if key in self._own:
            yield self._own[key]
        high, low = np.uint64(int(key[:16], 16)), np.uint64(int(key[16:], 16))
        first, last = (int(np.searchsorted(self._keys[:, 0], high, side)) for side in ("left", "right"))
        for row in range(last - 1, first - 1, -1):
            if self._keys[row, 1] == low:
                segment, offset, length = self._places[row].tolist()
                yield self._segments[segment], offset, length

    def _data(self, key: str, segment: str, offset: int, length: int) -> bytes | None:
        """The data of the line at a place; None, and counted, if it is damaged."""
        with self.store.open(segment) as stream:
            stream.seek(offset)
            line = bytes(stream.read(length))
        data = line[HEAD:-1]
        if line[:KEY_CHARS] == key.encode() and line[KEY_CHARS + 1 : HEAD - 1] == _checksum(key, data):
            return data
        with self._lock:
            self.n_damaged += 1
        return None


def damaged_lines(data: bytes) -> int:
    """Number of lines of a segment that are no records; an unfinished line at its end is not counted."""
    n_damaged = 0
    for line in data.split(b"\n")[:-1]:
        key, found, record = line[:KEY_CHARS], line[KEY_CHARS + 1 : HEAD - 1], line[HEAD:]
        n_damaged += found != xxhash.xxh3_64_hexdigest(key + record).encode()
    return n_damaged


def _checksum(key: str, data: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(key.encode() + data).encode()
