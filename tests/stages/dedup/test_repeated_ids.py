"""Repeated ids: counted inside a source, row by row and in a summary."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.stage import NoConfig
from stages.dedup.repeated_ids import GLOBAL, SCHEMA
from tests.helpers.run_global import align, number_rows, run_global

ROWS = [
    ("news", "1"),
    ("news", "2"),
    ("news", "1"),
    ("wiki", "1"),
    ("wiki", None),
    ("wiki", None),
    ("wiki", ""),
    ("wiki", ""),
    ("news", "1"),
    ("news", "苹果"),
    ("news", "苹果"),
]


def shards(*sizes: int) -> list[pa.Table]:
    """ROWS cut into numbered shards."""
    table = pa.table({"source": [row[0] for row in ROWS], "source_id": [row[1] for row in ROWS]})
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return number_rows([table.slice(start, size) for start, size in zip(starts, sizes, strict=True)])


@pytest.mark.parametrize(("sizes", "n_partitions"), [((11,), 1), ((3, 0, 8), 4), ((1, 5, 5), 7)])
def test_repeats_are_counted_inside_a_source(sizes: tuple[int, ...], n_partitions: int) -> None:
    """Equal ids of one source count, also empty ones; null ids and ids of other sources do not."""
    parts = shards(*sizes)
    outcome = run_global(GLOBAL, parts, NoConfig(), n_partitions)
    found = pa.concat_tables(align(outcome, parts, GLOBAL))["repeats.n_same"]
    assert found.type == SCHEMA.field("n_same").type
    assert found.to_pylist() == [3, None, 3, None, None, None, 2, 2, 3, 2, 2]
    assert outcome.artefacts["summary"].to_pylist() == [
        {"source": "news", "repeated_ids": 2, "rows": 5, "example": "1"},
        {"source": "wiki", "repeated_ids": 1, "rows": 2, "example": ""},
    ]


def test_rows_of_one_key_are_told_apart() -> None:
    """Ids that only share a 64-bit key do not count as the same."""
    keyed = pa.table(
        {
            "key": pa.array([5, 5, 5], pa.uint64()),
            "row": pa.array([0, 1, 2], pa.uint64()),
            "source": ["news"] * 3,
            "source_id": ["a", "b", "a"],
        }
    )
    assert GLOBAL.reduce(keyed, NoConfig())["row"].to_pylist() == [0, 2]
