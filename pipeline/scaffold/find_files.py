"""Lists the files that paths, folders, globs and URLs name, for `init`: files to inspect, and paths left out."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.dataset.partitions import dataset_folder, partitions_of
from pipeline.errors import InputError
from pipeline.storage.store import fixed_folder, leads_out, list_inputs


@dataclass(frozen=True)
class FoundFile:
    """A file to inspect.

    size: bytes. root: the folder named by the user, "" for a glob, None for a file named by its path. leads_out: the
    file is a link to a file outside that folder.
    """

    path: str
    size: int
    root: str | None = None
    leads_out: bool = False

    @property
    def folder(self) -> str:
        """Folder of the file."""
        return os.path.dirname(self.path)

    @property
    def dataset(self) -> str:
        """Folder of its data set: the folder of the file without partitions such as `language=zh`."""
        return dataset_folder(self.folder)

    @property
    def partitions(self) -> dict[str, str]:
        """Columns in the names of folders."""
        return partitions_of(self.path, os.path.basename(self.path))


@dataclass(frozen=True)
class Unread:
    """A path that is not part of any source, and why."""

    path: str
    reason: str


def find_files(
    path: str, ignored: str = "", follow_links: bool = False
) -> tuple[list[FoundFile], list[Unread]]:
    """List the files that a path, a folder, a glob or a URL names, in order, and the paths that are left out.

    Hidden files, links to folders and stores of this tool are left out.

    Args: ignored, a file to skip; follow_links, include links to files outside the folder.
    Raises: InputError if the path does not exist, or a glob matches a link that leads out of its folder.
    """
    if not os.path.isdir(path):
        return _list_named(path, follow_links), []
    root, found = os.path.abspath(path), list[FoundFile]()
    unread: list[Unread] = []

    def add_unread(error: OSError) -> None:
        unread.append(Unread(error.filename, str(error.strerror)))

    for folder, names, files in os.walk(root, onerror=add_unread):
        if os.path.exists(os.path.join(folder, "shards", "catalog.json")):
            unread.append(Unread(folder, "a store; to read a release of it, name the folder of the release"))
            names.clear()
            continue
        unread.extend(_leave_out(folder, names, files))
        for name in files:
            file = os.path.join(folder, name)
            if file != ignored:
                _add_file(file, root, found, unread, follow_links)
    return found, unread


def _leave_out(folder: str, names: list[str], files: list[str]) -> Iterator[Unread]:
    """Remove hidden names, which no glob matches, and links to folders from both lists, and sort the lists."""
    hidden = [name for name in (*names, *files) if name.startswith(".")]
    if hidden:
        yield Unread(folder, f"{len(hidden):,} hidden, such as {min(hidden)}; to read them, rename them")
    for name in sorted(names):
        if os.path.islink(os.path.join(folder, name)):
            yield Unread(os.path.join(folder, name), "a link to a folder; name that folder as well")
            names.remove(name)
    names[:] = sorted(set(names) - set(hidden))
    files[:] = sorted(set(files) - set(hidden))


def _list_named(path: str, follow_links: bool) -> list[FoundFile]:
    """List the files that a path or glob names; a URL that is not an object is treated as a folder of a bucket."""
    root = "" if glob.has_magic(path) and not os.path.exists(path) else None
    try:
        files = list_inputs(path, follow_links)
        folder = None if root is None or "://" in path else fixed_folder(os.path.abspath(path))
        return [
            FoundFile(file.path, file.size, root, folder is not None and leads_out(file.path, folder))
            for file in files
        ]
    except InputError:
        if "://" not in path or glob.has_magic(path):
            raise
    root = path.rstrip("/")
    return [FoundFile(file.path, file.size, root) for file in list_inputs(f"{root}/**")]


def _add_file(path: str, root: str, found: list[FoundFile], unread: list[Unread], follow_links: bool) -> None:
    """Add a file of a folder to `found`, or to `unread` with the reason."""
    is_outside = leads_out(path, root)
    if is_outside and not follow_links and os.path.exists(path):
        unread.append(Unread(path, "a link that leads out of the folder; name it, or use --follow-links"))
        return
    try:
        status = os.stat(path)
        path.encode()
    except UnicodeEncodeError:
        unread.append(Unread(path, "the name is not UTF-8 (GBK?); rename it, for example with convmv"))
    except OSError as error:
        unread.append(Unread(path, str(error.strerror)))
    else:
        if stat.S_ISREG(status.st_mode):
            found.append(FoundFile(path, status.st_size, root, is_outside))
        else:
            unread.append(Unread(path, "not a regular file"))
