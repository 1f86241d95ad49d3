"""Requests and bytes are counted alike in a folder and in a bucket, as a provider bills them."""

from __future__ import annotations

from dataclasses import asdict

from pipeline.storage.meter import LISTED, PART_BYTES, counts, note_list
from pipeline.storage.store import Store

pytest_plugins = ["tests.helpers.stores"]


def test_requests_of_both_kinds_of_store(store: Store) -> None:
    """One PUT for each object, parts above 8 MiB; intermediate files, copies and what is deleted are told apart."""
    before = counts()
    store.put("a/one", b"x" * 100)
    store.put("a/large", bytes(PART_BYTES + 1))
    store.put("exchange/step/map", b"y" * 7)
    tag = store.put_if("a/catalog", b"{}", None)
    store.put_if("a/catalog", b"{    }", tag)
    used = asdict(counts() - before)
    assert (used["puts"], used["work_bytes"]) == (1 + 4 + 1 + 2, 7)
    assert (used["files"], used["disk_bytes"]) == (3, 100 + PART_BYTES + 1 + 6)
    before = counts()
    assert store.get("a/one") == b"x" * 100
    store.move("a/one", "b/one")
    assert len(list(store.list("a"))) == 2
    used = asdict(counts() - before)
    assert (used["gets"], used["puts"], used["lists"]) == (1, 1, 1)
    assert (used["files"], used["disk_bytes"]) == (0, 0)


def test_a_listing_is_billed_by_thousands() -> None:
    """An empty listing is one request as well."""
    before = counts().lists
    for n in (0, 1, LISTED, LISTED + 1):
        note_list(n)
    assert counts().lists - before == 1 + 1 + 1 + 2
