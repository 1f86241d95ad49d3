"""Requests to stores and bytes written to them by this process, as an object store counts and bills them.

A folder is counted like a bucket, so that builds of both can be compared: an object that is opened is one GET, one
that is written one PUT, or several if a bucket would take it as a multipart upload. What a bucket reads in ranges is
counted by range. HEAD is billed as GET, a copy as PUT; DELETE is free.
"""

from __future__ import annotations

import threading
from dataclasses import astuple, dataclass

WORK = ("exchange/", "releases/_work/")
"""Folders of intermediate files, which are deleted at the end of a step or of a release."""

PART_BYTES = 8 << 20
"""Bytes of a part of a multipart upload, and the largest object that is written by one PUT."""

LISTED = 1_000
"""Objects of one LIST request."""


@dataclass
class Counts:
    """gets, puts, lists: requests. files, disk_bytes: objects that stay, and their bytes, without those that were
    replaced or deleted where their size is known. work_bytes: written to intermediate files."""

    gets: int = 0
    puts: int = 0
    lists: int = 0
    files: int = 0
    disk_bytes: int = 0
    work_bytes: int = 0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


_total = Counts()
_lock = threading.Lock()
_sizes: dict[str, int] = {}  # of objects that are written again and again, by URL and key


def counts() -> Counts:
    """What this process has done so far."""
    with _lock:
        return Counts(*astuple(_total))


def note_get() -> None:
    """Count an object or a range that was read."""
    with _lock:
        _total.gets += 1


def note_list(n_objects: int) -> None:
    """Count the requests of a listing."""
    with _lock:
        _total.lists += 1 + max(n_objects - 1, 0) // LISTED


def note_put(key: str, n_bytes: int, replaced: int | None = None, part_bytes: int = PART_BYTES) -> None:
    """Count an object that was written. replaced: bytes of the object that it replaces, None without any."""
    n_parts = 1 + (n_bytes - 1) // part_bytes if n_bytes > part_bytes else 0
    with _lock:
        _total.puts += n_parts + 2 if n_parts else 1  # parts, begin and end
        if key.startswith(WORK):
            _total.work_bytes += n_bytes
        else:
            _total.files += replaced is None
            _total.disk_bytes += n_bytes - (replaced or 0)


def note_swap(url: str, key: str, n_bytes: int) -> None:
    """Count an object that is written again and again, such as a catalog, of which this process knows what it wrote."""
    note_put(key, n_bytes, _sizes.get(f"{url}/{key}"))
    with _lock:
        _sizes[f"{url}/{key}"] = n_bytes


def note_move(replaced: int | None) -> None:
    """Count a copy whose source is deleted. replaced: bytes of the object at the target, None without any."""
    with _lock:
        _total.puts += 1
        if replaced is not None:
            _total.files -= 1
            _total.disk_bytes -= replaced


def note_delete(key: str, n_bytes: int) -> None:
    """Count an object that was deleted, which no request is billed for."""
    if not key.startswith(WORK):
        with _lock:
            _total.files -= 1
            _total.disk_bytes -= n_bytes
