"""The store on a local folder and on a real S3 server: one suite, the same promises."""

from __future__ import annotations

import io
import os
import pickle
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConflictError, StoreError
from pipeline.storage.local import FolderStore
from pipeline.storage.store import MissingError, Store, open_store

if TYPE_CHECKING:
    from tests.helpers.stores import Start

pytest_plugins = ["tests.helpers.stores"]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a tmpfs with given options; skip where this user may not."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a tmpfs is not permitted here")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def keys(store: Store, prefix: str = "") -> list[str]:
    """Listed keys."""
    return [key for key, _ in store.list(prefix)]


def test_round_trip(store: Store) -> None:
    """An object that was put can be read, sized, listed and deleted."""
    for data in (b"", b"text", bytes(range(256)) * 99):
        store.put("a/b.bin", data)
        assert store.get("a/b.bin") == data
        assert store.size("a/b.bin") == len(data)
        assert list(store.list("a")) == [("a/b.bin", len(data))]
    store.put("a/b.bin", pa.py_buffer(b"buffer"))
    assert store.get("a/b.bin") == b"buffer"
    assert store.exists("a/b.bin")
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert not store.exists("a/b.bin")
    assert keys(store) == []


def test_move(store: Store) -> None:
    """An object gets another key and replaces what was there; a missing one is an error."""
    store.put("a/old", b"moved")
    store.put("b/c/new", b"replaced")
    store.move("a/old", "b/c/new")
    assert store.get("b/c/new") == b"moved" and keys(store) == ["b/c/new"]
    with pytest.raises(MissingError):
        store.move("a/old", "b/c/new")


def test_missing(store: Store) -> None:
    """An absent object, and a folder, raise MissingError with the key; with a tag they are None."""
    store.put("folder/file", b"x")
    for key in ("none", "folder", "folder/file/below"):
        for read in (store.get, store.size, store.open):
            with pytest.raises(MissingError, match=key):
                read(key)
        assert store.get_with_tag(key) is None
        assert not store.exists(key)


def test_list_is_sorted_by_code_point_and_a_prefix_is_a_folder(store: Store) -> None:
    """Keys of any language come in code-point order; a folder does not list its namesakes."""
    names = [
        "b",
        "a/z",
        "a/é",
        "a/中文/文 件%20+?#[1]",
        "a/𠮷",
        "a/~",
        "a/A",
        "ab/c",
        "a-b",
        "a/.tmp-unfinished",
    ]
    for name in names:
        store.put(name, name.encode())
    shown = [name for name in names if ".tmp-" not in name]
    assert keys(store) == sorted(shown)
    assert keys(store, "a") == keys(store, "a/") == sorted(name for name in shown if name.startswith("a/"))
    assert keys(store, "none") == []
    assert all(store.get(key) == key.encode() for key in keys(store))


def test_bad_keys_are_refused(store: Store) -> None:
    """A key that leaves the store or has an empty name raises StoreError."""
    for key in ("../outside", "a/../../b", "a//b", "/a"):
        with pytest.raises(StoreError, match="plain names"):
            store.put(key, b"x")


def test_put_file(store: Store, tmp_path: Path) -> None:
    """A file of several parts arrives whole and remains at its path; a missing one raises StoreError."""
    source = tmp_path / "big"
    source.write_bytes(random.Random(1).randbytes(9 << 20))
    store.put_file("files/big", source)
    assert store.get("files/big") == source.read_bytes()
    with pytest.raises(StoreError, match="absent"):
        store.put_file("files/other", tmp_path / "absent")
    assert keys(store) == ["files/big"]


def test_delete_prefix(store: Store) -> None:
    """Deleting a folder deletes all of it and nothing else; the whole store cannot be deleted so."""
    for key in ("run/a", "run/b/c", "runs/d"):
        store.put(key, b"x")
    store.delete_prefix("run/")
    store.delete_prefix("run")
    assert keys(store) == ["runs/d"]
    for everything in ("", "/"):
        with pytest.raises(StoreError, match="whole store"):
            store.delete_prefix(everything)


def test_delete_prefix_leaves_no_empty_folder(tmp_path: Path) -> None:
    """The folders above a deleted one are removed if they are empty, up to the store's own."""
    store = FolderStore(tmp_path / "above/store")
    for key in ("exchange/a/b", "kept/c", "kept/d/e"):
        store.put(key, b"x")
    store.delete_prefix("exchange/a")
    store.delete_prefix("kept/d")
    assert [path.name for path in store.path.iterdir()] == ["kept"]
    store.delete_prefix("kept/none/below")
    assert keys(store) == ["kept/c"]
    store.delete_prefix("kept")
    assert store.path.is_dir() and not any(store.path.iterdir())


