"""A store in a bucket (S3 and compatible servers, Google Cloud Storage, Azure) through Rust's object_store.

Credentials and endpoints come from the environment of the process that opens the client (AWS_ACCESS_KEY_ID,
AWS_ENDPOINT_URL, ...); they are never pickled. A writer killed during a multipart upload leaves upload parts that no
reader sees; remove them with a lifecycle rule of the bucket (AbortIncompleteMultipartUpload).
"""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar
from urllib.parse import quote

from obstore.exceptions import GenericError
from obstore.store import from_url

from pipeline.errors import ConflictError, StoreError
from pipeline.storage.base import TEMPORARY, MissingError, Store, checked_key, explained, folder_name
from pipeline.storage.credentials import masked
from pipeline.storage.meter import PART_BYTES, note_get, note_list, note_move, note_put, note_swap
from pipeline.storage.scratch import scratch
from pipeline.storage.seal import copy_sealed, has_seal, sealed

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore import GetOptions, GetResult, ObjectMeta, PutMode, PutResult, UpdateVersion
    from obstore.store import ObjectStore

READ_BYTES = 1 << 20
"""Read-ahead of random access in bytes; a larger read is a single request."""

MAX_PARTS, N_UPLOADS = 9_000, 8
"""Multipart uploads: largest number of parts (S3 allows 10,000), parts in flight (64 MiB of memory)."""

N_RETRIES, TIMEOUT = 10, "10min"
"""Retries with exponential backoff, 3 minutes in total; time limit of one request with its body (object_store's
default of 30 s is too short for a large object on a slow line)."""


N_BODIES, BODY_WAIT_S = 8, 0.1
"""Requests for a body that is cut short, and the longest first wait between two of them; it doubles each time."""


