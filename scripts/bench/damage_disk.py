"""A disk that fails: the system calls of a local store, counted, and one of them failing.

`lost`: a machine that dies at a write and loses all that was not flushed. Files have the content of their last fsync,
folders the entries of theirs; that is what POSIX promises after a power failure, and less than most file systems
keep. `renamed`: a rename that happens, but whose reply is lost, as on NFS: the client repeats it and finds no source.
`stale`: the file handles of NFS after the server has started again.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

FAULTS = (
    "full", "quota", "read-only", "broken", "denied", "stale", "renamed", "killed", "lost", "clock back"
)  # fmt: skip

ERRORS = {
    "full": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "read-only": errno.EROFS,
    "broken": errno.EIO,
    "denied": errno.EACCES,
    "stale": errno.ESTALE,
}


class Disk:
    """Counts the writes of a store and lets them fail from one on. Use it as a context; `recover` mends the disk."""

    def __init__(self, store: Path, fault: str = "", at: int = 0) -> None:
        self.store, self.fault, self.at = store, fault, at
        self.n_writes = 0
        self.folders: dict[
            str, dict[str, str | None]
        ] = {}  # folder -> name -> saved content, None for a folder
        self.contents: dict[int, str] = {}  # inode -> saved content
        self.saved = Path(f"{store}.saved")
        self.patches: list[Any] = []  # Any: of unittest.mock

    def __enter__(self) -> Disk:
        self.saved.mkdir(parents=True, exist_ok=True)
        real_fsync, real_replace, real_time = os.fsync, os.replace, __import__("time").time

        def fsync(descriptor: int) -> None:
            self.count()
            real_fsync(descriptor)
            self.flush(descriptor)

        def replace(source: Any, target: Any) -> None:
            self.count()
            real_replace(source, target)
            if self.fault == "renamed" and self.n_writes >= self.at > 0:
                self.at = 0  # once
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        self.patches = [
            mock.patch("pipeline.storage.local.os.fsync", fsync),
            mock.patch("pipeline.storage.local.os.replace", replace),
        ]
        # a machine that died renews no lease; the process that plays it is still there
        self.patches.append(
            mock.patch("pipeline.storage.lease.Lease._renew_until_stopped", lambda lease: None)
        )
        if self.fault == "clock back":
            self.patches.append(
                mock.patch("time.time", lambda: real_time() - (86_400 if self.n_writes >= self.at else 0))
            )
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self.patches:
            patch.stop()

    def count(self) -> None:
        """Count a write, or let it fail."""
        self.n_writes += 1
        if not self.at or self.n_writes < self.at:
            return
        if self.fault in ERRORS:
            code = ERRORS[self.fault]
            raise OSError(code, os.strerror(code))
        if self.fault in ("killed", "lost"):
            raise SystemError("the machine died")

    def flush(self, descriptor: int) -> None:
        """Remember what a file or folder contains: that survives."""
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self.fault != "lost" or not (path.startswith(str(self.store)) or path == str(self.store.parent)):
            return
        if os.path.isdir(path):
            entries: dict[str, str | None] = {}
            for entry in os.scandir(path):
                if entry.is_dir():
                    entries[entry.name] = None
                else:
                    entries[entry.name] = self.contents.get(entry.inode(), "")
            self.folders[path] = entries
        else:
            inode = os.fstat(descriptor).st_ino
            copy = self.saved / f"{len(list(self.saved.iterdir()))}"
            shutil.copyfile(path, copy)
            self.contents[inode] = str(copy)

    def recover(self) -> None:
        """Mend the disk, and let a minute pass, after which leases have expired; after `lost`, only what was flushed is
        there."""
        if self.fault == "lost":
            shutil.rmtree(self.store, ignore_errors=True)
            if self.store.name in self.folders.get(str(self.store.parent), {self.store.name: None}):
                self.restore(str(self.store))
        shutil.rmtree(self.store / "leases", ignore_errors=True)
        shutil.rmtree(self.saved, ignore_errors=True)

    def restore(self, folder: str) -> None:
        """Write a folder as it was when it was flushed."""
        os.makedirs(folder, exist_ok=True)
        for name, content in self.folders.get(folder, {}).items():
            path = os.path.join(folder, name)
            if content is None:
                self.restore(path)
            elif content:
                shutil.copyfile(content, path)
            else:
                Path(path).write_bytes(b"")
