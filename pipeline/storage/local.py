"""A store in a local folder: temporary file, fsync and rename to write; a file lock to compare and swap."""

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

if TYPE_CHECKING:
    import pyarrow as pa

LOCKS = ".locks"
COPY_BYTES = 1 << 20
"""Buffer of a copied file."""

N_LOCKS = 256
"""Lock files of a store: a key hashes to one of them, so that none ever needs deleting, which would race."""

UMASK = "BICORPUS_UMASK"
"""Environment variable: the permissions that files and folders of a store do not get, in octal; 027 unless set."""

STALE_S = 86_400
"""Age at which `check` removes a temporary file: no single write takes a day."""


class FolderStore(Store):
    """A store in a local folder; workers get the umask with it, whatever their own environment is."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        self.url = str(self.path)
        self.umask = umask()

    def get_with_tag(self, key: str) -> tuple[bytes, str] | None:
        """The tag is the XXH3-128 of the content."""
        try:
            data = self.get(key)
        except MissingError:
            return None
        return data, xxhash.xxh3_128_hexdigest(data)

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """Durable when it returns."""
        self._place(key, lambda file: file.write(data))

    def put_file(self, key: str, local_path: str | os.PathLike[str]) -> None:
        """Copy the file; durable when it returns."""
        with explained(local_path):
            source = open(local_path, "rb")
        with source:
            self._place(key, lambda file: shutil.copyfileobj(source, file, COPY_BYTES))

    def put_if(self, key: str, data: bytes | pa.Buffer, tag: str | None) -> str:
        """Compare and write under the lock of the key, which holds across processes and threads."""
        with self._locked(key):
            found = self.get_with_tag(key)
            if (found and found[1]) != tag:
                raise ConflictError(f"{self._path(key)}: changed by another writer; read it again and retry")
            self.put(key, data)
        return xxhash.xxh3_128_hexdigest(data)

    def size(self, key: str) -> int:
        """Size of the file; a folder has none."""
        with self.open(key) as stream:
            return os.fstat(stream.fileno()).st_size

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Walk the folder, then sort; temporary files and locks are left out."""
        found = []
        for path in self._files(prefix):
            if not path.name.startswith(TEMPORARY):
                try:
                    found.append((path.relative_to(self.path).as_posix(), path.stat().st_size))
                except FileNotFoundError:  # deleted since its folder was read
                    continue
        return iter(sorted(found))

    def delete(self, key: str) -> None:
        """Delete the file; its folder stays."""
        with explained(self._path(key)):
            self._path(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        """Delete the folder."""
        path = self._path(folder_name(prefix))
        with explained(path):
            if path.is_dir():
                shutil.rmtree(path)

    def open(self, key: str) -> BinaryIO:
        """Open the file; it stays readable when another replaces it.

        It is opened by Arrow, whose threads then read it without Python: a thread that waits for the interpreter while
        that is shutting down would abort the process.
        """
        path = self._path(key)
        with explained(path):
            try:
                with open(path, "rb"):  # raises what is wrong with it, in the words of the system
                    from pyarrow import OSFile

                    return cast(BinaryIO, OSFile(str(path), "rb"))
            except (IsADirectoryError, NotADirectoryError) as error:  # a folder is no object
                if not self.path.is_dir():  # but a store that lies at or below a file is none at all
                    raise
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error

    def local_path(self, key: str) -> Path | None:
        """Path below the folder."""
        return self._path(key)

    def check(self, write: bool = True) -> None:
        """List once and, with `write`, create the folder, write to it and remove stale temporary files."""
        with explained(self.path):
            if write:
                self._make_folder(self.path)
            if not self.path.is_dir():
                found = "a file" if self.path.exists() else "nothing"
                raise StoreError(f"{self.path}: found {found}, expected the folder of a store; check --store")
            os.listdir(self.path)
        if write:
            self._check_swap()
            for path in self._files(""):
                with explained(path), suppress(FileNotFoundError):  # another run has just placed it
                    if path.name.startswith(TEMPORARY) and time.time() - path.stat().st_mtime > STALE_S:
                        path.unlink()

    def _path(self, key: str) -> Path:
        return self.path / checked_key(key)

    def _files(self, prefix: str) -> Iterator[Path]:
        def unreadable(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise error

        root = self._path(prefix.strip("/"))
        with explained(root):
            for folder, folders, names in os.walk(root, onerror=unreadable):
                folders[:] = [name for name in folders if name != LOCKS]
                yield from (Path(folder, name) for name in names)

    def _place(self, key: str, fill: Callable[[BinaryIO], object]) -> None:
        """Fill a temporary file beside the object, make it durable, then rename it into place."""
        path = self._path(key)
        with explained(path):
            self._make_folder(path.parent)
            temporary = path.with_name(TEMPORARY + uuid.uuid4().hex)
            try:
                with open(temporary, "xb", opener=_private) as file:
                    fill(file)
                    os.fchmod(file.fileno(), 0o666 & ~self.umask)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync(path.parent)

    def _make_folder(self, path: Path) -> None:
        """Make a folder and those above it that are not there, with the permissions of the store."""
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            with suppress(FileExistsError):  # another process was first
                folder.mkdir()
                folder.chmod(0o777 & ~self.umask)
        path.mkdir(parents=True, exist_ok=True)  # raises what is wrong with a path that is no folder

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
    """The permissions that files and folders of a store do not get.

    Raises: UsageError if the variable is not an octal number from 0 to 077.
    """
    value = os.environ.get(UMASK, "027")
    if not re.fullmatch("0*[0-7]{1,2}", value):
        raise UsageError(f"{UMASK} is {value!r}; expected an octal number up to 077, such as 027 or 022")
    return int(value, 8)


def _private(path: str, flags: int) -> int:
    """Open a file that nobody else may read until it gets its permissions."""
    return os.open(path, flags, 0o600)


def _sync(path: Path) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
