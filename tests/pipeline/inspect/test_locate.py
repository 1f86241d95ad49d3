"""Locating: a position of the training order leads to the document whose tokens are there."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.inspect.locate import locate_documents, parse_range
from pipeline.storage.store import open_store
from tests.helpers.build import reference


@pytest.fixture(scope="module")
def release() -> str:
    """Folder of a finished release."""
    return f"{reference().store}/{reference().record['release']}"


@pytest.mark.parametrize("mix", ["natural", "half"])
def test_every_position_belongs_to_one_document(release: str, mix: str) -> None:
    """Documents follow each other without gaps, and a position inside one finds exactly it."""
    store = open_store(release)
    everything = locate_documents(store, mix, 0, 1 << 60)
    ends = np.cumsum([row["n_tokens"] + 1 for row in everything])
    assert [row["first_token"] for row in everything] == [0, *ends[:-1].tolist()]
    for i in (0, len(everything) // 2, len(everything) - 1):
        last = int(ends[i]) - 1
        assert locate_documents(store, mix, last, last + 1) == [everything[i]]
    with pytest.raises(UsageError, match="expected a range within"):
        locate_documents(store, mix, int(ends[-1]), int(ends[-1]) + 1)


def test_ranges() -> None:
    """Positions may count tokens or sequences; anything else is refused."""
    assert parse_range("7", 1) == (7, 8)
    assert parse_range("2:4", 4096) == (8192, 16384)
    with pytest.raises(UsageError, match="expected a position"):
        parse_range("seven", 1)


def test_an_unknown_mix_is_named(release: str) -> None:
    """A misspelt mix gets the nearest one."""
    with pytest.raises(UsageError, match="did you mean"):
        locate_documents(open_store(release), "natral", 0, 1)