CREATE_AND_DELETE = """
import sys
from pipeline.storage.store import open_store
store = open_store(sys.argv[1])
for i in range(200):
    store.put(f"work/{sys.argv[2]}/{i}", b"x")
    store.delete_prefix(f"work/{sys.argv[2]}")
"""


def test_folders_are_removed_while_others_write_below(tmp_path: Path, start: Start) -> None:
    """Processes that delete the last folder of a common one do not fail those that create another there."""
    processes = [start(CREATE_AND_DELETE, str(tmp_path / "store"), str(i)) for i in range(3)]
    assert [process.wait(60) for process in processes] == [0] * 3


def test_pickle(store: Store) -> None:
    """A store travels to another process as its URL, without credentials."""
    store.put("k", b"x")
    pickled = pickle.dumps(store)
    assert b"SECRET" not in pickled.upper()
    assert pickle.loads(pickled).get("k") == b"x"
    assert pickle.loads(pickled).url == store.url


def test_put_if(store: Store) -> None:
    """A swap succeeds with the current tag alone."""
    first = store.put_if("k", b"1", None)
    assert store.get_with_tag("k") == (b"1", first)
    with pytest.raises(ConflictError):
        store.put_if("k", b"2", None)
    second = store.put_if("k", b"2", first)
    with pytest.raises(ConflictError):
        store.put_if("k", b"3", first)
    assert store.get_with_tag("k") == (b"2", second)
    store.delete("k")
    with pytest.raises(ConflictError):
        store.put_if("k", b"3", second)
    assert not store.exists("k")


COUNT = """
import sys
from pipeline.errors import ConflictError
from pipeline.storage.store import open_store
store, n = open_store(sys.argv[1]), 0
while n < 25:
    found = store.get_with_tag("counter")
    value, tag = (int(found[0]), found[1]) if found else (0, None)
    try:
        store.put_if("counter", b"%d" % (value + 1), tag)
        n += 1
    except ConflictError:
        pass
"""


