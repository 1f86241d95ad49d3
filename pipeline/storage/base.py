"""The interface of a store: objects by key, read and written whole, in a folder or a bucket.

Writes are atomic: a reader sees the previous object or the new one, never a mixture. `put_if` is compare-and-swap;
catalogs and leases are built on it. Keys are names joined by `/`; a prefix is a whole folder.
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

from pipeline.errors import ConflictError, DamagedError, StoreError
from pipeline.storage.credentials import masked
from pipeline.storage.seal import has_seal, open_sealed

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY = ".tmp-"
"""Prefix of the names of unfinished files, which are never listed."""

_ANOTHER = "name another --store"
_ADVICE = {
    errno.ENOSPC: f"free disk space or {_ANOTHER}, then run again: finished work is kept",
    errno.EDQUOT: f"raise the disk quota or {_ANOTHER}, then run again: finished work is kept",
    errno.EROFS: f"mount it writable or {_ANOTHER}",
    errno.EACCES: f"give this user access or {_ANOTHER}",
    errno.EPERM: f"give this user access or {_ANOTHER}",
    errno.ENOTDIR: f"found a file, expected a folder; {_ANOTHER}",
    errno.EEXIST: f"found a file, expected a folder; {_ANOTHER}",
    errno.ENAMETOOLONG: "use shorter source and release names",
    errno.ENOLCK: f"this file system has no locks; {_ANOTHER}",
}
_BUCKET_ADVICE = (
    "check the bucket's name, credentials and endpoint (AWS_* variables for s3://) and the network; on a cluster "
    "every node needs credentials of its own"
)


class MissingError(DamagedError):
    """No object exists under this key."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message, key)


@contextmanager
def explained(where: str | os.PathLike[str]) -> Iterator[None]:
    """Convert errors of the operating system or the object store into a StoreError that states where and what to do.

    An error whose text contains a credential is not chained, so that no traceback prints it.

    Args: where, the path, key or URL that the error names.
    Raises: ConflictError if another writer changed the object; MissingError if there is no such object; StoreError
    for any other failure.
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
    except ValueError as error:  # obstore raises it for a key that it cannot parse
        raise StoreError(
            f"{where}: {_first_line(error)}; use plain names, none of them empty or '..'"
        ) from _harmless(error)


def _first_line(error: Exception) -> str:
    return masked(str(error).partition("\n")[0].strip())


def _harmless(error: Exception) -> Exception | None:
    """Return the error, or None if its text contains a credential."""
    return error if masked(str(error)) == str(error) else None


class Store(ABC):
    """Objects by key. A store is pickled as its URL; each process opens its own client.

    Every method raises StoreError, which states where and what to do, if the store cannot serve the request.
    """

    url: str

    @abstractmethod
    def get_with_tag(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and the tag of its content for `put_if`; None if there is no such object."""

    @abstractmethod
    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """Write an object, replacing any existing one."""

    @abstractmethod
    def put_file(self, key: str, local_path: str | os.PathLike[str]) -> None:
        """Copy a local file of any size to an object."""

    @abstractmethod
    def put_if(self, key: str, data: bytes | pa.Buffer, tag: str | None) -> str:
        """Write an object only if its tag is still `tag`, or if it does not exist yet and `tag` is None.

        Returns: the new tag.
        Raises: ConflictError if another writer was first. A bucket may also raise it after the caller's own write if
        the response was lost, so the caller has to read the object again before it draws a conclusion.
        """

    @abstractmethod
    def size(self, key: str) -> int:
        """Return the size of an object in bytes.

        Raises: MissingError if there is no such object.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield (key, size in bytes) of the finished objects below a folder, sorted by key."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""

    @abstractmethod
    def move(self, key: str, target: str) -> None:
        """Give an object another key, replacing any object of that key. Neither key may be of a sealed file.

        Raises: MissingError if there is no such object.
        """

    @abstractmethod
    def delete_prefix(self, prefix: str) -> None:
        """Delete a folder with everything below it.

        Raises: StoreError for the empty prefix, which would delete the whole store.
        """

    def open(self, key: str) -> BinaryIO:
        """Open an object for random access; what is read of a file with digests is checked against them.

        All reads return the version that was opened.

        Raises: MissingError if there is no such object; DamagedError, here or from a read, if it is damaged; a read
        raises StoreError if that version was replaced and is no longer available.
        """
        if not has_seal(key):
            return self.open_raw(key)
        try:
            return open_sealed(self.open_raw(key), key, f"{self.url}/{key}")
        except MissingError as error:
            raise MissingError(str(error), key) from error

    @abstractmethod
    def open_raw(self, key: str) -> BinaryIO:
        """Open an object for random access, without checking it.

        All reads return the version that was opened.

        Raises: MissingError if there is no such object; a read raises StoreError if that version was replaced and is
        no longer available.
        """

    @abstractmethod
    def check(self, write: bool = True) -> None:
        """Check early that the store can be read and, with `write`, written.

        Raises: StoreError if it cannot.
        """

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises: MissingError if there is no such object.
        """
        with self.open(key) as stream:
            return stream.read()

    def exists(self, key: str) -> bool:
        """Return whether an object exists under this key."""
        try:
            self.size(key)
        except MissingError:
            return False
        return True

    def local_path(self, key: str) -> Path | None:
        """Return the path of an object, existing or not, in a local folder; None for a bucket."""
        return None

    def _check_swap(self) -> None:
        """Check that the second of two conditional writes fails: some servers accept conditions and ignore them.

        Raises: StoreError if it succeeds.
        """
        key = f"{TEMPORARY}check-{uuid.uuid4().hex}"
        try:
            self.put_if(key, b"1", None)
            self.put_if(key, b"2", None)
        except ConflictError:
            return
        finally:
            self.delete(key)
        raise StoreError(
            f"{self.url}: overwrote an existing object despite If-None-Match; expected a store with conditional "
            "writes. Upgrade the server or name another --store"
        )


def checked_key(key: str) -> str:
    """Return the key after checking it.

    Raises: StoreError for a key with an empty name, `.` or `..`, which could lead out of the store or which some
    stores cannot represent.
    """
    if key and {"", ".", ".."}.intersection(key.split("/")):
        raise StoreError(f"the key {key!r} has an empty name, '.' or '..'; use plain names joined by '/'")
    return key


def folder_name(prefix: str) -> str:
    """Return a prefix without leading and trailing slashes.

    Raises: StoreError for the empty prefix, which would delete the whole store.
    """
    if not prefix.strip("/"):
        raise StoreError("delete_prefix needs the name of a folder; delete a whole store by hand")
    return prefix.strip("/")
