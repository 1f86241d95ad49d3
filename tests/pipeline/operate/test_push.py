"""Uploading a release: one commit with what the repository lacks, and no token where anyone reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.build import Ended, cli, reference
from tests.helpers.dataset_hub import DatasetHub, serve_datasets

pytest.importorskip("huggingface_hub", reason="comes with datatrove")

TOKEN = "hf_canary_0123456789"
RELEASE = "releases/v1"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the reference release."""
    return reference().copy(tmp_path_factory.mktemp("push")) / RELEASE


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetHub]:
    """An empty hub, and the client's settings for it."""
    with serve_datasets(TOKEN) as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.endpoint)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for name in ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY"):
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", True)
        yield served


def push(release: Path, *options: object) -> Ended:
    """The command, whose output never has the token."""
    ended = cli("push", release, "--repo", "lab/corpus", *options)
    assert TOKEN not in ended.out + ended.err
    return ended


def files_of(release: Path) -> dict[str, bytes]:
    """Contents of a release by path."""
    return {p.relative_to(release).as_posix(): p.read_bytes() for p in release.rglob("*") if p.is_file()}


def test_a_push_is_one_commit_and_the_next_sends_what_changed(release: Path, hub: DatasetHub) -> None:
    """The repository then has the release; again: nothing; a changed file: that file, and a stray one is removed."""
    planned = push(release, "--dry-run", "--json").ok().json
    assert not hub.repositories and planned["changed"] == planned["files"] == len(files_of(release))
    first = push(release, "--json").ok().json
    found = hub.repositories["lab/corpus"]
    assert found.private and len(found.commits) == 2 and found.commits[-1][1] == "Release v1"
    assert {k: v for k, v in found.files.items() if k != ".gitattributes"} == files_of(release)
    assert first["commit"] == found.commits[-1][0] and first["changed_bytes"] == first["bytes"]
    assert any(path.endswith(".parquet") for path in found.large)
    assert not [request for request in hub.requests if request[1].startswith("/storage/") and request[2]]
    assert push(release, "--json").ok().json["changed"] == 0 and len(found.commits) == 2
    found.files |= {"data/und/part-99999.parquet": b"old", "notes.md": b"by hand", "run.yaml": b"edited"}
    again = push(release, "--json").ok().json
    assert (again["changed"], again["removed"]) == (1, 1)
    assert {k: v for k, v in found.files.items() if k not in (".gitattributes", "notes.md")} == files_of(
        release
    )
    assert found.files["notes.md"] == b"by hand"


def test_what_the_hub_refuses_is_one_line_without_a_token(
    release: Path, hub: DatasetHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No access, a commit by someone else, and no hub at all: exit 1, what to do, and nothing in the repository."""
    for method, path, code, advice in (
        ("GET", "/revision/", 401, "HF_TOKEN"),
        ("POST", "/create", 403, "write access"),
        ("POST", "/commit/", 412, "again"),
    ):  # fmt: skip
        hub.faults[method, path] = code
        ended = push(release, "--verbose")
        assert ended.code == 1 and f"answered {code}" in ended.err and advice in ended.err
        assert not hub.faults
    assert len(hub.repositories["lab/corpus"].commits) == 1
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    ended = push(release, "--verbose")
    assert ended.code == 1 and "HF_ENDPOINT" in ended.err


def test_a_damaged_release_is_not_sent(release: Path, hub: DatasetHub, tmp_path: Path) -> None:
    """A byte changed in any file stops the push before anything is asked of the hub."""
    store = reference().copy(tmp_path)
    path = next((store / RELEASE / "ledger").glob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    ended = push(store / RELEASE)
    assert ended.code == 1 and path.name in ended.err and not hub.requests
    assert push(tmp_path).code == 2
    assert cli("push", release, "--repo", "corpus").code == 2