def test_swaps_of_several_processes(store: Store, start: Start) -> None:
    """Four processes that add 25 each leave exactly 100."""
    processes = [start(COUNT, store.url) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert store.get("counter") == b"100"


OVERWRITE = """
import itertools, sys
from pipeline.storage.store import open_store
store = open_store(sys.argv[1])
for i in itertools.count():
    store.put("folder/object", b"ab"[i % 2 : i % 2 + 1] * (1 << 20))
    if i == 0:
        print("started", flush=True)
"""


def test_readers_never_see_a_part(store: Store, start: Start) -> None:
    """While a writer overwrites, and after it is killed in the middle, every read is one whole version."""
    for _ in range(3):
        writer = start(OVERWRITE, store.url)
        assert writer.stdout and writer.stdout.readline() == "started\n"
        seen: list[bytes] = []
        while len(seen) < 15 or len(set(seen)) < 2:
            data = store.get("folder/object")
            assert data in (b"a" * (1 << 20), b"b" * (1 << 20))
            seen.append(data[:1])
        writer.kill()
        writer.wait()
        assert list(store.list()) == [("folder/object", 1 << 20)]
        assert len(set(store.get("folder/object"))) == 1


def test_stale_temporary_files_are_swept(tmp_path: Path) -> None:
    """`check` removes the files a killed writer left a day ago and keeps those of a running writer."""
    old, new = tmp_path / "shards/.tmp-old", tmp_path / "shards/.tmp-new"
    old.parent.mkdir()
    for path in (old, new):
        path.write_bytes(b"part")
    os.utime(old, (time.time() - 100_000,) * 2)
    open_store(tmp_path).check()
    assert [path.name for path in old.parent.iterdir()] == [".tmp-new"]
    assert keys(open_store(tmp_path)) == []


def test_range_reads(store: Store) -> None:
    """Random seeks and reads of an open object give the bytes of the whole."""
    data = random.Random(2).randbytes(3 << 20)
    store.put("k", data)
    choose = random.Random(3)
    with store.open("k") as stream:
        for _ in range(30):
            offset, size = choose.randrange(len(data)), choose.choice([0, 1, 100, 1 << 20, 2 << 20])
            stream.seek(offset)
            assert stream.read(size) == data[offset : offset + size]
            assert stream.tell() == min(offset + size, len(data))
        assert stream.seek(-5, io.SEEK_END) == len(data) - 5
        assert stream.read() == data[-5:]
        assert stream.read() == b""
        stream.seek(10, io.SEEK_END)
        assert stream.read(1) == b""


def test_pyarrow_reads_ranges(store: Store) -> None:
    """Parquet columns and Arrow IPC batches are read through an open object."""
    table = pa.table({"text": ["中文", "English", None] * 9000, "n": range(27_000)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=5000, compression="zstd")
    store.put("t.parquet", sink.getvalue())
    with store.open("t.parquet") as stream:
        parquet = pq.ParquetFile(stream)
        assert parquet.read_row_group(3, ["n"])["n"].to_pylist() == list(range(15_000, 20_000))
        assert parquet.read().equals(table)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, 5000)
    store.put("t.arrow", sink.getvalue())
    with store.open("t.arrow") as stream:
        assert pa.ipc.open_file(stream).read_all().equals(table)


def test_an_open_object_is_one_version(store: Store) -> None:
    """A reader of an object that is replaced keeps the old version or raises; it never mixes the two."""
    store.put("k", b"a" * (4 << 20))
    with store.open("k") as stream:
        head = stream.read(10)
        store.put("k", b"b" * (4 << 20))
        stream.seek(3 << 20)
        if store.local_path("k"):
            assert stream.read(10) == head
        else:
            with pytest.raises(ConflictError, match="another writer"):
                stream.read(10)


def test_local_path(tmp_path: Path, s3: str) -> None:
    """Only a local store has paths, absolute for any working folder."""
    assert open_store(tmp_path).local_path("a/b") == tmp_path / "a/b"
    assert open_store(f"file://{tmp_path}/%E4%B8%AD").local_path("a") == tmp_path / "中/a"
    assert open_store(s3).local_path("a/b") is None


def test_check_passes(store: Store) -> None:
    """A usable store passes and is left empty; so does one that is only read."""
    store.check()
    assert keys(store) == []
    store.check(write=False)


def test_check_names_what_is_wrong(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot serve raises one line that names it, at once."""
    (tmp_path / "file").write_bytes(b"x")
    for url, write, found in (
        (tmp_path / "file", True, "found a file, expected a folder"),
        (tmp_path / "file/below", True, "found a file, expected a folder"),
        (tmp_path / "file", False, "found a file, expected the folder"),
        (tmp_path / "none", False, "found nothing, expected the folder"),
        ("s3://no-such-bucket/x", True, "bucket"),
        ("s3://no-such-bucket/x", False, "bucket"),
    ):
        with pytest.raises(StoreError, match=found) as caught:
            open_store(url).check(write)
        assert str(url) in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(StoreError, match="endpoint"):
        open_store(s3).check()
    assert time.monotonic() - began < 5
    with pytest.raises(StoreError, match="unknown scheme of a store"):
        open_store("ftp://host/x")


def test_check_refuses_a_store_that_ignores_conditions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that overwrites an object despite a condition is detected before any work."""
    monkeypatch.setattr(type(store), "put_if", lambda self, key, data, tag: self.put(key, data))
    with pytest.raises(StoreError, match="conditional"):
        store.check()


def test_read_only_folder(mounted: Callable[[str], Path]) -> None:
    """A read-only file system raises StoreError with that reason, for a check and for a write."""
    folder = mounted("ro,size=1m")
    for write in (lambda store: store.check(), lambda store: store.put("a", b"x")):
        with pytest.raises(StoreError, match=r"Read-only.*mount it writable"):
            write(open_store(folder))
    open_store(folder).check(write=False)


def test_full_disk(mounted: Callable[[str], Path], tmp_path: Path) -> None:
    """A full disk raises StoreError; the old object is kept, nothing of the new one is left, space is freed."""
    folder = mounted("size=1m")
    store = open_store(folder)
    tag = store.put_if("k", b"old", None)
    (tmp_path / "big").write_bytes(bytes(4 << 20))
    for write in (
        lambda: store.put("k", bytes(4 << 20)),
        lambda: store.put_file("k", tmp_path / "big"),
        lambda: store.put_if("k", bytes(4 << 20), tag),
    ):
        with pytest.raises(StoreError, match="free disk space"):
            write()
        assert store.get("k") == b"old"
        assert [name for name in os.listdir(folder) if name != ".locks"] == ["k"]
    store.put("k", bytes(700 << 10))


FORK = """
import os, signal, sys
from pipeline.storage.store import open_store
store = open_store(sys.argv[1])
store.exists("k")
child = os.fork()
if not child:
    signal.alarm(10)  # ends a child that hangs
    try:
        store.exists("k")
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_client_is_refused(s3: str, start: Start) -> None:
    """A bucket used across a fork raises instead of hanging for ever."""
    assert "spawn" in start(FORK, s3).communicate(timeout=30)[0]
