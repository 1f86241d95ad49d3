"""What a store is: objects by key, read and written whole, whatever holds them.

A write is atomic: a reader sees the object that was there before or the new one, never a part of either.
`put_if` is compare-and-swap, which catalogs and leases are built on. Keys are names joined by `/`; a prefix
is a whole folder.
"""

from __future__ import annotations

import errno
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from pipeline.errors import ConflictError, StoreError
from pipeline.storage.credentials import masked

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY = ".tmp-"
"""Start of the names of files that are not finished yet; they are never listed."""

_ANOTHER = "name another --store"
_ADVICE = {
    errno.ENOSPC: f"free disk space or {_ANOTHER}, then run again: finished work is kept",
    errno.EDQUOT: f"raise the disk quota or {_ANOTHER}, then run again: finished work is kept",
    errno.EROFS: f"mount it writable or {_ANOTHER}",
    errno.EACCES: f"give this user access or {_ANOTHER}",
    errno.EPERM: f"give this user access or {_ANOTHER}",
    errno.ENOTDIR: f"a file lies where a folder is expected; {_ANOTHER}",
    errno.EEXIST: f"a file lies where a folder is expected; {_ANOTHER}",
    errno.ENAMETOOLONG: "use shorter source and release names",
    errno.ENOLCK: f"this file system has no locks; {_ANOTHER}",
}
_BUCKET_ADVICE = (
    "check the bucket's name, credentials and endpoint (AWS_* variables for s3://) and the network; on a cluster "
    "every node needs credentials of its own"
)


class MissingError(StoreError):
    """There is no object under this key."""


@contextmanager
def explained(where: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the system or the object store into a StoreError with the place and what to do.

    An error whose text shows a credential is not chained, so that no traceback prints it.
    """
    try:
        yield
    except (AlreadyExistsError, PreconditionError) as error:
        raise ConflictError(f"{where}: changed by another writer; read it again and retry") from error
    except BaseError as error:
        raise StoreError(f"{where}: {_first_line(error)}; {_BUCKET_ADVICE}") from _harmless(error)
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StoreError(f"{where}: there is no such bucket; create it or {_ANOTHER}") from error
        raise MissingError(f"{where}: not found ({_first_line(error)})") from _harmless(error)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "check the disk and run again")
        raise StoreError(f"{where}: {error.strerror or error}; {advice}") from error
    except ValueError as error:  # what obstore raises for a key it cannot parse
        raise StoreError(
            f"{where}: {_first_line(error)}; use plain names without empty parts or '..'"
        ) from _harmless(error)


def _first_line(error: Exception) -> str:
    return masked(str(error).partition("\n")[0].strip())


def _harmless(error: Exception) -> Exception | None:
    """The error, unless its text shows a credential."""
    return error if masked(str(error)) == str(error) else None


class Store(ABC):
    """Objects by key. Pickles as its URL; clients are opened in the process that uses them.

    Every method raises StoreError, with the place and what to do, when the store cannot serve it.
    """

    url: str

    @abstractmethod
    def get_with_tag(self, key: str) -> tuple[bytes, str] | None:
        """Read an object and the tag of its content for `put_if`; None when there is none."""

    @abstractmethod
    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """Write an object, replacing what was there."""

    @abstractmethod
    def put_file(self, key: str, local_path: str | os.PathLike[str]) -> None:
        """Write an object from a local file of any size, which stays where it is."""

    @abstractmethod
    def put_if(self, key: str, data: bytes | pa.Buffer, tag: str | None) -> str:
        """Write an object only if its tag is still `tag`, or if there is none yet and `tag` is None.

        Returns: the new tag.
        Raises: ConflictError if another writer was first. A bucket may also raise it after one's own write
        whose reply was lost, so a caller reads again before it concludes anything.
        """

    @abstractmethod
    def size(self, key: str) -> int:
        """Size in bytes; MissingError if there is no such object."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, size in bytes) of the finished objects below a folder, sorted by key."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object if it is there."""

    @abstractmethod
    def delete_prefix(self, prefix: str) -> None:
        """Delete everything below a folder; never the whole store."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Open for random access; the reader keeps the version that it opened, or raises StoreError."""

    @abstractmethod
    def check(self, write: bool = True) -> None:
        """Raise one clear StoreError now if the store cannot be read or, with `write`, written later."""

    def get(self, key: str) -> bytes:
        """Read a whole object; MissingError if there is none."""
        with self.open(key) as stream:
            return stream.read()

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under this key."""
        try:
            self.size(key)
        except MissingError:
            return False
        return True

    def local_path(self, key: str) -> Path | None:
        """Path of an object, present or not, when the store is a local folder."""
        return None

    def _check_swap(self) -> None:
        """Write twice what must be written once: some servers accept conditions and ignore them."""
        key = f"{TEMPORARY}check-{uuid.uuid4().hex}"
        try:
            self.put_if(key, b"1", None)
            self.put_if(key, b"2", None)
        except ConflictError:
            return
        finally:
            self.delete(key)
        raise StoreError(
            f"{self.url}: overwrote an object that it was told to keep; expected a store with conditional "
            "writes (If-None-Match). Upgrade the server or name another --store"
        )


def checked_key(key: str) -> str:
    """Refuse a key that could leave the store or that not every kind of store can hold."""
    if key and {"", ".", ".."}.intersection(key.split("/")):
        raise StoreError(f"the key {key!r} has an empty part, '.' or '..'; use plain names joined by '/'")
    return key


def folder_name(prefix: str) -> str:
    """Refuse the empty prefix, which would delete the whole store."""
    if not prefix.strip("/"):
        raise StoreError("delete_prefix needs the name of a folder; delete a whole store by hand")
    return prefix.strip("/")
