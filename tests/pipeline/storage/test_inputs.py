"""Input files by pattern, in a folder and in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.storage.store import Store, input_digest, list_inputs, open_input

pytest_plugins = ["tests.helpers.stores"]

FILES = (
    "a.jsonl",
    "b.jsonl.gz",
    "c[1].jsonl",
    "d/e.jsonl",
    "d/f/中 文.jsonl",
    "d/.hidden/g.jsonl",
    ".h.jsonl",
)


@pytest.fixture
def inputs(store: Store) -> str:
    """Folder, in each kind of store, that holds FILES."""
    for name in FILES:
        store.put(f"in/{name}", name.encode())
    return f"{store.url}/in"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jsonl", ["a.jsonl", "c[1].jsonl"]),
        ("?.jsonl*", ["a.jsonl", "b.jsonl.gz"]),
        ("[!a].jsonl.gz", ["b.jsonl.gz"]),
        ("**/*.jsonl", ["a.jsonl", "c[1].jsonl", "d/e.jsonl", "d/f/中 文.jsonl"]),
        ("**", ["a.jsonl", "b.jsonl.gz", "c[1].jsonl", "d/e.jsonl", "d/f/中 文.jsonl"]),
        ("d/**/*.jsonl", ["e.jsonl", "f/中 文.jsonl"]),
        ("*/e.jsonl", ["d/e.jsonl"]),
        ("d/*/*.jsonl", ["f/中 文.jsonl"]),
        ("d/.hidden/*", ["g.jsonl"]),
        (".*", [".h.jsonl"]),
        ("d/f/中 文.jsonl", ["中 文.jsonl"]),
        ("c[1].jsonl", ["c[1].jsonl"]),
    ],
)
def test_list_inputs(inputs: str, pattern: str, expected: list[str]) -> None:
    """A pattern names the same files in a folder and in a bucket, in order, and they open."""
    found = list_inputs(f"{inputs}/{pattern}")
    assert [file.relative for file in found] == expected
    for file in found:
        with open_input(file.path) as stream:
            data = stream.read()
            assert file.path.endswith(data.decode())
            assert len(data) == file.size
            assert stream.seek(0) == 0


def test_no_inputs(inputs: str, tmp_path: Path) -> None:
    """A pattern without a file, a folder, or an unreadable name raises InputError that names it."""
    for name in ("*.warc", "none.jsonl", "none/*.jsonl", "d"):
        with pytest.raises(InputError, match=rf"{name}: ".replace("*", r"\*")):
            list_inputs(f"{inputs}/{name}")
    with pytest.raises(InputError, match="none"):
        open_input(f"{inputs}/none")
    with pytest.raises(InputError, match="unknown scheme"):
        list_inputs("ftp://host/*.gz")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A file whose name is GBK is refused, because no table could hold it."""
    with open(os.path.join(os.fsencode(tmp_path), "语料.jsonl".encode("gbk")), "wb"):
        pass
    with pytest.raises(InputError, match="GBK"):
        list_inputs(f"{tmp_path}/*.jsonl")


def test_input_digest(inputs: str, store: Store) -> None:
    """The digest and the stamp follow the content; in a folder the digest does not follow the time."""
    (before,) = list_inputs(f"{inputs}/a.jsonl")
    digest = input_digest(before)
    assert len(digest) == 32
    store.put("in/a.jsonl", b"other")
    (after,) = list_inputs(f"{inputs}/a.jsonl")
    assert after.stamp != before.stamp
    assert input_digest(after) != digest
    store.put("in/a.jsonl", b"a.jsonl")
    assert input_digest(*list_inputs(f"{inputs}/a.jsonl")) == digest
