"""A store in a local folder: writes by temporary file, fsync and rename; compare-and-swap under a file lock."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import xxhash

from pipeline.errors import ConflictError, StoreError, UsageError
from pipeline.storage.base import TEMPORARY, MissingError, Store, checked_key, explained, folder_name
from pipeline.storage.meter import note_delete, note_get, note_list, note_move, note_put
from pipeline.storage.seal import copy_sealed, has_seal, sealed

if TYPE_CHECKING:
    import pyarrow as pa

LOCKS = ".locks"
COPY_BYTES = 1 << 20
"""Bytes of the buffer for copying a file."""

N_LOCKS = 256
"""Lock files of a store. A key hashes to one of them; none is ever deleted, because that would race."""

UMASK = "BICORPUS_UMASK"
"""Environment variable: umask of the files and folders of a store, in octal; 027 if it is not set."""

N_TRIES = 16
"""Attempts to create a file whose new, still empty folder is removed by another process."""

STALE_S = 86_400
"""Age in seconds from which `check` removes a temporary file; no single write takes a day."""


class FolderStore(Store):
    """A store in a local folder. The umask is pickled with it, so that it is the same in every worker."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        self.url = str(self.path)
        self.umask = umask()

    def get_with_tag(self, key: str) -> tuple[bytes, str] | None:
        """See Store.get_with_tag; the tag is the XXH3-128 of the content."""
        try:
            data = self.get(key)
        except MissingError:
            return None
        return data, xxhash.xxh3_128_hexdigest(data)

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """See Store.put; the object is durable on return."""
        parts = sealed(key, data) if has_seal(key) else [data]
        self._write(key, lambda file: file.writelines(parts))

    def put_file(self, key: str, local_path: str | os.PathLike[str]) -> None:
        """See Store.put_file; the object is durable on return."""
        with explained(local_path):
            source = open(local_path, "rb")
        with source:
            if has_seal(key):
                self._write(key, lambda file: copy_sealed(key, source, file))
            else:
                self._write(key, lambda file: shutil.copyfileobj(source, file, COPY_BYTES))

    def put_if(self, key: str, data: bytes | pa.Buffer, tag: str | None) -> str:
        """See Store.put_if; the lock of the key excludes other processes and threads."""
        with self._locked(key):
            tagged = self.get_with_tag(key)
            if (tagged and tagged[1]) != tag:
                raise ConflictError(f"{self._path(key)}: changed by another writer; read it again and retry")
            self.put(key, data)
        return xxhash.xxh3_128_hexdigest(data)

    def size(self, key: str) -> int:
        """See Store.size; a folder is not an object."""
        with self.open_raw(key) as stream:
            return os.fstat(stream.fileno()).st_size

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """See Store.list; temporary files and locks are left out."""
        sizes = []
        for path in self._files(prefix):
            if not path.name.startswith(TEMPORARY):
                try:
                    sizes.append((path.relative_to(self.path).as_posix(), path.stat().st_size))
                except FileNotFoundError:  # deleted since its folder was read
                    continue
        note_list(len(sizes))
        return iter(sorted(sizes))

    def delete(self, key: str) -> None:
        """See Store.delete; the folder of the file is kept. A power failure does not bring the object back."""
        path = self._path(key)
        with explained(path), suppress(FileNotFoundError):
            n_bytes = path.stat().st_size
            path.unlink()
            note_delete(key, n_bytes)
            _sync(path.parent)

    def move(self, key: str, target: str) -> None:
        """See Store.move; a rename, which is durable on return."""
        source, path = self._path(key), self._path(target)
        with explained(source):
            self._make_folder(path.parent)
            replaced = _size(path)
            os.replace(source, path)
            note_move(replaced)
            _sync(path.parent)
            _sync(source.parent)

    def delete_prefix(self, prefix: str) -> None:
        """See Store.delete_prefix; folders above it are removed if they are empty."""
        path = self._path(folder_name(prefix))
        for key, n_bytes in self.list(prefix):
            note_delete(key, n_bytes)
        with explained(path):
            if path.is_dir():
                shutil.rmtree(path)
        with suppress(OSError):  # a folder that is not empty, or that another process has removed
            for folder in path.parents[: len(path.relative_to(self.path).parts) - 1]:
                folder.rmdir()

    def open_raw(self, key: str) -> BinaryIO:
        """See Store.open_raw; an open file stays readable when it is replaced.

        Arrow opens it, so that its threads read without Python. A thread that waits for the interpreter lock while
        the interpreter shuts down would abort the process.
        """
        from pyarrow import OSFile

        path = self._path(key)
        note_get()
        with explained(path):
            with suppress(OSError):
                return cast(BinaryIO, OSFile(str(path), "rb"))
            try:
                with open(path, "rb"):  # raises the system's error
                    return cast(BinaryIO, OSFile(str(path), "rb"))
            except (IsADirectoryError, NotADirectoryError) as error:  # a folder is not an object
                if not self.path.is_dir():  # a file at or above the store's path: there is no store
                    raise
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error

    def local_path(self, key: str) -> Path | None:
        """See Store.local_path."""
        return self._path(key)

    def check(self, write: bool = True) -> None:
        """See Store.check; with `write`, also creates the folder and removes stale temporary files."""
        with explained(self.path):
            if write:
                self._make_folder(self.path)
            if not self.path.is_dir():
                actual = "a file" if self.path.exists() else "nothing"
                raise StoreError(
                    f"{self.path}: found {actual}, expected the folder of a store; check --store"
                )
            os.listdir(self.path)
        if write:
            self._check_swap()
            for path in self._files(""):
                with (
                    explained(path),
                    suppress(FileNotFoundError),
                ):  # another run has just renamed or removed it
                    if path.name.startswith(TEMPORARY) and time.time() - path.stat().st_mtime > STALE_S:
                        path.unlink()

    def _path(self, key: str) -> Path:
        return self.path / checked_key(key)

    def _files(self, prefix: str) -> Iterator[Path]:
        def raise_unless_missing(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error

        root = self._path(prefix.strip("/"))
        with explained(root):
            for folder, folders, names in os.walk(root, onerror=raise_unless_missing):
                folders[:] = [name for name in folders if name != LOCKS]
                yield from (Path(folder, name) for name in names)

    def _write(self, key: str, fill: Callable[[BinaryIO], object]) -> None:
        """Fill a temporary file beside the object, flush it to the disk, then rename it to the object."""
        path = self._path(key)
        with explained(path):
            temporary, file = self._open_temporary(path.parent)
            try:
                with file:
                    fill(file)
                    os.fchmod(file.fileno(), 0o666 & ~self.umask)
                    file.flush()
                    os.fsync(file.fileno())
                    n_bytes = file.tell()
                replaced = _size(path)
                os.replace(temporary, path)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
            note_put(key, n_bytes, replaced)
            with suppress(FileNotFoundError):  # another process has deleted the object and its folder
                _sync(path.parent)

    def _open_temporary(self, folder: Path) -> tuple[str, BinaryIO]:
        """Create a temporary file, and the folders above it only if they are missing: a run writes many small files.

        `delete_prefix` may remove the folders while they are empty.
        """
        path = os.path.join(folder, f"{TEMPORARY}{uuid.uuid4().hex}")
        for _ in range(N_TRIES - 1):
            with suppress(FileNotFoundError):
                return path, open(path, "xb", opener=_private)
            with suppress(FileNotFoundError):  # a folder above it was removed meanwhile
                self._make_folder(folder)
        return path, open(path, "xb", opener=_private)

    def _make_folder(self, path: Path) -> None:
        """Create a folder and its missing parents with the permissions of the store."""
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            with suppress(FileExistsError):  # another process was first
                folder.mkdir()
                folder.chmod(0o777 & ~self.umask)
                _sync(folder.parent)  # or a power failure may take the folder with all that was flushed in it
        path.mkdir(parents=True, exist_ok=True)  # raises the right error if the path is not a folder

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        lock = self.path / LOCKS / f"{xxhash.xxh3_64_intdigest(key.encode()) % N_LOCKS:02x}"
        with explained(lock):
            self._make_folder(lock.parent)
            stream = open(lock, "ab", opener=_private)
        with stream:
            if os.fstat(stream.fileno()).st_uid == os.geteuid():
                os.fchmod(stream.fileno(), 0o666 & ~self.umask)
            with explained(lock):
                fcntl.flock(stream, fcntl.LOCK_EX)  # released with the stream, also when the process dies
            yield


def umask() -> int:
    """Return the permission bits that files and folders of a store do not get, from the variable UMASK.

    Raises: UsageError if the variable is not an octal number from 0 to 077.
    """
    value = os.environ.get(UMASK, "027")
    if not re.fullmatch("0*[0-7]{1,2}", value):
        raise UsageError(f"{UMASK} is {value!r}; expected an octal number up to 077, such as 027 or 022")
    return int(value, 8)


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner can read until its permissions are set."""
    return os.open(path, flags, 0o600)


def _size(path: Path) -> int | None:
    """Return the bytes of a file; None if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sync(path: Path) -> None:
    """Flush the entries of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
