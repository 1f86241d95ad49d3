"""The store and the input files of a run by URL: the only module that knows what a URL is.

A store is a local folder or a bucket (see `objects.Store` for what it promises). Inputs are files that a
pattern names, in a folder or a bucket; they are read, never written.
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
"""Read-ahead of an input in a bucket, which is read from start to end: one request for each of these."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file.

    path: URL or absolute path. relative: its path below the fixed folder of the pattern that named it, the
    part of its identity that survives a move of the source. size: bytes. stamp: mtime in ns, or ETag. siblings: files
    that are read with it, which its stamp and its digest cover.
    """

    path: str
    relative: str
    size: int
    stamp: str
    siblings: tuple[InputFile, ...] = ()


def open_store(url: str | os.PathLike[str]) -> Store:
    """Open a store: a path, file://, s3://bucket/prefix, gs:// or az://; nothing is read or written yet.

    Raises: StoreError for another scheme; UsageError for a URL that holds a user, a password or a signature.
    """
    check_url(str(url))
    path = _local_path(url)
    if path is not None:
        return FolderStore(path)
    if not _is_bucket(str(url)):
        raise StoreError(f"{url}: unknown kind of store; expected a folder, s3://, gs:// or az://")
    return BucketStore(str(url))


def list_inputs(pattern: str, follow_links: bool = False) -> list[InputFile]:
    """Files that a path, a glob (`*`, `?`, `[...]`, `**` for any folders) or a URL with a glob names.

    Hidden files match only a pattern that names the dot. A link that leads out of the folder before the first
    wildcard is refused: whoever may write into an input folder could otherwise bring any readable file into a release.

    Args: follow_links, accept such links.
    Returns: at least one file, sorted by `relative`.
    Raises: InputError naming the pattern when it matches nothing or is a folder, a file whose name is not UTF-8, or
    a link that leads out; UsageError for a URL that holds a user, a password or a signature.
    """
    check_url(pattern)
    path = _local_path(pattern)
    if path is None and not _is_bucket(pattern):
        raise InputError(f"{pattern}: unknown kind of input; expected a path or s3://, gs:// or az://")
    files = _local_inputs(path, follow_links) if path else _bucket_inputs(pattern)
    found = sorted(files, key=lambda file: file.relative)
    if not found:
        raise InputError(f"{pattern}: no such file; expected a file or a pattern that matches at least one")
    for file in found:
        if any("\ud800" <= char <= "\udfff" for char in file.relative):  # how Python shows undecodable bytes
            raise InputError(
                f"{file.path!a}: the name is not UTF-8 (GBK?); rename it, for example with convmv"
            )
    return found


def with_siblings(file: InputFile, paths: Sequence[str], follow_links: bool = False) -> InputFile:
    """Make files that are read with an input a part of its identity.

    Raises: InputError if one of them is not there, or is a link that leads out of the folder that holds both.
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
    """Open an input's raw bytes, seekable; InputError if it cannot be opened."""
    check_url(str(url_or_path))
    path = _local_path(url_or_path)
    try:
        if path is not None:
            return open(path, "rb")
        folder, _, name = str(url_or_path).rpartition("/")
        return BucketStore(folder).open(name, STREAM_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; name a file that can be read") from error
    except StoreError as error:
        raise InputError(str(error)) from error


def input_digest(file: InputFile) -> str:
    """Identify an input's content by 32 hex digits.

    A local file's bytes are hashed (XXH3-128); for an object its ETag and size are, which cost no download. Files that
    are read with it count as its own content.
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
    """Whether a path below a folder is, or passes, a link to something outside of the folder."""
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) != root


def refuse_outward_link(path: str, folder: str) -> None:
    """Raise InputError for a path that leads out of the folder that was named."""
    if leads_out(path, folder):
        raise InputError(
            f"{path}: a link that leads out of {folder}; name the file that it leads to, or set "
            "`follow_links: true` for the source"
        )


def _local_path(url: str | os.PathLike[str]) -> str | None:
    """Absolute path of a path or file:// URL; None for any other URL."""
    url = os.fspath(url)
    if url.startswith("file://"):
        return unquote(urlsplit(url).path)
    return None if "://" in url else os.path.abspath(url)


def _is_bucket(url: str) -> bool:
    return url.partition("://")[0] in BUCKET_SCHEMES


def fixed_folder(pattern: str) -> str:
    """Leading folders of a pattern, up to the first name with a wildcard; never the last name."""
    parts = pattern.split("/")[:-1]
    n_fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:n_fixed])


def _local_inputs(pattern: str, follow_links: bool) -> Iterator[InputFile]:
    if os.path.isdir(pattern):
        raise InputError(f"{pattern}: a folder; expected files, such as {pattern}/**/*.jsonl.gz")
    is_file = os.path.exists(pattern)  # a name may itself hold brackets
    folder = os.path.dirname(pattern) if is_file else fixed_folder(pattern)
    for path in {pattern} if is_file else set(glob.glob(pattern, recursive=True)):
        try:
            stat = os.stat(path)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; name files that can be read") from error
        if not os.path.isdir(path):
            if not is_file and not follow_links:
                refuse_outward_link(path, folder or "/")
            yield InputFile(path, os.path.relpath(path, folder or "/"), stat.st_size, str(stat.st_mtime_ns))


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
                yield InputFile(f"{folder}/{key}", key, entry["size"], stamp)
    except MissingError:
        return
    except StoreError as error:
        raise InputError(str(error)) from error


def _matches(names: list[str], pattern: list[str]) -> bool:
    """Match names as glob.glob does paths: wildcards stay inside one name, `**` is any visible folders."""
    if not names or not pattern:
        return not names and not pattern
    hidden = names[0].startswith(".")
    if pattern[0] == "**":
        deeper = not hidden and (_matches(names[1:], pattern) or (len(names) == 1 and len(pattern) == 1))
        return deeper or _matches(names, pattern[1:])
    shown = not hidden or pattern[0].startswith(".")
    return shown and fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])
