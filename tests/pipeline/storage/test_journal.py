"""Journals: records by key that many processes append."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pipeline.recipe import digest
from pipeline.storage import journal as module
from pipeline.storage.journal import Journal
from pipeline.storage.store import Store, open_store

pytest_plugins = ["tests.helpers.stores"]


def key(i: object) -> str:
    """A key."""
    return digest(["test", i])


def test_records_are_read_back(tmp_path: Path) -> None:
    """A record is there at once, in another journal and after closing; the last one of a key counts."""
    store = open_store(tmp_path)
    first = Journal(store, "requests/m")
    assert first.get(key(0)) is None
    for i in range(300):
        first.put(key(i), b"%d" % i)
    first.put(key(7), b"seven")
    assert first.get(key(299)) == b"299" and first.get(key(7)) == b"seven"
    for again in (Journal(store, "requests/m"), first):
        assert [again.get(key(i)) for i in (0, 7, 299, 300)] == [b"0", b"seven", b"299", None]
        first.close()
    assert len(list(store.list("requests/m"))) == 1
    first.put(key(300), b"more")
    first.close()
    assert Journal(store, "requests/m").get(key(300)) == b"more"


def test_what_is_no_line_is_refused(tmp_path: Path) -> None:
    """Data has no line end, a key 32 digits."""
    for name, data in ((key(0), b"a\nb"), ("short", b"a")):
        with pytest.raises(ValueError, match="one line"):
            Journal(open_store(tmp_path), "j").put(name, data)


def test_damaged_records_are_seen_and_left_out(tmp_path: Path) -> None:
    """A changed byte, a cut line and garbage cost their records, and no other."""
    store = open_store(tmp_path)
    writer = Journal(store, "j")
    for i in range(20):
        writer.put(key(i), b"value %d" % i)
    writer.close()
    ((name, _),) = store.list("j")
    lines = store.get(name).split(b"\n")
    lines[3] = lines[3][:-1] + b"x"  # data changed
    lines[5] = b"zz" + lines[5][2:]  # key changed
    lines[8] = lines[8][:30]
    data = b"\n".join([*lines[:12], b"garbage", *lines[12:19], lines[19][:-4]])
    store.put(name, data)
    reader = Journal(store, "j")
    found = [i for i in range(20) if reader.get(key(i)) is not None]
    assert found == [i for i in range(20) if i not in (3, 5, 8, 19)]
    assert reader.n_damaged == 4
    reader.put(key(3), b"again")
    assert Journal(store, "j").get(key(3)) == b"again"


def test_others_appends_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal reads what others have appended since, some time after."""
    store = open_store(tmp_path)
    one, other = Journal(store, "j"), Journal(store, "j")
    other.put(key(1), b"1")
    other.put(key(2), b"2")
    assert one.get(key(1)) is None
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    assert one.get(key(1)) == b"1"
    other.put(key(3), b"3")
    assert [one.get(key(i)) for i in (1, 2, 3)] == [b"1", b"2", b"3"]


def _write(url: str, start: int) -> None:
    journal = Journal(open_store(url), "j")
    for i in range(start, start + 10_000):
        journal.put(key(i), b"x" * 200)


def test_a_killed_writer_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """Two processes write at once and are killed; all complete records are there."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(tmp_path), i * 1_000_000)) for i in range(2)]
    for writer in writers:
        writer.start()
    store = open_store(tmp_path)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and sum(size > 50_000 for _, size in store.list("j")) < 2:
        time.sleep(0.05)
    for writer in writers:
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    journal = Journal(store, "j")
    counts = [sum(journal.get(key(k * 1_000_000 + i)) is not None for i in range(10_000)) for k in range(2)]
    whole = [store.get(name).count(b"\n") for name, _ in store.list("j")]
    assert sorted(counts) == sorted(whole) and min(counts) > 100 and journal.n_damaged == 0


def test_a_bucket_takes_records_as_well(s3: str) -> None:
    """In a bucket, records that wait share an object; closing leaves one object."""
    bucket = open_store(s3)
    journal = Journal(bucket, "j")

    def put(k: int) -> None:
        for i in range(5):
            journal.put(key((k, i)), b"%d" % i)

    threads = [threading.Thread(target=put, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n_objects = len(list(bucket.list("j")))
    assert 1 <= n_objects <= 40
    assert all(journal.get(key((k, i))) == b"%d" % i for k in range(8) for i in range(5))
    reader = Journal(bucket, "j")
    journal.close()
    assert len(list(bucket.list("j"))) == 1
    for each in (journal, reader, Journal(bucket, "j")):
        assert all(each.get(key((k, i))) == b"%d" % i for k in range(8) for i in range(5))


def test_erased_records_are_in_no_file(store: Store) -> None:
    """All records of a key are replaced by one, in segments of other processes too; the others are kept."""
    first, second = Journal(store, "j"), Journal(store, "j")
    for i in range(6):
        first.put(key(i), b"secret %d" % i)
        second.put(key(i), b"secret again %d" % i)
    second.close()
    assert first.find(lambda data: data.endswith(b"3")) == [key(3)]
    assert first.erase([key(2), key(3), key(99)], b"erased") == 2
    for journal in (first, Journal(store, "j")):
        assert [journal.get(key(i)) for i in (2, 3, 99)] == [b"erased", b"erased", None]
        assert journal.get(key(4)) in (b"secret 4", b"secret again 4")
    raw = b"".join(bytes(store.get(name)) for name, _ in store.list("j"))
    assert b"secret 3" not in raw and b"secret again 2" not in raw and raw.count(b"secret") == 8
