"""The store and the input files of a run by URL; no other module parses URLs.

A store is a local folder or a bucket (see `base.Store` for its guarantees). Inputs are files matched by a pattern, in
a folder or a bucket; they are read, never written.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError, InputError, StoreError
from pipeline.recipe import digest, file_digest
from pipeline.storage.base import MissingError, Store
from pipeline.storage.bucket import BucketStore
from pipeline.storage.credentials import check_url
from pipeline.storage.local import FolderStore

__all__ = [
    "InputFile", "MissingError", "Store", "input_digest", "list_inputs", "open_input", "open_store", "with_siblings",
]  # fmt: skip

BUCKET_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")

STREAM_BYTES = 8 << 20
"""Read-ahead of an input in a bucket in bytes, one request each; inputs are read from start to end."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file.

    path: URL or absolute path. relative: path below the fixed folder of its pattern, which identifies the file even
    after the source was moved. size: bytes. stamp: mtime in ns, or ETag. siblings: files that are read with it; stamp
    and digest cover them. modified: when it was changed, in seconds since 1970.
    """

    path: str
    relative: str
    size: int
    stamp: str
    siblings: tuple[InputFile, ...] = ()
    modified: float = 0.0


def open_store(url: str | os.PathLike[str]) -> Store:
    """Return the store of a path, file://, s3://bucket/prefix, gs:// or az:// URL; reads and writes nothing.

    Raises: StoreError for another scheme; UsageError for a URL that contains a user, a password or a signature.
    """
    check_url(str(url))
    path = _local_path(url)
    if path is not None:
        return FolderStore(path)
    if not _is_bucket(str(url)):
        raise StoreError(f"{url}: unknown scheme of a store; expected a folder, s3://, gs:// or az://")
    return BucketStore(str(url))


def list_inputs(pattern: str, follow_links: bool = False) -> list[InputFile]:
    """List the files matched by a path, a glob (`*`, `?`, `[...]`, `**` for any folders) or a URL with a glob.

    Hidden files are matched only by a pattern with the dot. A link out of the folder before the first wildcard is
    rejected: otherwise anyone with write access to an input folder could bring any readable file into a release.

    Args: follow_links, accept such links.
    Returns: at least one file, sorted by `relative`.
    Raises: InputError if the pattern matches nothing or is a folder, for a file whose name is not UTF-8, and for a
    link out of the folder; UsageError for a URL that contains a user, a password or a signature.
    """
    check_url(pattern)
    path = _local_path(pattern)
    if path is None and not _is_bucket(pattern):
        raise InputError(f"{pattern}: unknown scheme of an input; expected a path or s3://, gs:// or az://")
    matches = _local_inputs(path, follow_links) if path else _bucket_inputs(pattern)
    files = sorted(matches, key=lambda file: file.relative)
    if not files:
        raise InputError(f"{pattern}: no such file; expected a file or a pattern that matches at least one")
    for file in files:
        if any(
            "\ud800" <= char <= "\udfff" for char in file.relative
        ):  # Python's escapes of undecodable bytes
            raise InputError(
                f"{file.path!a}: the name is not UTF-8 (GBK?); rename it, for example with convmv"
            )
    return files


def with_siblings(file: InputFile, paths: Sequence[str], follow_links: bool = False) -> InputFile:
    """Return an input with the files that are read with it, which become part of its identity.

    Raises: InputError if one of them does not exist, or is a link out of the folder that contains both.
    """
    siblings = tuple(sibling for path in paths for sibling in list_inputs(path))
    for sibling in siblings:
        if _local_path(file.path) is not None and not follow_links:
            refuse_outward_link(sibling.path, os.path.commonpath([file.path, sibling.path]))
    if not siblings:
        return file
    stamp = digest([file.stamp, [[sibling.size, sibling.stamp] for sibling in siblings]])
    return replace(file, stamp=stamp, siblings=siblings)


def open_input(url_or_path: str | os.PathLike[str]) -> BinaryIO:
    """Open the raw bytes of an input as a seekable stream.

    Raises: InputError if it cannot be opened; UsageError for a URL that contains a user, a password or a signature.
    """
    check_url(str(url_or_path))
    path = _local_path(url_or_path)
    try:
        if path is not None:
            return open(path, "rb")
        folder, _, name = str(url_or_path).rpartition("/")
        return BucketStore(folder).open_raw(name, STREAM_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name a file that can be read") from error
    except StoreError as error:
        raise InputError(str(error)) from error


def input_digest(file: InputFile) -> str:
    """Return the digest of an input's content, 32 hex digits.

    It is the XXH3-128 of the bytes of a local file; of an object in a bucket, a hash of ETag and size, which needs no
    download. The digests of its siblings are included.

    Raises: InputError if the file cannot be read.
    """
    if file.siblings:
        return digest([input_digest(replace(file, siblings=())), *map(input_digest, file.siblings)])
    if _local_path(file.path) is None:
        return digest([file.stamp, file.size])
    try:
        return file_digest(file.path)
    except (OSError, ConfigError) as error:
        raise InputError(f"{file.path}: {error}; name a file that can be read") from error


def leads_out(path: str, folder: str) -> bool:
    """Return whether a path below a folder is a link, or passes through one, to a file outside the folder."""
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) != root


def refuse_outward_link(path: str, folder: str) -> None:
    """Check that a path does not leave its folder through a link.

    Raises: InputError if it does.
    """
    if leads_out(path, folder):
        raise InputError(
            f"{path}: a link that leads out of {folder}; name the target of the link, or set "
            "`follow_links: true` for the source"
        )


def _local_path(url: str | os.PathLike[str]) -> str | None:
    """Return the absolute path of a path or file:// URL; None for any other URL."""
    url = os.fspath(url)
    if url.startswith("file://"):
        return unquote(urlsplit(url).path)
    return None if "://" in url else os.path.abspath(url)


