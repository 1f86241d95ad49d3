"""Upload a release to a dataset repository of a hub that speaks the API of the Hugging Face hub, in one commit.

Files that the repository has are not sent again; of the others the hub's client sends the chunks that the hub lacks.
The client reads the token (HF_TOKEN, or the file of `hf auth login`); this module never does, and no message has it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from pipeline.errors import BicorpusError, DamagedError, UsageError
from pipeline.inspect.release_files import read_checksums
from pipeline.recipe import optional_module
from pipeline.storage.credentials import masked
from pipeline.storage.scratch import scratch
from pipeline.storage.store import Store
from pipeline.translation import message

OWNED = ("data/", "mixes/", "orders/", "tokens/", "cot/", "ledger/", "clusters/")
"""Folders of a release: what a repository has there and the release has not is removed. Other files are left alone."""
CHECKSUMS = "checksums.sha256"
REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass
class Upload:
    """What a push sends. changed: bytes by path of the files that the repository lacks; removed: its paths that the
    release has no longer; commit, url: of the result, empty for a dry run or if nothing changed."""

    repo: str
    revision: str
    files: int
    bytes: int
    changed: dict[str, int] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    commit: str = ""
    url: str = ""

    def plain(self) -> dict[str, Any]:  # Any: plain JSON
        """Return the upload as plain JSON."""
        sent = sum(self.changed.values())
        return {
            "repo": self.repo, "revision": self.revision, "files": self.files, "bytes": self.bytes,
            "changed": len(self.changed), "changed_bytes": sent, "removed": len(self.removed), "commit": self.commit,
            "url": self.url,
        }  # fmt: skip


def push(
    release: Store,
    repo: str,
    revision: str = "main",
    private: bool = True,
    title: str = "",
    is_dry: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Upload:
    """Upload a release to a dataset repository, which is made if there is none.

    Args: repo, organisation/name; private, for a new repository; title, of the commit; is_dry, change nothing.
    Raises: UsageError if the folder is no finished release, the name is none, or the extra `hub` is missing;
    DamagedError if a file does not have its checksum; BicorpusError, with what to do, if the hub refuses or does not
    answer, or the repository changed meanwhile.
    """
    if not REPO.fullmatch(repo):
        raise UsageError(f"--repo {repo!r}: expected organisation/name, such as lab/corpus")
    if not release.exists(CHECKSUMS):
        raise UsageError(f"{release.url}: no {CHECKSUMS}; this is no release, or it was not finished")
    hub = client()
    hub.utils.disable_progress_bars()
    listed = read_checksums(release)
    sizes = check_files(release, listed)
    listed[CHECKSUMS] = hashlib.sha256(release.get(CHECKSUMS)).hexdigest()
    sizes[CHECKSUMS] = release.size(CHECKSUMS)
    upload = Upload(repo, revision, len(sizes), sum(sizes.values()))
    api = hub.HfApi()
    with explained(hub, repo):
        head, present = remote_files(hub, api, repo, revision)
        if head is None and not is_dry:
            api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
            if revision != "main":
                api.create_branch(repo, branch=revision, repo_type="dataset", exist_ok=True)
                head, present = remote_files(
                    hub, api, repo, revision
                )  # a branch begins with the files of main
        for path, digest in sorted(listed.items()):
            if not is_same(release, path, digest, present.get(path)):
                upload.changed[path] = sizes[path]
        upload.removed = sorted(path for path in present if path.startswith(OWNED) and path not in listed)
        if is_dry or not (upload.changed or upload.removed):
            return upload
        say(message(f"{len(upload.changed):,} of {upload.files:,} files to {repo}"))
        commit(hub, api, release, upload, head, title or f"Release {release.url.rpartition(chr(47))[2]}")
    return upload


def client() -> ModuleType:
    """Import the hub's client with the modules of it that are used here.

    Raises: ConfigError if the extra `hub` is not installed.
    """
    hub: ModuleType = optional_module("huggingface_hub", "huggingface_hub", "hub", "push")
    for name in ("errors", "utils"):
        setattr(hub, name, importlib.import_module(f"huggingface_hub.{name}"))
    return hub


def check_files(release: Store, listed: Mapping[str, str]) -> dict[str, int]:
    """Check every file of a release against its checksum; returns sizes in bytes by path.

    Raises: DamagedError naming the first file that differs.
    """
    sizes = {}
    for path, digest in sorted(listed.items()):
        with release.open(path) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # Arrow's file
        if found != digest:
            raise DamagedError(
                f"{release.url}/{path}: SHA-256 {found[:16]}…, listed is {digest[:16]}…; write the release again",
                path,
            )
        sizes[path] = release.size(path)
    return sizes


def remote_files(
    hub: ModuleType, api: Any, repo: str, revision: str
) -> tuple[str | None, dict[str, str]]:  # Any: the client of the hub
    """Return the head of a branch, None if there is no such repository or branch, and the digests of its files by path:
    SHA-256 of those in large file storage, else the digest of git."""
    try:
        head = api.repo_info(repo, repo_type="dataset", revision=revision).sha
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError):
        return None, {}
    entries = api.list_repo_tree(repo, repo_type="dataset", revision=head, recursive=True)
    found = {}
    for entry in entries:
        if hasattr(entry, "blob_id"):
            found[entry.path] = entry.lfs.sha256 if entry.lfs else entry.blob_id
    return head, found


def is_same(release: Store, path: str, digest: str, remote: str | None) -> bool:
    """Whether a repository has a file of a release. remote: its digest there."""
    if remote is None or len(remote) == len(digest):
        return remote == digest
    data = release.get(path)
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == remote


def commit(
    hub: ModuleType, api: Any, release: Store, upload: Upload, head: str | None, title: str
) -> None:  # Any: the client of the hub
    """Send what is to be sent, and make it one commit on top of `head`."""
    with scratch() as folder:
        additions = []
        for path in upload.changed:
            local = str(release.local_path(path) or os.path.join(folder, path))
            if local.startswith(folder):
                os.makedirs(os.path.dirname(local), exist_ok=True)
                with release.open(path) as source, open(local, "wb") as target:
                    shutil.copyfileobj(source, target)
            additions.append(hub.CommitOperationAdd(path_in_repo=path, path_or_fileobj=local))
        removals = [hub.CommitOperationDelete(path_in_repo=path) for path in upload.removed]
        done = api.create_commit(
            upload.repo, [*additions, *removals], commit_message=title, repo_type="dataset", revision=upload.revision,
            parent_commit=head,
        )  # fmt: skip
    upload.commit, upload.url = done.oid, str(done.commit_url)


@contextmanager
def explained(hub: ModuleType, repo: str) -> Iterator[None]:
    """Make errors of the client one line that states what to do, without a token.

    The cause is not chained: its request has the token in a header.
    """
    try:
        yield
    except BicorpusError:
        raise
    except hub.errors.HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        advice = {
            401: message("set HF_TOKEN, or run `hf auth login`"),
            403: message("the token may not write here; make one with write access"),
            404: message("check the name, and that the token may write there"),
            412: message("another commit was made meanwhile; push again"),
        }.get(code, message("push again later: what was sent is kept"))
        raise BicorpusError(f"{repo}: the hub answered {code}; {advice}") from None
    except Exception as error:  # the client's versions bring different libraries for HTTP
        found = masked(str(error).partition("\n")[0])
        if token := hub.get_token():
            found = found.replace(token, "***")
        raise BicorpusError(
            f"{repo}: {type(error).__name__}: {found}; check the network and HF_ENDPOINT, then push again"
        ) from None
