"""Placement: parts of bounded size, every kept document once in data, mixes as planned."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.release.placement import cut_parts


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 100))
def test_parts_are_consecutive_and_rows_count_within_them(sizes: list[int], part_bytes: int) -> None:
    """Parts follow the order without gaps; rows restart at 0 in each."""
    part, row = cut_parts(np.array(sizes, np.int64), part_bytes)
    expected_row = 0
    for i in range(len(sizes)):
        new_part = i == 0 or part[i] != part[i - 1]
        expected_row = 0 if new_part else expected_row + 1
        assert row[i] == expected_row
        assert part[i] == (0 if i == 0 else part[i - 1] + new_part)


def test_parts_hold_about_the_bytes_asked_for() -> None:
    """Many small documents give parts within one document of the even share."""
    sizes = np.full(1000, 10, np.int64)
    part, _ = cut_parts(sizes, 2500)
    assert np.bincount(part).tolist() == [250, 250, 250, 250]
