"""Scope of deduplication: documents of one scope keep meeting, those of different scopes share no key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.schema import CANONICAL
from pipeline.stage import Global
from stages.dedup import candidates
from stages.dedup.scope import SCOPE_READS, SCOPES, check_scope, scope_salt
from stages.kernels.text.hashing import ODD_B, VIEWS, hash_lanes, salt

Row = tuple[str | None, str | None, str, str | None]
"""parent_id, provenance, source, snapshot."""

NAMES = st.sampled_from(["a", "b", "zh_web", "CC-MAIN-2024-22", "CC-MAIN-2025-30"])
METHODS = st.none() | st.sampled_from(["LLM", "pinyin", "code_switched"])
ROWS = st.lists(
    st.tuples(st.none() | st.sampled_from("pq"), METHODS, NAMES, st.none() | NAMES | st.just("")), max_size=12
)


def table(rows: list[Row], cut: int | None = None) -> pa.Table:
    """Rows as a table of canonical columns, in two chunks if `cut` says where."""
    columns = zip(*rows, strict=True) if rows else ([], [], [], [])
    whole = pa.table([pa.array(c, pa.string()) for c in columns], names=list(SCOPE_READS))
    return whole if cut is None else pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])


def scope_of(row: Row, scope: str) -> tuple[Any, ...]:
    """A document's scope, by hand."""
    parent, method, source, snapshot = row
    alone = (parent, method) if parent and method in VIEWS else (parent is None,)
    if scope == "global":
        return alone
    if scope == "snapshot" and snapshot is not None:
        return (*alone, "snapshot", snapshot)
    return (*alone, "source", source)


@given(ROWS, st.integers(0, 12), st.sampled_from(SCOPES))
def test_salts_are_equal_exactly_within_a_scope(rows: list[Row], cut: int, scope: str) -> None:
    """However the rows are chunked: one salt for a scope, other scopes another one; a scope's name counts by kind."""
    salts = scope_salt(table(rows, min(cut, len(rows))), scope)
    assert salts.dtype == np.uint64 and salts.shape == (len(rows),)
    assert salts.tolist() == scope_salt(table(rows), scope).tolist()
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            assert (salts[i] == salts[j]) == (scope_of(first, scope) == scope_of(second, scope))


@given(ROWS)
def test_global_keys_are_what_they_were(rows: list[Row]) -> None:
    """The widest scope keeps derived documents apart and changes nothing else."""
    found = scope_salt(table(rows), "global")
    plain = [method not in VIEWS for _, method, _, _ in rows]
    expected = salt(table(rows)["parent_id"])
    assert expected.tolist() == [0 if row[0] is None else int(ODD_B) for row in rows]
    assert found[plain].tolist() == expected[plain].tolist()


def test_known_salts() -> None:
    """Salts are stored and do not change from one version to the next."""
    row: Row = (None, None, "zh_web", "CC-MAIN-2025-30")
    assert [int(scope_salt(table([row]), scope)[0]) for scope in SCOPES] == [
        0,
        11_233_510_458_871_505_484,
        1_932_809_767_592_533_909,
    ]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("global", [(0, 1), (0, 2), (1, 2)]), ("source", [(0, 1)]), ("snapshot", [(0, 2)])],
)
def test_copies_meet_within_their_scope_only(scope: str, expected: list[tuple[int, int]]) -> None:
    """Keys of three copies, two of one source and two of one snapshot, and of another document."""
    rows: list[Row] = [
        (None, None, "a", "s"),
        (None, None, "a", "t"),
        (None, None, "b", "s"),
        (None, None, "b", None),
    ]
    hashes = [bytes(range(16))] * 3 + [bytes(16)]
    documents = table(rows).append_column("hash", pa.array(hashes, pa.binary(16)))
    keys = hash_lanes(documents["hash"].combine_chunks())[:, 0] ^ scope_salt(documents, scope)
    assert [(i, j) for i in range(4) for j in range(i + 1, 4) if keys[i] == keys[j]] == expected


def test_scope_reads_no_text() -> None:
    """The columns are canonical ones; a step that reads them beside sidecars leaves the text where it is."""
    assert set(SCOPE_READS) <= set(CANONICAL.names) - {"text"}
    step: Global = candidates.GLOBAL
    assert "text" not in {*step.reads, *SCOPE_READS}


def test_an_unknown_scope_is_refused() -> None:
    """The message lists the known scopes."""
    with pytest.raises(
        ConfigError, match=r"candidates\.scope is 'crawl'; expected one of global, source, snapshot"
    ):
        check_scope("crawl", "candidates.scope")