class BucketStore(Store):
    """A store in a bucket, or below a prefix of one."""

    _first_process: ClassVar[int | None] = None

    def __init__(self, url: str, n_retries: int = N_RETRIES) -> None:
        self.url, self.n_retries = url.rstrip("/"), n_retries
        self._client: ObjectStore | None = None

    def __reduce__(self) -> tuple[type[BucketStore], tuple[str, int]]:
        return BucketStore, (self.url, self.n_retries)

    @property
    def client(self) -> ObjectStore:
        """The client of this process.

        Raises: StoreError in a forked process, where the client would hang for ever.
        """
        process = os.getpid()
        BucketStore._first_process = BucketStore._first_process or process
        if BucketStore._first_process != process:
            raise StoreError(f"{self.url}: opened in a forked process; start workers with spawn")
        if self._client is None:
            with explained(self.url):
                self._client = from_url(
                    quote(self.url, safe=":/"),
                    client_options={"allow_http": True, "timeout": TIMEOUT},
                    retry_config={"max_retries": self.n_retries, "retry_timeout": timedelta(minutes=3)},
                )
        return self._client

    def head(self, key: str) -> ObjectMeta:
        """Return size, ETag and version of an object.

        Raises: MissingError if there is no such object.
        """
        note_get()
        with explained(self._where(key)):
            return self.client.head(key)

    def get_with_tag(self, key: str) -> tuple[bytes, str] | None:
        """See Store.get_with_tag; one request. The tag consists of ETag and version."""
        try:
            return self.body(key, lambda: self.client.get(key))
        except MissingError:
            return None

    def body(
        self, key: str, request: Callable[[], GetResult], n_bytes: int | None = None
    ) -> tuple[bytes, str]:
        """Return the body of a response and its tag; a request whose body was cut short is sent again.

        Args: n_bytes, expected; None for a whole object.
        Raises: StoreError if N_BODIES bodies in a row were cut short.
        """
        for attempt in range(N_BODIES):
            note_get()
            with explained(self._where(key)):
                response = request()
                expected = response.meta["size"] if n_bytes is None else n_bytes
                try:
                    data = bytes(response.bytes())
                    if len(data) == expected:
                        return data, _tag(response.meta)
                    fault = f"{len(data):,} of {expected:,} bytes"
                except GenericError as error:  # the client has given up to ask for the rest
                    fault = masked(str(error).partition("\n")[0].strip())
            time.sleep(random.uniform(0, BODY_WAIT_S * 2**attempt))
        raise StoreError(
            f"{self._where(key)}: {N_BODIES} responses in a row were cut short ({fault}); run again"
        )

    def get(self, key: str) -> bytes:
        """See Store.get; one request, where `open` would need two."""
        tagged = self.get_with_tag(key)
        if tagged is None:
            raise MissingError(f"{self._where(key)}: not found")
        return tagged[0]

    def put(self, key: str, data: bytes | pa.Buffer) -> None:
        """See Store.put; one PUT, or a multipart upload above PART_BYTES."""
        body = memoryview(b"".join(sealed(key, data)) if has_seal(key) else data).cast("B")
        with explained(self._where(key)):
            self.client.put(key, body, chunk_size=PART_BYTES, max_concurrency=N_UPLOADS)
        note_put(key, len(body))

    def put_file(self, key: str, local_path: str | os.PathLike[str]) -> None:
        """See Store.put_file; a streamed multipart upload of at most MAX_PARTS parts."""
        if has_seal(key):
            with scratch() as folder:
                path = os.path.join(folder, "sealed")
                with explained(local_path), open(local_path, "rb") as source, open(path, "wb") as target:
                    copy_sealed(key, source, target)
                self._upload(key, path)
        else:
            self._upload(key, local_path)

    def _upload(self, key: str, local_path: str | os.PathLike[str]) -> None:
        with explained(local_path):
            size = os.stat(local_path).st_size
        with explained(self._where(key)):
            part_bytes = max(PART_BYTES, size // MAX_PARTS + 1)
            self.client.put(key, Path(local_path), chunk_size=part_bytes, max_concurrency=N_UPLOADS)
        note_put(key, size, part_bytes=part_bytes)

    def put_if(self, key: str, data: bytes | pa.Buffer, tag: str | None) -> str:
        """See Store.put_if; one PUT with If-None-Match or If-Match."""
        with explained(self._where(key)):
            mode: PutMode = "create" if tag is None else _condition(tag)
            try:
                written = _tag(self.client.put(key, memoryview(data).cast("B"), mode=mode))
                note_swap(self.url, key, len(memoryview(data).cast("B")))
                return written
            except FileNotFoundError as error:
                if tag is None:
                    raise
                raise ConflictError(f"{self._where(key)}: deleted by another writer") from error

    def size(self, key: str) -> int:
        """See Store.size; one HEAD request."""
        return self.head(key)["size"]

    def objects(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """Yield key (`path`), size, ETag and version of the objects below a folder."""
        prefix = prefix.strip("/")
        n_objects = 0
        with explained(self._where(prefix)):
            for chunk in self.client.list(prefix or None):
                n_objects += len(chunk)
                yield from chunk
        note_list(n_objects)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """See Store.list; sorted here, because not every server sorts by code point."""
        sizes = ((entry["path"], entry["size"]) for entry in self.objects(prefix))
        return iter(sorted(pair for pair in sizes if not pair[0].rpartition("/")[2].startswith(TEMPORARY)))

    def delete(self, key: str) -> None:
        """See Store.delete; one request."""
        try:
            with explained(self._where(key)):
                self.client.delete(key)
        except MissingError:  # Azure and Google report it, S3 does not
            return

    def move(self, key: str, target: str) -> None:
        """See Store.move; the server copies the object, then it is deleted."""
        with explained(self._where(key)):
            self.client.copy(key, checked_key(target))
        note_move(None)
        self.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        """See Store.delete_prefix; a listing, then bulk requests."""
        folder = folder_name(prefix)
        keys = [entry["path"] for entry in self.objects(folder)]
        with explained(self._where(folder)):
            self.client.delete(keys)

    def open_raw(self, key: str, read_bytes: int = READ_BYTES) -> BinaryIO:
        """See Store.open_raw; ranges are read on demand, at least `read_bytes` at a time."""
        return io.BufferedReader(_ObjectFile(self, key), read_bytes)

    def check(self, write: bool = True) -> None:
        """See Store.check; lists once and, with `write`, writes an object conditionally and deletes it."""
        store = BucketStore(self.url, n_retries=1)  # so that a wrong endpoint fails in seconds, not minutes
        next(store.objects(), None)
        if write:
            store._check_swap()

    def _where(self, key: str) -> str:
        return f"{self.url}/{checked_key(key)}"


class _ObjectFile(io.RawIOBase):
    """Random access to one version of an object by range requests; wrap it in a BufferedReader."""

    def __init__(self, store: BucketStore, key: str) -> None:
        self.store, self.key, self.position = store, key, 0
        head = store.head(key)
        self.size, self.etag = head["size"], head["e_tag"]

    def readable(self) -> bool:
        """Return True; BufferedReader requires it."""
        return True

    def seekable(self) -> bool:
        """Return True; readers of Parquet require it."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set and return the position in bytes; a position past the end is allowed, as in a file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = max(0, base + offset)
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer, as RawIOBase's
        """Read from the position into the buffer, at most to the end of the object, and return the number of bytes.

        Raises: StoreError if the object was replaced since it was opened.
        """
        end = min(self.size, self.position + len(buffer))
        if end <= self.position:
            return 0
        options: GetOptions = {"range": (self.position, end), "if_match": self.etag}
        request = partial(self.store.client.get, self.key, options=options)
        data, _ = self.store.body(self.key, request, end - self.position)
        buffer[: len(data)] = memoryview(data)
        self.position += len(data)
        return len(data)


def _tag(meta: ObjectMeta | PutResult) -> str:
    """Pack the ETag (S3, Azure) and the version (Google) of an object into one string; neither contains a space."""
    return f"{meta['e_tag'] or ''} {meta['version'] or ''}"


def _condition(tag: str) -> UpdateVersion:
    etag, _, version = tag.partition(" ")
    condition: UpdateVersion = {}
    if etag:
        condition["e_tag"] = etag
    if version:
        condition["version"] = version
    return condition
