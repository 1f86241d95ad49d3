"""Fixture: a module with filters that are not datatrove's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with filters that are not datatrove's own."""
    (tmp_path / "own_filters.py").write_text(OWN, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_filters", raising=False)
    return "own_filters"


OWN = """
from datatrove.pipeline.filters.base_filter import BaseFilter

SIZES = []

class ByHost(BaseFilter):
    def __init__(self, hosts):
        super().__init__(batch_size=2)
        self.hosts = hosts
        self.unpicklable = lambda: None
    def filter(self, doc):
        raise NotImplementedError
    def filter_batch(self, batch):
        SIZES.append(len(batch))
        return [(doc.metadata["url"].split("/")[2] not in self.hosts, "host") for doc in batch]

class Unready(BaseFilter):
    def filter(self, doc):
        import no_such_package
"""
