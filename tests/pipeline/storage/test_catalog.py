"""Catalogs on a local folder and on a real S3 server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import AlignmentError, ConflictError, DamagedError, StoreError
from pipeline.storage.catalog import COMPRESS_BYTES, Catalog, catalog_of, is_segment
from pipeline.storage.store import Store

if TYPE_CHECKING:
    from tests.helpers.stores import Start

pytest_plugins = ["tests.helpers.stores"]

KEY = "annotations/language/v1-0123abcd/catalog.json"


def test_round_trip(store: Store) -> None:
    """Entries and header are read back as written; an absent catalog is empty."""
    catalog = Catalog.load(store, KEY, {"recipe": "0123"})
    assert catalog.entries == {}
    catalog.update({"语料-1": {"rows": 3, "bytes": 10}, "b": {}})
    catalog.update({"c": {"rows": 1}}, remove=["b", "unknown"])
    again = Catalog.load(store, KEY)
    assert again.entries == catalog.entries == {"语料-1": {"rows": 3, "bytes": 10}, "c": {"rows": 1}}
    assert again.header == {"recipe": "0123"}


def test_bytes_depend_on_the_entries_alone(store: Store) -> None:
    """Any order of updates and of keys gives the same bytes, also of a large catalog, which is compressed."""
    entries = {f"shard-{i:05d}": {"rows": i, "sha": f"{i:032x}", "z": [1], "a": None} for i in range(2000)}
    Catalog.load(store, "one.json").update(entries)
    in_order = store.get("one.json")
    store.delete("one.json")
    catalog = Catalog.load(store, "one.json")
    for names in (list(entries)[1000:], list(entries)[:1000]):
        catalog.update({name: dict(reversed(entries[name].items())) for name in reversed(names)})
    assert store.get("one.json") == in_order
    assert store.size("one.json") < COMPRESS_BYTES
    assert Catalog.load(store, "one.json").entries == entries


def test_an_update_that_changes_nothing_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rerun that finds its entries in place leaves the object alone."""
    catalog = Catalog.load(store, KEY)
    catalog.update({"a": {"rows": 1}})
    monkeypatch.setattr(type(store), "put_if", lambda *_: pytest.fail("wrote"))
    catalog.update({"a": {"rows": 1}}, remove=["b"])


def test_a_stale_copy_does_not_hide_a_change(store: Store) -> None:
    """An entry that another run changed since it was read is written again."""
    mine, other = Catalog.load(store, KEY), Catalog.load(store, KEY)
    mine.update({"a": {"rows": 1}, "b": {"rows": 1}})
    other.update({"a": {"rows": 2}}, remove=["b"])
    mine.update({"a": {"rows": 1}})
    assert Catalog.load(store, KEY).entries == mine.entries == {"a": {"rows": 1}}


MERGE = """
import sys
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import open_store
url, key, me = sys.argv[1:]
catalog = Catalog.load(open_store(url), key, {"recipe": "r"})
for i in range(8):
    catalog.update({f"{me}-{i}": {"rows": i}}, remove=[f"{me}-{i - 2}"])
"""


def test_processes_share_a_catalog(store: Store, start: Start) -> None:
    """Four processes that add and remove at once lose nothing of each other's."""
    processes = [start(MERGE, store.url, KEY, me) for me in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    expected = {f"{me}-{i}": {"rows": i} for me in range(4) for i in (6, 7)}
    assert Catalog.load(store, KEY, {"recipe": "r"}).entries == expected


def test_another_header_is_refused(store: Store) -> None:
    """A catalog of another recipe raises AlignmentError on reading and on updating."""
    stranger = Catalog(store, KEY, {"recipe": "b"})
    Catalog.load(store, KEY, {"recipe": "a"}).update({"s": {}})
    with pytest.raises(AlignmentError, match='"b"'):
        Catalog.load(store, KEY, {"recipe": "b"})
    with pytest.raises(AlignmentError):
        stranger.update({"t": {}})


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\x28\xb5\x2f\xfd broken"])
def test_a_damaged_catalog_is_named(store: Store, damage: bytes) -> None:
    """What is not a catalog raises StoreError with its key."""
    store.put(KEY, damage)
    with pytest.raises(StoreError, match=KEY):
        Catalog.load(store, KEY)


def test_a_large_catalog_has_segments(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers and a reader see the same entries at any time, an update writes what is new, and merging is rare."""
    monkeypatch.setattr("pipeline.storage.catalog.INLINE", 8)
    one, two, reader = (Catalog.load(store, KEY, {"recipe": "r"}) for _ in range(3))
    expected: dict[str, dict[str, int]] = {}
    written = 0
    put = type(store).put

    def counted(self: Store, key: str, data: bytes) -> None:
        nonlocal written
        written += is_segment(key)
        put(self, key, data)

    monkeypatch.setattr(type(store), "put", counted)
    for i in range(30):
        writer = (one, two)[i % 3 == 0]
        names = {f"{i:03d}-{j}": {"rows": i} for j in range(3)} | {"again": {"rows": i}}
        gone = [f"{i - 7:03d}-1", "unknown"]
        writer.update(names, remove=gone)
        expected |= names
        expected.pop(gone[0], None)
        if i % 5 == 0:
            reader.refresh()
            assert reader.entries == expected
        assert writer.entries == expected
    found = Catalog.load(store, KEY)
    assert found.entries == expected and found.header == {"recipe": "r"}
    assert 1 < len(found.segments) <= 6 and 0 < written < 16
    folder = KEY.rpartition("/")[0]
    assert {key for key, _ in store.list(folder)} == {KEY, *(key for key, _ in found.segments)}


def test_a_segment_is_damaged_or_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported as damage of its catalog, which a run makes again."""
    monkeypatch.setattr("pipeline.storage.catalog.INLINE", 2)
    Catalog.load(store, KEY).update({str(i): {"rows": i} for i in range(5)})
    ((segment, n),) = Catalog.load(store, KEY).segments
    assert n == 5 and is_segment(segment) and catalog_of(segment) == KEY
    data = store.get(segment)
    store.put(segment, data.replace(b"rows", b"r0ws", 1))
    with pytest.raises(DamagedError) as damaged:
        Catalog.load(store, KEY)
    store.delete(segment)
    with pytest.raises(DamagedError, match="a segment is missing") as missing:
        Catalog.load(store, KEY)
    assert damaged.value.key == missing.value.key == KEY


def test_a_large_catalog_of_an_earlier_version_is_read_and_divided(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One object with all entries is a catalog without segments; the next update makes one of them."""
    Catalog.load(store, KEY).update({str(i): {"rows": i} for i in range(9)})
    monkeypatch.setattr("pipeline.storage.catalog.INLINE", 4)
    catalog = Catalog.load(store, KEY)
    assert len(catalog.entries) == 9 and not catalog.segments
    catalog.update({"new": {}}, remove=["3"])
    again = Catalog.load(store, KEY)
    assert len(again.segments) == 1 and again.entries == catalog.entries
    assert "3" not in again.entries and len(again.entries) == 9


def test_retries_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that always loses gives up with StoreError."""

    def lose(*_: object) -> str:
        raise ConflictError("lost")

    monkeypatch.setattr(type(store), "put_if", lose)
    monkeypatch.setattr("pipeline.storage.catalog.MAX_WAIT_S", 0.0)
    with pytest.raises(StoreError, match="in a row"):
        Catalog.load(store, KEY).update({"a": {}})