def _is_bucket(url: str) -> bool:
    return url.partition("://")[0] in BUCKET_SCHEMES


def fixed_folder(pattern: str) -> str:
    """Return the leading folders of a pattern, up to the first name with a wildcard, without the last name."""
    folders = pattern.split("/")[:-1]
    n_fixed = next((i for i, folder in enumerate(folders) if glob.has_magic(folder)), len(folders))
    return "/".join(folders[:n_fixed])


def _local_inputs(pattern: str, follow_links: bool) -> Iterator[InputFile]:
    if os.path.isdir(pattern):
        raise InputError(f"{pattern}: a folder; expected files, such as {pattern}/**/*.jsonl.gz")
    is_file = os.path.exists(pattern)  # the name of a file may contain brackets
    folder = os.path.dirname(pattern) if is_file else fixed_folder(pattern)
    for path in {pattern} if is_file else set(glob.glob(pattern, recursive=True)):
        try:
            stat = os.stat(path)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; name files that can be read") from error
        if not os.path.isdir(path):
            if not is_file and not follow_links:
                refuse_outward_link(path, folder or "/")
            relative, stamp = os.path.relpath(path, folder or "/"), str(stat.st_mtime_ns)
            yield InputFile(path, relative, stat.st_size, stamp, modified=stat.st_mtime)


def _bucket_inputs(url: str) -> Iterator[InputFile]:
    folder = fixed_folder(url)
    name = url[len(folder) + 1 :]
    store = BucketStore(folder)
    try:
        entries = store.objects() if glob.has_magic(name) else [store.head(name)]
        for entry in entries:
            key = entry["path"]
            if key == name or _matches(key.split("/"), name.split("/")):
                stamp = entry["e_tag"] or entry["last_modified"].isoformat()
                modified = entry["last_modified"].timestamp()
                yield InputFile(f"{folder}/{key}", key, entry["size"], stamp, modified=modified)
    except MissingError:
        return
    except StoreError as error:
        raise InputError(str(error)) from error


def _matches(names: list[str], pattern: list[str]) -> bool:
    """Match names like glob.glob matches paths: a wildcard matches within one name, `**` any visible folders."""
    if not names or not pattern:
        return not names and not pattern
    hidden = names[0].startswith(".")
    if pattern[0] == "**":
        deeper = not hidden and (_matches(names[1:], pattern) or (len(names) == 1 and len(pattern) == 1))
        return deeper or _matches(names, pattern[1:])
    shown = not hidden or pattern[0].startswith(".")
    return shown and fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])
