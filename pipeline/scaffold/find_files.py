"""The files that paths, folders, globs and URLs name, for `init`: those to look at, and those that cannot be."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.storage.store import fixed_folder, leads_out, list_inputs


@dataclass(frozen=True)
class FoundFile:
    """A file to look at; root: the folder that was asked for, "" for a glob, None for a file named itself.

    leads_out: it is a link to a file outside of that folder.
    """

    path: str
    size: int
    root: str | None = None
    leads_out: bool = False

    @property
    def folder(self) -> str:
        """The folder it lies in."""
        return os.path.dirname(self.path)


@dataclass(frozen=True)
class Unread:
    """A path that no source can be made of, and why."""

    path: str
    reason: str


def find_files(
    path: str, ignored: str = "", follow_links: bool = False
) -> tuple[list[FoundFile], list[Unread]]:
    """List the files that a path, a folder, a glob or a URL names, in order.

    Hidden files, links to folders and stores of this tool are not looked into. ignored: a file to leave out.
    follow_links: read links to files outside of the folder.

    Raises: InputError if there is nothing of that name, or a glob matches a link that leads out of its folder.
    """
    if not os.path.isdir(path):
        return _list_named(path, follow_links), []
    root, found = os.path.abspath(path), list[FoundFile]()
    unread: list[Unread] = []

    def note(error: OSError) -> None:
        unread.append(Unread(error.filename, str(error.strerror)))

    for folder, names, files in os.walk(root, onerror=note):
        if os.path.exists(os.path.join(folder, "shards", "catalog.json")):
            unread.append(Unread(folder, "a store; name a folder of one of its releases to read that"))
            names.clear()
            continue
        unread.extend(_leave_out(folder, names, files))
        for name in files:
            file = os.path.join(folder, name)
            if file != ignored:
                _look_at(file, root, found, unread, follow_links)
    return found, unread


def _leave_out(folder: str, names: list[str], files: list[str]) -> Iterator[Unread]:
    """Take hidden names, which no glob matches, and links to folders out of both lists; sort what is left."""
    hidden = [name for name in (*names, *files) if name.startswith(".")]
    if hidden:
        yield Unread(folder, f"{len(hidden):,} hidden, such as {min(hidden)}; rename them to read them")
    for name in sorted(names):
        if os.path.islink(os.path.join(folder, name)):
            yield Unread(os.path.join(folder, name), "a link to a folder; name that folder as well")
            names.remove(name)
    names[:] = sorted(set(names) - set(hidden))
    files[:] = sorted(set(files) - set(hidden))


def _list_named(path: str, follow_links: bool) -> list[FoundFile]:
    """List what a path or glob names; what is no object in a bucket is taken for a folder."""
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


def _look_at(path: str, root: str, found: list[FoundFile], unread: list[Unread], follow_links: bool) -> None:
    """Add a file of a folder to those found or unread."""
    linked = leads_out(path, root)
    if linked and not follow_links and os.path.exists(path):
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
            found.append(FoundFile(path, status.st_size, root, linked))
        else:
            unread.append(Unread(path, "not a regular file"))
