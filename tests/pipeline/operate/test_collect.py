"""`gc` on a store whose catalogs have segments."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline.storage.catalog import is_segment
from pipeline.storage.store import open_store
from tests.helpers.build import build, cli, digests, tiny, write_run


def test_gc_deletes_segments_that_no_catalog_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run that was killed between two writes left goes; segments in use stay, and the build is complete."""
    monkeypatch.setattr("pipeline.storage.catalog.INLINE", 0)
    store, run_path = tmp_path / "store", write_run(tmp_path, tiny(tmp_path))
    build(run_path, store)
    before = digests(store, "tiny")
    segments = [key for key, _ in open_store(store).list("") if is_segment(key)]
    assert segments
    orphan = re.sub("-[0-9a-f]{12}[.]", "-000000000000.", segments[0])
    shutil.copy(store / segments[0], store / orphan)
    found = cli("gc", run_path, "--store", store, "--json", "--delete").ok().json
    assert found["reasons"] == {
        "parts of catalogs that a killed run left": {"objects": 1, "bytes": found["bytes"]}
    }
    left = {key for key, _ in open_store(store).list("")}
    assert set(segments) <= left and orphan not in left
    assert not any(build(run_path, store)["tasks"].values())
    assert digests(store, "tiny") == before != {}
    cli("scrub", store).ok()
