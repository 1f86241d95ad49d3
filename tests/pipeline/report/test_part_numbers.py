"""Diversity of derived documents: sums over shards, and effective numbers."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.part_numbers import NO_VALUE, effective, part_numbers, tally_part

ROWS = pa.table(
    {
        "language": ["zho_Hans", "zho_Hans", "eng_Latn", "eng_Latn"],
        "domain": ["math", None, "math", "math"],
        "task": ["compute", "why", "compute", "compute"],
        "template": ["given>compute", "derive", "given>compute", "compute"],
    }
)


def test_effective_numbers_are_those_of_equal_shares() -> None:
    """n equally frequent values count as n, one dominant value as little more than one, none as zero."""
    assert effective([5, 5, 5, 5]) == pytest.approx(4)
    assert effective([]) == 0
    assert effective([98, 1, 1]) == pytest.approx(math.exp(-0.98 * math.log(0.98) - 0.02 * math.log(0.01)))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_effective_numbers_have_bounds(counts: list[int]) -> None:
    """An effective number is from 1 to the number of values."""
    assert 1 - 1e-9 <= effective(counts) <= len(counts) + 1e-9


def test_shards_add_up_to_groups_by_language_domain_and_task() -> None:
    """Tallies of shards in any order give the same numbers, with documents, tokens, values and the largest share."""
    tallies = [
        tally_part("cot", ("task", "template"), ROWS.slice(i, 2), tokens)
        for i, tokens in ((0, [7, 1]), (2, [5, 3]))
    ]
    (part,) = part_numbers(tallies)
    assert (part,) == tuple(part_numbers(reversed(tallies)))
    groups = {(row.by, row.group): row for row in part.groups}
    assert groups["all", ""].documents == 4 and groups["all", ""].tokens == 16
    assert groups["language", "eng_Latn"].values == 2 and groups["language", "eng_Latn"].effective == 2.0
    assert groups["domain", NO_VALUE].documents == 1
    compute = groups["task", "compute"]
    assert (compute.largest, compute.largest_share) == ("given>compute", 0.6667)
    assert part.common[0].languages == {"eng_Latn": 1, "zho_Hans": 1}
    assert [row.by for row in part.groups] == [
        "all", "language", "language", "domain", "domain", "task", "task",
    ]  # fmt: skip
    assert (part.common[0].value, part.common[0].documents) == ("given>compute", 2)
    assert part_numbers([]) == []
